"""The collector's thresholds are raised and follow what it finds, unless the program has its own
idea.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import signal
import weakref
from collections.abc import Iterator

import pytest

import tidu
from tidu.base.collector import ALL, OFTEN, RARELY, YOUNG, relax, thresholds

DEFAULT = (700, 10, 10)
RAISED = (YOUNG, OFTEN, ALL // OFTEN)
RARE = (YOUNG, RARELY, ALL // RARELY)


class Ring:
    """Garbage that only the collector can free."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collector_put_back() -> Iterator[None]:
    before, callbacks = gc.get_threshold(), gc.callbacks[:]
    gc.callbacks.clear()
    gc.collect()
    yield
    gc.callbacks[:] = callbacks
    gc.set_threshold(*before)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (DEFAULT, RAISED),
        ((2000, 10, 0), RAISED),
        ((700, 500, 1000), (700, 500, 1000)),
        ((0, 10, 10), (0, 10, 10)),  # off
        ((100_000, 5, 5), (100_000, 5, 5)),
    ],
)
def test_relax(before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
    gc.set_threshold(*before)
    relax()
    assert gc.get_threshold() == after


def test_what_survives_is_looked_through_rarely_once_that_was_in_vain() -> None:
    gc.set_threshold(*DEFAULT)
    relax()
    gc.collect(1)
    thresholds.follow()
    assert gc.get_threshold() == RARE


@pytest.mark.parametrize("generation", [0, 1, 2])
def test_garbage_makes_it_frequent_again(generation: int) -> None:
    gc.set_threshold(*DEFAULT)
    relax()
    gc.collect(1)
    thresholds.follow()
    Ring()
    gc.collect(generation)
    thresholds.follow()
    assert gc.get_threshold() == RAISED


def test_garbage_does_not_pile_up() -> None:
    gc.set_threshold(*DEFAULT)
    relax()
    gc.collect(1)
    thresholds.follow()
    rings = [weakref.ref(Ring()) for _ in range(3 * YOUNG)]
    assert sum(ring() is not None for ring in rings) <= YOUNG


def test_thresholds_that_the_program_sets_later_stay() -> None:
    gc.set_threshold(*DEFAULT)
    relax()
    gc.set_threshold(*DEFAULT)
    gc.collect(1)
    thresholds.follow()
    assert gc.get_threshold() == DEFAULT
    assert gc.callbacks == []


def test_running_a_region_follows_the_passes() -> None:
    gc.set_threshold(*DEFAULT)
    relax()
    gc.collect(1)
    (tidu.ones(3) + 1).tolist()
    assert gc.get_threshold() == RARE


class Interrupting(Ring):
    """Garbage that sets the flag of a signal during the pass that finds it; its handler runs when
    the next Python code does.
    """

    __del__ = staticmethod(functools.partial(getattr(ctypes.CDLL(None), "raise"), signal.SIGUSR1))


def test_ctrl_c_during_a_pass_reaches_the_program() -> None:
    gc.set_threshold(*DEFAULT)
    relax()
    before = signal.signal(signal.SIGUSR1, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            Interrupting()
            gc.collect()
            assert gc.callbacks  # the interpreter looks for signals before this at the latest
    finally:
        signal.signal(signal.SIGUSR1, before)
