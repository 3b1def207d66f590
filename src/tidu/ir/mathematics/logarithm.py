"""log and its relatives.

x is m · 2**n with m from √½ to √2, and log m a polynomial in m - 1 (in float64: in s = (m-1)/(m+1),
whose series is twice as short).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from tidu.base.dtypes import float32, float64
from tidu.ir.mathematics import coefficients
from tidu.ir.mathematics.parts import (
    format_of,
    in_float64,
    polynomial,
    table,
    two_product,
    two_sum,
)
from tidu.ir.scalar import Builder

_SQRT_HALF = math.sqrt(0.5)
_SMALLEST = 2.0**-1022


class Base(NamedTuple):
    """What another base than e needs, each constant in two parts."""

    scale: tuple[float, float]  # 1 / log(base)
    log_2: tuple[float, float]  # in this base; the first part times an exponent is exact


_BASE_2 = {
    float32: Base((1.4426950216293335, 1.925963033500011e-08), (1.0, 0.0)),
    float64: Base((1.4426950408889634, 2.0355273740931033e-17), (1.0, 0.0)),
}
_BASE_10 = {
    float32: Base(
        (0.4342944920063019, -1.0103049952192578e-08), (0.301025390625, 4.605039066518657e-06)
    ),
    float64: Base(
        (0.4342944819032518, 1.098319650216765e-17), (0.30102999566395283, 2.8363394551044964e-14)
    ),
}


def _exponent(s: Builder, x: Any) -> Any:
    """n, of a normal positive x."""
    above = s.sub(s.bits(x), s.bits(s.const(_SQRT_HALF, x)))
    return s.shift_right(above, s.const(format_of(s, x).digits, above))


def split(s: Builder, x: Any) -> tuple[Any, Any]:
    """(n as a float, m - 1) of a positive x."""
    digits, _, _, _, smallest, _ = format_of(s, x)
    denormal = s.lt(x, s.const(smallest, x))
    x = s.select(denormal, s.mul(x, s.const(2.0 ** (digits + 1), x)), x)
    integer = _exponent(s, x)
    shifted = s.shift_left(integer, s.const(digits, integer))
    fraction = s.sub(s.from_bits(s.sub(s.bits(x), shifted)), s.const(1, x))
    count = s.cast(integer, s.kind(x))
    less = s.select(denormal, s.const(digits + 1, x), s.const(0, x))
    return s.sub(count, less), fraction


def _tail(s: Builder, f: Any) -> Any:
    """log(1 + f) - f."""
    square = s.mul(f, f)
    if s.kind(f) is float32:
        curve = s.fma(f, table(s, f, coefficients.LOG), s.const(-0.5, f))
        return s.mul(square, curve)
    ratio = s.div(f, s.add(f, s.const(2, f)))
    z = s.mul(ratio, ratio)
    half = s.mul(square, s.const(0.5, f))
    curve = s.fma(z, table(s, z, coefficients.LOG_RATIO), half)
    return s.fma(ratio, curve, s.neg(half))


def _sum(s: Builder, count: Any, f: Any, tail: Any) -> Any:
    """n log 2 + f + tail."""
    head, rest = format_of(s, f).log_2
    low = s.fma(count, s.const(rest, f), tail)
    return s.fma(count, s.const(head, f), s.add(f, low))


def _at_edges(s: Builder, x: Any, edge: float, result: Any) -> Any:
    """-∞ at the edge, NaN below it, and ∞ and NaN as they are."""
    infinity, least = s.const(math.inf, x), s.const(edge, x)
    result = s.select(s.lt(x, infinity), result, x)
    outside = s.select(s.eq(x, least), s.const(-math.inf, x), s.const(math.nan, x))
    return s.select(s.lt(least, x), result, outside)


def log(s: Builder, x: Any) -> Any:
    count, f = split(s, x)
    return _at_edges(s, x, 0.0, _sum(s, count, f, _tail(s, f)))


def log_of_softmax(s: Builder, x: Any) -> Any:
    """log within 1 ulp, of float32 from 1 on with the bits that it has in PyTorch's log_softmax.

    That is n log 2 + 2 q + c in more digits than float32 has; only the rest c of the series in
    q = (m - 1) / (m + 1) is computed in float32, from quotients and powers rounded one by one.
    """
    if s.kind(x) is not float32:
        return s.log(x)
    digits, bias, *_ = format_of(s, x)
    scaled = s.bits(s.mul(x, s.const(4 / 3, x)))  # m is from 3/4 to 3/2
    integer = s.sub(s.shift_right(scaled, s.const(digits, scaled)), s.const(bias, scaled))
    m = s.from_bits(s.sub(s.bits(x), s.shift_left(integer, s.const(digits, integer))))
    one = s.const(1, x)
    below, above = s.sub(m, one), s.add(m, one)
    ratio = s.mul(below, s.div(one, above))
    square = s.mul(ratio, ratio)
    curve = polynomial(s, square, coefficients.LOG_OF_SOFTMAX, fused=True)
    rest = s.mul(s.mul(square, ratio), curve)
    wide, count = s.cast(m, float64), s.cast(integer, float64)
    one = s.const(1, wide)
    ratio = s.div(s.sub(wide, one), s.add(wide, one))
    terms = s.fma(count, s.const(math.log(2), count), s.add(ratio, ratio))
    result = s.cast(s.add(terms, s.cast(rest, float64)), float32)
    return s.select(s.lt(x, s.const(math.inf, x)), result, x)


def _in_base(s: Builder, x: Any, base: Base) -> Any:
    count, f = split(s, x)
    scale = s.const(base.scale[0], x)
    low = s.fma(scale, _tail(s, f), s.mul(f, s.const(base.scale[1], x)))
    low = s.fma(count, s.const(base.log_2[1], x), low)
    value = s.fma(count, s.const(base.log_2[0], x), s.fma(f, scale, low))
    return _at_edges(s, x, 0.0, value)


def log2(s: Builder, x: Any) -> Any:
    return _in_base(s, x, _BASE_2[s.kind(x)])


def log10(s: Builder, x: Any) -> Any:
    return _in_base(s, x, _BASE_10[s.kind(x)])


def _log1p_terms(s: Builder, x: Any) -> tuple[Any, Any]:
    """(n as a float, f) with 1 + x = 2**n (1 + f), for x > -1."""
    one = s.const(1, x)
    integer = _exponent(s, s.add(x, one))
    back = s.neg(integer)
    f = s.add(s.ldexp(x, back), s.sub(s.ldexp(one, back), one))
    return s.cast(integer, s.kind(x)), f


def log1p(s: Builder, x: Any) -> Any:
    """log(1 + x), with small relative error about 0."""
    count, f = _log1p_terms(s, x)
    value = _at_edges(s, x, -1.0, _sum(s, count, f, _tail(s, f)))
    return s.select(s.eq(x, s.const(0, x)), x, value)


@in_float64
def asinh(s: Builder, x: Any) -> Any:
    """log1p(|x| + x²/(1 + √(1 + x²))), with the sign of x."""
    y = s.abs(x)
    one = s.const(1, x)
    square = s.mul(y, y)
    more = s.div(square, s.add(one, s.sqrt(s.add(one, square))))
    argument, error = two_sum(s, y, more)
    return s.copysign(_log1p_or_doubled(s, y, argument, error), x)


@in_float64
def acosh(s: Builder, x: Any) -> Any:
    """log1p(t + √(t (t + 2))) for t = x - 1."""
    one, two = s.const(1, x), s.const(2, x)
    t = s.sub(x, one)
    square, square_error = two_product(s, t, s.add(t, two))
    root = s.sqrt(square)
    error = s.add(s.fma(s.neg(root), root, square), square_error)
    error = s.div(error, s.max(s.add(root, root), s.const(_SMALLEST, x)))
    argument, argument_error = two_sum(s, root, t)
    value = _log1p_or_doubled(s, x, argument, s.add(error, argument_error))
    return s.select(s.lt(x, one), s.const(math.nan, x), value)


def _log1p_or_doubled(s: Builder, y: Any, argument: Any, error: Any) -> Any:
    """log1p(argument + error), and log(2 y) where y is so large that its square would overflow."""
    large = s.lt(s.const(2.0**60, y), y)
    more = s.div(error, s.add(argument, s.const(1, y)))
    more = s.select(large, s.const(0, y), more)
    count, f = _log1p_terms(s, s.select(large, y, argument))
    count = s.add(count, s.select(large, s.const(1, y), s.const(0, y)))
    value = _sum(s, count, f, s.add(_tail(s, f), more))
    return s.select(s.lt(y, s.const(math.inf, y)), value, y)


@in_float64
def atanh(s: Builder, x: Any) -> Any:
    """(log(1 + x) - log(1 - x)) / 2."""
    return s.mul(s.sub(log1p(s, x), log1p(s, s.neg(x))), s.const(0.5, x))
