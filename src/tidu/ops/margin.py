"""Losses with a margin: what is right has to win by some distance, and then costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import broadcast
from tidu.base.source import at, here
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import Value
from tidu.ops.activation import log_sigmoid, softplus_
from tidu.ops.cast import cast
from tidu.ops.distance import pairwise_distance
from tidu.ops.elementwise import (
    clamp,
    eq,
    gt,
    logical_and,
    minimum,
    mul,
    ne,
    neg,
    sigmoid,
    sqrt,
    sub,
    where,
)
from tidu.ops.indexing import gather, scatter_add
from tidu.ops.movement import reshape, unsqueeze_dims
from tidu.ops.reduce import sum_
from tidu.ops.reduction import checked, collect, reduced_shape, reduction_of, refuse_gradient, share
from tidu.ops.rules import class_name, not_implemented, promote
from tidu.ops.sources import arange_, full

_CLAMP_MIN = "ClampMinBackward0"

# Written in terms of other ops, as PyTorch does ---------------------------------------------------


@function("torch.nn.functional.hinge_embedding_loss")
def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """input where the target is 1, max(0, `margin` - input) where it is -1; for distances of alike
    and unlike pairs.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    far = where(ne(target, 1), clamp.named(_CLAMP_MIN, sub(margin, input), 0.0, None), 0.0)
    near = where(ne(target, -1), input, 0.0)
    return collect(far + near, reduction)


@function("torch.nn.functional.margin_ranking_loss")
def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, -target · (input1 - input2) + `margin`): target 1 wants the first greater, -1 the
    second.

    Raises RuntimeError for different numbers of dimensions.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if not len(input1.shape) == len(input2.shape) == len(target.shape):
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    losses = mul(neg(target), sub(input1, input2)) + margin
    return collect(clamp.named(_CLAMP_MIN, losses, 0.0, None), reduction)


@function("torch.nn.functional.multilabel_soft_margin_loss")
def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Binary cross entropy of the logits for each class, averaged over the classes (the last
    dimension).
    """
    reduction = reduction_of(reduction, size_average, reduce)
    losses = neg(mul(target, log_sigmoid(input)) + mul(sub(1, target), log_sigmoid(neg(input))))
    if weight is not None:
        losses = losses * weight
    last = len(input.shape) - 1
    return collect(sum_(losses, (last,), False) / input.shape[last], reduction)


_EPSILON = 1e-12


def _cosine(x: Any, y: Any, dim: int) -> Any:
    square_x, square_y = (
        sum_(x * x, (dim,), False) + _EPSILON,
        sum_(y * y, (dim,), False) + _EPSILON,
    )
    return sum_(mul(x, y), (dim,), False) / sqrt(square_x * square_y)


@function("torch.nn.functional.cosine_embedding_loss")
def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """1 - cos(input1, input2) where the target is 1, max(0, cos(input1, input2) - `margin`) where
    it is -1.

    For rows (N, D) and targets (N), or (D) and (). Raises RuntimeError for other shapes.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    rank = len(target.shape)
    if rank > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if len(input1.shape) != rank + 1 or len(input2.shape) != rank + 1:
        raise RuntimeError(
            f"{rank}D target tensor expects {rank + 1}D input tensors, but found inputs with sizes "
            f"{list(input1.shape)} and {list(input2.shape)}."
        )
    cosine = _cosine(input1, input2, rank)
    alike = where(eq(target, 1), sub(1.0, cosine), 0.0)
    unlike = where(eq(target, -1), clamp.named(_CLAMP_MIN, cosine - margin, 0.0, None), 0.0)
    return collect(alike + unlike, reduction)


def _check_triplet(anchor: Any, positive: Any, negative: Any, margin: float) -> None:
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    ranks = [len(x.shape) for x in (anchor, positive, negative)]
    if len(set(ranks)) > 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {ranks[0]}D, positive {ranks[1]}D, and negative "
            f"{ranks[2]}D inputs"
        )


def _triplet(
    distance: Callable[[Any, Any], Any],
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float,
    swap: bool,
) -> Any:
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return clamp.named(_CLAMP_MIN, near + margin - far, 0.0, None)


