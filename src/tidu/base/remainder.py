"""Remainders as PyTorch rounds and signs them."""

from __future__ import annotations

from typing import Any

import numpy as np


def remainder(x: Any, y: Any) -> Any:
    """x modulo y, with the sign of y; a zero has the sign of x, where NumPy's has that of y."""
    if np.result_type(x, y).kind != "f":
        return np.remainder(x, y)
    rest = np.fmod(x, y)
    wrong = (rest != 0) & ((rest < 0) != (np.asarray(y) < 0))
    return np.where(wrong, rest + y, rest)
