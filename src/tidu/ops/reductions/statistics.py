"""Statistics: sums that skip NaN, quantiles, covariance, histograms."""

from __future__ import annotations

import math
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import wrap_dim, wrap_dims
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_full_precision
from tidu.ops.cast import as_dtype, cast
from tidu.ops.elementwise import (
    ceil,
    clamp,
    div,
    floor,
    isnan,
    logical_not,
    mul,
    round_,
    sqrt,
    sub,
    where,
)
from tidu.ops.elementwise.blending import lerp_
from tidu.ops.indexing.along import gather
from tidu.ops.indexing.sorting import sort
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.movement import expand, permute, reshape, slice_along
from tidu.ops.moving.shaping import squeeze
from tidu.ops.moving.triangles import diag
from tidu.ops.reductions.reduce import spread, sum_
from tidu.ops.results import Histogram, Results
from tidu.ops.rules import class_name, is_number

Dims = tuple[int, ...]


def _infer_nansum(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return sum_.infer(sum_, inputs, attrs)


nansum_ = define(
    "nansum",
    attrs="dims keepdim",
    kind="composite",
    infer=_infer_nansum,
    decompose=lambda x, dims, keepdim: sum_(
        where(isnan(x), 0.0, x) if x.dtype.is_floating_point else x, dims, keepdim
    ),
    vjp=(lambda g, out, x, dims, keepdim: spread(g, x.shape, dims, keepdim) * ~isnan(x),),
    samples=lambda: [
        Sample((Array((3, 4)), (0,), False)),
        Sample((Array((2, 3, 4)), (0, 2), True)),
        Sample((Array(()), (), False)),
    ],
    dtypes="number",
    reference=lambda torch, x, dims, keepdim: torch.nansum(x, dims or None, keepdim),
)


@function("torch.nansum Tensor.nansum")
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over `dim`, NaN counting as 0."""
    x = as_dtype(input, dtype)
    return as_dtype(nansum_(x, wrap_dims(dim, len(input.shape)), keepdim), dtype)


@function("torch.nanmean Tensor.nanmean")
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over `dim` of the elements that are not NaN."""
    if not input.dtype.is_floating_point:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got"
            f" {class_name(input.dtype)}"
        )
    dims = wrap_dims(dim, len(input.shape))
    count = sum_(logical_not(isnan(input)), dims, keepdim)
    return div(nansum(input, dims, keepdim, dtype=dtype), count)


_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _check_quantile(name: str, input: Any, q: Any, interpolation: str) -> None:
    if prod(input.shape) == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            f"{name}() input tensor must be either float or double dtype, but is {input.dtype}"
        )
    if is_number(q):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
    else:
        if len(q.shape) > 1:
            raise RuntimeError(
                f"{name}() q must be a scalar or 1D tensor, but has shape {list(q.shape)}"
            )
        if q.dtype is not input.dtype:
            raise RuntimeError(
                f"{name}() q tensor must be same dtype as the input tensor, {input.dtype}, but is"
                f" {q.dtype}"
            )
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, but"
            f" got {interpolation}"
        )


