"""Sums of products, each multiplied and added with one rounding, one after the other.

`sum_in_order` in `reduce` is the plain one.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import reduced
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops.cast import cast
from tidu.ops.reductions.reduce import (
    Dims,
    element_count,
    reduction_samples,
    spread,
    sum_in_order,
)
from tidu.ops.rules import cast_to


def _infer_wide(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (dims, keepdim) = inputs, attrs
    return (cast_to(x, dtypes.float64),), reduced(x.shape, dims, keepdim), dtypes.float64


def _rounded_numpy(x: Any, dims: Dims, keepdim: bool) -> Any:
    shape = reduced(x.shape, dims, keepdim)
    kept = [d for d in range(x.ndim) if d not in dims]
    rows = x.transpose(*sorted(dims), *kept).reshape(element_count(x.shape, dims), prod(shape))
    wide = np.zeros(prod(shape))
    total = wide.astype(np.float32)
    for row in rows:
        total[...] = np.add(wide, row, wide)
        wide[...] = total
    return wide.reshape(shape)


# In float64, each sum on the way rounded to float32.
rounded_sum_in_order = define(
    "rounded_sum_in_order",
    attrs="dims keepdim",
    kind="reduction",
    infer=_infer_wide,
    numpy=_rounded_numpy,
    emit=lambda s, total, x: s.cast(s.cast(s.add(total, x), dtypes.float32), dtypes.float64),
    identity=lambda d: 0,
    ordered=True,
    samples=reduction_samples(),
    dtypes="wide",
    reference=lambda torch, x, dims, keepdim: (
        x.double().sum(dims, keepdim).float().double() if dims else x.float().double()
    ),
    tolerance=1e4,
)


def _infer_dot(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, (dims, keepdim) = inputs[0], attrs
    return inputs, reduced(x.shape, dims, keepdim), x.dtype


def _dot(x: Any, y: Any, dims: Dims, keepdim: bool) -> Any:
    if x.dtype is not dtypes.float32:
        return sum_in_order(x * y, dims, keepdim)
    # float64 holds the product of two numbers of float32 exactly.
    product = cast(x, dtypes.float64) * cast(y, dtypes.float64)
    return cast(rounded_sum_in_order(product, dims, keepdim), dtypes.float32)


# Σ x · y of two tensors of one shape, each product added in by one fused multiplication and
# addition, in the order of indices.
dot_in_order = define(
    "dot_in_order",
    inputs="x y",
    attrs="dims keepdim",
    kind="composite",
    infer=_infer_dot,
    decompose=_dot,
    vjp=(
        lambda g, out, x, y, dims, keepdim: spread(g, x.shape, dims, keepdim) * y,
        lambda g, out, x, y, dims, keepdim: spread(g, x.shape, dims, keepdim) * x,
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), (0,), False)),
        Sample((Array((2, 3, 4)), Array((2, 3, 4)), (0, 2), True)),
        Sample((Array((0, 3)), Array((0, 3)), (0,), False)),
    ],
    dtypes="wide",
    reference=lambda torch, x, y, dims, keepdim: (x * y).sum(dims, keepdim),
)
