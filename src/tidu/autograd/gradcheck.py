"""`gradcheck`: derivatives compared with differences, the last word on whether they are right."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tidu.autograd.differences import (
    Matrix,
    analytical,
    as_tensors,
    moved,
    numbers_of,
    numerical,
    tensor_of,
)
from tidu.autograd.gradients import grad
from tidu.autograd.tape import Tape
from tidu.base.dtypes import float64
from tidu.base.random.generator import default_generator
from tidu.base.source import at, here
from tidu.ir.value import leaf


class GradcheckError(RuntimeError):
    """A derivative is wrong, or cannot be checked."""


class _Options(NamedTuple):
    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    fast_mode: bool


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:
    """Compare derivatives of `func` with central differences, (f(x + ε) - f(x - ε)) / 2ε.

    They agree where |analytical - numerical| ≤ atol + rtol · |numerical|. Those inputs are checked
    that require a gradient; they should be float64 and are moved in place, and back. Also checked:
    that two backward passes agree within `nondet_tol`, and that zero cotangents give zero.
    `fast_mode` compares one random projection of each Jacobian instead of all of it. Raises
    GradcheckError, or returns False without `raise_exception`.

    The outputs are checked one by one, so the cotangents of the others are always undefined;
    gradients always have the dtype of their input; and batches of them are computed one by one.
    `check_undefined_grad`, `check_grad_dtypes` and `check_batched_grad` have nothing else to find.
    Follows torch.autograd.gradcheck.

    >>> gradcheck(lambda x: x**2, torch.rand(3, dtype=torch.float64, requires_grad=True))
    True
    """
    if check_forward_ad or check_batched_forward_grad:
        raise NotImplementedError(
            "gradcheck: there is no forward mode, so check_forward_ad cannot be True"
        )
    xs = (
        (inputs,)
        if isinstance(inputs, Tape.tensor)
        else tuple(inputs)
        if isinstance(inputs, Sequence)
        else (inputs,)
    )
    options = _Options(eps, atol, rtol, nondet_tol, fast_mode)
    try:
        _check_inputs(xs)
        if check_backward_ad:
            _check(func, xs, options)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
) -> bool:
    """`gradcheck` of the derivatives of `func`, as functions of its inputs and of the cotangents.

    `grad_outputs` are the cotangents, drawn from [-1, 1) where they are not given. The other
    arguments are those of `gradcheck`. Follows torch.autograd.gradgradcheck.

    >>> gradgradcheck(lambda x: x**3, torch.rand(3, dtype=torch.float64, requires_grad=True))
    True
    """
    xs = (inputs,) if isinstance(inputs, Tape.tensor) else tuple(inputs)
    if grad_outputs is None:
        cotangents = tuple(
            tensor_of(
                default_generator.uniform(tuple(y.shape), y.dtype.numpy, -1, 1), y.dtype
            ).requires_grad_()
            for y in _differentiable(as_tensors(func(*xs)))
        )
    else:
        cotangents = as_tensors(grad_outputs)

    def derivative(*arguments: Any) -> tuple[Any, ...]:
        points, vectors = arguments[: len(xs)], arguments[len(xs) :]
        ys = _differentiable(as_tensors(func(*points)))
        wanted = [x for x in points if isinstance(x, Tape.tensor) and x.requires_grad]
        found = grad(ys, wanted, vectors, create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        derivative,
        xs + cotangents,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        fast_mode=fast_mode,
    )


def _check(func: Callable[..., Any], xs: tuple[Any, ...], options: _Options) -> None:
    ys = as_tensors(func(*xs))
    places = [i for i, x in enumerate(xs) if isinstance(x, Tape.tensor) and x.requires_grad]
    outputs = [number for number, y in enumerate(ys) if y.requires_grad]
    if not outputs:
        for differences in numerical(func, xs, places, ys, options.eps):
            if any(matrix.any() for matrix in differences):
                raise GradcheckError(
                    "Numerical gradient for function expected to be zero: no output requires a "
                    "gradient, but one changes when an input does. Look for a detach(), .data or "
                    "no_grad() in the function."
                )
        return
    (_compare_projections if options.fast_mode else _compare)(
        func, xs, places, ys, outputs, options
    )
    _check_zero_cotangents(ys, outputs, xs, places)


def _compare(
    func: Callable[..., Any],
    xs: tuple[Any, ...],
    places: list[int],
    ys: tuple[Any, ...],
    outputs: list[int],
    options: _Options,
) -> None:
    differences = numerical(func, xs, places, ys, options.eps)
    for o in outputs:
        exact = analytical(ys[o], xs, places)
        again = analytical(ys[o], xs, places)
        for number, place in enumerate(places):
            a, n = exact[number], differences[number][o]
            if not np.allclose(a, n, options.rtol, options.atol, equal_nan=True):
                worst = np.unravel_index(np.nanargmax(np.abs(a - n)), a.shape) if a.size else ()
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input "
                    f"{place},\nnumerical:{_shown(n)}\nanalytical:{_shown(a)}\nThe worst is "
                    f"element {worst[0]} of the input and element {worst[1]} of the output: "
                    f"numerical {n[worst]:.6g}, analytical {a[worst]:.6g}.{at(here())}"
                )
            if a.size and np.abs(a - again[number]).max() > options.nondet_tol:
                raise GradcheckError(
                    "Backward is not reentrant, i.e., running backward with same input and "
                    "grad_output multiple times gives different values, although analytical "
                    "gradient matches numerical gradient. The tolerance for nondeterminism was "
                    f"{options.nondet_tol}; pass nondet_tol= if that is expected.{at(here())}"
                )


def _compare_projections(
    func: Callable[..., Any],
    xs: tuple[Any, ...],
    places: list[int],
    ys: tuple[Any, ...],
    outputs: list[int],
    options: _Options,
) -> None:
    """uᵀJv for random u and v; where it is off, the whole Jacobian says more."""
    random = np.random.default_rng(0)
    for number, place in enumerate(places):
        u = _unit(random, tuple(xs[place].shape))
        plus, minus = (
            moved(func, xs[place], xs, options.eps * u),
            moved(func, xs[place], xs, -options.eps * u),
        )
        for o in outputs:
            v = _unit(random, tuple(ys[o].shape))
            n = float(((plus[o] - minus[o]) * v).sum() / (2 * options.eps))
            (g,) = grad(
                ys[o],
                [xs[place]],
                [tensor_of(v, ys[o].dtype)],
                retain_graph=True,
                allow_unused=True,
            )
            a = 0.0 if g is None else float((numbers_of(g) * u).sum())
            if not np.isclose(a, n, options.rtol, options.atol, equal_nan=True):
                _compare(func, xs, [places[number]], ys, [o], options)
                raise GradcheckError(
                    f"Jacobian mismatch for output {o} with respect to input "
                    f"{place},\nnumerical:{n}\nanalytical:{a}\nin a random projection (fast "
                    f"mode), though each element is within its tolerance.{at(here())}"
                )


def _check_zero_cotangents(
    ys: tuple[Any, ...], outputs: list[int], xs: tuple[Any, ...], places: list[int]
) -> None:
    zeros = [tensor_of(np.zeros(tuple(ys[o].shape)), ys[o].dtype) for o in outputs]
    wanted = [xs[i] for i in places]
    for g in grad([ys[o] for o in outputs], wanted, zeros, retain_graph=True, allow_unused=True):
        if g is not None and numbers_of(g).any():
            raise GradcheckError(
                "backward not multiplied by grad_output: zero cotangents give "
                f"{_shown(numbers_of(g))}{at(here())}"
            )


def _check_inputs(xs: tuple[Any, ...]) -> None:
    checked = [(i, x) for i, x in enumerate(xs) if isinstance(x, Tape.tensor) and x.requires_grad]
    if not checked:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of them "
            "have requires_grad=True."
        )
    for i, x in checked:
        if x.dtype is not float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or "
                "complex. This check will likely fail if all the inputs are not of double "
                "precision floating point or complex.",
                stacklevel=3,
            )
        if any(n > 1 and step == 0 for n, step in zip(x.shape, x.stride(), strict=True)):
            raise RuntimeError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs "
                "that are non-overlapping to be able to compute the numerical gradients "
                "correctly. You should call .contiguous on the input before passing it to "
                "gradcheck."
            )


def _unit(random: np.random.Generator, shape: tuple[int, ...]) -> Matrix:
    drawn = np.asarray(random.standard_normal(shape))
    unit: Matrix = drawn / max(float(np.linalg.norm(drawn)), 1e-30)
    return unit


def _differentiable(ys: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(y for y in ys if y.requires_grad)


def _shown(matrix: Matrix) -> str:
    return repr(Tape.wrap(leaf(matrix, float64), None))
