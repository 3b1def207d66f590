"""Derivatives of functions as functions, made of backward passes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tidu import autograd
from tidu.autograd.modes import enable_grad
from tidu.tensor import Tensor, namespaces
from tidu.utils._pytree import (
    tree_flatten,
    tree_leaves,
    tree_map,
    tree_structure,
    tree_unflatten,
)

Where = int | tuple[int, ...]
stack = namespaces["torch"]["stack"]


class _Depth(threading.local):
    """How many transforms the running function is inside of."""

    value = 0


_depth = _Depth()


@contextmanager
def _inside() -> Iterator[None]:
    _depth.value += 1
    try:
        with enable_grad():
            yield
    finally:
        _depth.value -= 1


class _Watched:
    """Arguments of a function that is differentiated: copies on the tape of the chosen ones.

    A result is differentiable in its turn where this happens inside of another transform, or where
    an argument requires a gradient. What the function takes from elsewhere counts as constant.
    """

    def __init__(self, args: tuple[Any, ...], argnums: Where, name: str) -> None:
        numbers = (argnums,) if isinstance(argnums, int) else argnums
        self.one = isinstance(argnums, int)
        for number in numbers:
            if not -len(args) <= number < len(args):
                raise RuntimeError(f"Got argnum={number}, but only {len(args)} positional inputs")
        self.numbers = [number % len(args) for number in numbers]
        chosen = [args[number] for number in self.numbers]
        self.record = _depth.value > 0 or any(
            isinstance(x, Tensor) and x.requires_grad for x in tree_leaves(args)
        )
        self.copies = [tree_map(lambda x: _watch(x, name), x) for x in chosen]
        replaced = dict(zip(self.numbers, self.copies, strict=True))
        self.args = tuple(replaced.get(i, x) for i, x in enumerate(args))

    def gradients(self, output: Tensor, cotangent: Any = None, *, last: bool = True) -> Any:
        """The gradient for each chosen argument, in its containers."""
        leaves, spec = tree_flatten(self.copies)
        found = _gradients(output, leaves, cotangent, self.record, last)
        trees = tree_unflatten(found, spec)
        return trees[0] if self.one else tuple(trees)

    def finished(self, x: Any) -> Any:
        """A result as the caller may have it."""
        if self.record:
            return x
        return tree_map(lambda y: y.detach() if isinstance(y, Tensor) else y, x)


def _watch(x: Any, name: str) -> Any:
    if not isinstance(x, Tensor):
        raise ValueError(f"{name}: Expected to be given tensors to differentiate by, got {type(x)}")
    return x.view_as(x) if x.requires_grad else x.detach().requires_grad_()


def _gradients(
    output: Tensor, inputs: list[Any], cotangent: Any, record: bool, last: bool
) -> list[Any]:
    if not output.requires_grad:
        return [x.new_zeros(x.shape) for x in inputs]
    return list(
        autograd.grad(
            output,
            inputs,
            cotangent,
            retain_graph=record or not last,
            create_graph=record,
            allow_unused=True,
            materialize_grads=True,
        )
    )


def grad_and_value(
    func: Callable[..., Any], argnums: Where = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of `func` and its value, a scalar.

    argnums  the argument to differentiate by; a tuple of numbers gives a tuple of gradients
    has_aux  whether `func` returns (value, auxiliary): the result is (gradient, (value, auxiliary))
    """

    def differentiated(*args: Any, **kwargs: Any) -> Any:
        watched = _Watched(args, argnums, "grad_and_value(f)(*args)")
        with _inside():
            returned = func(*watched.args, **kwargs)
            value, auxiliary = _with_auxiliary(returned, has_aux)
            if not isinstance(value, Tensor) or value.dim():
                raise RuntimeError(
                    "grad_and_value(f)(*args): Expected f(*args) to return a scalar tensor, got "
                    f"{_described(value)}"
                )
            gradient = watched.gradients(value)
        value = watched.finished(value)
        return gradient, (value, watched.finished(auxiliary)) if has_aux else value

    return differentiated


def _described(value: Any) -> str:
    if not isinstance(value, Tensor):
        return str(type(value))
    return (
        f"tensor with {value.dim()} dims. Maybe you wanted to use the vjp or jacrev APIs instead?"
    )


