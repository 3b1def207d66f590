"""Random programs must do compiled what they do under NumPy.

TIDU_RANDOM_PROGRAMS sets how many programs are tried.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidu
from tests.compiler.regions import STEP_KINDS, Program, Step
from tests.compiler.tiers import tier
from tidu import execute
from tidu.execute import engine

PROGRAMS = int(os.environ.get("TIDU_RANDOM_PROGRAMS", "300"))
STEP = st.tuples(
    st.integers(0, STEP_KINDS - 1), st.integers(0, 63), st.integers(0, 63), st.integers(0, 999)
)
# How far the numbers that may be rounded are moved, to see what a rounding error does to results.
NUDGE = 2.0**-20
# For each dtype the error that two ways to compute one number may make besides.
ROUNDING = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 2e-5, "float64": 1e-12}


def _results(number: int, steps: list[Step], kept: int, nudge: float = 0.0) -> tuple[Any, ...]:
    with tier(number):
        program = Program(steps, nudge)
        return program.errors, program.results(kept)


def _size(x: Any) -> float:
    finite = np.abs(x[np.isfinite(x)])
    return float(finite.max()) if finite.size else 0.0


def _compare(got: Any, wanted: Any, moved: Any, what: str) -> None:
    assert got.dtype == wanted.dtype, what
    assert got.shape == wanted.shape, what
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted, err_msg=what)
        return
    with np.errstate(all="ignore"):
        got, wanted, moved = (x.astype(np.float64) for x in (got, wanted, moved))
        slack = 100 * _size(moved - wanted)
    rounding = ROUNDING["float32"] if _size(wanted) else 0
    np.testing.assert_allclose(
        got, wanted, rtol=0, atol=slack + rounding * max(1, _size(wanted)), err_msg=what
    )


@settings(
    max_examples=PROGRAMS,
    deadline=None,
    # The suite tries the same programs every time; asked for a number of them, it tries new ones.
    derandomize="TIDU_RANDOM_PROGRAMS" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)
@given(st.lists(STEP, min_size=2, max_size=16), st.integers(0, 65535))
def test_random_programs_do_the_same_in_both_tiers(steps: list[Step], kept: int) -> None:
    errors, wanted = _results(0, steps, kept)
    _, moved = _results(0, steps, kept, NUDGE)
    compiled_errors, got = _results(1, steps, kept)
    assert compiled_errors == errors
    assert len(got) == len(wanted)
    for number, three in enumerate(zip(got, wanted, moved, strict=True)):
        _compare(*three, f"result {number}")
