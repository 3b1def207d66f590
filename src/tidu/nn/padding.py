"""Padding layers: a constant, reflections, the border repeated, or as on a circle."""

from __future__ import annotations

from typing import Any

from tidu.nn.convolution import ntuple
from tidu.nn.module import Module
from tidu.ops.moving.padding import pad
from tidu.tensor import Tensor


class _ConstantPadNd(Module):
    __constants__ = ["padding", "value"]
    dimensions: int

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self.dimensions)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, "constant", self.value)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """`value` before and after the last dimension: `padding` is a number or (left, right).

    >>> nn.ConstantPad1d(1, 0.5)(torch.randn(1, 1, 2)).shape
    torch.Size([1, 1, 4])
    """

    dimensions = 1


class ConstantPad2d(_ConstantPadNd):
    """`value` around the last two dimensions: `padding` is a number or (left, right, top, bottom).

    >>> torch.nn.ConstantPad2d(1, 3.5)(torch.ones(1, 1, 2, 2)).shape
    torch.Size([1, 1, 4, 4])
    """

    dimensions = 2


class ConstantPad3d(_ConstantPadNd):
    """`value` around the last three.

    `padding` is a number or (left, right, top, bottom, front, back).
    """

    dimensions = 3


class _ZeroPad(_ConstantPadNd):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Zeros around the last dimension; `padding` as for `ConstantPad1d`."""


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Zeros around the last two dimensions; `padding` as for `ConstantPad2d`.

    >>> nn.ZeroPad2d(1)(torch.ones(1, 1, 1)).shape
    torch.Size([1, 3, 3])
    """


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Zeros around the last three dimensions; `padding` as for `ConstantPad3d`."""


class _EdgePadNd(Module):
    """Padding with what is there already; a subclass names the mode."""

    __constants__ = ["padding"]
    dimensions: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = ntuple(padding, 2 * self.dimensions)

    def forward(self, input: Tensor) -> Tensor:
        return pad(input, self.padding, self.mode)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ReflectionPadNd(_EdgePadNd):
    mode = "reflect"


class ReflectionPad1d(_ReflectionPadNd):
    """Mirrors the last dimension at its ends, which are not repeated; pads are smaller than it."""

    dimensions = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Mirrors the last two dimensions at the border, which is not repeated.

    >>> nn.ReflectionPad2d(1)(torch.randn(1, 1, 3, 3)).shape
    torch.Size([1, 1, 5, 5])
    """

    dimensions = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Mirrors the last three dimensions at the border, which is not repeated."""

    dimensions = 3


class _ReplicationPadNd(_EdgePadNd):
    mode = "replicate"


class ReplicationPad1d(_ReplicationPadNd):
    """Repeats the border of the last dimension."""

    dimensions = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Repeats the border of the last two dimensions.

    >>> nn.ReplicationPad2d(1)(torch.randn(1, 1, 3, 3)).shape
    torch.Size([1, 1, 5, 5])
    """

    dimensions = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Repeats the border of the last three dimensions."""

    dimensions = 3


class _CircularPadNd(_EdgePadNd):
    mode = "circular"


class CircularPad1d(_CircularPadNd):
    """Continues the last dimension with its opposite end; pads are at most its size."""

    dimensions = 1


class CircularPad2d(_CircularPadNd):
    """Continues the last two dimensions with their opposite ends.

    >>> nn.CircularPad2d(1)(torch.randn(1, 1, 2, 2)).shape
    torch.Size([1, 1, 4, 4])
    """

    dimensions = 2


class CircularPad3d(_CircularPadNd):
    """Continues the last three dimensions with their opposite ends."""

    dimensions = 3
