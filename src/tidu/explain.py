"""What the compiler made of a piece of code: `explain_compile`, and TIDU_LOG=kernels."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tidu.backends.cpu import CpuProgram
from tidu.backends.timing import seconds_of_calls
from tidu.compiler.control import set_stance
from tidu.compiler.graph import Graph
from tidu.compiler.program import Plan
from tidu.compiler.render import render
from tidu.compiler.summary import summary
from tidu.execute import compiling, realize
from tidu.programs import programs


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

    keeps_plan = True

    def __init__(self, graph: Graph, tell: Callable[[ProgramReport], None]) -> None:
        super().__init__(graph)
        self.graph: Graph | None = graph
        self.tell = tell

    def run(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        results = super().run(leaves, numbers)
        graph, self.graph = self.graph, None
        if graph is not None:
            seconds = seconds_of_calls(graph, leaves, numbers)
            self.tell(ProgramReport(self.plan, len(graph.values), seconds))
        return results


def explain_compile(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Explanation:
    """Run `function(*args, **kwargs)` once, and say what it was compiled to.

    For each program: its kernels, matrix products and calls of NumPy with the lines of your code
    that they were made for, what each reads and writes, and how long it takes alone. `in0` and so
    on are what the program is given (parameters, data, and numbers that an earlier program made),
    `out0` what it leaves behind, `t0` what lives within it. For a whole training step, pass a
    function that makes one: it is one program if no number is asked for on the way.

    The function runs as it would otherwise: parameters that it updates are updated. The object
    that is returned prints; its `result` is what the function has returned.

    >>> print(tidu.explain_compile(lambda x: tidu.softmax(x, 1), tidu.randn(64, 10)))
    """
    realize()
    found: list[ProgramReport] = []
    with set_stance("force_eager"), compiling(lambda graph: _Measured(graph, found.append)):
        result = function(*args, **kwargs)
        realize()
    return Explanation(result, found)


_numbers = itertools.count(1)


def _log(report: ProgramReport) -> None:
    print(f"tidu: program {next(_numbers)}, {report}", file=sys.stderr)


if "kernels" in os.environ.get("TIDU_LOG", "").split(",") and programs.make is CpuProgram:
    programs.make = lambda graph: _Measured(graph, _log)
