"""Python's cycle collector, which takes a growing tape for growing garbage."""

from __future__ import annotations

import gc
from typing import Any

# So many new objects, less those that were freed, until the new ones are looked through.
YOUNG = 20_000
# After so many such passes, what survived them is looked through once more: where there has been
# garbage, and where there was none the last time.
OFTEN, RARELY = 20, 1_000
# After so many passes of the first kind, everything is looked through.
ALL = 4_000


def relax() -> None:
    """Let the collector look less often, unless the program has already seen to that,
    or turned it off.

    A tape is hundreds of thousands of small objects without any cycle, freed by their reference
    counts. With the default thresholds the collector walks over all of them again and again while
    they are made, which doubles the time of a large graph (benchmarks/chain_scaling.py).
    """
    young, middle, old = gc.get_threshold()
    if 0 < young < YOUNG and middle <= OFTEN and old <= ALL // OFTEN:
        gc.callbacks.append(Thresholds())


class Thresholds:
    """Called around each pass of the collector. Objects that have survived one are mostly a tape,
    and looking through them again takes as long as making them: once that was in vain it is done
    rarely, until a pass of any kind finds garbage.
    """

    def __init__(self) -> None:
        self._chosen = (0, 0, 0)
        self._choose(OFTEN)

    def _choose(self, middle: int) -> None:
        self._chosen = (YOUNG, middle, ALL // middle)
        gc.set_threshold(*self._chosen)

    def __call__(self, phase: str, info: dict[str, Any]) -> None:
        if phase != "stop":
            return
        if gc.get_threshold() != self._chosen:  # the program has other wishes
            gc.callbacks.remove(self)
        elif info["collected"]:
            self._choose(OFTEN)
        elif info["generation"] == 1:
            self._choose(RARELY)
