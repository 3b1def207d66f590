"""Multiply-adds with a single rounding, from operations that round every time."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.random import Array


def scale_shift(x: Array, scale: np.floating[Any], shift: np.floating[Any]) -> Array:
    """`x * scale + shift` rounded once, in the float type of `x`; may reuse the memory of `x`.

    >>> scale_shift(np.array([1.0, 2.0]), np.float64(0.1), np.float64(1.0)).tolist()
    [1.1, 1.2]
    """
    if scale == 1.0 or shift == 0.0:  # one of the two operations is exact
        x *= scale
        x += shift
        return x
    if x.dtype == np.float32:
        return _scale_shift_float32(x, float(scale), float(shift))
    return _scale_shift_float64(x, scale, shift)


def _two_sum(a: Array, b: Any) -> tuple[Array, Array]:
    """Sum and its rounding error: `a + b == total + error` exactly (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _scale_shift_float32(x: Array, scale: float, shift: float) -> Array:
    product = x.astype(np.float64)
    product *= scale
    total = product + shift
    result = total.astype(np.float32)
    # Rounding twice errs only where the first result lies exactly between two float32 values.
    between = (total.view(np.int64) & 0x1FFFFFFF) == 0x10000000
    if between.any():
        (index,) = np.nonzero(between)
        near, error = _two_sum(product[index], shift)
        moved = np.nextafter(near, np.copysign(np.inf, error))
        result[index] = np.where(error == 0.0, near, moved)
    return result


def _split(x: Any) -> tuple[Any, Any]:
    """High and low half of a float64, so that products of halves are exact (Veltkamp)."""
    scaled = x * 134217729.0  # 2**27 + 1
    high = scaled - (scaled - x)
    return high, x - high


def _scale_shift_float64(x: Array, scale: Any, shift: Any) -> Array:
    # S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums" (2008): the low parts
    # are added with rounding to odd, so that the last sum rounds as if no digit had been lost.
    product = x * scale
    x_high, x_low = _split(x)
    scale_high, scale_low = _split(scale)
    low = x_high * scale_high - product
    low = (low + x_high * scale_low + x_low * scale_high) + x_low * scale_low
    middle, low = _two_sum(low, shift)
    high, middle = _two_sum(product, middle)
    rest, error = _two_sum(middle, low)
    bits = rest.view(np.int64)
    away = np.where((error > 0.0) == (rest > 0.0), 1, -1)
    bits += np.where((error != 0.0) & ((bits & 1) == 0), away, 0)
    return high + rest
