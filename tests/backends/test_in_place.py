"""Results that are written over leaves are the same as elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tests.compiler.regions.program import STEP_KINDS, Program, Step
from tests.compiler.tiers import tier
from tests.oracle import programs
from tidu.backends.base import DeclinedError
from tidu.backends.cpu import CpuProgram

STEP = st.tuples(
    st.integers(0, STEP_KINDS - 1), st.integers(0, 63), st.integers(0, 63), st.integers(0, 999)
)


class _Both:
    """Runs programs in place too, on copies of their leaves, and compares."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.written = 0
        run = CpuProgram.run

        def both(program: CpuProgram, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
            copies = [x.copy() if isinstance(x, np.ndarray) else x for x in leaves]
            pairs = _pairs(program)
            wanted = run(program, leaves, numbers)
            way = program.in_place(pairs)
            if way is None or any(not np.ndarray.flags.__get__(x).c_contiguous for x in leaves):
                return wanted
            given = [*copies]
            arrays = way.begin(given, numbers)
            found = way.finish(arrays, alone=True)
            way.function(way.address, way.table)
            for leaf, result in pairs:
                assert found[result] is copies[leaf]
            written = {leaf for leaf, _ in pairs}
            for place, (copy, leaf) in enumerate(zip(copies, leaves, strict=True)):
                if place not in written:
                    _assert_same_bits(copy, leaf)
            for a, b in zip(found, wanted, strict=True):
                _assert_same_bits(a.reshape(b.shape), b)
            self.written += len(pairs)
            return wanted

        patch.setattr(CpuProgram, "run", both)


def _pairs(program: CpuProgram) -> list[tuple[int, int]]:
    """As many results as possible, each over a leaf of its own."""
    plan, used, pairs = program.plan, set(), []
    for place, number in enumerate(plan.outputs):
        for leaf in plan.over.get(number, ()) if isinstance(number, int) else ():
            if leaf not in used and plan.outputs.count(number) == 1:
                used.add(leaf)
                pairs.append((plan.leaves.index(leaf), place))
                break
    return pairs


def _assert_same_bits(a: Any, b: Any) -> None:
    assert a.dtype == b.dtype and a.tobytes() == b.tobytes()


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> _Both:
    return _Both(monkeypatch)


def test_random_programs_compute_the_same_in_place() -> None:
    with pytest.MonkeyPatch.context() as patch:
        both = _Both(patch)

        @settings(max_examples=150, deadline=None, derandomize=True)
        @given(st.lists(STEP, min_size=2, max_size=16), st.integers(0, 65535))
        def compare(steps: list[Step], kept: int) -> None:
            with tier(1):
                Program(steps, 0.0).results(kept)

        @settings(max_examples=150, deadline=None, derandomize=True)
        @given(st.lists(programs.STEP, min_size=2, max_size=14))
        def compare_autograd(steps: list[Step]) -> None:
            with tier(1):
                machine = programs.Machine(tidu)
                for step in steps:
                    programs.run_step(machine, step)
                tidu.realize()

        compare()
        compare_autograd()
        assert both.written > 50


def test_each_kind_of_update_is_written_over_what_it_updates(both: _Both) -> None:
    w, m, g = (tidu.randn(33, 70) for _ in range(3))
    with tier(1):
        moment = m * 0.9 + g
        updated = w - 0.1 * moment
        tidu.realize()
        assert both.written == 2
        bias = tidu.randn(70)
        shifted = bias - 0.1 * g.sum(0)
        tidu.realize()
        assert both.written == 3
    assert updated.shape == moment.shape and shifted.shape == bias.shape


def test_what_is_read_otherwise_is_not_written_over(both: _Both) -> None:
    x, y = tidu.randn(40, 40), tidu.randn(40, 40)
    with tier(1):
        results = [x + x.T, y.exp() * y.flip(0), x[1:] * 2 + x[:-1]]
        tidu.realize()
    assert len(results) == 3
    assert both.written == 0


def test_what_is_read_at_the_same_time_is_not_written_over(both: _Both) -> None:
    x, y = tidu.randn(900, 900), tidu.randn(900, 900)
    with tier(1):
        results = x @ y, x * 2
        tidu.realize()
        assert both.written == 0
        product = x @ y
        results = product, x * 2 + product
        tidu.realize()
    assert len(results) == 2
    assert both.written == 1


def test_a_program_that_fails_has_written_nothing() -> None:
    table, w = tidu.randn(50, 90), tidu.randn(700, 900)
    index = tidu.arange(3000) % 50
    made: list[CpuProgram] = []
    with tier(1), pytest.MonkeyPatch.context() as patch:
        run = CpuProgram.run
        patch.setattr(CpuProgram, "run", lambda p, *given: made.append(p) or run(p, *given))
        updated = tidu.ones(3000, 90) - table[index]
        tidu.realize()
    assert updated.shape == (3000, 90)
    (program,) = made
    assert not program.plan.over  # what can fail is the update itself
    with tier(1), pytest.MonkeyPatch.context() as patch:
        patch.setattr(CpuProgram, "run", lambda p, *given: made.append(p) or run(p, *given))
        updated = w * table[index].sum()
        tidu.realize()
    program = made[-1]
    pairs = _pairs(program)
    way = program.in_place(pairs)
    assert way is not None
    leaves = [np.zeros(program.plan.buffers[n].shape, "f4") for n in program.plan.leaves]
    for place, number in enumerate(program.plan.leaves):
        if program.plan.buffers[number].dtype is tidu.int64:
            leaves[place] = np.full(program.plan.buffers[number].shape, 70)
    before = [x.copy() for x in leaves]
    with pytest.raises(DeclinedError):
        way.begin(leaves, [])
    for a, b in zip(leaves, before, strict=True):
        _assert_same_bits(a, b)
    assert program.run([x * 0 for x in leaves], [])  # the way is clear for others
