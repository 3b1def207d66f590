"""Gamma numbers from uniform and normal ones, one at a time, so that the stream of draws equals
PyTorch's.

Acceptance and rejection after Marsaglia and Tsang 2000, "A simple method for generating gamma
variables". PyTorch mixes precisions on the way, which is followed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_THIRD = np.float32(1.0) / np.float32(3.0)
_SQUEEZE = float(np.float32(0.0331))


def standard_gamma(
    alpha: np.floating, uniform: Callable[[], float], normal: Callable[[], float]
) -> float:
    """One gamma number of shape `alpha`, a NumPy number whose precision counts, and rate 1."""
    one = alpha.dtype.type(1.0)
    scale = 1.0
    if alpha < 1.0:  # a larger shape is accepted more often
        if alpha == 0.0:
            return 0.0
        scale = (1.0 - uniform()) ** float(one / alpha)
        alpha = alpha + one
    d = float(alpha - alpha.dtype.type(_THIRD))
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal()
        y = 1.0 + c * x
        while y <= 0:
            x = normal()
            y = 1.0 + c * x
        v = y * y * y
        u = 1.0 - uniform()
        square = x * x
        if u < 1.0 - _SQUEEZE * square * square:
            return scale * d * v
        if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v
