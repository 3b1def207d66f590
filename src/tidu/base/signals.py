"""Signals whose handlers wait: a handler in Python may run between any two instructions of the
main thread, and change what they look at.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]


class SignalGate:
    """A context in which signals wait until it is left, or until it is `opened` for a while.

    `passed` tells whether a handler ran while it was open. In other threads than the main one it
    does nothing: no handlers run there.
    """

    def __init__(self) -> None:
        self.is_open = True
        self.passed = False
        self._waiting: list[int] = []
        self._guards: dict[int, _Guard] = {}

    def __enter__(self) -> SignalGate:
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in signal.valid_signals():
            handler = signal.getsignal(number)
            if callable(handler):
                self._guards[number] = guard = _Guard(self, handler)
                signal.signal(number, guard)
        self.is_open = not self._guards  # only now: to set a handler may let another one raise
        return self

    def __exit__(self, *_: object) -> None:
        # A handler that raises meanwhile leaves guards behind, which then let everything through.
        with ExitStack() as stack:
            stack.callback(self._let_through)
            for number, guard in self._guards.items():
                stack.callback(guard.remove, number)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Handlers run, those of signals that have waited first."""
        try:
            self._let_through()
            yield
        finally:
            self.is_open = not self._guards

    def receive(self, number: int, frame: FrameType | None, handler: Handler) -> None:
        """A signal has come for a handler."""
        if self.is_open:
            self.passed = True
            handler(number, frame)
        else:
            self._waiting.append(number)

    def _let_through(self) -> None:
        self.is_open = True
        with ExitStack() as stack:  # all of them, even if a handler raises
            while self._waiting:
                stack.callback(signal.raise_signal, self._waiting.pop())


class _Guard:
    """What a handler is replaced by."""

    def __init__(self, gate: SignalGate, handler: Handler) -> None:
        self._gate = gate
        self._handler = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self._gate.receive(number, frame, self._handler)

    def remove(self, number: int) -> None:
        """Put the handler back, unless the program has set another one."""
        current: Any = signal.getsignal(number)
        if current is self:
            signal.signal(number, self._handler)
