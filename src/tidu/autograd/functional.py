"""Derivatives of functions: Jacobians, Hessians, and their products with vectors, without `.grad`.

Follows torch.autograd.functional. All of it is made of backward passes; `jvp` differentiates the
(linear) backward pass once more with respect to the cotangent that goes in.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from tidu.autograd.functional_arguments import (
    Tensors,
    as_tuple,
    check_options,
    finished,
    outputs_of,
    own_inputs,
    scalar_of,
    vectors_for,
    zeros_like,
)
from tidu.autograd.gradients import grad
from tidu.autograd.modes import enable_grad, set_grad_enabled
from tidu.autograd.tape import Tape
from tidu.base.source import at, here
from tidu.base.state import state
from tidu.ops.moving.joining import stack
from tidu.ops.moving.movement import reshape
from tidu.ops.moving.sections import select
from tidu.ops.sources import full


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs of `func`, and vᵀJ, the product of `v` with its Jacobian at `inputs`.

    v             cotangents of the outputs; may be left out for one output of one element
    create_graph  make the result differentiable
    strict        raise RuntimeError where an output does not depend on an input, rather than give
                  zeros

    >>> vjp(lambda x: x.exp().sum(), torch.zeros(2))[1]
    tensor([1., 1.])
    """
    name = "vjp"
    with enable_grad():
        outer_is_tuple, xs = own_inputs(inputs, name, create_graph)
        inner_is_tuple, ys = outputs_of(func, xs, name, strict)
        vs = vectors_for(v, ys, inner_is_tuple, "the user-provided function returns")
    with set_grad_enabled(_recording(create_graph)):
        products = _gradients(ys, xs, vs, create_graph=create_graph)
        products = _without_holes(products, xs, name, strict, create_graph)
    result = finished(ys, inner_is_tuple, create_graph)
    return result, finished(products, outer_is_tuple, create_graph)


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The outputs of `func`, and Jv, the product of its Jacobian at `inputs` with `v`.

    v             tangents of the inputs; may be left out for one input of one element
    create_graph  make the result differentiable
    strict        raise RuntimeError where an output does not depend on an input, rather than give
                  zeros

    >>> jvp(lambda x: x.exp(), torch.zeros(2), torch.ones(2))[1]
    tensor([1., 1.])
    """
    name = "jvp"
    with enable_grad():
        outer_is_tuple, xs = own_inputs(inputs, name, create_graph)
        vs = vectors_for(v, xs, outer_is_tuple, "the input to the user-provided function is")
        inner_is_tuple, ys = outputs_of(func, xs, name, strict)
        # Jᵀu is linear in u, so its derivative for u is J, wherever u is.
        us = tuple(zeros_like(y).requires_grad_() for y in ys)
        back = _gradients(ys, xs, us, create_graph=True)
        back = _without_holes(back, xs, name, strict, True)
    with set_grad_enabled(_recording(create_graph)):
        products = _gradients(back, us, vs, create_graph=create_graph)
        products = _without_holes(products, ys, name, strict, create_graph)
    result = finished(ys, inner_is_tuple, create_graph)
    return result, finished(products, inner_is_tuple, create_graph)


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of `func` at `inputs`: J[i, j] = ∂yᵢ/∂xⱼ, of shape y.shape + x.shape.

    One tensor for one input and one output; a tuple over the inputs, a tuple over the outputs, or
    tuples in a tuple (outputs outside) for several. `create_graph` makes the result differentiable;
    `strict` raises RuntimeError where an output does not depend on an input. `vectorize` and
    `strategy` change nothing in the result.

    >>> jacobian(lambda x: x * x, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    name = "jacobian"
    check_options(strict, vectorize, strategy)
    with enable_grad():
        outer_is_tuple, xs = own_inputs(inputs, name, create_graph)
        inner_is_tuple, ys = outputs_of(func, xs, name, strict)
        rows = tuple(_rows(y, number, xs, create_graph, strict) for number, y in enumerate(ys))
    blocks = tuple(finished(row, outer_is_tuple, create_graph) for row in rows)
    return blocks if inner_is_tuple else blocks[0]


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of `func` at `inputs`: H[i, j] = ∂²y/∂xᵢ∂xⱼ, of shape x.shape + x.shape.

    `func` returns one element. For several inputs it is a tuple of tuples of such blocks. The
    options are those of `jacobian`.

    >>> hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    is_tuple, _ = as_tuple(inputs, "inputs", "hessian")

    def gradient(*points: Any) -> Any:
        y = scalar_of(func, points, "hessian", strict)
        found = _hessian_row(y, points, "hessian", strict)
        return found if is_tuple else found[0]

    return jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output of `func`, one element, and vᵀH, the product of `v` with its Hessian.

    v             of the shapes of the inputs; may be left out for one input of one element
    create_graph  make the result differentiable
    strict        raise RuntimeError where the result does not depend on an input, rather than give
                  zeros

    >>> vhp(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]), torch.ones(2))[1]
    tensor([ 6., 12.])
    """
    return _hessian_product("vhp", func, inputs, v, create_graph, strict)


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The output of `func`, one element, and Hv, the product of its Hessian with `v`.

    The Hessian is symmetric, so this is `vhp`, whose arguments it has.
    """
    return _hessian_product("hvp", func, inputs, v, create_graph, strict)


def _hessian_product(
    name: str, func: Callable[..., Any], inputs: Any, v: Any, create_graph: bool, strict: bool
) -> tuple[Any, Any]:
    with enable_grad():
        is_tuple, xs = own_inputs(inputs, name, create_graph)
        vs = vectors_for(v, xs, is_tuple, "the input to the user-provided function is")
        y = scalar_of(func, xs, name, strict)
        row = _hessian_row(y, xs, name, strict)
    with set_grad_enabled(_recording(create_graph)):
        products = _gradients(row, xs, vs, create_graph=create_graph)
        products = _without_holes(products, xs, name, strict, create_graph)
    return finished((y,), False, create_graph), finished(products, is_tuple, create_graph)


def _recording(create_graph: bool) -> bool:
    return True if create_graph else state.own.grad_enabled


def _gradients(ys: Tensors, xs: Tensors, vs: Tensors, *, create_graph: bool) -> Tensors:
    """Σ (∂yᵢ/∂x)ᵀ vᵢ for each x, None where no y depends on it."""
    pairs = [(y, v) for y, v in zip(ys, vs, strict=True) if y.requires_grad]
    if not pairs:
        return (None,) * len(xs)
    roots, cotangents = zip(*pairs, strict=True)
    return grad(
        roots, xs, cotangents, retain_graph=True, create_graph=create_graph, allow_unused=True
    )


def _without_holes(
    gradients: Tensors,
    xs: Tensors,
    name: str,
    strict: bool,
    create_graph: bool,
    output: str = "The output",
) -> Tensors:
    """Zeros for what depends on nothing; RuntimeError for it in strict mode."""
    for number, g in enumerate(gradients):
        if strict and g is None:
            raise RuntimeError(_independent(number, name, output))
        if strict and create_graph and not g.requires_grad:
            raise RuntimeError(
                f"The jacobian of the user-provided function is independent of input {number}. "
                f"This is not allowed in strict mode when create_graph=True. ({name}){at(here())}"
            )
    return tuple(zeros_like(x) if g is None else g for g, x in zip(gradients, xs, strict=True))


def _independent(number: int, name: str, output: str = "The output") -> str:
    return (
        f"{output} of the user-provided function is independent of input {number}. This is not "
        f"allowed in strict mode. ({name}){at(here())}"
    )


def _hessian_row(y: Any, xs: Tensors, name: str, strict: bool) -> Tensors:
    """The gradient of one element, differentiable."""
    one = Tape.wrap(full(1.0, tuple(y.shape), y.dtype), None)
    found = _gradients((y,), xs, (one,), create_graph=True)
    for number, g in enumerate(found):
        if strict and g is None and name != "hessian":
            raise RuntimeError(_independent(number, name))
        if strict and (g is None or not g.requires_grad):
            raise RuntimeError(
                "While computing the hessian, found that the jacobian of the user-provided "
                f"function with respect to input {number} is independent of the input. This is "
                "not allowed in strict mode: the function has to be twice differentiable, and not "
                f"linear.{at(here())}"
            )
    return tuple(zeros_like(x) if g is None else g for g, x in zip(found, xs, strict=True))


def _rows(y: Any, number: int, xs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """The blocks of a Jacobian for one output: a backward pass for each of its elements."""
    flat = reshape(y, (prod(y.shape),))
    one = Tape.wrap(full(1.0, (), y.dtype), None)
    rows: list[Tensors] = []
    for j in range(flat.shape[0]):
        row = _gradients((select(flat, 0, j),), xs, (one,), create_graph=create_graph)
        rows.append(_without_holes(row, xs, "jacobian", strict, create_graph, f"Output {number}"))
    shape = tuple(y.shape)
    if not rows:
        return tuple(Tape.wrap(full(0.0, shape + tuple(x.shape), x.dtype), None) for x in xs)
    return tuple(
        reshape(stack(column), shape + tuple(x.shape))
        for column, x in zip(zip(*rows, strict=True), xs, strict=True)
    )
