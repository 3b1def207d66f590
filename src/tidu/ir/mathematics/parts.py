"""What the families share: polynomials, sums and products with their errors, formats of floats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tidu.base.dtypes import dtype, float32, float64
from tidu.ir.scalar import Builder


class Format(NamedTuple):
    """A float dtype in numbers."""

    digits: int  # bits of the fraction that are stored
    bias: int  # of the exponent
    # Adding this rounds to an integer and leaves that in the lowest bits.
    magic: float
    # log 2 in two parts; the product of the first with an exponent is exact.
    log_2: tuple[float, float]
    smallest: float  # normal number
    # |x| below which x + x² is x.
    tiny: float


_FORMATS = {
    float32: Format(23, 127, 1.5 * 2.0**23, (0.693359375, -0.00021219444), 2.0**-126, 2.0**-30),
    float64: Format(
        52,
        1023,
        1.5 * 2.0**52,
        (0.6931471803691238, 1.9082149292705877e-10),
        2.0**-1022,
        2.0**-60,
    ),
}


def format_of(s: Builder, x: Any) -> Format:
    """The numbers that describe the floating-point format of x."""
    return _FORMATS[s.kind(x)]


def polynomial(s: Builder, x: Any, coefficients: tuple[float, ...], *, fused: bool = False) -> Any:
    """Horner's scheme, highest power first; `fused` if bits matter, not just the error."""
    step = s.fma if fused else s.mul_add
    result = s.const(coefficients[0], x)
    for c in coefficients[1:]:
        result = step(result, x, s.const(c, x))
    return result


def table(s: Builder, x: Any, coefficients: dict[dtype, tuple[float, ...]]) -> Any:
    """The polynomial at x that belongs to its dtype."""
    return polynomial(s, x, coefficients[s.kind(x)])


def in_float64(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that works in float64 and rounds to float32 for an argument of that dtype."""

    def wrapped(s: Builder, *arguments: Any) -> Any:
        kind = s.kind(arguments[0])
        if kind is float64:
            return function(s, *arguments)
        return s.cast(function(s, *(s.cast(a, float64) for a in arguments)), kind)

    wrapped.__name__, wrapped.__doc__ = function.__name__, function.__doc__
    return wrapped


def to_integer(s: Builder, x: Any, scale: float) -> tuple[Any, Any]:
    """The integer nearest to x · scale, as a float and as an integer of the same width.

    It must be below 2**22 (float64: 2**51); NaN gives NaN and any integer.
    """
    magic = s.const(format_of(s, x).magic, x)
    shifted = s.fma(x, s.const(scale, x), magic)
    return s.sub(shifted, magic), s.sub(s.bits(shifted), s.bits(magic))


def clamped(s: Builder, x: Any, low: float, high: float) -> Any:
    """x brought into an interval; NaN stays."""
    return s.max(s.min(x, s.const(high, x)), s.const(low, x))


def two_sum(s: Builder, x: Any, y: Any) -> tuple[Any, Any]:
    """x + y and its error, for |x| >= |y|."""
    total = s.add(x, y)
    return total, s.add(s.sub(x, total), y)


def two_product(s: Builder, x: Any, y: Any) -> tuple[Any, Any]:
    """x · y and its error, where fma rounds once."""
    product = s.mul(x, y)
    return product, s.fma(x, y, s.neg(product))
