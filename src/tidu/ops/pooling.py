"""Pooling over windows: the greatest element or the mean of each, in any number of dimensions.

The NumPy versions go through the positions of the kernel, each a slice of the whole tensor, so
that every pass is over long rows. What is chosen is masked with bits instead of products: zero
times infinity is no number, and copying under a mask is slower than arithmetic.
"""

from __future__ import annotations

import math
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops.cast import cast
from tidu.ops.elementwise import (
    eq,
    floor_divide,
    gt,
    isnan,
    logical_or,
    maximum,
    ne,
    where,
)
from tidu.ops.indexing import gather, scatter_add
from tidu.ops.movement import assemble, expand, reshape, slice_write
from tidu.ops.reduce import amax, amin, sum_
from tidu.ops.sources import arange_, full
from tidu.ops.windows import (
    Pads,
    Shape,
    Taps,
    clipped_taps,
    count_windows,
    fold_windows,
    in_layout_of,
    inner_ranges,
    negated,
    padded_sizes,
    span,
    tap_of,
    tap_places,
    windows,
    zero_pad,
    zero_padded,
)


def _lead(x: Any, kernel: Shape) -> Shape:
    return tuple(x.shape[: len(x.shape) - len(kernel)])


def _sizes(x: Any, kernel: Shape) -> Shape:
    """The dimensions that windows slide over: the last ones."""
    return tuple(x.shape[len(x.shape) - len(kernel) :])


