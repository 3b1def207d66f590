"""Which tier runs what is asked for, and when, chosen inside one process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import pytest

import tidu
from tidu import Tensor, execute
from tidu.backends import cpu
from tidu.execute import engine
from tidu.headstart import HeadStarts
from tidu.ledger import Ledger
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


def assert_same_in_both_tiers(run: Callable[[], list[Tensor]], rtol: float = 1e-5) -> None:
    """Whether NumPy and the compiled program give the same numbers."""
    results = []
    for number in (1, 0):
        with tier(number):
            results.append([x.detach().numpy() for x in run()])
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(got, want, rtol=rtol, atol=1e-5, strict=True)


def forget_programs(patch: pytest.MonkeyPatch) -> None:
    """Nothing has been seen or compiled yet, whatever other tests have run."""
    patch.setattr(programs, "made", OrderedDict())
    patch.setattr(programs, "ledger", Ledger())


def launch_whatever_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the workers run ahead also where that takes longer than waiting."""
    monkeypatch.setattr(cpu, "_WORTH_LAUNCHING", 0)
    monkeypatch.setattr(execute, "head_starts", HeadStarts())
