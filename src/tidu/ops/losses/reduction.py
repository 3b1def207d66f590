"""How the losses of single elements become one number, and what the losses check alike."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base.shapes import Shape, broadcast
from tidu.base.source import warn
from tidu.base.state import state
from tidu.ir.op import Inferred, Op
from tidu.ops.reductions.reduce import mean_, sum_
from tidu.ops.rules import arithmetic, not_implemented

REDUCTIONS = ("none", "mean", "sum")


def reduction_of(reduction: str, size_average: bool | None, reduce: bool | None) -> str:
    """The reduction asked for, also in the words of PyTorch's first version;
    ValueError for another.
    """
    if size_average is not None or reduce is not None:
        averaged, reduced = size_average in (None, True), reduce in (None, True)
        reduction = ("mean" if averaged else "sum") if reduced else "none"
        warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' "
            "instead."
        )
    return checked(reduction)


def checked(reduction: str) -> str:
    """`reduction` under its present name; ValueError for one that there is not."""
    if reduction == "elementwise_mean":
        warn("reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.")
        return "mean"
    if reduction not in REDUCTIONS:
        raise ValueError(
            f"{reduction} is not a valid value for reduction; it takes 'none', 'mean' or 'sum'"
        )
    return reduction


def collect(losses: Any, reduction: str) -> Any:
    """The mean or the sum of all losses, or the losses themselves."""
    if reduction == "none":
        return losses
    dims = tuple(range(len(losses.shape)))
    return mean_(losses, dims, False) if reduction == "mean" else sum_(losses, dims, False)


def collect_numpy(losses: Any, reduction: str) -> Any:
    """As `collect`, for NumPy arrays."""
    if reduction == "none":
        return losses
    return np.mean(losses) if reduction == "mean" else np.sum(losses)


def share(g: Any, shape: Shape, reduction: str) -> Any:
    """The cotangent of each single loss, in a form that broadcasts to their shape."""
    return g / float(prod(shape)) if reduction == "mean" else g


def reduced_shape(shape: Shape, reduction: str) -> Shape:
    """The shape of a loss over elements of this shape."""
    return shape if reduction == "none" else ()


def pair_infer(kernel: str) -> Any:
    """The rule of losses of an input and a target; `reduction` is the first attribute."""

    def infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
        inputs, shape, d = arithmetic(op, inputs, ())
        if not d.is_floating_point:
            raise not_implemented(kernel, d)
        return inputs, reduced_shape(shape, attrs[0]), d

    return infer


def warn_if_sizes_differ(input: Any, target: Any) -> None:
    """The warning of losses that broadcast where the user meant pairs."""
    if input.shape == target.shape:
        return
    message = (
        f"Using a target size ({target.shape}) that is different to the input size "
        f"({input.shape}). This will likely lead to incorrect results due to broadcasting. Please "
        "ensure they have the same size."
    )
    try:
        shape = broadcast("loss", tuple(input.shape), tuple(target.shape))
    except RuntimeError:
        shape = tuple(input.shape)  # the loss itself is about to say that
    if shape != tuple(input.shape):
        several = prod(shape) // max(prod(input.shape), 1)
        message += (
            f" Here each prediction is compared with {several} targets, in a loss of shape "
            f"{list(shape)}, and its gradient is that of all of them together: it is drawn to "
            "their mean, not to its own target."
        )
        if prod(input.shape) == prod(target.shape):
            message += f" Write target.reshape({', '.join(map(str, input.shape))})."
    warn(message)


def refuse_gradient(name: str, argument: str, x: Any) -> None:
    """RuntimeError for a tensor that requires a gradient where there is none to give."""
    if x is not None and state.own.grad_enabled and x.requires_grad:
        raise RuntimeError(
            f"The function '{name}' is not differentiable with respect to argument '{argument}'. "
            "This input cannot have requires_grad True."
        )
