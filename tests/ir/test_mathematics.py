"""Special functions in terms of the scalar instructions, against the C library."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tidu.backends.numpy_scalars import NumpyScalars

S = NumpyScalars()
RANGES = [
    (-6.0, -1.0),
    (-1.0, -0.4),
    (-0.4, 0.4),
    (0.4, 1.1),
    (1.1, 4.0),
    (4.0, 26.0),
    (0.0, 1e-300),
]


def _units(got: np.ndarray, want: np.ndarray, kind: type) -> float:
    """The greatest error in units of the last place."""
    return float(
        np.max(np.abs(got.astype(np.float64) - want) / np.spacing(np.abs(want).astype(kind)))
    )


@pytest.mark.parametrize("low_high", RANGES)
@pytest.mark.parametrize(
    ("name", "exact", "limit"), [("erf", math.erf, 2.0), ("erfc", math.erfc, 7.0)]
)
def test_double_precision(
    name: str, exact: Callable[[float], float], limit: float, low_high: tuple[float, float]
) -> None:
    x = np.random.default_rng(0).uniform(*low_high, 20000)
    want = np.array([exact(v) for v in x])
    assert _units(getattr(S, name)(x), want, np.float64) <= limit


@pytest.mark.parametrize("low_high", RANGES[:5])
@pytest.mark.parametrize(
    ("name", "exact", "limit"), [("erf", math.erf, 2.0), ("erfc", math.erfc, 7.0)]
)
def test_single_precision(
    name: str, exact: Callable[[float], float], limit: float, low_high: tuple[float, float]
) -> None:
    x = np.random.default_rng(0).uniform(*low_high, 20000).astype(np.float32)
    got = getattr(S, name)(x)
    assert got.dtype == np.float32
    assert _units(got, np.array([exact(float(v)) for v in x]), np.float32) <= limit


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_special_numbers(kind: type) -> None:
    with np.errstate(all="ignore"):
        x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30], kind)
        np.testing.assert_array_equal(S.erf(x), np.array([np.nan, 1, -1, 0, -0.0, 1, -1], kind))
        np.testing.assert_array_equal(S.erfc(x), np.array([np.nan, 0, 2, 1, 1, 0, 2], kind))
    assert np.signbit(S.erf(x)[4])
