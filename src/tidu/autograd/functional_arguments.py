"""Arguments and results of the functions in `functional`: checked, and brought to one form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tidu.autograd.tape import Tape
from tidu.base.source import at, here
from tidu.ops.moving.movement import reshape
from tidu.ops.sources import full

Tensors = tuple[Any, ...]


def as_tuple(tensors: Any, what: str, name: str) -> tuple[bool, Tensors]:
    """Whether it is a tuple, and it as a tuple; TypeError for anything that is no tensor."""
    is_tuple = isinstance(tensors, tuple)
    for number, t in enumerate(tensors if is_tuple else (tensors,)):
        if not isinstance(t, Tape.tensor):
            which = f"value at index {number} of the given {what}" if is_tuple else f"given {what}"
            raise TypeError(
                f"The {what} given to {name} must be either a Tensor or a tuple of Tensors but "
                f"the {which} has type {type(t)}.{at(here())}"
            )
    return is_tuple, tensors if is_tuple else (tensors,)


def own_inputs(inputs: Any, name: str, create_graph: bool) -> tuple[bool, Tensors]:
    """Tensors of our own for the inputs: the same ones, captured by the function, are constants."""
    is_tuple, tensors = as_tuple(inputs, "inputs", name)
    own = (
        reshape(x, tuple(x.shape))
        if create_graph and x.requires_grad
        else x.detach().requires_grad_()
        for x in tensors
    )
    return is_tuple, tuple(own)


def outputs_of(
    func: Callable[..., Any], xs: Tensors, name: str, strict: bool
) -> tuple[bool, Tensors]:
    """Whether `func` returns a tuple, and what it returns as one."""
    is_tuple, ys = as_tuple(func(*xs), "outputs of the user-provided function", name)
    for number, y in enumerate(ys):
        if strict and not y.requires_grad:
            raise RuntimeError(
                f"Output {number} of the user-provided function does not require gradients. The "
                "outputs must be computed in a differentiable manner from the input when running "
                f"in strict mode.{at(here())}"
            )
    return is_tuple, ys


def scalar_of(func: Callable[..., Any], xs: Tensors, name: str, strict: bool) -> Any:
    """The output of a function that has to return one element."""
    is_tuple, ys = outputs_of(func, xs, name, strict)
    if is_tuple:
        raise RuntimeError(
            f"The function given to {name} should return a single Tensor{at(here())}"
        )
    if ys[0].numel() != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {name} should contain a single "
            f"element, but it has shape {list(ys[0].shape)}{at(here())}"
        )
    return reshape(ys[0], ()) if name == "hessian" else ys[0]


def vectors_for(v: Any, like: Tensors, is_tuple: bool, where: str) -> Tensors:
    """`v` as a tuple, one tensor for each of `like`; ones where it may be left out."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if {where} a single Tensor with a single "
                f"element.{at(here())}"
            )
        return (Tape.wrap(full(1.0, tuple(like[0].shape), like[0].dtype), None),)
    _, vs = as_tuple(v, "v", "this function")
    if len(vs) != len(like):
        if is_tuple:
            raise RuntimeError(
                f"v is a tuple of invalid length: should be {len(like)} but got "
                f"{len(vs)}.{at(here())}"
            )
        raise RuntimeError(f"The given v should contain a single Tensor.{at(here())}")
    for number, (one, other) in enumerate(zip(vs, like, strict=True)):
        if one.shape != other.shape:
            entry = f"Entry {number} in " if is_tuple else ""
            raise RuntimeError(
                f"{entry}v has invalid size: should be {other.shape} but got "
                f"{one.shape}.{at(here())}"
            )
    return vs


def zeros_like(x: Any) -> Any:
    """Zeros of the shape and dtype of a tensor, without history."""
    return Tape.wrap(full(0.0, tuple(x.shape), x.dtype), None)


def finished(tensors: Sequence[Any], is_tuple: bool, create_graph: bool) -> Any:
    """Results as the user wants them: a tuple or a single tensor, with a history or without."""
    results = tuple(tensors) if create_graph else tuple(t.detach() for t in tensors)
    return results if is_tuple else results[0]


def check_options(strict: bool, vectorize: bool, strategy: str) -> None:
    """Refuse what torch.autograd.functional.jacobian refuses."""
    if strategy not in ("forward-mode", "reverse-mode"):
        raise AssertionError(
            f'Expected strategy to be either "forward-mode" or "reverse-mode", but got "{strategy}"'
        )
    if strategy == "forward-mode" and not vectorize:
        raise NotImplementedError(
            'strategy="forward-mode" is only implemented for `vectorize=True`.'
        )
    if strict and vectorize:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
            "supported together. Please either set `strict=False` or `vectorize=False`."
        )
