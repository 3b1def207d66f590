"""Powers: of floats by way of the logarithm, of integers by repeated squaring."""

from __future__ import annotations

import math
from typing import Any

from tidu.base.dtypes import float32, float64
from tidu.ir.mathematics import coefficients
from tidu.ir.mathematics.exponential import exp, exp_terms
from tidu.ir.mathematics.logarithm import log, split
from tidu.ir.mathematics.parts import clamped, format_of, table, two_product, two_sum
from tidu.ir.scalar import Builder

_TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)


def pow(s: Builder, x: Any, y: Any) -> Any:
    """x**y, with C's answers for zeros, infinities and negative numbers."""
    zero, one, infinity = s.const(0, x), s.const(1, x), s.const(math.inf, x)
    size = s.abs(x)
    if s.kind(x) is float32:
        wide = s.mul(s.cast(y, float64), log(s, s.cast(size, float64)))
        value = s.cast(exp(s, wide), float32)
    else:
        value = _power(s, size, y)
    whole = s.eq(y, s.trunc(y))
    half = s.mul(y, s.const(0.5, y))
    odd = s.bit_and(whole, s.ne(half, s.trunc(half)))
    negative = s.lt(s.copysign(one, x), zero)
    value = s.select(s.bit_and(negative, odd), s.neg(value), value)
    finite = s.bit_and(s.lt(x, zero), s.lt(size, infinity))
    impossible = s.bit_and(finite, s.bit_not(whole))
    value = s.select(impossible, s.const(math.nan, x), value)
    # 1 to any power, anything to the power 0, and -1 to an infinite one.
    certain = s.bit_or(s.eq(x, one), s.eq(y, zero))
    unit = s.bit_and(s.eq(size, one), s.eq(s.abs(y), infinity))
    return s.select(s.bit_or(certain, unit), one, value)


def _power(s: Builder, x: Any, y: Any) -> Any:
    """x**y for x >= 0 in float64:
    the logarithm has 64 digits, as the exponential magnifies what is missing.
    """
    head, tail = _long_log(s, x)
    product, error = two_product(s, y, head)
    error = s.fma(y, tail, error)
    # Beyond the limits, and where the logarithm is infinite, the product alone decides.
    inside = s.lt(s.abs(product), s.const(800, x))
    error = s.select(inside, error, s.const(0, x))
    edge = s.bit_or(s.eq(x, s.const(0, x)), s.eq(x, s.const(math.inf, x)))
    product = s.select(edge, s.mul(y, log(s, x)), product)
    product = s.select(s.ne(x, x), x, product)
    r, rest, exponent = exp_terms(s, clamped(s, product, -746.0, 711.0), error)
    return s.ldexp(s.add(s.const(1, x), s.add(r, rest)), exponent)


def _long_log(s: Builder, x: Any) -> tuple[Any, Any]:
    """log x as the sum of two numbers: 2 r + ⅔ r³ with their errors, and a polynomial for what
    follows in the series of log((1 + r)/(1 - r)).
    """
    count, f = split(s, x)
    bottom, lacking = two_sum(s, s.const(2, x), f)
    r = s.div(f, bottom)
    error = s.div(s.sub(s.fma(s.neg(r), bottom, f), s.mul(r, lacking)), bottom)
    square, square_error = two_product(s, r, r)
    square_error = s.fma(s.add(r, r), error, square_error)
    cube, cube_error = two_product(s, r, square)
    cube_error = s.fma(r, square_error, s.fma(error, square, cube_error))
    third, third_error = two_product(s, cube, s.const(_TWO_THIRDS[0], x))
    third_error = s.fma(cube, s.const(_TWO_THIRDS[1], x), third_error)
    third_error = s.fma(cube_error, s.const(_TWO_THIRDS[0], x), third_error)
    curve = s.mul(s.mul(cube, square), table(s, square, coefficients.LOG_TAIL))
    head, rest = format_of(s, x).log_2
    low = s.add(s.fma(count, s.const(rest, x), s.add(error, error)), s.add(third_error, curve))
    total, first = two_sum(s, s.mul(count, s.const(head, x)), s.add(r, r))
    alone = s.eq(count, s.const(0, x))
    total = s.select(alone, s.add(r, r), total)
    first = s.select(alone, s.const(0, x), first)
    total, second = two_sum(s, total, third)
    return two_sum(s, total, s.add(s.add(first, second), low))


def integer_power(s: Builder, x: Any, y: Any) -> Any:
    """x**y of integers, wrapping; a negative exponent leaves the whole part of the fraction."""
    zero, one = s.const(0, x), s.const(1, x)
    result, square = one, x
    kind = s.kind(x)
    for bit in range(8 * kind.itemsize):
        present = s.bit_and(s.shift_right(y, s.const(bit, y)), one)
        result = s.select(s.ne(present, zero), s.mul(result, square), result)
        square = s.mul(square, square)
    if not kind.is_signed:
        return result
    # The powers of ±1 alternate whatever the sign of the exponent.
    unit = s.le(s.abs(x), one)
    fraction = s.select(s.bit_and(unit, s.ne(x, zero)), result, zero)
    return s.select(s.lt(y, zero), fraction, result)
