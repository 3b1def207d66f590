"""What the compiler has done so far in this process."""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter
from typing import Any, NamedTuple


class Structure(NamedTuple):
    """The structure of some regions, as `stats` tells of it."""

    line: str  # the user's that its first Value comes from, "" if it is not known
    values: int  # how many operations it has
    tier: str  # "compiled" or "numpy"
    seen: int  # how often it came before there was a program; what programs do is not counted

    def __str__(self) -> str:
        return f"{self.tier:<9}{self.values:>6} Values, seen {self.seen:>3} times: {self.line}"


class Statistics:
    """Counters that grow for as long as the process lives; `stats` says what they count."""

    programs: int = 0  # compiled regions
    kernels: int = 0  # different kernels among them
    compile_seconds: float = 0.0
    cache_hits: int = 0  # modules of kernels found on disk
    cache_misses: int = 0
    plan_hits: int = 0  # programs whose plan was found on disk
    # How many structures of regions are run in which tier, and what is known of each; set by what
    # looks after programs.
    tiers: Callable[[], dict[str, int]] = dict
    structures: Callable[[], list[Structure]] = list


statistics = Statistics()
_MOST_PRINTED = 20


class Stats(dict[str, Any]):
    """A dictionary that prints line by line, of the structures the largest ones."""

    def __str__(self) -> str:
        structures: list[Structure] = self["structures"]
        largest = sorted(structures, key=attrgetter("values"), reverse=True)[:_MOST_PRINTED]
        lines = [f"{name:<16}{value}" for name, value in self.items() if value is not structures]
        lines += [f"structures      {len(structures)}", *(f"  {x}" for x in largest)]
        if len(structures) > _MOST_PRINTED:
            lines.append(f"  and {len(structures) - _MOST_PRINTED} smaller ones")
        return "\n".join(lines)


def stats() -> dict[str, Any]:
    """What has been compiled in this process so far. It prints line by line.

    programs          compiled regions; a loop that settles makes no more of them
    kernels           different kernels (loops in native code) among them
    compile_seconds   the time that took, in a thread beside the program
    plan_hits         programs found on disk whole, which no pass of the compiler had to run for
    cache_hits        modules of kernels found on disk, and `cache_misses`, those that were not
    tiers             how many structures of regions are run compiled, and how many by NumPy
    structures        a list of them. Each has the `line` of yours that its first operation comes
                      from, how many operations it has (`values`), the `tier` that runs it
                      ("compiled" or "numpy"), and how often it was `seen` before there was a
                      program for it. Regions too small to be told apart are not among them.

    >>> tidu.compiler.stats()["programs"] >= 0
    True
    >>> structures = tidu.compiler.stats()["structures"]
    >>> all(x.tier in ("compiled", "numpy") for x in structures)
    True
    """
    return Stats(
        programs=statistics.programs,
        kernels=statistics.kernels,
        compile_seconds=statistics.compile_seconds,
        plan_hits=statistics.plan_hits,
        cache_hits=statistics.cache_hits,
        cache_misses=statistics.cache_misses,
        tiers=statistics.tiers(),
        structures=statistics.structures(),
    )
