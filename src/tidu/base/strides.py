"""Strides: how many elements to step in memory for the next one along each dimension."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from tidu.base.shapes import Shape

Strides = tuple[int, ...]
# Shape and strides of each input of an operation; those of a number are ().
Operands = tuple[tuple[Shape, Strides], ...]


def contiguous_strides(shape: Shape) -> Strides:
    """Row-major strides."""
    return strides_in_order(shape, range(len(shape)))


def strides_in_order(shape: Shape, order: Sequence[int]) -> Strides:
    """Strides of memory without gaps, the last dimension of `order` running fastest."""
    strides = [0] * len(shape)
    step = 1
    for d in reversed(order):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def is_contiguous(shape: Shape, strides: Sequence[int]) -> bool:
    """Whether elements lie in row-major order without gaps (sizes of 1 do not matter)."""
    return lie_in_order(shape, strides, range(len(shape)))


# By rank: the order in memory of images and of volumes whose channels lie side by side.
CHANNELS_LAST = {4: (0, 2, 3, 1), 5: (0, 2, 3, 4, 1)}


def channels_are_last(shape: Shape, strides: Strides) -> bool:
    """Whether strides suggest that the channels of each pixel lie side by side, perhaps with gaps:
    each dimension of that order steps at least as far as those after it reach.
    """
    order = CHANNELS_LAST.get(len(shape))
    if order is None or strides[1] == 0:
        return False
    least = 0
    for d in reversed(order):
        if shape[d] == 0 or strides[d] < least:
            return False
        # All of one pixel alone says nothing: it is as well row-major.
        if d == 0 and least == strides[1]:
            return False
        least = strides[d] * (shape[d] if shape[d] > 1 else 1)
    return True


def strides_of_images(
    shape: Shape, operands: Operands, attrs: tuple[Any, ...] = ()
) -> Strides | None:
    """The strides of what PyTorch computes from images: their channels come last where those of the
    first operand do, or those of the second, the weight of a convolution. None for row-major.
    """
    if any(channels_are_last(*operand) for operand in operands[:2]):
        return strides_in_order(shape, CHANNELS_LAST[len(shape)])
    return None


def lie_in_order(shape: Shape, strides: Sequence[int], order: Sequence[int]) -> bool:
    step = 1
    for d in reversed(order):
        n = shape[d]
        if n == 0:
            return True
        if n != 1:
            if strides[d] != step:
                return False
            step *= n
    return True


def is_dense(shape: Shape, strides: Strides) -> bool:
    """Whether the elements fill some memory, each having a place of its own, in whatever order."""
    return lie_in_order(
        shape, strides, sorted(range(len(shape)), key=lambda d: (shape[d] > 1, -strides[d]))
    )


@functools.lru_cache(4096)
def result_strides(shape: Shape, operands: Operands, attrs: tuple[Any, ...] = ()) -> Strides | None:
    """The strides of what PyTorch computes element by element from operands of these shapes and
    strides, which broadcast to `shape`; None where it lies in row-major order.

    It lies in memory as they do: the dimension along which the first of them takes the smallest
    steps runs fastest. Where one repeats along a dimension, or cannot tell, the next one decides.
    """
    if len(shape) < 2:
        return None
    if all(own == shape for own, _ in operands):
        if all(is_contiguous(shape, strides) for _, strides in operands):
            return None
        images = CHANNELS_LAST[4]
        if len(shape) == 4 and all(lie_in_order(shape, steps, images) for _, steps in operands):
            return strides_in_order(shape, images)
        first = operands[0][1]
        if all(strides == first for _, strides in operands) and is_dense(shape, first):
            return first
    steps = [_broadcast_strides(shape, *operand) for operand in operands]
    order = _fastest_first(shape, steps)[::-1]
    return None if order == list(range(len(shape))) else strides_in_order(shape, order)


@functools.lru_cache(4096)
def memory_order(shape: Shape, strides: Strides) -> Shape | None:
    """The dimensions in the order in which one goes through such memory, the last one fastest;
    None where that is their own.
    """
    order = tuple(reversed(_fastest_first(shape, (strides,))))
    return None if order == tuple(range(len(shape))) else order


@functools.lru_cache(4096)
def strides_like(shape: Shape, strides: Strides) -> Strides | None:
    """The strides of a copy that lies in memory as what has these strides does; None where that is
    row-major order.
    """
    if not is_dense(shape, strides):
        return result_strides(shape, ((shape, strides),))
    return None if strides == contiguous_strides(shape) else strides


def by_rows(shape: Shape, operands: Operands, attrs: tuple[Any, ...] = ()) -> None:
    """In row-major order, whatever the operands do."""


def strides_of_copy(
    shape: Shape, operands: Operands, attrs: tuple[Any, ...] = ()
) -> Strides | None:
    """Those of a copy of the first operand."""
    return strides_like(shape, operands[0][1])


def _broadcast_strides(shape: Shape, own: Shape, strides: Strides) -> Strides:
    """Strides in the space that an operand broadcasts to: 0 where it repeats."""
    extra = len(shape) - len(own)
    places = zip(own, shape[extra:], strides, strict=True)
    return (0,) * extra + tuple(0 if n == 1 != m else s for n, m, s in places)


def _fastest_first(shape: Shape, steps: Sequence[Strides]) -> list[int]:
    """The dimensions from the one that shall run fastest on: an insertion sort, in which those that
    cannot be compared stay in the order in which they are.
    """
    order = list(range(len(shape)))[::-1]
    for i in range(1, len(order)):
        place = i
        for j in range(i - 1, -1, -1):
            verdict = _compare(shape, steps, order[j], order[place])
            if verdict < 0:
                break
            if verdict > 0:
                order[j], order[place] = order[place], order[j]
                place = j
    return order


def _compare(shape: Shape, steps: Sequence[Strides], a: int, b: int) -> int:
    """Above 0 if dimension `b` has to run faster than `a`, below 0 if `a` has, 0 if none says."""
    for strides in steps:
        x, y = strides[a], strides[b]
        if x == 0 or y == 0:
            continue
        if x != y:
            return 1 if x > y else -1
        if shape[a] > shape[b]:
            return 1
    return 0


def view_strides(shape: Shape, strides: Sequence[int], new_shape: Shape) -> Strides | None:
    """Strides under which memory of `strides` reads as `new_shape` without a copy, or None.

    From the last dimension on: a run of old dimensions that are contiguous among themselves is cut
    into new ones. A new dimension of size 1 between two runs belongs to the one on its right.
    """
    if 0 in shape:
        return contiguous_strides(new_shape)
    if not shape:
        return (1,) * len(new_shape)
    result = [0] * len(new_shape)
    place = len(new_shape) - 1
    step = strides[-1]  # of the last dimension of the run
    run = covered = 1  # elements in the run, and in the new dimensions cut from it
    for i in range(len(shape) - 1, -1, -1):
        run *= shape[i]
        if i > 0 and (shape[i - 1] == 1 or strides[i - 1] == run * step):
            continue  # the run goes on
        while place >= 0 and (covered < run or new_shape[place] == 1):
            result[place] = covered * step
            covered *= new_shape[place]
            place -= 1
        if covered != run:
            return None
        if i > 0:
            step = strides[i - 1]
            run = covered = 1
    return tuple(result) if place == -1 else None
