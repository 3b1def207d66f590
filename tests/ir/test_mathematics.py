"""The elementary functions as vectors of LLVM, against the C library in long double."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from benchmarks.mathematics import (
    CASES,
    OPERATIONS,
    Loop,
    erf_reference,
    erfc_reference,
    greatest_error,
    units,
)

from tidu.backends.numpy_scalars import NumpyScalars
from tidu.base import dtypes
from tidu.compiler.scalars import VectorScalars

POINTS = 20_000
LIMIT = 2.0
S = NumpyScalars()
KINDS = pytest.mark.parametrize("kind", [np.float32, np.float64])
wide = pytest.mark.skipif(
    np.finfo(np.longdouble).nmant < 63, reason="long double is no wider than float64 here"
)


@wide
@KINDS
@pytest.mark.parametrize("name", CASES)
def test_errors_are_below_two_units_in_the_last_place(name: str, kind: Any) -> None:
    worst = greatest_error(name, kind, POINTS)
    assert worst.worst <= LIMIT, worst


@wide
@KINDS
@pytest.mark.parametrize("name", OPERATIONS)
def test_roots_quotients_and_gates_are_as_exact(name: str, kind: Any) -> None:
    worst = greatest_error(name, kind, POINTS)
    assert worst.worst <= LIMIT, worst


@wide
@KINDS
@pytest.mark.parametrize("name", ["exp", "exp2", "expm1", "log1p", "sinh", "tanh", "erfc", "pow"])
def test_so_they_are_where_scaling_by_a_power_takes_two_products(name: str, kind: Any) -> None:
    for lanes in (1, 4):
        worst = greatest_error(name, kind, POINTS, lanes, scales=False)
        assert worst.worst <= LIMIT, (lanes, worst)


@wide
@pytest.mark.parametrize(("name", "reference"), [("erf", erf_reference), ("erfc", erfc_reference)])
def test_the_references_of_the_error_functions_have_60_digits(
    name: str, reference: Callable[..., Any]
) -> None:
    mpmath = pytest.importorskip("mpmath", reason="the reference of a reference")
    x = np.concatenate([np.linspace(-6.9, 26, 200), [1e-300, 0.99999, 1.00001]])
    got = reference(x.astype(np.longdouble))
    with mpmath.workdps(40):
        for value, number in zip(x, got, strict=True):
            want = getattr(mpmath, name)(mpmath.mpf(float(value)))
            # A long double as two numbers that mpmath takes.
            head = float(number)
            error = (mpmath.mpf(head) + mpmath.mpf(float(number - head)) - want) / want
            assert abs(error) < 2.0**-56, (value, error)


def test_angles_beyond_the_limit_of_the_short_reduction_meet_those_below_it() -> None:
    """On both sides of the limits at which another way of reducing is taken."""
    for kind, limit in ((np.float32, 2.0**16), (np.float64, 2.0**24)):
        x = kind(limit) + np.spacing(kind(limit / 2)) * np.arange(-64, 64).astype(kind)
        of = (dtypes.from_numpy(x.dtype),)
        for name in ("sin", "cos", "tan"):
            want = getattr(np, name)(x.astype(np.longdouble))
            assert units(Loop(getattr(VectorScalars, name), of)(x), want).max() <= LIMIT


# The NumPy backend takes erf and erfc from here; its fma rounds twice.

RANGES = [(-6.0, -1), (-1, -0.4), (-0.4, 0.4), (0.4, 1.1), (1.1, 4), (4, 10), (10, 26), (0, 1e-300)]


@pytest.mark.parametrize("low_high", RANGES)
@pytest.mark.parametrize(("name", "exact"), [("erf", math.erf), ("erfc", math.erfc)])
@KINDS
def test_with_numpy_they_are_nearly_as_good(
    name: str, exact: Callable[[float], float], low_high: tuple[float, float], kind: Any
) -> None:
    x = np.random.default_rng(0).uniform(*low_high, 20000).astype(kind)
    want = np.array([exact(float(v)) for v in x])
    with np.errstate(all="ignore"):
        got = getattr(S, name)(x)
    assert got.dtype == kind
    assert units(got, want.astype(np.longdouble)).max() <= 3.0


@KINDS
def test_special_numbers_with_numpy(kind: Any) -> None:
    with np.errstate(all="ignore"):
        x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30], kind)
        np.testing.assert_array_equal(S.erf(x), np.array([np.nan, 1, -1, 0, -0.0, 1, -1], kind))
        np.testing.assert_array_equal(S.erfc(x), np.array([np.nan, 0, 2, 1, 1, 0, 2], kind))
        assert np.signbit(S.erf(x)[4])
