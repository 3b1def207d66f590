"""What the allocator of the process does with the memory of arrays that are no longer needed."""

from __future__ import annotations

import ctypes
import os
import sys

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
