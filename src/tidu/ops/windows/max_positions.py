"""Where the greatest element of each window is.

The NumPy version goes through the positions of the kernel, each a slice of the whole tensor, so
that every pass is over long rows.
"""

from __future__ import annotations

import math
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.strides import strides_of_images
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops.cast import cast
from tidu.ops.elementwise import clamp, eq, floor_divide, gt, isnan, logical_or, ne, where
from tidu.ops.moving.movement import expand, reshape, slice_write
from tidu.ops.reductions.reduce import amax, amin
from tidu.ops.rules import remembered
from tidu.ops.sources import arange_, full
from tidu.ops.windows.sliding import (
    Pads,
    Taps,
    clipped_taps,
    count_windows,
    in_layout_of,
    inner_ranges,
    padded_sizes,
    tap_of,
    windows,
)


def leading(x: Any, kernel: Shape) -> Shape:
    """The dimensions before those that windows slide over."""
    return tuple(x.shape[: len(x.shape) - len(kernel)])


def slid_sizes(x: Any, kernel: Shape) -> Shape:
    """The dimensions that windows slide over: the last ones."""
    return tuple(x.shape[len(x.shape) - len(kernel) :])


def infer_slid(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """One result for each place that windows slid over: their `sizes` are the first attribute."""
    g, sizes = inputs[0], attrs[0]
    return inputs, (*leading(g, sizes), *sizes), g.dtype


def window_counts(sizes: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Shape:
    """How many windows fit into padded sizes."""
    return count_windows(padded_sizes(sizes, pads), kernel, stride, dilation)


def lowest_of(d: Any) -> float | int:
    """What no element of a NumPy dtype is below."""
    return int(np.iinfo(d).min) if np.issubdtype(d, np.integer) else -math.inf


def _position_dtype(kernel: Shape) -> dtype:
    return dtypes.uint8 if prod(kernel) <= 256 else dtypes.int32


def tap_number(tap: Shape, kernel: Shape) -> int:
    """The number of a place within a window, counted row by row."""
    number = 0
    for t, k in zip(tap, kernel, strict=True):
        number = number * k + t
    return number


def _along(vector: Any, axis: int, rank: int) -> Any:
    """A vector as a tensor of `rank` dimensions that varies along `axis` only."""
    return reshape(vector, tuple(-1 if i == axis else 1 for i in range(rank)))


def _coordinates(
    outs: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape
) -> list[Any]:
    """For each dimension, where every tap of every window lies: (1, ..., outs, ..., taps, ...)."""
    n = len(kernel)
    found = []
    for i in range(n):
        starts = arange_(-pads[i][0], stride[i], outs[i], dtypes.int64)
        taps = arange_(0, dilation[i], kernel[i], dtypes.int64)
        found.append(_along(starts, i, 2 * n) + _along(taps, n + i, 2 * n))
    return found


def pad_lowest(x: Any, pads: Pads) -> Any:
    """`x` padded with what no element is below."""
    if not any(p for pair in pads for p in pair):
        return x
    shape, ranges = inner_ranges(tuple(x.shape), pads)
    return slice_write(full(lowest_of(x.dtype.numpy), shape, x.dtype), x, ranges)


# Windows of at most so many taps are gone through tap by tap, larger ones are reduced.
FEW_TAPS = 32


def each_tap(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> list[Any]:
    """For each tap, in order, what it sees in every window: views of the padded input."""
    found = windows(pad_lowest(x, pads), kernel, stride, dilation)
    return [tap_of(found, tap) for tap in np.ndindex(*kernel)]


def _first_tap_inside(
    outs: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape
) -> Any:
    """The number of the first tap of each window that does not lie in the pads."""
    number: Any = 0
    for i, k in enumerate(kernel):
        # ⌈(pad - place of the window) / dilation⌉, at least 0
        missing = arange_(pads[i][0] + dilation[i] - 1, -stride[i], outs[i], dtypes.int64)
        first = clamp(floor_divide(missing, dilation[i]), 0, None)
        number = number * k + _along(first, i, len(kernel))
    return number


def _position_by_taps(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    best, *others = each_tap(x, kernel, stride, pads, dilation)
    kind = _position_dtype(kernel)
    outs = window_counts(slid_sizes(x, kernel), kernel, stride, pads, dilation)
    if any(low for low, _ in pads):
        place = cast(_first_tap_inside(outs, kernel, stride, pads, dilation), kind)
        place = expand(place, best.shape)
    else:
        place = full(0, best.shape, kind)
    for number, seen in enumerate(others, 1):
        better = logical_or(gt(seen, best), ne(seen, seen))  # the last of several NaNs
        best, place = where(better, seen, best), where(better, number, place)
    return place


def _position(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    if prod(kernel) <= FEW_TAPS and 0 not in x.shape:
        return _position_by_taps(x, kernel, stride, pads, dilation)
    n, sizes = len(kernel), slid_sizes(x, kernel)
    found = windows(pad_lowest(x, pads), kernel, stride, dilation)
    last = tuple(range(len(found.shape) - n, len(found.shape)))
    best = amax(found, last, True)
    number: Any = arange_(0, 1, prod(kernel), dtypes.int64)
    number = reshape(number, kernel)
    inside: Any = None
    outs = window_counts(sizes, kernel, stride, pads, dilation)
    for place, size in zip(_coordinates(outs, kernel, stride, pads, dilation), sizes, strict=True):
        valid = (place >= 0) & (place < size)
        inside = valid if inside is None else inside & valid
    first = amin(where(eq(found, best) & inside, number, prod(kernel)), last, False)
    if x.dtype.category == dtypes.FLOAT:
        latest = amax(where(isnan(found), number, -1), last, False)  # the last of several NaNs
        first = where(latest >= 0, latest, first)
    return cast(first, _position_dtype(kernel))


def _position_numpy(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    sizes = slid_sizes(x, kernel)
    outs = window_counts(sizes, kernel, stride, pads, dilation)
    taps = clipped_taps(sizes, outs, kernel, stride, pads, dilation)
    # Where nothing is greater than the lowest number of all, it is the first tap inside.
    first = _first_inside(outs, kernel, stride, pads, dilation)
    position, best = _search(x, kernel, taps, first, nan=False)
    if x.dtype.kind == "f" and np.isnan(np.max(best, initial=0.0)):
        position, best = _search(x, kernel, taps, first, nan=True)
    return position


def _search(x: Any, kernel: Shape, taps: Taps, first: Any, *, nan: bool) -> tuple[Any, Any]:
    """Number of the tap with the greatest element of each window, and that element.

    With `nan` the last NaN of a window counts as the greatest, as in PyTorch.
    """
    kind = _position_dtype(kernel).numpy
    shape = (*leading(x, kernel), *first.shape)
    position, best = in_layout_of(x, shape, kind), in_layout_of(x, shape, x.dtype)
    position[...] = first.astype(kind)
    best.fill(lowest_of(x.dtype))
    for tap, read, write in taps:
        part, so_far, at = x[(..., *write)], best[(..., *read)], position[(..., *read)]
        hit = np.greater(part, so_far)
        if nan:
            hit |= np.isnan(part)
        np.maximum(so_far, part, out=so_far)
        chosen = np.multiply(hit, tap_number(tap, kernel), dtype=kind)
        np.maximum(at, chosen, out=at)  # later taps have greater numbers
    return position, best


def _first_inside(outs: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    number: Any = np.zeros((), np.int64)
    for count, k, s, (low, _), d in zip(outs, kernel, stride, pads, dilation, strict=True):
        starts = np.arange(count) * s - low
        number = number[..., None] * k + np.maximum(-(starts // d), 0)
    return number


@remembered
def infer_windows(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """One result for each window, in the dtype of the input."""
    (x,), (kernel, stride, pads, dilation) = inputs, attrs
    shape = (
        *leading(x, kernel),
        *window_counts(slid_sizes(x, kernel), kernel, stride, pads, dilation),
    )
    return inputs, shape, x.dtype


def _position_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, infer_windows(op, inputs, attrs)[1], _position_dtype(attrs[0])


def flat_index(
    position: Any, sizes: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape
) -> Any:
    """The places in the flattened plane that positions in windows stand for."""
    n = len(kernel)
    rest, result = cast(position, dtypes.int64), None
    outs = tuple(position.shape[len(position.shape) - n :])
    for i in range(n):
        below = prod(kernel[i + 1 :])
        tap = rest // below
        rest = rest - tap * below
        start = arange_(-pads[i][0], stride[i], outs[i], dtypes.int64)
        place = _along(start, i, n) + tap * dilation[i]
        result = place if result is None else result * sizes[i] + place
    return result


POOL_SAMPLES = lambda: [  # noqa: E731
    Sample((Array((2, 3, 7)), (3,), (2,), ((1, 1),), (1,))),
    Sample((Array((2, 4, 4)), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))),
    Sample((Array((1, 2, 5, 6)), (3, 2), (1, 2), ((1, 2), (0, 1)), (2, 1))),
    Sample((Array((0, 2, 3, 3)), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))),
    Sample((Array((1, 3, 3, 4)), (2, 1, 2), (1, 1, 2), ((0, 0), (0, 0), (0, 0)), (1, 1, 1))),
]


def torch_taps(torch: Any, x: Any, kernel: Any, stride: Any, pads: Pads, dilation: Any) -> Any:
    """Windows of x padded with the lowest number, the taps flattened into the last dimension."""
    low = float("-inf") if x.dtype.is_floating_point else torch.iinfo(x.dtype).min
    x = torch.nn.functional.pad(x, [p for pair in reversed(pads) for p in pair], value=low)
    lead = x.dim() - len(kernel)
    for i, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True)):
        x = x.unfold(lead + i, d * (k - 1) + 1, s)[..., ::d]
    return x.flatten(-len(kernel))


max_pool_position: Op = define(
    "max_pool_position",
    attrs="kernel stride pads dilation",
    kind="composite",
    strides=strides_of_images,
    infer=_position_infer,
    numpy=_position_numpy,
    decompose=_position,
    samples=POOL_SAMPLES,
    dtypes="number",
    reference=lambda torch, x, *attrs: (
        torch_taps(torch, x.double(), *attrs).max(-1).indices.to(torch.uint8)
    ),
)
