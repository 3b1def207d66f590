"""`grad` and `backward`: from tensors that users name to edges of the tape, and back."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tidu.autograd.engine import run_backward
from tidu.autograd.recipes import repeat_backward
from tidu.autograd.tape import Edge, GradFn, Tape
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.source import at, here, warn
from tidu.ir.value import Value, leaf
from tidu.ops.moving.joining import stack
from tidu.ops.moving.sections import select
from tidu.ops.sources import full


class GradientEdge(NamedTuple):
    """A place on the tape, which `grad` and `backward` take where they take a tensor."""

    node: GradFn
    output_nr: int
    ownership_token: Any = None


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves x: x.grad += Σ (∂yᵢ/∂x)ᵀ vᵢ.

    tensors       one tensor or several, yᵢ
    grad_tensors  the cotangents vᵢ, of their shapes; None stands for 1 where yᵢ has one element
    retain_graph  keep what the tape saved, for another pass; defaults to `create_graph`
    create_graph  put the backward pass itself on the tape, for higher derivatives
    inputs        only these tensors accumulate
    Raises RuntimeError without a graph, for a non-scalar without a cotangent, and on a second pass.
    Follows torch.autograd.backward.

    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    if grad_variables is not None:
        warn("`grad_variables` is deprecated. Use `grad_tensors` instead.", FutureWarning)
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`"
            )
        grad_tensors = grad_variables
    wanted = None
    if inputs is not None:
        inputs = _several(inputs)
        if not inputs:
            raise RuntimeError(f"`inputs` argument to `backward()` cannot be empty.{at(here())}")
        for t in inputs:
            if not isinstance(t, GradientEdge):
                t.retain_grad()  # has no effect on leaves
        wanted = [_edge_of_input(t) for t in inputs]
    roots = _roots(_several(tensors), grad_tensors, create_graph)
    keep = create_graph if retain_graph is None else retain_graph
    if wanted is None and not create_graph and repeat_backward(roots, retain_graph=keep):
        return
    run_backward(roots, wanted=wanted, retain_graph=keep, create_graph=create_graph)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` for each of `inputs`, Σ (∂yᵢ/∂x)ᵀ vᵢ.

    No `.grad` is touched.

    grad_outputs       the cotangents vᵢ, of the shapes of the outputs; None stands for 1 for one
                       element
    allow_unused       give None for an input that no output depends on, rather than raise
    materialize_grads  give zeros for it
    is_grads_batched   the cotangents have one more dimension in front, and so have the results
    The other arguments are those of `backward`. Raises RuntimeError as that does, and for an unused
    input. Follows torch.autograd.grad.

    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> torch.autograd.grad(x * x, x)
    (tensor(6.),)
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    if not only_inputs:
        warn(
            "only_inputs argument is deprecated and is ignored now (defaults to True). To "
            "accumulate gradient for other parts of the graph, please use torch.autograd.backward.",
            FutureWarning,
        )
    outputs, inputs = _several(outputs), _several(inputs)
    if not inputs:
        raise RuntimeError(f"`inputs` argument to `grad()` cannot be empty.{at(here())}")
    wanted = [_edge_of_input(t) for t in inputs]
    keep = create_graph if retain_graph is None else retain_graph
    if is_grads_batched:
        found = _batched(outputs, grad_outputs, wanted, keep, create_graph)
    else:
        roots = _roots(outputs, grad_outputs, create_graph)
        found = run_backward(
            roots, wanted=wanted, retain_graph=keep, create_graph=create_graph, accumulate=False
        )
    return tuple(
        _result(number, t, g, bool(allow_unused), materialize_grads)
        for number, (t, g) in enumerate(zip(inputs, found, strict=True))
    )


def _several(tensors: Any) -> tuple[Any, ...]:
    one = isinstance(tensors, (Tape.tensor, GradientEdge))
    return (tensors,) if one else tuple(tensors)


def _edge_of_input(t: Any) -> Edge:
    if isinstance(t, GradientEdge):
        return t.node, t.output_nr
    if not isinstance(t, Tape.tensor):
        raise TypeError(
            f"inputs can be either Tensors or GradientEdges, but got {type(t).__name__}"
        )
    edge = Tape.edge_of(t)
    if edge is None:
        raise RuntimeError(
            "One of the differentiated Tensors does not require grad: it has shape "
            f"{list(t.shape)}; call requires_grad_() on it before it is used{at(here())}"
        )
    return edge


def _result(number: int, t: Any, g: Any, allow_unused: bool, materialize: bool) -> Any:
    if g is not None:
        return Tape.wrap(g, None) if g.__class__ is Value else g
    if materialize:
        return Tape.wrap(full(0.0, tuple(t.shape), t.dtype), None)
    if allow_unused:
        return None
    kind = "GradientEdge" if isinstance(t, GradientEdge) else "Tensor"
    shape = (
        ""
        if kind == "GradientEdge"
        else f" It has shape {list(t.shape)}, and no path leads from the outputs to it."
    )
    raise RuntimeError(
        f"The differentiated {kind} at index {number} appears to not have been used in the graph. "
        f"Set allow_unused=True if this is the desired behavior.{shape}{at(here())}"
    )


def _batched(
    outputs: tuple[Any, ...], grad_outputs: Any, wanted: list[Edge], keep: bool, create_graph: bool
) -> list[Any]:
    """One pass for each element of the cotangents' first dimension; the results are stacked."""
    cotangents = _cotangents(grad_outputs, len(outputs))
    sizes = {g.shape[0] if g.ndim else -1 for g in cotangents if g is not None}
    if len(sizes) != 1 or -1 in sizes:
        raise ValueError(
            "is_grads_batched=True takes grad_outputs with one more dimension in front, of the "
            "same size in all, but got shapes "
            f"{[None if g is None else list(g.shape) for g in cotangents]}{at(here())}"
        )
    (count,) = sizes
    rows = []
    for number in range(count):
        row = [None if g is None else select(g, 0, number) for g in cotangents]
        rows.append(
            run_backward(
                _roots(outputs, row, create_graph),
                wanted=wanted,
                retain_graph=keep or number < count - 1,
                create_graph=create_graph,
                accumulate=False,
            )
        )
    return [None if column[0] is None else stack(column) for column in zip(*rows, strict=True)]


