"""What the declaration of an operation is made of: samples for its tests, and where its elements
come from and go to, for the compiler.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tidu.base.shapes import Shape


class Sample(NamedTuple):
    """One call to test an op with: ``Array`` placeholders among the arguments become tensors."""

    args: tuple[Any, ...]
    # False where the gradient is by definition not the slope (a padding row that gets none, say).
    smooth: bool = True


class Array(NamedTuple):
    """A placeholder for random numbers:
    uniform in [low, high), or integers of `dtype` if one is given.

    `dtype` names a fixed dtype ("int64", "bool"); None stands for the dtype under test.
    """

    shape: Shape
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None


class View(NamedTuple):
    """How an op that shares memory with its input reads strides and writes back through itself."""

    # (shape, strides, offset, *attrs) -> (strides, offset) of the result, or None where strides
    # cannot say it
    layout: Callable[..., tuple[tuple[int, ...], int] | None]
    # (base, part, *attrs) -> base with that part replaced; None where several elements may share a
    # place
    write: Callable[..., Any] | None
    # (attrs, attrs of the same op applied to its result) -> attrs of the one that does both, so
    # that a view of a view of a view is not seen through ever more of them
    compose: Callable[[tuple[Any, ...], tuple[Any, ...]], tuple[Any, ...]] | None = None


class Piece(NamedTuple):
    """A part of a result that an input fills: (start, stop, step) for each dimension of it."""

    input: int
    ranges: tuple[tuple[int, int, int], ...]
    adds: bool = False  # to what is there, instead of replacing it


class Pieces(NamedTuple):
    """How a result is put together; `zero` says whether places remain that no piece fills."""

    zero: bool
    pieces: tuple[Piece, ...]


class Indexed(NamedTuple):
    """An access to an op's first input by indices, for every coordinate of `space`.

    `along` tells for each dimension of that input where its coordinate comes from: a dimension of
    `space`, or (number of an input, the dimensions of `space` that its own ones are).
    Without `value` the elements are read; else the input of that number is written there.
    """

    space: Shape
    along: tuple[int | tuple[int, tuple[int, ...]], ...]
    value: int | None = None
    adds: bool = False
    wraps: bool = False  # negative indices count from the end
    crops: bool = False  # `value` is larger than `space`: its first elements are used

    def meets(self, dim: int) -> bool:
        """Whether two coordinates that differ along `dim` may go to one place."""
        return dim not in self.along


class Lanes(NamedTuple):
    """How a reduction takes in a row: element i goes to the partial result i modulo `number`.

    Then the upper half of these is combined with the lower one, and so on (`halved`), or one after
    the other, which is the order of a row that is no longer than `number`.
    """

    number: int
    halved: bool


class Correlation(NamedTuple):
    """A convolution or one of its derivatives, of (N, C, …) and a weight (O, C / groups, …).

    `wanted` is what it computes: the "result" of (input, weight, bias), the "input" of (cotangent,
    weight, bias), or the "weight" of (input, cotangent).
    """

    wanted: str
    stride: Shape
    pads: tuple[tuple[int, int], ...]
    dilation: Shape
    groups: int
