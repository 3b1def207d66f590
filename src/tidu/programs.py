"""Compiled programs by the structure of their regions, and the thread that makes them.

A region may have been compiled by another process: its program is then on disk. One that is not is
captured when it comes again and the ledger says that compiling it pays; a thread of its own
compiles it while the same region goes on being run by the backend.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from tidu.backends.base import Program
from tidu.base.deferred import DeferredModule
from tidu.base.determinism import Determinism
from tidu.base.environment import setting
from tidu.base.source import describe
from tidu.base.state import Pending, state
from tidu.compiler.statistics import Structure, statistics
from tidu.ir.structure import Key
from tidu.ledger import Ledger

if TYPE_CHECKING:
    from tidu.backends import blas, cpu, null, shelf
    from tidu.backends.shelf import Shelf
    from tidu.compiler.graph import Graph
else:
    blas = DeferredModule("tidu.backends.blas")
    cpu = DeferredModule("tidu.backends.cpu")
    null = DeferredModule("tidu.backends.null")
    shelf = DeferredModule("tidu.backends.shelf")

# Programs take about a kilobyte for each Value of their regions, and as much as for so many Values
# besides. When they take more than this in all, those go that were not run for longest.
_BESIDES, _MOST_VALUES = 100, 200_000
# How long a thread has the interpreter to itself while there is something to compile, and how long
# it then has to be away for another to get hold of it; in seconds.
_TURN, _MOMENT = 0.0005, 0.00005
_imported = time.time()


@cache
def _shelf() -> Shelf:
    return shelf.Shelf(_imported)


class Programs:
    """What has been compiled, and what is to be compiled next.

    `immediate` compiles what is seen for the first time, before it is run. `make` compiles. With
    `keeps`, plans are kept on disk, and looked for there.
    """

    def __init__(
        self, *, immediate: bool, make: Callable[[Graph], Program], keeps: bool = False
    ) -> None:
        self.immediate = immediate
        self.make = make
        self.keeps = keeps
        self.ledger = Ledger()
        # None while a program is being compiled, and where it cannot be.
        self.made: OrderedDict[Key, Program | None] = OrderedDict()
        # What is to be compiled, and without a graph, what is to be looked for on disk; and what
        # wakes the thread that does it, once for each of them.
        self._waiting: list[tuple[Key, Graph | None]] = []
        self._calls: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._first: Key | None = None  # what was seen before anything else
        self._thread: threading.Thread | None = None
        # Two counts, as each has one thread that changes it.
        self._ordered = 0
        self._finished = 0
        self._turn = 0.0  # when the calling thread's began
        self._is_crowded = False  # whether programs may have to go soon
        self._warned = False

    def ready(
        self, key: Key, captured: Callable[[], Graph], *, asked_for: bool = False
    ) -> Program | None:
        """The program for a structure if there is one by now. One that comes again will have one,
        if that pays or is `asked_for`.
        """
        self.make_way()
        try:
            program = self.made[key]
            if self._is_crowded:
                self.made.move_to_end(key)
            return program
        except KeyError:
            pass
        if not self.ledger.records:
            self._first = key
        record = self.ledger.enter(key)
        if self.immediate or Determinism.enabled:
            return self._at_once(key, captured)
        again = record.uses > 1
        if self.keeps and (key == self._first if again else key is not self._first):
            found = self._on_disk(key)
            if found is not None:
                return found
        if again and (asked_for or self.ledger.pays(key, record)):
            self.ledger.at_once -= 1
            self._put(key, None)
            self._order(key, captured())
        return None

    def make_way(self) -> None:
        """Let the compiling thread have its turn, if it has anything to do.

        It gives the interpreter away at each call into LLVM and each look at a file. A thread that
        runs NumPy lets go of the interpreter for moments too short for another to wake up in, and
        Python, which sees it change hands, then takes it from nobody: it must be given.
        """
        if self._ordered != self._finished and time.perf_counter() - self._turn > _TURN:
            time.sleep(_MOMENT)
            self._turn = time.perf_counter()

    def wait(self, seconds: float = 60.0) -> bool:
        """Until everything ordered has been compiled; False if that takes longer."""
        deadline = time.monotonic() + seconds
        while self._ordered != self._finished:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        return True

    def after_fork(self) -> None:
        """The child has no compiling thread; what was waiting is ordered when it is seen again."""
        self._waiting = []
        self._calls = queue.SimpleQueue()
        self._thread = None
        self._ordered = self._finished = 0
        for key in [k for k, program in self.made.items() if program is None]:
            del self.made[key]
            self.ledger.at_once += 1
        _thrift.end()

    def _on_disk(self, key: Key) -> Program | None:
        """The program for a structure if its plan is on disk.

        That takes hardly more time than to run a region op by op once, and no less if both are done
        at once. But nothing is looked for before the second region of a process: many have only
        one, and nobody shall wait longer for a first step because there is a second.
        """
        if not _shelf().may_have(key):
            return None
        if self._ordered == self._finished:
            return self._look_for(key)
        self._order(key, None)  # the compiling thread may have locked what would be needed
        return None

    def _at_once(self, key: Key, captured: Callable[[], Graph]) -> Program:
        program = self._look_for(key)
        if program is None:
            program = self._compile(captured())
            self._put(key, program)
            self._keep(key, program)
        return program

    def _put(self, key: Key, program: Program | None) -> None:
        values = sum(map(_values, [*self.made, key]))
        with suppress(KeyError):  # another thread may be doing the same
            while values > _MOST_VALUES:
                oldest, _ = self.made.popitem(last=False)
                self.ledger.forget(oldest)
                values -= _values(oldest)
        self._is_crowded = values > _MOST_VALUES // 2
        self.made[key] = program

    def _order(self, key: Key, graph: Graph | None) -> None:
        self._ordered += 1
        self._waiting.append((key, graph))
        self._calls.put(None)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="tidu-compiler", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        # Decompositions make Values; those of this thread are nobody's business.
        state.own.pending = Pending()
        while True:
            self._calls.get()
            try:
                key, graph = self._next()
                _thrift.begin()
                if graph is None:
                    self._look_for(key)
                elif self.made.get(key) is None:  # else it was found meanwhile
                    started = time.thread_time()
                    program = self._compile(graph)
                    if key in self.made:
                        self.made[key] = program
                    self._keep(key, program)
                    self.ledger.compiled(key, time.thread_time() - started)
            except Exception as error:
                self._warn(error)
            finally:
                _thrift.end()
                self._finished += 1
                key = graph = program = None  # type: ignore[assignment]

    def _next(self) -> tuple[Key, Graph | None]:
        """What has cost most; before that, what may be on disk, which takes a moment to see."""
        waiting = self._waiting
        costs = [(graph is None, self.ledger.cost(key)) for key, graph in waiting]
        return waiting.pop(costs.index(max(costs)))

    def _look_for(self, key: Key) -> Program | None:
        """The program for a structure whose plan is on disk."""
        if not self.keeps:
            return None
        started = time.perf_counter()
        program = _shelf().find(key)
        if program is not None:
            self._count(started)
            program.forget_plan()
            self._put(key, program)
        return program

    def _compile(self, graph: Graph) -> Program:
        started = time.perf_counter()
        program = self.make(graph)
        self._count(started)
        return program

    def _count(self, started: float) -> None:
        statistics.programs += 1
        statistics.compile_seconds += time.perf_counter() - started

    def _keep(self, key: Key, program: Program) -> None:
        """Write a program to disk; from then on it is only to be run."""
        if self.keeps:
            _shelf().keep(key, program)
        program.forget_plan()

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
        compiled = sum(program is not None for program in [*self.made.values()])
        return {"compiled": compiled, "numpy": len(self.ledger.records) - compiled}

    def structures(self) -> list[Structure]:
        """What is known of each structure, those first that were seen first."""
        made = [*self.made.items()]  # the compiling thread may add to it
        compiled = {hash(key) for key, program in made if program is not None}
        return [
            Structure(
                line=describe(record.position),
                values=record.values,
                tier="compiled" if number in compiled else "numpy",
                seen=record.uses,
            )
            for number, record in [*self.ledger.records.items()]
        ]


def _values(key: Key) -> int:
    """What the program of a structure takes, as if it were Values."""
    return _BESIDES + len(key.structure[0])


class _Thrift:
    """What makes room for a second thread that computes."""

    def __init__(self) -> None:
        self._kept: tuple[float, int] | None = None

    def begin(self) -> None:
        """Let Python take the interpreter from whoever has it sooner than it usually does, and
        NumPy's products run on one thread: two would wait for each other, one of them for a core.
        """
        interval = sys.getswitchinterval()
        sys.setswitchinterval(min(interval, _TURN))
        self._kept = interval, blas.set_threads_of_numpy(1)

    def end(self) -> None:
        """Let it be as it was before."""
        if self._kept is not None:
            interval, threads = self._kept
            self._kept = None
            sys.setswitchinterval(interval)
            if threads:
                blas.set_threads_of_numpy(threads)


_thrift = _Thrift()


def natively(graph: Graph) -> Program:
    """Compile for the processors of this machine."""
    return cpu.CpuProgram(cpu.plan_of(graph))


def _without_machine_code(graph: Graph) -> Program:
    return null.NullProgram(graph)


_null = setting("TIDU_BACKEND") == "null"
programs = Programs(
    immediate=_null or setting("TIDU_TIER") == "1",
    make=_without_machine_code if _null else natively,
    # What is found on disk has passed by the verifier.
    keeps=not _null and setting("TIDU_VERIFY") != "1",
)
os.register_at_fork(after_in_child=programs.after_fork)
statistics.tiers = programs.tiers
statistics.structures = programs.structures
