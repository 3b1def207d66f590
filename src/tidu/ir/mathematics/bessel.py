"""Bessel and Airy functions written with the scalar instructions, in float64.

Near the origin a Chebyshev series in x or x², far from it the asymptotic form with Chebyshev series
in 1/x for its slowly varying parts; see `bessel_tables`.
"""

from __future__ import annotations

import math
from typing import Any

from tidu.ir.mathematics import bessel_tables as tables
from tidu.ir.scalar import Builder

_TWO_OVER_PI = 2 / math.pi


def chebyshev(s: Builder, t: Any, coefficients: tuple[float, ...]) -> Any:
    """Σ c_k T_k(t) for t in [-1, 1], by Clenshaw's recurrence."""
    twice = s.add(t, t)
    newer, older = s.const(0, t), s.const(0, t)
    for c in reversed(coefficients[1:]):
        newer, older = s.add(s.sub(s.mul(twice, newer), older), s.const(c, t)), newer
    return s.add(s.sub(s.mul(t, newer), older), s.const(coefficients[0], t))


def _on(s: Builder, x: Any, low: float, high: float, coefficients: tuple[float, ...]) -> Any:
    """A Chebyshev series for x in [low, high]."""
    scale = 2 / (high - low)
    t = s.sub(s.mul(x, s.const(scale, x)), s.const(1 + low * scale, x))
    return chebyshev(s, t, coefficients)


def _unless_nan(s: Builder, x: Any, result: Any) -> Any:
    return s.select(s.ne(x, x), x, result)


def _scaled_i(
    s: Builder, y: Any, near: tuple[float, ...], far: tuple[float, ...], odd: bool
) -> Any:
    """exp(-y) I(y) for y >= 0."""
    limit = s.const(8, y)
    inside = s.le(y, limit)
    low = _on(s, s.min(y, limit), 0, 8, near)
    low = s.mul(low, y) if odd else low
    safe = s.max(y, limit)
    high = s.div(_on(s, s.div(s.const(1, y), safe), 0, 1 / 8, far), s.sqrt(safe))
    return s.select(inside, low, high)


def i0e(s: Builder, x: Any) -> Any:
    """exp(-|x|) I0(x)."""
    return _unless_nan(s, x, _scaled_i(s, s.abs(x), tables.I0E_NEAR, tables.I0E_FAR, False))


def i1e(s: Builder, x: Any) -> Any:
    """exp(-|x|) I1(x)."""
    size = _scaled_i(s, s.abs(x), tables.I1E_NEAR, tables.I1E_FAR, True)
    return _unless_nan(s, x, s.select(s.lt(x, s.const(0, x)), s.neg(size), size))


def _grown(s: Builder, x: Any, scaled: Any) -> Any:
    """scaled · exp(|x|), in two steps, so that only what overflows does."""
    half = s.exp(s.mul(s.abs(x), s.const(0.5, x)))
    return s.mul(s.mul(scaled, half), half)


def _infinite(s: Builder, x: Any, result: Any, odd: bool) -> Any:
    infinity = s.const(math.inf, x)
    return s.select(s.eq(s.abs(x), infinity), x if odd else infinity, result)


def i0(s: Builder, x: Any) -> Any:
    """The modified Bessel function of the first kind, order 0."""
    return _infinite(s, x, _grown(s, x, i0e(s, x)), False)


def i1(s: Builder, x: Any) -> Any:
    """The modified Bessel function of the first kind, order 1."""
    return _infinite(s, x, _grown(s, x, i1e(s, x)), True)


def _scaled_k(s: Builder, x: Any, order: int) -> Any:
    """exp(x) K(x): +∞ at 0, NaN below."""
    zero, two = s.const(0, x), s.const(2, x)
    inside = s.le(x, two)
    small = s.max(s.select(inside, x, two), s.const(5e-324, x))
    square = s.mul(small, small)
    logarithm = s.log(s.mul(small, s.const(0.5, x)))
    growth = s.exp(small)
    if order == 0:
        first = s.mul(_scaled_i(s, small, tables.I0E_NEAR, tables.I0E_FAR, False), growth)
        low = s.sub(_on(s, square, 0, 4, tables.K0_NEAR), s.mul(logarithm, first))
    else:
        first = s.mul(_scaled_i(s, small, tables.I1E_NEAR, tables.I1E_FAR, True), growth)
        low = s.add(s.div(_on(s, square, 0, 4, tables.K1_NEAR), small), s.mul(logarithm, first))
    safe = s.max(x, two)
    far = tables.K0_FAR if order == 0 else tables.K1_FAR
    high = s.div(_on(s, s.div(s.const(1, x), safe), 0, 1 / 2, far), s.sqrt(safe))
    result = s.select(inside, s.mul(low, growth), high)
    result = s.select(s.eq(x, zero), s.const(math.inf, x), result)
    return _unless_nan(s, x, s.select(s.lt(x, zero), s.const(math.nan, x), result))


def k0e(s: Builder, x: Any) -> Any:
    """exp(x) K0(x)."""
    return _scaled_k(s, x, 0)


def k1e(s: Builder, x: Any) -> Any:
    """exp(x) K1(x)."""
    return _scaled_k(s, x, 1)


def k0(s: Builder, x: Any) -> Any:
    """The modified Bessel function of the second kind, order 0."""
    return s.mul(_scaled_k(s, x, 0), s.exp(s.neg(x)))


def k1(s: Builder, x: Any) -> Any:
    """The modified Bessel function of the second kind, order 1."""
    return s.mul(_scaled_k(s, x, 1), s.exp(s.neg(x)))


