"""The negative log likelihood of classes that are given by index.

`class_index` makes targets into indices, `nll` picks what stands there, and `nll_back` writes its
derivative there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.base.source import at, here
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_full_precision
from tidu.ir.value import Value, pending
from tidu.ops.cast import cast
from tidu.ops.elementwise import eq, ne, where
from tidu.ops.indexing.along import gather, scatter
from tidu.ops.indexing.bounds import are_within
from tidu.ops.losses.reduction import collect, reduced_shape, reduction_of, refuse_gradient
from tidu.ops.moving.movement import reshape, squeeze_dims, unsqueeze_dims
from tidu.ops.reductions.runs import sum_of_losses, sum_of_losses_numpy
from tidu.ops.rules import class_name, not_implemented
from tidu.ops.sources import full


def _out_of_bounds(target: Any, classes: int, ignore_index: int) -> IndexError | None:
    """The error for the first target that names no class, if there is one."""
    wrong = ((target < 0) | (target >= classes)) & (target != ignore_index)
    if not wrong.any():
        return None
    number = int(np.flatnonzero(wrong)[0])
    label = int(target.reshape(-1)[number])
    place = [int(i) for i in np.unravel_index(number, target.shape)]
    message = f"Target {label} is out of bounds."
    if place:
        message += f" It is element {place}."
    message += (
        f" There are {classes} classes, the size of the input along its class dimension, so "
        f"targets lie in [0, {classes - 1}]"
    )
    if label < 0:
        message += f"; ignore_index={label} would leave such targets out"
    return IndexError(message)


def _class_index_numpy(target: Any, classes: int, ignore_index: int) -> Any:
    error = _out_of_bounds(target, classes, ignore_index)
    if error is not None:
        raise error
    return np.where(target == ignore_index, 0, target)


# Targets that can be used as indices: 0 in the place of what is ignored. Checked when it is run:
# compiled, by the reading or writing at that index.
class_index = define(
    "class_index",
    inputs="target",
    attrs="classes ignore_index",
    kind="composite",
    infer=lambda op, inputs, attrs: (inputs, inputs[0].shape, dtypes.int64),
    numpy=_class_index_numpy,
    decompose=lambda target, classes, ignore_index: where(
        eq(target, ignore_index), 0, cast(target, dtypes.int64)
    ),
    samples=lambda: [Sample((Array((5,), 0, 3, "int64"), 3, 1))],
    reference=lambda torch, target, classes, ignore_index: torch.where(
        target == ignore_index, 0, target
    ),
)


def _check_target(x: Any, target: Any) -> int:
    """The number of classes; errors for shapes and dtypes that do not fit."""
    rank = len(x.shape)
    if rank == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if rank == 1:
        if len(target.shape) > 1:
            raise RuntimeError(_MULTI_TARGET)
        if target.shape not in ((), (1,)):
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.shape[0]}"
            )
    else:
        if not target.shape or x.shape[0] != target.shape[0]:
            size = target.shape[0] if target.shape else 0
            raise ValueError(
                f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({size})."
            )
        if rank == 2 and len(target.shape) > 1:
            raise RuntimeError(_MULTI_TARGET)
        expected = (x.shape[0], *x.shape[2:])
        if target.shape != expected:
            if rank == 4:
                raise RuntimeError(
                    f"size mismatch (got input: {list(x.shape)} , target: {list(target.shape)}): "
                    f"expected a target of shape {list(expected)}"
                )
            raise RuntimeError(f"Expected target size {list(expected)}, got {list(target.shape)}")
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {class_name(target.dtype)}: "
            f"expected scalar type Long but found {class_name(target.dtype)}. Class indices are "
            "int64; write target.long()"
        )
    return int(x.shape[1] if rank > 1 else x.shape[0])


_MULTI_TARGET = (
    "0D or 1D target tensor expected, multi-target not supported; a column of indices becomes one "
    "with target.squeeze(1)"
)


def check_weight(operation: str, weight: Any, classes: int) -> None:
    """RuntimeError unless there is one weight for each class."""
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"{operation}weight tensor should be defined either for all {classes} classes or no "
            f"classes but got weight tensor of shape: {list(weight.shape)}"
        )


def _nll_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, target, weight = inputs
    reduction, ignore_index = attrs
    classes = _check_target(x, target)
    check_weight("", weight, classes)
    if not x.dtype.is_floating_point:
        raise not_implemented("nll_loss_out_frame", x.dtype)
    known = target.__class__ is not Value or are_within(target, classes)
    numbers = None if known else pending.peek(target)
    if numbers is not None:
        error = _out_of_bounds(numbers, classes, ignore_index)
        if error is not None:
            raise IndexError(f"{error}{at(here())}")
    shape = (x.shape[0], *x.shape[2:]) if len(x.shape) > 1 else ()
    return inputs, reduced_shape(shape, reduction), x.dtype


def _rows(x: Any, target: Any) -> tuple[Any, Any]:
    """A single sample as a batch of one."""
    if len(x.shape) > 1:
        return x, target
    return reshape(x, (1, *x.shape)), reshape(target, (1,))


def _chosen(
    x_shape: Shape, dtype: Any, target: Any, weight: Any, ignore_index: int
) -> tuple[Any, Any]:
    """For each target its class as an index along dimension 1, and its weight:
    0 where it is ignored.
    """
    index = class_index(target, x_shape[1], ignore_index)
    counted = cast(ne(target, ignore_index), dtype)
    if weight is not None:
        counted = counted * weight_of(weight, index, dtype)
    return unsqueeze_dims(index, (1,)), counted


def weight_of(weight: Any, index: Any, dtype: Any) -> Any:
    """The weight of the class that each index names."""
    picked = reshape(gather(weight, reshape(index, (-1,)), 0), tuple(index.shape))
    return picked if weight.dtype is dtype else cast(picked, dtype)


def _nll(x: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
    single = len(x.shape) == 1
    x, target = _rows(x, target)
    index, weights = _chosen(x.shape, x.dtype, target, weight, ignore_index)
    picked = squeeze_dims(gather(x, index, 1), (1,))
    # Not a product alone: what is ignored may be infinite.
    losses = where(eq(target, ignore_index), 0.0, -picked * weights)
    if reduction == "none":
        return reshape(losses, ()) if single else losses
    of_rows = losses.dtype is dtypes.float32 and len(losses.shape) == 1 and losses.shape[0]
    total = sum_of_losses(losses) if of_rows else collect(losses, "sum")
    return total / collect(weights, "sum") if reduction == "mean" else total


def _nll_numpy(x: Any, target: Any, weight: Any, reduction: str, ignore_index: int) -> Any:
    single = x.ndim == 1
    if single:
        x, target = x.reshape(1, -1), target.reshape(1)
    index = _class_index_numpy(target, x.shape[1], ignore_index)
    ignored = target == ignore_index
    picked = np.take_along_axis(x, np.expand_dims(index, 1), 1)[:, 0]
    weights = np.where(ignored, 0, 1 if weight is None else weight[index]).astype(x.dtype)
    losses = np.where(ignored, 0, -picked * weights)
    if reduction == "none":
        return losses.reshape(()) if single else losses
    of_rows = losses.ndim == 1 and losses.size
    total = sum_of_losses_numpy(losses) if of_rows else np.sum(losses)
    return total / np.sum(weights) if reduction == "mean" else total


def _nll_back(
    g: Any, target: Any, weight: Any, of_input: Shape, reduction: str, ignore_index: int
) -> Any:
    """The cotangent of the input, which is of shape `of_input`."""
    shape = of_input if len(of_input) > 1 else (1, *of_input)
    target = reshape(target, (shape[0], *shape[2:]))
    index, weights = _chosen(shape, g.dtype, target, weight, ignore_index)
    g = g / collect(weights, "sum") if reduction == "mean" else reshape(g, _beside(g, weights))
    # Zero for what is ignored, even where nothing counts and the mean is 0/0.
    scale = where(eq(target, ignore_index), 0.0, -weights * g)
    spread = scatter(full(0.0, shape, g.dtype), index, unsqueeze_dims(scale, (1,)), 1)
    return reshape(spread, of_input)


def _torch_nll_back(
    torch: Any,
    g: Any,
    target: Any,
    weight: Any,
    of_input: Shape,
    reduction: str,
    ignore_index: int,
) -> Any:
    x = torch.zeros(of_input, dtype=g.dtype, requires_grad=True)
    return torch.autograd.grad(_torch_nll(torch, x, target, weight, reduction, ignore_index), x, g)[
        0
    ]


# One operation on the way back, of the many that it is made of.
nll_back = define(
    "nll_loss_back",
    inputs="cotangent target weight",
    attrs="of_input reduction ignore_index",
    kind="composite",
    infer=lambda op, inputs, attrs: (inputs, attrs[0], inputs[0].dtype),
    decompose=_nll_back,
    samples=lambda: [
        Sample((Array(()), Array((4,), 0, 3, "int64"), None, (4, 3), "mean", -100)),
        Sample((Array(()), Array((4,), 0, 3, "int64"), Array((3,), 1, 4), (4, 3), "sum", 0)),
        Sample((Array((2, 2)), Array((2, 2), 0, 3, "int64"), None, (2, 3, 2), "none", -100)),
        Sample((Array(()), Array((), 0, 3, "int64"), None, (3,), "mean", -100)),
    ],
    dtypes="float",
    reference=_torch_nll_back,
)


def _nll_vjp(
    g: Any, out: Any, x: Any, target: Any, weight: Any, reduction: str, ignore_index: int
) -> Any:
    if g.__class__ is Value:
        return nll_back.value((g, target, weight), (x.shape, reduction, ignore_index))
    return _nll_back(g, target, weight, tuple(x.shape), reduction, ignore_index)  # on the tape


def _beside(g: Any, weights: Any) -> Shape:
    return tuple(weights.shape) if g.shape == weights.shape or weights.shape == (1,) else ()


def _nll_samples() -> list[Sample]:
    # The weight has no derivative, so here it is of whole numbers, which ask for none.
    batch, weight = Array((4, 3)), Array((3,), 1, 4, "int64")
    targets, images = Array((4,), 0, 3, "int64"), Array((2, 3, 2, 2))
    return [
        Sample((batch, targets, None, "mean", -100)),
        Sample((Array((7, 3)), Array((7,), 0, 3, "int64"), weight, "mean", 1)),
        Sample((batch, targets, weight, "none", -100)),
        Sample((batch, targets, None, "sum", 0)),
        Sample((images, Array((2, 2, 2), 0, 3, "int64"), weight, "mean", -100)),
        Sample((images, Array((2, 2, 2), 0, 3, "int64"), None, "none", 2)),
        Sample((Array((3,)), Array((), 0, 3, "int64"), None, "mean", -100)),
        Sample((Array((3,)), Array((), 0, 3, "int64"), weight, "none", -100)),
    ]


def _torch_nll(
    torch: Any, x: Any, target: Any, weight: Any, reduction: str, ignore_index: int
) -> Any:
    weight = None if weight is None else weight.to(x.dtype)
    return torch.nn.functional.nll_loss(
        x, target, weight, ignore_index=ignore_index, reduction=reduction
    )


nll = define(
    "nll_loss",
    inputs="input target weight",
    attrs="reduction ignore_index",
    kind="composite",
    infer=_nll_infer,
    numpy=_nll_numpy,
    decompose=_nll,
    vjp=(_nll_vjp, None, None),
    joined=True,
    samples=_nll_samples,
    dtypes="float",
    reference=_torch_nll,
)


def nll_of(input: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    """The loss, under the name that PyTorch's tape shows for these shapes."""
    refuse_gradient("nll_loss_forward", "weight", weight)
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(
            f"expected scalar type {class_name(input.dtype)} but found {class_name(weight.dtype)}: "
            "the weight of the classes has the dtype of the input"
        )
    rank = len(input.shape)
    name = "NllLossBackward0" if rank < 3 else "NllLoss2DBackward0"
    if (rank == 3 or rank > 4) and reduction == "none":
        name = "ViewBackward0"
    return nll.named(name, input, target, weight, reduction, int(ignore_index))


@function("torch.nn.functional.nll_loss")
@in_full_precision
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-weight[target] · input[target], for log probabilities (N, C, …) and class indices (N, …), or
    (C) and ().

    The mean is that over the weights of the targets; `ignore_index` does not count. Raises
    IndexError for a target that is no class, RuntimeError for one that is not int64.

    >>> F.nll_loss(torch.tensor([[-0.1, -2.]]), torch.tensor([1]))
    tensor(2.)
    """
    reduction = reduction_of(reduction, size_average, reduce)
    return nll_of(input, target, weight, ignore_index, reduction)
