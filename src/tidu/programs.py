"""Compiled programs by the structure of their regions, and the thread that makes them.

A region seen a second time is captured; a thread of its own compiles it while the same region goes
on being run by the backend.
"""

from __future__ import annotations

import os
import queue
import threading
import time
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidu.backends.base import Program
from tidu.base.deferred import DeferredModule
from tidu.base.determinism import Determinism
from tidu.base.state import Pending, state
from tidu.compiler.statistics import statistics

if TYPE_CHECKING:
    from tidu.backends import cpu, null
    from tidu.compiler.graph import Graph
else:
    cpu = DeferredModule("tidu.backends.cpu")
    null = DeferredModule("tidu.backends.null")

# Counts are forgotten when there are more than this, and the oldest programs when there are more
# than that.
_MOST_SEEN, _MOST_PROGRAMS = 4096, 512
_MOMENT = 0.0005  # seconds


class Programs:
    """What has been seen how often, and what has been compiled.

    `immediate` compiles what is seen for the first time, before it is run. `make` compiles.
    """

    def __init__(self, *, immediate: bool, make: Callable[[Graph], Program]) -> None:
        self.immediate = immediate
        self.make = make
        self.seen: dict[Hashable, int] = {}
        # None while a program is being compiled, and where it cannot be.
        self.made: dict[Hashable, Program | None] = {}
        self._queue: queue.SimpleQueue[tuple[Hashable, Graph]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # Two counts, as each has one thread that changes it.
        self._ordered = 0
        self._finished = 0
        self._warned = False

    def ready(self, key: Hashable, captured: Callable[[], Graph]) -> Program | None:
        """The program for a structure if there is one by now. One seen again will have one."""
        self.make_way()
        try:
            return self.made[key]
        except KeyError:
            pass
        count = self.seen.get(key, 0) + 1
        if count == 1 and len(self.seen) >= _MOST_SEEN:
            self.seen.clear()
        self.seen[key] = count
        if self.immediate or Determinism.enabled:
            self.made[key] = program = self._compile(captured())
            return program
        if count == 2:
            self._order(key, captured())
        return None

    def make_way(self) -> None:
        """Let the compiling thread work, if it has anything to do.

        It gives the interpreter away at each call into LLVM and each look at a file, and would wait
        for it for milliseconds each time while the calling thread never lets go of it.
        """
        if self._ordered != self._finished:
            time.sleep(_MOMENT)

    def wait(self, seconds: float = 60.0) -> bool:
        """Until everything ordered has been compiled; False if that takes longer."""
        deadline = time.monotonic() + seconds
        while self._ordered != self._finished:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    @contextmanager
    def apart(self, make: Callable[[Graph], Program]) -> Iterator[None]:
        """Compile everything at once with `make` for a while, and forget it afterwards."""
        self.wait()
        kept = self.seen, self.made, self.immediate, self.make
        self.seen, self.made, self.immediate, self.make = {}, {}, True, make
        try:
            yield
        finally:
            self.seen, self.made, self.immediate, self.make = kept

    def after_fork(self) -> None:
        """The child has no compiling thread; what was waiting is ordered when it is seen again."""
        self._queue = queue.SimpleQueue()
        self._thread = None
        self._ordered = self._finished = 0
        for key in [k for k, program in self.made.items() if program is None]:
            del self.made[key]
            self.seen[key] = 1

    def _order(self, key: Hashable, graph: Graph) -> None:
        while len(self.made) >= _MOST_PROGRAMS:
            self.made.pop(next(iter(self.made)))
        self.made[key] = None
        self._ordered += 1
        self._queue.put((key, graph))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="tidu-compiler", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        # Decompositions make Values; those of this thread are nobody's business.
        state.own.pending = Pending()
        while True:
            key, graph = self._queue.get()
            try:
                program = self._compile(graph)
                if key in self.made:
                    self.made[key] = program
            except Exception as error:
                self._warn(error)
            finally:
                self._finished += 1
                key = graph = program = None  # type: ignore[assignment]

    def _compile(self, graph: Graph) -> Program:
        started = time.perf_counter()
        program = self.make(graph)
        statistics.programs += 1
        statistics.compile_seconds += time.perf_counter() - started
        return program

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(
                f"a part of this program could not be compiled and goes on being run by NumPy: "
                f"{type(error).__name__}: {str(error)[:500]}",
                RuntimeWarning,
                stacklevel=2,
            )

    def tiers(self) -> dict[str, int]:
        """How many structures are run compiled, and how many by NumPy."""
        compiled = sum(program is not None for program in self.made.values())
        return {"compiled": compiled, "numpy": len(self.seen) - compiled}


def natively(graph: Graph) -> Program:
    """Compile for the processors of this machine."""
    return cpu.CpuProgram(graph)


def _without_machine_code(graph: Graph) -> Program:
    return null.NullProgram(graph)


_null = os.environ.get("TIDU_BACKEND", "") == "null"
programs = Programs(
    immediate=_null or os.environ.get("TIDU_TIER", "") == "1",
    make=_without_machine_code if _null else natively,
)
os.register_at_fork(after_in_child=programs.after_fork)
statistics.tiers = programs.tiers
