"""Choosing between two arrays element by element, without a branch for each."""

from __future__ import annotations

from typing import Any

import numpy as np

_SMALL = 2048
_INTEGERS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


def blend(condition: Any, x: Any, y: Any) -> Any:
    """`np.where(condition, x, y)`. On large arrays with bit masks, which take the same time for
    any pattern, where np.where is several times slower on an irregular one.
    """
    x, y = _matched(x, y)
    if (
        condition.size < _SMALL
        or condition.dtype != np.bool_
        or x.dtype != y.dtype
        or not _fits(x, condition)
        or not _fits(y, condition)
    ):
        return np.where(condition, x, y)
    integer = _INTEGERS[x.dtype.itemsize]
    mask = np.negative(condition.view(np.int8), dtype=integer)  # all bits set where true
    bits_x, bits_y = x.view(integer), y.view(integer)
    if not y.ndim and bits_y == 0:
        mask &= bits_x
        return mask.view(x.dtype)
    if not x.ndim and bits_x == 0:
        np.invert(mask, out=mask)
        mask &= bits_y
        return mask.view(x.dtype)
    mask &= bits_x ^ bits_y
    mask ^= bits_y
    return mask.view(x.dtype)


def _matched(x: Any, y: Any) -> tuple[Any, Any]:
    """Both as arrays; a Python number takes the dtype of the other."""
    if not isinstance(x, np.ndarray):
        x = np.asarray(x, y.dtype if isinstance(y, np.ndarray) else None)
    if not isinstance(y, np.ndarray):
        y = np.asarray(y, x.dtype)
    return x, y


def _fits(x: Any, condition: Any) -> bool:
    return bool(x.ndim == 0 or x.shape == condition.shape)
