"""Losses of yes and no: binary cross entropy of probabilities and of logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.shapes import Shape, broadcast
from tidu.base.strides import result_strides
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_full_precision
from tidu.ops.activations.smooth import log_sigmoid
from tidu.ops.elementwise import clamp, log, log1p, sigmoid
from tidu.ops.losses.reduction import (
    collect,
    collect_numpy,
    reduced_shape,
    reduction_of,
    refuse_gradient,
    share,
)
from tidu.ops.rules import arithmetic, class_name, ends_at, not_implemented, same

_LEAST_LOG = (
    -100.0
)  # logarithms of 0 are cut here, so that a confident mistake costs much, not infinity


def _unit_numpy(x: Any, role: str) -> Any:
    if x.size and not (x.min() >= 0 and x.max() <= 1):
        wrong = x[~((x >= 0) & (x <= 1))].reshape(-1)[0]
        raise RuntimeError(
            f"all elements of {role} should be between 0 and 1, but one of them is {wrong:.6g}. "
            "Put a sigmoid before the loss, or use binary_cross_entropy_with_logits, which takes "
            "any number"
        )
    return x


# The identity, which refuses what is no probability when it is run.
unit_interval = define(
    "unit_interval",
    attrs="role",
    kind="host",
    strides=result_strides,
    infer=same,
    numpy=_unit_numpy,
    samples=lambda: [Sample((Array((3, 4), 0, 1), "input")), Sample((Array((0,), 0, 1), "target"))],
    dtypes="float",
    reference=lambda torch, x, role: x,
)


def _bce_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, target, weight = inputs
    if target.dtype is not x.dtype:
        raise RuntimeError(
            f"Found dtype {class_name(target.dtype)} but expected {class_name(x.dtype)}: the "
            "targets of binary_cross_entropy have the dtype of the input; write "
            f"target.to({x.dtype})"
        )
    if not x.dtype.is_floating_point:
        raise not_implemented("binary_cross_entropy", x.dtype)
    shape = x.shape if weight is None else broadcast(op.name, x.shape, weight.shape)
    return inputs, reduced_shape(shape, attrs[0]), x.dtype


def _bce_numpy(x: Any, target: Any, weight: Any, reduction: str) -> Any:
    x, target = _unit_numpy(x, "input"), _unit_numpy(target, "target")
    yes, no = np.maximum(np.log(x), _LEAST_LOG), np.maximum(np.log1p(-x), _LEAST_LOG)
    losses = (target - 1) * no - target * yes
    return collect_numpy(losses if weight is None else losses * weight, reduction)


def _bce(x: Any, target: Any, weight: Any, reduction: str) -> Any:
    x, target = unit_interval(x, "input"), unit_interval(target, "target")
    yes, no = clamp(log(x), _LEAST_LOG, None), clamp(log1p(-x), _LEAST_LOG, None)
    losses = (target - 1.0) * no - target * yes
    return collect(losses if weight is None else losses * weight, reduction)


def _bce_vjp(g: Any, out: Any, x: Any, target: Any, weight: Any, reduction: str) -> tuple[Any, ...]:
    shape = x.shape if weight is None else broadcast("binary_cross_entropy", x.shape, weight.shape)
    g = share(g, shape, reduction)
    if weight is not None:
        g = g * weight
    g_input = g * ((x - target) / clamp(x * (1.0 - x), 1e-12, None))
    return g_input, g * (log1p(-x) - log(x)), None


def _torch_bce(torch: Any, x: Any, target: Any, weight: Any, reduction: str) -> Any:
    weight = None if weight is None else weight.to(x.dtype)
    return torch.nn.functional.binary_cross_entropy(x, target, weight, reduction=reduction)


def _binary_samples(low: float, high: float, *extra: Any) -> Any:
    def make() -> list[Sample]:
        weight = Array((4,), 1, 3, "int64")  # whole numbers, which ask for no gradient

        def one(shape: Shape, weight: Any, reduction: str) -> Sample:
            return Sample(
                (Array(shape, low, high), Array(shape, 0.1, 0.9), weight, *extra, reduction)
            )

        return [
            one((3, 4), None, "mean"),
            one((3, 4), weight, "mean"),
            one((2, 3, 4), weight, "none"),
            one((5,), None, "sum"),
            one((), None, "mean"),
            one((0, 2), None, "sum"),
        ]

    return make


bce = define(
    "binary_cross_entropy",
    inputs="input target weight",
    attrs="reduction",
    kind="composite",
    strides=result_strides,
    infer=_bce_infer,
    numpy=_bce_numpy,
    decompose=_bce,
    vjp=_bce_vjp,
    ends=ends_at(0, 1),
    samples=_binary_samples(0.1, 0.9),
    dtypes="float",
    reference=_torch_bce,
)


@function("torch.nn.functional.binary_cross_entropy")
@in_full_precision
def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-`weight` · (target · log input + (1 - target) · log(1 - input)), logarithms cut at -100.

    Raises ValueError if the shapes differ, and RuntimeError, when it is run, for an input or a
    target outside [0, 1].
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same "
            f"size.{_same_count(input, target)}"
        )
    refuse_gradient("binary_cross_entropy", "weight", weight)
    return bce(input, target, weight, reduction)


def _same_count(input: Any, target: Any) -> str:
    """The way out where only the arrangement differs."""
    wanted, given = tuple(input.shape), tuple(target.shape)
    if tuple(n for n in wanted if n != 1) != tuple(n for n in given if n != 1):
        return ""
    return f" Write target.reshape({', '.join(map(str, wanted))})."


def _logits_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, target = inputs[:2]
    if not x.dtype.is_floating_point:
        raise not_implemented("log_sigmoid_cpu", x.dtype)
    if not target.dtype.is_floating_point:
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{class_name(target.dtype)}: the targets of binary_cross_entropy_with_logits are "
            "floating point; write target.float()"
        )
    inputs, shape, d = arithmetic(op, inputs, ())
    return inputs, reduced_shape(shape, attrs[0]), d


def _logits(x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    logarithm = log_sigmoid(x)
    if pos_weight is not None:
        logarithm = ((pos_weight - 1.0) * target + 1.0) * logarithm
    losses = (1.0 - target) * x - logarithm
    return collect(losses if weight is None else losses * weight, reduction)


def _logits_numpy(x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    losses = np.log1p(np.exp(-np.abs(x))) - np.minimum(x, 0)  # -log sigmoid(x)
    if pos_weight is not None:
        losses = losses * ((pos_weight - 1) * target + 1)
    losses = losses + (1 - target) * x
    return collect_numpy(losses if weight is None else losses * weight, reduction)


def _logits_vjp(
    g: Any, out: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str
) -> tuple[Any, ...]:
    shape = x.shape
    for other in (weight, pos_weight):
        if other is not None:
            shape = broadcast("binary_cross_entropy_with_logits", shape, other.shape)
    g = share(g, shape, reduction)
    if weight is not None:
        g = g * weight
    if pos_weight is None:
        return g * (sigmoid(x) - target), g * -x, None, None
    positive = pos_weight * target
    g_input = g * ((positive + (1.0 - target)) * sigmoid(x) - positive)
    g_target = g * -(x + (pos_weight - 1.0) * log_sigmoid(x))
    return g_input, g_target, None, None


def _torch_logits(
    torch: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str
) -> Any:
    weight, pos_weight = (None if w is None else w.to(x.dtype) for w in (weight, pos_weight))
    return torch.nn.functional.binary_cross_entropy_with_logits(
        x, target, weight, pos_weight=pos_weight, reduction=reduction
    )


bce_with_logits = define(
    "binary_cross_entropy_with_logits",
    inputs="input target weight pos_weight",
    attrs="reduction",
    kind="composite",
    strides=result_strides,
    infer=_logits_infer,
    numpy=_logits_numpy,
    decompose=_logits,
    vjp=_logits_vjp,
    ends=ends_at(0, 1),
    samples=lambda: [
        *_binary_samples(-3, 3, None)(),
        Sample((Array((3, 4)), Array((3, 4), 0, 1), None, Array((4,), 1, 4, "int64"), "mean")),
        Sample(
            (
                Array((3, 4)),
                Array((3, 4), 0, 1),
                Array((3, 1), 1, 4, "int64"),
                Array((), 1, 4, "int64"),
                "none",
            )
        ),
    ],
    dtypes="float",
    reference=_torch_logits,
)


@function("torch.nn.functional.binary_cross_entropy_with_logits")
@in_full_precision
def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """`binary_cross_entropy` of sigmoid(input), computed so that no logit is too large.

    `pos_weight` multiplies the loss of positive targets, for each class of the last dimension.
    Raises ValueError if the shapes differ, RuntimeError for integer targets.

    >>> F.binary_cross_entropy_with_logits(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if target.shape != input.shape:
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
            f"{_same_count(input, target) and '.' + _same_count(input, target)}"
        )
    refuse_gradient("binary_cross_entropy_with_logits", "weight", weight)
    refuse_gradient("binary_cross_entropy_with_logits", "pos_weight", pos_weight)
    return bce_with_logits(input, target, weight, pos_weight, reduction)
