"""Sums, differences, products, quotients and remainders; signs and absolute values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.remainder import remainder as remainder_of_arrays
from tidu.base.strides import strides_of_copy
from tidu.ir.op import Inferred, Op, define, function
from tidu.ops.cast import cast
from tidu.ops.elementwise.choice import fill
from tidu.ops.elementwise.definitions import define_unary
from tidu.ops.elementwise.rounding import trunc
from tidu.ops.old_order import factor_last
from tidu.ops.rules import PART, arithmetic, ends_at, floating, is_number, same, without_bool
from tidu.ops.samples import binary, unary

add = define(
    "add",
    inputs="input other",
    infer=arithmetic,
    numpy=np.add,
    emit=lambda s, x, y: s.add(x, y),
    vjp=(lambda g, out, x, y: g, lambda g, out, x, y: g),
    samples=binary(),
)


def _subtraction(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    promoted, shape, d = arithmetic(op, inputs, attrs)
    if promoted is not inputs or d is dtypes.bool_:
        _require_no_bool(*inputs)
    return promoted, shape, d


def _require_no_bool(x: Any, y: Any) -> None:
    if not (_is_bool(x) or _is_bool(y)):
        return
    if _is_bool(x) and _is_bool(y):
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. "
            "Use the `^` or `logical_xor()` operator instead."
        )
    raise RuntimeError(
        "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
        "to invert a mask, use the `~` or `logical_not()` operator instead."
    )


def _is_bool(x: Any) -> bool:
    return isinstance(x, bool) if is_number(x) else x.dtype is dtypes.bool_


sub = define(
    "sub",
    inputs="input other",
    infer=_subtraction,
    numpy=np.subtract,
    emit=lambda s, x, y: s.sub(x, y),
    vjp=(lambda g, out, x, y: g, lambda g, out, x, y: -g),
    ends=ends_at(0, 1, RsubBackward1=(1,)),
    samples=binary(),
    dtypes="number",
)
mul = define(
    "mul",
    inputs="input other",
    infer=arithmetic,
    numpy=np.multiply,
    emit=lambda s, x, y: s.mul(x, y),
    vjp=(lambda g, out, x, y: g * y, lambda g, out, x, y: g * x),
    ends=ends_at(
        *(0, 1),
        MulBackward1=(0,),
        Deg2RadBackward0=(0,),
        Rad2DegBackward0=(0,),
        RenormBackward0=(0,),
        RreluWithNoiseBackward0=(0,),
        RreluWithNoiseBackward1=(0,),
    ),
    samples=binary(),
    public="torch.mul torch.multiply Tensor.mul Tensor.multiply",
    inplace=True,
    doc="""input · other; one of the two may be a number, and shapes broadcast.

    >>> torch.mul(torch.tensor([1.0, 2.0]), torch.tensor([[3.0], [10.0]]))
    tensor([[ 3.,  6.],
            [10., 20.]])
    """,
)
div = define(
    "div",
    inputs="input other",
    infer=floating,
    numpy=np.true_divide,
    emit=lambda s, x, y: s.div(x, y),
    # Not by `out`: what is differentiated again would depend on it, which it does not in PyTorch.
    vjp=(lambda g, out, x, y: g / y, lambda g, out, x, y: -g * ((x / y) / y)),
    ends=ends_at(0, 1, DivBackward1=(0,)),
    samples=binary(-2, 2, 1, 3),
)


# PyTorch keeps `alpha` in the node of the sum, which may run backward again.
times_alpha = define(
    "times_alpha",
    inputs="input alpha",
    infer=arithmetic,
    numpy=np.multiply,
    emit=lambda s, x, alpha: s.mul(x, alpha),
    vjp=(lambda g, out, x, alpha: g * alpha, lambda g, out, x, alpha: g * x),
    ends=ends_at(0, 1, Part=(0,)),
    samples=binary(),
    lasts=True,
    reference="mul",
)


def _times(x: Any, alpha: Any, other: Any) -> Any:
    """x · alpha in the dtype in which `x` and `other` meet, which `alpha` has no say in."""
    if alpha.__class__ is int and alpha == 1:
        return x
    d = dtypes.result_type((other, x))
    if isinstance(alpha, bool) and d is not dtypes.bool_:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if isinstance(alpha, float) and d.category != dtypes.FLOAT:
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    if is_number(x):
        return x * alpha
    if d is dtypes.bool_:
        return x if alpha else x * False
    return times_alpha.named(PART, x if x.dtype is d else cast(x, d), alpha)


@function("torch.add Tensor.add", inplace=True)
def add_scaled(input: Any, other: Any, *old: Any, alpha: Any = 1) -> Any:
    """input + alpha · other.

    >>> torch.add(torch.ones(2), 1, alpha=3)
    tensor([4., 4.])
    """
    if old:
        other, alpha = factor_last("add", "alpha", 1, other, *old)
    return add(input, _times(other, alpha, input))


@function("torch.sub torch.subtract Tensor.sub Tensor.subtract", inplace=True)
def sub_scaled(input: Any, other: Any, *old: Any, alpha: Any = 1) -> Any:
    """input - alpha · other.

    >>> torch.sub(torch.tensor([3.0, 4.0]), 1.0)
    tensor([2., 3.])
    """
    if old:
        other, alpha = factor_last("sub", "alpha", 1, other, *old)
    if alpha != 1:
        _require_no_bool(input, other)
    return sub(input, _times(other, alpha, input))


@function("torch.rsub Tensor.rsub")
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha · input."""
    if alpha != 1:
        _require_no_bool(input, other)
    name = "RsubBackward1" if is_number(other) else "RsubBackward0"
    return sub.named(name, other, _times(input, alpha, other))


