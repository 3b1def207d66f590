"""Scans: sums and extremes of everything up to each place."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import wrap_dim
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.cast import as_dtype, cast
from tidu.ops.elementwise import eq, exp, isinf, logical_and, where
from tidu.ops.indexing.along import gather
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import flip, slice_along
from tidu.ops.results import CumMax, CumMin, Results
from tidu.ops.rules import promote, same
from tidu.ops.sources import full

_SHAPES = [((3, 4), 0), ((3, 4), 1), ((2, 3, 4), 1), ((5,), 0), ((), 0), ((0, 3), 1)]


def scan_samples(low: float = -2.0, high: float = 2.0) -> Any:
    def make() -> list[Sample]:
        samples = [Sample((Array(shape, low, high), dim, False)) for shape, dim in _SHAPES]
        return [*samples, Sample((Array((3, 4), low, high), 1, True))]

    return make


def accumulated(function_: Any) -> Any:
    """A NumPy accumulation, which a 0-d array has none of. If it is `wide`, it goes on in float64,
    and only its results are rounded.
    """

    def run(x: Any, dim: int, wide: bool) -> Any:
        return function_(x, dim, np.float64 if wide else None) if x.ndim else x

    return run


def is_wide(x: Any) -> bool:
    """Whether scans of `x` are `wide`: as in PyTorch, those of float32 are. Halves arrive in
    float32, and stay in that.
    """
    return x.dtype is dtypes.float32


def scanned(op: Op, x: Any, dim: int) -> Any:
    """A scan of `x`, `wide` if it is to be."""
    return op(x, dim, is_wide(x))


def infer_accumulated(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,) = inputs
    if x.dtype.category != dtypes.FLOAT and x.dtype is not dtypes.int64:
        x = cast.value((x,), (dtypes.int64,))
    return (x,), x.shape, x.dtype


def reversed_sum(g: Any, dim: int) -> Any:
    return flip(scanned(cumsum_, flip(g, (dim,)), dim), (dim,)) if g.shape else g


cumsum_ = define(
    "cumsum",
    attrs="dim wide",
    kind="host",
    infer=infer_accumulated,
    numpy=accumulated(np.add.accumulate),
    vjp=(lambda g, out, x, dim, wide: reversed_sum(g, dim),),
    samples=scan_samples(),
    reference=lambda torch, x, dim, wide: torch.cumsum(x, dim),
    tolerance=2.0,
)


def _recurrence_numpy(factor: Any, term: Any, dim: int, wide: bool) -> Any:
    if wide:
        factor, term = factor.astype(np.float64), term.astype(np.float64)
    factor, term = np.moveaxis(factor, dim, 0), np.moveaxis(term, dim, 0)
    out = np.empty_like(term)
    state = np.zeros_like(term[0]) if len(term) else None
    for i in range(len(term)):
        state = factor[i] * state + term[i] if i else term[i]
        out[i] = state
    return np.moveaxis(out, 0, dim)


def shifted(x: Any, dim: int, first: float) -> Any:
    """The numbers moved one place on along `dim`, with `first` in the free place."""
    n = x.shape[dim]
    start = full(first, tuple(1 if i == dim else m for i, m in enumerate(x.shape)), x.dtype)
    return cat_((start, slice_along(x, dim, 0, n - 1)), dim) if n else x


def backwards(factor: Any, g: Any, dim: int) -> Any:
    """u_i = g_i + factor_{i+1} · u_{i+1}: how a cotangent runs back through a recurrence."""
    if not g.shape[dim]:
        return g
    before = shifted(flip(factor, (dim,)), dim, 0.0)
    return flip(recurrence(before, flip(g, (dim,)), dim, is_wide(g)), (dim,))


# y_i = factor_i · y_{i-1} + term_i along one dimension: what the derivatives of products of sums
# consist of.
recurrence = define(
    "recurrence",
    inputs="factor term",
    attrs="dim wide",
    kind="host",
    infer=lambda op, inputs, attrs: (*(promote(inputs)[:1]), inputs[1].shape, inputs[1].dtype),
    numpy=_recurrence_numpy,
    vjp=(
        lambda g, out, factor, term, dim, wide: backwards(factor, g, dim) * shifted(out, dim, 0.0),
        lambda g, out, factor, term, dim, wide: backwards(factor, g, dim),
    ),
    samples=lambda: [
        Sample((Array((4, 3)), Array((4, 3)), 0, False)),
        Sample((Array((2, 5)), Array((2, 5)), 1, True)),
    ],
    dtypes="float",
    reference=lambda torch, factor, term, dim, wide: _torch_recurrence(torch, factor, term, dim),
)


def _torch_recurrence(torch: Any, factor: Any, term: Any, dim: int) -> Any:
    states: list[Any] = []
    for f, t in zip(factor.unbind(dim), term.unbind(dim), strict=True):
        states.append(f * states[-1] + t if states else t)
    return torch.stack(states, dim)


def _distance(a: Any, b: Any) -> Any:
    """a - b, and 0 where both are the same infinity."""
    return where(logical_and(eq(a, b), isinf(a)), 0.0, a - b)


def _logcumsumexp_vjp(g: Any, out: Any, x: Any, dim: int, wide: bool) -> Any:
    """Σ over j >= i of g_j · exp(x_i - out_j), where `out` never decreases,
    so that no exponent is positive.
    """
    if not x.shape:
        return g
    factor = exp(_distance(shifted(out, dim, 0.0), out))
    return exp(_distance(x, out)) * backwards(factor, g, dim)


def _logcumsumexp_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    if not inputs[0].dtype.is_floating_point:
        raise NotImplementedError(
            f"logcumsumexp() is not implemented for {inputs[0].dtype}; write x.float()"
        )
    return same(op, inputs, attrs)


logcumsumexp_ = define(
    "logcumsumexp",
    attrs="dim wide",
    kind="host",
    infer=_logcumsumexp_infer,
    numpy=accumulated(np.logaddexp.accumulate),
    vjp=(_logcumsumexp_vjp,),
    samples=scan_samples(),
    dtypes="float",
    reference=lambda torch, x, dim, wide: torch.logcumsumexp(x, dim),
)


def _extreme_places(extreme: Any) -> Any:
    def run(x: Any, dim: int) -> Any:
        if not x.ndim or not x.size:
            return np.zeros(x.shape, np.int64)
        if x.dtype.kind == "V":
            x = x.astype(np.float32)
        best = extreme.accumulate(x, dim)
        places = np.arange(x.shape[dim]).reshape([-1 if i == dim else 1 for i in range(x.ndim)])
        return np.maximum.accumulate(np.where((x == best) | (x != x), places, 0), dim)

    return run


def _cumulative_extreme(name: str, ufunc: Any) -> Op:
    return define(
        f"{name}_places",
        attrs="dim",
        kind="host",
        infer=lambda op, inputs, attrs: (inputs, inputs[0].shape, dtypes.int64),
        numpy=_extreme_places(ufunc),
        samples=lambda: [Sample((Array(shape, -2.0, 2.0), dim)) for shape, dim in _SHAPES],
        reference=lambda torch, x, dim: getattr(torch, name)(x, dim).indices,
    )


cummax_places = _cumulative_extreme("cummax", np.maximum)
cummin_places = _cumulative_extreme("cummin", np.minimum)


@function("torch.cumsum Tensor.cumsum", inplace=True)
def cumsum(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The sums of the elements up to each place along `dim`; integers and bools as int64.

    >>> torch.tensor([1, 2, 3]).cumsum(0)
    tensor([1, 3, 6])
    """
    d = wrap_dim(dim, len(input.shape))
    return as_dtype(scanned(cumsum_, as_dtype(input, dtype), d), dtype)


@function("torch.logcumsumexp Tensor.logcumsumexp")
def logcumsumexp(input: Any, dim: int) -> Any:
    """log Σ exp(x) of the elements up to each place along `dim`, without overflow."""
    return scanned(logcumsumexp_, input, wrap_dim(dim, len(input.shape)))


def _cumulative(places: Op, kind: type[Results], grad_name: str, input: Any, dim: int) -> Results:
    d = wrap_dim(dim, len(input.shape))
    found = places(input, d)
    return kind((gather.named(grad_name, input, found, d), found))


@function("torch.cummax Tensor.cummax")
def cummax(input: Any, dim: int) -> Results:
    """(values, indices) of the greatest element up to each place along `dim`
    (the last of equal ones).
    """
    return _cumulative(cummax_places, CumMax, "CummaxBackward0", input, dim)


@function("torch.cummin Tensor.cummin")
def cummin(input: Any, dim: int) -> Results:
    """(values, indices) of the least element up to each place along `dim` (the last of equals)."""
    return _cumulative(cummin_places, CumMin, "CumminBackward0", input, dim)
