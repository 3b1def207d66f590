"""Which places an access can reach."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tidu.base.shapes import Shape
from tidu.compiler.correlation import (
    ChainedWeightParams,
    CorrelateParams,
    CorrelateWeightParams,
    Lines,
)
from tidu.compiler.expressions import Guard, Index
from tidu.compiler.layouts import Layout

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


def correlation_ends(
    p: CorrelateParams | CorrelateWeightParams | ChainedWeightParams,
) -> Iterator[tuple[int, int, int]]:
    """The buffers that a correlation uses, each with the first and the last place in it."""
    if isinstance(p, ChainedWeightParams):
        for slot, lines in ((p.a_slot, p.a), (p.b_slot, p.b)):
            if lines.size:
                yield slot, *_line_ends(p, lines)
        count = len(p.shares) * p.groups * p.a.size * p.b.size
        yield p.w_slot, p.w_offset, p.w_offset + count - 1
        return
    images, groups, rows, channels = p.images, p.groups, p.rows, p.channels
    if channels:
        x = ((p.x_image, images), (p.x_group, groups), (p.x_channel, channels), (1, p.positions))
        yield p.x_slot, *_reach(p.x_offset, x, p.x_taps)
    if isinstance(p, CorrelateWeightParams):
        g = ((p.g_image, images), (p.g_group, groups), (p.g_row, rows), (1, p.positions))
        yield p.g_slot, *_reach(p.g_offset, g)
        count = p.chunks * groups * rows * channels * len(p.x_taps)
        yield p.w_slot, p.w_offset, p.w_offset + count - 1
        return
    if channels:
        a = ((p.a_group, groups), (p.a_row, rows), (p.a_channel, channels))
        yield p.a_slot, *_reach(p.a_offset, a, p.a_taps)
    y = ((p.y_image, images), (p.y_group, groups), (p.y_row, rows), (1, p.positions))
    yield p.y_slot, *_reach(p.y_offset, y)
    if p.bias_slot:
        yield p.bias_slot, p.bias_offset, p.bias_offset + groups * rows - 1


def _line_ends(p: ChainedWeightParams, lines: Lines) -> tuple[int, int]:
    """The first and the last place that a kernel reads of lines."""
    terms = [(lines.image_step, p.images), (lines.group_step, p.groups)]
    terms += [(lines.channel_step, lines.channels), *zip(lines.pitches, lines.extents, strict=True)]
    return _reach(lines.offset, terms, lines.taps)


def _reach(
    offset: int, terms: Iterable[tuple[int, int]], taps: tuple[int, ...] = (0,)
) -> tuple[int, int]:
    """The least and the greatest value of offset + Σ stride · index + tap."""
    ends = [stride * (count - 1) for stride, count in terms]
    low = offset + min(taps) + sum(min(e, 0) for e in ends)
    return low, offset + max(taps) + sum(max(e, 0) for e in ends)
