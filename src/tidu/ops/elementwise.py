"""Arithmetic, comparison, logic and the elementary functions, element by element."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.blend import blend
from tidu.base.shapes import broadcast, can_broadcast
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import Value
from tidu.ops.rules import (
    arithmetic,
    bitwise,
    class_name,
    comparison,
    floating,
    is_number,
    logical,
    promote,
    same,
)
from tidu.ops.samples import binary, binary_tensors, unary

# Arithmetic of two operands
# ------------------------------------------------------------------------

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
    inputs, shape, d = arithmetic(op, inputs, attrs)
    if d is dtypes.bool_:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. "
            "Use the `^` or `logical_xor()` operator instead."
        )
    return inputs, shape, d


sub = define(
    "sub",
    inputs="input other",
    infer=_subtraction,
    numpy=np.subtract,
    emit=lambda s, x, y: s.sub(x, y),
    vjp=(lambda g, out, x, y: g, lambda g, out, x, y: -g),
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
    samples=binary(),
    public="torch.mul torch.multiply Tensor.mul Tensor.multiply",
    inplace=True,
)
div = define(
    "div",
    inputs="input other",
    infer=floating,
    numpy=np.true_divide,
    emit=lambda s, x, y: s.div(x, y),
    vjp=(lambda g, out, x, y: g / y, lambda g, out, x, y: -g * (out / y)),
    samples=binary(-2, 2, 1, 3),
)


@function("torch.add Tensor.add", inplace=True)
def add_scaled(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input + alpha · other.

    >>> torch.add(torch.ones(2), 1, alpha=3)
    tensor([4., 4.])
    """
    return add(input, other if alpha == 1 else other * alpha)