@function("torch.nn.functional.triplet_margin_loss")
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, d(anchor, positive) - d(anchor, negative) + `margin`), d the `p`-norm distance of
    rows.

    With `swap`, the negative's distance is the smaller of those to the anchor and to the positive
    (Balntas et al., 2016). Raises ValueError unless the margin is positive.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    _check_triplet(anchor, positive, negative, margin)
    losses = _triplet(
        lambda x, y: pairwise_distance(x, y, p, eps), anchor, positive, negative, margin, swap
    )
    return collect(losses, reduction)


@function("torch.nn.functional.triplet_margin_with_distance_loss")
def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """`triplet_margin_loss` with any distance, the Euclidean one unless given."""
    reduction = checked(reduction)
    _check_triplet(anchor, positive, negative, margin)
    distance = distance_function or pairwise_distance
    return collect(_triplet(distance, anchor, positive, negative, margin, swap), reduction)


# Single operations --------------------------------------------------------------------------------


def _soft_margin_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, target = inputs
    if not x.dtype.is_floating_point:
        raise not_implemented("soft_margin_loss", x.dtype)
    shape = broadcast(op.name, x.shape, target.shape)
    return promote(inputs, x.dtype)[0], reduced_shape(shape, attrs[0]), x.dtype


def _soft_margin_vjp(g: Any, out: Any, x: Any, target: Any, reduction: str) -> Any:
    products = x * target
    return -target * sigmoid(-products) * share(g, products.shape, reduction)


soft_margin = define(
    "soft_margin_loss",
    inputs="input target",
    attrs="reduction",
    kind="composite",
    infer=_soft_margin_infer,
    decompose=lambda x, target, reduction: collect(softplus_(-(target * x), 1.0, 40.0), reduction),
    vjp=(_soft_margin_vjp, None),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4), -1, 2, "int64"), "mean")),
        Sample((Array((5,)), Array((5,), -1, 2, "int64"), "none")),
        Sample((Array(()), Array((), -1, 2, "int64"), "sum")),
    ],
    dtypes="float",
    reference=lambda torch, x, target, reduction: torch.nn.functional.soft_margin_loss(
        x, target.to(x.dtype), reduction=reduction
    ),
)


@function("torch.nn.functional.soft_margin_loss")
def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """log(1 + exp(-target · input)) for targets of 1 and -1."""
    reduction = reduction_of(reduction, size_average, reduce)
    refuse_gradient("soft_margin_loss", "target", target)
    return soft_margin(input, target, reduction)


def _require_long(target: Any) -> None:
    if target.dtype is not dtypes.int64:
        raise RuntimeError(
            f"expected scalar type Long but found {class_name(target.dtype)}: targets are indices "
            "of classes; write target.long()"
        )


def _check_known(target: Any, least: int, classes: int, message: str) -> None:
    """Look at indices that are there already; others are looked at when they are used."""
    if target.__class__ is Value and target.buffer is not None:
        _check_range(target.buffer, least, classes, message + at(here()))


def _check_range(target: Any, least: int, classes: int, message: str) -> None:
    wrong = target[(target < least) | (target >= classes)] if target.size else target
    if wrong.size:
        raise RuntimeError(message.format(wrong.reshape(-1)[0], classes))


_OUT_OF_RANGE = "target out of range: {} is no class, there are {}"


def _multi_margin_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, target, weight = inputs
    if len(x.shape) not in (1, 2):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(x.shape)}"
        )
    rows = (x.shape[0],) if len(x.shape) == 2 else ()
    if target.shape != rows and not (not rows and target.shape == (1,)):
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input "
            f"samples (batch size). Expected target size {list(rows)}, but got "
            f"{list(target.shape)}. Input has shape {list(x.shape)}."
        )
    classes = x.shape[-1]
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    if not x.dtype.is_floating_point:
        raise not_implemented("multi_margin_loss", x.dtype)
    _require_long(target)
    _check_known(target, 0, classes, _OUT_OF_RANGE)
    return inputs, reduced_shape(target.shape, attrs[0]), x.dtype


