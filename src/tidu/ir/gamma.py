"""The gamma function's logarithm and its derivative, written with the scalar instructions, in float64.

Small arguments are carried beyond 8 (10) by the recurrence and evaluated by Stirling's series there; negative
ones are reflected. Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 6.1 and 6.3.
"""

from __future__ import annotations

import math
from typing import Any

from tidu.ir.mathematics import polynomial
from tidu.ir.scalar import Builder

# B_2k / (2k (2k - 1)) and B_2k / 2k, highest order first.
_STIRLING = (-3617 / 122400, 1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)
_DIGAMMA = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)


def _reflected(s: Builder, x: Any) -> tuple[Any, Any, Any]:
    """(whether x < 0.5, x or 1 - x, π times the distance of x from the nearest integer)."""
    below = s.lt(x, s.const(0.5, x))
    angle = s.mul(s.sub(x, s.round(x)), s.const(math.pi, x))
    return below, s.select(below, s.sub(s.const(1, x), x), x), angle


def lgamma(s: Builder, x: Any) -> Any:
    """log |Γ(x)|: +∞ at 0, -1, -2, ..."""
    below, z, angle = _reflected(s, x)
    one = s.const(1, x)
    product = one
    for _ in range(8):
        small = s.lt(z, s.const(8, x))
        product = s.mul(product, s.select(small, z, one))
        z = s.select(small, s.add(z, one), z)
    inverse = s.div(one, z)
    series = s.mul(polynomial(s, s.mul(inverse, inverse), _STIRLING), inverse)
    value = s.sub(s.mul(s.sub(z, s.const(0.5, x)), s.log(z)), z)
    value = s.add(s.add(value, s.const(0.5 * math.log(2 * math.pi), x)), s.sub(series, s.log(product)))
    value = s.select(s.eq(z, s.const(math.inf, x)), z, value)
    mirrored = s.sub(s.sub(s.const(math.log(math.pi), x), s.log(s.abs(s.sin(angle)))), value)
    result = s.select(below, mirrored, value)
    infinite = s.eq(s.abs(x), s.const(math.inf, x))
    return s.select(s.ne(x, x), x, s.select(infinite, s.const(math.inf, x), result))


def digamma(s: Builder, x: Any) -> Any:
    """The derivative of log Γ(x): ∓∞ at ±0, NaN at negative integers."""
    below, z, angle = _reflected(s, x)
    one, zero = s.const(1, x), s.const(0, x)
    total = zero
    for _ in range(10):
        small = s.lt(z, s.const(10, x))
        total = s.add(total, s.select(small, s.div(one, z), zero))
        z = s.select(small, s.add(z, one), z)
    inverse = s.div(one, z)
    square = s.mul(inverse, inverse)
    series = s.mul(polynomial(s, square, _DIGAMMA), square)
    value = s.sub(s.sub(s.log(z), s.mul(inverse, s.const(0.5, x))), s.add(series, total))
    cotangent = s.div(s.mul(s.const(math.pi, x), s.cos(angle)), s.sin(angle))
    result = s.select(below, s.sub(value, cotangent), value)
    pole = s.select(s.eq(x, zero), s.copysign(s.const(math.inf, x), s.neg(x)), s.const(math.nan, x))
    at_pole = s.bit_and(s.le(x, zero), s.eq(x, s.floor(x)))
    return s.select(s.ne(x, x), x, s.select(at_pole, pole, result))