def _quantile(
    name: str,
    input: Any,
    q: Any,
    dim: int | None,
    keepdim: bool,
    interpolation: str,
    ignore_nan: bool,
) -> Any:
    _check_quantile(name, input, q, interpolation)
    rank = len(input.shape)
    if dim is None:
        x, kept = reshape(input, (-1,)), (1,) * rank
    else:
        d = wrap_dim(dim, rank)
        x = (
            permute(input, (*(i for i in range(rank) if i != d), d))
            if rank
            else reshape(input, (1,))
        )
        kept = tuple(1 if i == d else n for i, n in enumerate(input.shape))
    ordered = sort(x)[0]
    n = ordered.shape[-1]
    single = is_number(q) or not q.shape
    many = input.new_full((1,), q) if is_number(q) else reshape(q, (prod(q.shape),))
    last = len(ordered.shape) - 1
    if ignore_nan:
        known = cast(sum_(logical_not(isnan(ordered)), (last,), True), input.dtype)
        ranks = mul(many, clamp(known - 1.0, 0.0, None))
    else:
        # A NaN, which sorts last, is the answer for every q.
        spoiled = isnan(slice_along(ordered, last, n - 1, n))
        ranks = where(spoiled, float(n - 1), many * float(n - 1))
    ranks = expand(ranks, (*ordered.shape[:-1], many.shape[0]))
    if interpolation == "nearest":
        ranks = round_(ranks)
    elif interpolation == "lower":
        ranks = floor(ranks)
    elif interpolation == "higher":
        ranks = ceil(ranks)
    below = floor(ranks)
    values = gather(ordered, cast(below, dtypes.int64), last)
    if interpolation in ("linear", "midpoint"):
        above = gather(ordered, cast(ceil(ranks), dtypes.int64), last)
        weights = 0.5 if interpolation == "midpoint" else sub(ranks, below)
        values = lerp_.named(
            "LerpBackward0" if is_number(weights) else "LerpBackward1", values, above, weights
        )
    if single:
        shape = kept if keepdim else tuple(ordered.shape[:-1])
        return reshape.named("SqueezeBackward4", values, shape)
    front = permute.named("SqueezeBackward4", values, (last, *range(last)))
    return reshape.named("SqueezeBackward4", front, (many.shape[0], *kept)) if keepdim else front


@function("torch.quantile Tensor.quantile")
@in_full_precision
def quantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """The q-th quantiles along `dim` (or of all elements), interpolated between neighbors; NaN if
    there is one.

    `q` is a number in [0, 1] or a vector of them, whose dimension comes first in the result.

    >>> torch.quantile(torch.tensor([0., 1., 2., 3.]), 0.5)
    tensor(1.5000)
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@function("torch.nanquantile Tensor.nanquantile")
@in_full_precision
def nanquantile(
    input: Any,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> Any:
    """`quantile` of the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


def _check_weights(name: str, weights: Any, count: int, integers: bool) -> None:
    if len(weights.shape) > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {len(weights.shape)}"
            " dimensions"
        )
    if weights.dtype.is_floating_point == integers:
        kind = "integral" if integers else "floating point"
        raise RuntimeError(
            f"cov(): expected {name} to have {kind} dtype but got {name} with dtype"
            f" {class_name(weights.dtype)}"
        )
    if prod(weights.shape) != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input"
            f" but got {prod(weights.shape)} != {count}"
        )