def _margins(x: Any, target: Any, margin: float) -> tuple[Any, Any]:
    """margin - x[target] + x for all classes (n, C), and which of them is the target."""
    classes = x.shape[-1]
    x, target = reshape(x, (-1, classes)), reshape(target, (-1, 1))
    own = eq(target, arange_(0, 1, classes, dtypes.int64))
    return x - gather(x, target, 1) + margin, own


def _class_weights(x: Any, target: Any, weight: Any) -> Any:
    """The weight of each row's target divided by the number of classes: (n, 1), or a number."""
    classes = float(x.shape[-1])
    if weight is None:
        return 1.0 / classes
    return reshape(cast(gather(weight, reshape(target, (-1,)), 0), x.dtype), (-1, 1)) / classes


def _multi_margin(x: Any, target: Any, weight: Any, reduction: str, p: int, margin: float) -> Any:
    z, own = _margins(x, target, margin)
    z = where(own, 0.0, clamp(z, 0.0, None))
    z = (z if p == 1 else z * z) * _class_weights(x, target, weight)
    return collect(reshape(sum_(z, (1,), False), tuple(target.shape)), reduction)


def _multi_margin_vjp(
    g: Any, out: Any, x: Any, target: Any, weight: Any, reduction: str, p: int, margin: float
) -> Any:
    z, own = _margins(x, target, margin)
    above = logical_and(gt(z, 0.0), ~own)
    slope = where(above, full(1.0, tuple(z.shape), x.dtype) if p == 1 else z * 2.0, 0.0)
    g = share(g, tuple(target.shape), reduction)
    slope = slope * _class_weights(x, target, weight) * (reshape(g, (-1, 1)) if g.shape else g)
    return reshape(where(own, -sum_(slope, (1,), True), slope), tuple(x.shape))


def _torch_multi_margin(
    torch: Any, x: Any, target: Any, weight: Any, reduction: str, p: int, margin: float
) -> Any:
    """By parts, because PyTorch cannot differentiate its own twice."""
    rows, chosen = x.reshape(-1, x.shape[-1]), target.reshape(-1, 1)
    z = torch.clamp(margin - rows.gather(1, chosen) + rows, min=0) ** p
    z = z if weight is None else z * weight.to(x.dtype)[chosen]
    losses = z.scatter(1, chosen, 0.0).sum(1).reshape(target.shape) / x.shape[-1]
    return losses if reduction == "none" else getattr(losses, reduction)()


multi_margin = define(
    "multi_margin_loss",
    inputs="input target weight",
    attrs="reduction p margin",
    kind="composite",
    infer=_multi_margin_infer,
    decompose=_multi_margin,
    vjp=(_multi_margin_vjp, None, None),
    samples=lambda: [
        Sample((Array((4, 3)), Array((4,), 0, 3, "int64"), None, "mean", 1, 1.0)),
        Sample(
            (Array((4, 3)), Array((4,), 0, 3, "int64"), Array((3,), 1, 4, "int64"), "none", 2, 0.5)
        ),
        Sample((Array((5,)), Array((), 0, 5, "int64"), None, "sum", 1, 1.0)),
    ],
    dtypes="float",
    reference=_torch_multi_margin,
)


