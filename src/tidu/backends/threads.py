"""The worker threads: they run a native program together, the calling thread being the first.

A program can also be launched: the others run it while the calling thread goes on, until it comes
to join them. Threads are made when the first program comes that is wide enough for them, stay for
the life of the process, spin for a moment after each program and then sleep. Programs of several
Python threads wait for each other. All of that is native code (`spmd.py`), which no exception can
interrupt.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tidu.backends import spmd
from tidu.base.deferred import DeferredModule

if TYPE_CHECKING:
    from tidu.compiler import cache as object_cache
    from tidu.compiler import llvm
else:
    object_cache = DeferredModule("tidu.compiler.cache")
    llvm = DeferredModule("tidu.compiler.llvm")


class Group(NamedTuple):
    """Kernels that are run for the same units, unit by unit if there are several of them."""

    units: int
    barrier: bool  # whether all workers must have done the earlier groups
    kernels: Sequence[tuple[int, npt.NDArray[np.int64]]]  # address and parameters


class NativeProgram:
    """Groups in the form that the workers read. It keeps the parameters alive, not the code."""

    __slots__ = ("_params", "_words", "address", "width")

    def __init__(self, groups: Sequence[Group]) -> None:
        self.width = max((group.units for group in groups), default=0)
        self._params = [params for group in groups for _, params in group.kernels]
        for params in self._params:
            assert params.dtype == np.int64 and params.flags.c_contiguous
        words = [self.width, 0]
        start = 0
        for number, group in enumerate(groups):
            if number == 0 or group.barrier:
                start = len(words)
                words += [2, 0]
                words[1] += 1
            words[start + 1] += 1
            words += [group.units, len(group.kernels)]
            for kernel, params in group.kernels:
                words += [kernel, params.ctypes.data]
            words[start] = len(words) - start
        self._words = np.array(words, np.int64)
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
    text = os.environ.get("TIDU_NUM_THREADS", "")
    if text and not (text.isdecimal() and int(text)):
        raise ValueError(f"TIDU_NUM_THREADS must be a positive number, got {text!r}")
    return min(int(text or _processors()), spmd.MAX_WORKERS)


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


@cache
def _functions() -> dict[str, int]:
    names = ["tidu_run"]
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
}
_native = _Native()


def run(program: NativeProgram, table: int) -> None:
    """Run `program` on the table at this address. The GIL is released meanwhile."""
    if not _workers.ready and program.width > 1:
        _workers.start()
    _native.run(program.address, table)


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