def _wave(s: Builder, y: Any, order: int) -> tuple[Any, Any, Any, Any]:
    """(P, Q, phase, amplitude) of the asymptotic form for y >= 8."""
    safe = s.max(y, s.const(8, y))
    ratio = s.div(s.const(8, y), safe)
    square = s.mul(ratio, ratio)
    p = _on(s, square, 0, 1, tables.J0_P if order == 0 else tables.J1_P)
    q = s.mul(_on(s, square, 0, 1, tables.J0_Q if order == 0 else tables.J1_Q), ratio)
    phase = s.sub(safe, s.const((2 * order + 1) * math.pi / 4, y))
    return p, q, phase, s.sqrt(s.div(s.const(_TWO_OVER_PI, y), safe))


def _far_j(s: Builder, y: Any, order: int) -> Any:
    p, q, phase, amplitude = _wave(s, y, order)
    value = s.mul(amplitude, s.sub(s.mul(p, s.cos(phase)), s.mul(q, s.sin(phase))))
    return s.select(s.eq(y, s.const(math.inf, y)), s.const(0, y), value)


def _far_y(s: Builder, y: Any, order: int) -> Any:
    p, q, phase, amplitude = _wave(s, y, order)
    value = s.mul(amplitude, s.add(s.mul(p, s.sin(phase)), s.mul(q, s.cos(phase))))
    return s.select(s.eq(y, s.const(math.inf, y)), s.const(0, y), value)


def _near_square(s: Builder, y: Any) -> Any:
    near = s.min(y, s.const(8, y))
    return s.mul(near, near)


def j0(s: Builder, x: Any) -> Any:
    """The Bessel function of the first kind, order 0."""
    y = s.abs(x)
    near = _on(s, _near_square(s, y), 0, 64, tables.J0_NEAR)
    return _unless_nan(s, x, s.select(s.lt(y, s.const(8, x)), near, _far_j(s, y, 0)))


def j1(s: Builder, x: Any) -> Any:
    """The Bessel function of the first kind, order 1."""
    y = s.abs(x)
    near = s.mul(_on(s, _near_square(s, y), 0, 64, tables.J1_NEAR), y)
    size = s.select(s.lt(y, s.const(8, x)), near, _far_j(s, y, 1))
    return _unless_nan(s, x, s.select(s.lt(x, s.const(0, x)), s.neg(size), size))


def _second_kind(s: Builder, x: Any, near: Any, far: Any) -> Any:
    """-∞ at 0, NaN below."""
    zero = s.const(0, x)
    value = s.select(s.lt(x, s.const(8, x)), near, far)
    value = s.select(s.eq(x, zero), s.const(-math.inf, x), value)
    return _unless_nan(s, x, s.select(s.lt(x, zero), s.const(math.nan, x), value))


def y0(s: Builder, x: Any) -> Any:
    """The Bessel function of the second kind, order 0."""
    small = s.max(s.min(x, s.const(8, x)), s.const(5e-324, x))
    factor = s.mul(s.mul(s.log(small), s.const(_TWO_OVER_PI, x)), j0(s, small))
    near = s.add(_on(s, s.mul(small, small), 0, 64, tables.Y0_NEAR), factor)
    return _second_kind(s, x, near, _far_y(s, x, 0))


def y1(s: Builder, x: Any) -> Any:
    """The Bessel function of the second kind, order 1."""
    small = s.max(s.min(x, s.const(8, x)), s.const(1e-300, x))
    inverse = s.div(s.const(1, x), small)
    factor = s.mul(s.const(_TWO_OVER_PI, x), s.sub(s.mul(s.log(small), j1(s, small)), inverse))
    near = s.add(s.mul(_on(s, s.mul(small, small), 0, 64, tables.Y1_NEAR), small), factor)
    tiny = s.lt(x, s.const(1e-300, x))
    near = s.select(tiny, s.div(s.const(-_TWO_OVER_PI, x), x), near)
    return _second_kind(s, x, near, _far_y(s, x, 1))


def airy_ai(s: Builder, x: Any) -> Any:
    """The Airy function Ai."""
    low, high = s.const(-3, x), s.const(2, x)
    middle = _on(s, s.max(s.min(x, high), low), -3, 2, tables.AI_NEAR)
    two_thirds, one = s.const(2 / 3, x), s.const(1, x)
    # Decaying: z = 2/3 x^1.5.
    y = s.max(x, high)
    root = s.sqrt(y)
    z = s.mul(two_thirds, s.mul(y, root))
    decay = _on(s, s.div(one, z), 0, 1 / (2 / 3 * 2**1.5), tables.AI_FAR)
    right = s.div(
        s.mul(decay, s.exp(s.neg(z))), s.mul(s.const(2 * math.sqrt(math.pi), x), s.sqrt(root))
    )
    # Oscillating.
    y = s.neg(s.min(x, low))
    root = s.sqrt(y)
    z = s.mul(two_thirds, s.mul(y, root))
    inverse = s.div(one, z)
    square = s.mul(inverse, inverse)
    f = _on(s, square, 0, 1 / 12, tables.AI_F)
    g = s.mul(_on(s, square, 0, 1 / 12, tables.AI_G), inverse)
    phase = s.add(z, s.const(math.pi / 4, x))
    waves = s.sub(s.mul(s.sin(phase), f), s.mul(s.cos(phase), g))
    left = s.div(waves, s.mul(s.const(math.sqrt(math.pi), x), s.sqrt(root)))
    result = s.select(s.lt(high, x), right, s.select(s.lt(x, low), left, middle))
    infinite = s.eq(s.abs(x), s.const(math.inf, x))
    return _unless_nan(
        s,
        x,
        s.select(infinite, s.select(s.lt(x, low), s.const(math.nan, x), s.const(0, x)), result),
    )
