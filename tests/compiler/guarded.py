"""Arrays between pages that may not be touched: one step beyond either end kills the process."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np

from tidu.backends import cpu

PAGE = mmap.PAGESIZE
_libc = ctypes.CDLL(None, use_errno=True)


def guarded(shape: Any, dtype: Any = np.float32, *, at_end: bool = True) -> np.ndarray[Any, Any]:
    """An array that ends where the last page does, or starts where the first does."""
    kind = np.dtype(dtype)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    inner = max(-(-size // PAGE), 1) * PAGE
    memory = mmap.mmap(-1, inner + 2 * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for guard in (start, start + PAGE + inner):
        if _libc.mprotect(ctypes.c_void_p(guard), ctypes.c_size_t(PAGE), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    offset = PAGE + (inner - size if at_end else 0)
    return np.frombuffer(memory, kind, size // kind.itemsize, offset).reshape(shape)


class GuardedNumpy:
    """NumPy, except that `empty` gives guarded arrays."""

    def __init__(self, at_end: bool) -> None:
        self.at_end = at_end

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = np.float64) -> Any:
        return guarded(shape, dtype, at_end=self.at_end)


def guard_programs(monkeypatch: Any, at_end: bool) -> None:
    """From now on compiled programs get guarded copies of their leaves, and guarded results."""
    run = cpu.CpuProgram.run

    def guarded_run(self: Any, leaves: Sequence[Any], numbers: Sequence[Any]) -> Any:
        return run(self, [_copies(x, at_end) for x in leaves], numbers)

    monkeypatch.setattr(cpu.CpuProgram, "run", guarded_run)
    monkeypatch.setattr(cpu, "np", GuardedNumpy(at_end))
    monkeypatch.setattr(cpu, "_arena", cpu.Arena())


def _copies(x: Any, at_end: bool) -> Any:
    if x.__class__ is tuple:
        return tuple(_copies(y, at_end) for y in x)
    copy = guarded(x.shape, x.dtype, at_end=at_end)
    copy[...] = x
    return copy
