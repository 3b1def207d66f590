"""Memory for what lives only within a run of a program."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from tidu.backends import threads
from tidu.backends.base import DeclinedError
from tidu.backends.memory import new_memory


class Arena:
    """Memory for what lives within one run; programs, which run one at a time, share it."""

    def __init__(self) -> None:
        self.memory = np.empty(0, np.uint8)
        self.address = 0
        self.user = 0  # the thread in the middle of a run
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

    def __enter__(self) -> None:
        thread = threading.get_ident()
        if self.user == thread:  # a signal handler or a finalizer, in the middle of a run
            raise DeclinedError
        self.user = thread

    def __exit__(self, *_: object) -> None:
        self.user = 0
