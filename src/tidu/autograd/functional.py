"""Derivatives of functions: Jacobians, Hessians, and their products with vectors, without `.grad`.

Follows torch.autograd.functional. All of it is made of backward passes; `jvp` differentiates the
(linear) backward pass once more with respect to the cotangent that goes in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from tidu.autograd.gradients import grad
from tidu.autograd.modes import enable_grad, set_grad_enabled
from tidu.autograd.tape import Tape
from tidu.base.source import at, here
from tidu.base.state import state
from tidu.ops.moving.joining import stack
from tidu.ops.moving.movement import reshape
from tidu.ops.moving.sections import select
from tidu.ops.sources import full

Tensors = tuple[Any, ...]


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
        outer_is_tuple, xs = _inputs(inputs, name, create_graph)
        inner_is_tuple, ys = _outputs(func, xs, name, strict)
        vs = _vectors(v, ys, inner_is_tuple, "the user-provided function returns")
    with set_grad_enabled(_recording(create_graph)):
        products = _gradients(ys, xs, vs, create_graph=create_graph)
        products = _without_holes(products, xs, name, strict, create_graph)
    return _finished(ys, inner_is_tuple, create_graph), _finished(
        products, outer_is_tuple, create_graph
    )


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
        outer_is_tuple, xs = _inputs(inputs, name, create_graph)
        vs = _vectors(v, xs, outer_is_tuple, "the input to the user-provided function is")
        inner_is_tuple, ys = _outputs(func, xs, name, strict)
        # Jᵀu is linear in u, so its derivative for u is J, wherever u is.
        us = tuple(_zeros_like(y).requires_grad_() for y in ys)
        back = _gradients(ys, xs, us, create_graph=True)
        back = _without_holes(back, xs, name, strict, True)
    with set_grad_enabled(_recording(create_graph)):
        products = _gradients(back, us, vs, create_graph=create_graph)
        products = _without_holes(products, ys, name, strict, create_graph)
    return _finished(ys, inner_is_tuple, create_graph), _finished(
        products, inner_is_tuple, create_graph
    )


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
    _check_options(strict, vectorize, strategy)
    with enable_grad():
        outer_is_tuple, xs = _inputs(inputs, name, create_graph)
        inner_is_tuple, ys = _outputs(func, xs, name, strict)
        rows = tuple(_rows(y, number, xs, create_graph, strict) for number, y in enumerate(ys))
    blocks = tuple(_finished(row, outer_is_tuple, create_graph) for row in rows)
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
    is_tuple, _ = _as_tuple(inputs, "inputs", "hessian")

    def gradient(*points: Any) -> Any:
        y = _scalar(func, points, "hessian", strict)
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
        is_tuple, xs = _inputs(inputs, name, create_graph)
        vs = _vectors(v, xs, is_tuple, "the input to the user-provided function is")
        y = _scalar(func, xs, name, strict)
        row = _hessian_row(y, xs, name, strict)
    with set_grad_enabled(_recording(create_graph)):
        products = _gradients(row, xs, vs, create_graph=create_graph)
        products = _without_holes(products, xs, name, strict, create_graph)
    return _finished((y,), False, create_graph), _finished(products, is_tuple, create_graph)


# Arguments and results ----------------------------------------------------------------------------


def _as_tuple(tensors: Any, what: str, name: str) -> tuple[bool, Tensors]:
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


def _inputs(inputs: Any, name: str, create_graph: bool) -> tuple[bool, Tensors]:
    """Tensors of our own for the inputs: the same ones, captured by the function, are constants."""
    is_tuple, tensors = _as_tuple(inputs, "inputs", name)
    own = (
        reshape(x, tuple(x.shape))
        if create_graph and x.requires_grad
        else x.detach().requires_grad_()
        for x in tensors
    )
    return is_tuple, tuple(own)


def _outputs(
    func: Callable[..., Any], xs: Tensors, name: str, strict: bool
) -> tuple[bool, Tensors]:
    is_tuple, ys = _as_tuple(func(*xs), "outputs of the user-provided function", name)
    for number, y in enumerate(ys):
        if strict and not y.requires_grad:
            raise RuntimeError(
                f"Output {number} of the user-provided function does not require gradients. The "
                "outputs must be computed in a differentiable manner from the input when running "
                f"in strict mode.{at(here())}"
            )
    return is_tuple, ys


def _scalar(func: Callable[..., Any], xs: Tensors, name: str, strict: bool) -> Any:
    is_tuple, ys = _outputs(func, xs, name, strict)
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


def _vectors(v: Any, like: Tensors, is_tuple: bool, where: str) -> Tensors:
    """`v` as a tuple, one tensor for each of `like`; ones where it may be left out."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"The vector v can only be None if {where} a single Tensor with a single "
                f"element.{at(here())}"
            )
        return (Tape.wrap(full(1.0, tuple(like[0].shape), like[0].dtype), None),)
    _, vs = _as_tuple(v, "v", "this function")
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


