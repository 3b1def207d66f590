"""Special functions written with the scalar instructions, for every target that lacks them.

Both rest on two fits, made with 50 digits: erf(x)/x - 1 as a polynomial in x² on [0, 1] (by
Chebyshev
interpolation), and log(erfc(y)·(y + 1)·exp(y²)) as a ratio of polynomials in 1/y on [0.48, 28] (by
iterated weighted
least squares). The errors of the fits are below 2e-17.
"""

from __future__ import annotations

from typing import Any

from tidu.ir.scalar import Builder

_SERIES = (
    5.958930743134941e-11,
    -1.1373902296430911e-09,
    1.4660051998394848e-08,
    -1.6350354461959655e-07,
    1.6461004480962034e-06,
    -1.4925595519506043e-05,
    0.00012055331122299266,
    -0.0008548326981129666,
    0.005223977624823223,
    -0.026866170645077334,
    0.11283791670954882,
    -0.3761263890318375,
    0.1283791670955126,
)
_NUMERATOR = (
    -88.04634681418347,
    -528.1726210391797,
    -1211.0044137975394,
    -1442.066600485597,
    -1068.210638166848,
    -535.2114961665064,
    -186.36510056394732,
    -44.770599068688114,
    -6.904547112844095,
    -0.5723649429238137,
)
_DENOMINATOR = (
    685.8304923881706,
    3384.3077134376726,
    7063.192142161407,
    8560.923141581097,
    6878.723331617017,
    3899.8619848112476,
    1602.8453280235992,
    477.8242965024482,
    100.60176980133608,
    13.810327153025398,
    1.0,
)


def polynomial(s: Builder, x: Any, coefficients: tuple[float, ...]) -> Any:
    """Horner's scheme, highest power first."""
    result = s.const(coefficients[0], x)
    for c in coefficients[1:]:
        result = s.fma(result, x, s.const(c, x))
    return result


def _erf_near(s: Builder, x: Any) -> Any:
    """erf where |x| <= 1."""
    return s.fma(x, polynomial(s, s.mul(x, x), _SERIES), x)


def _erfc_far(s: Builder, y: Any) -> Any:
    """erfc where 0.48 <= y <= 30."""
    # exp(-y²) loses digits unless y is split into a part whose square is exact and a rest.
    head = s.div(s.trunc(s.mul(y, s.const(128, y))), s.const(128, y))
    rest = s.mul(s.sub(y, head), s.add(y, head))
    one = s.const(1, y)
    inverse = s.div(one, y)
    ratio = s.div(polynomial(s, inverse, _NUMERATOR), polynomial(s, inverse, _DENOMINATOR))
    scale = s.mul(s.exp(s.neg(s.mul(head, head))), s.exp(s.sub(ratio, rest)))
    return s.div(scale, s.add(y, one))


def _clamped(s: Builder, x: Any) -> Any:
    """|x|, bounded so that no intermediate overflows; erfc is 0 long before."""
    return s.min(s.abs(x), s.const(30, x))


def erf(s: Builder, x: Any) -> Any:
    """(2/√π) ∫₀ˣ exp(-t²) dt, to 1.3 ulp."""
    y = _clamped(s, x)
    one = s.const(1, x)
    near = s.lt(y, one)
    far = s.copysign(s.sub(one, _erfc_far(s, s.select(near, one, y))), x)
    result = s.select(near, _erf_near(s, s.select(near, x, s.const(0, x))), far)
    return s.select(s.ne(x, x), x, result)


def erfc(s: Builder, x: Any) -> Any:
    """1 - erf(x), with small relative error where that is close to 0."""
    y = _clamped(s, x)
    one = s.const(1, x)
    near = s.lt(y, s.const(0.5, x))
    tail = _erfc_far(s, s.select(near, one, y))
    far = s.select(s.lt(x, s.const(0, x)), s.sub(s.const(2, x), tail), tail)
    result = s.select(near, s.sub(one, _erf_near(s, s.select(near, x, s.const(0, x)))), far)
    return s.select(s.ne(x, x), x, result)
