"""Which tier runs what is asked for, chosen inside one process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tidu
from tidu.execute import engine
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
