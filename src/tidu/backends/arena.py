"""Memory for what lives only within a run of a program."""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any, TypeVar

import numpy as np

from tidu.backends import threads
from tidu.backends.base import DeclinedError, Turn
from tidu.backends.memory import new_memory

Result = TypeVar("Result")


class Arena(Turn):
    """Memory for what lives within one run; programs, which run one at a time, share it."""

    def __init__(self) -> None:
        super().__init__()
        self.memory = np.empty(0, np.uint8)
        self.address = 0
        # What a launched program works on besides, kept alive also if whoever launched it is
        # interrupted before he can do so.
        self.flying: list[Any] | None = None

    def reserve(self, size: int) -> int:
        """The address of at least so many bytes; what was there is lost if there were fewer."""
        if size > self.memory.size:
            self.memory = new_memory(size)
            self.address = self.memory.ctypes.data
        return self.address

    def land(self) -> None:
        """Wait for the program that was launched, and help."""
        if self.flying is not None:
            threads.join()
            self.flying = None

    def lend(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """What a function returns that is given the arena meanwhile. Raises DeclinedError in the
        middle of another run: in a signal handler or a finalizer.
        """
        thread = get_ident()
        if self.user == thread:
            raise DeclinedError
        # No `with`: an interrupt may come where a function begins, also the one that would end it.
        try:
            self.user = thread
            return function(*arguments)
        finally:
            self.user = 0
