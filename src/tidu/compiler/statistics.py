"""What the compiler has done so far in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Statistics:
    """Counters that grow for as long as the process lives; `stats` says what they count."""

    programs: int = 0  # compiled regions
    kernels: int = 0  # different kernels among them
    compile_seconds: float = 0.0
    cache_hits: int = 0  # modules of kernels found on disk
    cache_misses: int = 0
    plan_hits: int = 0  # programs whose plan was found on disk
    # How many structures of regions are run in which tier; set by what looks after programs.
    tiers: Callable[[], dict[str, int]] = dict


statistics = Statistics()


def stats() -> dict[str, Any]:
    """What has been compiled in this process so far.

    programs          compiled regions; a loop that settles makes no more of them
    kernels           different kernels (loops in native code) among them
    compile_seconds   the time that took, in a thread beside the program
    plan_hits         programs found on disk whole, which no pass of the compiler had to run for
    cache_hits        modules of kernels found on disk, and `cache_misses`, those that were not
    tiers             how many structures of regions are run compiled, and how many by NumPy

    >>> tidu.compiler.stats()["programs"] >= 0
    True
    """
    return {
        "programs": statistics.programs,
        "kernels": statistics.kernels,
        "compile_seconds": statistics.compile_seconds,
        "plan_hits": statistics.plan_hits,
        "cache_hits": statistics.cache_hits,
        "cache_misses": statistics.cache_misses,
        "tiers": statistics.tiers(),
    }
