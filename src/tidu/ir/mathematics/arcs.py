"""The inverse trigonometric functions."""

from __future__ import annotations

import math
from typing import Any

from tidu.base.dtypes import float32, float64
from tidu.ir.mathematics import coefficients
from tidu.ir.mathematics.parts import table
from tidu.ir.scalar import Builder

# π/2 in two parts.
_HALF_PI = {
    float32: (1.5707963705062866, -4.371138828673793e-08),
    float64: (1.5707963267948966, 6.123233995736766e-17),
}


def _asin_terms(s: Builder, x: Any) -> tuple[Any, Any, Any]:
    """(whether |x| > 1/2, w, asin(w) - w) with w = |x|, or √((1 - |x|)/2) for those above 1/2."""
    y = s.abs(x)
    above = s.lt(s.const(0.5, x), y)
    z = s.select(above, s.mul(s.sub(s.const(1, x), y), s.const(0.5, x)), s.mul(y, y))
    w = s.select(above, s.sqrt(z), y)
    return above, w, s.mul(w, s.mul(z, table(s, z, coefficients.ASIN)))


def asin(s: Builder, x: Any) -> Any:
    """|asin x| is π/2 - 2 asin √((1 - |x|)/2) where |x| > 1/2."""
    above, w, rest = _asin_terms(s, x)
    head, tail = _HALF_PI[s.kind(x)]
    low = s.sub(s.add(rest, rest), s.const(tail, x))
    far = s.sub(s.const(head, x), s.add(s.add(w, w), low))
    return s.copysign(s.select(above, far, s.add(w, rest)), x)


def acos(s: Builder, x: Any) -> Any:
    above, w, rest = _asin_terms(s, x)
    head, tail = (s.const(part, x) for part in _HALF_PI[s.kind(x)])
    negative = s.lt(x, s.const(0, x))
    arc = s.add(w, rest)
    twice = s.add(arc, arc)
    far = s.select(negative, s.sub(s.add(head, head), s.sub(twice, s.add(tail, tail))), twice)
    # π/2 - asin x
    near = s.sub(head, s.sub(s.copysign(arc, x), tail))
    return s.select(above, far, near)


def _atan_unit(s: Builder, x: Any) -> Any:
    """atan(x) where |x| <= 1."""
    z = s.mul(x, x)
    return s.fma(s.mul(x, z), table(s, z, coefficients.ATAN), x)


def _complement(s: Builder, turned: Any, angle: Any) -> Any:
    """π/2 - angle where `turned`, else the angle."""
    head, tail = (s.const(part, angle) for part in _HALF_PI[s.kind(angle)])
    return s.select(turned, s.sub(head, s.sub(angle, tail)), angle)


def atan(s: Builder, x: Any) -> Any:
    """|atan x| is π/2 - atan(1/|x|) where |x| > 1."""
    y, one = s.abs(x), s.const(1, x)
    turned = s.lt(one, y)
    angle = _atan_unit(s, s.select(turned, s.div(one, y), y))
    return s.copysign(_complement(s, turned, angle), x)


def atan2(s: Builder, y: Any, x: Any) -> Any:
    """The angle of the point (x, y)."""
    up, right = s.abs(y), s.abs(x)
    turned = s.lt(right, up)
    great, small = s.max(up, right), s.min(up, right)
    zero, one = s.const(0, x), s.const(1, x)
    ratio = s.div(small, great)
    ratio = s.select(s.eq(great, zero), zero, ratio)
    ratio = s.select(s.eq(small, s.const(math.inf, x)), one, ratio)
    angle = _complement(s, turned, _atan_unit(s, ratio))
    head, tail = (s.const(2 * part, x) for part in _HALF_PI[s.kind(x)])
    left = s.lt(s.copysign(one, x), zero)
    return s.copysign(s.select(left, s.sub(head, s.sub(angle, tail)), angle), y)
