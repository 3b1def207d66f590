"""Uniform words to normal samples, in the arithmetic PyTorch's CPU kernels use.

Equal seeds must give equal numbers, so the order of operations here is part of the contract. The
float32 kernel evaluates the Cephes single precision polynomials for log, sin and cos with fused
multiply-adds. NumPy has none of these: a float64 product, exact for float32 factors, a float64 sum
and a cast stand for one. The outcome has been compared for all 2**24 arguments that can occur. The
float64 kernel takes log from the C library, as NumPy's own differs in the last bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tidu.base.random import Array
from tidu.base.random.rounding import scale_shift
from tidu.base.random.word_values import MASK24, SCALE24, unit64

Words = Callable[[int], Array]  # count -> that many new words

BLOCK = 16  # samples of one Box-Muller block: 8 cosines, then 8 sines
_HALF_BLOCK = np.dtype("V32")  # eight float32 moved as one item
_CHUNK = 1 << 15


def _rounded(*values: float) -> tuple[float, ...]:
    return tuple(float(np.float32(value)) for value in values)


_SIGN_BIT = np.int32(-(1 << 31))
_SQRT_HALF_BITS = np.int32(0x3F3504F3)
_LOG = _rounded(
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_LN2_LOW, _LN2_HIGH = np.float32(-2.12194440e-4), np.float32(0.693359375)
_SIN = _rounded(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = _rounded(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_TWO_PI = np.float32(2.0 * math.pi)
# pi/2 as a sum of three float32 parts; its products with a quadrant number are exact in float64.
_QUARTER_TURN = 2.0 * sum(_rounded(0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8))


class _Float32Kernel:
    """The float32 transform of `pairs` radii and angles, with the memory that it works in."""

    def __init__(self, pairs: int) -> None:
        self.wide, self.total = np.empty(pairs), np.empty(pairs)  # float64
        self.x, self.square, self.scale, self.sine, self.cosine = np.empty((5, pairs), np.float32)
        self.index, self.shifted = np.empty((2, pairs), np.int32)

    def __call__(self, words: Array) -> Array:
        """Standard normals, float32 (2 pairs,), from as many words."""
        halves = (words & MASK24).view(_HALF_BLOCK).reshape(-1, 2)
        radius, angle = np.empty((2, words.size // 2), np.float32)
        radius.view(_HALF_BLOCK)[:] = halves[:, 0]
        angle.view(_HALF_BLOCK)[:] = halves[:, 1]
        self._log_of_complement(radius)
        radius *= np.float32(-2.0)
        np.sqrt(radius, out=radius)
        self._sine_and_cosine(angle)
        self.sine *= radius
        self.cosine *= radius
        result = np.empty(words.size, np.float32)
        result_halves = result.view(_HALF_BLOCK).reshape(-1, 2)
        result_halves[:, 0] = self.cosine.view(_HALF_BLOCK)
        result_halves[:, 1] = self.sine.view(_HALF_BLOCK)
        return result

    def _horner(self, coefficients: tuple[float, ...], out: Array) -> None:
        """out = polynomial in `wide`, rounded to float32 after every multiply-add."""
        total = np.multiply(self.wide, coefficients[0], out=self.total)
        for coefficient in coefficients[1:-1]:
            total += coefficient
            out[...] = total
            np.multiply(self.wide, out, out=total)
        total += coefficients[-1]
        out[...] = total

    def _log_of_complement(self, x: Array) -> None:
        """x = log(1 - k / 2**24) in place, where `x` comes as integers k in float32 memory."""
        bits, y, index, square = x.view(np.int32), self.cosine, self.index, self.square
        x[...] = bits
        x *= -SCALE24
        x += np.float32(1.0)  # in (0, 1]: the logarithm is finite
        np.subtract(bits, _SQRT_HALF_BITS, out=index)
        index >>= 23  # the exponent that leaves a mantissa in [sqrt(1/2), sqrt(2))
        bits -= np.left_shift(index, 23, out=self.shifted)
        x -= np.float32(1.0)
        self.scale[...] = index
        np.multiply(x, x, out=square)
        self.wide[...] = x
        self._horner(_LOG, y)
        y *= x
        np.multiply(y, square, out=self.total, dtype=np.float64)
        self.total += np.multiply(self.scale, _LN2_LOW, out=self.x)
        y[...] = self.total
        square *= np.float32(0.5)
        y -= square
        x += y
        self.scale *= _LN2_HIGH  # exact, for both have few bits
        x += self.scale

    def _sine_and_cosine(self, angle: Array) -> None:
        """sine, cosine = those of 2 pi k / 2**24, where `angle` comes as integers k."""
        k, x, square, wide, total = angle.view(np.int32), self.x, self.square, self.wide, self.total
        sine, cosine, quadrant = self.sine, self.cosine, self.index
        np.add(k, np.int32(1 << 21), out=quadrant)
        quadrant >>= 22
        angle[...] = k
        angle *= SCALE24
        angle *= _TWO_PI
        total[...] = quadrant
        total *= -_QUARTER_TURN
        total += angle
        x[...] = total  # within an eighth of a turn
        np.multiply(x, x, out=square)
        wide[...] = square

        self._horner(_COS, cosine)
        cosine *= square
        total[...] = cosine
        total -= 0.5
        total *= wide
        cosine[...] = total
        cosine += np.float32(1.0)

        self._horner(_SIN, sine)
        sine *= square
        total[...] = sine
        total += 1.0
        total *= x
        sine[...] = total

        # Odd quadrants swap the two functions; the signs follow the quadrant's second bit.
        sine_bits, cosine_bits, mask = sine.view(np.int32), cosine.view(np.int32), self.shifted
        np.bitwise_and(quadrant, 1, out=mask)
        np.negative(mask, out=mask)
        mask &= sine_bits ^ cosine_bits
        sine_bits ^= mask
        cosine_bits ^= mask
        quadrant <<= 30
        sine_bits ^= np.bitwise_and(quadrant, _SIGN_BIT, out=mask)
        quadrant += np.int32(1 << 30)
        cosine_bits ^= np.bitwise_and(quadrant, _SIGN_BIT, out=mask)


def fill_normal_float32(out: Array, words: Words, mean: float, std: float) -> None:
    """Fill `out` (16 n,), of at most float32 precision, with normal samples; one word makes one."""
    scale, shift = np.float32(std), np.float32(mean)
    kernel = None
    for start in range(0, out.size, _CHUNK):
        part = out[start : start + _CHUNK]
        if kernel is None or kernel.x.size != part.size // 2:
            kernel = _Float32Kernel(part.size // 2)
        part[...] = scale_shift(kernel(words(part.size)), scale, shift)


def fill_normal_float64(out: Array, words: Words, mean: float, std: float) -> None:
    """Fill the float64 `out` (16 n,) with normal samples; two words make one."""
    scale, shift = np.float64(std), np.float64(mean)
    for start in range(0, out.size, _CHUNK):
        part = out[start : start + _CHUNK]
        halves = unit64(words(2 * part.size)).reshape(-1, 2, BLOCK // 2)
        radius = np.sqrt(-2.0 * libm(math.log, 1.0 - halves[:, 0]))
        angle = (2.0 * math.pi) * halves[:, 1]
        np.multiply(radius, np.cos(angle), out=halves[:, 0])
        np.multiply(radius, np.sin(angle), out=halves[:, 1])
        part[...] = scale_shift(halves.reshape(-1), scale, shift)


def normal_pairs(uniform: Array) -> Array:
    """Standard normals from uniform angles and radii in [0, 1), float64 (n, 2): (2 n,), in turn
    the cosine and the sine of a pair."""
    radius = np.sqrt(-2.0 * libm(math.log1p, -uniform[:, 1]))
    angle = (2.0 * math.pi) * uniform[:, 0]
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), 1).reshape(-1)


def libm(function: Callable[[float], float], values: Array) -> Array:
    """`function`, one of module `math`, of every value: the C library's result to the last bit."""
    results = np.fromiter(map(function, values.ravel().tolist()), np.float64, values.size)
    return results.reshape(values.shape)
