"""Pooling layers: the greatest element, the mean or a norm of each window."""

from __future__ import annotations

from typing import Any

from tidu.nn.convolution import ntuple
from tidu.nn.module import Module
from tidu.ops.windows import adaptive, average_pools, max_pools
from tidu.tensor import Tensor


def _numbers(module: Any, names: str) -> str:
    """``kernel_size=2, stride=2``, for the representation."""
    return ", ".join(f"{name}={getattr(module, name)}" for name in names.split())


class _MaxPoolNd(Module):
    __constants__ = ["kernel_size", "stride", "padding", "dilation", "return_indices", "ceil_mode"]
    return_indices: bool
    ceil_mode: bool

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _arguments(self) -> tuple[Any, ...]:
        return (
            self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip

    def extra_repr(self) -> str:
        return _numbers(self, "kernel_size stride padding dilation ceil_mode")


class MaxPool1d(_MaxPoolNd):
    """The greatest element of each window: (N, C, L) gives (N, C, L'). See `MaxPool2d`.

    >>> nn.MaxPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 0.0]]))
    tensor([[3., 2.]])
    """

    def forward(self, input: Tensor) -> Any:
        return max_pools.max_pool1d(input, *self._arguments())


class MaxPool2d(_MaxPoolNd):
    """The greatest element of each window of an image: (N, C, H, W) gives (N, C, H', W').

    H' = ⌊(H + 2·padding − dilation·(kernel_size − 1) − 1) / stride⌋ + 1, with ⌈…⌉ in `ceil_mode`;
    the stride is the kernel size if it is not given. With `return_indices` also gives where they
    were, for `MaxUnpool2d`.

    >>> torch.nn.MaxPool2d(2)(torch.ones(8, 16, 28, 28)).shape
    torch.Size([8, 16, 14, 14])
    """

    def forward(self, input: Tensor) -> Any:
        return max_pools.max_pool2d(input, *self._arguments())


class MaxPool3d(_MaxPoolNd):
    """The greatest element of each window of a volume: (N, C, D, H, W) gives (N, C, D', H', W').

    See `MaxPool2d`.

    >>> nn.MaxPool3d(2)(torch.randn(1, 1, 4, 4, 4)).shape
    torch.Size([1, 1, 2, 2, 2])
    """

    def forward(self, input: Tensor) -> Any:
        return max_pools.max_pool3d(input, *self._arguments())


class _MaxUnpoolNd(Module):
    dimensions: int

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = ntuple(kernel_size, self.dimensions)
        self.stride = self.kernel_size if stride is None else ntuple(stride, self.dimensions)
        self.padding = ntuple(padding, self.dimensions)

    def extra_repr(self) -> str:
        return _numbers(self, "kernel_size stride padding")


class MaxUnpool1d(_MaxUnpoolNd):
    """The partial inverse of `MaxPool1d`: (N, C, L) and its indices give (N, C, L').

    See `MaxUnpool2d`.
    """

    dimensions = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Any:
        return max_pools.max_unpool1d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class MaxUnpool2d(_MaxUnpoolNd):
    """The partial inverse of `MaxPool2d`: elements back at `indices`, zeros elsewhere.

    (N, C, H, W) gives (N, C, H', W') with H' = (H − 1)·stride − 2·padding + kernel_size, or the
    `output_size` that `forward` is given.
    """

    dimensions = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Any:
        return max_pools.max_unpool2d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class MaxUnpool3d(_MaxUnpoolNd):
    """The partial inverse of `MaxPool3d`: volumes and their indices give volumes.

    See `MaxUnpool2d`.
    """

    dimensions = 3

    def forward(self, input: Tensor, indices: Tensor, output_size: Any = None) -> Any:
        return max_pools.max_unpool3d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class _AdaptiveMaxPoolNd(Module):
    __constants__ = ["output_size", "return_indices"]
    return_indices: bool

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The greatest elements of `output_size` windows: (N, C, L) gives (N, C, output_size)."""

    def forward(self, input: Tensor) -> Any:
        return adaptive.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """The greatest elements of `output_size` windows, a number or (H', W'), of an image.

    >>> nn.AdaptiveMaxPool2d((1, 2))(torch.randn(1, 2, 5, 5)).shape
    torch.Size([1, 2, 1, 2])
    """

    def forward(self, input: Tensor) -> Any:
        return adaptive.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """The greatest elements of `output_size` windows, a number or (D', H', W'), of a volume."""

    def forward(self, input: Tensor) -> Any:
        return adaptive.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _AvgPoolNd(Module):
    __constants__ = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"]

    def extra_repr(self) -> str:
        return _numbers(self, "kernel_size stride padding")


class AvgPool1d(_AvgPoolNd):
    """The mean of each window: (N, C, L) gives (N, C, L'). See `AvgPool2d`.

    >>> nn.AvgPool1d(2)(torch.randn(1, 1, 6)).shape
    torch.Size([1, 1, 3])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = ntuple(kernel_size, 1)
        self.stride = self.kernel_size if stride is None else ntuple(stride, 1)
        self.padding = ntuple(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        return average_pools.avg_pool1d(  # type: ignore[no-any-return]
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class _AvgPoolWithDivisor(_AvgPoolNd):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def _arguments(self) -> tuple[Any, ...]:
        return (
            self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad,
            self.divisor_override,
        )  # fmt: skip


class AvgPool2d(_AvgPoolWithDivisor):
    """The mean of each window of an image.

    (N, C, H, W) gives (N, C, H', W'), sizes as for `MaxPool2d`.

    Zeros that pad count unless `count_include_pad` is False; `divisor_override` replaces the count.

    >>> nn.AvgPool2d(2)(torch.ones(1, 1, 4, 4)).shape
    torch.Size([1, 1, 2, 2])
    """

    def forward(self, input: Tensor) -> Tensor:
        return average_pools.avg_pool2d(input, *self._arguments())  # type: ignore[no-any-return]


class AvgPool3d(_AvgPoolWithDivisor):
    """The mean of each window of a volume: (N, C, D, H, W) gives (N, C, D', H', W').

    See `AvgPool2d`.

    >>> nn.AvgPool3d(2)(torch.randn(1, 1, 4, 4, 4)).shape
    torch.Size([1, 1, 2, 2, 2])
    """

    def forward(self, input: Tensor) -> Tensor:
        return average_pools.avg_pool3d(input, *self._arguments())  # type: ignore[no-any-return]


class _AdaptiveAvgPoolNd(Module):
    __constants__ = ["output_size"]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """The means of `output_size` windows: (N, C, L) gives (N, C, output_size).

    >>> nn.AdaptiveAvgPool1d(2)(torch.randn(1, 1, 5)).shape
    torch.Size([1, 1, 2])
    """

    def forward(self, input: Tensor) -> Tensor:
        return adaptive.adaptive_avg_pool1d(input, self.output_size)  # type: ignore[no-any-return]


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """The means of `output_size` windows, a number or (H', W'), of an image; None keeps a size.

    >>> torch.nn.AdaptiveAvgPool2d(1)(torch.ones(8, 64, 7, 7)).shape
    torch.Size([8, 64, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        return adaptive.adaptive_avg_pool2d(input, self.output_size)  # type: ignore[no-any-return]


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """The means of `output_size` windows, a number or (D', H', W'), of a volume.

    >>> nn.AdaptiveAvgPool3d(1)(torch.randn(1, 2, 3, 3, 3)).shape
    torch.Size([1, 2, 1, 1, 1])
    """

    def forward(self, input: Tensor) -> Tensor:
        return adaptive.adaptive_avg_pool3d(input, self.output_size)  # type: ignore[no-any-return]


class _LPPoolNd(Module):
    __constants__ = ["norm_type", "kernel_size", "stride", "ceil_mode"]

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def _arguments(self) -> tuple[Any, ...]:
        return float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode

    def extra_repr(self) -> str:
        return _numbers(self, "norm_type kernel_size stride ceil_mode")


class LPPool1d(_LPPoolNd):
    """(Σ over each window of x^p)^(1/p), p being `norm_type`: (N, C, L) gives (N, C, L')."""

    def forward(self, input: Tensor) -> Tensor:
        return average_pools.lp_pool1d(input, *self._arguments())  # type: ignore[no-any-return]


class LPPool2d(_LPPoolNd):
    """(Σ over each window of x^p)^(1/p), p being `norm_type`: (N, C, H, W) gives (N, C, H', W').

    >>> nn.LPPool2d(2, 2)(torch.randn(1, 1, 4, 4)).shape
    torch.Size([1, 1, 2, 2])
    """

    def forward(self, input: Tensor) -> Tensor:
        return average_pools.lp_pool2d(input, *self._arguments())  # type: ignore[no-any-return]


class LPPool3d(_LPPoolNd):
    """(Σ over each window of x^p)^(1/p), p being `norm_type`.

    (N, C, D, H, W) gives (N, C, D', H', W').
    """

    def forward(self, input: Tensor) -> Tensor:
        return average_pools.lp_pool3d(input, *self._arguments())  # type: ignore[no-any-return]
