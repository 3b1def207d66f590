"""What the compiler made of a piece of code, measured and told: the work behind `explain.py`."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tidu.backends.cpu import CpuProgram, plan_of
from tidu.backends.timing import seconds_of_calls
from tidu.compiler.graph import Graph
from tidu.compiler.program import Plan
from tidu.compiler.render import render
from tidu.compiler.summary import summary
from tidu.execute import compiling, realize


class ProgramReport:
    """One compiled program: its plan, how many operations it was made from, and the time of each
    of its calls in seconds.
    """

    def __init__(self, plan: Plan, operations: int, seconds: Sequence[float]) -> None:
        self.plan = plan
        self.operations = operations
        self.seconds = tuple(seconds)

    @property
    def loops(self) -> str:
        """The whole program as text: memory, loops, products, calls of NumPy, barriers."""
        return render(self.plan)

    def __str__(self) -> str:
        return f"{self.operations} operations: {summary(self.plan, self.seconds)}"


class Explanation:
    """What `explain_compile` found: `programs`, and the `result` of the function. It prints."""

    def __init__(self, result: Any, found: Sequence[ProgramReport]) -> None:
        self.result = result
        self.programs = tuple(found)

    def __str__(self) -> str:
        if not self.programs:
            return "nothing was left to compute"
        return "\n\n".join(
            f"program {number} of {len(self.programs)}, {report}"
            for number, report in enumerate(self.programs, 1)
        )

    __repr__ = __str__


class _Measured(CpuProgram):
    """A program that is measured after its first run."""

    def __init__(self, graph: Graph, tell: Callable[[ProgramReport], None]) -> None:
        self.whole = plan_of(graph)
        super().__init__(self.whole)
        self.graph: Graph | None = graph
        self.tell = tell

    def launch(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> None:
        return None

    def run(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        results = super().run(leaves, numbers)
        graph, self.graph = self.graph, None
        if graph is not None:
            seconds = seconds_of_calls(graph, leaves, numbers)
            self.tell(ProgramReport(self.whole, len(graph.values), seconds))
        return results


def explain(function: Callable[[], Any]) -> Explanation:
    """Call a function, and tell of every program that it needs."""
    realize()
    found: list[ProgramReport] = []
    with compiling(lambda graph: _Measured(graph, found.append)):
        result = function()
        realize()
    return Explanation(result, found)


_numbers = itertools.count(1)


def _log(report: ProgramReport) -> None:
    print(f"tidu: program {next(_numbers)}, {report}", file=sys.stderr)


def logged(graph: Graph) -> CpuProgram:
    """A program that says on standard error what it is, after its first run."""
    return _Measured(graph, _log)
