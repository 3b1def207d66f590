"""Random programs must do compiled what they do under NumPy.

TIDU_RANDOM_PROGRAMS sets how many programs are tried.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidu
from tests.compiler.regions.program import STEP_KINDS, Program, Step
from tests.compiler.tiers import tier
from tests.oracle import programs

PROGRAMS = int(os.environ.get("TIDU_RANDOM_PROGRAMS", "300"))
STEP = st.tuples(
    st.integers(0, STEP_KINDS - 1), st.integers(0, 63), st.integers(0, 63), st.integers(0, 999)
)
# How far numbers that may be rounded are moved, in units in the last place, to see what rounding
# does to results; how many times as much two ways to compute them may differ, and how much besides.
NUDGE, FACTOR, BESIDES = 4.0, 25.0, 256.0


def _run(number: int, steps: list[Step], kept: int, nudge: float = 0.0) -> tuple[Program, Any]:
    with tier(number):
        program = Program(steps, nudge)
        return program, program.results(kept)


def _size(x: Any) -> float:
    finite = np.abs(x[np.isfinite(x)])
    return float(finite.max()) if finite.size else 0.0


def _compare(got: Any, wanted: Any, moved: Any, coarsest: int, what: str) -> None:
    assert got.dtype == wanted.dtype, what
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(got, wanted, err_msg=what, strict=True)
        return
    got, wanted, moved = (x.astype(np.float64) for x in (got, wanted, moved))
    with np.errstate(invalid="ignore"):
        slack = FACTOR * _size(moved - wanted)
    slack += BESIDES * 2.0**-coarsest * max(1.0, _size(wanted))
    np.testing.assert_allclose(got, wanted, rtol=0, atol=slack, err_msg=what, strict=True)


_settings = settings(
    max_examples=PROGRAMS,
    deadline=None,
    # The suite tries the same programs every time; asked for a number of them, it tries new ones.
    derandomize="TIDU_RANDOM_PROGRAMS" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    print_blob=True,
)


@_settings
@given(st.lists(STEP, min_size=2, max_size=16), st.integers(0, 65535))
def test_random_programs_do_the_same_in_both_tiers(steps: list[Step], kept: int) -> None:
    plain, wanted = _run(0, steps, kept)
    _, moved = _run(0, steps, kept, NUDGE)
    compiled, got = _run(1, steps, kept)
    assert compiled.errors == plain.errors
    assert len(got) == len(wanted)
    for number, three in enumerate(zip(got, wanted, moved, strict=True)):
        _compare(*three, plain.coarsest, f"result {number}")


def _machine(number: int, steps: list[Step]) -> tuple[list[str | None], list[Any]]:
    """What a program for both libraries does in a tier, looked at when it has ended."""
    with tier(number):
        machine = programs.Machine(tidu)
        errors = [programs.run_step(machine, step) for step in steps]
        seen = [*machine.tensors, *(x.grad for x in machine.tensors if x.is_leaf)]
        return errors, [None if x is None else x.detach().numpy() for x in seen]


@_settings
@given(st.lists(programs.STEP, min_size=2, max_size=14))
def test_programs_for_both_libraries_do_the_same_in_both_tiers(steps: list[Step]) -> None:
    errors, wanted = _machine(0, steps)
    compiled_errors, got = _machine(1, steps)
    assert compiled_errors == errors
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9, strict=True)
