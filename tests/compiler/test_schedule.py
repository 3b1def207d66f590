"""Schedules of random calls: what needs something comes after it, on any number of tracks, and what
is in use at the same time lies apart.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tests.compiler.steps import digest
from tests.compiler.tiers import forget_programs, launch_whatever_can_be
from tidu.base import dtypes
from tidu.compiler import pipeline, places, schedule
from tidu.compiler.program import NativeCall, Plan
from tidu.compiler.schedule import Phase, Task
from tidu.compiler.steps import Buffer
from tidu.compiler.verify import verify_form

TRACKS = (1, 2, 3, 8)


@st.composite
def tasks(draw: st.DrawFn) -> list[Task]:
    """Tasks, each of which needs some of those before it."""
    made: list[Task] = []
    for number in range(draw(st.integers(0, 40))):
        earlier = st.sets(st.integers(0, number - 1), max_size=4) if number else st.just(set())
        made.append(
            Task(
                draw(st.sampled_from([0, 1, 1, 1, 2, 5])),
                draw(st.integers(0, 10_000)),
                frozenset(draw(earlier)),
            )
        )
    return made


def moments(phases: list[Phase]) -> dict[int, tuple[int, int | None, int]]:
    """For each task its phase, its track, and its place there."""
    found: dict[int, tuple[int, int | None, int]] = {}
    for number, phase in enumerate(phases):
        for track, members in ((None, phase.shared), *enumerate(phase.tracks)):
            for place, task in enumerate(members):
                assert task not in found
                found[task] = (number, track, place)
    return found


def check(made: list[Task], phases: list[Phase], tracks: int) -> None:
    found = moments(phases)
    assert sorted(found) == list(range(len(made)))
    for number, task in enumerate(made):
        phase, track, place = found[number]
        assert (track is None) == (task.units != 1)
        assert track is None or track < tracks
        for needed in task.before:
            earlier = found[needed]
            follows = track is not None and track == earlier[1] and place > earlier[2]
            assert earlier[0] < phase or (earlier[0] == phase and follows)
    shared = [task for phase in phases for task in phase.shared]
    assert shared == sorted(shared)


@settings(max_examples=300, deadline=None)
@given(tasks())
def test_every_task_comes_once_and_after_all_that_it_needs(made: list[Task]) -> None:
    check(made, schedule.in_order(made), 1)
    for tracks in TRACKS:
        check(made, schedule.schedule(made, tracks), tracks)


def test_a_chain_stays_on_one_track_without_meetings() -> None:
    chain = [Task(1, 1000, frozenset({i - 1} if i else ())) for i in range(50)]
    assert schedule.schedule(chain, 2) == [Phase([], [list(range(50)), []])]


@pytest.mark.parametrize("tracks", TRACKS)
def test_independent_tasks_are_spread_evenly(tracks: int) -> None:
    costs = [1000 + 370 * (i % 7) for i in range(60)]
    (phase,) = schedule.schedule([Task(1, cost, frozenset()) for cost in costs], tracks)
    times = [sum(costs[i] for i in track) for track in phase.tracks]
    assert len(times) == tracks
    assert max(times) - min(times) <= max(costs)


def test_what_hangs_on_a_chain_runs_beside_it() -> None:
    """As the gradients of weights beside those of the layers' inputs."""
    made: list[Task] = []
    for layer in range(20):
        made.append(Task(1, 5000, frozenset({2 * layer - 2} if layer else ())))
        made.append(Task(1, 5000, frozenset({2 * layer})))
    phases = schedule.schedule(made, 2)
    longest = sum(max(5000 * len(track) for track in phase.tracks) for phase in phases)
    assert longest <= 5000 * 25  # of 40 tasks


@st.composite
def calls(draw: st.DrawFn) -> list[tuple[int, set[int], set[int], bool]]:
    """Units, what is read, what is written, and whether the latter only in part: of calls that read
    leaves (0 and 1) and what was written before, whole at first.
    """
    made: list[tuple[int, set[int], set[int], bool]] = []
    written = {0, 1}
    for _ in range(draw(st.integers(0, 30))):
        reads = draw(st.sets(st.sampled_from(sorted(written)), max_size=3))
        writes = draw(st.sets(st.integers(2, 11), min_size=1, max_size=2))
        part = writes <= written and draw(st.booleans())
        made.append((draw(st.sampled_from([1, 1, 1, 3])), reads, writes, part))
        written |= writes
    return made