def _cotangents(gradients: Any, count: int) -> Sequence[Any]:
    if gradients is None:
        return (None,) * count
    given: tuple[Any, ...]
    given = (gradients,) if isinstance(gradients, Tape.tensor) else tuple(gradients)
    if len(given) != count:
        raise RuntimeError(f"got {count} tensors and {len(given)} gradients{at(here())}")
    return given


def _roots(tensors: tuple[Any, ...], gradients: Any, create_graph: bool) -> list[tuple[Edge, Any]]:
    """Each tensor's edge with the cotangent to start from; ones for a single element."""
    cotangents = _cotangents(gradients, len(tensors))
    roots = []
    for number, t in enumerate(tensors):
        edge, shape, d = _start(number, t)
        gradient = cotangents[number]
        if gradient is not None:
            roots.append((edge, _given(number, gradient, shape, create_graph)))
            continue
        if prod(shape) != 1:
            raise RuntimeError(
                "grad can be implicitly created only for scalar outputs, but this tensor has "
                f"shape {list(shape)}; reduce it first (loss.mean() or loss.sum()), or pass a "
                f"gradient of the same shape{at(here())}"
            )
        one = _one(shape, d)
        roots.append((edge, Tape.wrap(one, None) if create_graph else one))
    return roots


def _start(number: int, t: Any) -> tuple[Edge, Shape, dtype]:
    if isinstance(t, GradientEdge):
        return (t.node, t.output_nr), *t.node.spec(t.output_nr)
    if not isinstance(t, Tape.tensor):
        raise TypeError(f"element {number} of tensors must be a Tensor, not {type(t).__name__}")
    edge = Tape.edge_of(t)
    if edge is None:
        raise RuntimeError(
            f"element {number} of tensors does not require grad and does not have a grad_fn: "
            "nothing it was made of requires a gradient. Look for a missing requires_grad=True, a "
            "detach(), .data, .item() or .numpy() on the way, or a block under "
            f"torch.no_grad().{at(here())}"
        )
    value = Tape.value_of(t)
    return edge, value.shape, value.dtype


def _given(number: int, gradient: Any, shape: Shape, create_graph: bool) -> Any:
    if not isinstance(gradient, Tape.tensor):
        raise TypeError(
            f"gradients can be either Tensors or None, but got {type(gradient).__name__}"
        )
    value = Tape.value_of(gradient)
    if value.shape != shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[{number}] has a shape of "
            f"torch.Size({list(value.shape)}) and output[{number}] has a shape of "
            f"torch.Size({list(shape)}).{at(here())}"
        )
    return gradient if create_graph else value


@functools.cache
def _one(shape: Shape, d: dtype) -> Value:
    """The cotangent that a scalar loss starts from. Values never change, so one serves all."""
    one = np.empty(shape, d.numpy)
    one.fill(1)
    return leaf(one, d)
