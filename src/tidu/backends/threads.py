"""The worker threads: they run a native program together, the calling thread being the first.

Threads are made when the first program comes that is wide enough for them, stay for the life of the
process, spin for a moment after each program and then sleep. Programs of several Python threads
wait for each other. All of that is native code (`spmd.py`), which no exception can interrupt.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tidu.backends import spmd
from tidu.compiler import cache as object_cache
from tidu.compiler import llvm


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
        words = [self.width, len(groups)]
        for group in groups:
            words += [group.units, int(group.barrier), len(group.kernels)]
            for kernel, params in group.kernels:
                words += [kernel, params.ctypes.data]
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
            _resize()(count)

    def after_fork(self) -> None:
        """The child has none of its parent's threads."""
        if self.made:
            _forget()()
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
        names += ["tidu_resize", "tidu_forget"]
    return llvm.load([object_cache.object_code(spmd.text())], names)


@cache
def _resize() -> Callable[[int], int]:
    return ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(_functions()["tidu_resize"])


@cache
def _forget() -> Callable[[], None]:
    return ctypes.CFUNCTYPE(None)(_functions()["tidu_forget"])


def _load_and_run(program: int, table: int) -> None:
    """Takes the place of the native function until the first program comes."""
    global _run
    prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)
    _run = prototype(_functions()["tidu_run"])
    _run(program, table)


_run: Any = _load_and_run


def run(program: NativeProgram, table: int) -> None:
    """Run `program` on the table at this address. The GIL is released meanwhile."""
    if not _workers.ready and program.width > 1:
        _workers.start()
    _run(program.address, table)
