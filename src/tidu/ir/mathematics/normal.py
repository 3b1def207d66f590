"""Relatives of the error function, written with the scalar instructions: scaled, and inverted, in
float64; and the distribution function of the standard normal, as activations need it.
"""

from __future__ import annotations

import math
from typing import Any

from tidu.base.dtypes import float64
from tidu.ir.mathematics.bessel import chebyshev
from tidu.ir.mathematics.parts import polynomial
from tidu.ir.scalar import Builder

# Chebyshev series of (x + 3) exp(x²) erfc(x) in t = (x - 3)/(x + 3), for x >= 0; computed with 40
# digits.
_ERFCX = (
    1.413438223980872, -1.1314768490746974, 0.35410810034248635, -0.08508704009908545,
    0.014615273272816639, -0.0013795571636296329, -6.429066714315945e-05, 3.9043421097724045e-05,
    -2.642785074856054e-06, -8.239440143910853e-07, 1.3247975697671355e-07, 1.919522515672645e-08,
    -5.030507163745393e-09, -5.842006410267007e-10, 1.8742323910408168e-10,
    2.4373672656733487e-11, -6.990943839667697e-12, -1.2573115617676e-12, 2.458000580643909e-13,
    7.005741632378779e-14, -6.732775694749609e-15, -3.843430589415152e-15, 3.3163748896188907e-18,
    1.9337385406947118e-16, 1.957552792661546e-17,
)  # fmt: skip
_SQRT_2 = math.sqrt(2)
# Φ(x) - 1/2 = x P(x²)/Q(x²) up to 5.5, highest power first, with an error of 2**-27. Made by
# `benchmarks/fits/normal.py`.
_NORMAL_TOP = (
    2.2749330070114754e-08, 6.352074021336721e-06, 0.00016882381436299907, 0.004677248955700917,
    0.033852499163709804, 0.39894223464230744,
)  # fmt: skip
_NORMAL_BOTTOM = (
    1.1974996321003968e-06, 7.364674185716333e-05, 0.0018844344504275292, 0.028645780425018523,
    0.25152155017173294, 1.0,
)  # fmt: skip
# From where on Φ is 0 or 1 to within half a unit in the last place of 1.
_NORMAL_END = 5.35


def normal_distribution(s: Builder, x: Any) -> Any:
    """Φ(x) = (1 + erf(x/√2))/2.

    For float32 it is what activations need: within 1.8e-7 everywhere, as is what one gets with erf,
    at half the price; values near 0 have no more digits than that. For float64, all digits.
    """
    if s.kind(x) is float64:
        return s.mul(s.const(0.5, x), s.erfc(s.mul(x, s.const(-1 / _SQRT_2, x))))
    square = s.mul(x, x)
    ratio = s.div(polynomial(s, square, _NORMAL_TOP), polynomial(s, square, _NORMAL_BOTTOM))
    half = s.const(0.5, x)
    beyond = s.lt(s.const(_NORMAL_END, x), s.abs(x))
    return s.add(s.select(beyond, s.copysign(half, x), s.mul(x, ratio)), half)


def erfcx(s: Builder, x: Any) -> Any:
    """exp(x²) erfc(x), which does not underflow."""
    y = s.abs(x)
    three = s.const(3, x)
    large = s.lt(s.const(1e15, x), y)
    safe = s.select(large, three, y)
    sum_ = s.add(safe, three)
    value = s.div(chebyshev(s, s.div(s.sub(safe, three), sum_), _ERFCX), sum_)
    value = s.select(large, s.div(s.const(1 / math.sqrt(math.pi), x), y), value)
    # erfcx(-x) = 2 exp(x²) - erfcx(x)
    grown = s.exp(s.mul(s.min(y, s.const(30, x)), s.min(y, s.const(30, x))))
    mirrored = s.sub(s.add(grown, grown), value)
    result = s.select(s.lt(x, s.const(0, x)), mirrored, value)
    return s.select(s.ne(x, x), x, result)


