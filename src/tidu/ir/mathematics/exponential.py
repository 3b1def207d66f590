"""exp and its relatives.

x is n log 2 + r with |r| <= log(2)/2; exp(r) is a polynomial, and n goes into the exponent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tidu.base.dtypes import float32
from tidu.ir.mathematics import coefficients
from tidu.ir.mathematics.parts import format_of, polynomial, table, to_integer
from tidu.ir.scalar import Builder


def scaled(s: Builder, x: Any, exponent: Any) -> Any:
    """x · 2**exponent by two products, of which only the second can round."""
    digits, bias, *_ = format_of(s, x)
    half = s.shift_right(exponent, s.const(1, exponent))
    for part in (half, s.sub(exponent, half)):
        power = s.shift_left(s.add(part, s.const(bias, part)), s.const(digits, part))
        x = s.mul(x, s.from_bits(power))
    return x


def _limits(s: Builder, x: Any) -> tuple[float, float]:
    """Where exp is 0 and ∞; the exponents of 2 are still those of numbers."""
    return (-104.0, 88.8) if s.kind(x) is float32 else (-746.0, 709.9)


def _negligible(s: Builder, x: Any) -> Any:
    """Where exp is nothing beside 1, and still a normal number."""
    return s.const(-80 if s.kind(x) is float32 else -700, x)


def _zero_below(s: Builder, low: float, x: Any, function: Callable[[Any], Any]) -> Any:
    """A function of x that is 0 below `low`. It is not computed there: processors take a hundred
    times as long for a result that is too small for a normal number, as of the -∞ of a mask.
    """
    gone, zero = s.lt(x, s.const(low, x)), s.const(0, x)
    return s.select(gone, zero, function(s.select(gone, zero, x)))


def exp_parts(s: Builder, x: Any) -> tuple[Any, Any]:
    """(exp(r) - 1, n as an integer) with x = n log 2 + r."""
    count, integer = to_integer(s, x, 1 / math.log(2))
    head, tail = format_of(s, x).log_2
    r = s.fma(count, s.const(-tail, x), s.fma(count, s.const(-head, x), x))
    return s.fma(s.mul(r, r), table(s, r, coefficients.EXP), r), integer


def exp_terms(s: Builder, x: Any, more: Any) -> tuple[Any, Any, Any]:
    """(r, exp(r) - 1 - r, n as an integer) with x + `more` = n log 2 + r."""
    count, integer = to_integer(s, s.add(x, more), 1 / math.log(2))
    head, tail = format_of(s, x).log_2
    first = s.fma(count, s.const(-head, x), x)
    second = s.fma(count, s.const(-tail, x), more)
    r = s.add(first, second)
    lacking = s.add(s.sub(first, r), second)
    return r, s.fma(s.mul(r, r), table(s, r, coefficients.EXP), lacking), integer


def exp_between(s: Builder, x: Any) -> Any:
    """exp(x) for x within the limits."""
    curve, integer = exp_parts(s, x)
    return s.ldexp(s.add(curve, s.const(1, x)), integer)


def exp(s: Builder, x: Any) -> Any:
    low, high = _limits(s, x)
    bounded = s.min(x, s.const(high, x))
    return _zero_below(s, low, bounded, lambda y: exp_between(s, y))


def exp_of_softmax(s: Builder, x: Any) -> Any:
    """exp within 1 ulp, of float32 with the bits that it has in PyTorch's softmax."""
    if s.kind(x) is not float32:
        return s.exp(x)
    bounded = s.min(x, s.const(100.0, x))
    return _zero_below(s, -104.0, bounded, lambda y: _exp_of_softmax(s, y))


def _exp_of_softmax(s: Builder, x: Any) -> Any:
    product = s.mul(x, s.const(1 / math.log(2), x))
    count, integer = to_integer(s, product, 1.0)
    head, tail = coefficients.LOG_2_OF_SOFTMAX
    r = s.fma(count, s.const(-tail, x), s.fma(count, s.const(-head, x), x))
    curve = polynomial(s, r, coefficients.EXP_OF_SOFTMAX, fused=True)
    curve = s.fma(s.mul(r, r), curve, r)
    return s.ldexp(s.add(curve, s.const(1, x)), integer)


def exp2(s: Builder, x: Any) -> Any:
    """2**x."""
    low, high = (-151.0, 130.0) if s.kind(x) is float32 else (-1076.0, 1026.0)
    bounded = s.min(x, s.const(high, x))
    return _zero_below(s, low, bounded, lambda y: _exp2_between(s, y))


def _exp2_between(s: Builder, x: Any) -> Any:
    count, integer = to_integer(s, x, 1.0)
    r = s.sub(x, count)
    curve = s.mul(s.mul(r, r), table(s, r, coefficients.EXP2))
    curve = s.fma(r, s.const(math.log(2), x), curve)
    return s.ldexp(s.add(curve, s.const(1, x)), integer)


def expm1(s: Builder, x: Any) -> Any:
    """exp(x) - 1, with small relative error about 0."""
    bounded = s.max(s.min(x, s.const(_limits(s, x)[1], x)), _negligible(s, x))
    r, tail, integer = exp_terms(s, bounded, s.const(0, x))
    # Half of it, as 2**n alone would overflow: 2**(n-1) exp(r) - 1/2.
    power = s.ldexp(s.const(0.5, x), integer)
    half = s.fma(power, tail, s.fma(power, r, s.sub(power, s.const(0.5, x))))
    return s.select(s.lt(s.abs(x), s.const(format_of(s, x).tiny, x)), x, s.add(half, half))


def sinh(s: Builder, x: Any) -> Any:
    y = s.abs(x)
    square = s.mul(x, x)
    near = s.fma(s.mul(x, square), table(s, square, coefficients.SINH), x)
    growing, shrinking = _halves(s, y)
    far = s.copysign(s.sub(growing, shrinking), x)
    return s.select(s.lt(y, s.const(1, x)), near, far)


def cosh(s: Builder, x: Any) -> Any:
    growing, shrinking = _halves(s, s.abs(x))
    return s.add(growing, shrinking)


def _halves(s: Builder, y: Any) -> tuple[Any, Any]:
    """exp(y)/2 and exp(-y)/2 for y >= 0."""
    _, high = _limits(s, y)
    curve, integer = exp_parts(s, s.min(y, s.const(high + 1, y)))
    one = s.const(1, integer)
    growing = s.ldexp(s.add(curve, s.const(1, y)), s.sub(integer, one))
    return growing, s.div(s.const(0.25, y), growing)


def tanh(s: Builder, x: Any) -> Any:
    """A polynomial where |x| < 0.6, and 1 - 2 / (1 + exp(2|x|)) elsewhere."""
    square, y = s.mul(x, x), s.abs(x)
    near = s.fma(s.mul(x, square), table(s, square, coefficients.TANH), x)
    one = s.const(1, x)
    e = exp_between(s, s.max(s.mul(y, s.const(-2, x)), _negligible(s, x)))
    far = s.sub(one, s.div(s.add(e, e), s.add(e, one)))
    return s.copysign(s.select(s.lt(y, s.const(0.6, x)), near, far), x)
