"""Margins between classes: of one right class against the others, or of several."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.source import at, here
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_full_precision
from tidu.ir.value import Value, pending
from tidu.ops.cast import cast
from tidu.ops.elementwise import clamp, eq, gt, logical_and, where
from tidu.ops.indexing.along import gather, scatter_add
from tidu.ops.losses.reduction import collect, reduced_shape, reduction_of, refuse_gradient, share
from tidu.ops.moving.movement import reshape, unsqueeze_dims
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import class_name, not_implemented, same
from tidu.ops.sources import arange_, full


def _require_long(target: Any) -> None:
    if target.dtype is not dtypes.int64:
        raise RuntimeError(
            f"expected scalar type Long but found {class_name(target.dtype)}: targets are indices "
            "of classes; write target.long()"
        )


def _check_known(target: Any, least: int, classes: int, message: str) -> None:
    """Look at indices that are there already; others are looked at when they are used."""
    numbers = pending.peek(target) if target.__class__ is Value else None
    if numbers is not None:
        _check_range(numbers, least, classes, message, at(here()))


def _check_range(target: Any, least: int, classes: int, message: str, where_from: str = "") -> Any:
    wrong = target[(target < least) | (target >= classes)]
    if wrong.size:
        raise RuntimeError(
            f"{message}: {wrong.reshape(-1)[0]} is no class, there are {classes}{where_from}"
        )
    return target


_OUT_OF_RANGE = "target out of range"

# The identity on class indices, which refuses what is none when it is run.
class_label = define(
    "class_label",
    inputs="target",
    attrs="classes",
    kind="host",
    infer=same,
    numpy=lambda target, classes: _check_range(target, 0, classes, _OUT_OF_RANGE),
    samples=lambda: [Sample((Array((5,), 0, 3, "int64"), 3))],
    reference=lambda torch, target, classes: target,
)


def _multi_margin_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, target, weight = inputs
    if len(x.shape) > 2:
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
    classes = _classes(x)
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    if not x.dtype.is_floating_point:
        raise not_implemented("multi_margin_loss", x.dtype)
    _require_long(target)
    _check_known(target, 0, classes, _OUT_OF_RANGE)
    return inputs, reduced_shape(target.shape, attrs[0]), x.dtype


def _classes(x: Any) -> int:
    """The size of the last dimension; a single number stands for a single class."""
    return int(x.shape[-1]) if x.shape else 1


def _margins(x: Any, target: Any, margin: float) -> tuple[Any, Any]:
    """margin - x[target] + x for all classes (n, C), and which of them is the target."""
    classes = _classes(x)
    x, target = reshape(x, (-1, classes)), reshape(class_label(target, classes), (-1, 1))
    own = eq(target, arange_(0, 1, classes, dtypes.int64))
    return x - gather(x, target, 1) + margin, own


def _class_weights(x: Any, target: Any, weight: Any) -> Any:
    """The weight of each row's target divided by the number of classes: (n, 1), or a number."""
    classes = float(_classes(x))
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
    joined=True,
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
@in_full_precision
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


def _labels_numpy(target: Any, classes: int) -> Any:
    _check_range(target, -1, classes, _LABEL_OUT_OF_RANGE)
    return np.logical_and.accumulate(target >= 0, axis=-1)


_LABEL_OUT_OF_RANGE = "argument #2 'target' is out of range"

# Which entries of a list of labels count: those before the first -1. Checks when it is run.
listed = define(
    "listed_labels",
    inputs="target",
    attrs="classes",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, inputs[0].shape, dtypes.bool_),
    numpy=_labels_numpy,
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
    _check_known(target, -1, _classes(x), _LABEL_OUT_OF_RANGE)
    return inputs, reduced_shape(x.shape[:-1], attrs[0]), x.dtype


def _hinges(x: Any, target: Any) -> tuple[Any, Any, Any]:
    """1 - x[label] + x for each listed label and each class (n, L, C), which of these pairs count,
    and the labels.
    """
    classes = _classes(x)
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
    joined=True,
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4), -1, 4, "int64"), "mean")),
        Sample((Array((3, 4)), Array((3, 4), -1, 4, "int64"), "none")),
        Sample((Array((5,)), Array((5,), -1, 5, "int64"), "sum")),
    ],
    dtypes="float",
    reference=_torch_multilabel,
)


@function("torch.nn.functional.multilabel_margin_loss")
@in_full_precision
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
