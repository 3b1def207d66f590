"""A region kept to be run again on other leaves, operation by operation."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tidu.backends.base import InPlaceRun, Program, Turn
from tidu.base.state import Position
from tidu.execute import engine, programs, run_program
from tidu.ir.op import Op
from tidu.ir.structure import Key
from tidu.ir.value import Value, leaf


class Leaf:
    """The place of a leaf, or of a number, among the arguments of a region."""

    __slots__ = ("place",)

    def __init__(self, place: int) -> None:
        self.place = place


class Number(Leaf):
    __slots__ = ()


class Made(Leaf):
    """The place among the Values of the region."""

    __slots__ = ()


Instruction = tuple[Op, tuple[Any, ...], tuple[Any, ...], Any, Any]


class Template:
    """The structure of a region: what its Values are made of, leaves and numbers left open.

    Leaves and numbers count from 0 in the order in which they are first used; `numbers` are those
    of the region that it was made from.
    """

    def __init__(self, region: Sequence[Value], held: tuple[int, ...]) -> None:
        self.held = held
        self.numbers: list[Any] = []
        self.dtypes: list[Any] = []
        self.positions: list[Position | None] = [value.position for value in region]
        self._places: dict[int, Leaf] = {}
        self.instructions: list[Instruction] = []
        for number, value in enumerate(region):
            inputs = tuple(map(self._place, value.inputs))
            assert value.op is not None
            self.instructions.append((value.op, inputs, value.attrs, value.shape, value.dtype))
            self._places[id(value)] = Made(number)
        self._places.clear()

    def _place(self, x: Any) -> Any:
        if x.__class__ is Value:
            place = self._places.get(id(x))
            if place is None:
                place = self._places[id(x)] = Leaf(len(self.dtypes))
                self.dtypes.append(x.dtype)
            return place
        if x.__class__ is float or x.__class__ is int:
            self.numbers.append(x)
            return Number(len(self.numbers) - 1)
        return x

    def numbered(self) -> list[tuple[Any, Position | None]]:
        """The numbers, each with the line of the operation that takes it."""
        places = [
            position
            for (_, inputs, *_), position in zip(self.instructions, self.positions, strict=True)
            for x in inputs
            if x.__class__ is Number
        ]
        return list(zip(self.numbers, places, strict=True))


class TierZeroProgram:
    """A template run by the backend, on Values made anew for each run."""

    def __init__(self, template: Template) -> None:
        self._template = template

    def run(self, leaves: list[Any], numbers: Sequence[Any]) -> list[Any]:
        template = self._template
        made: list[Value] = []
        sources: dict[Any, Sequence[Any]] = {Made: made, Number: numbers}
        sources[Leaf] = [leaf(x, d) for x, d in zip(leaves, template.dtypes, strict=True)]
        for (op, inputs, attrs, shape, dtype), position in zip(
            template.instructions, template.positions, strict=True
        ):
            arguments = tuple(
                sources[x.__class__][x.place] if x.__class__ in sources else x for x in inputs
            )
            made.append(Value(op, arguments, attrs, shape, dtype, position))
        wanted = [made[place] for place in template.held]
        error = engine.backend.run(made)
        if error is not None:
            raise error
        return [value.buffer for value in wanted]


class Segment:
    """One region of a replayed call. `run` makes its results of leaves and numbers by the best
    program that there is: operation by operation, until the compiled one has been made.
    """

    def __init__(self, key: Key, template: Template) -> None:
        self._key = key
        self._template = template
        self.run: Callable[[list[Any], list[Any]], Sequence[Any]] = self._first

    def _first(self, leaves: list[Any], numbers: Sequence[Any]) -> Sequence[Any]:
        program = programs.made.get(self._key)
        if program is None:
            programs.make_way()
            return TierZeroProgram(self._template).run(leaves, numbers)
        results = run_program(program, leaves, numbers)
        self.settle(program, _reshape(results, self._shapes()))
        return results

    def settle(self, program: Program, others: list[tuple[int, Any]]) -> None:
        """Use this program from now on, which makes some results in another shape."""
        self.run = _native(program, others)

    def _shapes(self) -> list[Any]:
        """The shapes of its results."""
        return [self._template.instructions[place][3] for place in self._template.held]


class InPlaceSegment(Segment):
    """The last region of a replayed call, of which results replace leaves. It is run in two parts,
    as `way` says. `pairs` are places among leaves and results.
    """

    def __init__(self, segment: Segment, pairs: list[tuple[int, int]]) -> None:
        super().__init__(segment._key, segment._template)
        self._pairs = pairs
        self._others: list[tuple[int, Any]] = []
        self.way: InPlaceRun = _AtOnce(self)

    def settle(self, program: Program, others: list[tuple[int, Any]]) -> None:
        super().settle(program, others)
        way = program.in_place(self._pairs)
        if way is not None:
            self.way, self._others = way, others

    def finish(self, way: InPlaceRun, arrays: list[Any], alone: bool) -> list[Any]:
        """The results, which are there once the second part has run."""
        results = way.finish(arrays, alone=alone)
        for place, shape in self._others:
            if results[place].shape != shape:  # what is written over has the right one
                results[place] = results[place].reshape(shape)
        return results


class _AtOnce:
    """All in the first part."""

    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self.turn = Turn()
        self.function: Callable[[int, int], object] = operator.is_
        self.address = self.table = 0

    def begin(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        return [*self._segment.run([*leaves], [*numbers])]

    def finish(self, arrays: list[Any], *, alone: bool) -> list[Any]:
        return arrays


def _reshape(results: list[Any], shapes: list[Any]) -> list[tuple[int, Any]]:
    """Give results the shapes of the Values that they are for, where the program has made them in
    another one. Returns which those are: they are the same in each run.
    """
    others = [
        (place, shape)
        for place, (result, shape) in enumerate(zip(results, shapes, strict=True))
        if result.__class__ is not tuple and result.shape != shape
    ]
    for place, shape in others:
        results[place] = results[place].reshape(shape)
    return others


def _native(
    program: Program, others: list[tuple[int, Any]]
) -> Callable[[list[Any], list[Any]], Sequence[Any]]:
    if not others:
        return partial(run_program, program)

    def run(leaves: list[Any], numbers: Sequence[Any]) -> Sequence[Any]:
        results = run_program(program, leaves, numbers)
        for place, shape in others:
            results[place] = results[place].reshape(shape)
        return results

    return run
