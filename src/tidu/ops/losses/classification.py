"""Losses of classification: cross entropy, and the divergence of distributions."""

from __future__ import annotations

import math
from typing import Any

from tidu.base.shapes import Shape
from tidu.base.source import warn
from tidu.ir.op import function
from tidu.ir.precision import in_full_precision
from tidu.ops.activations.softmax import log_softmax_
from tidu.ops.cast import cast
from tidu.ops.elementwise import div, eq, exp, mul, neg, sub, where
from tidu.ops.elementwise.two_operands import xlogy
from tidu.ops.losses.negative_log_likelihood import check_weight, class_index, nll_of, weight_of
from tidu.ops.losses.reduction import collect, reduction_of
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import class_name


@function("torch.nn.functional.cross_entropy")
@in_full_precision
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-log softmax(input)[target] for logits (N, C, …) and class indices (N, …), or (C) and ().

    A float target of the input's shape holds probabilities: -Σ target · log softmax(input).
    `label_smoothing` mixes the targets with the uniform distribution. Raises IndexError for a
    target that is no class, RuntimeError for indices that are not int64.

    >>> F.cross_entropy(torch.tensor([[2., 0.]]), torch.tensor([0]))
    tensor(0.1269)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if label_smoothing > 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    rank = len(input.shape)
    dim = 0 if rank == 1 else 1
    if input.shape == target.shape:
        if not target.dtype.is_floating_point:
            raise RuntimeError(
                "Expected floating point type for target with class probabilities, got "
                f"{class_name(target.dtype)}; class indices have one dimension less than the input"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing, dim)
    log_probabilities = log_softmax_(input, (dim,) if rank else ())
    loss = nll_of(log_probabilities, target, weight, ignore_index, reduction)
    if label_smoothing <= 0.0:
        return loss
    classes = input.shape[dim]
    smooth = _uniform_loss(log_probabilities, target, weight, ignore_index, reduction, dim)
    return loss * (1.0 - label_smoothing) + smooth * (label_smoothing / classes)


def _weight_along(weight: Any, rank: int, dim: int) -> Any:
    return reshape(weight, (1,) * dim + (-1,) + (1,) * (rank - dim - 1))


def _uniform_loss(
    log_probabilities: Any, target: Any, weight: Any, ignore_index: int, reduction: str, dim: int
) -> Any:
    """The loss against equal probabilities (times the number of classes),
    for the targets that count.
    """
    weighted = log_probabilities
    if weight is not None:
        weighted = weighted * _weight_along(weight, len(weighted.shape), dim)
    ignored = reshape(eq(target, ignore_index), _without(weighted.shape, dim))
    losses = where(ignored, 0.0, -sum_(weighted, (dim,), False))
    if reduction != "mean":
        return collect(losses, reduction)
    counted = cast(~ignored, losses.dtype)
    if weight is not None:
        index = class_index(target, log_probabilities.shape[dim], ignore_index)
        counted = counted * weight_of(weight, reshape(index, tuple(counted.shape)), counted.dtype)
    return collect(losses, "sum") / collect(counted, "sum")


def _without(shape: Shape, dim: int) -> Shape:
    return tuple(n for i, n in enumerate(shape) if i != dim)


def _soft_cross_entropy(
    input: Any, target: Any, weight: Any, reduction: str, label_smoothing: float, dim: int
) -> Any:
    classes = input.shape[dim]
    check_weight("cross_entropy: ", weight, classes)
    products = mul(log_softmax_(input, (dim,)), _smoothed(target, label_smoothing, classes))
    if weight is not None:
        products = products * _weight_along(weight, len(input.shape), dim)
    if reduction == "none":
        return neg(sum_(products, (dim,), False))
    total = neg(collect(products, "sum"))
    if reduction == "sum":
        return total
    count = 1
    for n in _without(input.shape, dim):
        count *= n
    return div.named("DivBackward1", total, float(count) if count else math.nan)


def _smoothed(target: Any, label_smoothing: float, classes: int) -> Any:
    if label_smoothing <= 0.0:
        return target
    return target * (1.0 - label_smoothing) + label_smoothing / classes


@function("torch.nn.functional.kl_div")
@in_full_precision
def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """target · (log target - input), where `input` holds log probabilities,
    as `target` does with `log_target`.

    `reduction="batchmean"` divides the sum by the size of dimension 0, which is the
    Kullback-Leibler divergence; "mean" divides by the number of elements, and warns.
    """
    batch = reduction == "batchmean"
    if size_average is not None or reduce is not None or not batch:
        batch = False
        reduction = reduction_of(reduction, size_average, reduce)
        if reduction == "mean" and size_average is None and reduce is None:
            warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support "
                "size.'batchmean' divides only by the batch size, and aligns with the KL div math "
                "definition.'mean' will be changed to behave the same as 'batchmean' in the next "
                "major release."
            )
    if not (input.dtype.is_floating_point and target.dtype.is_floating_point):
        raise RuntimeError("kl_div: Integral inputs not supported.")
    if log_target:
        losses = exp(target) * sub(target, input)
    else:
        losses = sub(xlogy(target, target), mul(target, input))
    if not batch:
        return collect(losses, reduction)
    total = collect(losses, "sum")
    return total / input.shape[0] if input.shape else total
