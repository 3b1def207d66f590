"""Measuring: blocks that the program names, compiling, and each call of what was compiled."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ContextDecorator, ExitStack, contextmanager
from typing import Any

from tidu.backends import threads
from tidu.backends.cpu import CpuProgram, plan_of
from tidu.compiler.fuse import Kernel
from tidu.compiler.graph import Graph
from tidu.compiler.steps import Correlate, HostCall
from tidu.compiler.summary import source_lines
from tidu.execute import compiling, realize
from tidu.profiler.events import Event, EventList


class Recorder:
    """The events of one thread, nested as they happen. It records while `running`."""

    def __init__(self) -> None:
        self.events = EventList()
        self.running = False
        self._open: list[Event] = []
        self._started = ExitStack()

    def prepare(self) -> None:
        """Have everything compiled at once from here on, so that its calls can be measured."""
        realize()
        self._started.enter_context(compiling(self._compile))

    def start(self) -> None:
        """Forget earlier events, and record from here on."""
        realize()
        self.events = EventList()
        self.running = True

    def stop(self) -> None:
        """Record no more."""
        realize()
        self.running = False

    def close(self) -> None:
        """Go back to normal operation."""
        self._started.close()

    @contextmanager
    def event(self, name: str, kind: str, lines: Sequence[str] = ()) -> Iterator[None]:
        """What happens in the block is an event, if it is the time to record."""
        if not self.running:
            yield
            return
        made = Event(name, time.perf_counter() * 1e6, kind, lines)
        if self._open:
            made.cpu_parent = self._open[-1]
            made.cpu_parent.cpu_children.append(made)
        self._open.append(made)
        self.events.append(made)
        try:
            yield
        finally:
            made.cpu_time_total = time.perf_counter() * 1e6 - made.start
            self._open.remove(made)

    def _compile(self, graph: Graph) -> CpuProgram:
        with self.event(f"compile {len(graph.values)} operations", "compile"):
            return _Measured(graph, self.event)


class _Measured(CpuProgram):
    """A program whose calls are run one after the other, each of them an event."""

    def __init__(self, graph: Graph, event: Callable[..., Any]) -> None:
        super().__init__(plan_of(graph))
        self.event = event
        self.places = None
        self.told = {
            id(segment): _description(call)
            for segment, call in zip(self.segments, self.plan.calls, strict=True)
        }

    def launch(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> None:
        return None

    def _segments(self, runnable: Sequence[threads.Call | None]) -> Iterator[Any]:
        for call, one in zip(self.plan.calls, runnable, strict=True):
            yield call if one is None else threads.NativeProgram([one])

    def _do(self, segment: Any, known: dict[int, Any], numbers: Sequence[Any]) -> None:
        with self.event(*self.told[id(segment)]):
            super()._do(segment, known, numbers)


def _description(call: Any) -> tuple[str, str, list[str]]:
    """Name, kind and source lines of a call of a program."""
    step = call if isinstance(call, HostCall) else call.what
    if isinstance(step, HostCall):
        assert step.value.op is not None
        what = f"numpy {step.value.op.name}"
    elif isinstance(step, Kernel):
        what = "kernel"
    else:
        what = "convolution" if isinstance(step, Correlate) else "product"
    lines = source_lines(step)
    return f"{what} {lines[0]}" if lines else what, "cpu_op", lines


class _Current:
    """Who records; nobody most of the time."""

    recorder: Recorder | None = None


current = _Current()


class record_function(ContextDecorator):  # noqa: N801 (PyTorch's name)
    """``with record_function(name)``: an event of a profile. It decorates functions, too.

    What was left to compute is run before the block and at its end, so that the time of the block
    is that of its work; outside a profile it does nothing. Follows torch.profiler.record_function.

    >>> with torch.profiler.record_function("forward"):
    ...     y = model(x)
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._event = ExitStack()

    def __enter__(self) -> record_function:
        recorder = current.recorder
        if recorder is not None and recorder.running:
            realize()
            self._event.enter_context(recorder.event(self.name, "user_annotation"))
            self._event.callback(realize)
        return self

    def __exit__(self, *error: Any) -> None:
        self._event.close()
