"""Powers, roots, exponentials and logarithms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.limits import require_in_range
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import Value
from tidu.ops.elementwise.choice import fill, where
from tidu.ops.elementwise.definitions import define_unary
from tidu.ops.elementwise.logic import logical_and
from tidu.ops.rules import arithmetic, ends_at, is_number, promote, same, without_bool
from tidu.ops.samples import binary_tensors, unary


def _pow_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    base, exponent = inputs
    if is_number(exponent) and not is_number(base):
        if base.dtype.category != dtypes.FLOAT and isinstance(exponent, int) and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if base.dtype is dtypes.bool_ and isinstance(exponent, int):
            inputs = (base, int(exponent))
        if base.dtype.category == dtypes.INTEGER and isinstance(exponent, int):
            require_in_range(exponent, base.dtype)
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
_OWN_ARITHMETIC = (2, 0.5, 3, -1, -2, -0.5)


def _pow_numpy(x: Any, y: Any) -> Any:
    if isinstance(y, (int, float)):
        if y == 2:
            return np.square(x)
        if y == 0.5:
            return np.sqrt(x)
        if y == 3:
            return x * x * x
        if y == -0.5:
            return np.reciprocal(np.sqrt(x))
        if y == -1 and x.dtype.kind == "f":
            return np.reciprocal(x)
        if y == -2 and x.dtype.kind == "f":
            return np.reciprocal(x * x)
    if np.result_type(x, y).kind == "i":
        return _integer_power(x, y)
    return np.power(x, y)


def _integer_power(x: Any, y: Any) -> Any:
    """x ** y rounded towards 0: a negative power is 0 but for 1 and -1."""
    power = np.power(x, np.maximum(y, 0))
    if np.all(np.asarray(y) >= 0):
        return power
    units = np.where(np.asarray(y) % 2 == 0, np.abs(x), x)
    return np.where(np.asarray(y) < 0, np.where(np.abs(x) == 1, units, 0), power)


def _pow_vjp_base(g: Any, out: Any, x: Any, y: Any) -> Any:
    if is_number(y):
        if y == 2 and x.__class__ is Value:  # a Tensor takes the long way, which stays on the tape
            return g * (x * 2.0)
        return fill(g, 0.0) if y == 0 else g * (x ** (y - 1) * y)
    return where(y == 0, 0.0, g * (y * x ** (y - 1)))


def _pow_vjp_exponent(g: Any, out: Any, x: Any, y: Any) -> Any:
    if is_number(x):
        if x == 0:
            return where(y >= 0, 0.0, g * (out * -math.inf))
        return g * (out * (math.log(x) if x > 0 else math.nan))
    silent = logical_and(x == 0, y >= 0)  # the limit is 0 there, and log(0) would give NaN
    return g * where(silent, 0.0, out * log(where(silent, 1.0, x)))


pow_ = define(
    "pow",
    inputs="input exponent",
    infer=without_bool("pow", _pow_infer),
    numpy=_pow_numpy,
    emit=lambda s, x, y: s.pow(x, y),
    vjp=(_pow_vjp_base, _pow_vjp_exponent),
    ends=ends_at(0, 1, PowBackward0=(0,), PowBackward2=(1,)),
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

    >>> torch.pow(torch.tensor([2.0, 3.0]), 2)
    tensor([4., 9.])
    """
    kind = 0 if is_number(exponent) else 2 if is_number(input) else 1
    return pow_.named(f"PowBackward{kind}", input, exponent)


def _square_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """Bools are squared as integers, as every power of them."""
    if inputs[0].dtype is dtypes.bool_:
        inputs, _ = promote(inputs, dtypes.int64)
    return same(op, inputs, attrs)


