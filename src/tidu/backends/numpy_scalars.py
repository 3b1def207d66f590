"""The scalar instructions on whole NumPy arrays: their living definition."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.blend import blend
from tidu.base.dtypes import dtype
from tidu.ir.mathematics import erf, erfc


class NumpyScalars:
    """Implements `tidu.ir.scalar.Scalars`; the name of an instruction is mostly NumPy's own."""

    add = staticmethod(np.add)
    sub = staticmethod(np.subtract)
    mul = staticmethod(np.multiply)
    div = staticmethod(np.true_divide)
    rem = staticmethod(np.remainder)
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

    def fma(self, x: Any, y: Any, z: Any) -> Any:
        return x * y + z

    def cast(self, x: Any, to: dtype) -> Any:
        return np.asarray(x).astype(to.numpy)

    def erf(self, x: Any) -> Any:
        return erf(self, x)

    def erfc(self, x: Any) -> Any:
        return erfc(self, x)
