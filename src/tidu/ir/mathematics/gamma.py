"""The gamma function's logarithm and its derivative,
written with the scalar instructions, in float64.

Small arguments are carried beyond 8 (10) by the recurrence and evaluated by Stirling's series
there; negative ones are reflected. About its zeros at 1 and 2, log Γ is a power series, so that it
stays accurate there. Source: Abramowitz and Stegun, Handbook of Mathematical Functions, 6.1 (6.1.33
for the series) and 6.3.
"""

from __future__ import annotations

import math
from typing import Any

from tidu.ir.mathematics import polynomial
from tidu.ir.scalar import Builder

# B_2k / (2k (2k - 1)) and B_2k / 2k, highest order first.
_STIRLING = (
    -3617 / 122400,
    1 / 156,
    -691 / 360360,
    1 / 1188,
    -1 / 1680,
    1 / 1260,
    -1 / 360,
    1 / 12,
)
_EULER = 0.5772156649015329


def _zeta_less_one(n: int) -> float:
    """ζ(n) - 1, by the sum up to 1/59ⁿ and Euler and Maclaurin's formula for the rest."""
    size = 60
    rest = size ** (1 - n) / (n - 1) + size**-n / 2 + n * size ** -(n + 1) / 12
    rest -= n * (n + 1) * (n + 2) * size ** -(n + 3) / 720
    rest += n * (n + 1) * (n + 2) * (n + 3) * (n + 4) * size ** -(n + 5) / 30240
    return math.fsum([*(k**-n for k in range(2, size)), rest])


# log Γ(2 + x) / x for |x| <= 0.5, highest order first.
_ABOUT_TWO = (*((-1) ** n * _zeta_less_one(n) / n for n in range(26, 1, -1)), 1 - _EULER)
_DIGAMMA = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)


def _reflected(s: Builder, x: Any) -> tuple[Any, Any, Any]:
    """(whether x < 0.5, x or 1 - x, π times the distance of x from the nearest integer)."""
    below = s.lt(x, s.const(0.5, x))
    angle = s.mul(s.sub(x, s.round(x)), s.const(math.pi, x))
    return below, s.select(below, s.sub(s.const(1, x), x), x), angle


def lgamma(s: Builder, x: Any) -> Any:
    """log |Γ(x)|: +∞ at 0, -1, -2, ..."""
    below, start, angle = _reflected(s, x)
    z = start
    one = s.const(1, x)
    product = one
    for _ in range(8):
        small = s.lt(z, s.const(8, x))
        product = s.mul(product, s.select(small, z, one))
        z = s.select(small, s.add(z, one), z)
    inverse = s.div(one, z)
    series = s.mul(polynomial(s, s.mul(inverse, inverse), _STIRLING), inverse)
    value = s.sub(s.mul(s.sub(z, s.const(0.5, x)), s.log(z)), z)
    value = s.add(
        s.add(value, s.const(0.5 * math.log(2 * math.pi), x)), s.sub(series, s.log(product))
    )
    value = s.select(s.eq(z, s.const(math.inf, x)), z, value)
    value = s.select(s.lt(start, s.const(2.5, x)), _about_its_zeros(s, start), value)
    # Of the least numbers, a product with π would have too few digits.
    small = s.lt(s.abs(x), s.const(1e-20, x))
    sine = s.select(small, s.abs(x), s.abs(s.sin(angle)))
    factor = s.select(small, s.const(0, x), s.const(math.log(math.pi), x))
    mirrored = s.sub(s.sub(factor, s.log(sine)), value)
    result = s.select(below, mirrored, value)
    # `value` may be infinite itself at a pole.
    pole = s.bit_and(below, s.eq(sine, s.const(0, x)))
    infinite = s.bit_or(pole, s.eq(s.abs(x), s.const(math.inf, x)))
    return s.select(s.ne(x, x), x, s.select(infinite, s.const(math.inf, x), result))


def _about_its_zeros(s: Builder, z: Any) -> Any:
    """log Γ(z) for 0.5 <= z < 2.5."""
    about_one = s.lt(z, s.const(1.5, z))
    x = s.sub(z, s.select(about_one, s.const(1, z), s.const(2, z)))
    series = s.mul(polynomial(s, x, _ABOUT_TWO), x)
    return s.sub(series, s.select(about_one, s.log1p(x), s.const(0, z)))


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
