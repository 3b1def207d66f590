"""Interrupts wherever Python may look for signals."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any


def calls_until(limit: float, work: Callable[[], Any]) -> int:
    """Do some work, and raise KeyboardInterrupt in it after so many calls. Returns how many there
    were. Python looks for signals where its functions begin and where native ones have ended.

    The cycle collector waits: it swallows what is raised in functions that it calls.
    """
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event in ("call", "c_return")
        if calls > limit:
            sys.setprofile(None)
            raise KeyboardInterrupt

    collects = gc.isenabled()
    gc.disable()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        if collects:
            gc.enable()
    return calls