def _inverse_tail(s: Builder, q: Any) -> Any:
    """x >= 0 with erfc(x) = q, for q in (0, 1]: a rational guess, then Halley's steps.

    The guess is Abramowitz and Stegun 26.2.22.
    """
    t = s.sqrt(s.mul(s.const(-2, q), s.log(s.mul(q, s.const(0.5, q)))))
    top = s.fma(t, s.const(0.27061, q), s.const(2.30753, q))
    bottom = s.fma(t, s.fma(t, s.const(0.04481, q), s.const(0.99229, q)), s.const(1, q))
    x = s.mul(s.sub(t, s.div(top, bottom)), s.const(1 / _SQRT_2, q))
    for _ in range(3):
        error = s.sub(s.erfc(x), q)
        slope = s.mul(s.const(2 / math.sqrt(math.pi), q), s.exp(s.neg(s.mul(x, x))))
        step = s.div(error, s.sub(slope, s.mul(x, error)))
        x = s.add(x, s.select(s.eq(slope, s.const(0, q)), s.const(0, q), step))
    return x


def erfinv(s: Builder, x: Any) -> Any:
    """The inverse of erf on (-1, 1): ±∞ at ±1, NaN beyond."""
    y = s.abs(x)
    one, zero, half = s.const(1, x), s.const(0, x), s.const(0.5, x)
    inside = s.lt(y, one)
    q = s.select(inside, s.sub(one, y), one)
    tail = _inverse_tail(s, q)
    # Around 0, where 1 - y loses digits, one step of Newton's on erf itself.
    near = s.select(s.lt(y, half), y, zero)
    # Close to 0 nothing is left of them: there, √π/2 (y + π/12 y³ + …) is the guess.
    cubic = s.fma(s.mul(y, y), s.const(math.pi / 12, x), one)
    start = s.mul(s.mul(y, cubic), s.const(math.sqrt(math.pi) / 2, x))
    small = s.lt(y, s.const(1e-3, x))
    guess = s.select(small, start, s.select(s.lt(y, half), tail, zero))
    slope = s.mul(s.const(2 / math.sqrt(math.pi), x), s.exp(s.neg(s.mul(guess, guess))))
    polished = s.sub(guess, s.div(s.sub(s.erf(guess), near), slope))
    size = s.select(s.lt(y, half), polished, tail)
    size = s.select(
        inside, size, s.select(s.eq(y, one), s.const(math.inf, x), s.const(math.nan, x))
    )
    return s.copysign(size, x)


def ndtri(s: Builder, p: Any) -> Any:
    """The quantile of the normal distribution: -∞ at 0, +∞ at 1, NaN outside."""
    zero, one, half = s.const(0, p), s.const(1, p), s.const(0.5, p)
    upper = s.lt(half, p)
    tail = s.select(upper, s.sub(one, p), p)
    inside = s.bit_and(s.lt(zero, p), s.lt(p, one))
    size = s.mul(_inverse_tail(s, s.select(inside, s.add(tail, tail), one)), s.const(_SQRT_2, p))
    value = s.select(upper, size, s.neg(size))
    edge = s.select(
        s.eq(p, zero),
        s.const(-math.inf, p),
        s.select(s.eq(p, one), s.const(math.inf, p), s.const(math.nan, p)),
    )
    return s.select(inside, value, edge)


def log_ndtr(s: Builder, x: Any) -> Any:
    """The logarithm of the normal distribution function, far into the lower tail."""
    scaled = s.mul(x, s.const(1 / _SQRT_2, x))
    low = s.lt(x, s.const(-1, x))
    tail = s.log(s.mul(erfcx(s, s.neg(s.select(low, scaled, s.const(-1, x)))), s.const(0.5, x)))
    tail = s.sub(tail, s.mul(scaled, scaled))
    body = s.log1p(s.mul(s.const(-0.5, x), s.erfc(s.select(low, s.const(0, x), scaled))))
    return s.select(s.ne(x, x), x, s.select(low, tail, body))
