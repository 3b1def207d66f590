"""Python's cycle collector, which takes a growing tape for growing garbage."""

from __future__ import annotations

import gc

YOUNG, MIDDLE, OLD = 20_000, 20, 200


def relax() -> None:
    """Let the collector look less often, unless the program has already seen to that,
    or turned it off.

    A tape is hundreds of thousands of small objects without any cycle, freed by their reference
    counts. With the default thresholds the collector walks over all of them again and again while
    they are made, which doubles the time of a large graph (benchmarks/chain_scaling.py).
    """
    young, middle, old = gc.get_threshold()
    if 0 < young < YOUNG:
        gc.set_threshold(YOUNG, max(middle, MIDDLE), max(old, OLD))
