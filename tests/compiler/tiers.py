"""Which tier runs what is asked for, and when, chosen inside one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import tidu
from tidu import execute
from tidu.backends import cpu
from tidu.execute import engine
from tidu.headstart import HeadStarts
from tidu.programs import programs


@contextmanager
def tier(number: int) -> Iterator[None]:
    """Regions cut inside of it are run by NumPy (0), or compiled when they are first seen (1)."""
    tidu.realize()
    assert programs.wait()
    before = engine.tier, engine.fewest, programs.immediate
    engine.tier, engine.fewest, programs.immediate = number, 1, True
    try:
        yield
    finally:
        tidu.realize()
        engine.tier, engine.fewest, programs.immediate = before


def launch_whatever_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the workers run ahead also where that takes longer than waiting."""
    monkeypatch.setattr(cpu, "_WORTH_LAUNCHING", 0)
    monkeypatch.setattr(execute, "head_starts", HeadStarts())
