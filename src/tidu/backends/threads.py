"""The worker threads: they run a native program together, the calling thread being the first.

A program can also be launched: the others run it while the calling thread goes on, until it comes
to join them. Threads are made when the first program comes that is wide enough for them, stay for
the life of the process, spin for a moment after each program and then sleep. Programs of several
Python threads wait for each other. All of that is native code (`spmd`), which no exception can
interrupt.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tidu.base.deferred import DeferredModule
from tidu.base.environment import setting

if TYPE_CHECKING:
    import numpy.typing as npt

    from tidu.backends import spmd
    from tidu.compiler import cache as object_cache
    from tidu.compiler import llvm
else:
    spmd = DeferredModule("tidu.backends.spmd")
    object_cache = DeferredModule("tidu.compiler.cache")
    llvm = DeferredModule("tidu.compiler.llvm")


class Call(NamedTuple):
    """A kernel, and how it is run: its units shared by all, or, of one unit, in a track."""

    function: int  # its address
    params: npt.NDArray[np.int64]
    units: int
    barrier: bool  # whether all workers must have done the earlier calls
    track: int = 0
    work: int = 0  # about how many operations, in all units


# The operations of a phase from which workers take piece by piece: some 40 µs.
_LONG = 2_000_000


class _Phase:
    """What workers do without waiting for each other."""

    def __init__(self) -> None:
        self.shared: list[int] = []
        self.tracks: list[list[int]] = []
        self.width = 0  # how many workers it has something for
        self.work = 0

    def add(self, call: Call) -> None:
        addresses = [call.function, call.params.ctypes.data]
        if call.units == 1:
            self.tracks += [[] for _ in range(call.track + 1 - len(self.tracks))]
            self.tracks[call.track] += addresses
        else:
            self.shared += [call.units, *addresses]
        self.width = max(self.width, call.units, len(self.tracks))
        self.work += call.work

    def words(self) -> list[int]:
        long = int(self.work >= _LONG)
        words = [long, len(self.shared) // 3, len(self.tracks), *self.shared]
        for track in self.tracks:
            words += [len(track) // 2, *track]
        return [1 + len(words), *words]


class NativeProgram:
    """Calls in the form that the workers read. It keeps the parameters alive, not the code."""

    __slots__ = ("_params", "_words", "address", "width")

    def __init__(self, calls: Sequence[Call]) -> None:
        self._params = [call.params for call in calls]
        phases: list[_Phase] = []
        for call in calls:
            assert call.params.dtype == np.int64 and call.params.flags.c_contiguous
            if call.barrier or not phases:
                phases.append(_Phase())
            phases[-1].add(call)
        self.width = max((phase.width for phase in phases), default=0)
        words = [word for phase in phases for word in phase.words()]
        self._words = np.array([self.width, len(phases), *words], np.int64)
        self.address = self._words.ctypes.data


class _Workers:
    """How many workers are wanted, and whether they are there."""

    def __init__(self) -> None:
        self.wanted = 0  # not decided yet
        self.ready = False
        self.made = False  # whether any thread may have been made in this process

    def count(self) -> int:
        if self.wanted == 0:
            self.wanted = _default_count()
        return self.wanted

    def start(self) -> None:
        """Make the threads. If the system refuses some, the others do the work."""
        count = self.count()
        self.ready = True
        if spmd.can_work_together():
            self.made = True
            _native.resize(count)

    def after_fork(self) -> None:
        """The child has none of its parent's threads."""
        if self.made:
            _native.forget()
        self.made = self.ready = False


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _default_count() -> int:
    return min(int(setting("TIDU_NUM_THREADS") or _processors()), spmd.MAX_WORKERS)


_workers = _Workers()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.after_fork)


def get_num_threads() -> int:
    """How many threads a program may run on."""
    return _workers.count()


def set_num_threads(count: int) -> None:
    """Run programs on at most `count` threads. Results do not depend on it.

    As in PyTorch, a RuntimeError is raised for what is not a positive integer.
    """
    if not isinstance(count, int) or isinstance(count, bool):
        raise RuntimeError(f"set_num_threads expects an int, but got {type(count).__name__}")
    if count < 1:
        raise RuntimeError(f"set_num_threads expects a positive integer, but got {count}")
    _workers.wanted = min(count, spmd.MAX_WORKERS)
    _workers.ready = False


def can_flush_denormal() -> bool:
    """Whether this processor can take numbers too small to be normal for zero."""
    return spmd.can_flush()


def flush_denormal(on: bool) -> bool:
    """Whether this thread, and what it has the workers do, takes numbers too small to be normal for
    zero from now on. Returns whether it did before.
    """
    return spmd.can_flush() and bool(_native.flush_denormal(on))


@cache
def _functions() -> dict[str, int]:
    names = ["tidu_run"]
    if spmd.can_flush():
        names.append("tidu_flush_denormal")
    if spmd.can_work_together():
        names += ["tidu_launch", "tidu_join", "tidu_resize", "tidu_forget"]
    return llvm.load([object_cache.object_code(spmd.text())], names)


class _Native:
    """The native functions, there once somebody asks for the first of them."""

    run: Callable[[int, int], None]
    launch: Callable[[int, int], None]
    join: Callable[[], None]
    resize: Callable[[int], int]
    forget: Callable[[], None]
    flush_denormal: Callable[[int], int]

    def __getattr__(self, name: str) -> Any:
        address = _functions()[f"tidu_{name}"]
        function = self.__dict__[name] = _PROTOTYPES[name](address)
        return function


_TWO_ADDRESSES = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
_NOTHING = ctypes.CFUNCTYPE(None)
_PROTOTYPES: dict[str, Callable[[int], Any]] = {
    "run": _TWO_ADDRESSES,
    "launch": _TWO_ADDRESSES,
    "join": _NOTHING,
    "resize": ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32),
    "forget": _NOTHING,
    "flush_denormal": ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32),
}
_native = _Native()


def run(program: NativeProgram, table: int) -> None:
    """Run `program` on the table at this address. The GIL is released meanwhile."""
    runner(program)(program.address, table)


def runner(program: NativeProgram) -> Callable[[int, int], None]:
    """What runs `program`, given the addresses of it and of its table, by one native call."""
    if not _workers.ready and program.width > 1:
        _workers.start()
    return _native.run


def launch(program: NativeProgram, table: int) -> bool:
    """Have the other workers run `program`, and go on. False where there are none: nothing is done.

    Program, table and all that belongs to them must stay as they are until `join` has returned.
    """
    if _workers.count() == 1 or not spmd.can_work_together():
        return False
    if not _workers.ready:
        _workers.start()
    _native.launch(program.address, table)
    return True


def join() -> None:
    """Help with what was launched until it is done. The GIL is released meanwhile."""
    _native.join()
