"""Special functions written with the scalar instructions, for every target that lacks them.

erf and erfc: W. J. Cody, "Rational Chebyshev approximation for the error function", Math. Comp. 23 (1969).
"""

from __future__ import annotations

from typing import Any

from tidu.ir.scalar import Builder

_A = (1.85777706184603153e-1, 3.16112374387056560, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3)
_B = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_C = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
_D = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
_P = (
    1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
    1.60837851487422766e-2, 6.58749161529837803e-4,
)  # fmt: skip
_Q = (
    1.0, 2.56852019228982242, 1.87295284992346725, 5.27905102951428412e-1, 6.05183413124413191e-2,
    2.33520497626869185e-3,
)  # fmt: skip
_SMALL = 0.46875
_INVERSE_SQRT_PI = 0.56418958354775628695


def polynomial(s: Builder, x: Any, coefficients: tuple[float, ...]) -> Any:
    """Horner's scheme, highest power first."""
    result = s.const(coefficients[0], x)
    for c in coefficients[1:]:
        result = s.fma(result, x, s.const(c, x))
    return result


def _erf_small(s: Builder, x: Any) -> Any:
    """erf where |x| <= 0.46875."""
    square = s.mul(x, x)
    return s.mul(x, s.div(polynomial(s, square, _A), polynomial(s, square, _B)))


def _erfc_large(s: Builder, y: Any) -> Any:
    """erfc(y) for y > 0.46875, as exp(-y²) times a ratio of polynomials."""
    # exp(-y²) loses digits unless y is split into a part with few bits and a rest.
    head = s.div(s.trunc(s.mul(y, s.const(16, y))), s.const(16, y))
    rest = s.mul(s.sub(y, head), s.add(y, head))
    scale = s.mul(s.exp(s.neg(s.mul(head, head))), s.exp(s.neg(rest)))
    near = s.div(polynomial(s, y, _C), polynomial(s, y, _D))
    inverse = s.div(s.const(1, y), s.mul(y, y))
    tail = s.mul(inverse, s.div(polynomial(s, inverse, _P), polynomial(s, inverse, _Q)))
    far = s.div(s.sub(s.const(_INVERSE_SQRT_PI, y), tail), y)
    return s.mul(scale, s.select(s.le(y, s.const(4, y)), near, far))


def _clamped(s: Builder, x: Any) -> Any:
    """|x|, bounded so that no intermediate overflows; erfc is 0 long before."""
    return s.min(s.abs(x), s.const(30, x))


def erf(s: Builder, x: Any) -> Any:
    y = _clamped(s, x)
    one = s.const(1, x)
    small = s.le(y, s.const(_SMALL, x))
    large = s.copysign(s.sub(one, _erfc_large(s, s.select(small, one, y))), x)
    return s.select(s.ne(x, x), x, s.select(small, _erf_small(s, s.select(small, x, s.const(0, x))), large))


def erfc(s: Builder, x: Any) -> Any:
    y = _clamped(s, x)
    one = s.const(1, x)
    small = s.le(y, s.const(_SMALL, x))
    tail = _erfc_large(s, s.select(small, one, y))
    large = s.select(s.lt(x, s.const(0, x)), s.sub(s.const(2, x), tail), tail)
    near = s.sub(one, _erf_small(s, s.select(small, x, s.const(0, x))))
    return s.select(s.ne(x, x), x, s.select(small, near, large))