@function("torch.nn.functional.multi_margin_loss")
def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Σ over the other classes of weight[target] · max(0, `margin` - input[target] + input)^`p`,
    over their number C.

    For rows (N, C) and class indices (N), or (C) and (). Raises ValueError for `p` other than 1 and
    2, RuntimeError for a target that is no class.
    """
    reduction = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError(f"only p == 1 and p == 2 supported, but got p = {p}")
    refuse_gradient("multi_margin_loss", "weight", weight)
    return multi_margin(input, target, weight, reduction, int(p), float(margin))


# Several labels for each sample -------------------------------------------------------------------


def _labels_numpy(target: Any, classes: int) -> Any:
    _check_range(target, -1, classes, _LABEL_OUT_OF_RANGE)
    return np.logical_and.accumulate(target >= 0, axis=-1)


_LABEL_OUT_OF_RANGE = (
    "argument #2 'target' is out of range: {} is no class, there are {} (and -1 ends the list)"
)

# Which entries of a list of labels count: those before the first -1. Checks when it is run.
listed = define(
    "listed_labels",
    inputs="target",
    attrs="classes",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, inputs[0].shape, dtypes.bool_),
    numpy=_labels_numpy,
    host=True,
    samples=lambda: [Sample((Array((3, 4), -1, 4, "int64"), 4))],
    reference=lambda torch, target, classes: torch.cumprod((target >= 0).long(), -1).bool(),
)


def _multilabel_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, target = inputs
    if len(x.shape) > 2:
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(x.shape)}"
        )
    if target.shape != x.shape:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(x.shape)}"
        )
    if not x.dtype.is_floating_point:
        raise not_implemented("multilabel_margin_loss_forward_out_frame", x.dtype)
    _require_long(target)
    _check_known(target, -1, x.shape[-1] if x.shape else 1, _LABEL_OUT_OF_RANGE)
    return inputs, reduced_shape(x.shape[:-1], attrs[0]), x.dtype


def _hinges(x: Any, target: Any) -> tuple[Any, Any, Any]:
    """1 - x[label] + x for each listed label and each class (n, L, C), which of these pairs count,
    and the labels.
    """
    classes = x.shape[-1] if x.shape else 1
    x, target = reshape(x, (-1, classes)), reshape(target, (-1, classes))
    counts = listed(target, classes)
    labels = where(counts, target, 0)
    members = scatter_add(
        full(0, tuple(x.shape), dtypes.int64), labels, cast(counts, dtypes.int64), 1
    )
    z = unsqueeze_dims(x, (1,)) - unsqueeze_dims(gather(x, labels, 1), (2,)) + 1.0
    pairs = logical_and(unsqueeze_dims(counts, (2,)), unsqueeze_dims(eq(members, 0), (1,)))
    return z, logical_and(pairs, gt(z, 0.0)), labels


def _multilabel(x: Any, target: Any, reduction: str) -> Any:
    z, pairs, _ = _hinges(x, target)
    losses = sum_(where(pairs, z, 0.0), (1, 2), False) / float(z.shape[2])
    return collect(reshape(losses, tuple(x.shape[:-1])), reduction)


def _multilabel_vjp(g: Any, out: Any, x: Any, target: Any, reduction: str) -> Any:
    z, pairs, labels = _hinges(x, target)
    g = share(g, tuple(x.shape[:-1]), reduction) / float(z.shape[2])
    slope = cast(pairs, x.dtype) * (reshape(g, (-1, 1, 1)) if g.shape else g)
    return reshape(
        scatter_add(sum_(slope, (1,), False), labels, -sum_(slope, (2,), False), 1), tuple(x.shape)
    )


def _torch_multilabel(torch: Any, x: Any, target: Any, reduction: str) -> Any:
    """By parts, because PyTorch cannot differentiate its own twice."""
    rows, labels = x.reshape(-1, x.shape[-1]), target.reshape(-1, x.shape[-1])
    losses = []
    for row, given in zip(rows, labels.tolist(), strict=True):
        chosen = given[: given.index(-1)] if -1 in given else given
        others = [c for c in range(len(given)) if c not in chosen]
        total = sum(
            (torch.clamp(1 - row[c] + row[others], min=0).sum() for c in chosen), row.sum() * 0
        )
        losses.append(total / len(given))
    stacked = torch.stack(losses).reshape(x.shape[:-1])
    return stacked if reduction == "none" else getattr(stacked, reduction)()


multilabel_margin = define(
    "multilabel_margin_loss",
    inputs="input target",
    attrs="reduction",
    kind="composite",
    infer=_multilabel_infer,
    decompose=_multilabel,
    vjp=(_multilabel_vjp, None),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4), -1, 4, "int64"), "mean")),
        Sample((Array((3, 4)), Array((3, 4), -1, 4, "int64"), "none")),
        Sample((Array((5,)), Array((5,), -1, 5, "int64"), "sum")),
    ],
    dtypes="float",
    reference=_torch_multilabel,
)


@function("torch.nn.functional.multilabel_margin_loss")
def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Σ over the labels j and the other classes i of max(0, 1 - input[j] + input[i]), over the
    number of classes.

    Each row of `target` lists the labels of a sample, up to the first -1. Raises RuntimeError for a
    label that is no class.
    """
    return multilabel_margin(input, target, reduction_of(reduction, size_average, reduce))
