"""Binomial numbers from uniform ones, one at a time, so that the stream of draws equals PyTorch's.

Few expected successes: count geometric numbers until their sum exceeds the number of trials. Many:
transformed rejection (Hörmann 1993, "The generation of binomial random variates", algorithm BTRS).
PyTorch mixes precisions on the way, which is followed here.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_MANY = 10.0
# Of Stirling's approximation of log k!, what is missing for k = 0, ..., 9.
_TAIL = (
    *(0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509),
    *(0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720),
    *(0.00925546218271273, 0.00833056343336287),
)


def binomial(count: np.floating, prob: np.floating, uniform: Callable[[], float]) -> float:
    """One number of successes in `count` trials; both are NumPy numbers of one precision."""
    if math.isnan(count) or math.isnan(prob):
        return math.nan
    if count <= 0.0 or prob <= 0.0:
        return 0.0
    if prob >= 1.0:
        return float(count)
    if prob <= 0.5:
        return _rarer(count, prob, uniform)
    return float(count) - _rarer(count, prob.dtype.type(1.0) - prob, uniform)


def _rarer(count: np.floating, prob: np.floating, uniform: Callable[[], float]) -> float:
    """For at most as many successes as failures."""
    if count * prob >= _MANY:
        return _by_rejection(count, prob, uniform)
    return _by_waiting(count, prob, uniform)


def _by_waiting(count: np.floating, prob: np.floating, uniform: Callable[[], float]) -> float:
    log_failure = float(np.log1p(-prob))
    trials, successes = 0.0, 0
    while True:
        u = uniform()
        trials += math.ceil(math.log(u) / log_failure) if u > 0.0 else math.inf
        if trials > count:
            return float(successes)
        successes += 1


def _by_rejection(count: np.floating, prob: np.floating, uniform: Callable[[], float]) -> float:
    one = prob.dtype.type(1.0)
    stddev = float(np.sqrt(count * prob * (one - prob)))
    odds = float(prob / (one - prob))
    center = float(count * prob) + 0.5
    mode = math.floor((count + one) * prob)
    n, p = float(count), float(prob)
    b = 1.15 + 2.53 * stddev
    a = -0.0873 + 0.0248 * b + 0.01 * p
    squeeze = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * stddev
    at_mode = (mode + 0.5) * math.log((mode + 1) / (odds * (n - mode + 1)))
    at_mode += _tail(mode) + _tail(n - mode)
    while True:
        u = uniform() - 0.5
        v = uniform()
        us = 0.5 - abs(u)
        k = math.floor((2.0 * a / us + b) * u + center) if us > 0.0 else -1
        if k < 0 or k > n:
            continue
        if us >= 0.07 and v <= squeeze:
            return float(k)
        v = math.log(v * alpha / (a / (us * us) + b)) if v > 0.0 else -math.inf
        bound = (
            at_mode
            + (n + 1) * math.log((n - mode + 1) / (n - k + 1))
            + (k + 0.5) * math.log(odds * (n - k + 1) / (k + 1))
            - _tail(k)
            - _tail(n - k)
        )
        if v <= bound:
            return float(k)


def _tail(k: float) -> float:
    if k < len(_TAIL):
        return _TAIL[int(k)]
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)
