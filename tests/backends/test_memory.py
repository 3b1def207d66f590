"""Memory from the system: what the backend asks for, and what it tells the allocator."""

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


@pytest.mark.parametrize("size", [1, 1000, (1 << 21) - 1, 1 << 21, (5 << 20) + 3])
def test_new_memory_starts_at_a_line_of_the_cache_or_a_large_page(size: int) -> None:
    made = memory.new_memory(size)
    assert made.shape == (size,)
    assert made.ctypes.data % (memory.LARGE_PAGE if size >= memory.LARGE_PAGE else 64) == 0
    made[0] = made[-1] = 7
    assert made[0] == made[-1] == 7


def test_memory_that_is_not_there_is_an_error_that_can_be_caught() -> None:
    with pytest.raises(MemoryError):
        memory.new_memory(1 << 55)
    with pytest.raises(MemoryError):
        memory.new_memory(1 << 62)
