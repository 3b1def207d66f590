"""The collector's thresholds are raised, unless the program has its own idea."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tidu.base import collector


@pytest.fixture(autouse=True)
def thresholds_put_back() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((700, 10, 10), (collector.YOUNG, collector.MIDDLE, collector.OLD)),
        ((2000, 10, 0), (collector.YOUNG, collector.MIDDLE, collector.OLD)),
        ((700, 500, 1000), (collector.YOUNG, 500, 1000)),
        ((0, 10, 10), (0, 10, 10)),  # off
        ((100_000, 5, 5), (100_000, 5, 5)),
    ],
)
def test_relax(before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    gc.set_threshold(*before)
    collector.relax()
    assert gc.get_threshold() == after
