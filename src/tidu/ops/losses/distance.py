"""How far apart or alike in direction two tensors are along a dimension."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.dtypes import int64
from tidu.base.shapes import broadcast, reduced, wrap_dim, wrap_dims
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import leaf
from tidu.ops.elementwise import clamp, sub, where
from tidu.ops.indexing.arrays import index
from tidu.ops.moving.movement import expand
from tidu.ops.reductions.norms import vector_norm_
from tidu.ops.reductions.reduce import spread, sum_
from tidu.ops.rules import class_name, promote


def _norm(name: str, x: Any, p: float, dim: int, keepdim: bool) -> Any:
    """The p-norm along one dimension, under a name of its own on the tape."""
    return vector_norm_.named(name, x, float(p), (dim,) if x.shape else (), keepdim)


@function("torch.nn.functional.normalize")
def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """input / max(‖input‖_p, `eps`), with the norm taken along `dim`, one dimension or several.

    >>> F.normalize(torch.tensor([[3., 4.]]))
    tensor([[0.6000, 0.8000]])
    """
    rank = len(input.shape)
    dims = wrap_dims(dim, rank)[:rank]
    norm = vector_norm_.named("LinalgVectorNormBackward0", input, float(p), dims, True)
    return input / expand(clamp.named("ClampMinBackward0", norm, eps, None), tuple(input.shape))


def _cosine_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    inputs, d = promote(inputs)
    if not d.is_floating_point:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {class_name(d)}; "
            "write x.float()"
        )
    shape = broadcast(op.name, inputs[0].shape, inputs[1].shape)
    return inputs, reduced(shape, (attrs[0],) if shape else (), False), d


def _cosine(x: Any, y: Any, dim: int, eps: float) -> Any:
    products, norm_x, norm_y = _cosine_parts(x, y, dim)
    cosine = products / (_at_least(norm_x, eps) * _at_least(norm_y, eps))
    return sum_(cosine, _dims(cosine, dim), False)


def _dims(x: Any, dim: int) -> tuple[int, ...]:
    return (dim,) if x.shape else ()


def _at_least(x: Any, eps: float) -> Any:
    return clamp(x, eps, None)


def _cosine_parts(x: Any, y: Any, dim: int) -> tuple[Any, Any, Any]:
    dims = (dim,) if x.shape or y.shape else ()
    return sum_(x * y, dims, True), _norm_of(x, y, dim), _norm_of(y, x, dim)


def _norm_of(x: Any, other: Any, dim: int) -> Any:
    shape = broadcast("cosine_similarity", tuple(x.shape), tuple(other.shape))
    return vector_norm_(expand(x, shape), 2.0, (dim,) if shape else (), True)


def _cosine_vjp(g: Any, out: Any, x: Any, y: Any, dim: int, eps: float) -> tuple[Any, Any]:
    products, norm_x, norm_y = _cosine_parts(x, y, dim)
    bounded_x, bounded_y = _at_least(norm_x, eps), _at_least(norm_y, eps)
    g = spread(g, products.shape, _dims(products, dim), False) / (bounded_x * bounded_y)
    cosine = g * products
    return (
        g * y - x * _per_norm(cosine, norm_x, bounded_x),
        g * x - y * _per_norm(cosine, norm_y, bounded_y),
    )


def _per_norm(cosine: Any, norm: Any, bounded: Any) -> Any:
    """The share of the norm itself, whose derivative is, as in PyTorch, blind to its bound."""
    none = norm == 0.0
    return where(none, 0.0, cosine / (bounded * where(none, 1.0, norm)))


cosine = define(
    "cosine_similarity",
    inputs="x1 x2",
    attrs="dim eps",
    kind="composite",
    infer=_cosine_infer,
    decompose=_cosine,
    vjp=_cosine_vjp,
    grad_name="SumBackward1",
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), 1, 1e-8)),
        Sample((Array((3, 4)), Array((3, 4)), 0, 1e-8)),
        Sample((Array((3, 1, 4)), Array((2, 4)), 2, 1e-8)),
        Sample((Array((5,)), Array((5,)), 0, 1e-8)),
    ],
    dtypes="float",
    reference="nn.functional.cosine_similarity",
    tolerance=2.0,
)


@function("torch.nn.functional.cosine_similarity torch.cosine_similarity")
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x1 · x2 / (max(‖x1‖, `eps`) · max(‖x2‖, `eps`)) along `dim`, which the result loses.

    The shapes broadcast. Raises RuntimeError for integers.
    """
    rank = max(len(x1.shape), len(x2.shape))
    return cosine(x1, x2, wrap_dim(dim, rank), float(eps))


@function("torch.nn.functional.pairwise_distance torch.pairwise_distance")
def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """‖x1 - x2 + `eps`‖_p along the last dimension."""
    rank = max(len(x1.shape), len(x2.shape))
    return _norm("NormBackward1", sub(x1, x2) + eps, p, max(rank - 1, 0), keepdim)


@function("torch.nn.functional.pdist torch.pdist")
def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances of all pairs of rows: (n, m) gives n · (n - 1) / 2 numbers, (0, 1), (0,
    2), ..., (1, 2), ...

    Raises RuntimeError for another number of dimensions or a negative `p`.
    """
    if len(input.shape) != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {len(input.shape)}D")
    if p < 0:
        raise RuntimeError(f"pdist only supports non-negative p values, got: {p}")
    first, second = np.triu_indices(input.shape[0], 1)
    pairs = (index((input, leaf(rows.astype(np.int64), int64)), (0,)) for rows in (first, second))
    return _norm("PdistBackward0", sub(*pairs), p, 1, False)