@function("torch.cov Tensor.cov")
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance matrix of variables in rows: Σ w (x - mean)(y - mean) / norm.

    `fweights` count repetitions, `aweights` are relative; `correction` is subtracted from the
    number of observations.
    """
    if len(input.shape) > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with"
            f" {len(input.shape)} dimensions"
        )
    if input.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = reshape(input, (1, prod(input.shape))) if len(input.shape) < 2 else input
    x = x if x.dtype.is_floating_point else cast(x, dtypes.get_default_dtype())
    n = x.shape[1]
    weights = None
    if fweights is not None:
        _check_weights("fweights", fweights, n, True)
        weights = reshape(fweights, (n,))
    if aweights is not None:
        _check_weights("aweights", aweights, n, False)
        relative = reshape(aweights, (n,))
        weights = relative if weights is None else mul(weights, relative)
    if weights is None:
        total: Any = float(n)
        mean = sum_(x, (1,), True) / max(total, 0.0) if n else sum_(x, (1,), True) / math.nan
        norm: Any = float(max(n - correction, 0))
    else:
        weights = cast(weights, x.dtype) if not weights.dtype.is_floating_point else weights
        total = sum_(weights, (0,), False)
        mean = div(sum_(mul(x, weights), (1,), True), total)
        norm = total
        if aweights is None:
            norm = clamp(total - correction, 0.0, None)
        elif correction:
            squares = mul(weights, aweights if fweights is None else reshape(aweights, (n,)))
            norm = clamp(total - correction * div(sum_(squares, (0,), False), total), 0.0, None)
    centered = sub(x, mean)
    weighted = centered if weights is None else mul(centered, weights)
    product = matmul(weighted, permute(as_dtype(centered, weighted.dtype), (1, 0)))
    return squeeze(div(product, norm))


@function("torch.corrcoef Tensor.corrcoef")
def corrcoef(input: Any) -> Any:
    """The matrix of correlation coefficients of variables in rows."""
    if len(input.shape) > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with"
            f" {len(input.shape)} dimensions"
        )
    covariance = cov(input)
    if not covariance.shape:
        return div(covariance, covariance)
    deviation = sqrt(diag(covariance))
    n = deviation.shape[0]
    scaled = div(div(covariance, reshape(deviation, (n, 1))), deviation)
    return clamp.named("ClampBackward1", scaled, -1.0, 1.0)


def _range(x: Any, low: float, high: float) -> tuple[float, float]:
    if low == high and x.size:
        low, high = float(x.min()), float(x.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"torch.histc: range of [{low}, {high}] is not finite")
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    return low, high


def _histc_numpy(x: Any, low: float, high: float, bins: int) -> Any:
    low, high = _range(x, low, high)
    # In the arithmetic of the dtype, as a number at an edge falls where rounding puts it.
    inside = x[(x >= low) & (x <= high)]
    kind = x.dtype.type
    places = ((inside - kind(low)) * (kind(bins) / (kind(high) - kind(low)))).astype(np.int64)
    return np.bincount(np.minimum(places, bins - 1).reshape(-1), minlength=bins)


histc_ = define(
    "histc",
    inputs="input min max",
    attrs="bins",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, (attrs[0],), inputs[0].dtype),
    numpy=_histc_numpy,
    samples=lambda: [Sample((Array((40,)), -1.0, 1.0, 5)), Sample((Array((4, 5)), -3.0, 3.0, 4))],
    dtypes="wide",
    reference=lambda torch, x, low, high, bins: torch.histc(x, bins, low, high),
)


@function("torch.histc Tensor.histc")
def histc(input: Any, bins: int = 100, min: Any = 0, max: Any = 0) -> Any:
    """How many elements fall into each of `bins` equal bins from `min` to `max`
    (those of the data if equal).
    """
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"histogram_cpu\" not implemented for '{class_name(input.dtype)}'; write x.float()"
        )
    if bins <= 0:
        raise RuntimeError(f"torch.histc(): bins must be > 0, but got {bins}")
    if min > max:
        raise RuntimeError(f"torch.histc(): max must be larger than min, but got {min} and {max}")
    return histc_(input, float(min), float(max), int(bins))


def _histogram_numpy(x: Any, edges: Any, weight: Any, density: bool) -> Any:
    counts, _ = np.histogram(
        x.reshape(-1),
        edges,
        weights=None if weight is None else weight.reshape(-1),
        density=density,
    )
    return counts


histogram_ = define(
    "histogram",
    inputs="input edges weight",
    attrs="density",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, (inputs[1].shape[0] - 1,), inputs[0].dtype),
    numpy=_histogram_numpy,
    samples=lambda: [Sample((Array((30,), 0.1, 1), Array((1,), 0, 0), None, False))],
    dtypes="wide",
    reference=lambda torch, x, edges, weight, density: torch.zeros(0, dtype=x.dtype),
)


@function("torch.histogram Tensor.histogram")
def histogram(
    input: Any,
    bins: Any = 100,
    *,
    range: tuple[float, float] | None = None,
    weight: Any = None,
    density: bool = False,
) -> Results:
    """(hist, bin_edges): how many elements, or what weight, falls into each bin;
    `bins` a number or the edges.
    """
    if not input.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"histogram_cpu\" not implemented for '{class_name(input.dtype)}'; write x.float()"
        )
    if isinstance(bins, int):
        if range is None:
            flat = input.detach().numpy()
            low, high = (float(flat.min()), float(flat.max())) if flat.size else (0.0, 1.0)
            low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
        else:
            low, high = float(range[0]), float(range[1])
        edges = input.new_tensor(np.linspace(low, high, bins + 1))
    else:
        edges = bins
    return Histogram((histogram_(input, edges, weight, density), edges))
