"""Programs that write results over the leaves which these replace.

A training step makes new parameters of old ones. Where nobody else needs those, they are written
over: that spares memory, and half of the way that the numbers go to and from it.

Such a program runs in two parts. What can fail comes first, and changes nothing. Whether the leaves
are needed is asked after it, as late as possible; then the second part cannot fail.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

from tidu.backends import threads
from tidu.backends.base import DeclinedError, Turn
from tidu.backends.results import Results

if TYPE_CHECKING:
    from tidu.backends.cpu import CpuProgram

_base = operator.attrgetter("base")


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Takes what is at some places of a list."""
    if len(places) > 1:
        return itemgetter(*places)
    return lambda entries: [entries[place] for place in places]


def _count_unheld() -> int:
    """What sys.getrefcount says, through `map`, of an array that one object holds besides the list
    of leaves, and in two places that of all arrays.
    """
    holder = [np.empty(0), np.empty(0)]
    leaves = [*holder]
    arrays = [*leaves, *leaves]
    return next(map(sys.getrefcount, _picker([0, 1])(arrays)))


_UNHELD = _count_unheld()


class InPlace:
    """A way to run a compiled program."""

    def __init__(self, program: CpuProgram, pairs: Sequence[tuple[int, int]]) -> None:
        """`pairs` are places among the leaves, and among the results that may be written there."""
        plan = program.plan
        self._program = program
        self.turn: Turn = program.arena
        calls = [part.native for part in program.parts]
        self._first = threads.NativeProgram(calls[: plan.safe]) if plan.safe else None
        self._second = threads.NativeProgram(calls[plan.safe :])
        self.function: Callable[[int, int], object] = operator.is_
        self.address, self.table = self._second.address, program.address
        over = {plan.outputs[result]: leaf for leaf, result in pairs}
        others = [plan.buffers[n] for n in program.made if n not in over]
        self._new_results = Results((b.shape, b.dtype.numpy) for b in others).take
        # What is made, in a list of the leaves and of those others.
        count = len(plan.leaves)
        new = iter(range(count, count + len(others)))
        self._made = _picker([over[n] if n in over else next(new) for n in program.made])
        # What is written over, in a list of the leaves and of all that is made.
        self._places = [count + i for i, n in enumerate(program.made) if n in over]
        self._replaced = _picker(self._places)

    def begin(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        program = self._program
        arrays = program.prepare(
            leaves, numbers, lambda: self._made([*leaves, *self._new_results()])
        )
        if self._first is not None:
            threads.run(self._first, self.table)
            program.check()
        return arrays

    def finish(self, arrays: list[Any], *, alone: bool) -> list[Any]:
        program = self._program
        held = self._held(arrays) if alone else self._places
        if held:
            try:
                for place in held:
                    arrays[place] = np.empty_like(arrays[place])
            except MemoryError as error:
                raise DeclinedError from error
            program.addresses.fill(arrays, len(arrays))
        self.function = threads.runner(self._second)
        return program.results(arrays)

    def _held(self, arrays: list[Any]) -> Sequence[int]:
        """Where there is what would be written over, but somebody else holds it, or a view of it:
        often what remembers results for programs, as the last one was made by another program.
        """
        picked = self._replaced(arrays)
        counts = list(map(sys.getrefcount, picked))
        bases = list(map(_base, picked))
        if counts.count(_UNHELD) == len(counts) and bases.count(None) == len(bases):
            return ()
        entries = zip(self._places, counts, bases, strict=True)
        return [place for place, n, base in entries if n != _UNHELD or base is not None]
