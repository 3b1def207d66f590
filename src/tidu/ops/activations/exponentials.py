"""exp and log where the sums of softmax are made of them, as PyTorch computes them there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.ir.mathematics import exp_of_softmax, log_of_softmax
from tidu.ir.mathematics.coefficients import (
    EXP_OF_SOFTMAX,
    LOG_2_OF_SOFTMAX,
    LOG_OF_SOFTMAX,
)
from tidu.ir.op import Array, Sample, define
from tidu.ops.rules import floating

# NumPy takes twenty times as long for PyTorch's bits as for its own: more than so many elements
# are not worth it.
_MUCH = 1 << 13


def softmax_exp_numpy(x: Any) -> Any:
    """As `exp_of_softmax` has it. In float64 a product is exact, and so is what a multiple of log 2
    leaves of x.
    """
    if x.dtype != np.float32 or x.size > _MUCH:
        return np.exp(x)
    x = np.minimum(np.maximum(x, np.float32(-104)), np.float32(100))
    count = np.rint(x * np.float32(1 / math.log(2)))
    r = (x - count.astype(np.float64) * _LOG_2).astype(np.float32)
    wide = r.astype(np.float64)
    curve = _polynomial(wide, EXP_OF_SOFTMAX)
    curve = ((r * r).astype(np.float64) * curve + wide).astype(np.float32)
    return np.ldexp(curve + np.float32(1), count.astype(np.int32))


def softmax_log_numpy(x: Any) -> Any:
    """As `log_of_softmax` has it."""
    if x.dtype != np.float32:
        return np.log(x)
    m, exponent = np.frexp(x)
    low = m < 0.75
    m, exponent = np.where(low, m + m, m), exponent - low
    one = np.float32(1)
    ratio = (m - one) * (one / (m + one))
    square = ratio * ratio
    curve = _polynomial(square.astype(np.float64), LOG_OF_SOFTMAX)
    wide = m.astype(np.float64)
    terms = exponent * math.log(2) + 2 * ((wide - 1) / (wide + 1))
    return np.where(x < np.inf, (terms + square * ratio * curve).astype(np.float32), x)


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    """Of numbers of float32, given in float64: each product is added before it is rounded."""
    curve: Any = np.float32(coefficients[0])
    for coefficient in coefficients[1:]:
        curve = (x * curve + np.float32(coefficient)).astype(np.float32)
    return curve


_LOG_2 = sum(float(np.float32(part)) for part in LOG_2_OF_SOFTMAX)

# Of anything that is not float32 they are `exp` and `log`.
softmax_exp = define(
    "softmax_exp",
    infer=floating,
    numpy=softmax_exp_numpy,
    emit=exp_of_softmax,
    vjp=(lambda g, out, x: g * out,),
    samples=lambda: [Sample((Array((3, 4), -10, 2),)), Sample((Array((0,)),))],
    dtypes="float",
    reference="exp",
)
softmax_log = define(
    "softmax_log",
    infer=floating,
    numpy=softmax_log_numpy,
    emit=log_of_softmax,
    vjp=(lambda g, out, x: g / x,),
    samples=lambda: [Sample((Array((3, 4), 1, 50),)), Sample((Array((0,)),))],
    dtypes="float",
    reference="log",
)
