"""Convolutional layers and their transposes, in one to three dimensions, and lazy ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from tidu.nn import init
from tidu.nn.lazy import LazyModuleMixin
from tidu.nn.module import Module
from tidu.nn.parameter import Parameter, UninitializedParameter
from tidu.ops.moving.padding import pad
from tidu.ops.windows import convolving
from tidu.tensor import Tensor, empty

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def ntuple(value: Any, n: int) -> tuple[Any, ...]:
    """A number n times, or a sequence as a tuple."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * n


class _ConvNd(Module):
    """What all convolutions share; a subclass names the number of dimensions and the function."""

    __constants__ = [
        "stride", "padding", "dilation", "groups", "padding_mode", "output_padding",
        "in_channels", "out_channels", "kernel_size",
    ]  # fmt: skip
    dimensions: int
    transposed = False
    weight: Parameter
    bias: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        n = self.dimensions
        self._check(in_channels, out_channels, stride, padding, groups, padding_mode)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = ntuple(kernel_size, n)
        self.stride = ntuple(stride, n)
        self.padding = padding if isinstance(padding, str) else ntuple(padding, n)
        self.dilation = ntuple(dilation, n)
        self.output_padding = ntuple(output_padding, n)
        self.groups = groups
        self.padding_mode = padding_mode
        self._reversed_padding_repeated_twice = self._edge_pads()
        self._make_parameters(bias, device, dtype)
        self.reset_parameters()

    def _make_parameters(self, bias: bool, device: Any, dtype: Any) -> None:
        self.weight = Parameter(empty(self._weight_shape(), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(self.out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)

    def _check(
        self,
        in_channels: int,
        out_channels: int,
        stride: Any,
        padding: Any,
        groups: int,
        padding_mode: str,
    ) -> None:
        if groups <= 0:
            raise ValueError(f"groups must be a positive integer, but got groups={groups}")
        for name, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(
                    f"{name} must be divisible by groups, but got {name}={channels} and"
                    f" groups={groups}"
                )
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(
                    f"Invalid padding string '{padding}', should be one of 'same', 'valid'"
                )
            if padding == "same" and any(s != 1 for s in ntuple(stride, self.dimensions)):
                raise ValueError(
                    "padding='same' is not supported for strided convolutions, but got"
                    f" stride={stride}"
                )
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {_PADDING_MODES}, but got"
                f" padding_mode='{padding_mode}'"
            )

    def _edge_pads(self) -> tuple[int, ...] | list[int]:
        """Pads before and after each dimension, the last one first, as `pad` takes them."""
        if not isinstance(self.padding, str):
            return tuple(p for p in reversed(self.padding) for _ in range(2))
        if self.padding == "valid":
            return [0] * (2 * self.dimensions)
        totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=False)]
        return [p for total in reversed(totals) for p in (total // 2, total - total // 2)]

    def _weight_shape(self) -> tuple[int, ...]:
        first, second = self.out_channels, self.in_channels
        if self.transposed:
            first, second = second, first
        return (first, second // self.groups, *self.kernel_size)

    def reset_parameters(self) -> None:
        """Draw new initial values, uniform in ±1/√(channels in a group · kernel elements)."""
        # Slope √5 makes the bound of kaiming_uniform_ equal to 1/√fan_in.
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in = math.prod(self.weight.shape[1:])
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        shown = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size},"
            f" stride={self.stride}"
        )
        zeros, ones = (0,) * len(self.kernel_size), (1,) * len(self.kernel_size)
        for name, usual in (
            ("padding", zeros), ("dilation", ones), ("output_padding", zeros), ("groups", 1),
        ):  # fmt: skip
            if getattr(self, name) != usual:
                shown += f", {name}={getattr(self, name)}"
        if self.bias is None:
            shown += ", bias=False"
        if self.padding_mode != "zeros":
            shown += f", padding_mode={self.padding_mode}"
        return shown


class _Convolution(_ConvNd):
    function: Callable[..., Any]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution with another weight and bias, which subclasses may call."""
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
            padding = 0
        run = type(self).function
        return run(input, weight, bias, self.stride, padding, self.dilation, self.groups)  # type: ignore[no-any-return]

    def forward(self, input: Tensor) -> Tensor:
        return self._conv_forward(input, *self._weight_and_bias())


class Conv1d(_Convolution):
    """Convolution along one dimension: (N, C, L) gives (N, out_channels, L'). See `Conv2d`.

    >>> nn.Conv1d(2, 4, 3, padding=1)(torch.randn(8, 2, 10)).shape
    torch.Size([8, 4, 10])
    """

    dimensions = 1
    function = staticmethod(convolving.conv1d)


class Conv2d(_Convolution):
    """Convolution of images.

    y[n, o] = bias[o] + Σ over c of weight[o, c] ⋆ input[n, c], ⋆ being cross-correlation.

    (N, in_channels, H, W), or without N, gives (N, out_channels, H', W') with H' = ⌊(H + 2·padding
    − dilation·(kernel_size − 1) − 1) / stride⌋ + 1. `weight` is (out_channels, in_channels /
    groups, kernel height, kernel width); it and `bias` start uniform in ±1/√(number of its inputs).
    `padding` may be "same" or "valid"; `padding_mode` is zeros, reflect, replicate or circular.

    >>> torch.nn.Conv2d(3, 16, 5, padding=2)(torch.ones(8, 3, 28, 28)).shape
    torch.Size([8, 16, 28, 28])
    """

    dimensions = 2
    function = staticmethod(convolving.conv2d)


class Conv3d(_Convolution):
    """Convolution of volumes: (N, C, D, H, W) gives (N, out_channels, D', H', W'). See `Conv2d`.

    >>> nn.Conv3d(2, 4, 3)(torch.randn(1, 2, 5, 5, 5)).shape
    torch.Size([1, 4, 3, 3, 3])
    """

    dimensions = 3
    function = staticmethod(convolving.conv3d)


class _ConvTransposeNd(_ConvNd):
    transposed = True
    function: Callable[..., Any]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f'Only "zeros" padding mode is supported for {type(self).__name__}, but got'
                f' "{padding_mode}"'
            )
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding,
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _output_padding_for(self, input: Tensor, output_size: Any) -> tuple[int, ...]:
        """How much to add at the end so that the result has the size asked for."""
        n = self.dimensions
        shape, wanted = tuple(input.shape), tuple(output_size)
        lead = len(shape) - n
        if len(wanted) == n + lead:
            wanted = wanted[lead:]
        if len(wanted) != n:
            raise ValueError(
                f"ConvTranspose{n}D: for {len(shape)}D input, output_size must have {n} or"
                f" {n + lead} elements (got {len(wanted)})"
            )
        least = [
            (size - 1) * s - 2 * p + d * (k - 1) + 1
            for size, s, p, d, k in zip(
                shape[lead:],
                self.stride,
                self.padding,
                self.dilation,
                self.kernel_size,
                strict=True,
            )
        ]
        most = [low + s - 1 for low, s in zip(least, self.stride, strict=True)]
        if any(
            not low <= size <= high for low, size, high in zip(least, wanted, most, strict=True)
        ):
            raise ValueError(
                f"requested an output size of {wanted}, but valid sizes range from {least} to"
                f" {most} (for an input of {input.shape[lead:]})"
            )
        return tuple(size - low for size, low in zip(wanted, least, strict=True))

    def forward(self, input: Tensor, output_size: Any = None) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._output_padding_for(input, output_size)
        run = type(self).function
        return run(  # type: ignore[no-any-return]
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            extra,
            self.groups,
            self.dilation,
        )


class ConvTranspose1d(_ConvTransposeNd):
    """The transpose of `Conv1d`: (N, C, L) gives (N, out_channels, L'). See `ConvTranspose2d`.

    >>> nn.ConvTranspose1d(2, 4, 3, stride=2)(torch.randn(1, 2, 5)).shape
    torch.Size([1, 4, 11])
    """

    dimensions = 1
    function = staticmethod(convolving.conv_transpose1d)


class ConvTranspose2d(_ConvTransposeNd):
    """The transpose of `Conv2d`, which enlarges by `stride`.

    (N, C, H, W) gives (N, out_channels, H', W').

    H' = (H − 1)·stride − 2·padding + dilation·(kernel_size − 1) + output_padding + 1. `weight` is
    (in_channels, out_channels / groups, kernel height, kernel width). `forward` takes an
    `output_size` in place of `output_padding`; ValueError if the layer cannot make it.

    >>> torch.nn.ConvTranspose2d(16, 8, 2, stride=2)(torch.ones(1, 16, 7, 7)).shape
    torch.Size([1, 8, 14, 14])
    """

    dimensions = 2
    function = staticmethod(convolving.conv_transpose2d)


class ConvTranspose3d(_ConvTransposeNd):
    """The transpose of `Conv3d`: (N, C, D, H, W) gives (N, out_channels, D', H', W').

    See `ConvTranspose2d`.
    """

    dimensions = 3
    function = staticmethod(convolving.conv_transpose3d)


class _LazyConvolution(LazyModuleMixin, _ConvNd):
    """Takes `in_channels` from the first input; stands before the convolution among the bases."""

    def __init__(self, out_channels: int, kernel_size: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(0, out_channels, kernel_size, *args, **kwargs)

    def _make_parameters(self, bias: bool, device: Any, dtype: Any) -> None:
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)
        else:
            self.register_parameter("bias", None)

    def reset_parameters(self) -> None:
        if not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        if not self.has_uninitialized_params():
            return
        n, shape = self.dimensions, tuple(input.shape)
        if len(shape) not in (n + 1, n + 2):
            raise RuntimeError(
                f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to"
                f" {type(self).__name__}, but got input of size: {list(shape)}"
            )
        self.in_channels = shape[-n - 1]
        if self.in_channels % self.groups:
            raise ValueError(
                f"in_channels must be divisible by groups, but got in_channels={self.in_channels} "
                f"and groups={self.groups}"
            )
        self.weight.materialize(self._weight_shape())
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class LazyConv1d(_LazyConvolution, Conv1d):
    """A `Conv1d` that takes `in_channels` from its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConvolution, Conv2d):
    """A `Conv2d` that takes `in_channels` from its first input.

    >>> nn.LazyConv2d(8, 3)(torch.randn(1, 3, 6, 6)).shape
    torch.Size([1, 8, 4, 4])
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyConvolution, Conv3d):
    """A `Conv3d` that takes `in_channels` from its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConvolution, ConvTranspose1d):
    """A `ConvTranspose1d` that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvolution, ConvTranspose2d):
    """A `ConvTranspose2d` that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConvolution, ConvTranspose3d):
    """A `ConvTranspose3d` that takes `in_channels` from its first input."""

    cls_to_become = ConvTranspose3d
