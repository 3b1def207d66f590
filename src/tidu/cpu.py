"""``torch.cpu``: the device there is, under the names that devices with a queue have."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

__all__ = [
    "Stream", "current_device", "current_stream", "device_count", "is_available", "is_initialized",
    "set_device", "stream", "synchronize",
]  # fmt: skip


class Stream:
    """The order in which things are done on a CPU."""

    def __init__(self, priority: int = -1) -> None:
        self.priority = priority

    def wait_stream(self, stream: Any) -> None:
        """Nothing: one thing is done after the other."""


_the_stream = Stream()


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
    """The one there is."""
    return _the_stream


def stream(stream: Any) -> AbstractContextManager[None]:
    """A block without effect."""
    return nullcontext()
