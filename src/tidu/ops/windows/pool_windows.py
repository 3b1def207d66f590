"""The windows of a pooling, from what the caller says about them."""

from __future__ import annotations

from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.ops.windows.sliding import Pads, per_dimension, span

_AXES = "DHW"


def check_rank(operation: str, x: Any, n: int) -> None:
    """The input has n dimensions to pool, channels, and perhaps a batch, which may be empty."""
    shape = tuple(x.shape)
    if len(shape) not in (n + 1, n + 2) or 0 in shape[-n - 1 :]:
        raise RuntimeError(
            f"Expected {n + 1}D or {n + 2}D (batch mode) tensor with optional 0 dim batch size for"
            f" input, but got:{list(shape)}: {operation} takes (C, {', '.join(_AXES[-n:])}) or (N,"
            f" C, {', '.join(_AXES[-n:])}), where only N may be 0"
        )
    if x.dtype is dtypes.bool_:
        raise NotImplementedError(f"\"{operation}\" not implemented for 'Bool'; write x.float()")


class Window:
    """The checked numbers of a pooling: kernel, stride, padding and dilation for each dimension."""

    def __init__(
        self, operation: str, n: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
    ) -> None:
        self.operation = operation
        self.kernel = per_dimension(operation, "kernel_size", kernel_size, n)
        empty = stride is None or (isinstance(stride, (tuple, list)) and not stride)
        self.stride = self.kernel if empty else per_dimension(operation, "stride", stride, n)
        self.padding = per_dimension(operation, "padding", padding, n)
        self.dilation = per_dimension(operation, "dilation", dilation, n)
        self._check()

    def _check(self) -> None:
        if min(self.kernel) < 1:
            raise RuntimeError(
                f"kernel size should be greater than zero, but got {list(self.kernel)} in"
                f" {self.operation}"
            )
        if min(self.stride) < 1:
            raise RuntimeError(
                f"stride should not be zero, but got {list(self.stride)} in {self.operation}: it"
                " must be at least 1"
            )
        if min(self.dilation) < 1:
            raise RuntimeError(
                f"dilation should be greater than zero, but got {list(self.dilation)} in"
                f" {self.operation}"
            )
        for k, p, d in zip(self.kernel, self.padding, self.dilation, strict=True):
            if p < 0:
                raise RuntimeError(
                    f"pad must be non-negative, but got pad: {p} in {self.operation}"
                )
            if p > span(k, d) // 2:
                raise RuntimeError(
                    f"pad should be at most half of effective kernel size, but got pad={p},"
                    f" kernel_size={k} and dilation={d} in {self.operation}"
                )

    def fit(self, x: Any, ceil_mode: bool) -> tuple[Shape, Pads]:
        """How many windows each dimension of x has, and the pads with which just they fit."""
        n = len(self.kernel)
        shape = tuple(x.shape)
        outs, pads = [], []
        for size, k, s, p, d in zip(
            shape[-n:], self.kernel, self.stride, self.padding, self.dilation, strict=True
        ):
            free = size + 2 * p - span(k, d)
            count, high = free // s + 1, p
            if ceil_mode and free % s and count * s < size + p:  # the last window starts inside
                count, high = count + 1, p + s - free % s
            outs.append(count)
            pads.append((p, high))
        if min(outs) < 1:
            channels = shape[-n - 1]
            raise RuntimeError(
                f"Given input size: ({channels}x{'x'.join(map(str, shape[-n:]))}). Calculated"
                f" output size: ({channels}x{'x'.join(str(max(o, 0)) for o in outs)}). Output size"
                f" is too small: {self.operation} has a kernel of {list(self.kernel)}; use a"
                " smaller one or a larger input"
            )
        return tuple(outs), tuple(pads)
