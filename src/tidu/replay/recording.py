"""What was recorded of a call: the text of a function that does the same, and what it refers to."""

from __future__ import annotations

import reprlib
import weakref
from collections.abc import Callable
from typing import Any

from tidu.base.changes import changes
from tidu.replay import runtime
from tidu.replay.places import same


class Refusal(Exception):  # noqa: N818 (not an error: the call has worked)
    """A call that cannot be replayed. A quiet one is nothing that people have to know."""

    def __init__(self, reason: str, *, quiet: bool = False, learn_again: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.quiet = quiet
        self.learn_again = learn_again  # other code ran than was known


class Alike:
    """What stands for an object in comparisons, where another one would do as well."""

    def __init__(self, *marks: Any) -> None:
        self.marks = marks

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alike) and self.marks == other.marks

    __hash__ = None  # type: ignore[assignment]


class Names:
    """The objects that generated code refers to, each under one name.

    Two recordings are the same if their text is, and if the names mean the same: the very same
    objects, or `Alike` ones.
    """

    def __init__(self) -> None:
        self.table: dict[str, Any] = {**vars(runtime), **runtime.GLOBALS}
        self._marks: dict[str, Any] = {}
        self._known: dict[int, str] = {}

    def bind(self, value: Any, prefix: str = "x") -> str:
        """The name of an object."""
        name = self._known.get(id(value))
        if name is None:
            name = self._known[id(value)] = f"{prefix}{len(self._marks)}"
            self.table[name] = self._marks[name] = value
        return name

    def bind_alike(self, value: Any, *marks: Any, prefix: str = "x") -> str:
        """A name for an object that is made anew in each recording, and known by its marks."""
        name = f"{prefix}{len(self._marks)}"
        self.table[name] = value
        self._marks[name] = Alike(*marks)
        return name

    def objects_of(self, kind: type) -> list[Any]:
        """The objects of a kind."""
        return [x for x in self._marks.values() if isinstance(x, kind)]

    def difference(self, other: Names) -> str | None:
        """A name that does not mean the same in `other`, or None."""
        for name, mark in self._marks.items():
            there = other._marks.get(name)
            if mark is not there and not (isinstance(mark, Alike) and mark == there):
                return name
        return None


class Recording:
    """The recorded call as text, with its names, the numbers that it took for constants, and the
    values around the function that it depends on, with the place of each.
    """

    def __init__(
        self,
        text: str,
        names: Names,
        constants: list[tuple[Any, str]],
        around: list[tuple[str, Any]],
        programs: list[str],
        count: int,
    ) -> None:
        self.text = text
        self.programs = programs
        # The modules, tensors and optimizers that it depends on, where they still are.
        self.watched: list[weakref.ref[Any]] = []
        self.names = names
        self.constants = constants
        self.around = around
        self.set_count(count)

    def set_count(self, count: int) -> None:
        """The count of changes for which the recording holds."""
        self.names.table["COUNT"] = count

    def take_over(self, other: Recording) -> None:
        """Continue with the programs of an equal recording, which may be better ones by now."""
        ours, theirs = self.names.table, other.names.table
        ours.update({name: x for name, x in theirs.items() if name in other.programs})
        self.set_count(theirs["COUNT"])

    def difference(self, earlier: Recording) -> str | None:
        """What makes this recording another one, in words; None if they are the same."""
        if self.text != earlier.text:
            return self._difference_of_text(earlier)
        name = self.names.difference(earlier.names)
        if name is None:
            return None
        return f"it works with another {_kind(self.names.table[name])} in each call"

    def _difference_of_text(self, earlier: Recording) -> str:
        if len(self.constants) == len(earlier.constants):
            for (b, where), (a, _) in zip(self.constants, earlier.constants, strict=True):
                if a != b and not (a != a and b != b):
                    return _changes(f"a number at {where}" if where else "a number", a, b)
        before = dict(earlier.around)
        for place, b in self.around:
            if place in before and not same(before[place], b):
                return _changes(place, before[place], b)
        return "the operations, or the values around the function, differ from call to call"

    def compile(self) -> Callable[[Any, Any], Any]:
        """The function: (args, kwargs) -> the result, or MISS."""
        changes.watch(owner for ref in self.watched if (owner := ref()) is not None)
        exec(compile(self.text, "<replayed call>", "exec"), self.names.table)
        replay: Callable[[Any, Any], Any] = self.names.table["replay"]
        return replay


def _changes(what: str, before: Any, after: Any) -> str:
    return f"{what} changes from call to call ({reprlib.repr(before)}, then {reprlib.repr(after)})"


def _kind(value: Any) -> str:
    return type(value).__name__
