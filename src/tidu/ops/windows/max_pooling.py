"""Pooling by the greatest element of each window, in any number of dimensions.

What is chosen is masked with bits instead of products: zero times infinity is no number, and
copying under a mask is slower than arithmetic.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base.shapes import Shape
from tidu.base.strides import strides_of_images
from tidu.ir.op import Array, Op, Sample, define
from tidu.ops.elementwise import eq, maximum, where
from tidu.ops.indexing.along import gather, scatter_add
from tidu.ops.moving.joining import assemble
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.reduce import amax
from tidu.ops.sources import full
from tidu.ops.windows.max_positions import (
    FEW_TAPS,
    POOL_SAMPLES,
    each_tap,
    flat_index,
    infer_slid,
    infer_windows,
    leading,
    lowest_of,
    max_pool_position,
    pad_lowest,
    slid_sizes,
    tap_number,
    torch_taps,
    window_counts,
)
from tidu.ops.windows.sliding import (
    Pads,
    Taps,
    clipped_taps,
    in_layout_of,
    negated,
    padded_sizes,
    span,
    tap_places,
    windows,
    zero_pad,
)


def _greatest(x: Any, outs: Shape, taps: Taps) -> Any:
    """The greatest element of each window, the first of equal zeros, NaN if there is one in it."""
    shape = (*x.shape[: x.ndim - len(outs)], *outs)
    whole = tuple(slice(0, n) for n in outs)
    if taps and all(read == whole for _, read, _ in taps):
        parts = [x[(..., *write)] for _, _, write in taps]
        if len(parts) == 1:
            return parts[0]
        best = np.maximum(parts[1], parts[0])
        for part in parts[2:]:
            np.maximum(part, best, out=best)
        return best
    best = in_layout_of(x, shape, x.dtype)
    best.fill(lowest_of(x.dtype))
    for _, read, write in taps:
        so_far = best[(..., *read)]
        np.maximum(x[(..., *write)], so_far, out=so_far)
    return best


def _max_pool_numpy(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    sizes = slid_sizes(x, kernel)
    outs = window_counts(sizes, kernel, stride, pads, dilation)
    return _greatest(x, outs, clipped_taps(sizes, outs, kernel, stride, pads, dilation))


def _max_pool(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape) -> Any:
    if prod(kernel) <= FEW_TAPS and 0 not in x.shape:
        best, *others = each_tap(x, kernel, stride, pads, dilation)
        for seen in others:
            best = maximum(seen, best)  # the first of equal zeros
        return best
    found = windows(pad_lowest(x, pads), kernel, stride, dilation)
    rank = len(found.shape)
    return amax(found, tuple(range(rank - len(kernel), rank)), False)


max_pool: Op = define(
    "max_pool",
    attrs="kernel stride pads dilation",
    kind="composite",
    strides=strides_of_images,
    infer=infer_windows,
    numpy=_max_pool_numpy,
    decompose=_max_pool,
    vjp=(
        lambda g, out, x, kernel, *attrs: place_in_windows(
            g, max_pool_position(x, kernel, *attrs), slid_sizes(x, kernel), kernel, *attrs
        ),
    ),
    joined=True,
    grad_name="MaxPool2DWithIndicesBackward0",
    samples=POOL_SAMPLES,
    dtypes="number",
    reference=lambda torch, x, *attrs: torch_taps(torch, x, *attrs).max(-1).values,
)


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
        lead, outs = leading(g, kernel), slid_sizes(g, kernel)
        places = [ranges for _, ranges in tap_places(lead, outs, kernel, stride, dilation)]
        parts = [where(eq(position, number), g, 0.0) for number in range(len(places))]
        whole = assemble(parts, (*lead, *padded_sizes(sizes, pads)), tuple(places))
        return zero_pad(whole, negated(pads))
    index = _flat(flat_index(position, sizes, kernel, *attrs), n)
    zeros = full(0.0, (*leading(g, sizes), prod(sizes)), g.dtype)
    result = scatter_add(zeros, index, _flat(g, n), len(zeros.shape) - 1)
    return reshape(result, (*leading(g, sizes), *sizes))


def _place_vjp(
    g: Any, out: Any, x: Any, position: Any, sizes: Shape, kernel: Shape, *attrs: Any
) -> Any:
    n = len(sizes)
    index = _flat(flat_index(position, sizes, kernel, *attrs), n)
    return reshape(gather(_flat(g, n), index, len(index.shape) - 1), tuple(position.shape))


def _place_numpy(
    g: Any, position: Any, sizes: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape
) -> Any:
    outs = slid_sizes(g, kernel)
    result = in_layout_of(position, (*leading(g, kernel), *sizes), g.dtype)
    result.fill(0)
    bits = np.dtype(f"i{g.dtype.itemsize}")
    source, target = g.view(bits), result.view(bits)
    apart = all(s > (k - 1) * d for k, s, d in zip(kernel, stride, dilation, strict=True))
    for tap, read, write in clipped_taps(sizes, outs, kernel, stride, pads, dilation):
        hit = np.equal(position[(..., *read)], tap_number(tap, kernel))
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
    infer=infer_slid,
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
    index = torch_taps(torch, numbers, kernel, *attrs).expand(*position.shape, -1)
    index = index.gather(-1, position.long().unsqueeze(-1)).squeeze(-1).long()
    n = len(sizes)
    flat = torch.zeros(*g.shape[: g.dim() - n], prod(sizes), dtype=g.dtype)
    return flat.scatter_add(-1, index.flatten(-n), g.flatten(-n)).unflatten(-1, sizes)
