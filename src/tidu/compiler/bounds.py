"""Which places an access can reach, where the guards around it hold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tidu.base.shapes import Shape
from tidu.compiler.expressions import Guard, Index, Layout

# Coordinates that guards of several dimensions are tried out on, at most.
_MOST_TRIED = 1 << 22


def outside(
    space: Shape, layout: Layout, indices: Iterable[Index], guards: tuple[Guard, ...], size: int
) -> str:
    """How an access leaves a buffer of `size` elements, or nothing."""
    ends = _ends(space, layout, guards)
    if ends is None:
        return ""
    low, high = ends
    high += sum(index.stride * (index.size - 1) for index in indices)
    return "" if low >= 0 and high < size else f"at places {low} to {high}"


def _ends(space: Shape, layout: Layout, guards: tuple[Guard, ...]) -> tuple[int, int] | None:
    """The least and the greatest value of a layout where the guards hold; None where they never
    do, or where that is too much to try out.
    """
    bounds = [(0, n - 1) for n in space]
    tied = []
    for guard in guards:
        dims = [d for d, s in enumerate(guard.layout.strides) if s and space[d] > 1]
        if len(dims) == 1:
            bounds[dims[0]] = _narrowed(bounds[dims[0]], guard, dims[0])
        elif dims or not guard.low <= guard.layout.offset < guard.high:
            tied.append((guard, dims))
    if any(first > last for first, last in bounds):
        return None
    together = sorted({d for _, dims in tied for d in dims})
    if math.prod(bounds[d][1] - bounds[d][0] + 1 for d in together) > _MOST_TRIED:
        return None
    free = [(s * a, s * b) for d, (s, (a, b)) in _enumerated(layout, bounds) if d not in together]
    low = high = layout.offset
    if tied:
        values = _tried(layout, [guard for guard, _ in tied], bounds, together)
        if not values.size:
            return None
        low, high = low + int(values.min()), high + int(values.max())
    return low + sum(map(min, free)), high + sum(map(max, free))


def _enumerated(
    layout: Layout, bounds: list[tuple[int, int]]
) -> Iterator[tuple[int, tuple[int, tuple[int, int]]]]:
    return enumerate(zip(layout.strides, bounds, strict=True))


def _narrowed(bounds: tuple[int, int], guard: Guard, d: int) -> tuple[int, int]:
    """The coordinates along `d` for which a guard of this dimension alone holds."""
    stride, offset = guard.layout.strides[d], guard.layout.offset
    ends = sorted((guard.low - offset, guard.high - 1 - offset), reverse=stride < 0)
    return max(bounds[0], -(-ends[0] // stride)), min(bounds[1], ends[1] // stride)


def _tried(
    layout: Layout, guards: list[Guard], bounds: list[tuple[int, int]], dims: list[int]
) -> Any:
    """The part of the layout that belongs to `dims`, wherever all guards hold."""
    grid = np.meshgrid(*(np.arange(bounds[d][0], bounds[d][1] + 1) for d in dims), indexing="ij")

    def at(x: Layout) -> Any:
        return sum((x.strides[d] * c for d, c in zip(dims, grid, strict=True)), np.zeros((), int))

    holds = np.ones(grid[0].shape if dims else (), bool)
    for guard in guards:
        value = at(guard.layout) + guard.layout.offset
        holds &= (guard.low <= value) & (value < guard.high)
    return np.broadcast_to(at(layout), holds.shape)[holds]
