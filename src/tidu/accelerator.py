"""``torch.accelerator`` for scripts that ask which one there is: none."""

from __future__ import annotations

from typing import Any, NoReturn


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """None: there is no accelerator.

    >>> device = current_accelerator().type if is_available() else "cpu"
    """


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"torch.accelerator.{name}(): Cannot access accelerator device when none is available. "
        "Ask torch.accelerator.is_available() first."
    )


def current_device_index() -> int:
    """RuntimeError, as for everything below: there is no accelerator."""
    _refuse("current_device_index")


def set_device_index(device: Any, /) -> None:
    """RuntimeError."""
    _refuse("set_device_index")


def current_stream(device: Any = None, /) -> Any:
    """RuntimeError."""
    _refuse("current_stream")


def synchronize(device: Any = None, /) -> None:
    """RuntimeError."""
    _refuse("synchronize")


current_device_idx = current_device_index
set_device_idx = set_device_index
