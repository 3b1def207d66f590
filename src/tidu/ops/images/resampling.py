"""Resampling along one dimension: each element of the result is a weighted sum of a few.

Which ones and with which weights stands in small tables, which interpolation and adaptive pooling
work out from the sizes and hand to the op as inputs.
"""

from __future__ import annotations

from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from tidu.base.dtypes import float64, from_numpy, int64
from tidu.base.strides import strides_of_images
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ir.value import leaf
from tidu.ops.cast import cast
from tidu.ops.elementwise import ne, where
from tidu.ops.indexing.arrays import index, index_put
from tidu.ops.moving.movement import expand, reshape, unsqueeze_dims
from tidu.ops.reductions.reduce import sum_
from tidu.ops.sources import full


class Table(NamedTuple):
    """Which elements make up each of the result, both (outs, taps); no weights stand for all ones.

    With `sparse`, what has weight 0 is not read: it cannot bring in a NaN.
    """

    places: np.ndarray[Any, Any]
    weights: np.ndarray[Any, Any] | None
    sparse: bool = False


def apply_table(x: Any, dim: int, table: Table, grad_name: str) -> Any:
    """Resample one dimension of x."""
    places = leaf(table.places, int64)
    weights = (
        None if table.weights is None else leaf(table.weights, from_numpy(table.weights.dtype))
    )
    return resample.named(grad_name, x, places, weights, dim, table.sparse)


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x, places, _), (dim, _) = inputs, attrs
    return inputs, (*x.shape[:dim], places.shape[0], *x.shape[dim + 1 :]), x.dtype


def _adjoint_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (g, _, _), (size, dim, _) = inputs, attrs
    return inputs, (*g.shape[:dim], size, *g.shape[dim + 1 :]), g.dtype


def _weighted(taps: Any, weights: Any, dim: int, sparse: bool) -> Any:
    """Taps at (dim, dim + 1) times their weights."""
    if weights is None:
        return taps
    shape = tuple(n if dim <= i <= dim + 1 else 1 for i, n in enumerate(taps.shape))
    w = reshape(weights, shape)
    return where(ne(w, 0.0), taps * w, 0.0) if sparse else taps * w


def _resample(x: Any, places: Any, weights: Any, dim: int, sparse: bool) -> Any:
    wide = x if weights is None else cast(x, weights.dtype)
    taps = index((wide, places), (dim,))
    return cast(sum_(_weighted(taps, weights, dim, sparse), (dim + 1,), False), x.dtype)


def _adjoint(g: Any, places: Any, weights: Any, size: int, dim: int, sparse: bool) -> Any:
    wide = g if weights is None else cast(g, weights.dtype)
    shape = (*g.shape[: dim + 1], places.shape[1], *g.shape[dim + 1 :])
    taps = _weighted(expand(unsqueeze_dims(wide, (dim + 1,)), shape), weights, dim, sparse)
    zeros = full(0.0, (*g.shape[:dim], size, *g.shape[dim + 1 :]), wide.dtype)
    return cast(index_put((zeros, taps, places), (dim,), True), g.dtype)


def _column(weights: Any, tap: int, dim: int, rank: int) -> Any:
    return weights[:, tap].reshape(tuple(-1 if i == dim else 1 for i in range(rank)))


def _product(part: Any, w: Any, sparse: bool) -> Any:
    product = part * w
    return np.where(w != 0, product, 0) if sparse and not w.all() else product


def _resample_numpy(x: Any, places: Any, weights: Any, dim: int, sparse: bool) -> Any:
    def tap(number: int) -> Any:
        part = x.take(places[:, number], axis=dim)
        return (
            part
            if weights is None
            else _product(part, _column(weights, number, dim, x.ndim), sparse)
        )

    return reduce(np.add, (tap(number) for number in range(places.shape[1])))


