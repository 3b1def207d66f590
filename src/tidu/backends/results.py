"""Arrays for the results of programs.

A training step leaves hundreds of results, and to allocate and free each costs half a microsecond.
So small arrays are remembered here after they have been given out. One that nobody else refers to
any more serves again, for whatever program needs one of its shape and dtype next.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import chain, starmap
from math import prod
from operator import itemgetter
from typing import Any

import numpy as np

# Larger ones cost little beside the work that is done on them, and the memory of smaller ones is
# kept by NumPy itself.
_LEAST_BYTES, _MOST_BYTES = 1 << 10, 1 << 18
# What may be remembered in all. Then all is forgotten, which frees what nobody uses.
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


class Results:
    """The arrays for the results of one program: which it needs, and in which order."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        places: dict[Kind, list[int]] = {}
        others: list[int] = []
        self._others: list[Kind] = []
        for place, kind in enumerate(kinds):
            size = np.dtype(kind[1]).itemsize * prod(kind[0])
            if _LEAST_BYTES < size <= _MOST_BYTES:
                places.setdefault(kind, []).append(place)
            else:
                self._others.append(kind)
                others.append(place)
        self._remembered = [(kind, len(own)) for kind, own in places.items()]
        taken = [*others, *chain.from_iterable(places.values())]
        order = sorted(range(len(taken)), key=taken.__getitem__)
        self._pick = itemgetter(*order) if len(order) > 1 else tuple

    def take(self) -> Iterable[Any]:
        """The arrays, none of which anybody else has. To be called by one thread at a time."""
        arrays = list(starmap(np.empty, self._others))
        for kind, count in self._remembered:
            arrays += _remembered.take(kind, count)
        picked: Iterable[Any] = self._pick(arrays)
        return picked
