"""The native side of the worker threads, as LLVM IR text. To be read in this order:

`phases.py`     what a program is to the runner, and how pieces of a phase are done
`modes.py`      what of a thread's settings goes with a program to those that help
`waiting.py`    how a thread waits for another: spinning, then sleeping on a futex
`claims.py`     who does which pieces, and when a phase is over
`launching.py`  publishing a program to the workers, joining one, making the threads
"""

from __future__ import annotations

import platform
import sys

from tidu.backends.spmd import claims, launching, modes, phases, waiting

MAX_WORKERS = claims.MAX_WORKERS


def can_work_together() -> bool:
    """Whether this system has what the workers wait with: Linux, on a processor known here."""
    return sys.platform == "linux" and platform.machine() in waiting.FUTEX and sys.maxsize > 2**32


def can_flush() -> bool:
    """Whether this processor can take numbers too small to be normal for zero."""
    return modes.can_flush(platform.machine())


def text() -> str:
    """The module for this machine. Without worker threads, it has no way to launch or join."""
    machine = platform.machine()
    first = phases.TEXT + modes.text(machine)
    if not can_work_together():
        return first + phases.ALONE
    return first + waiting.text(machine) + claims.TEXT + launching.TEXT
