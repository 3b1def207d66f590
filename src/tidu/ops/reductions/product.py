"""Products: over dimensions, and of everything up to each place.

Their derivatives consist of what PyTorch's do: they divide the result where no factor is zero, so
that the result has a part in the second derivative, and else leave each factor out in turn. That of
products over dimensions has a quicker form besides, which is meant for numbers only.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import wrap_dim, wrap_dims
from tidu.ir.op import define, function
from tidu.ir.precision import in_full_precision
from tidu.ir.value import Value
from tidu.ops.cast import as_dtype, cast
from tidu.ops.elementwise import eq, where
from tidu.ops.moving.movement import flip, permute, reshape
from tidu.ops.reductions.reduce import Dims, any_, infer_summed, reduction_samples, spread, sum_
from tidu.ops.reductions.scan import (
    accumulated,
    backwards,
    infer_accumulated,
    reversed_sum,
    scan_samples,
    scanned,
    shifted,
)


def _without_zeros(x: Any, quick: Any, exact: Any) -> Any:
    """`quick` if no element of `x` is zero, else `exact`."""
    return where(any_(eq(x, 0), tuple(range(len(x.shape))), False), exact, quick)


def _cumprod_vjp(g: Any, out: Any, x: Any, dim: int, wide: bool) -> Any:
    """Where nothing is zero, Σ over later places of g · out, divided by the factor; else the
    product of what comes before, times Σ over later places of g and the factors between.
    """
    if not x.shape:
        return g
    quick = reversed_sum(out * g, dim) / where(eq(x, 0), 1.0, x)
    exact = shifted(scanned(cumprod_, x, dim), dim, 1.0) * backwards(x, g, dim)
    return _without_zeros(x, quick, exact)


cumprod_ = define(
    "cumprod",
    attrs="dim wide",
    kind="host",
    infer=infer_accumulated,
    numpy=accumulated(np.multiply.accumulate),
    vjp=(_cumprod_vjp,),
    samples=scan_samples(0.5, 2.0),
    reference=lambda torch, x, dim, wide: torch.cumprod(x, dim),
    tolerance=2.0,
)


def _others(x: Any, dims: Dims) -> Any:
    """For each element the product of all others over `dims`, without a division."""
    rest = tuple(d for d in range(len(x.shape)) if d not in dims)
    order = (*rest, *dims)
    moved = permute(x, order)
    rows = reshape(moved, (*(x.shape[d] for d in rest), prod(x.shape[d] for d in dims)))
    last = len(rest)
    before = shifted(scanned(cumprod_, rows, last), last, 1.0)
    after = flip(shifted(scanned(cumprod_, flip(rows, (last,)), last), last, 1.0), (last,))
    back = tuple(order.index(d) for d in range(len(x.shape)))
    return permute(reshape(before * after, moved.shape), back)


def _quick_others(x: Any, dims: Dims) -> Any:
    """The same numbers, of which the derivatives are wrong where two factors are zero or become so:
    the product of those that are not zero, divided by the element.
    """
    zero = eq(x, 0)
    single = cast(zero, dtypes.int64)
    factor = where(zero, 1.0, x)
    others = prod_(factor, dims, True) / factor
    # 0 times them, not 0: what is infinite or NaN among them is not hidden.
    return where(eq(sum_(single, dims, True), single), others, 0.0 * others)


def _prod_vjp(g: Any, out: Any, x: Any, dims: Dims, keepdim: bool) -> Any:
    """g times the product of the others."""
    if not dims:
        return g
    g = spread(g, x.shape, dims, keepdim)
    if g.__class__ is Value:
        return g * _quick_others(x, dims)
    divided = spread(out, x.shape, dims, keepdim) / where(eq(x, 0), 1.0, x)
    return g * _without_zeros(x, divided, _others(x, dims))


prod_ = define(
    "prod",
    attrs="dims keepdim",
    kind="reduction",
    infer=infer_summed,
    numpy=lambda x, dims, keepdim: np.multiply.reduce(x, dims, keepdims=keepdim),
    emit=lambda s, accumulator, x: s.mul(accumulator, x),
    identity=lambda d: 1,
    vjp=(_prod_vjp,),
    samples=reduction_samples(0.5, 2.0),
    reference=lambda torch, x, dims, keepdim: _torch_prod(x, dims, keepdim),
)


def _torch_prod(x: Any, dims: Dims, keepdim: bool) -> Any:
    for dim in sorted(dims, reverse=True):
        x = x.prod(dim, keepdim)
    return x if dims else x.prod()


@function("torch.prod Tensor.prod")
@in_full_precision
def prod_over(
    input: Any, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The product over `dim`, or over all elements.

    >>> torch.tensor([2., 3.]).prod()
    tensor(6.)
    """
    name = "ProdBackward0" if dim is None else "ProdBackward1"
    rank = len(input.shape)
    dims = wrap_dims(None, rank) if dim is None else (wrap_dim(dim, rank),)[:rank]
    result = prod_.named(name, as_dtype(input, dtype), dims, keepdim)
    return as_dtype(result, dtype)  # integers are multiplied as int64


@function("torch.cumprod Tensor.cumprod", inplace=True)
def cumprod(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The products of the elements up to each place along `dim`.

    >>> torch.cumprod(torch.tensor([1, 2, 3]), 0)
    tensor([1, 2, 6])
    """
    d = wrap_dim(dim, len(input.shape))
    return as_dtype(scanned(cumprod_, as_dtype(input, dtype), d), dtype)
