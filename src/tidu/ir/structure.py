"""The structure of a region: the key under which its program is found, and a quick way to see that
a region has the structure of one before it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, compress, count
from operator import gt, is_, itemgetter
from typing import Any

from tidu.base.state import Position
from tidu.ir.value import Value


def _baseline() -> int:
    """What sys.getrefcount says, through `map`, of an object that a list and nothing else holds."""
    return next(map(sys.getrefcount, [object()]))


_UNHELD = _baseline()


class Key:
    """The structure of a region, hashed once. `position` is where the first of its Values was made
    when it was seen first; the same structure may come from other lines, too.
    """

    __slots__ = ("_hash", "position", "reshaped", "structure")

    def __init__(self, structure: tuple[Any, ...], position: Position | None = None) -> None:
        self.structure = structure
        self.position = position
        # Which results of its program have another shape than the held Values that they are for;
        # None until it is known.
        self.reshaped: list[int] | None = None
        self._hash = hash(structure)

    @property
    def held(self) -> tuple[int, ...]:
        outlive: tuple[int, ...] = self.structure[2]
        return outlive

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Key) and self.structure == other.structure


Described = tuple[Key, list[Value], list[float]]

# By how many Values a region has and the shape of the first: the structure seen last, as an outline
# if it came twice in a row.
_latest: dict[tuple[int, Any], Key | Outline] = {}
_MOST_LATEST = 64


def region_key(region: list[Value]) -> Described:
    """The structure of a region: ops, attributes and connections, leaf shapes, and what is held
    from outside; then its leaves and the numbers among its inputs, in order of first use.

    Two regions with one key differ in nothing but the contents of those two.
    """
    # Before anything else here refers to the Values.
    references = list(map(sys.getrefcount, region))
    look = (len(region), region[0].shape) if region else (0, ())
    latest = _latest.get(look)
    if latest.__class__ is Outline:
        found = latest.match(region, references)
        if found is not None:
            return found
    key, leaves, numbers = _described(region, references)
    if latest.__class__ is Key and key == latest:
        _latest[look] = Outline(key, region, leaves, references)
    else:
        if len(_latest) >= _MOST_LATEST:
            _latest.clear()
        _latest[look] = key
    return key, leaves, numbers


def _described(region: list[Value], references: list[int]) -> Described:
    """What `region_key` returns, worked out Value by Value."""
    slots: dict[int, int] = {}
    find = slots.get
    uses = [0] * len(region)
    leaves: list[Value] = []
    numbers: list[float] = []
    instructions: list[Any] = []
    for number, value in enumerate(region):
        operands: list[Any] = []
        for x in value.inputs:
            kind = x.__class__
            if kind is Value:
                slot = find(id(x))
                if slot is None:
                    slot = slots[id(x)] = -1 - len(leaves)
                    leaves.append(x)
                elif slot >= 0:
                    uses[slot] += 1
                operands.append(slot)
            elif kind is float or kind is int:
                numbers.append(x)
                operands.append(kind)
            else:
                operands.append((kind, x))
        instructions.append((value.op, value.attrs, *operands))
        slots[id(value)] = number
    shapes = tuple([(leaf.shape, leaf.dtype) for leaf in leaves])
    held = _held(references, [used + _UNHELD for used in uses])
    exact = _exact([value.attrs for value in region])
    position = region[0].position if region else None
    return Key((tuple(instructions), shapes, held, exact), position), leaves, numbers


_INTEGERS, _NUMBERS = frozenset({int}), frozenset({bool, int, float})


def _exact(attrs: Iterable[tuple[Any, ...]]) -> tuple[str, ...]:
    """What equality does not tell of attributes: 1 equals True and 1.0, and 0.0 equals -0.0.
    Sizes, which are many, are integers in any case.
    """
    return tuple([repr(x) for x in chain.from_iterable(attrs) if _equals_others(x)])


def _equals_others(x: Any) -> bool:
    """Whether there may be something else that is equal to `x`."""
    return x.__class__ in _NUMBERS or _holds_numbers(x)


def _holds_numbers(x: Any) -> bool:
    """Whether a tuple has other numbers in it than integers, which are sizes and places."""
    if x.__class__ is not tuple or _INTEGERS.issuperset(map(type, x)):
        return False
    return any([y.__class__ is float or y.__class__ is bool or _holds_numbers(y) for y in x])


def _kinds(attrs: Iterable[tuple[Any, ...]]) -> list[type]:
    return list(map(type, chain.from_iterable(attrs)))


def _has_type(x: Any) -> bool:
    """Whether something of another type may be equal to an attribute."""
    return x.__class__ in _NUMBERS


def _has_text(x: Any) -> bool:
    """Whether something of the same type may be equal to an attribute: -0.0, or what is inside."""
    return (x.__class__ is float and x == 0) or _holds_numbers(x)


class Attributes:
    """The attributes of several operations. Others are the same only if those that are equal are of
    the same types, too (`typed` are those with numbers among them), and where that does not tell
    all, of the same text (`spelled`).
    """

    __slots__ = ("every", "kinds", "spelled", "texts", "typed")

    def __init__(self, every: Sequence[tuple[Any, ...]]) -> None:
        self.every = every
        self.typed = picker(n for n, attrs in enumerate(every) if any(map(_has_type, attrs)))
        self.kinds = _kinds(self.typed(every))
        self.spelled = picker(n for n, attrs in enumerate(every) if any(map(_has_text, attrs)))
        self.texts = _exact(self.spelled(every))

    def are(self, others: Sequence[tuple[Any, ...]]) -> bool:
        return (
            others == self.every
            and (not self.kinds or _kinds(self.typed(others)) == self.kinds)
            and (not self.texts or _exact(self.spelled(others)) == self.texts)
        )


def _held(references: list[int], unheld: list[int]) -> tuple[int, ...]:
    """Which Values of a region outlive it: those with more references than those from the region
    and its list.
    """
    return tuple(compress(count(), map(gt, references, unheld)))


class Outline:
    """The structure of a region in columns, against which another one is checked without looking at
    its Values one by one: every step below runs over a whole column at the speed of C.

    The inputs of all Values are laid out in one row. Most places in it have to hold a Value of the
    region, or a leaf that an earlier place had; the rest of them (`first`) are where leaves come
    first, where numbers stand, and other things. `expected` tells for each place of the row where
    what it has to hold is found, among the Values of the region and what stands at `first`.
    """

    __slots__ = (
        "arities",
        "attrs",
        "expected",
        "first",
        "key",
        "leaf_dtypes",
        "leaf_shapes",
        "number_kinds",
        "ops",
        "others",
        "references",
        "unheld",
    )

    def __init__(
        self, key: Key, region: list[Value], leaves: list[Value], references: list[int]
    ) -> None:
        self.key = key
        self.references = references
        self.ops = [value.op for value in region]
        self.attrs = Attributes([value.attrs for value in region])
        inputs = [value.inputs for value in region]
        self.arities = list(map(len, inputs))
        row: list[Any] = list(chain.from_iterable(inputs))
        slots = {id(value): slot for slot, value in enumerate(region)}
        unheld = [_UNHELD] * len(region)
        leaf_places: dict[int, int] = {}
        number_places: list[int] = []
        other_places: list[int] = []
        for place, x in enumerate(row):
            if x.__class__ is Value:
                slot = slots.get(id(x))
                if slot is None:
                    leaf_places.setdefault(id(x), place)
                else:
                    unheld[slot] += 1
            elif x.__class__ is float or x.__class__ is int:
                number_places.append(place)
            else:
                other_places.append(place)
        first = [*leaf_places.values(), *number_places, *other_places]
        found_at = {place: len(region) + n for n, place in enumerate(first)}
        self.expected = picker(
            found_at[place]
            if place in found_at
            else slots.get(id(x), found_at.get(leaf_places.get(id(x), -1), -1))
            for place, x in enumerate(row)
        )
        self.first = picker(first)
        self.leaf_shapes = [x.shape for x in leaves]
        self.leaf_dtypes = [x.dtype for x in leaves]
        self.number_kinds = [row[place].__class__ for place in number_places]
        self.others = [(row[place].__class__, row[place]) for place in other_places]
        self.unheld = unheld

    def match(self, region: list[Value], references: list[int]) -> Described | None:
        """What `region_key` returns, if this is the structure of `region`."""
        if references != self.references:  # mostly they are those of the time before
            if _held(references, self.unheld) != self.key.held:
                return None
            self.references = references
        if [value.op for value in region] != self.ops:
            return None
        if not self.attrs.are([value.attrs for value in region]):
            return None
        inputs = [value.inputs for value in region]
        if list(map(len, inputs)) != self.arities:
            return None
        row = list(chain.from_iterable(inputs))
        first = self.first(row)
        leaf_count = len(self.leaf_shapes)
        number_count = len(self.number_kinds)
        leaves = list(first[:leaf_count])
        numbers = list(first[leaf_count : leaf_count + number_count])
        if (
            not all(map(is_, row, self.expected((*region, *first))))
            or not _are_leaves(leaves, region)
            or [x.shape for x in leaves] != self.leaf_shapes
            or [x.dtype for x in leaves] != self.leaf_dtypes
            or list(map(type, numbers)) != self.number_kinds
            or not self._has_others(first[leaf_count + number_count :])
        ):
            return None
        return self.key, leaves, numbers

    def _has_others(self, others: tuple[Any, ...]) -> bool:
        """Whether what is neither Value nor number is what it was."""
        return all(
            [
                x.__class__ is kind and x == y
                for x, (kind, y) in zip(others, self.others, strict=True)
            ]
        )


def _are_leaves(row: list[Any], region: list[Value]) -> bool:
    """Whether these are different Values, none of them of the region."""
    if row and set(map(type, row)) != {Value}:
        return False
    places = set(map(id, row))
    if len(places) != len(row):
        return False
    # One that is being run has no buffer yet.
    return all([x.buffer is not None for x in row]) or places.isdisjoint(map(id, region))


def picker(places: Iterable[int]) -> Callable[[Any], tuple[Any, ...]]:
    """The function that takes what stands at these places; `itemgetter` gives a tuple for two."""
    listed = tuple(places)
    if len(listed) > 1:
        return itemgetter(*listed)
    if not listed:
        return lambda row: ()
    (place,) = listed
    return lambda row: (row[place],)
