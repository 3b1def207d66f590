"""``torch.cpu``: the device there is, under the names that devices with a queue have."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from tidu.cpu import amp

__all__ = [
    "Event", "Stream", "StreamContext", "amp", "current_device", "current_stream", "device_count",
    "is_available", "is_initialized", "set_device", "stream", "synchronize",
]  # fmt: skip


class Stream:
    """The order in which things are done on a CPU: one after the other."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Nothing: what is in another stream has been done."""

    def record_event(self) -> None:
        """Nothing: see `wait_stream`."""

    def wait_event(self, event: Any) -> None:
        """Nothing: see `wait_stream`."""


class Event:
    """A point in the order of a stream, which has always been reached."""

    def query(self) -> bool:
        """True."""
        return True

    def record(self, stream: Any = None) -> None:
        """Nothing."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def wait(self, stream: Any = None) -> None:
        """Nothing to wait for."""


_current = [Stream()]


class StreamContext(AbstractContextManager[None]):
    """A block in which `current_stream` is the given one; nothing changes for None."""

    def __init__(self, stream: Stream | None) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        _current.append(_current[-1] if self.stream is None else self.stream)

    def __exit__(self, *failure: object) -> None:
        _current.pop()


def is_available() -> bool:
    """True."""
    return True


def is_initialized() -> bool:
    """True."""
    return True


def device_count() -> int:
    """1."""
    return 1


def current_device() -> str:
    """ "cpu"."""
    return "cpu"


def set_device(device: Any) -> None:
    """Nothing: there is one."""


def synchronize(device: Any = None) -> None:
    """Nothing to wait for: whoever asks for a number waits for it."""


def current_stream(device: Any = None) -> Stream:
    """The one of the innermost `stream` block, or the one there is outside of all."""
    return _current[-1]


def stream(stream: Stream | None) -> StreamContext:
    """A block in which `current_stream` is the given one."""
    return StreamContext(stream)
