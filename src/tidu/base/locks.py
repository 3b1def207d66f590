"""Locks and forks: a child has one thread, and finds what the others were about as they left it."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

_locks: weakref.WeakSet[Any] = weakref.WeakSet()
_pauses: dict[int, tuple[Callable[[], object], Callable[[], None]]] = {}


def new_lock() -> threading.Lock:
    """A lock that is open in a child process, where the thread that would open it is missing."""
    lock = threading.Lock()
    _locks.add(lock)
    return lock


def pause_in_forks(order: int, begin: Callable[[], object], end: Callable[[], None]) -> None:
    """Call `begin` before and `end` after a child is made, in both processes.

    Those of a lower `order` begin earlier: who holds the lock of one may wait for that of a later
    one, never the other way round, whichever module was imported first.
    """
    _pauses[order] = begin, end


def _before() -> None:
    for order in sorted(_pauses):
        _pauses[order][0]()


def _after() -> None:
    for order in sorted(_pauses, reverse=True):
        _pauses[order][1]()


def _after_in_child() -> None:
    for lock in list(_locks):
        lock._at_fork_reinit()
    _after()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
