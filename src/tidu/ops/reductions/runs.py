"""Sums over dimension 0 in the order in which PyTorch adds on x86, of Values and of NumPy arrays.

In runs: every 16 elements are added one by one, every 16 of these sums, and so on for a few levels,
the last of which has no end. (Of very many elements, runs are of the power of two that makes the
levels about equal.) What is left over at each level is added at the end: single elements first,
then sums of runs, then those of runs of runs. The error grows with the length of a run and the
number of levels, not with the number of elements.

In turns: four such sums are made, each of every fourth element; what is left over is added to the
first of them, and then they are added one by one.

Columns are summed up in runs where there are 32 of them side by side, and in turns where they are
left over. In a row, vectors of 8 elements are summed up in turns, and then one by one what is left
over of the row and the 8 elements of that sum.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tidu.base.dtypes import float32
from tidu.base.shapes import Shape
from tidu.ir.op import Array, Sample, define
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import permute, reshape, slice_along
from tidu.ops.reductions.reduce import in_order_numpy, spread, sum_, sum_in_order

_SHORTEST = 4  # the power of two of a run
_LEVELS, _LEVELS_OF_LOSSES = 4, 8
_TURNS, _LANES = 4, 8
# Columns side by side; where there are less than 8 in all, they are taken four at a time.
_COLUMNS, _NARROW, _FEW_COLUMNS = 32, 8, 4
_FEW = 1 << 11  # elements of a matrix


class _Means(NamedTuple):
    """How to do with Values, or with arrays, what sums are made with."""

    part: Callable[[Any, int, int, int], Any]  # of a dimension, from start to stop
    reshape: Callable[[Any, Shape], Any]
    join: Callable[[tuple[Any, ...]], Any]  # along dimension 0
    add: Callable[[Any, int], Any]  # over a dimension, in the order of indices


def _add_arrays(x: Any, dim: int) -> Any:
    """NumPy adds row by row by itself where it finds the rows one after the other."""
    by_rows = all(a >= b for a, b in pairwise(x.strides)) and x.strides[-1] == x.itemsize
    if by_rows and dim < x.ndim - 1 and x.shape[-1] > 1:
        return np.add.reduce(x, dim)
    return in_order_numpy(x, (dim,), False)


_VALUES = _Means(
    slice_along,
    reshape,
    lambda parts: cat_(parts, 0),
    lambda x, dim: sum_in_order(x, (dim,), False),
)
_ARRAYS = _Means(
    lambda x, dim, start, stop: x[(*(slice(None),) * dim, slice(start, stop))],
    np.reshape,
    np.concatenate,
    _add_arrays,
)


def _in_runs(x: Any, levels: int, power: int, means: _Means) -> Any:
    total = None
    for level in range(levels, 0, -1):
        count, rest = x.shape[0], x.shape[1:]
        runs = count >> power if level > 1 else 0
        begun = runs << power
        if begun < count:
            left = means.add(means.part(x, 0, begun, count), 0)
            total = left if total is None else total + left
        if not runs:
            break
        x = means.add(means.reshape(means.part(x, 0, 0, begun), (runs, 1 << power, *rest)), 1)
    return total


def _power(count: int, levels: int) -> int:
    """The power of two of a run, where there are so many elements."""
    return max(_SHORTEST, (count - 1).bit_length() // levels)


def _in_turns(x: Any, means: _Means) -> Any:
    count, rest = x.shape[0], x.shape[1:]
    each = count // _TURNS
    if not each:
        return means.add(x, 0)
    begun = each * _TURNS
    turns = means.reshape(means.part(x, 0, 0, begun), (each, _TURNS, *rest))
    sums = _in_runs(turns, _LEVELS, _power(each, _LEVELS), means)
    if begun < count:
        first, others = means.part(sums, 0, 0, 1), means.part(sums, 0, 1, _TURNS)
        sums = means.join((first, means.part(x, 0, begun, count), others))
    return means.add(sums, 0)


def _sum_columns(x: Any, means: _Means) -> Any:
    count, columns = x.shape
    block = _COLUMNS if columns >= _NARROW else _FEW_COLUMNS
    begun = columns - columns % block
    parts = []
    if begun:
        part = means.part(x, 1, 0, begun)
        parts.append(_in_runs(part, _LEVELS, _power(count, _LEVELS), means))
    if begun < columns:
        parts.append(_in_turns(means.part(x, 1, begun, columns), means))
    return parts[0] if len(parts) == 1 else means.join(tuple(parts))


def _is_small(x: Any) -> bool:
    return len(x.shape) == 2 and 0 < prod(x.shape) < _FEW


# Sums over the rows of a matrix. A large one is cut into blocks, which workers share.
column_sums = define(
    "column_sums",
    infer=lambda op, inputs, attrs: (inputs, inputs[0].shape[1:], inputs[0].dtype),
    kind="composite",
    numpy=lambda x: _sum_columns(x, _ARRAYS) if _is_small(x) else np.add.reduce(x, 0),
    decompose=lambda x: (
        _sum_columns(x, _VALUES) if _is_small(x) and x.dtype is float32 else sum_(x, (0,), False)
    ),
    vjp=(lambda g, out, x: spread(g, tuple(x.shape), (0,), False),),
    samples=lambda: [
        Sample((Array((32, 10)),)),
        Sample((Array((19, 37)),)),
        Sample((Array((70, 3)),)),
        Sample((Array((0, 3)),)),
        Sample((Array((90, 50)),)),
    ],
    dtypes="float",
    reference=lambda torch, x: x.sum(0),
)


def sum_planes(x: Any, rank: int) -> Any:
    """The sum over the last `rank` dimensions, one after the other in memory."""
    kept, size = tuple(x.shape[:-rank]), prod(x.shape[-rank:])
    rows = permute(reshape(x, (prod(kept), size)), (1, 0))
    vectors = size // _LANES
    if not vectors:
        return reshape(_in_turns(rows, _VALUES), kept)
    begun = vectors * _LANES
    whole = slice_along(rows, 0, 0, begun)
    lanes = _in_turns(reshape(whole, (vectors, _LANES, prod(kept))), _VALUES)
    if begun < size:
        lanes = cat_((slice_along(rows, 0, begun, size), lanes), 0)
    return reshape(sum_in_order(lanes, (0,), False), kept)


def sum_of_losses(losses: Any) -> Any:
    """The sum of a vector as it is in the negative log likelihood: in runs from the second element
    on, and then the first.
    """
    return _sum_of_losses(losses, _VALUES)


def sum_of_losses_numpy(losses: Any) -> Any:
    """As `sum_of_losses`, of a NumPy array."""
    return _sum_of_losses(losses, _ARRAYS)


def _sum_of_losses(losses: Any, means: _Means) -> Any:
    count = losses.shape[0]
    first = means.reshape(means.part(losses, 0, 0, 1), ())
    if count == 1:
        return first
    rest, power = means.part(losses, 0, 1, count), _power(count, _LEVELS_OF_LOSSES)
    return _in_runs(rest, _LEVELS_OF_LOSSES, power, means) + first
