"""The scalar instructions on whole NumPy arrays: their living definition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.blend import blend
from tidu.base.dtypes import dtype, from_numpy
from tidu.base.remainder import remainder
from tidu.ir.mathematics import erf, erfc


class NumpyScalars:
    """Implements `tidu.ir.scalar.Scalars`; the name of an instruction is mostly NumPy's own."""

    add = staticmethod(np.add)
    sub = staticmethod(np.subtract)
    mul = staticmethod(np.multiply)
    rem = staticmethod(remainder)
    fmod = staticmethod(np.fmod)
    neg = staticmethod(np.negative)
    abs = staticmethod(np.abs)
    max = staticmethod(np.maximum)
    min = staticmethod(np.minimum)
    floor = staticmethod(np.floor)
    ceil = staticmethod(np.ceil)
    trunc = staticmethod(np.trunc)
    round = staticmethod(np.rint)
    sqrt = staticmethod(np.sqrt)
    copysign = staticmethod(np.copysign)
    lt = staticmethod(np.less)
    le = staticmethod(np.less_equal)
    eq = staticmethod(np.equal)
    ne = staticmethod(np.not_equal)
    select = staticmethod(blend)
    bit_and = staticmethod(np.bitwise_and)
    bit_or = staticmethod(np.bitwise_or)
    bit_xor = staticmethod(np.bitwise_xor)
    bit_not = staticmethod(np.invert)
    shift_left = staticmethod(np.left_shift)
    shift_right = staticmethod(np.right_shift)
    exp = staticmethod(np.exp)
    exp2 = staticmethod(np.exp2)
    expm1 = staticmethod(np.expm1)
    log = staticmethod(np.log)
    log2 = staticmethod(np.log2)
    log10 = staticmethod(np.log10)
    log1p = staticmethod(np.log1p)
    sin = staticmethod(np.sin)
    cos = staticmethod(np.cos)
    tan = staticmethod(np.tan)
    asin = staticmethod(np.arcsin)
    acos = staticmethod(np.arccos)
    atan = staticmethod(np.arctan)
    atan2 = staticmethod(np.arctan2)
    sinh = staticmethod(np.sinh)
    cosh = staticmethod(np.cosh)
    tanh = staticmethod(np.tanh)
    asinh = staticmethod(np.arcsinh)
    acosh = staticmethod(np.arccosh)
    atanh = staticmethod(np.arctanh)
    pow = staticmethod(np.power)

    def const(self, number: float, like: Any) -> Any:
        return np.asarray(number, like.dtype)

    def kind(self, x: Any) -> dtype:
        return from_numpy(x.dtype)

    def div(self, x: Any, y: Any) -> Any:
        if x.dtype.kind in "iu":
            return np.where(y == 0, 0, (x - np.fmod(x, y)) // np.where(y == 0, 1, y))
        return np.true_divide(x, y)

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        if x.dtype == np.float32:  # rounded once: float64 holds the product
            return (x.astype(np.float64) * y + z).astype(np.float32)
        return x * y + z

    def mul_add(self, x: Any, y: Any, z: Any) -> Any:
        return x * y + z

    def bits(self, x: Any) -> Any:
        return np.asarray(x).view(f"i{x.dtype.itemsize}")

    def from_bits(self, x: Any) -> Any:
        return np.asarray(x).view(f"f{x.dtype.itemsize}")

    def ldexp(self, x: Any, exponent: Any) -> Any:
        return np.ldexp(x, exponent.astype(np.int32))

    def cast(self, x: Any, to: dtype) -> Any:
        x = np.asarray(x)
        if to.is_half:
            x = x.astype(np.float32)
        elif to.category == dtypes.INTEGER and x.dtype.kind in "fV" and to.itemsize < 8:
            x = x.astype(np.float32 if x.dtype.itemsize == 2 else x.dtype).astype(np.int32)
        return x.astype(to.numpy)

    def lookup(self, table: tuple[int, ...], index: Any) -> Any:
        return np.asarray(table, np.int64)[index]

    def rare(
        self, condition: Any, usual: Any, function: Callable[..., Any], *arguments: Any
    ) -> Any:
        if not np.any(condition):
            return usual
        return blend(condition, function(self, *arguments), usual)

    erf = erf
    erfc = erfc