def _outs(sizes: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Shape:
    return count_windows(padded_sizes(sizes, pads), kernel, stride, dilation)


def _lowest(d: Any) -> float | int:
    """What no element of a NumPy dtype is below."""
    return int(np.iinfo(d).min) if np.issubdtype(d, np.integer) else -math.inf


# Where the greatest element is --------------------------------------------------------------------


def _position_dtype(kernel: Shape) -> dtype:
    return dtypes.uint8 if prod(kernel) <= 256 else dtypes.int32


def _tap_number(tap: Shape, kernel: Shape) -> int:
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


def _pad_lowest(x: Any, pads: Pads) -> Any:
    if not any(p for pair in pads for p in pair):
        return x
    shape, ranges = inner_ranges(tuple(x.shape), pads)
    return slice_write(full(_lowest(x.dtype.numpy), shape, x.dtype), x, ranges)


# Windows of at most so many taps are gone through tap by tap, larger ones are reduced.
_FEW_TAPS = 32


def _each_tap(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> list[Any]:
    """For each tap, in order, what it sees in every window: views of the padded input."""
    found = windows(_pad_lowest(x, pads), kernel, stride, dilation)
    return [tap_of(found, tap) for tap in np.ndindex(*kernel)]


def _first_tap_inside(
    outs: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape
) -> Any:
    """The number of the first tap of each window that does not lie in the pads."""
    number: Any = 0
    for i, k in enumerate(kernel):
        # ⌈(pad - place of the window) / dilation⌉, at least 0
        missing = arange_(pads[i][0] + dilation[i] - 1, -stride[i], outs[i], dtypes.int64)
        first = maximum(floor_divide(missing, dilation[i]), 0)
        number = number * k + _along(first, i, len(kernel))
    return number


def _position_by_taps(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    best, *others = _each_tap(x, kernel, stride, pads, dilation)
    kind = _position_dtype(kernel)
    outs = _outs(_sizes(x, kernel), kernel, stride, pads, dilation)
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
    if prod(kernel) <= _FEW_TAPS and 0 not in x.shape:
        return _position_by_taps(x, kernel, stride, pads, dilation)
    n, sizes = len(kernel), _sizes(x, kernel)
    found = windows(_pad_lowest(x, pads), kernel, stride, dilation)
    last = tuple(range(len(found.shape) - n, len(found.shape)))
    best = amax(found, last, True)
    number: Any = arange_(0, 1, prod(kernel), dtypes.int64)
    number = reshape(number, kernel)
    inside: Any = None
    outs = _outs(sizes, kernel, stride, pads, dilation)
    for place, size in zip(_coordinates(outs, kernel, stride, pads, dilation), sizes, strict=True):
        valid = (place >= 0) & (place < size)
        inside = valid if inside is None else inside & valid
    first = amin(where(eq(found, best) & inside, number, prod(kernel)), last, False)
    if x.dtype.category == dtypes.FLOAT:
        latest = amax(where(isnan(found), number, -1), last, False)  # the last of several NaNs
        first = where(latest >= 0, latest, first)
    return cast(first, _position_dtype(kernel))


def _position_numpy(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    sizes = _sizes(x, kernel)
    outs = _outs(sizes, kernel, stride, pads, dilation)
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
    shape = (*_lead(x, kernel), *first.shape)
    position, best = in_layout_of(x, shape, kind), in_layout_of(x, shape, x.dtype)
    position[...] = first.astype(kind)
    best.fill(_lowest(x.dtype))
    for tap, read, write in taps:
        part, so_far, at = x[(..., *write)], best[(..., *read)], position[(..., *read)]
        hit = np.greater(part, so_far)
        if nan:
            hit |= np.isnan(part)
        np.maximum(so_far, part, out=so_far)
        chosen = np.multiply(hit, _tap_number(tap, kernel), dtype=kind)
        np.maximum(at, chosen, out=at)  # later taps have greater numbers
    return position, best


def _first_inside(outs: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    number: Any = np.zeros((), np.int64)
    for count, k, s, (low, _), d in zip(outs, kernel, stride, pads, dilation, strict=True):
        starts = np.arange(count) * s - low
        number = number[..., None] * k + np.maximum(-(starts // d), 0)
    return number


def _same_windows(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (kernel, stride, pads, dilation) = inputs, attrs
    shape = (*_lead(x, kernel), *_outs(_sizes(x, kernel), kernel, stride, pads, dilation))
    return inputs, shape, x.dtype


def _position_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, _same_windows(op, inputs, attrs)[1], _position_dtype(attrs[0])


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


_POOL_SAMPLES = lambda: [  # noqa: E731
    Sample((Array((2, 3, 7)), (3,), (2,), ((1, 1),), (1,))),
    Sample((Array((2, 4, 4)), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1))),
    Sample((Array((1, 2, 5, 6)), (3, 2), (1, 2), ((1, 2), (0, 1)), (2, 1))),
    Sample((Array((0, 2, 3, 3)), (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1))),
    Sample((Array((1, 3, 3, 4)), (2, 1, 2), (1, 1, 2), ((0, 0), (0, 0), (0, 0)), (1, 1, 1))),
]


def _torch_taps(torch: Any, x: Any, kernel: Any, stride: Any, pads: Pads, dilation: Any) -> Any:
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
    infer=_position_infer,
    numpy=_position_numpy,
    decompose=_position,
    samples=_POOL_SAMPLES,
    dtypes="number",
    reference=lambda torch, x, *attrs: (
        _torch_taps(torch, x.double(), *attrs).max(-1).indices.to(torch.uint8)
    ),
)

# The greatest element -----------------------------------------------------------------------------


def _greatest(x: Any, outs: Shape, taps: Taps) -> Any:
    """The greatest element of each window, NaN if there is one in it."""
    shape = (*x.shape[: x.ndim - len(outs)], *outs)
    whole = tuple(slice(0, n) for n in outs)
    if taps and all(read == whole for _, read, _ in taps):
        parts = [x[(..., *write)] for _, _, write in taps]
        if len(parts) == 1:
            return parts[0]
        best = np.maximum(parts[0], parts[1])
        for part in parts[2:]:
            np.maximum(best, part, out=best)
        return best
    best = in_layout_of(x, shape, x.dtype)
    best.fill(_lowest(x.dtype))
    for _, read, write in taps:
        so_far = best[(..., *read)]
        np.maximum(so_far, x[(..., *write)], out=so_far)
    return best


def _max_pool_numpy(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    sizes = _sizes(x, kernel)
    outs = _outs(sizes, kernel, stride, pads, dilation)
    return _greatest(x, outs, clipped_taps(sizes, outs, kernel, stride, pads, dilation))


def _max_pool(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    if prod(kernel) <= _FEW_TAPS and 0 not in x.shape:
        best, *others = _each_tap(x, kernel, stride, pads, dilation)
        for seen in others:
            best = maximum(best, seen)
        return best
    found = windows(_pad_lowest(x, pads), kernel, stride, dilation)
    rank = len(found.shape)
    return amax(found, tuple(range(rank - len(kernel), rank)), False)


max_pool: Op = define(
    "max_pool",
    attrs="kernel stride pads dilation",
    kind="composite",
    infer=_same_windows,
    numpy=_max_pool_numpy,
    decompose=_max_pool,
    vjp=(
        lambda g, out, x, kernel, *attrs: place_in_windows(
            g, max_pool_position(x, kernel, *attrs), _sizes(x, kernel), kernel, *attrs
        ),
    ),
    grad_name="MaxPool2DWithIndicesBackward0",
    samples=_POOL_SAMPLES,
    dtypes="number",
    reference=lambda torch, x, *attrs: _torch_taps(torch, x, *attrs).max(-1).values,
)

# Its derivative -----------------------------------------------------------------------------------


def _place_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    g, sizes = inputs[0], attrs[0]
    return inputs, (*_lead(g, sizes), *sizes), g.dtype


def _flat(x: Any, n: int) -> Any:
    """The last n dimensions as one."""
    lead = tuple(x.shape[: len(x.shape) - n])
    return reshape(x, (*lead, prod(x.shape[len(lead) :])))


def _place(
    g: Any,
    position: Any,
    sizes: Shape,
    kernel: Shape,
    stride: Shape,
    pads: Pads,
    dilation: Shape,
) -> Any:
    n = len(sizes)
    attrs = (stride, pads, dilation)
    if all(s >= span(k, d) for k, s, d in zip(kernel, stride, dilation, strict=True)):
        # Every element lies in one window at most, so each tap writes places of its own.
        lead, outs = _lead(g, kernel), _sizes(g, kernel)
        places = [ranges for _, ranges in tap_places(lead, outs, kernel, stride, dilation)]
        parts = [where(eq(position, number), g, 0.0) for number in range(len(places))]
        whole = assemble(parts, (*lead, *padded_sizes(sizes, pads)), tuple(places))
        return zero_pad(whole, negated(pads))
    index = _flat(flat_index(position, sizes, kernel, *attrs), n)
    zeros = full(0.0, (*_lead(g, sizes), prod(sizes)), g.dtype)
    result = scatter_add(zeros, index, _flat(g, n), len(zeros.shape) - 1)
    return reshape(result, (*_lead(g, sizes), *sizes))


def _place_vjp(
    g: Any, out: Any, x: Any, position: Any, sizes: Shape, kernel: Shape, *attrs: Any
) -> Any:
    n = len(sizes)
    index = _flat(flat_index(position, sizes, kernel, *attrs), n)
    return reshape(gather(_flat(g, n), index, len(index.shape) - 1), tuple(position.shape))


def _place_numpy(
    g: Any, position: Any, sizes: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape
) -> Any:
    outs = _sizes(g, kernel)
    result = in_layout_of(position, (*_lead(g, kernel), *sizes), g.dtype)
    result.fill(0)
    bits = np.dtype(f"i{g.dtype.itemsize}")
    source, target = g.view(bits), result.view(bits)
    apart = all(s > (k - 1) * d for k, s, d in zip(kernel, stride, dilation, strict=True))
    for tap, read, write in clipped_taps(sizes, outs, kernel, stride, pads, dilation):
        hit = np.equal(position[(..., *read)], _tap_number(tap, kernel))
        mask = np.negative(hit.astype(bits))
        into = target[(..., *write)]
        if apart:  # every element lies in one window at most
            np.bitwise_and(source[(..., *read)], mask, out=into)
        else:
            np.bitwise_and(source[(..., *read)], mask, out=mask)
            part = result[(..., *write)]
            np.add(part, mask.view(g.dtype), out=part)
    return result


# Each window's number added where `position` says that its greatest element was.
place_in_windows: Op = define(
    "place_in_windows",
    inputs="input position",
    attrs="sizes kernel stride pads dilation",
    kind="composite",
    infer=_place_infer,
    numpy=_place_numpy,
    decompose=_place,
    vjp=(_place_vjp, None),
    samples=lambda: [
        Sample((Array((2, 3)), Array((2, 3), 0, 2, "uint8"), (7,), (3,), (2,), ((0, 0),), (1,))),
        Sample(
            (
                Array((2, 2, 2)),
                Array((2, 2, 2), 0, 4, "uint8"),
                (4, 5),
                (2, 2),
                (2, 2),
                ((0, 0),) * 2,
                (1, 1),
            )
        ),
        Sample((Array((4,)), Array((4,), 1, 2, "uint8"), (4,), (3,), (1,), ((1, 1),), (1,))),
    ],
    dtypes="float",
    reference=lambda torch, g, position, sizes, kernel, *attrs: _torch_place(
        torch, g, position, sizes, kernel, *attrs
    ),
)


def _torch_place(torch: Any, g: Any, position: Any, sizes: Any, kernel: Any, *attrs: Any) -> Any:
    numbers = torch.arange(prod(sizes), dtype=torch.float64).reshape(sizes)
    index = _torch_taps(torch, numbers, kernel, *attrs).expand(*position.shape, -1)
    index = index.gather(-1, position.long().unsqueeze(-1)).squeeze(-1).long()
    n = len(sizes)
    flat = torch.zeros(*g.shape[: g.dim() - n], prod(sizes), dtype=g.dtype)
    return flat.scatter_add(-1, index.flatten(-n), g.flatten(-n)).unflatten(-1, sizes)


# Means --------------------------------------------------------------------------------------------


def _taps_along(axis: int, count: int, kernel: int, stride: int) -> list[tuple[Any, ...]]:
    """Slices of one dimension, for each tap of the kernel."""
    last = (count - 1) * stride + 1
    return [
        (*(slice(None),) * axis, slice(tap, tap + last, stride) if count else slice(0, 0))
        for tap in range(kernel)
    ]


def _avg_pool_numpy(x: Any, divisor: Any, kernel: Shape, stride: Shape, pads: Pads) -> Any:
    """One dimension after the other: k + l passes for a window of k × l elements."""
    x = zero_padded(x, pads)
    for axis, k, s in zip(range(x.ndim - len(kernel), x.ndim), kernel, stride, strict=True):
        first, *others = _taps_along(axis, (x.shape[axis] - k) // s + 1, k, s)
        total = x[first]
        if others:
            total = np.add(total, x[others[0]])
            for tap in others[1:]:
                np.add(total, x[tap], out=total)
        x = total
    return x / divisor


def _avg_pool(x: Any, divisor: Any, kernel: Shape, stride: Shape, pads: Pads) -> Any:
    found = windows(zero_pad(x, pads), kernel, stride, (1,) * len(kernel))
    rank = len(found.shape)
    return sum_(found, tuple(range(rank - len(kernel), rank)), False) / divisor


def _avg_pool_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x, _), (kernel, stride, pads) = inputs, attrs
    outs = _outs(_sizes(x, kernel), kernel, stride, pads, (1,) * len(kernel))
    return inputs, (*_lead(x, kernel), *outs), x.dtype


def _torch_avg_pool(torch: Any, x: Any, divisor: Any, kernel: Any, stride: Any, pads: Pads) -> Any:
    x = torch.nn.functional.pad(x, [p for pair in reversed(pads) for p in pair])
    taps = _torch_taps(torch, x, kernel, stride, ((0, 0),) * len(kernel), (1,) * len(kernel))
    total = taps.double().sum(-1) / (divisor.double() if torch.is_tensor(divisor) else divisor)
    return total.to(x.dtype)


# Sums of windows over zero-padded dimensions, divided by a number or by one for each window.
avg_pool: Op = define(
    "avg_pool",
    inputs="input divisor",
    attrs="kernel stride pads",
    kind="composite",
    infer=_avg_pool_infer,
    numpy=_avg_pool_numpy,
    decompose=_avg_pool,
    vjp=(
        lambda g, out, x, divisor, kernel, *attrs: spread_windows(
            g, divisor, _sizes(x, kernel), kernel, *attrs
        ),
        None,
    ),
    grad_name="AvgPool2DBackward0",
    samples=lambda: [
        Sample((Array((2, 3, 7)), 3.0, (3,), (2,), ((1, 1),))),
        Sample((Array((2, 4, 4)), 4.0, (2, 2), (2, 2), ((0, 0), (0, 0)))),
        Sample((Array((1, 2, 5, 6)), 2.5, (3, 2), (1, 2), ((1, 2), (0, 1)))),
        Sample((Array((0, 2, 3, 3)), 4.0, (2, 2), (1, 1), ((0, 0), (0, 0)))),
    ],
    dtypes="float",
    reference=_torch_avg_pool,
)


def _spread_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    g, sizes = inputs[0], attrs[0]
    return inputs, (*_lead(g, sizes), *sizes), g.dtype


def _spread(g: Any, divisor: Any, sizes: Shape, kernel: Shape, stride: Shape, pads: Pads) -> Any:
    share = reshape(g / divisor, (*g.shape, *(1,) * len(kernel)))
    taps = expand(share, (*g.shape, *kernel))
    whole = fold_windows(taps, padded_sizes(sizes, pads), stride, (1,) * len(kernel))
    return zero_pad(whole, negated(pads))


def _spread_numpy(
    g: Any, divisor: Any, sizes: Shape, kernel: Shape, stride: Shape, pads: Pads
) -> Any:
    x = g / divisor
    lead = x.ndim - len(kernel)
    for i, (n, k, s) in enumerate(zip(padded_sizes(sizes, pads), kernel, stride, strict=True)):
        axis = lead + i
        shape = (*x.shape[:axis], n, *x.shape[axis + 1 :])
        result = in_layout_of(x, shape, x.dtype)
        result.fill(0)
        for tap in _taps_along(axis, x.shape[axis], k, s):
            if s >= k:
                result[tap] = x
            else:
                np.add(result[tap], x, out=result[tap])
        x = result
    return zero_padded(x, negated(pads))


# The adjoint of avg_pool: each number's share added to every place of its window.
spread_windows: Op = define(
    "spread_windows",
    inputs="input divisor",
    attrs="sizes kernel stride pads",
    kind="composite",
    infer=_spread_infer,
    numpy=_spread_numpy,
    decompose=_spread,
    vjp=(lambda g, out, x, divisor, sizes, *attrs: avg_pool(g, divisor, *attrs), None),
    samples=lambda: [
        Sample((Array((2, 3)), 3.0, (7,), (3,), (2,), ((0, 0),))),
        Sample((Array((2, 2, 2)), 4.0, (4, 5), (2, 2), (2, 2), ((0, 0), (0, 0)))),
        Sample((Array((1, 2, 3, 2)), 2.0, (3, 5), (3, 2), (1, 2), ((1, 1), (0, 0)))),
    ],
    dtypes="float",
    reference=lambda torch, g, divisor, sizes, *attrs: _torch_spread(
        torch, g, divisor, sizes, *attrs
    ),
)


def _torch_spread(torch: Any, g: Any, divisor: Any, sizes: Any, *attrs: Any) -> Any:
    with torch.enable_grad():
        shape = (*g.shape[: g.dim() - len(sizes)], *sizes)
        x = torch.zeros(shape, dtype=g.dtype, requires_grad=True)
        pooled = _torch_avg_pool(torch, x, divisor, *attrs)
        return torch.autograd.grad(pooled, x, g, create_graph=True)[0]
