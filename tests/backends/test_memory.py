"""What the backend tells the allocator."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest

from tidu.backends import memory


class Library:
    """Stands in for the C library and writes down what is asked of it."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int]] = []

    def mallopt(self, parameter: int, value: int) -> int:
        self.calls.append((parameter, value))
        return 1


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: made)
    monkeypatch.setattr(sys, "platform", "linux")
    for name in list(os.environ):
        if name.startswith(("MALLOC_", "GLIBC_TUNABLES")):
            monkeypatch.delenv(name)
    return made


def test_freed_memory_is_kept(library: Library) -> None:
    memory.keep_freed_memory()
    assert [parameter for parameter, _ in library.calls] == [-3, -1]
    assert all(value >= 32 << 20 for _, value in library.calls)


def test_settings_of_the_user_stay(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1000000")
    memory.keep_freed_memory()
    assert library.calls == []


def test_other_systems_are_left_alone(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    memory.keep_freed_memory()
    assert library.calls == []
