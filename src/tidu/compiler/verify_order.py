"""That steps are in an order in which each finds what it reads: a part of the rules in `verify`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tidu.base.shapes import Shape
from tidu.compiler.expressions import GUARDED, LOAD, Expression, Guard
from tidu.compiler.layouts import Layout
from tidu.compiler.notation import Names
from tidu.compiler.steps import Correlate, HostCall, Product, Root, Steps
from tidu.compiler.verify_plan import stored

# Elements of a buffer: one for each coordinate of a space, where a layout says.
Region = tuple[Layout, Shape]


def order_complaints(steps: Steps, order: Iterable[Any], names: Names) -> Iterator[str]:
    """What is read has been written before, all of it, and is not written again."""
    memory = _Memory(steps, names)
    for step in order:
        yield from memory.step(step)
    yield from memory.outputs()


class _Memory:
    """Which elements have been written so far, and what has been read."""

    def __init__(self, steps: Steps, names: Names) -> None:
        self.names = names
        self.steps = steps
        given = [*(b.number for b in steps.leaves), *steps.constants]
        self.given = set(given)
        self.written = {number: steps.buffers[number].size for number in given}
        self.finished: dict[int, str] = {}  # by buffer: who has read it
        # Of buffers that are read before all of them is written:
        self.parts: dict[int, list[Region]] = {}  # what has been written
        self.read_parts: dict[int, list[Region]] = {}  # and what has been read

    def step(self, step: Any) -> Iterator[str]:
        if isinstance(step, Root):
            who = f"the root of {self.names[step.buffer.number]}"
            for number, region in _read_regions(step):
                yield from self.read((number,), who, region)
            region = None if step.scatter is not None else (step.store, step.space)
            yield from self.write(step.buffer.number, _count(step), who, region)
        elif isinstance(step, Product):
            who = f"the product into {self.names[step.c.buffer.number]}"
            for x, rows, columns in ((step.a, step.m, step.k), (step.b, step.k, step.n)):
                sizes = (columns, rows) if x.transposed else (rows, columns)
                region = Layout((*x.batch, x.leading, 1), x.offset), (*step.batch, *sizes)
                yield from self.read((x.buffer.number,), who, region)
            yield from self.write(step.c.buffer.number, step.c.buffer.size, who)
        elif isinstance(step, Correlate):
            who = step.kernel
            # It leaves out what is between the lines of a result, and does not read it either.
            yield from self.read((b.number for b in step.reads), who, partly=True)
            yield from self.write(step.written.number, step.written.size, who)
        elif isinstance(step, HostCall):
            assert step.value.op is not None
            who = f"the host call '{step.value.op.name}'"
            yield from self.read((x.buffer.number for x in stored(step)), who)
            for buffer in step.results:
                yield from self.write(buffer.number, buffer.size, who)

    def read(
        self,
        numbers: Iterable[int],
        who: str,
        region: Region | None = None,
        *,
        partly: bool = False,
    ) -> Iterator[str]:
        for number in numbers:
            count, size = self.written.get(number, 0), self.steps.buffers[number].size
            if count < size and not (partly and count):
                if region is not None and self.is_written(number, region):
                    self.read_parts.setdefault(number, []).append(region)
                    continue
                what = f"{count} of its {size} elements are" if count else "it is"
                yield f"{who} reads {self.names[number]} before {what} written"
            self.finished.setdefault(number, who)

    def is_written(self, number: int, region: Region) -> bool:
        """Whether all of a region has been written, of a buffer of which not all has been."""
        there = marks(self.steps.buffers[number].size, self.parts.get(number, ()))
        return bool(marked(there, region).all())

    def write(
        self, number: int, count: int, who: str, region: Region | None = None
    ) -> Iterator[str]:
        name = self.names[number]
        if number in self.given:
            yield f"{who} writes to {name}, which the program was given"
        size = self.steps.buffers[number].size
        touched = self.read_parts.get(number)
        if touched and (region is None or marked(marks(size, touched), region).any()):
            yield f"{who} writes to elements of {name} that have been read"
        if number in self.finished:
            yield f"{who} writes to {name} after {self.finished[number]} has read it"
        if count == 0 and self.written.get(number, 0) < size:
            yield f"{who} changes elements of {name} that are not written yet"
        self.written[number] = self.written.get(number, 0) + count
        if region is not None and count < size:
            self.parts.setdefault(number, []).append(region)

    def outputs(self) -> Iterator[str]:
        for output in self.steps.outputs:
            for buffer in output if output.__class__ is tuple else (output,):
                yield from self.read((buffer.number,), "the caller")


def marks(size: int, regions: Iterable[Region]) -> Any:
    """An array that tells of each element of a buffer whether it is in one of the regions."""
    marks = np.zeros(size, bool)
    for region in regions:
        marked(marks, region)[...] = True
    return marks


def marked(marks: Any, region: Region) -> Any:
    """The marks of one region, to be read or set: a view of `marks`."""
    layout, shape = region
    return np.lib.stride_tricks.as_strided(marks[layout.offset :], shape, layout.strides)


def _read_regions(root: Root) -> Iterator[tuple[int, Region | None]]:
    """What each load of a root reads: the buffer, and which elements if that is easily said.

    A load inside of a guard reads less than it seems to: what lies around a part is not meant.
    """
    for x, guards in guarded_parts(root):
        if x.kind == LOAD:
            number, layout, indices = x.what
            yield number, None if indices else _inside(layout, root.space, guards)


def guarded_parts(root: Root) -> Iterator[tuple[Expression, tuple[Guard, ...]]]:
    """Every expression in a root, once for each set of guards around it."""
    tops = [root.expression, *(root.scatter.places if root.scatter is not None else ())]
    stack: list[tuple[Expression, tuple[Guard, ...]]] = [(x, ()) for x in tops]
    seen: set[tuple[int, tuple[Guard, ...]]] = set()
    while stack:
        x, guards = stack.pop()
        if (x.number, guards) in seen:
            continue
        seen.add((x.number, guards))
        yield x, guards
        inner = (*guards, *x.what[0]) if x.kind == GUARDED else guards
        stack.extend((y, inner) for y in x.inputs)


def _inside(layout: Layout, space: Shape, guards: tuple[Guard, ...]) -> Region | None:
    """The elements of a layout for the coordinates at which all guards hold, if each guard is one
    on a coordinate.
    """
    first, sizes = [0] * len(space), list(space)
    for guard in guards:
        moving = [d for d, stride in enumerate(guard.layout.strides) if stride]
        if len(moving) != 1 or guard.layout.strides[moving[0]] != 1:
            return None
        (d,) = moving
        low = max(first[d], guard.low - guard.layout.offset)
        high = min(first[d] + sizes[d], guard.high - guard.layout.offset)
        first[d], sizes[d] = low, max(0, high - low)
    moved_by = sum(at * stride for at, stride in zip(first, layout.strides, strict=True))
    return Layout(layout.strides, layout.offset + moved_by), tuple(sizes)


def _count(root: Root) -> int:
    """How many elements a root is the first to write."""
    if root.adds or root.scatter is not None:
        return 0
    kept = (n for d, n in enumerate(root.space) if d not in root.reduced and root.store.strides[d])
    return math.prod(kept)
