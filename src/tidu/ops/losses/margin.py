"""Losses with a margin: what is right has to win by some distance, and then costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu.base.shapes import broadcast
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_full_precision
from tidu.ops.activations.smooth import log_sigmoid, softplus_
from tidu.ops.elementwise import (
    clamp,
    eq,
    minimum,
    mul,
    ne,
    neg,
    sigmoid,
    sqrt,
    sub,
    where,
)
from tidu.ops.losses.distance import pairwise_distance
from tidu.ops.losses.reduction import (
    checked,
    collect,
    reduced_shape,
    reduction_of,
    refuse_gradient,
    share,
)
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import not_implemented, promote

_CLAMP_MIN = "ClampMinBackward0"


@function("torch.nn.functional.hinge_embedding_loss")
@in_full_precision
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
@in_full_precision
def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, -target · (input1 - input2) + `margin`):
    target 1 wants the first greater, -1 the second.

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
    """Binary cross entropy of the logits for each class,
    averaged over the classes (the last dimension).
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
@in_full_precision
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
@in_full_precision
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
    """max(0, d(anchor, positive) - d(anchor, negative) + `margin`),
    d the `p`-norm distance of rows.

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
@in_full_precision
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
