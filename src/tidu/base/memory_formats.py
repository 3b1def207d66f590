"""Memory formats: the orders of elements in memory that users can ask for by name."""

from __future__ import annotations

from tidu.base.shapes import Shape
from tidu.base.source import at, here
from tidu.base.strides import (
    CHANNELS_LAST,
    Strides,
    is_contiguous,
    lie_in_order,
    strides_in_order,
    strides_like,
)


class memory_format:  # noqa: N801 (the name users know it by: torch.memory_format)
    """How elements lie in memory, as an argument to `contiguous`, `to`, `clone`.

    It changes what `Tensor.stride` says, and with it the order in which random numbers are drawn.
    What is computed, and how fast, does not depend on it.
    """

    __slots__ = ("name", "order")

    def __init__(self, name: str, order: Shape | None = None) -> None:
        self.name = name
        self.order = order  # the dimensions in the order of memory, where the format says that

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def describes(self, shape: Shape, strides: Strides) -> bool:
        """Whether elements lie in this order without gaps."""
        if self is contiguous_format:
            return is_contiguous(shape, strides)
        if self.order is None:
            return True
        return len(shape) == len(self.order) and lie_in_order(shape, strides, self.order)

    def strides(self, shape: Shape, strides: Strides) -> Strides | None:
        """The strides that a copy in this format has of what has `strides`; None for row-major.

        Raises RuntimeError for a tensor of another rank.
        """
        if self is contiguous_format:
            return None
        if self.order is None:
            return strides_like(shape, strides)
        if len(shape) != len(self.order):
            raise RuntimeError(
                f"required rank {len(self.order)} tensor to use {self.name} format, but the shape "
                f"is {list(shape)}{at(here())}"
            )
        return strides_in_order(shape, self.order)


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
# Images and volumes whose channels lie side by side.
channels_last = memory_format("channels_last", CHANNELS_LAST[4])
channels_last_3d = memory_format("channels_last_3d", CHANNELS_LAST[5])