@function("torch.sub torch.subtract Tensor.sub Tensor.subtract", inplace=True)
def sub_scaled(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """input - alpha · other."""
    return sub(input, other if alpha == 1 else other * alpha)


@function("torch.rsub Tensor.rsub")
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha · input."""
    name = "RsubBackward1" if is_number(other) else "RsubBackward0"
    return sub.named(name, other, input if alpha == 1 else input * alpha)


def _division(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """As `arithmetic`; an integer cannot be divided by the number 0."""
    inputs, shape, d = arithmetic(op, inputs, attrs)
    divisor = inputs[1]
    if d.category == dtypes.INTEGER and divisor.__class__ is int and divisor == 0:
        raise ZeroDivisionError(f"{op.name}: integer division of a tensor by zero")
    return inputs, shape, d


def _floor_divide_numpy(x: Any, y: Any) -> Any:
    integers = np.asarray(x).dtype.kind != "f" and np.asarray(y).dtype.kind != "f"
    if integers and np.any(np.asarray(y) == 0):
        raise ZeroDivisionError("integer division of a tensor by zero")
    return np.floor_divide(x, y)


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


floor_divide = define(
    "floor_divide",
    raises=True,
    inputs="input other",
    infer=_division,
    numpy=_floor_divide_numpy,
    emit=_floor_divide_emit,
    samples=binary(-6, 6, 1, 4),
    dtypes="number",
    public="torch.floor_divide Tensor.floor_divide",
    inplace=True,
)


@function(
    "torch.div torch.divide torch.true_divide Tensor.div Tensor.divide Tensor.true_divide",
    inplace=True,
)
def divide(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """input / other; `rounding_mode` 'floor' or 'trunc' rounds the quotient and keeps integers.

    Raises RuntimeError for another rounding mode.
    """
    if rounding_mode is None:
        return div(input, other)
    if rounding_mode not in ("floor", "trunc"):
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    if rounding_mode == "floor":
        return floor_divide(input, other)
    d = dtypes.result_type((input, other))
    quotient = trunc(div(input, other))
    return quotient if d.is_floating_point else quotient.to(d)


remainder = define(
    "remainder",
    raises=True,
    inputs="input other",
    infer=_division,
    numpy=np.remainder,
    emit=lambda s, x, y: s.rem(x, y),
    vjp=(lambda g, out, x, y: g, lambda g, out, x, y: -g * floor_divide(x, y)),
    samples=binary(-6, 6, 1, 4),
    dtypes="number",
)
fmod = define(
    "fmod",
    raises=True,
    inputs="input other",
    infer=_division,
    numpy=np.fmod,
    emit=lambda s, x, y: s.fmod(x, y),
    vjp=(lambda g, out, x, y: g, lambda g, out, x, y: -g * trunc(x / y)),
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
    """input - other · trunc(input / other): the sign is that of `input`, as in C."""
    return fmod.named("FmodBackward0" if is_number(other) else "FmodBackward1", input, other)


def _pow_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    base, exponent = inputs
    if is_number(exponent) and not is_number(base):
        if base.dtype.category != dtypes.FLOAT and isinstance(exponent, int) and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if base.dtype is dtypes.bool_ and isinstance(exponent, int):
            inputs = (base, int(exponent))
    (base, exponent), shape, d = arithmetic(op, inputs, attrs)
    known = _KNOWN.get(exponent.__class__)
    if known is not None and exponent in _OWN_ARITHMETIC:
        exponent = known(exponent)
    return (base, exponent), shape, d


class _KnownFloat(float):
    """A number that programs are compiled for; all others are arguments of a program."""


class _KnownInt(int):
    """The same for integers."""


_KNOWN: dict[type, type] = {float: _KnownFloat, int: _KnownInt}
# Exponents that cost one or two products, roots or quotients, instead of a logarithm.
_OWN_ARITHMETIC = (2, 0.5, 3, -1, -2)


def _pow_numpy(x: Any, y: Any) -> Any:
    if isinstance(y, (int, float)):
        if y == 2:
            return np.square(x)
        if y == 0.5:
            return np.sqrt(x)
        if y == 3:
            return x * x * x
        if y == -1 and x.dtype.kind == "f":
            return np.reciprocal(x)
        if y == -2 and x.dtype.kind == "f":
            return np.reciprocal(x * x)
    return np.power(x, y)


def _pow_vjp_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    if is_number(y):
        if y == 2 and x.__class__ is Value:  # a Tensor takes the long way, which stays on the tape
            return g * (x * 2.0)
        return fill(g, 0.0) if y == 0 else g * (x ** (y - 1) * y)
    return where(y == 0, 0.0, g * (y * x ** (y - 1)))


def _pow_vjp_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    if is_number(x):
        if x == 0:
            return where(y >= 0, 0.0, g * (out * math.inf))
        return g * (out * (math.log(x) if x > 0 else math.nan))
    silent = logical_and(x == 0, y >= 0)  # the limit is 0 there, and log(0) would give NaN
    return g * where(silent, 0.0, out * log(where(silent, 1.0, x)))


pow_ = define(
    "pow",
    inputs="input exponent",
    infer=_pow_infer,
    numpy=_pow_numpy,
    emit=lambda s, x, y: s.pow(x, y),
    vjp=(_pow_vjp_base, _pow_vjp_exponent),
    samples=lambda: [
        *binary_tensors(0.2, 2.0)(),
        *(Sample((Array((2, 3), 0.5, 2.0), n)) for n in (2, 3, 0.5, -1.0, 0, 1.7)),
        Sample((Array((4,), -2, 2), 2)),
    ],
    dtypes="float",
)


@function("torch.pow Tensor.pow", inplace=True)
def power(input: Any, exponent: Any) -> Any:
    """input ** exponent; one of the two may be a number.

    Raises RuntimeError for integers to a negative integer power.
    """
    kind = 0 if is_number(exponent) else 2 if is_number(input) else 1
    return pow_.named(f"PowBackward{kind}", input, exponent)


# Which of two equal operands gets the gradient: half each, as in PyTorch.
maximum = define(
    "maximum",
    inputs="input other",
    infer=arithmetic,
    numpy=np.maximum,
    emit=lambda s, x, y: s.max(x, y),
    vjp=(
        lambda g, out, x, y: where(x == y, g / 2, where(x > y, g, 0.0)),
        lambda g, out, x, y: where(x == y, g / 2, where(x < y, g, 0.0)),
    ),
    samples=binary_tensors(),
    public="torch.maximum Tensor.maximum",
)
minimum = define(
    "minimum",
    inputs="input other",
    infer=arithmetic,
    numpy=np.minimum,
    emit=lambda s, x, y: s.min(x, y),
    vjp=(
        lambda g, out, x, y: where(x == y, g / 2, where(x < y, g, 0.0)),
        lambda g, out, x, y: where(x == y, g / 2, where(x > y, g, 0.0)),
    ),
    samples=binary_tensors(),
    public="torch.minimum Tensor.minimum",
)
atan2 = define(
    "atan2",
    inputs="input other",
    infer=floating,
    numpy=np.arctan2,
    emit=lambda s, x, y: s.atan2(x, y),
    vjp=(
        lambda g, out, x, y: g * y / (x * x + y * y),
        lambda g, out, x, y: -g * x / (x * x + y * y),
    ),
    samples=binary_tensors(0.3, 2.0),
    public="torch.atan2 torch.arctan2 Tensor.atan2 Tensor.arctan2",
    inplace=True,
)

# Comparison
# ----------------------------------------------------------------------------------------


def _comparison(name: str, ufunc: Any, emit: Any, aliases: str = "") -> Op:
    paths = " ".join(f"torch.{n} Tensor.{n}" for n in (name, *aliases.split()))
    return define(
        name,
        inputs="input other",
        infer=comparison,
        numpy=ufunc,
        emit=emit,
        samples=binary(),
        public=paths,
        inplace=True,
    )


eq = _comparison("eq", np.equal, lambda s, x, y: s.eq(x, y))
ne = _comparison("ne", np.not_equal, lambda s, x, y: s.ne(x, y), "not_equal")
lt = _comparison("lt", np.less, lambda s, x, y: s.lt(x, y), "less")
le = _comparison("le", np.less_equal, lambda s, x, y: s.le(x, y), "less_equal")
gt = _comparison("gt", np.greater, lambda s, x, y: s.lt(y, x), "greater")
ge = _comparison("ge", np.greater_equal, lambda s, x, y: s.le(y, x), "greater_equal")


def _test(name: str, ufunc: Any, emit: Any) -> Op:
    """A question about one number, answered with a bool."""

    def infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
        return inputs, inputs[0].shape, dtypes.bool_

    return define(
        name,
        infer=infer,
        numpy=ufunc,
        emit=emit,
        samples=unary(),
        dtypes="number",
        public=f"torch.{name} Tensor.{name}",
    )


isnan = _test("isnan", lambda x: x != x, lambda s, x: s.ne(x, x))
isinf = _test(
    "isinf",
    lambda x: (
        np.isinf(x) if x.dtype.kind != "i" and x.dtype.kind != "u" else np.zeros(x.shape, bool)
    ),
    lambda s, x: s.bit_and(s.eq(x, x), s.ne(s.sub(x, x), s.const(0, x))),
)
# x - x is 0 for every number that is finite, integers included, and NaN for the others.
isfinite = _test("isfinite", np.isfinite, lambda s, x: s.eq(s.sub(x, x), s.const(0, x)))

# Logic and bits
# ------------------------------------------------------------------------------------


def _logical(name: str, ufunc: Any, emit: Any) -> Op:
    return define(
        name,
        inputs="input other",
        infer=logical,
        numpy=ufunc,
        emit=emit,
        samples=binary_tensors(),
        public=f"torch.{name} Tensor.{name}",
        inplace=True,
    )


logical_and = _logical("logical_and", np.logical_and, lambda s, x, y: s.bit_and(x, y))
logical_or = _logical("logical_or", np.logical_or, lambda s, x, y: s.bit_or(x, y))
logical_xor = _logical("logical_xor", np.logical_xor, lambda s, x, y: s.bit_xor(x, y))
logical_not = define(
    "logical_not",
    infer=logical,
    numpy=np.logical_not,
    emit=lambda s, x: s.bit_not(x),
    samples=unary(),
    public="torch.logical_not Tensor.logical_not",
    inplace=True,
)


def _bitwise(name: str, ufunc: Any, emit: Any) -> Op:
    return define(
        name,
        inputs="input other",
        infer=bitwise,
        numpy=ufunc,
        emit=emit,
        samples=binary_tensors(-5, 5),
        dtypes="integer",
        public=f"torch.{name} Tensor.{name}",
        inplace=True,
    )


bitwise_and = _bitwise("bitwise_and", np.bitwise_and, lambda s, x, y: s.bit_and(x, y))
bitwise_or = _bitwise("bitwise_or", np.bitwise_or, lambda s, x, y: s.bit_or(x, y))
bitwise_xor = _bitwise("bitwise_xor", np.bitwise_xor, lambda s, x, y: s.bit_xor(x, y))
bitwise_not = define(
    "bitwise_not",
    infer=bitwise,
    numpy=np.invert,
    emit=lambda s, x: s.bit_not(x),
    samples=unary(-5, 5),
    dtypes="integer",
    public="torch.bitwise_not Tensor.bitwise_not",
    inplace=True,
)


def _shift(name: str, ufunc: Any, emit: Any) -> Op:
    return define(
        name,
        inputs="input other",
        infer=bitwise,
        numpy=ufunc,
        emit=emit,
        samples=binary_tensors(0, 5),
        dtypes="integer",
        public=f"torch.{name} Tensor.{name}",
        inplace=True,
    )


bitwise_left_shift = _shift("bitwise_left_shift", np.left_shift, lambda s, x, y: s.shift_left(x, y))
bitwise_right_shift = _shift(
    "bitwise_right_shift", np.right_shift, lambda s, x, y: s.shift_right(x, y)
)

# Choice
# --------------------------------------------------------------------------------------------


def _where_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    condition, x, y = inputs
    if is_number(condition):
        raise TypeError(
            f"where(): argument 'condition' must be Tensor, not {type(condition).__name__}"
        )
    if condition.dtype is not dtypes.bool_ and condition.dtype is not dtypes.uint8:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{class_name(condition.dtype)}"
        )
    (x, y), d = promote((x, y))
    shapes = [condition.shape, *(z.shape for z in (x, y) if not is_number(z))]
    return (condition, x, y), broadcast("where", *shapes), d


where: Op = define(
    "where",
    inputs="condition input other",
    infer=_where_infer,
    numpy=lambda c, x, y: np.where(c, x, y) if is_number(x) and is_number(y) else blend(c, x, y),
    emit=lambda s, c, x, y: s.select(c, x, y),
    vjp=(None, lambda g, out, c, x, y: where(c, g, 0.0), lambda g, out, c, x, y: where(c, 0.0, g)),
    samples=lambda: [
        Sample((Array((3, 4), dtype="bool"), Array((3, 4)), Array((4,)))),
        Sample((Array((2, 1), dtype="bool"), Array((3,)), 0.5)),
        Sample((Array((), dtype="bool"), Array(()), Array((2,)))),
        Sample((Array((0,), dtype="bool"), Array((0,)), Array((1,)))),
    ],
)


def _clamp_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    if inputs[1] is None and inputs[2] is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return arithmetic(op, inputs, attrs)


def _clamp_emit(s: Any, x: Any, low: Any, high: Any) -> Any:
    x = x if low is None else s.max(x, low)
    return x if high is None else s.min(x, high)


def _clamp_numpy(x: Any, low: Any, high: Any) -> Any:
    x = x if low is None else np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _within(x: Any, low: Any, high: Any) -> Any:
    if low is None:
        return x <= high
    return x >= low if high is None else logical_and(x >= low, x <= high)


def _clamp_vjp_low(g: Any, out: Any, x: Any, low: Any, high: Any) -> Any:
    below = x < low
    return where(below if high is None else logical_and(below, low < high), g, 0.0)


def _clamp_vjp_high(g: Any, out: Any, x: Any, low: Any, high: Any) -> Any:
    above = x > high
    return where(above if low is None else logical_or(above, low > high), g, 0.0)


clamp = define(
    "clamp",
    inputs="input min max",
    infer=_clamp_infer,
    numpy=_clamp_numpy,
    emit=_clamp_emit,
    vjp=(
        lambda g, out, x, low, high: where(_within(x, low, high), g, 0.0),
        _clamp_vjp_low,
        _clamp_vjp_high,
    ),
    samples=lambda: [
        Sample((Array((3, 4)), -0.5, 1.0)),
        Sample((Array((5,)), None, 0.7)),
        Sample((Array(()), -1.0, None)),
        Sample((Array((2, 3)), Array((3,), -1, 0), Array((2, 1), 0, 1))),
        Sample((Array((0, 2)), 0.0, 1.0)),
    ],
    dtypes="number",
)


@function("torch.clamp torch.clip Tensor.clamp Tensor.clip", inplace=True)
def clamp_between(input: Any, min: Any = None, max: Any = None) -> Any:
    """min(max(input, `min`), `max`), each bound a number, a tensor or None.

    The gradient is that of the input inside the bounds and 0 outside. Raises RuntimeError without
    bounds.

    >>> torch.clamp(torch.tensor([-1., 0.5, 2.]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    numbers = (min is None or is_number(min)) and (max is None or is_number(max))
    return clamp.named("ClampBackward1" if numbers else "ClampBackward0", input, min, max)


@function("torch.clamp_min Tensor.clamp_min", inplace=True)
def clamp_min(input: Any, min: Any) -> Any:
    """max(input, `min`)."""
    name = "ClampMinBackward0" if is_number(min) else "ClampMinBackward1"
    return clamp.named(name, input, min, None)


@function("torch.clamp_max Tensor.clamp_max", inplace=True)
def clamp_max(input: Any, max: Any) -> Any:
    """min(input, `max`)."""
    name = "ClampMaxBackward0" if is_number(max) else "ClampMaxBackward1"
    return clamp.named(name, input, None, max)


# A tensor of the same shape, every element one number. It stays on the tape (with a zero
# gradient), as in PyTorch.
fill: Op = define(
    "fill",
    inputs="input value",
    infer=lambda op, inputs, attrs: (
        (inputs[0], promote((inputs[1],), inputs[0].dtype)[0][0]),
        inputs[0].shape,
        inputs[0].dtype,
    ),
    numpy=lambda x, value: np.full(x.shape, value, x.dtype),
    emit=lambda s, x, value: value,
    vjp=(lambda g, out, x, value: fill(g, 0.0), lambda g, out, x, value: g),
    samples=lambda: [
        Sample((Array((3, 4)), 1.5)),
        Sample((Array(()), 2)),
        Sample((Array((2, 3)), Array(()))),
    ],
    public="torch.fill Tensor.fill",
    inplace=True,
)

# Functions of one operand
# --------------------------------------------------------------------------

_integer_is_whole = {
    "floor": np.floor,
    "ceil": np.ceil,
    "trunc": np.trunc,
    "round": np.rint,
}


def _rounding(name: str, emit: Any) -> Op:
    ufunc = _integer_is_whole[name]
    return define(
        name,
        infer=same,
        numpy=lambda x: ufunc(x) if x.dtype.kind == "f" else x,
        emit=emit,
        vjp=(lambda g, out, x: fill(g, 0.0),),
        samples=unary(-4, 4),
        dtypes="number",
    )


floor = _rounding("floor", lambda s, x: s.floor(x))
ceil = _rounding("ceil", lambda s, x: s.ceil(x))
trunc: Op = _rounding("trunc", lambda s, x: s.trunc(x))
round_ = _rounding("round", lambda s, x: s.round(x))
for _op, _names in ((floor, "floor"), (ceil, "ceil"), (trunc, "trunc fix")):
    _op.public = tuple(
        f"{where_}.{name}" for name in _names.split() for where_ in ("torch", "Tensor")
    )
    _op.inplace = True


@function("torch.round torch.special.round Tensor.round", inplace=True)
def round_decimals(input: Any, *, decimals: int = 0) -> Any:
    """To the nearest number with `decimals` decimals, ties to even."""
    if decimals == 0:
        return round_(input)
    scale = 10.0 ** abs(decimals)
    return round_(input * scale) / scale if decimals > 0 else round_(input / scale) * scale


def _negation(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    if inputs[0].dtype is dtypes.bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. "
            "If you are trying to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return same(op, inputs, attrs)


def _function(
    name: str,
    ufunc: Any,
    emit: Any,
    vjp: Any,
    samples: Any = None,
    infer: Any = floating,
    names: str = "",
    kinds: str = "number",
    torch_paths: str = "",
    grad_name: str = "",
) -> Op:
    """One operand, bound as torch.<name>, Tensor.<name> and Tensor.<name>_."""
    paths = " ".join(f"torch.{n} Tensor.{n}" for n in (name, *names.split()))
    return define(
        name,
        infer=infer,
        numpy=ufunc,
        emit=emit,
        vjp=None if vjp is None else (vjp,),
        samples=samples or unary(),
        dtypes=kinds,
        public=f"{paths} {torch_paths}",
        inplace=True,
        grad_name=grad_name,
    )


neg = _function(
    "neg",
    np.negative,
    lambda s, x: s.neg(x),
    lambda g, out, x: -g,
    infer=_negation,
    names="negative",
)
abs_ = _function(
    "abs",
    np.abs,
    lambda s, x: s.abs(x),
    lambda g, out, x: g * sign(x),
    infer=same,
    names="absolute",
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


sign: Op = _function(
    "sign",
    _sign_numpy,
    _sign_emit,
    lambda g, out, x: fill(g, 0.0),
    infer=same,
)
square = _function(
    "square",
    np.square,
    lambda s, x: s.mul(x, x),
    lambda g, out, x: g * (x * 2.0),
    infer=same,
    grad_name="PowBackward0",
)
sqrt = _function(
    "sqrt",
    np.sqrt,
    lambda s, x: s.sqrt(x),
    lambda g, out, x: g / (out * 2.0),
    samples=unary(0.1, 4),
)
rsqrt = _function(
    "rsqrt",
    lambda x: 1 / np.sqrt(x),
    lambda s, x: s.div(s.const(1, x), s.sqrt(x)),
    lambda g, out, x: g * (out * out * out * -0.5),
    samples=unary(0.2, 4),
)
reciprocal = _function(
    "reciprocal",
    lambda x: 1 / x,
    lambda s, x: s.div(s.const(1, x), x),
    lambda g, out, x: -g * (out * out),
    samples=unary(0.3, 3),
)
exp = _function("exp", np.exp, lambda s, x: s.exp(x), lambda g, out, x: g * out)
exp2 = _function(
    "exp2",
    np.exp2,
    lambda s, x: s.exp2(x),
    lambda g, out, x: g * (out * math.log(2)),
    torch_paths="torch.special.exp2",
)
expm1 = _function(
    "expm1",
    np.expm1,
    lambda s, x: s.expm1(x),
    lambda g, out, x: g * (out + 1.0),
    torch_paths="torch.special.expm1",
)
log = _function(
    "log", np.log, lambda s, x: s.log(x), lambda g, out, x: g / x, samples=unary(0.1, 5)
)
log2 = _function(
    "log2",
    np.log2,
    lambda s, x: s.log2(x),
    lambda g, out, x: g / (x * math.log(2)),
    samples=unary(0.1, 5),
)
log10 = _function(
    "log10",
    np.log10,
    lambda s, x: s.log10(x),
    lambda g, out, x: g / (x * math.log(10)),
    samples=unary(0.1, 5),
)
log1p = _function(
    "log1p",
    np.log1p,
    lambda s, x: s.log1p(x),
    lambda g, out, x: g / (x + 1.0),
    samples=unary(-0.8, 5),
    torch_paths="torch.special.log1p",
    grad_name="Log1PBackward0",
)
sin = _function("sin", np.sin, lambda s, x: s.sin(x), lambda g, out, x: g * cos(x))
cos: Op = _function("cos", np.cos, lambda s, x: s.cos(x), lambda g, out, x: g * -sin(x))
tan = _function(
    "tan", np.tan, lambda s, x: s.tan(x), lambda g, out, x: g * (out * out + 1.0), unary(-1, 1)
)
asin = _function(
    "asin",
    np.arcsin,
    lambda s, x: s.asin(x),
    lambda g, out, x: g * rsqrt(1.0 - x * x),
    unary(-0.9, 0.9),
    names="arcsin",
)
acos = _function(
    "acos",
    np.arccos,
    lambda s, x: s.acos(x),
    lambda g, out, x: g * -rsqrt(1.0 - x * x),
    unary(-0.9, 0.9),
    names="arccos",
)
atan = _function(
    "atan", np.arctan, lambda s, x: s.atan(x), lambda g, out, x: g / (x * x + 1.0), names="arctan"
)
sinh = _function("sinh", np.sinh, lambda s, x: s.sinh(x), lambda g, out, x: g * cosh(x))
cosh: Op = _function("cosh", np.cosh, lambda s, x: s.cosh(x), lambda g, out, x: g * sinh(x))
tanh = _function(
    "tanh",
    np.tanh,
    lambda s, x: s.tanh(x),
    lambda g, out, x: tanh_gradient(g, out),
    torch_paths="torch.nn.functional.tanh",
)
# The gradients of tanh and sigmoid are operations of their own: one to record instead of three.
tanh_gradient: Op = define(
    "tanh_gradient",
    inputs="gradient output",
    infer=arithmetic,
    numpy=lambda g, out: g * (1 - out * out),
    emit=lambda s, g, out: s.mul(g, s.sub(s.const(1, out), s.mul(out, out))),
    vjp=(
        lambda g, out, gradient, output: g * (1.0 - output * output),
        lambda g, out, gradient, output: g * gradient * output * -2.0,
    ),
    grad_name="TanhBackwardBackward0",
    samples=binary_tensors(),
    dtypes="float",
    reference=lambda torch, g, out: torch.ops.aten.tanh_backward(*torch.broadcast_tensors(g, out)),
)
asinh = _function(
    "asinh",
    np.arcsinh,
    lambda s, x: s.asinh(x),
    lambda g, out, x: g * rsqrt(x * x + 1.0),
    names="arcsinh",
)
acosh = _function(
    "acosh",
    np.arccosh,
    lambda s, x: s.acosh(x),
    lambda g, out, x: g * rsqrt(x * x - 1.0),
    unary(1.2, 4),
    names="arccosh",
)
atanh = _function(
    "atanh",
    np.arctanh,
    lambda s, x: s.atanh(x),
    lambda g, out, x: g / (1.0 - x * x),
    unary(-0.9, 0.9),
    names="arctanh",
)


def _sigmoid_emit(s: Any, x: Any) -> Any:
    # exp of a number that is never positive cannot overflow.
    e = s.exp(s.neg(s.abs(x)))
    one = s.const(1, x)
    return s.div(s.select(s.lt(x, s.const(0, x)), e, one), s.add(one, e))


sigmoid = _function(
    "sigmoid",
    lambda x: 1 / (1 + np.exp(-x)),
    _sigmoid_emit,
    lambda g, out, x: sigmoid_gradient(g, out),
    torch_paths="torch.special.expit torch.nn.functional.sigmoid",
)
sigmoid_gradient: Op = define(
    "sigmoid_gradient",
    inputs="gradient output",
    infer=arithmetic,
    numpy=lambda g, out: g * ((1 - out) * out),
    emit=lambda s, g, out: s.mul(g, s.mul(s.sub(s.const(1, out), out), out)),
    vjp=(
        lambda g, out, gradient, output: g * ((1.0 - output) * output),
        lambda g, out, gradient, output: g * gradient * (1.0 - output * 2.0),
    ),
    grad_name="SigmoidBackwardBackward0",
    samples=binary_tensors(),
    dtypes="float",
    reference=lambda torch, g, out: torch.ops.aten.sigmoid_backward(
        *torch.broadcast_tensors(g, out)
    ),
)
# The gradient of relu. An op of its own, because PyTorch's counts as depending on the output too.
gate: Op = define(
    "gate",
    inputs="gradient output",
    infer=arithmetic,
    # Told apart by what is at most 0, so that the gradient passes where the output is NaN.
    numpy=lambda g, out: blend(out <= 0, np.zeros((), g.dtype), g),
    emit=lambda s, g, out: s.select(s.le(out, s.const(0, out)), s.const(0, g), g),
    vjp=(
        lambda g, out, gradient, output: gate(g, output),
        lambda g, out, gradient, output: fill(g, 0.0),
    ),
    grad_name="ThresholdBackwardBackward0",
    samples=binary_tensors(),
    dtypes="float",
    reference=lambda torch, g, out: torch.ops.aten.threshold_backward(
        *torch.broadcast_tensors(g, out), 0
    ),
)


def _no_bools(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    if inputs[0].dtype is dtypes.bool_:
        raise RuntimeError(
            f"Boolean inputs not supported for {op.name}; convert the tensor first, for example "
            "with .float()"
        )
    return same(op, inputs, attrs)


relu = _function(
    "relu",
    lambda x: np.maximum(x, 0),
    lambda s, x: s.max(x, s.const(0, x)),
    lambda g, out, x: gate(g, out),
    infer=_no_bools,
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
)


def _overwrite_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, source = inputs
    if not can_broadcast(source.shape, x.shape):
        both = broadcast("copy_", x.shape, source.shape)  # raises where the two do not meet at all
        raise RuntimeError(
            f"output with shape {list(x.shape)} doesn't match the broadcast shape {list(both)}: "
            "copy_() broadcasts its argument, never the tensor it writes to"
        )
    return (x, promote((source,), x.dtype)[0][0]), x.shape, x.dtype


# Another tensor's numbers in the shape and dtype of the first, which stays on the tape with a zero
# gradient.
overwrite = define(
    "overwrite",
    inputs="input source",
    infer=_overwrite_infer,
    numpy=lambda x, source: source if source.shape == x.shape else np.broadcast_to(source, x.shape),
    emit=lambda s, x, source: source,
    vjp=(lambda g, out, x, source: fill(g, 0.0), lambda g, out, x, source: g),
    grad_name="CopyBackwards",
    samples=lambda: [Sample((Array((3, 4)), Array((3, 4)))), Sample((Array((2, 3)), Array((3,))))],
    reference=lambda torch, x, source: x.clone().copy_(source),
)