square = define_unary(
    "square",
    np.square,
    lambda s, x: s.mul(x, x),
    lambda g, out, x: g * (x * 2.0),
    infer=_square_infer,
    grad_name="PowBackward0",
    doc="""x².

    >>> torch.square(torch.tensor([-2.0, 3.0]))
    tensor([4., 9.])
    """,
)
sqrt = define_unary(
    "sqrt",
    np.sqrt,
    lambda s, x: s.sqrt(x),
    lambda g, out, x: g / (out * 2.0),
    samples=unary(0.1, 4),
    doc="""√x, NaN below 0; the gradient at 0 is infinite.

    >>> torch.sqrt(torch.tensor([4.0, 2.0]))
    tensor([2.0000, 1.4142])
    """,
)
rsqrt = define_unary(
    "rsqrt",
    lambda x: 1 / np.sqrt(x),
    lambda s, x: s.div(s.const(1, x), s.sqrt(x)),
    lambda g, out, x: g * (out * out * out * -0.5),
    samples=unary(0.2, 4),
    doc="""1 / √x, NaN below 0.

    >>> torch.rsqrt(torch.tensor([4.0, 0.25]))
    tensor([0.5000, 2.0000])
    """,
)
reciprocal = define_unary(
    "reciprocal",
    lambda x: 1 / x,
    lambda s, x: s.div(s.const(1, x), x),
    lambda g, out, x: -g * (out * out),
    samples=unary(0.3, 3),
    doc="""1 / x; integers give floats.

    >>> torch.reciprocal(torch.tensor([4.0, -0.5]))
    tensor([ 0.2500, -2.0000])
    """,
)
exp = define_unary(
    "exp",
    np.exp,
    lambda s, x: s.exp(x),
    lambda g, out, x: g * out,
    doc="""eˣ; integers give floats, as with all functions of this kind.

    >>> torch.exp(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """,
)
exp2 = define_unary(
    "exp2",
    np.exp2,
    lambda s, x: s.exp2(x),
    lambda g, out, x: g * (out * math.log(2)),
    torch_paths="torch.special.exp2",
    doc="""2ˣ.

    >>> torch.exp2(torch.tensor([0.0, 3.0]))
    tensor([1., 8.])
    """,
)
expm1 = define_unary(
    "expm1",
    np.expm1,
    lambda s, x: s.expm1(x),
    lambda g, out, x: g * (out + 1.0),
    torch_paths="torch.special.expm1",
    doc="""eˣ - 1, without loss of digits where x is small.

    >>> torch.expm1(torch.tensor([1e-6, 1.0]))
    tensor([1.0000e-06, 1.7183e+00])
    """,
)
log = define_unary(
    "log",
    np.log,
    lambda s, x: s.log(x),
    lambda g, out, x: g / x,
    samples=unary(0.1, 5),
    doc="""The natural logarithm: -inf at 0, NaN below it.

    >>> torch.log(torch.tensor([1.0, 2.0, 0.0]))
    tensor([0.0000, 0.6931,   -inf])
    """,
)
log2 = define_unary(
    "log2",
    np.log2,
    lambda s, x: s.log2(x),
    lambda g, out, x: g / (x * math.log(2)),
    samples=unary(0.1, 5),
    doc="""The logarithm to base 2.

    >>> torch.log2(torch.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """,
)


def _log10_numpy(x: Any) -> Any:
    """In float64 where that is wider: NumPy's float32 logarithm of 100 is not 2."""
    return np.log10(x, dtype=np.float64).astype(x.dtype) if x.dtype == np.float32 else np.log10(x)


log10 = define_unary(
    "log10",
    _log10_numpy,
    lambda s, x: s.log10(x),
    lambda g, out, x: g / (x * math.log(10)),
    samples=unary(0.1, 5),
    doc="""The logarithm to base 10.

    >>> torch.log10(torch.tensor([1.0, 1000.0]))
    tensor([0., 3.])
    """,
)
log1p = define_unary(
    "log1p",
    np.log1p,
    lambda s, x: s.log1p(x),
    lambda g, out, x: g / (x + 1.0),
    samples=unary(-0.8, 5),
    torch_paths="torch.special.log1p",
    grad_name="Log1PBackward0",
    doc="""log(1 + x), without loss of digits where x is small.

    >>> torch.log1p(torch.tensor([1e-6, 1.0]))
    tensor([1.0000e-06, 6.9315e-01])
    """,
)