def _adjoint_numpy(g: Any, places: Any, weights: Any, size: int, dim: int, sparse: bool) -> Any:
    """Contributions sorted by where they go, and each run of equal places added up at once."""
    flat = places.reshape(-1)
    order = np.argsort(flat, kind="stable")
    found, starts = np.unique(flat[order], return_index=True)
    parts = g.take(order // places.shape[1], axis=dim)
    if weights is not None:
        column = weights.reshape(-1, 1)[order]
        parts = _product(parts, _column(column, 0, dim, g.ndim), sparse)
    result: Any = np.zeros((*g.shape[:dim], size, *g.shape[dim + 1 :]), parts.dtype)
    if found.size:
        result[(*(slice(None),) * dim, found)] = np.add.reduceat(parts, starts, axis=dim)
    return result


def _torch_resample(torch: Any, x: Any, places: Any, weights: Any, dim: int, sparse: bool) -> Any:
    taps = x.movedim(dim, -1)[..., places]
    if weights is None:
        return taps.sum(-1).movedim(-1, dim).to(x.dtype)
    w = torch.from_numpy(weights.buffer)
    return (taps.double() * w).sum(-1).movedim(-1, dim).to(x.dtype)


def _torch_adjoint(
    torch: Any, g: Any, places: Any, weights: Any, size: int, dim: int, sparse: bool
) -> Any:
    with torch.enable_grad():
        shape = (*g.shape[:dim], size, *g.shape[dim + 1 :])
        x = torch.zeros(shape, dtype=g.dtype, requires_grad=True)
        pooled = _torch_resample(torch, x, places, weights, dim, sparse)
        return torch.autograd.grad(pooled, x, g, create_graph=True)[0]


def _places(outs: int, taps: int, size: int) -> Array:
    return Array((outs, taps), 0, size, "int64")


# Constants of the calls below; one weight is zero and must not let a NaN in.
_WEIGHTS = leaf(np.array([[0.5, -1.5], [1.0, 0.25], [2.0, 0.0], [0.75, 1.25]]), float64)

resample: Op = define(
    "resample",
    inputs="input places weights",
    attrs="dim sparse",
    kind="composite",
    strides=strides_of_images,
    infer=_infer,
    numpy=_resample_numpy,
    decompose=_resample,
    vjp=(
        lambda g, out, x, places, weights, dim, sparse: resample_adjoint(
            g, places, weights, x.shape[dim], dim, sparse
        ),
        None,
        None,
    ),
    samples=lambda: [
        Sample((Array((2, 4)), _places(3, 1, 4), None, 1, False)),
        Sample((Array((3, 2, 2)), _places(5, 2, 3), None, 0, False)),
        Sample((Array((0, 3)), _places(2, 2, 3), None, 1, True)),
        Sample((Array((2, 3, 2)), _places(4, 2, 3), _WEIGHTS, 1, True)),
        Sample((Array((3,)), _places(4, 2, 3), _WEIGHTS, 0, False)),
    ],
    dtypes="float",
    reference=_torch_resample,
)
resample_adjoint: Op = define(
    "resample_adjoint",
    inputs="input places weights",
    attrs="size dim sparse",
    kind="composite",
    infer=_adjoint_infer,
    numpy=_adjoint_numpy,
    decompose=_adjoint,
    vjp=(
        lambda g, out, x, places, weights, size, dim, sparse: resample(
            g, places, weights, dim, sparse
        ),
        None,
        None,
    ),
    samples=lambda: [
        Sample((Array((2, 3)), _places(3, 1, 4), None, 4, 1, False)),
        Sample((Array((5, 2, 2)), _places(5, 2, 3), None, 3, 0, False)),
        Sample((Array((0, 2)), _places(2, 2, 3), None, 3, 1, True)),
        Sample((Array((2, 4, 2)), _places(4, 2, 3), _WEIGHTS, 3, 1, True)),
    ],
    dtypes="float",
    reference=_torch_adjoint,
)