def _recording(create_graph: bool) -> bool:
    return True if create_graph else state.own.grad_enabled


def _zeros_like(x: Any) -> Any:
    return Tape.wrap(full(0.0, tuple(x.shape), x.dtype), None)


def _finished(tensors: Sequence[Any], is_tuple: bool, create_graph: bool) -> Any:
    """Results as the user wants them: a tuple or a single tensor, with a history or without."""
    results = tuple(tensors) if create_graph else tuple(t.detach() for t in tensors)
    return results if is_tuple else results[0]


# Derivatives --------------------------------------------------------------------------------------


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
    gradients: Tensors, xs: Tensors, name: str, strict: bool, create_graph: bool
) -> Tensors:
    """Zeros for what depends on nothing; RuntimeError for it in strict mode."""
    for number, g in enumerate(gradients):
        if strict and g is None:
            raise RuntimeError(_independent(number, name))
        if strict and create_graph and not g.requires_grad:
            raise RuntimeError(
                f"The jacobian of the user-provided function is independent of input {number}. "
                f"This is not allowed in strict mode when create_graph=True. ({name}){at(here())}"
            )
    return tuple(_zeros_like(x) if g is None else g for g, x in zip(gradients, xs, strict=True))


def _independent(number: int, name: str) -> str:
    return (
        f"The output of the user-provided function is independent of input {number}. This is not "
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
    return tuple(_zeros_like(x) if g is None else g for g, x in zip(found, xs, strict=True))


def _rows(y: Any, number: int, xs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """The blocks of a Jacobian for one output: a backward pass for each of its elements."""
    flat = reshape(y, (prod(y.shape),))
    one = Tape.wrap(full(1.0, (), y.dtype), None)
    rows: list[Tensors] = []
    for j in range(flat.shape[0]):
        row = _gradients((select(flat, 0, j),), xs, (one,), create_graph=create_graph)
        for i, g in enumerate(row):
            if strict and g is None:
                raise RuntimeError(
                    f"Output {number} of the user-provided function is independent of input {i}. "
                    f"This is not allowed in strict mode.{at(here())}"
                )
            if strict and create_graph and not g.requires_grad:
                raise RuntimeError(
                    f"The jacobian of the user-provided function is independent of input {i}. "
                    f"This is not allowed in strict mode when create_graph=True.{at(here())}"
                )
        rows.append(tuple(_zeros_like(x) if g is None else g for g, x in zip(row, xs, strict=True)))
    shape = tuple(y.shape)
    if not rows:
        return tuple(Tape.wrap(full(0.0, shape + tuple(x.shape), x.dtype), None) for x in xs)
    return tuple(
        reshape(stack(column), shape + tuple(x.shape))
        for column, x in zip(zip(*rows, strict=True), xs, strict=True)
    )


def _check_options(strict: bool, vectorize: bool, strategy: str) -> None:
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
