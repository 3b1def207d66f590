"""A head start: the beginning of a program is run before all of its region has been recorded.

When a backward pass begins, what is pending is mostly the forward pass of a step like the one
before. If it looks the same, the same program will be run for it in the end, and so much of that
program as needs nothing but what is there already can begin: the backward pass is recorded
meanwhile. In the end the region has its key as always. If that is the one expected, the rest of the
program follows; if not, what was begun was in vain: it has written to nothing but its own memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tidu.backends.base import DeclinedError, Failure, Halves, Program
from tidu.ir.structure import Key
from tidu.ir.value import Value

_MOST_KNOWN = 64
# So often in a row an outlook may be followed by something else, before no more is expected of it.
_MOST_FAILURES = 4


class Task:
    """A region and the program that does it. While the workers run it, its Values have no buffers.
    If an op then turns out to raise, `undo` is called.
    """

    __slots__ = ("arrays", "key", "leaves", "numbers", "program", "region", "undo")

    def __init__(
        self,
        region: list[Value],
        program: Program,
        key: Key,
        leaves: list[Value],
        numbers: list[float],
    ) -> None:
        self.region = region
        self.program = program
        self.key = key
        self.leaves = leaves
        self.numbers = numbers
        self.arrays: list[Any] | None = None  # what the program works on, once it was launched
        self.undo: Callable[[], None] | None = None

    def buffers(self) -> list[Any]:
        """Those of the leaves."""
        buffers = [x.buffer for x in self.leaves]
        if Failure in map(type, buffers):
            raise DeclinedError
        return buffers

    def deliver(self, results: list[Any], places: Iterable[int] | None = None) -> None:
        """Give the held Values their buffers, all or those at these places among the results. To do
        so twice does no harm.
        """
        region, held = self.region, self.key.held
        if not region:  # a signal handler has seen to it meanwhile
            return
        reshaped = self.key.reshaped
        if reshaped is None:
            reshaped = self.key.reshaped = self._reshaped(results)
        for place in reshaped:
            results[place] = results[place].reshape(region[held[place]].shape)
        if places is None:
            for number, buffer in zip(held, results, strict=True):
                region[number].buffer = buffer
        else:
            for place in places:
                region[held[place]].buffer = results[place]

    def _reshaped(self, results: list[Any]) -> list[int]:
        """Which results do not have the shapes of their Values."""
        wanted = [self.region[number].shape for number in self.key.held]
        return [
            place
            for place, buffer in enumerate(results)
            if buffer.__class__ is not tuple and buffer.shape != wanted[place]
        ]

    def forget(self) -> None:
        """What the Values were made of is needed no more. Those that nobody held go altogether."""
        for number in self.key.held if self.region else ():
            value = self.region[number]
            value.op = None
            value.inputs = value.attrs = ()
        self.region = []


class Outlook(NamedTuple):
    """What is pending when a backward pass begins, and the ids of the cotangents that it begins
    with, without holding any of it.
    """

    ops: list[Any]
    attrs: list[Any]
    cotangents: list[int]

    @classmethod
    def of(cls, values: list[Value], cotangents: list[Any]) -> Outlook:
        return cls([x.op for x in values], [x.attrs for x in values], list(map(id, cotangents)))

    def is_like(self, other: Outlook) -> bool:
        return (
            self.ops == other.ops
            and self.attrs == other.attrs
            and len(self.cotangents) == len(other.cotangents)
        )


class Past(NamedTuple):
    """What was pending when the backward pass began, and which of it became part of the region."""

    outlook: Outlook
    kept: list[int]


class _Place(NamedTuple):
    """An argument of a program, and where it stands among what is pending: which operand of which
    Value; or which cotangent, if `value` is _COTANGENTS.
    """

    argument: int
    value: int
    operand: int


_COTANGENTS = -1
_VALUES, _NUMBERS = frozenset({Value}), frozenset({float, int})


class Head:
    """What has followed an outlook once: the region's key, and its program, which falls into two
    halves.
    """

    __slots__ = (
        "dtypes", "halves", "key", "leaf_count", "leaves", "numbers", "past", "program", "rest",
        "shapes",
    )  # fmt: skip

    def __init__(self, past: Past, task: Task) -> None:
        outlook, kept = past
        self.past = past
        self.key = task.key
        self.program = task.program
        self.leaf_count = len(task.leaves)
        self.leaves: list[_Place] = []
        self.numbers: list[_Place] = []
        arguments = {id(x): argument for argument, x in enumerate(task.leaves)}
        for value, place in zip(task.region, kept, strict=False):
            for operand, x in enumerate(value.inputs):
                if x.__class__ is Value:
                    argument = arguments.pop(id(x), None)
                    if argument is not None:
                        self.leaves.append(_Place(argument, place, operand))
                elif x.__class__ is float or x.__class__ is int:
                    self.numbers.append(_Place(len(self.numbers), place, operand))
        pending = {place.argument for place in self.leaves}
        for operand, number in enumerate(outlook.cotangents):
            argument = arguments.pop(number, None)
            if argument is not None:
                self.leaves.append(_Place(argument, _COTANGENTS, operand))
        self.shapes = [task.leaves[place.argument].shape for place in self.leaves]
        self.dtypes = [task.leaves[place.argument].dtype for place in self.leaves]
        # Those that the backward pass adds are likely to be the same again.
        self.rest = task.numbers[len(self.numbers) :]
        self.halves: Halves | None = task.program.split(
            pending,
            len(self.numbers),
            {place.argument for place in self.leaves} - pending,
            self._loss(),
        )

    def _loss(self) -> int | None:
        """Which result is the last to be held of what was pending: somebody will ask for it."""
        places = [place for place, value in enumerate(self.key.held) if value < len(self.past.kept)]
        return places[-1] if places else None

    def start(self, values: list[Value], cotangents: list[Any]) -> Start | None:
        """The arguments that are there, if they fit."""
        leaves = [
            (cotangents if value == _COTANGENTS else values[value].inputs)[operand]
            for _, value, operand in self.leaves
        ]
        numbers = [values[value].inputs[operand] for _, value, operand in self.numbers]
        if not (_VALUES.issuperset(map(type, leaves)) and _NUMBERS.issuperset(map(type, numbers))):
            return None
        if [x.shape for x in leaves] != self.shapes or [x.dtype for x in leaves] != self.dtypes:
            return None
        return Start(self, leaves, numbers + self.rest)


class Start:
    """A program that has begun."""

    __slots__ = ("arrays", "head", "leaves", "numbers")

    def __init__(self, head: Head, leaves: list[Value], numbers: list[float]) -> None:
        self.head = head
        self.leaves = leaves
        self.numbers = numbers
        self.arrays: list[Any] | None = None  # what the program works on, once it has begun

    def begin(self) -> bool:
        """Have the workers run the first half. Whether they do."""
        halves, program = self.head.halves, self.head.program
        if halves is None:
            return False
        leaves: list[Any] = [None] * self.head.leaf_count
        for place, x in zip(self.head.leaves, self.leaves, strict=True):
            if x.buffer is None or x.buffer.__class__ is Failure:
                return False
            leaves[place.argument] = x.buffer
        self.arrays = program.begin(halves, leaves, self.numbers)
        return self.arrays is not None

    def leads_to(self, task: Task, past: Past) -> bool:
        """Whether the region has become what was expected, with the arguments that were used."""
        head = self.head
        assert head.halves is not None
        used = head.halves.numbers
        return (
            task.program is head.program
            and past.kept == head.past.kept
            and task.key == head.key
            and task.numbers[:used] == self.numbers[:used]
            and all(
                task.leaves[place.argument] is x
                for place, x in zip(head.leaves, self.leaves, strict=True)
            )
        )


class HeadStarts:
    """What has followed the outlooks of this process."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, Any], Head] = {}
        self._failures: dict[tuple[int, Any], int] = {}

    def find(self, values: list[Value], cotangents: list[Any], outlook: Outlook) -> Start | None:
        """What can begin, if what is pending looks like something known."""
        head = self._known.get(_look(outlook))
        if head is None or head.halves is None or not head.past.outlook.is_like(outlook):
            return None
        try:
            return head.start(values, cotangents)
        except IndexError:  # a signal handler has run it meanwhile: nothing has operands any more
            return None

    def learn(self, head: Head) -> None:
        """Remember what has followed an outlook, unless that is another thing each time."""
        look = _look(head.past.outlook)
        if look in self._known:
            failures = self._failures[look] = self._failures.get(look, 0) + 1
            if failures == _MOST_FAILURES:
                head.halves = None
        elif len(self._known) >= _MOST_KNOWN:
            self._known.clear()
            self._failures.clear()
        self._known[look] = head

    def confirm(self, head: Head) -> None:
        """What was expected has come."""
        self._failures.pop(_look(head.past.outlook), None)

    def is_worth_learning(self, outlook: Outlook) -> bool:
        return self._failures.get(_look(outlook), 0) < _MOST_FAILURES


def _look(outlook: Outlook) -> tuple[int, Any]:
    """Something short by which most outlooks differ."""
    return len(outlook.ops), outlook.attrs[0]
