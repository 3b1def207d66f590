"""How long each call of a compiled program takes, run alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np

from tidu.backends import threads
from tidu.backends.cpu import CpuProgram, plan_of
from tidu.compiler.graph import Graph

# A call is repeated until it has taken so long or has been run so often.
_SECONDS, _MOST_RUNS = 0.005, 25


def seconds_of_calls(graph: Graph, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[float]:
    """The median time of each call of the program for `graph`, on copies of the leaves."""
    program = _CallByCall(graph)
    program.run([_copy(x) for x in leaves], numbers)
    return program.seconds


def _copy(leaf: Any) -> Any:
    return tuple(map(_copy, leaf)) if leaf.__class__ is tuple else np.array(leaf)


class _CallByCall(CpuProgram):
    """Runs each call several times. Calls that add to something then add too often, so that what
    it gives is of no use.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__(plan_of(graph))
        self.places = None
        self.seconds: list[float] = []

    def _segments(self, runnable: Sequence[threads.Call | None]) -> Iterator[Any]:
        for call, one in zip(self.plan.calls, runnable, strict=True):
            yield call if one is None else threads.NativeProgram([one])

    def _do(self, segment: Any, known: dict[int, Any], numbers: Sequence[Any]) -> None:
        times: list[float] = []
        while sum(times) < _SECONDS and len(times) < _MOST_RUNS:
            start = time.perf_counter()
            super()._do(segment, known, numbers)
            times.append(time.perf_counter() - start)
        self.seconds.append(median(times))
