"""Random words to numbers: the conversions that PyTorch's CPU kernels make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from tidu.base.random import Array

Convert = Callable[[Array], Array]

# Bits of the significand, and the largest value, of every floating point type.
DIGITS = {
    np.dtype(np.float16): 11,
    np.dtype(ml_dtypes.bfloat16): 8,
    np.dtype(np.float32): 24,
    np.dtype(np.float64): 53,
}
LARGEST = {
    np.dtype(np.float16): 65504.0,
    np.dtype(ml_dtypes.bfloat16): (2.0 - 2.0**-7) * 2.0**127,
    np.dtype(np.float32): float(np.finfo(np.float32).max),
    np.dtype(np.float64): float(np.finfo(np.float64).max),
}
MASK24, SCALE24 = np.uint32((1 << 24) - 1), np.float32(2.0**-24)
MASK53, _SCALE53 = np.uint64((1 << 53) - 1), np.float64(2.0**-53)
_MASK21 = np.uint32((1 << 21) - 1)
_HALF_WORD = np.uint64(32)


def bits64(words: Array) -> Array:
    """Pairs of words as uint64, the first of a pair in the high half."""
    pairs = words.view(np.uint64)  # little-endian: halves in the other order
    swapped = pairs << _HALF_WORD
    swapped |= pairs >> _HALF_WORD
    return swapped


def are_below(words: Array, limit: int) -> Array:
    """Whether the low 53 bits of every pair of words are less than `limit`."""
    high = words[::2] & _MASK21
    top, rest = np.uint32(limit >> 32), limit & 0xFFFFFFFF
    below: Array = high < top
    if rest:
        ties = np.flatnonzero(high == top)
        below[ties] = words[1::2][ties] < np.uint32(rest)
    return below


def unit32(words: Array) -> Array:
    """Uniform float32 in [0, 1): the low 24 bits of every word."""
    values = (words & MASK24).view(np.int32).astype(np.float32)
    values *= SCALE24
    return values


def unit64(words: Array) -> Array:
    """Uniform float64 in [0, 1): the low 53 bits of every pair of words."""
    bits = bits64(words)
    bits &= MASK53
    values = bits.view(np.int64).astype(np.float64)
    values *= _SCALE53
    return values


def modulo32(low: int, span: int, kind: np.dtype[Any]) -> Convert:
    """The conversion of words to whole numbers in [low, low + span) of type `kind`."""
    divisor = np.uint32(span)

    def convert(words: Array) -> Array:
        values = cast_integer(
            (words % divisor).view(np.int32), kind if low == 0 else np.dtype(np.int64)
        )
        if low == 0:
            return values
        values += low
        return cast_integer(values, kind)

    return convert


def modulo64(low: int, span: int, kind: np.dtype[Any]) -> Convert:
    """The same from pairs of words, for any `span` up to 2**64."""
    offset, divisor = np.uint64(low % (1 << 64)), np.uint64(span % (1 << 64))

    def convert(words: Array) -> Array:
        values = bits64(words)
        if divisor:
            values %= divisor
        values += offset  # wraps, as two's complement does
        return cast_integer(values.view(np.int64), kind)

    return convert


def cast_integer(values: Array, kind: np.dtype[Any]) -> Array:
    """Whole numbers as `kind`."""
    if kind.itemsize == 2 and kind in DIGITS:
        values = values.astype(np.float32)  # the 16-bit floats are made from float32
    return values.astype(kind, copy=False)


def cast_real(values: Array, kind: np.dtype[Any]) -> Array:
    """Float64 values as `kind`; what is too large becomes inf."""
    if kind == values.dtype:
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        if kind.itemsize == 2 and kind in DIGITS:
            values = values.astype(np.float32)
        return values.astype(kind)
