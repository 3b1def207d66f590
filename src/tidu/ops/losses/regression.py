"""Losses of regression: a number is compared with the number it should be."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base.dtypes import get_default_dtype
from tidu.base.strides import result_strides
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_full_precision
from tidu.ops.elementwise import abs_, clamp, exp, log, mul, pow_, sub, where
from tidu.ops.elementwise.two_operands import xlogy
from tidu.ops.losses.reduction import (
    collect,
    collect_numpy,
    pair_infer,
    reduced_shape,
    reduction_of,
    share,
    warn_if_sizes_differ,
)
from tidu.ops.moving.movement import reshape
from tidu.ops.rules import not_implemented, promote, same, shape_of
from tidu.ops.sources import full


def _pairs(*attrs: Any) -> Any:
    def make() -> list[Sample]:
        shapes = [((3, 4), (3, 4)), ((5,), (5,)), ((2, 3), (3,)), ((), ()), ((0, 2), (0, 2))]
        words = ["mean", "sum", "none", "mean", "sum"]
        return [
            Sample((Array(s), Array(t), word, *attrs))
            for (s, t), word in zip(shapes, words, strict=True)
        ]

    return make


def _torch_pair(name: str, keyword: str = "") -> Any:
    def reference(torch: Any, x: Any, target: Any, reduction: str, *attrs: Any) -> Any:
        x, target = torch.broadcast_tensors(x, target)
        return getattr(torch.nn.functional, name)(
            x, target, reduction=reduction, **({keyword: attrs[0]} if keyword else {})
        )

    return reference


def _mse_numpy(x: Any, target: Any, reduction: str) -> Any:
    difference = x - target
    if reduction == "none" or not difference.size:
        return collect_numpy(np.square(difference), reduction)
    flat = difference.reshape(-1)
    total = np.dot(flat, flat)
    return total / flat.size if reduction == "mean" else total


def _square(x: Any) -> Any:
    return x * x


def _mse_vjp(g: Any, out: Any, x: Any, target: Any, reduction: str) -> tuple[Any, Any]:
    difference = x - target
    slope = difference * (share(g, difference.shape, reduction) * 2.0)
    return slope, -slope


mse = define(
    "mse_loss",
    inputs="input target",
    attrs="reduction",
    kind="composite",
    strides=result_strides,
    infer=pair_infer("mse_cpu"),
    numpy=_mse_numpy,
    decompose=lambda x, target, reduction: collect(_square(x - target), reduction),
    vjp=_mse_vjp,
    samples=_pairs(),
    dtypes="float",
    reference=_torch_pair("mse_loss"),
)


def _require_same(weight: Any, input: Any) -> None:
    if tuple(weight.shape) != tuple(input.shape):
        raise ValueError(
            "Weights and input must have the same size. The weight has shape "
            f"{list(weight.shape)}, the input {list(input.shape)}"
        )


def _weighted(losses: Any, weight: Any, reduction: str) -> Any:
    """Weighted losses, and their sum over the sum of the weights as the mean."""
    losses = losses * weight
    if reduction == "mean":
        return collect(losses, "sum") / collect(weight, "sum")
    return collect(losses, reduction)


@function("torch.nn.functional.mse_loss")
@in_full_precision
def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """(input - target)², averaged, summed or (`reduction="none"`) as it is.

    With `weight`, of the input's shape, the weighted mean. Warns if the shapes differ.

    >>> F.mse_loss(torch.tensor([1., 2.]), torch.tensor([0., 4.]))
    tensor(2.5000)
    """
    warn_if_sizes_differ(input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    if weight is None:
        return mse(input, target, reduction)
    _require_same(weight, input)
    return _weighted(pow_(sub(input, target), 2), weight, reduction)


@function("torch.nn.functional.l1_loss")
@in_full_precision
def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """|input - target|, averaged, summed or as it is; `weight` as in `mse_loss`.

    Warns if the shapes differ.
    """
    warn_if_sizes_differ(input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    losses = abs_(sub(input, target))
    if weight is None:
        return collect(losses, reduction)
    _require_same(weight, input)
    return _weighted(losses, weight, reduction)


def _smooth_l1(x: Any, target: Any, reduction: str, beta: float) -> Any:
    distance = abs_(x - target)
    return collect(
        where(distance < beta, distance * distance * (0.5 / beta), distance - 0.5 * beta), reduction
    )


def _smooth_l1_vjp(
    g: Any, out: Any, x: Any, target: Any, reduction: str, beta: float
) -> tuple[Any, Any]:
    difference = x - target
    slope = clamp(difference / beta, -1.0, 1.0) * share(g, difference.shape, reduction)
    return slope, -slope


smooth_l1 = define(
    "smooth_l1_loss",
    inputs="input target",
    attrs="reduction beta",
    kind="composite",
    strides=result_strides,
    infer=pair_infer("smooth_l1_cpu"),
    decompose=_smooth_l1,
    vjp=_smooth_l1_vjp,
    grad_name="SmoothL1LossBackward0",
    samples=_pairs(0.7),
    dtypes="float",
    reference=_torch_pair("smooth_l1_loss", "beta"),
)


@function("torch.nn.functional.smooth_l1_loss")
@in_full_precision
def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """d²/(2 `beta`) where d = |input - target| < `beta`,
    else d - `beta`/2 (Girshick, "Fast R-CNN", 2015).

    Raises RuntimeError for a negative `beta`; 0 gives `l1_loss`. Warns if the shapes differ.
    """
    warn_if_sizes_differ(input, target)
    reduction = reduction_of(reduction, size_average, reduce)
    if beta < 0:
        raise RuntimeError(f"smooth_l1_loss does not support negative values for beta. Got {beta}")
    if beta == 0:
        return collect(abs_(sub(input, target)), reduction)
    return smooth_l1(input, target, reduction, float(beta))


def _huber(x: Any, target: Any, reduction: str, delta: float) -> Any:
    distance = abs_(x - target)
    return collect(
        where(distance < delta, distance * distance * 0.5, (distance - 0.5 * delta) * delta),
        reduction,
    )


def _huber_vjp(
    g: Any, out: Any, x: Any, target: Any, reduction: str, delta: float
) -> tuple[Any, Any]:
    difference = x - target
    slope = clamp(difference, -delta, delta) * share(g, difference.shape, reduction)
    return slope, -slope


def _huber_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    shape, d = shape_of(op, inputs), inputs[0].dtype
    if not d.is_floating_point:
        d = promote(inputs)[1]
        if not d.is_floating_point:
            raise not_implemented("huber_cpu", d)
    # PyTorch writes the result in the dtype of the input, where that is a float.
    return promote(inputs, d)[0], reduced_shape(shape, attrs[0]), d


huber = define(
    "huber_loss",
    inputs="input target",
    attrs="reduction delta",
    kind="composite",
    strides=result_strides,
    infer=_huber_infer,
    decompose=_huber,
    vjp=_huber_vjp,
    samples=_pairs(0.7),
    dtypes="float",
    reference=_torch_pair("huber_loss", "delta"),
)


@function("torch.nn.functional.huber_loss")
@in_full_precision
def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """d²/2 where d = |input - target| < `delta`, else `delta` · (d - `delta`/2) (Huber, 1964).

    Raises RuntimeError unless `delta` is positive. Warns if the shapes differ.
    """
    warn_if_sizes_differ(input, target)
    reduction = reduction_of(reduction, None, None)
    if delta <= 0:
        raise RuntimeError(
            f"huber_loss does not support non-positive values for delta. Got {delta}"
        )
    if weight is None:
        return huber(input, target, reduction, float(delta))
    _require_same(weight, input)
    return collect(huber(input, target, "none", float(delta)) * weight, reduction)


@function("torch.nn.functional.poisson_nll_loss")
@in_full_precision
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """exp(input) - target · input, or input - target · log(input + `eps`) without `log_input`.

    `full` adds Stirling's approximation of log(target!) for targets above 1.
    """
    return _poisson(
        input, target, log_input, full, eps, reduction_of(reduction, size_average, reduce)
    )


def _poisson(
    input: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: str
) -> Any:
    if log_input:
        losses = exp(input) - target * input
    else:
        losses = input - target * log(input + eps)
    if full:
        stirling = xlogy(target, target) - target + log(target * (2 * math.pi)) * 0.5
        losses = losses + where(target <= 1, 0.0, stirling)
    return collect(losses, reduction)


def _variance_numpy(variance: Any, eps: float) -> Any:
    if (variance < 0).any():
        raise ValueError("var has negative entry/entries")
    return np.maximum(variance, eps)


# A variance bounded from below, with the gradient of the variance itself. It refuses negative ones
# when it is run.
bounded_variance = define(
    "bounded_variance",
    attrs="eps",
    kind="host",
    strides=result_strides,
    infer=same,
    numpy=_variance_numpy,
    vjp=(lambda g, out, variance, eps: g,),
    grad_name="CloneBackward0",
    samples=lambda: [Sample((Array((3, 4), 0.1, 2.0), 1e-6)), Sample((Array((), 0.1, 2.0), 1e-6))],
    dtypes="float",
    reference=lambda torch, variance, eps: torch.clamp(variance, min=eps),
)


def _matching_variance(input: Any, variance: Any) -> Any:
    """The variance with as many dimensions as the input; ValueError if it fits no way."""
    shape, given = tuple(input.shape), tuple(variance.shape)
    if given == shape:
        return variance
    if given == shape[:-1]:
        return reshape(variance, (*given, 1))
    if (
        len(given) == len(shape)
        and sum(m for n, m in zip(shape, given, strict=True) if n != m) == 1
    ):
        return variance
    raise ValueError(
        f"var is of incorrect size: the input has shape {list(shape)}, var {list(given)}; it takes "
        "the input's shape, that without the last dimension, or one with a single dimension of "
        "size 1"
    )


def _constant(number: float, like: Any) -> Any:
    """One number everywhere, in a shape and, of the floats, in a dtype that is there."""
    d = like.dtype if like.dtype.is_floating_point else get_default_dtype()
    return full(number, tuple(like.shape), d)


@function("torch.nn.functional.gaussian_nll_loss")
def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """(log v + (input - target)²/v)/2 with v = max(`var`, `eps`); `full` adds log(2π)/2.

    `var` is a number, or a tensor of the input's shape or of one that broadcasts to it in one
    dimension. Raises ValueError if it does not, or is negative (Nix and Weigend, 1994).
    """
    if isinstance(var, (int, float)):
        if var < 0:
            raise ValueError(f"var has negative entry/entries: it is {var}")
        var = _constant(float(var), input)
    var = _matching_variance(input, var)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid; reduction takes 'none', 'mean' or 'sum'")
    var = bounded_variance(var, float(eps))
    losses = mul(log(var) + pow_(sub(input, target), 2) / var, 0.5)
    if full:
        losses = losses + 0.5 * math.log(2 * math.pi)
    return collect(losses, reduction)