def grad(func: Callable[..., Any], argnums: Where = 0, has_aux: bool = False) -> Callable[..., Any]:
    """A function that gives the gradient of `func`, which returns a scalar.

    >>> grad(grad(lambda x: x.sin()))(torch.tensor(1.0))
    tensor(-0.8415)
    """
    both = grad_and_value(func, argnums, has_aux)

    def differentiated(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return differentiated


def _with_auxiliary(returned: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return returned, None
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise RuntimeError(
            "with has_aux=True, f(*args) is expected to return a tuple of (output, aux), got "
            f"{type(returned)}"
        )
    return returned


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """The value of `func`, and a function from cotangents of it to those of all arguments.

    >>> value, pull_back = vjp(torch.sin, torch.zeros(2))
    >>> pull_back(torch.ones(2))
    (tensor([1., 1.]),)
    """
    watched = _Watched(primals, tuple(range(len(primals))), "vjp(f, *primals)")
    with _inside():
        value, auxiliary = _with_auxiliary(func(*watched.args), has_aux)
    outputs, structure = tree_flatten(value)

    def pull_back(*cotangents: Any, **ignored: Any) -> Any:
        given = cotangents[0] if len(cotangents) == 1 else cotangents
        if tree_structure(given) != structure:
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {tree_structure(given)}, primal output: "
                f"{structure}"
            )
        leaves = list(tree_leaves(given))
        with _inside():
            return watched.gradients(_inner(outputs, leaves), last=False)

    results = watched.finished(value), pull_back
    return (*results, watched.finished(auxiliary)) if has_aux else results


def _inner(outputs: Sequence[Any], cotangents: Sequence[Any]) -> Any:
    """Σ output · cotangent, whose gradient is the product of the cotangents with the Jacobian."""
    for x, v in zip(outputs, cotangents, strict=True):
        if x.shape != v.shape:
            raise RuntimeError(
                f"cotangents of shape {list(v.shape)} for an output of shape {list(x.shape)}"
            )
    return sum(((x * v).sum() for x, v in zip(outputs, cotangents, strict=True)), start=0.0)


def jvp(
    func: Callable[..., Any],
    primals: tuple[Any, ...],
    tangents: tuple[Any, ...],
    *,
    strict: bool = False,
    has_aux: bool = False,
) -> Any:
    """The value of `func`, and the product of its Jacobian with `tangents`: how the value changes
    when the arguments move that way.

    The backward pass is linear in its cotangent; differentiating it by that gives the product.
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple):
        raise RuntimeError("jvp(f, primals, tangents): Expected primals and tangents to be tuples")
    if tree_structure(primals) != tree_structure(tangents):
        raise RuntimeError(
            "jvp(f, primals, tangents): Expected primals and tangents to have the same python "
            "structure."
        )
    watched = _Watched(primals, tuple(range(len(primals))), "jvp(f, primals, tangents)")
    record, watched.record = watched.record, True
    with _inside():
        value, auxiliary = _with_auxiliary(func(*watched.args), has_aux)
        outputs, structure = tree_flatten(value)
        dummies = [x.detach().new_zeros(x.shape).requires_grad_() for x in outputs]
        pulled = tree_leaves(watched.gradients(_inner(outputs, dummies)))
        product = _gradients(_inner(pulled, tree_leaves(tangents)), dummies, None, record, True)
    watched.record = record
    results = watched.finished(value), watched.finished(tree_unflatten(product, structure))
    return (*results, watched.finished(auxiliary)) if has_aux else results


def jacrev(
    func: Callable[..., Any],
    argnums: Where = 0,
    *,
    has_aux: bool = False,
    chunk_size: int | None = None,
    _preallocate_and_copy: bool = False,
) -> Callable[..., Any]:
    """A function that gives the Jacobian of `func`: of the output's shape, then the argument's.

    There is a backward pass for each element of the output. `chunk_size` changes nothing.
    """

    def differentiated(*args: Any, **kwargs: Any) -> Any:
        watched = _Watched(args, argnums, "jacrev(f)(*args)")
        with _inside():
            value, auxiliary = _with_auxiliary(func(*watched.args, **kwargs), has_aux)
            jacobian = tree_map(lambda output: _jacobian(watched, output), value)
        return (jacobian, watched.finished(auxiliary)) if has_aux else jacobian

    return differentiated


def _jacobian(watched: _Watched, output: Any) -> Any:
    count = output.numel()
    rows = []
    for place in range(count):
        unit = output.detach().new_zeros(count)
        unit[place] = 1.0
        rows.append(watched.gradients(output, unit.reshape(output.shape), last=False))
    if not rows:
        return tree_map(lambda x: x.new_zeros((*output.shape, *x.shape)), watched.copies)
    return tree_map(lambda *xs: stack(xs).reshape((*output.shape, *xs[0].shape)), *rows)


def jacfwd(
    func: Callable[..., Any],
    argnums: Where = 0,
    has_aux: bool = False,
    *,
    randomness: str = "error",
) -> Callable[..., Any]:
    """The same as `jacrev`: derivatives are always taken backwards here."""
    return jacrev(func, argnums, has_aux=has_aux)


def hessian(func: Callable[..., Any], argnums: Where = 0) -> Callable[..., Any]:
    """A function that gives the second derivatives of `func`, the Jacobian of its Jacobian.

    >>> hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacrev(jacrev(func, argnums), argnums)