def plan_of(given_calls: list[Any], tracks: int) -> Plan:
    """A plan for such calls, in which all but the leaves lies in the arena."""
    buffers = [Buffer(n, 16 * (1 + n % 5), dtypes.float32, (16 * (1 + n % 5),)) for n in range(12)]
    made = [
        NativeCall(
            "part" if part else "whole", [number], units, 1000 * (1 + number % 4),
            mock.sentinel.what, frozenset(reads), frozenset(writes),
        )
        for number, (units, reads, writes, part) in enumerate(given_calls)
    ]  # fmt: skip
    plan = Plan(buffers, [0, 1], {}, [])
    with (
        mock.patch.object(schedule, "TRACKS", tracks),
        mock.patch.object(schedule, "_WORTH_TRACKS", 0),
        mock.patch.object(schedule, "parts", _parts),
    ):
        plan.calls = schedule.arrange(made)
    places.place(plan)
    return plan


def _parts(call: NativeCall) -> frozenset[int]:
    return call.writes if call.kernel == "part" else frozenset()


def phased(plan: Plan) -> Iterator[tuple[NativeCall, int]]:
    phase = 0
    for call in plan.calls:
        assert isinstance(call, NativeCall)
        phase += call.barrier
        yield call, phase


def bytes_of(plan: Plan, numbers: frozenset[int]) -> list[tuple[int, int, int]]:
    """The ranges of the arena that some buffers have, and which buffer each is."""
    found = []
    for number in sorted(numbers & plan.offsets.keys()):
        buffer, start = plan.buffers[number], plan.offsets[number]
        found.append((start, start + buffer.size * buffer.dtype.itemsize, number))
    return found


@settings(max_examples=300, deadline=None)
@given(calls(), st.sampled_from(TRACKS))
def test_calls_that_may_overlap_write_no_memory_that_the_other_uses(
    given_calls: list[Any], tracks: int
) -> None:
    plan = plan_of(given_calls, tracks)
    assert sorted(c.parameters[0] for c, _ in phased(plan)) == list(range(len(given_calls)))
    for (one, phase), (other, later) in combinations(phased(plan), 2):
        if phase != later or (one.units == other.units == 1 and one.track == other.track):
            continue
        for some, others in ((one, other), (other, one)):
            for low, high, written in bytes_of(plan, some.writes):
                for start, end, used in bytes_of(plan, others.reads | others.writes):
                    if written == used and used not in others.reads:
                        both = _parts(some) & _parts(others)
                        assert used in both
                        continue
                    assert high <= start or end <= low


@settings(max_examples=300, deadline=None)
@given(calls(), st.sampled_from(TRACKS))
def test_each_call_reads_what_it_would_read_in_the_order_given(
    given_calls: list[Any], tracks: int
) -> None:
    """Run by one worker, from memory in which buffers share places."""

    def run(order: list[NativeCall], spans: dict[int, tuple[int, int]]) -> dict[int, list[Any]]:
        # By byte of memory: who wrote there last, and all who wrote parts since.
        memory: dict[Any, frozenset[int]] = {}
        seen = {}
        for call in order:
            number = call.parameters[0]
            seen[number] = [
                memory.get(spans[n][0], frozenset()) for n in sorted(call.reads) if n in spans
            ]
            for n in call.writes:
                for byte in range(*spans[n]):
                    before = memory.get(byte, frozenset()) if n in _parts(call) else frozenset()
                    memory[byte] = before | {number}
        return seen

    plan = plan_of(given_calls, tracks)
    arranged = [call for call, _ in phased(plan)]
    given_order = sorted(arranged, key=lambda c: c.parameters[0])
    apart = {n: (1000 * n, 1000 * n + 1) for n in plan.offsets}
    together = {n: (low, high) for low, high, n in bytes_of(plan, frozenset(plan.offsets))}
    assert run(arranged, together) == run(given_order, apart)


@pytest.mark.parametrize("launched", [False, True], ids=["run", "launched"])
@pytest.mark.parametrize("name", ["mlp", "recurrent", "scattered"])
def test_whole_programs_on_tracks_give_the_same_bits_as_in_order(
    name: str, launched: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TIDU_CACHE_DIR", str(tmp_path))
    if launched:
        launch_whatever_can_be(monkeypatch)
    before = tidu.get_num_threads()
    found = {}
    used = set()

    def watch(name: str, form: Any) -> None:
        verify_form(name, form)
        if isinstance(form, Plan):
            used.update(c.track for c in form.calls if isinstance(c, NativeCall))

    monkeypatch.setattr(pipeline, "watchers", [watch])
    try:
        for worth, tracks in ((1 << 60, 1), (0, 1), (0, 2), (0, 3)):
            monkeypatch.setattr(schedule, "_WORTH_TRACKS", worth)
            monkeypatch.setattr(schedule, "TRACKS", tracks)
            forget_programs(monkeypatch)
            for count in (1, 2, 3, 8):
                tidu.set_num_threads(count)
                found[worth, tracks, count] = digest(name)
    finally:
        tidu.set_num_threads(before)
    assert len(set(found.values())) == 1, found
    assert {0, 1} <= used
