"""Poisson numbers from uniform ones, one at a time, so that the stream of draws equals PyTorch's.

Small rates: multiply uniform numbers until the product falls below exp(-rate) (Knuth). Rates of 10
and more: transformed rejection (Hörmann 1993, "The transformed rejection method for generating
Poisson random variables", algorithm PTRS).
"""

from __future__ import annotations

import math
from collections.abc import Callable

LARGE_RATE = 10.0


def poisson(rate: float, uniform: Callable[[], float]) -> int:
    """One Poisson number with mean `rate`; `uniform` draws from [0, 1)."""
    if rate >= LARGE_RATE:
        return _by_rejection(rate, uniform)
    return _by_products(rate, uniform) if rate > 0 else 0


def _by_products(rate: float, uniform: Callable[[], float]) -> int:
    limit = math.exp(-rate)
    count, product = 0, uniform()
    while product > limit:
        count += 1
        product *= uniform()
    return count


def _by_rejection(rate: float, uniform: Callable[[], float]) -> int:
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    squeeze = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u, v = uniform() - 0.5, uniform()
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= squeeze:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        accepted = math.log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b)
        if accepted <= -rate + k * math.log(rate) - math.lgamma(k + 1):
            return k
