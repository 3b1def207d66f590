"""The error function and its complement.

erf is a polynomial up to 1, and 1 - exp(-q(x)) with a polynomial q above. erfc is exp(-x²) times a
polynomial in (x - 3)/(x + 3), divided by x + 3.
"""

from __future__ import annotations

from typing import Any

from tidu.base.dtypes import float32
from tidu.ir.mathematics import coefficients
from tidu.ir.mathematics.exponential import exp_between, exp_terms
from tidu.ir.mathematics.parts import polynomial, table, two_product, two_sum
from tidu.ir.scalar import Builder


def erf(s: Builder, x: Any) -> Any:
    """(2/√π) ∫₀ˣ exp(-t²) dt."""
    square = s.mul(x, x)
    near = s.fma(x, table(s, square, coefficients.ERF), x)
    end = s.const(4 if s.kind(x) is float32 else 6, x)
    y, one = s.abs(x), s.const(1, x)
    steep = table(s, s.min(y, end), coefficients.ERF_FAR)
    far = s.copysign(s.sub(one, exp_between(s, s.neg(steep))), x)
    return s.select(s.lt(y, one), near, far)


def erfc(s: Builder, x: Any) -> Any:
    """1 - erf(x), with small relative error where that is close to 0."""
    tail = _erfc_tail(s, s.abs(x))
    return s.select(s.lt(x, s.const(0, x)), s.sub(s.const(2, x), tail), tail)


def _erfc_tail(s: Builder, y: Any) -> Any:
    """erfc(y) for y >= 0. What each step rounds away is carried along to the last."""
    single = s.kind(y) is float32
    y = s.min(y, s.const(10.5 if single else 27.5, y))
    one, three = s.const(1, y), s.const(3, y)
    bottom, lacking = two_sum(s, s.max(y, three), s.min(y, three))
    inverse = s.div(one, bottom)
    q = s.mul(s.sub(y, three), inverse)
    # y - 3 - q (y + 3)
    error = s.fma(s.neg(q), y, s.fma(s.add(q, one), s.const(-3, y), y))
    q = s.fma(inverse, error, q)
    *upper, slope, slope_error, constant, constant_error = coefficients.ERFC[s.kind(y)]
    line, line_error = _next(s, polynomial(s, q, tuple(upper)), q, slope, slope_error)
    sum_, sum_error = _next(s, line, q, constant, constant_error)
    sum_error = s.fma(line_error, q, sum_error)
    curve, curve_error = two_product(s, sum_, inverse)
    curve_error = s.fma(sum_error, inverse, curve_error)
    inverse_error = s.fma(s.neg(inverse), lacking, s.fma(s.neg(inverse), bottom, one))
    # y = head + rest with a head of few digits, whose square is exact.
    shift = s.const(2.0 ** (16 if single else 31), y)
    head = s.sub(s.add(y, shift), shift)
    rest = s.mul(s.sub(y, head), s.add(y, head))
    r, tail, exponent = exp_terms(s, s.neg(s.mul(head, head)), s.neg(rest))
    less = s.fma(r, curve_error, s.fma(curve, s.add(tail, inverse_error), curve_error))
    return s.ldexp(s.add(curve, s.fma(curve, r, less)), exponent)


def _next(s: Builder, x: Any, y: Any, constant: float, more: float) -> tuple[Any, Any]:
    """x · y + a constant in two parts, which is greater, and what the sum lacks."""
    c = s.const(constant, x)
    total = s.fma(x, y, c)
    return total, s.add(s.fma(x, y, s.sub(c, total)), s.const(more, x))
