"""Scattering: many elements meet in one place, and are added up, multiplied,
averaged or compared there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import wrap_dim
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import Value
from tidu.ops.cast import cast
from tidu.ops.elementwise import eq, logical_and, maximum, ne, where
from tidu.ops.indexing.along import check_along, gather, into, scatter, scatter_add
from tidu.ops.indexing.bounds import in_range
from tidu.ops.indexing.selection import require_index
from tidu.ops.moving.movement import expand, reshape, slice_, whole_ranges
from tidu.ops.rules import PART, class_name, is_number
from tidu.ops.sources import full

_UFUNCS = {
    "sum": np.add,
    "prod": np.multiply,
    "amax": np.maximum,
    "amin": np.minimum,
    "mean": np.add,
}
REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, index, source = inputs
    if x.dtype is not source.dtype:
        raise RuntimeError(
            f"scatter_reduce(): Expected self.dtype to be equal to src.dtype, but got {x.dtype} and"
            f" {source.dtype}"
        )
    check_along("scatter_reduce", x, attrs[0], index, source)
    return inputs, x.shape, x.dtype


def _neutral(reduce: str, d: Any) -> Any:
    """The number that changes nothing under a reduction."""
    if reduce in ("sum", "mean"):
        return 0
    if reduce == "prod":
        return 1
    if d.kind == "f":
        return -np.inf if reduce == "amax" else np.inf
    limits = (False, True) if d.kind == "b" else (np.iinfo(d).min, np.iinfo(d).max)
    return limits[0] if reduce == "amax" else limits[1]


def _numpy(x: Any, index: Any, source: Any, dim: int, reduce: str, include_self: bool) -> Any:
    out = x.copy()
    if not index.size:
        return out
    shape = out.shape
    if not x.ndim:
        out, index, source, dim = out.reshape(1), index.reshape(-1), source.reshape(-1), 0
    in_range(index, out.shape[dim], dim)
    key: list[Any] = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    key[dim] = index
    places = tuple(key)
    part = source[tuple(slice(n) for n in index.shape)]
    if not include_self:
        out[places] = _neutral(reduce, out.dtype)
    _UFUNCS[reduce].at(out, places, part)
    if reduce == "mean":
        counts = np.full(out.shape, 1 if include_self else 0)
        np.add.at(counts, places, 1)
        counts = np.maximum(counts, 1)
        out = out / counts if out.dtype.kind == "f" else out // counts
    return out.reshape(shape)


def _touched(x: Any, index: Any, dim: int, d: Any) -> Any:
    """How many elements arrive at each place."""
    return scatter_add(full(0.0, x.shape, d), index, full(1.0, index.shape, d), dim)


def _counts(x: Any, index: Any, dim: int, include_self: bool, d: Any) -> Any:
    arrived = _touched(x, index, dim, d)
    return arrived + 1.0 if include_self else maximum(arrived, full(1.0, x.shape, d))


def _kept(g: Any, x: Any, index: Any, dim: int, include_self: bool) -> Any:
    """The cotangent of `input`: none where it was replaced."""
    return g if include_self else scatter(g, index, 0.0, dim)


def _part(source: Any, index: Any) -> Any:
    """The corner of `source` that the index covers."""
    if tuple(source.shape) == tuple(index.shape):
        return source
    if len(source.shape) != len(index.shape):  # 0-d tensors count as having one dimension
        return reshape(source, index.shape)
    return slice_(source, whole_ranges(index.shape))


def _shares(
    g: Any, out: Any, x: Any, index: Any, source: Any, dim: int, include_self: bool
) -> tuple[Any, Any, Any]:
    """For extremes: which elements are the one chosen, and the cotangent divided among them. Where
    NaN is the extreme nothing equals it, and the division by 0 makes the gradient NaN.
    """
    chosen = cast(eq(_part(source, index), gather(out, index, dim)), g.dtype)
    own = cast(eq(x, out), g.dtype)
    own = own if include_self else scatter(own, index, 0.0, dim)
    many = scatter_add(own, index, chosen, dim)
    return g / many, own, chosen


def _other_factors(
    x: Any, index: Any, source: Any, dim: int, include_self: bool
) -> tuple[Any, Any]:
    """The product of all other factors, for `input` and for `source`; right where one factor is
    zero, unless these are to be differentiated.
    """
    part = _part(source, index)
    own = x if include_self else scatter(x, index, 1.0, dim)
    own_zero, part_zero = eq(own, 0), eq(part, 0)
    d = x.dtype
    zeros = scatter_add(cast(own_zero, d), index, cast(part_zero, d), dim)
    others = scatter_reduce_(
        where(own_zero, 1.0, own), index, where(part_zero, 1.0, part), dim, "prod", True
    )

    def without(factor: Any, zero: Any, others: Any, zeros: Any) -> Any:
        rest = zeros - cast(zero, d)
        return where(ne(rest, 0), 0.0, others / where(zero, 1.0, factor))

    return without(own, own_zero, others, zeros), without(
        part, part_zero, gather(others, index, dim), gather(zeros, index, dim)
    )


def _product_vjp_input(
    g: Any, x: Any, index: Any, source: Any, dim: int, include_self: bool
) -> Any:
    """As PyTorch's, where this is to be differentiated: the product without a zero in `input`."""
    if g.__class__ is Value:
        return g * _other_factors(x, index, source, dim, include_self)[0]
    factor = where(eq(x, 0), 1.0, x)
    return g * scatter_reduce_(factor, index, source, dim, "prod", include_self) / factor


