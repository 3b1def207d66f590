"""Timers run what they measure, with its work inside the time, and comparisons show it."""

from __future__ import annotations

from typing import Any

import pytest

import tidu
from tidu.utils.benchmark import Compare, Timer


def test_code_runs_as_often_as_it_is_asked_to() -> None:
    seen: list[Any] = []
    timer = Timer("seen.append(y)", "y = 3", globals={"seen": seen})
    measured = timer.timeit(10)
    assert seen == [3] * 12  # two runs beforehand
    assert measured.number_per_run == 10 and len(measured.raw_times) == 1
    assert measured.mean == measured.raw_times[0] / 10


def test_the_value_of_a_run_is_computed_within_its_time() -> None:
    held: list[Any] = []

    def clock() -> float:
        value = timer._names.get("__benchmark_result__")
        held.append(value is None or value._storage.value.buffer is not None)
        return float(len(held))

    timer = Timer("y = x * 2\ny + 1", timer=clock, globals={"x": tidu.ones(3)})
    timer.timeit(5)
    assert all(held) and len(held) == 4


def test_blocks_are_measured_for_long_enough() -> None:
    blocks: list[Any] = []
    timer = Timer("x + x", globals={"x": tidu.ones(3)}, num_threads=2)
    threads = tidu.get_num_threads()
    measured = timer.blocked_autorange(lambda n, t: blocks.append((n, t)), min_run_time=0.05)
    assert sum(measured.raw_times) >= 0.05
    assert blocks == [(measured.number_per_run, time) for time in measured.raw_times]
    assert min(measured.times) <= measured.median <= max(measured.times) and measured.iqr >= 0
    assert tidu.get_num_threads() == threads
    assert timer.adaptive_autorange(max_run_time=0.05).median > 0


def test_a_measurement_says_what_it_is() -> None:
    measured = Timer("pass", label="Nothing", sub_label="at all", description="d").timeit(100)
    assert measured.label == "Nothing" and measured.description == "d"
    text = repr(measured)
    assert "Nothing: at all" in text and "1 measurement, 100 runs per measurement" in text
    with pytest.raises(AttributeError, match="colour"):
        measured.colour


def test_comparisons_have_a_row_for_each_size_and_a_column_for_each_way() -> None:
    compare = Compare([])
    for size in (8, 16):
        for way in ("one", "two"):
            timer = Timer("pass", label="L", sub_label=f"size {size}", description=way)
            compare.extend_results([timer.timeit(10)])
    lines = str(compare).splitlines()
    assert " L " in lines[0] and "one" in lines[1] and "two" in lines[1]
    assert lines[2].startswith("1 threads: ---")
    for line, size in zip(lines[3:5], (8, 16), strict=True):
        name, *cells = (part.strip() for part in line.split("|"))
        assert name == f"size {size}" and all(float(cell) > 0 for cell in cells)


def test_code_that_is_none_is_refused() -> None:
    with pytest.raises(SyntaxError):
        Timer("1 +")
