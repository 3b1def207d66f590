"""``torch.mps`` for scripts that ask whether there is an Apple GPU: there is none."""

from __future__ import annotations

from typing import NoReturn

__all__ = ["device_count", "empty_cache", "is_available", "manual_seed", "synchronize"]


def is_available() -> bool:
    """False."""
    return False


def device_count() -> int:
    """0."""
    return 0


def manual_seed(seed: int) -> None:
    """Nothing to seed; `torch.manual_seed` seeds the CPU's generator."""


def _refuse(name: str) -> NoReturn:
    raise RuntimeError(
        f"torch.mps.{name}(): Cannot execute without MPS backend. Ask "
        "torch.backends.mps.is_available() first."
    )


def empty_cache() -> None:
    """RuntimeError, as for everything below: there is no device."""
    _refuse("empty_cache")


def synchronize() -> None:
    """RuntimeError."""
    _refuse("synchronize")