def _product_vjp_source(
    g: Any, out: Any, x: Any, index: Any, source: Any, dim: int, include_self: bool
) -> Any:
    """As PyTorch's, where this is to be differentiated: it divides the result, unless the factor is
    the only zero of `source`.
    """
    if g.__class__ is Value:
        return gather(g, index, dim) * _other_factors(x, index, source, dim, include_self)[1]
    part = _part(source, index)
    zero = eq(part, 0)
    zeros = scatter_add(full(0.0, x.shape, x.dtype), index, cast(zero, x.dtype), dim)
    single = logical_and(zero, eq(gather(zeros, index, dim), 1))
    others = scatter_reduce_(x, index, where(single, 1.0, part), dim, "prod", include_self)
    divided = gather(g * out, index, dim) / where(zero, 1.0, part)
    return where(single, gather(g * others, index, dim), divided)


def _vjp_input(
    g: Any, out: Any, x: Any, index: Any, source: Any, dim: int, reduce: str, include_self: bool
) -> Any:
    if reduce == "mean":
        g = g / _counts(x, index, dim, include_self, g.dtype)
    elif reduce == "prod":
        g = _product_vjp_input(g, x, index, source, dim, include_self)
    elif reduce in ("amax", "amin"):
        share, own, _ = _shares(g, out, x, index, source, dim, include_self)
        return share * own + (
            0.0
            if include_self
            else _untouched(g, x, index, dim) - _untouched(share * own, x, index, dim)
        )
    return _kept(g, x, index, dim, include_self)


def _untouched(g: Any, x: Any, index: Any, dim: int) -> Any:
    return where(eq(_touched(x, index, dim, g.dtype), 0), g, 0.0)


def _vjp_source(
    g: Any, out: Any, x: Any, index: Any, source: Any, dim: int, reduce: str, include_self: bool
) -> Any:
    if reduce == "mean":
        g = g / _counts(x, index, dim, include_self, g.dtype)
    elif reduce == "prod":
        return into(_product_vjp_source(g, out, x, index, source, dim, include_self), source)
    elif reduce in ("amax", "amin"):
        share, _, chosen = _shares(g, out, x, index, source, dim, include_self)
        return into(gather(share, index, dim) * chosen, source)
    return into(gather(g, index, dim), source)


def _samples() -> list[Sample]:
    index = Array((4, 3), 0, 5, "int64")
    cases = [(reduce, include_self) for reduce in REDUCTIONS for include_self in (True, False)]
    return [
        Sample((Array((5, 3), 0.5, 2.0), index, Array((4, 3), 0.5, 2.0), 0, reduce, own))
        for reduce, own in cases
    ]


scatter_reduce_ = define(
    "scatter_reduce",
    inputs="input index source",
    attrs="dim reduce include_self",
    kind="indexing",
    infer=_infer,
    numpy=_numpy,
    vjp=(_vjp_input, None, _vjp_source),
    samples=_samples,
    dtypes="float",
    reference=lambda torch, x, index, source, dim, reduce, include_self: torch.scatter_reduce(
        x, dim, index, source, reduce, include_self=include_self
    ),
)


