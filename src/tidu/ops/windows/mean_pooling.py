"""Pooling by the mean of each window, in any number of dimensions."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base.dtypes import float32
from tidu.base.shapes import Shape
from tidu.base.strides import Operands, Strides, strides_of_images
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops.moving.movement import expand, reshape
from tidu.ops.reductions.reduce import sum_
from tidu.ops.reductions.runs import sum_planes
from tidu.ops.rules import remembered
from tidu.ops.windows.max_positions import (
    infer_slid,
    leading,
    slid_sizes,
    torch_taps,
    window_counts,
)
from tidu.ops.windows.sliding import (
    Pads,
    fold_windows,
    in_layout_of,
    negated,
    padded_sizes,
    windows,
    zero_pad,
    zero_padded,
)


def _plane_mean_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (rank,) = inputs, attrs
    return inputs, (*x.shape[:-rank], *(1,) * rank), x.dtype


def _plane_mean(x: Any, rank: int) -> Any:
    shape, dims = tuple(x.shape), tuple(range(len(x.shape) - rank, len(x.shape)))
    if x.dtype is float32 and 0 not in shape:
        total = reshape(sum_planes(x, rank), (*shape[:-rank], *(1,) * rank))
    else:
        total = sum_(x, dims, True)
    return total / float(prod(shape[-rank:]))


# The mean over the last `rank` dimensions, added up in PyTorch's order.
plane_mean: Op = define(
    "plane_mean",
    attrs="rank",
    kind="composite",
    infer=_plane_mean_infer,
    decompose=_plane_mean,
    vjp=(lambda g, out, x, rank: expand(g / float(prod(x.shape[-rank:])), tuple(x.shape)),),
    samples=lambda: [
        Sample((Array((2, 3, 4)), 1)),
        Sample((Array((2, 3, 3, 7)), 2)),
        Sample((Array((2, 1, 2, 33, 8)), 3)),
        Sample((Array((0, 3)), 1)),
    ],
    dtypes="float",
    reference=lambda torch, x, rank: x.mean(tuple(range(-rank, 0)), keepdim=True),
)


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


@remembered
def _avg_pool_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x, _), (kernel, stride, pads) = inputs, attrs
    outs = window_counts(slid_sizes(x, kernel), kernel, stride, pads, (1,) * len(kernel))
    return inputs, (*leading(x, kernel), *outs), x.dtype


def _torch_avg_pool(torch: Any, x: Any, divisor: Any, kernel: Any, stride: Any, pads: Pads) -> Any:
    x = torch.nn.functional.pad(x, [p for pair in reversed(pads) for p in pair])
    taps = torch_taps(torch, x, kernel, stride, ((0, 0),) * len(kernel), (1,) * len(kernel))
    total = taps.double().sum(-1) / (divisor.double() if torch.is_tensor(divisor) else divisor)
    return total.to(x.dtype)


# Sums of windows over zero-padded dimensions, divided by a number or by one for each window.
def _avg_pool_strides(shape: Shape, operands: Operands, attrs: tuple[Any, ...]) -> Strides | None:
    return strides_of_images(shape, operands, attrs) if len(shape) == 4 else None


avg_pool: Op = define(
    "avg_pool",
    inputs="input divisor",
    attrs="kernel stride pads",
    kind="composite",
    strides=_avg_pool_strides,
    infer=_avg_pool_infer,
    numpy=_avg_pool_numpy,
    decompose=_avg_pool,
    vjp=(
        lambda g, out, x, divisor, kernel, *attrs: spread_windows(
            g, divisor, slid_sizes(x, kernel), kernel, *attrs
        ),
        None,
    ),
    joined=True,
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
    infer=infer_slid,
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
