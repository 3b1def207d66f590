"""The remainder of a division of floats, which is exact."""

from __future__ import annotations

import math
from typing import Any

from tidu.base.dtypes import float32
from tidu.ir.scalar import Builder


def fmod(s: Builder, x: Any, y: Any) -> Any:
    """x - y · trunc(x / y)."""
    dividend, divisor = s.abs(x), s.abs(y)
    ratio = s.div(dividend, divisor)
    many = s.le(s.const(_EXACT[0 if s.kind(x) is float32 else 1], x), ratio)
    rest = s.rare(many, _step(s, dividend, divisor), _long_division, dividend, divisor)
    infinity = s.const(math.inf, x)
    rest = s.select(s.bit_and(s.eq(divisor, infinity), s.lt(dividend, infinity)), dividend, rest)
    possible = s.bit_and(s.lt(s.const(0, x), divisor), s.lt(dividend, infinity))
    return s.copysign(s.select(possible, rest, s.const(math.nan, x)), x)


# The quotient up to which one step is exact, for float32 and float64.
_EXACT = (2.0**22, 2.0**51)


def _step(s: Builder, x: Any, y: Any) -> Any:
    """The remainder of 0 <= x < y · 2**22 (2**51): the quotient can be 1 off, the rest is exact."""
    rest = s.fma(s.neg(s.trunc(s.div(x, y))), y, x)
    rest = s.select(s.lt(rest, s.const(0, x)), s.add(rest, y), rest)
    return s.select(s.le(y, rest), s.sub(rest, y), rest)


def _long_division(s: Builder, x: Any, y: Any) -> Any:
    """Of any quotient: by the divisor times falling powers of 2**20 (2**50)."""
    step, top = (20, 280) if s.kind(x) is float32 else (50, 2100)
    for power in range(top, -1, -step):
        multiple = _times_power(s, y, power)
        fits = s.lt(multiple, s.const(math.inf, x))
        x = s.select(fits, _step(s, x, multiple), x)
    return x


def _times_power(s: Builder, y: Any, power: int) -> Any:
    """y · 2**power, in steps that are constants of the dtype."""
    largest = 120 if s.kind(y) is float32 else 1000
    while power:
        part = min(power, largest)
        y, power = s.mul(y, s.const(2.0**part, y)), power - part
    return y
