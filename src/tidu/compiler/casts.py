"""Conversion between dtypes: every one is defined for every number, as it is in PyTorch on x86."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.compiler.instructions import ELEMENTS, Register

if TYPE_CHECKING:
    from tidu.compiler.scalars import VectorScalars


def cast(s: VectorScalars, x: Register, to: dtype) -> Register:
    """A number in another dtype: rounded to the nearest, or towards zero for integers."""
    if x.number is not None:
        return _cast_number(s, x.number, x.dtype, to)
    if x.dtype is to:
        return x
    if x.dtype.is_half:
        return cast(s, _widened(s, x), to)
    if to is dtypes.bool_:
        return s.ne(x, s.const(0, x))
    if to.is_half:
        return _narrowed(s, cast(s, x, dtypes.float32), to)
    if x.dtype.is_floating_point:
        if to.is_floating_point:
            return s.convert("fpext" if to.itemsize > 4 else "fptrunc", x, to)
        return _truncated(s, x, to)
    if to.is_floating_point:
        return s.convert("sitofp" if x.dtype.is_signed else "uitofp", x, to)
    return _resized(s, x, to)


def _cast_number(s: VectorScalars, number: float | int | bool, kind: dtype, to: dtype) -> Register:
    """A constant in another dtype, by way of a number that its own dtype holds."""
    with np.errstate(all="ignore"):
        held = np.asarray(number).astype(kind.numpy)
        if kind.is_floating_point and to.category == dtypes.INTEGER:
            least = -(1 << (31 if to.itemsize < 8 else 63))
            inside = bool(abs(held.astype(np.float64)) < -least)
            return s.constant(int(held) if inside else least, to)
        if to.is_half:
            held = held.astype(np.float32)
        return s.constant(held.astype(to.numpy).item(), to)


def _resized(s: VectorScalars, x: Register, to: dtype) -> Register:
    """An integer or bool as an integer of another width."""
    if ELEMENTS[x.dtype] == ELEMENTS[to]:
        return Register(x.name, to)
    if x.dtype is not dtypes.bool_ and to.itemsize < x.dtype.itemsize:
        return s.convert("trunc", x, to)
    return s.convert("sext" if x.dtype.is_signed else "zext", x, to)


def _truncated(s: VectorScalars, x: Register, to: dtype) -> Register:
    """A float as an integer, towards zero; what the 32-bit (for int64: 64-bit) integers lack
    becomes the least of them, as on x86, and narrower results are its low bits.
    """
    wide = dtypes.int64 if to is dtypes.int64 else dtypes.int32
    bound = 2.0 ** (8 * wide.itemsize - 1)
    inside = s.lt(s.abs(x), s.const(bound, x))
    number = s.convert("fptosi", x, wide)
    return _resized(s, s.select(inside, number, s.constant(-int(bound), wide)), to)


def _widened(s: VectorScalars, x: Register) -> Register:
    """A half as float32. The bits of a bfloat16 are the upper ones of the same number."""
    if x.dtype is dtypes.float16:
        return s.convert("fpext", x, dtypes.float32)
    upper = _resized(s, s.convert("bitcast", x, dtypes.int16), dtypes.int32)
    return s.from_bits(s.shift_left(upper, s.const(16, upper)))


def _narrowed(s: VectorScalars, x: Register, to: dtype) -> Register:
    """A float32 as a half."""
    if to is dtypes.float16:
        # Fenced, or LLVM makes one conversion of two and calls a library for it.
        fenced = s.intrinsic("arithmetic.fence", x)
        return s.convert("fptrunc", fenced, to)
    # To the nearest, ties to even; a NaN keeps its upper bits and becomes quiet.
    bits = s.bits(x)
    sixteen = s.const(16, bits)
    odd = s.bit_and(s.shift_right(bits, sixteen), s.const(1, bits))
    up = s.add(bits, s.add(odd, s.const(0x7FFF, bits)))
    kept = s.select(s.ne(x, x), s.bit_or(bits, s.const(0x400000, bits)), up)
    half = _resized(s, s.shift_right(kept, sixteen), dtypes.int16)
    return s.convert("bitcast", half, to)
