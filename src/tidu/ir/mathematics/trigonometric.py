"""sin, cos and tan.

x is q π/2 + r with |r| <= π/4; q chooses between the polynomials for sin(r) and cos(r) and their
signs. Up to a limit q π/2 is subtracted in three parts, beyond it (Payne and Hanek) x is multiplied
by those of the first 1300 digits of 2/π that count.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu.base.dtypes import dtype, float32, float64
from tidu.ir.mathematics import coefficients
from tidu.ir.mathematics.parts import in_float64, table, to_integer, two_product, two_sum
from tidu.ir.scalar import Builder

# π/2 in three parts, each rounded down: a negative one would lose the sign of -0.
_HALF_PI = {
    float32: (1.570796251296997, 7.549789415861596e-08, 5.390302529957765e-15),
    float64: (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591698e-33),
}
_TWO_OVER_PI = 0.6366197723675814
# Below these the three parts suffice.
_LIMITS = {float32: 2.0**16, float64: 2.0**24}
# The digits of 2/π in base 2**28, after three zeros.
_DIGITS = (
    0, 0, 0, 170891318, 240010261, 44024437, 131200308, 232525238, 43358524, 70845471, 240214955,
    233552982, 28779630, 61088989, 48236105, 49193117, 26352894, 31371723, 19507006, 243802975,
    86948676, 139368903, 2536543, 132387737, 30816643, 87269193, 210001803, 199201411, 186644631,
    268296281, 135261999, 18396576, 174923629, 57142514, 130746807, 83125238, 111042538, 47665787,
    180874213, 253211600, 121239434, 86584998, 201023409, 33084880, 139854640, 74434486, 195817679,
    197265839, 70655401, 238622229, 249961224,
)  # fmt: skip


def _reduced(s: Builder, x: Any) -> tuple[Any, Any, Any]:
    """(q, r, what is to be taken from r) for |x| below the limit."""
    count, quadrant = to_integer(s, x, _TWO_OVER_PI)
    first, second, third = (s.const(part, x) for part in _HALF_PI[s.kind(x)])
    high = s.fma(count, s.neg(first), x)
    less, less_error = two_product(s, count, second)
    # Which of the two is greater is not known.
    r = s.sub(high, less)
    taken = s.sub(r, high)
    error = s.sub(s.sub(high, s.sub(r, taken)), s.add(less, taken))
    return quadrant, r, s.fma(count, third, s.sub(less_error, error))


def _reduced_huge(s: Builder, x: Any) -> tuple[Any, Any, Any]:
    """The same for any |x| of at least 2**16; NaN for infinity."""
    wide = s.cast(x, float64)
    quadrant, r, excess = _payne_hanek(s, s.abs(wide))
    zero = s.const(0, wide)
    negative = s.lt(wide, zero)
    r = s.select(negative, s.neg(r), r)
    excess = s.select(negative, s.neg(excess), excess)
    quadrant = s.select(negative, s.neg(quadrant), quadrant)
    infinite = s.sub(wide, wide)  # NaN, where x is not finite
    kind = s.kind(x)
    integer = s.cast(quadrant, s.kind(s.bits(x)))
    return integer, s.cast(s.add(r, infinite), kind), s.cast(excess, kind)


def _payne_hanek(s: Builder, x: Any) -> tuple[Any, Any, Any]:
    """x · 2/π for x >= 2**16, in digits of 28 bits from the unit downwards."""
    bits = s.bits(x)

    def number(value: int) -> Any:
        return s.const(value, bits)

    width, low = number(28), number((1 << 28) - 1)
    mantissa = s.bit_or(s.bit_and(bits, number((1 << 52) - 1)), number(1 << 52))
    # x = mantissa · 2**shift · 2**(28 (place - 2))
    exponent = s.sub(s.shift_right(bits, number(52)), number(1075 - 2 * 28))
    place = s.div(exponent, width)
    shift = s.sub(exponent, s.mul(place, width))
    lower = s.shift_left(s.bit_and(mantissa, low), shift)
    upper = s.shift_left(s.shift_right(mantissa, width), shift)
    middle = s.add(s.shift_right(lower, width), s.bit_and(upper, low))
    top = s.add(s.shift_right(upper, width), s.shift_right(middle, width))
    factors = (s.bit_and(lower, low), s.bit_and(middle, low), top)
    digits = [s.lookup(_DIGITS, s.add(place, number(i))) for i in range(9)]
    columns = []
    for k in range(7):
        first, second, third = (s.mul(f, digits[k + j]) for j, f in enumerate(factors))
        columns.append(s.add(s.add(first, second), third))
    for k in range(6, 0, -1):
        columns[k - 1] = s.add(columns[k - 1], s.shift_right(columns[k], width))
        columns[k] = s.bit_and(columns[k], low)
    # The fraction is brought between -1/2 and 1/2.
    upward = s.le(number(1 << 27), columns[1])
    quadrant = s.add(columns[0], s.select(upward, number(1), number(0)))
    columns[1] = s.sub(columns[1], s.select(upward, number(1 << 28), number(0)))
    return s.bit_and(quadrant, number(3)), *_times_half_pi(s, columns[1:6], float64)


def _times_half_pi(s: Builder, digits: list[Any], kind: dtype) -> tuple[Any, Any]:
    """A fraction in digits of 28 bits times π/2, and by how much that is more."""
    parts = [s.cast(digit, kind) for digit in digits]
    parts = [s.mul(p, s.const(2.0 ** (-28 * (k + 1)), p)) for k, p in enumerate(parts)]
    first, first_error = two_sum(s, parts[0], parts[1])
    second, second_error = two_sum(s, parts[2], parts[3])
    total, error = two_sum(s, first, second)
    error = s.add(error, s.add(first_error, s.add(second_error, parts[4])))
    head, tail, _ = (s.const(part, total) for part in _HALF_PI[kind])
    r, rest = two_product(s, total, head)
    return r, s.neg(s.add(rest, s.fma(total, tail, s.mul(error, head))))


def _sin_curve(s: Builder, r: Any) -> Any:
    z = s.mul(r, r)
    return s.copysign(s.fma(s.mul(r, z), table(s, z, coefficients.SIN), r), r)


def _cos_curve(s: Builder, r: Any) -> Any:
    z = s.mul(r, r)
    return s.fma(z, s.fma(z, table(s, z, coefficients.COS), s.const(-0.5, r)), s.const(1, r))


def _wave(s: Builder, reduced: tuple[Any, Any, Any], ahead: int) -> Any:
    """sin(x + ahead · π/2)."""
    quadrant, r, excess = reduced
    r = s.sub(r, excess)
    quadrant = s.add(quadrant, s.const(ahead, quadrant)) if ahead else quadrant
    odd = s.ne(s.bit_and(quadrant, s.const(1, quadrant)), s.const(0, quadrant))
    size = s.select(odd, _cos_curve(s, r), _sin_curve(s, r))
    # The second bit of the quadrant is the sign.
    sign = s.bit_and(quadrant, s.const(2, quadrant))
    sign = s.shift_left(sign, s.const(8 * s.kind(r).itemsize - 2, sign))
    return s.from_bits(s.bit_xor(s.bits(size), sign))


def _for_any_size(s: Builder, x: Any, function: Callable[..., Any]) -> Any:
    """A function of what x is reduced to, by the short way where that suffices."""
    huge = s.le(s.const(_LIMITS[s.kind(x)], x), s.abs(x))
    usual = function(s, _reduced(s, x))
    return s.rare(huge, usual, lambda t, y: function(t, _reduced_huge(t, y)), x)


def sin(s: Builder, x: Any) -> Any:
    return _for_any_size(s, x, lambda t, reduced: _wave(t, reduced, 0))


def cos(s: Builder, x: Any) -> Any:
    return _for_any_size(s, x, lambda t, reduced: _wave(t, reduced, 1))


@in_float64
def tan(s: Builder, x: Any) -> Any:
    return _for_any_size(s, x, _tangent)


def _tangent(s: Builder, reduced: tuple[Any, Any, Any]) -> Any:
    """The quotient of sine and cosine, each with what it lacks."""
    quadrant, r, excess = reduced
    z = s.mul(r, r)
    sine, sine_error = two_sum(
        s, r, s.sub(s.mul(s.mul(r, z), table(s, z, coefficients.SIN)), excess)
    )
    # cos(r - excess) is about cos r + r · excess.
    half = s.mul(z, s.const(0.5, r))
    curve = s.fma(s.mul(z, z), table(s, z, coefficients.COS), s.mul(r, excess))
    head, head_error = two_sum(s, s.const(1, r), s.neg(half))
    cosine, cosine_error = two_sum(s, head, s.add(head_error, curve))
    odd = s.ne(s.bit_and(quadrant, s.const(1, quadrant)), s.const(0, quadrant))
    top, top_error = (
        s.select(odd, s.neg(cosine), sine),
        s.select(odd, s.neg(cosine_error), sine_error),
    )
    bottom, bottom_error = s.select(odd, sine, cosine), s.select(odd, sine_error, cosine_error)
    quotient = s.div(top, bottom)
    error = s.fma(s.neg(quotient), bottom_error, s.fma(s.neg(quotient), bottom, top))
    better = s.add(quotient, s.div(s.add(error, top_error), bottom))
    return s.select(s.eq(r, s.const(0, r)), s.select(odd, quotient, r), better)
