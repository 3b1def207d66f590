"""Python's cycle collector, which takes a growing tape for growing garbage."""

from __future__ import annotations

import gc
from collections import OrderedDict
from typing import Any

# So many new objects, less those that were freed, until the new ones are looked through.
YOUNG = 20_000
# After so many such passes, what survived them is looked through once more: where there has been
# garbage, and where there was none the last time.
OFTEN, RARELY = 20, 1_000
# After so many passes of the first kind, everything is looked through.
ALL = 4_000


# What the latest pass found; empty if there was none since somebody looked.
passes: dict[str, dict[str, Any]] = {}
# Called around each pass. A function of C: where a Python function begins, the interpreter looks
# for signals, so Ctrl-C during a pass would be raised in there; and the collector drops what its
# callbacks raise.
note = passes.__setitem__


def relax() -> None:
    """Let the collector look less often, unless the program has already seen to that,
    or turned it off.

    A tape is hundreds of thousands of small objects without any cycle, freed by their reference
    counts. With the default thresholds the collector walks over all of them again and again while
    they are made, which doubles the time of a large graph (benchmarks/chain_scaling.py).
    """
    young, middle, old = gc.get_threshold()
    if 0 < young < YOUNG and middle <= OFTEN and old <= ALL // OFTEN:
        thresholds.start()


class Thresholds:
    """Follow the passes of the collector. Objects that have survived one are mostly a tape, and
    looking through them again takes as long as making them: once that was in vain it is done
    rarely, until a pass of any kind finds garbage.
    """

    def __init__(self) -> None:
        self._chosen = (0, 0, 0)
        # How often the collector has passed and what it has found, at the latest look.
        self._middle_passes = self._collected = 0

    def start(self) -> None:
        self._count()
        self._choose(OFTEN)
        gc.callbacks.append(note)

    def follow(self) -> None:
        """Choose by what has been found since the last time, if there was a pass at all."""
        if not passes:
            return
        passes.clear()
        middle_passes, collected = self._middle_passes, self._collected
        self._count()
        if note not in gc.callbacks:
            return
        if gc.get_threshold() != self._chosen:  # the program has other wishes
            gc.callbacks.remove(note)
        elif self._collected != collected:
            self._choose(OFTEN)
        elif self._middle_passes != middle_passes:
            self._choose(RARELY)

    def _count(self) -> None:
        generations = gc.get_stats()
        self._middle_passes = generations[1]["collections"]
        self._collected = sum(generation["collected"] for generation in generations)

    def _choose(self, middle: int) -> None:
        self._chosen = (YOUNG, middle, ALL // middle)
        gc.set_threshold(*self._chosen)


thresholds = Thresholds()


class CollectorWatch:
    """Tells whether the collector is at work, between `begin` and `end`.

    It calls two functions of C when it starts and when it stops, before and after whatever else it
    calls: each leaves the phase behind as the last one in its order.
    """

    def __init__(self) -> None:
        self._first = OrderedDict.fromkeys(("start", "stop"))
        self._last = OrderedDict.fromkeys(("start", "stop"))
        self._callbacks: tuple[Any, Any] = self._first.move_to_end, self._last.move_to_end

    def begin(self) -> None:
        first, last = self._callbacks
        gc.callbacks.insert(0, first)
        gc.callbacks.append(last)

    def end(self) -> None:
        for callback in self._callbacks:
            if callback in gc.callbacks:  # else somebody has cleared them
                gc.callbacks.remove(callback)

    @property
    def works(self) -> bool:
        return "start" in (next(reversed(self._first)), next(reversed(self._last)))