def _division(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """As `arithmetic`; an integer cannot be divided by the number 0."""
    inputs, shape, d = arithmetic(op, inputs, attrs)
    divisor = inputs[1]
    if d.category == dtypes.INTEGER and divisor.__class__ is int and divisor == 0:
        raise RuntimeError(f"ZeroDivisionError: {op.name}: integer division of a tensor by zero")
    return inputs, shape, d


def _refuses_zero(divide: Any) -> Any:
    """The ufunc `divide`, which raises where an integer is divided by zero."""

    def numpy(x: Any, y: Any) -> Any:
        integers = np.asarray(x).dtype.kind != "f" and np.asarray(y).dtype.kind != "f"
        if integers and np.any(np.asarray(y) == 0):
            raise RuntimeError("ZeroDivisionError: integer division of a tensor by zero")
        return divide(x, y)

    return numpy


def _floor_divide_emit(s: Any, x: Any, y: Any) -> Any:
    """(x - remainder) / y: floor(x / y) would be too great where the quotient is rounded up."""
    zero, one = s.const(0, x), s.const(1, x)
    rest = s.fmod(x, y)
    whole = s.div(s.sub(x, rest), y)
    opposite = s.bit_xor(s.lt(rest, zero), s.lt(y, zero))
    whole = s.select(s.bit_and(s.ne(rest, zero), opposite), s.sub(whole, one), whole)
    quotient = s.div(x, y)
    # Between -1 and 1 the quotient has the sign of the zero.
    rounded = s.select(s.eq(whole, zero), s.mul(quotient, zero), s.round(whole))
    return s.select(s.eq(y, zero), quotient, rounded)


def _no_derivative(g: Any, out: Any, x: Any, y: Any) -> Any:
    raise NotImplementedError("derivative for aten::floor_divide is not implemented")


def _floor_division(name: str, vjp: Any, **options: Any) -> Op:
    return define(
        name,
        raises=True,
        inputs="input other",
        infer=without_bool("div_floor_cpu", _division),
        numpy=_refuses_zero(np.floor_divide),
        emit=_floor_divide_emit,
        vjp=(vjp, vjp),
        samples=binary(-6, 6, 1, 4),
        dtypes="number",
        **options,
    )


# As in PyTorch, of two ways to the same numbers one has no derivative, and that of the other is 0.
floor_divide = _floor_division(
    "floor_divide",
    _no_derivative,
    public="torch.floor_divide Tensor.floor_divide",
    inplace=True,
    grad_name="NotImplemented",
    doc="""input / other, rounded down; integers stay integers.

    >>> torch.floor_divide(torch.tensor([7, -7]), 2)
    tensor([ 3, -4])
    """,
)
div_floor = _floor_division(
    "div_floor",
    lambda g, out, x, y: fill(g, 0.0),
    grad_name="DivBackward2",
    reference=lambda torch, x, y: torch.div(x, y, rounding_mode="floor"),
)
# Of floats only.
div_trunc = define(
    "div_trunc",
    inputs="input other",
    infer=floating,
    numpy=lambda x, y: np.trunc(np.true_divide(x, y)),
    emit=lambda s, x, y: s.trunc(s.div(x, y)),
    vjp=(lambda g, out, x, y: fill(g, 0.0), lambda g, out, x, y: fill(g, 0.0)),
    samples=binary(-6, 6, 1, 4),
    dtypes="float",
    grad_name="DivBackward2",
    reference=lambda torch, x, y: torch.div(x, y, rounding_mode="trunc"),
)


@function(
    "torch.div torch.divide torch.true_divide Tensor.div Tensor.divide Tensor.true_divide",
    inplace=True,
)
def divide(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; `rounding_mode` 'floor' or 'trunc' rounds the quotient and keeps integers.

    Raises RuntimeError for another rounding mode.

    >>> torch.div(torch.tensor([7.0, -7.0]), 2, rounding_mode="floor")
    tensor([ 3., -4.])
    """
    if rounding_mode is None:
        return div(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    if rounding_mode == "floor":
        return div_floor(input, other)
    if dtypes.result_type((input, other)).is_floating_point:
        return div_trunc(input, other)
    # Of a multiple, exact. Booleans can be added to, not subtracted from.
    return floor_divide(add(input, neg(fmod(input, other))), other)


remainder = define(
    "remainder",
    raises=True,
    inputs="input other",
    infer=without_bool("remainder_cpu", _division),
    numpy=_refuses_zero(remainder_of_arrays),
    emit=lambda s, x, y: s.rem(x, y),
    vjp=(lambda g, out, x, y: g, lambda g, out, x, y: -g * div_floor(x, y)),
    ends=ends_at(0, 1, RemainderBackward0=(0,)),
    samples=binary(-6, 6, 1, 4),
    dtypes="number",
)
fmod = define(
    "fmod",
    raises=True,
    inputs="input other",
    infer=without_bool("fmod_cpu", _division),
    numpy=_refuses_zero(np.fmod),
    emit=lambda s, x, y: s.fmod(x, y),
    vjp=(lambda g, out, x, y: g, lambda g, out, x, y: -g * trunc(x / y)),
    ends=ends_at(0, 1, FmodBackward0=(0,)),
    samples=binary(-6, 6, 1, 4),
    dtypes="number",
)


@function("torch.remainder Tensor.remainder", inplace=True)
def remainder_of(input: Any, other: Any) -> Any:
    """input - other · floor(input / other): the sign is that of `other`, as in Python's %."""
    name = "RemainderBackward0" if is_number(other) else "RemainderBackward1"
    return remainder.named(name, input, other)


@function("torch.fmod Tensor.fmod", inplace=True)
def fmod_of(input: Any, other: Any) -> Any:
    """input - other · trunc(input / other): the sign is that of `input`, as in C.

    >>> torch.fmod(torch.tensor([5.0, -5.0]), 3)
    tensor([ 2., -2.])
    """
    return fmod.named("FmodBackward0" if is_number(other) else "FmodBackward1", input, other)


def _negation(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    if inputs[0].dtype is dtypes.bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return same(op, inputs, attrs)


neg = define_unary(
    "neg",
    np.negative,
    lambda s, x: s.neg(x),
    lambda g, out, x: -g,
    infer=_negation,
    names="negative",
    doc="""-input; RuntimeError for booleans.

    >>> torch.neg(torch.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """,
)
abs_ = define_unary(
    "abs",
    np.abs,
    lambda s, x: s.abs(x),
    lambda g, out, x: g * sign(x),
    infer=without_bool("abs_cpu"),
    names="absolute",
    doc="""|input|; the gradient at 0 is 0.

    >>> torch.abs(torch.tensor([-1.5, 2.0]))
    tensor([1.5000, 2.0000])
    """,
)


def _sign_emit(s: Any, x: Any) -> Any:
    zero, one = s.const(0, x), s.const(1, x)
    return s.select(s.lt(zero, x), one, s.select(s.lt(x, zero), s.neg(one), zero))


def _sign_numpy(x: Any) -> Any:
    if x.dtype.kind == "b":
        return x
    return (
        np.where(x != x, np.zeros((), x.dtype), np.sign(x)) if x.dtype.kind == "f" else np.sign(x)
    )


sign: Op = define_unary(
    "sign",
    _sign_numpy,
    _sign_emit,
    lambda g, out, x: fill(g, 0.0),
    infer=same,
    doc="""-1, 0 or 1 by the sign of `input`; the gradient is 0.

    >>> torch.sign(torch.tensor([-3.0, 0.0, 0.5]))
    tensor([-1.,  0.,  1.])
    """,
)
positive = define(
    "positive",
    infer=same,
    numpy=lambda x: x,
    emit=lambda s, x: x,
    vjp=(lambda g, out, x: g,),
    samples=unary(),
    dtypes="number",
    grad_name="CloneBackward0",
    reference="clone",
    strides=strides_of_copy,
)
