"""The public functions of pooling with a kernel: torch.nn.functional.max_pool2d, avg_pool2d, ..."""

from __future__ import annotations

import math
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.op import function
from tidu.ir.value import leaf
from tidu.ops.cast import cast
from tidu.ops.elementwise import abs_, pow_, relu, sign, trunc
from tidu.ops.indexing import scatter
from tidu.ops.movement import reshape
from tidu.ops.pooling import avg_pool, flat_index, max_pool, max_pool_position
from tidu.ops.rules import class_name
from tidu.ops.sources import full
from tidu.ops.windows import Pads, Shape, several, span

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


class _Window:
    """The checked numbers of a pooling: kernel, stride, padding and dilation for each dimension."""

    def __init__(
        self, operation: str, n: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any = 1
    ) -> None:
        self.operation = operation
        self.kernel = several(operation, "kernel_size", kernel_size, n)
        empty = stride is None or (isinstance(stride, (tuple, list)) and not stride)
        self.stride = self.kernel if empty else several(operation, "stride", stride, n)
        self.padding = several(operation, "padding", padding, n)
        self.dilation = several(operation, "dilation", dilation, n)
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


# The greatest element -----------------------------------------------------------------------------


def _max_pool(
    n: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    name = f"max_pool{n}d"
    check_rank(name, input, n)
    window = _Window(name, n, kernel_size, stride, padding, dilation)
    _, pads = window.fit(input, ceil_mode)
    attrs = (window.kernel, window.stride, pads, window.dilation)
    grad_name = "SqueezeBackward1" if n == 1 else f"MaxPool{n}DWithIndicesBackward0"
    values = max_pool.named(grad_name, input, *attrs)
    if not return_indices:
        return values
    position = max_pool_position(input, *attrs)
    return values, flat_index(position, tuple(input.shape[-n:]), *attrs)


@function("torch.nn.functional.max_pool1d")
def max_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window: (N, C, L) gives (N, C, L'). See `max_pool2d`."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@function("torch.nn.functional.max_pool2d")
def max_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window of an image: (N, C, H, W) gives (N, C, H', W').

    H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, or ⌈…⌉ + 1 in `ceil_mode` as
    long as the last window starts inside. The stride is the kernel size if it is not given. Pads
    count as −∞. The gradient goes to the first of several greatest elements. With `return_indices`
    also gives their places in the flattened H × W.

    >>> torch.nn.functional.max_pool2d(torch.arange(16.).view(1, 4, 4), 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


@function("torch.nn.functional.max_pool3d")
def max_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The greatest element of each window of a volume: (N, C, D, H, W) gives (N, C, D', H', W').

    See `max_pool2d`.
    """
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _variants(n: int) -> None:
    """torch.max_pool2d, which never returns indices, and max_pool2d_with_indices."""

    def values(
        input: Any,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        return _max_pool(n, input, kernel_size, stride, padding, dilation, ceil_mode, False)

    def with_indices(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        return _max_pool(n, input, kernel_size, stride, padding, dilation, ceil_mode, True)

    for call, name, paths in (
        (values, f"max_pool{n}d", "torch"),
        (with_indices, f"max_pool{n}d_with_indices", "torch.nn.functional"),
    ):
        call.__name__ = call.__qualname__ = name
        call.__doc__ = (
            f"`torch.nn.functional.max_pool{n}d`, {'with' if 'indices' in name else 'without'}"
            " indices."
        )
        function(f"{paths}.{name}")(call)


for _n in (1, 2, 3):
    _variants(_n)


@function("torch.max_pool1d_with_indices")
def max_pool1d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """`torch.nn.functional.max_pool1d` with indices."""
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, True)


# Back to where the greatest elements were ---------------------------------------------------------


def _unpool_sizes(
    input: Any, kernel: Shape, stride: Shape, padding: Shape, output_size: Any
) -> Shape:
    n = len(kernel)
    default = tuple(
        (size - 1) * s + k - 2 * p
        for size, k, s, p in zip(input.shape[-n:], kernel, stride, padding, strict=True)
    )
    if output_size is None:
        return default
    sizes = tuple(int(size) for size in output_size)
    if len(sizes) == n + 2:
        sizes = sizes[2:]
    if len(sizes) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, "
            f"but it has a length of '{len(output_size)}'"
        )
    for i, (size, usual, s) in enumerate(zip(sizes, default, stride, strict=True)):
        if not usual - s < size < usual + s:
            raise ValueError(
                f'invalid output_size "{sizes}" (dim {i} must be between {usual - s} and'
                f" {usual + s})"
            )
    return sizes


def _max_unpool(
    n: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    name = f"max_unpool{n}d"
    check_rank(name, input, n)
    kernel = several(name, "kernel_size", kernel_size, n)
    step = kernel if stride is None else several(name, "stride", stride, n)
    pad = several(name, "padding", padding, n)
    sizes = _unpool_sizes(input, kernel, step, pad, output_size)
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {class_name(indices.dtype)}"
            f" ({name})"
        )
    if tuple(indices.shape) != tuple(input.shape):
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor"
            f" ({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
            f" ({name})"
        )
    lead = tuple(input.shape[:-n])
    plane = (*lead, prod(input.shape[-n:]))
    zeros = full(0.0, (*lead, prod(sizes)), input.dtype)
    flat = scatter(zeros, reshape(indices, plane), reshape(input, plane), len(lead))
    grad_name = "SqueezeBackward1" if n == 1 else f"MaxUnpool{n}DBackward0"
    return reshape.named(grad_name, flat, (*lead, *sizes))


@function("torch.nn.functional.max_unpool1d")
def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """The partial inverse of `max_pool1d`: elements back at `indices`, zeros elsewhere.

    See `max_unpool2d`.
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


@function("torch.nn.functional.max_unpool2d")
def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """The partial inverse of `max_pool2d`.

    (N, C, H, W) gives (N, C, H', W') with H' = (H − 1)·stride − 2·padding + kernel.

    Elements go to `indices`, which count in the flattened H' × W'; all others are zero.
    `output_size` chooses among the sizes that pool to the same one; ValueError if it is none of
    them.
    """
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


@function("torch.nn.functional.max_unpool3d")
def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """The partial inverse of `max_pool3d`: elements back at `indices`, zeros elsewhere.

    See `max_unpool2d`.
    """
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


# Means --------------------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _counts(
    sizes: Shape, outs: Shape, kernel: Shape, stride: Shape, padding: Shape, include_pad: bool
) -> Any:
    """How many elements each window counts: a number if all do the same, otherwise an array."""
    counts: Any = np.ones((), np.int64)
    for size, m, k, s, p in zip(sizes, outs, kernel, stride, padding, strict=True):
        starts = np.arange(m) * s - p
        ends = np.minimum(starts + k, size + p)
        if not include_pad:
            starts, ends = np.maximum(starts, 0), np.minimum(ends, size)
        counts = counts[..., None] * (ends - starts)
    same = bool((counts == counts.flat[0]).all())
    return float(counts.flat[0]) if same else counts


def _avg_pool(
    n: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    name = f"avg_pool{n}d"
    check_rank(name, input, n)
    if input.dtype.category != dtypes.FLOAT and input.dtype is not dtypes.int64:
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{class_name(input.dtype)}'; write x.float()"
        )
    window = _Window(name, n, kernel_size, stride, padding)
    if n == 3 and any(size < k for size, k in zip(input.shape[-n:], window.kernel, strict=True)):
        raise RuntimeError(
            f"input image {list(input.shape[-n:])} smaller than kernel size {list(window.kernel)}"
            f" in {name}"
        )
    outs, pads = window.fit(input, ceil_mode)
    if divisor_override == 0:
        raise RuntimeError(f"divisor must be not zero, but divisor_override is 0 in {name}")
    x = input if input.dtype.is_floating_point else cast(input, dtypes.float64)
    divisor: Any = divisor_override
    if divisor is None:
        numbers = (window.kernel, window.stride, window.padding)
        divisor = _counts(tuple(input.shape[-n:]), outs, *numbers, count_include_pad)
    if isinstance(divisor, np.ndarray):
        divisor = leaf(divisor.astype(x.dtype.numpy), x.dtype)
    grad_name = "SqueezeBackward1" if n == 1 else f"AvgPool{n}DBackward0"
    mean = avg_pool.named(grad_name, x, divisor, window.kernel, window.stride, pads)
    return mean if x is input else cast(trunc(mean), input.dtype)


@function("torch.avg_pool1d torch.nn.functional.avg_pool1d")
def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window: (N, C, L) gives (N, C, L'). See `avg_pool2d`."""
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


@function("torch.nn.functional.avg_pool2d")
def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of an image.

    (N, C, H, W) gives (N, C, H', W'), sizes as in `max_pool2d`.

    Zeros that pad count as elements unless `count_include_pad` is False; `divisor_override`
    replaces the count.

    >>> torch.nn.functional.avg_pool2d(torch.arange(16.).view(1, 4, 4), 2)
    tensor([[[ 2.5000,  4.5000],
             [10.5000, 12.5000]]])
    """
    return _avg_pool(
        2, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


@function("torch.nn.functional.avg_pool3d")
def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean of each window of a volume: (N, C, D, H, W) gives (N, C, D', H', W').

    See `avg_pool2d`.
    """
    return _avg_pool(
        3, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


# Norms --------------------------------------------------------------------------------------------


def _lp_pool(
    n: int, input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Any:
    p = float(norm_type)
    if math.isinf(p):  # the limits of the norm
        side = 1.0 if p > 0 else -1.0
        return side * _max_pool(n, side * abs_(input), kernel_size, stride, 0, 1, ceil_mode, False)
    kernel = several(f"lp_pool{n}d", "kernel_size", kernel_size, n)
    mean = _avg_pool(n, pow_(input, p), kernel, stride, 0, ceil_mode, True, None)
    total = (sign(mean) * relu(abs_(mean))) * float(prod(kernel))
    return pow_(total, 1.0 / p)


@function("torch.nn.functional.lp_pool1d")
def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(Σ over each window of x^p)^(1/p), p being `norm_type`: (N, C, L) gives (N, C, L')."""
    return _lp_pool(1, input, norm_type, kernel_size, stride, ceil_mode)


@function("torch.nn.functional.lp_pool2d")
def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(Σ over each window of x^p)^(1/p), p being `norm_type`: (N, C, H, W) gives (N, C, H', W')."""
    return _lp_pool(2, input, norm_type, kernel_size, stride, ceil_mode)


@function("torch.nn.functional.lp_pool3d")
def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(Σ over each window of x^p)^(1/p), p being `norm_type`.

    (N, C, D, H, W) gives (N, C, D', H', W').
    """
    return _lp_pool(3, input, norm_type, kernel_size, stride, ceil_mode)
