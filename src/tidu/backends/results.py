"""Arrays for the results of programs.

A training step leaves hundreds of results, and to allocate and free each costs up to half a
microsecond. So arrays are remembered here after they have been given out. One that nobody else
refers to any more serves again: for the same program if it is tiny, and otherwise for whatever
program needs one of its shape and dtype next.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from itertools import chain, starmap
from math import prod
from operator import itemgetter
from typing import Any

import numpy as np

# Larger ones cost little beside the work that is done on them.
_MOST_BYTES = 1 << 18
# Up to so many, an array stays with its program: to look for one costs as much as to make it.
_TINY_BYTES = 1 << 10
# What programs may share in all. Then all is forgotten, which frees what nobody uses.
_MOST_BYTES_IN_ALL = 1 << 26
# Of so many times what a program ever needed at once, and some more, those that others hold are
# forgotten: losses in a list, for example.
_TIMES, _SOME = 4, 64

Kind = tuple[tuple[int, ...], Any]  # shape and dtype


def _unheld() -> int:
    """What sys.getrefcount says, through `map`, of an object that a list and nothing else holds."""
    return next(map(sys.getrefcount, [object()]))


_UNHELD = _unheld()


class _OfAKind:
    """The arrays of one kind that were given out."""

    __slots__ = ("_arrays", "_kind", "_most")

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._arrays: list[Any] = []
        self._most = 0  # how many were needed at once

    def take(self, count: int) -> tuple[list[Any], int]:
        """So many that nobody else has, and by how many bytes there are more now."""
        arrays = self._arrays
        references = list(map(sys.getrefcount, arrays))
        free = [a for a, n in zip(arrays, references, strict=True) if n == _UNHELD]
        if len(free) >= count:
            return free[:count], 0
        before = len(arrays)
        new = [np.empty(*self._kind) for _ in range(count - len(free))]
        free += new
        self._most = max(self._most, count)
        if before + len(new) > _TIMES * self._most + _SOME:
            self._arrays = free.copy()
        else:
            arrays += new
        return free, (len(self._arrays) - before) * new[0].nbytes


class _Remembered:
    """All arrays that were given out. To be used by one thread at a time."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, _OfAKind] = {}
        self._bytes = 0

    def take(self, kind: Kind, count: int) -> list[Any]:
        """So many arrays that nobody else has, with whatever numbers."""
        known = self._kinds.get(kind)
        if known is None:
            known = self._kinds[kind] = _OfAKind(kind)
        taken, more = known.take(count)
        self._bytes += more
        if self._bytes > _MOST_BYTES_IN_ALL:
            self._kinds.clear()
            self._bytes = 0
        return taken


_remembered = _Remembered()


class _Tiny:
    """Two sets of the arrays that one program gives out. To be used by one thread at a time."""

    __slots__ = ("_before", "_kinds", "_last")

    def __init__(self, kinds: Sequence[Kind]) -> None:
        self._kinds = kinds
        self._last: list[Any] = [None] * len(kinds)
        self._before = [*self._last]

    def take(self) -> list[Any]:
        """Those of the last time, or the others where somebody else has them: a loss, say, is often
        kept until the next one is there.
        """
        last = self._last
        references = list(map(sys.getrefcount, last))
        if references.count(_UNHELD) < len(references):
            before = self._before
            for place, count in enumerate(references):
                if count != _UNHELD:
                    last[place], before[place] = before[place], last[place]
            for place, count in enumerate(map(sys.getrefcount, last)):
                if count != _UNHELD:
                    last[place] = np.empty(*self._kinds[place])
        return last


class Results:
    """The arrays for the results of one program: which it needs, and in which order."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        tiny: list[int] = []
        places: dict[Kind, list[int]] = {}
        large: list[int] = []
        all_kinds = list(kinds)
        for place, kind in enumerate(all_kinds):
            size = np.dtype(kind[1]).itemsize * prod(kind[0])
            if size <= _TINY_BYTES:
                tiny.append(place)
            elif size <= _MOST_BYTES:
                places.setdefault(kind, []).append(place)
            else:
                large.append(place)
        self._tiny = _Tiny([all_kinds[place] for place in tiny])
        self._remembered = [(kind, len(own)) for kind, own in places.items()]
        self._large = [all_kinds[place] for place in large]
        taken = [*tiny, *chain.from_iterable(places.values()), *large]
        order = sorted(range(len(taken)), key=taken.__getitem__)
        self._pick = itemgetter(*order) if len(order) > 1 else tuple

    def take(self) -> Iterable[Any]:
        """The arrays, none of which anybody else has. To be called by one thread at a time."""
        arrays = [*self._tiny.take()]
        for kind, count in self._remembered:
            arrays += _remembered.take(kind, count)
        arrays += starmap(np.empty, self._large)
        picked: Iterable[Any] = self._pick(arrays)
        return picked
