"""Memory from the system: in large pages, and what becomes of that of arrays that are gone."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from contextlib import suppress

import numpy as np
import numpy.typing as npt

# Parameters of glibc's mallopt.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Keep up to 1 GiB of freed memory for the next arrays instead of giving it back to the system.

    Arrays of some megabytes come and go with every operation. By default glibc maps each of them
    anew, and the first touch of every page costs several times what the arithmetic on it does.
    Nothing is changed without glibc, or where its settings are made by environment variables.
    """
    chosen = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if sys.platform != "linux" or chosen:
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)  # the greatest value that glibc accepts
        mallopt(_TRIM_THRESHOLD, 1 << 30)


# A page of the larger kind that processors have, in bytes.
LARGE_PAGE = 1 << 21
_LINE = 64  # of a cache


def new_memory(size: int) -> npt.NDArray[np.uint8]:
    """So many bytes, from the start of a line of the cache on. If that is some millions, they are
    in large pages where the system has them: a training step goes through all of its memory, and to
    find out where thousands of small pages are takes time.

    May raise MemoryError.
    """
    if size < LARGE_PAGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return _from(np.empty(size + _LINE, np.uint8), _LINE)[:size]
    whole = (-(-size // LARGE_PAGE) + 1) * LARGE_PAGE
    try:
        mapped = mmap.mmap(-1, whole, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError from error
    with suppress(OSError):  # a system without them
        mapped.madvise(mmap.MADV_HUGEPAGE)
    return _from(np.frombuffer(mapped, np.uint8), LARGE_PAGE)[:size]


def _from(memory: npt.NDArray[np.uint8], step: int) -> npt.NDArray[np.uint8]:
    """Memory from the first address on that is a multiple of `step`."""
    return memory[-memory.ctypes.data % step :]
