"""Places where Python values stand, and how to see that something else stands there."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator
from types import NoneType
from typing import Any, NamedTuple

import numpy as np

MISSING = object()
# Values that never change: a variable that holds one is compared by value.
NUMBERS = (NoneType, bool, int, float, complex, str, bytes, np.generic)
_MOST_ENTRIES = 64


class Unwatchable(Exception):  # noqa: N818 (not an error: the call has worked)
    """A value whose changes would go unnoticed."""


class Place(NamedTuple):
    """Where a value stands: in a cell, under a global name, in a container, in an attribute, in an
    attribute of the object itself and not of its class, or in the definition of a class.
    """

    kind: str
    owner: Any
    key: Any
    text: str  # for people
    counted: bool  # whether a change there would show in the count of changes

    def read(self) -> Any:
        try:
            if self.kind == "cell":
                return self.owner.cell_contents
            if self.kind == "item":
                return self.owner[self.key]
            if self.kind == "member":
                return vars(self.owner)[self.key]
            if self.kind == "own":
                return vars(self.owner).get(self.key, MISSING)
            return getattr(self.owner, self.key, MISSING)
        except (ValueError, LookupError):
            return MISSING


class Entry(NamedTuple):
    place: Place
    value: Any


# What a container held: a number of entries, these ones in this order, or these in any.
Size = int | list[Any] | frozenset[Any]


def check_number(container: Any, text: str) -> None:
    """Refuse what has too many entries to be looked at on every call."""
    if len(container) > _MOST_ENTRIES:
        raise Unwatchable(
            f"{text} has {len(container)} entries, too many to check them on every call"
        )


def holds(container: Any, size: Size) -> bool:
    """Whether a container holds what it did: so many entries, or these."""
    if isinstance(size, int):
        return len(vars(container) if isinstance(container, type) else container) == size
    if isinstance(size, frozenset):
        return bool(container == size)
    return len(container) == len(size) and all(map(operator.is_, container, size))


def members(registers: Iterable[dict[str, Any]]) -> Iterator[Any]:
    """What several dictionaries hold."""
    return itertools.chain.from_iterable(map(dict.values, registers))


def same(a: Any, b: Any) -> bool:
    """Whether two values are interchangeable: identical, or equal numbers or words of one type."""
    if a is b:
        return True
    if a.__class__ is not b.__class__ or not isinstance(a, NUMBERS):
        return False
    return bool(a == b) and (bool(a) or str(a) == str(b))  # zeros have signs
