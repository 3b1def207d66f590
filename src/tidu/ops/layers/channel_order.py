"""Batch norm in the order in which PyTorch adds, so that training gives PyTorch's bits.

The input is seen as x[n, c, i]: samples, channels, and the elements of one channel of a sample (its
*plane*). Rounding to float32 is written r(); N is the number of elements of a channel.

    mean = r(Σ x / N), squares = r(Σ r((x - mean)²)), both summed in float64 in whatever order
    1/deviation = r(1 / √(r(squares / N) + eps)), in float64
    y = fma(x, a, fma(-mean, a, bias)) with a = r(weight / deviation)

and with g for the gradient of y and d = x - mean:

    S[n, c] = Σ g and P[n, c] = Σ r(d · g) over a plane, in float32: lane j of 8 adds elements j,
    j + 8, ... one after the other, then halves of the lanes are added, 4, 2, 1. What is left over
    of a plane, less than 8 elements, is added to the first lanes, in P without rounding products.
    total = Σ S and dot = Σ P over n, in float64
    gradient of the bias r(total), of the weight r(dot / deviation)
    k = r(dot) / deviation / deviation / N step by step in float32
    gradient of x: (fma(-d, k, g - r(total / N)) / deviation) · weight, rounded at each step

Planes of one element, as those of a matrix, are *rows* of channels. Their sums are cut in two
shares, as PyTorch does with two threads: a chain of float32 each, for squares and P of
multiplications and additions rounded once. Two rows have statistics of one chain, or those of
planes where there are many channels. The gradient of x has no fma in the last channels that do not
fill a group of 8. Other dtypes are computed as float32 is.

These are functions of Values or Tensors, so that derivatives can be taken of them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.ops.cast import as_dtype
from tidu.ops.elementwise import rsqrt
from tidu.ops.elementwise.fused import multiply_add
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import place, ranges_along, reshape, slice_along, whole_ranges
from tidu.ops.reductions.in_order import dot_in_order
from tidu.ops.reductions.reduce import sum_, sum_in_order
from tidu.ops.reductions.rows import sum_in_lanes

# Rows of at most so many channels are added up in float32, however few there are.
_FEW_CHANNELS = 16
_THREADS = 2
_LANES = 8
_CHANNELS = (0, 2)  # what is added up for a channel


def count_of(view: Shape) -> int:
    """The elements of a channel."""
    return view[0] * view[2]


def _wide(x: Any) -> Any:
    return as_dtype(x, dtypes.float64)


def _are_rows(shape: Shape) -> bool:
    """Whether the statistics are those of rows."""
    rows, channels, size = shape
    return size == 1 and (rows > _THREADS or channels <= _FEW_CHANNELS)


def _shared(x: Any, shares: int) -> Any:
    """(rows, c, 1) -> (shares, rows of each, c): the last share may end in zeros."""
    rows, channels, _ = x.shape
    share = -(-rows // shares)
    if rows < shares * share:
        x = place(x, (shares * share, channels, 1), whole_ranges(x.shape))
    return reshape(x, (shares, share, channels))


def _together(shares: Any) -> Any:
    """(shares, c) -> (1, c, 1): their sum in float64."""
    return reshape(sum_(_wide(shares), (0,), True), (1, shares.shape[1], 1))


def _row_sums(x: Any, shares: int) -> Any:
    return _together(sum_in_order(_shared(x, shares), (1,), False))


def _row_dots(x: Any, y: Any, shares: int) -> Any:
    return _together(dot_in_order(_shared(x, shares), _shared(y, shares), (1,), False))


def _shares_for_statistics(rows: int) -> int:
    return _THREADS if rows > _THREADS else 1


def mean_of(x: Any) -> Any:
    """The mean of each channel, of shape (1, channels, 1)."""
    if _are_rows(x.shape):
        total = _row_sums(x, _shares_for_statistics(x.shape[0]))
    else:
        total = sum_(_wide(x), _CHANNELS, True)
    return as_dtype(total / float(count_of(x.shape)), x.dtype)


def squares_of(x: Any, mean: Any) -> Any:
    """The sum of the squares of each channel around its mean."""
    centered = x - mean
    if _are_rows(x.shape):
        squares = _row_dots(centered, centered, _shares_for_statistics(x.shape[0]))
    else:
        squares = sum_(_wide(centered * centered), _CHANNELS, True)
    return as_dtype(squares, x.dtype)


def inverse_deviation(squares: Any, count: int, eps: float) -> Any:
    """1 / √(squares / count + eps)"""
    return as_dtype(rsqrt(_wide(squares / float(max(count, 1))) + eps), squares.dtype)


@lru_cache(64)
def shares(momentum: float, d: dtypes.dtype) -> tuple[float, float]:
    """What remains of a running statistic, and what a batch has in it, as numbers of a dtype."""
    number = d.numpy.type
    weight = number(momentum)
    return float(number(1) - weight), float(weight)


def moved_mean(running: Any, mean: Any, keep: Any, weight: Any) -> Any:
    """keep · running + weight · mean, each rounded"""
    return reshape(mean, running.shape) * weight + running * keep


def moved_variance(running: Any, squares: Any, keep: Any, weight: Any, count: int) -> Any:
    """keep · running + weight · squares / (count - 1), with a sum in float64"""
    unbiased = reshape(squares, running.shape) / float(max(count - 1, 1))
    return as_dtype(_wide(unbiased) * weight + _wide(running * keep), running.dtype)


def normalized(x: Any, weight: Any, bias: Any, mean: Any, inverse: Any) -> Any:
    """(x - mean) · inverse · weight + bias, as a factor and a term for each channel."""
    factor = inverse if weight is None else inverse * weight
    term = -mean * factor if bias is None else multiply_add(-mean, factor, bias)
    return multiply_add(x, factor, term)


def _plane_sums(g: Any) -> Any:
    """S: (n, c, i) -> (n, c, 1)"""
    size = g.shape[2]
    rest = size % _LANES
    if size < _LANES:
        return sum_in_order(g, (2,), True)
    if not rest:
        return sum_in_lanes(g, _LANES)
    return sum_in_lanes(_lane_sums(g) + _last(g, rest), _LANES)


def _plane_dots(centered: Any, g: Any) -> Any:
    """P: (n, c, i) -> (n, c, 1)"""
    size, product = g.shape[2], centered * g
    rest = size % _LANES
    if size < _LANES or not rest:
        return _plane_sums(product)
    lanes = multiply_add(_last(centered, rest), _last(g, rest), _lane_sums(product))
    return sum_in_lanes(lanes, _LANES)


def _lane_sums(x: Any) -> Any:
    """(n, c, i) -> (n, c, 8): what the lanes come to without the elements left over."""
    n, c, size = x.shape
    steps = size // _LANES
    whole = reshape(slice_along(x, 2, 0, steps * _LANES), (n, c, steps, _LANES))
    return sum_in_order(whole, (2,), False)


def _last(x: Any, rest: int) -> Any:
    """(n, c, i) -> (n, c, 8): the last elements of the planes, then zeros."""
    n, c, size = x.shape
    shape = (n, c, _LANES)
    last = slice_along(x, 2, size - rest, size)
    return place(last, shape, ranges_along(shape, 2, 0, rest))


def gradients(
    g: Any, x: Any, weight: Any, mean: Any, inverse: Any, training: bool
) -> tuple[Any, Any, Any]:
    """The gradients of x, and of weight and bias for each channel; out of training the statistics
    are constants.
    """
    d, (n, channels, size) = x.dtype, x.shape
    count, centered = float(n * size), x - mean
    if size == 1:
        shares = max(1, min(n, _THREADS))
        total = as_dtype(_row_sums(g, shares), d)
        dot = as_dtype(_row_dots(centered, g, shares), d)
        of_weight = dot * inverse
    else:
        total = sum_(_wide(_plane_sums(g)), (0,), True)
        dot = sum_(_wide(_plane_dots(centered, g)), (0,), True)
        of_weight = as_dtype(dot * _wide(inverse), d)
    if training:
        slope = as_dtype(dot, d) * inverse * inverse / count
        rest = channels % _LANES if size == 1 else 0
        g = _lowered(g - as_dtype(total / count, d), centered, slope, rest)
    of_x = g * inverse
    return of_x if weight is None else of_x * weight, of_weight, as_dtype(total, d)


def _lowered(g: Any, centered: Any, slope: Any, rest: int) -> Any:
    """g - centered · slope, rounded once but for the last `rest` channels."""
    once = multiply_add(centered, -slope, g)
    if not rest:
        return once
    channels = g.shape[1]
    fused = slice_along(once, 1, 0, channels - rest)
    return cat_((fused, slice_along(g - centered * slope, 1, channels - rest, channels)), 1)