def _require_long(operation: str, index: Any) -> None:
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            f"{operation}(): Expected dtype int32/int64 for index, but got {index.dtype}"
        )


def _require_tensor(operation: str, position: int, x: Any) -> None:
    if is_number(x):
        raise TypeError(
            f"{operation}(): argument 'src' (position {position}) must be Tensor, not"
            f" {type(x).__name__}"
        )


def _as_vector(x: Any, input: Any) -> Any:
    """A 0-d index or source as a vector of one element, unless the input is 0-d itself."""
    return reshape.named(PART, x, (1,)) if input.shape and not x.shape else x


@function("torch.scatter Tensor.scatter", inplace=True)
def scatter_along(
    input: Any,
    dim: int,
    index: Any,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Any:
    """`input` with out[index[i][j]][j] = src[i][j] for `dim` 0, and so on;
    `src` a tensor or a number.

    `reduce` "add" or "multiply" combines instead of replacing. Raises RuntimeError for shapes or
    dtypes that do not fit, and for indices out of range.

    >>> torch.zeros(3).scatter(0, torch.tensor([1]), 5.0)
    tensor([0., 5., 0.])
    """
    source = value if src is None else src
    _require_long("scatter", index)
    d = wrap_dim(dim, len(input.shape))
    number = is_number(source)
    if not number and source.dtype is not input.dtype:
        raise RuntimeError(
            "scatter(): Expected self.dtype to be equal to src.dtype, but got "
            f"{input.dtype} and {source.dtype}"
        )
    index = _as_vector(index, input)
    source = source if number else _as_vector(source, input)
    if reduce is None:
        return scatter.named(
            "ScatterBackward1" if number else "ScatterBackward0", input, index, source, d
        )
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if number:
        source = full(source, tuple(index.shape), input.dtype)
    if reduce == "add":
        return scatter_add.named("ScatterBackward2", input, index, source, d)
    return scatter_reduce_.named("ScatterBackward2", input, index, source, d, "prod", True)


@function("torch.scatter_add Tensor.scatter_add", inplace=True)
def scatter_add_along(input: Any, dim: int, index: Any, src: Any) -> Any:
    """`input` with out[index[i][j]][j] += src[i][j] for `dim` 0, and so on."""
    _require_tensor("scatter_add", 3, src)
    _require_long("scatter_add", index)
    if src.dtype is not input.dtype:
        raise RuntimeError(
            f"scatter(): Expected self.dtype to be equal to src.dtype, but got {input.dtype} and"
            f" {src.dtype}"
        )
    d = wrap_dim(dim, len(input.shape))
    return scatter_add(input, _as_vector(index, input), _as_vector(src, input), d)


@function("torch.scatter_reduce Tensor.scatter_reduce", inplace=True)
def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """The elements of `src` combined where `index` sends them:
    "sum", "prod", "mean", "amax" or "amin".

    Without `include_self` the elements of `input` do not take part at the places that are written
    to.
    """
    _require_tensor("scatter_reduce", 3, src)
    _require_long("scatter_reduce", index)
    if reduce not in REDUCTIONS:
        raise RuntimeError("reduce argument must be either sum, prod, mean, amax or amin.")
    index, src = _as_vector(index, input), _as_vector(src, input)
    return scatter_reduce_(input, index, src, wrap_dim(dim, len(input.shape)), reduce, include_self)


@function("torch.index_reduce Tensor.index_reduce", inplace=True)
def index_reduce(
    input: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """Slices of `source` combined with those of `input` that a vector of indices names.

    `reduce` is "prod", "mean", "amax" or "amin".
    """
    require_index("index_reduce", index)
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got"
            f" {reduce}."
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"index_reduce(): self ({class_name(input.dtype)}) and source"
            f" ({class_name(source.dtype)}) must have the same scalar type"
        )
    d = wrap_dim(dim, len(input.shape))
    if len(index.shape) > 1:
        raise IndexError("index_reduce_(): Index is supposed to be a vector")
    if not source.shape:
        places = index
    else:
        places = expand(
            reshape(index, tuple(-1 if i == d else 1 for i in range(len(source.shape)))),
            tuple(source.shape),
        )
    return scatter_reduce_.named(
        "IndexReduceBackward0", input, places, source, d, reduce, include_self
    )
