"""Layouts: where the element of each coordinate lies, and what movements of tensors do to that.

Transposing, slicing, broadcasting and reshaping are changes of strides. Each function here that
gives one returns a function from a layout over one index space to that over another.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from tidu.base.shapes import Shape
from tidu.base.strides import contiguous_strides, view_strides

Strides = tuple[int, ...]
Change = Callable[["Layout"], "Layout"]


class Layout(NamedTuple):
    """An affine function of the coordinates: offset + Σ strides · coordinates."""

    strides: Strides
    offset: int


class UnviewableError(Exception):
    """A reshape that cannot be said with strides: the expression has to be stored first."""


def contiguous(shape: Shape) -> Layout:
    """Row-major order, without gaps."""
    return Layout(contiguous_strides(shape), 0)


def broadcast_to(shape: Shape, target: Shape) -> Change:
    """From the space `shape` to `target`, of which every size is that of `shape` or repeats it."""
    extra = len(target) - len(shape)
    repeated = [n != m for n, m in zip(shape, target[extra:], strict=True)]

    def change(layout: Layout) -> Layout:
        kept = (0 if r else s for r, s in zip(repeated, layout.strides, strict=True))
        return Layout((0,) * extra + tuple(kept), layout.offset)

    return change


def reshaped(shape: Shape, new: Shape) -> Change:
    """The same elements in row-major order in another shape; may raise UnviewableError."""

    def change(layout: Layout) -> Layout:
        strides = view_strides(shape, layout.strides, new)
        if strides is None:
            raise UnviewableError
        return Layout(
            tuple(0 if n == 1 else s for n, s in zip(new, strides, strict=True)), layout.offset
        )

    return change


def moved(
    rule: Callable[..., tuple[Strides, int] | None], shape: Shape, attrs: tuple[Any, ...]
) -> Change:
    """What an op's own rule for strides does."""

    def change(layout: Layout) -> Layout:
        found = rule(shape, layout.strides, layout.offset, *attrs)
        if found is None:
            raise UnviewableError
        return Layout(tuple(found[0]), found[1])

    return change


def sliced(ranges: Any) -> Change:
    """A part of the space: (start, stop, step) for each dimension."""

    def change(layout: Layout) -> Layout:
        offset = sum(r[0] * s for r, s in zip(ranges, layout.strides, strict=True))
        strides = tuple(r[2] * s for r, s in zip(ranges, layout.strides, strict=True))
        return Layout(strides, layout.offset + offset)

    return change


def shifted(starts: Shape) -> Change:
    """Into a larger space, in which the part begins at these coordinates."""

    def change(layout: Layout) -> Layout:
        before = sum(a * s for a, s in zip(starts, layout.strides, strict=True))
        return Layout(layout.strides, layout.offset - before)

    return change


def without_ones(shape: Shape) -> tuple[Shape, Change]:
    """The space without its dimensions of size 1."""
    kept = [i for i, n in enumerate(shape) if n != 1]

    def change(layout: Layout) -> Layout:
        return Layout(tuple(layout.strides[i] for i in kept), layout.offset)

    return tuple(shape[i] for i in kept), change


def split(parts: tuple[Shape, ...]) -> Change:
    """Each dimension cut into the given sizes, whose product it is."""

    def change(layout: Layout) -> Layout:
        strides: list[int] = []
        for stride, sizes in zip(layout.strides, parts, strict=True):
            strides.extend(stride * prod(sizes[i + 1 :]) for i in range(len(sizes)))
        return Layout(tuple(strides), layout.offset)

    return change


def lifted(places: tuple[int, ...], rank: int) -> Change:
    """Into a space with more dimensions, along which nothing changes."""

    def change(layout: Layout) -> Layout:
        strides = [0] * rank
        for place, stride in zip(places, layout.strides, strict=True):
            strides[place] = stride
        return Layout(tuple(strides), layout.offset)

    return change


def common_refinement(a: Shape, b: Shape) -> tuple[Shape, ...] | None:
    """For each dimension of `a` the sizes into which it has to be cut so that dimensions of `b`
    are runs of them too; None where the two do not fit.
    """
    cuts: list[list[int]] = [[] for _ in a]
    i, j = len(a) - 1, len(b) - 1
    left, right = 1, 1
    while i >= 0 or j >= 0:
        if left == 1:
            if i < 0:
                return None
            left = a[i]
        if right == 1:
            if j < 0:
                return None
            right = b[j]
        step = min(left, right)
        if left % step or right % step:
            return None
        cuts[i].insert(0, step)
        left //= step
        right //= step
        if left == 1:
            i -= 1
        if right == 1:
            j -= 1
    return tuple(tuple(c) for c in cuts) if left == right == 1 else None
