"""Joins in place: a Value that is joined to others is written where it belongs, and not copied.

A join's buffer is made when its first part is. A join that is part of another, larger one lies
inside of that one's buffer; so what grows by one part after another is stored once.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from tidu.base.shapes import Shape
from tidu.compiler.expressions import (
    Expression,
    Layout,
    UnviewableError,
    contiguous,
    moved,
    reshaped,
    without_ones,
)
from tidu.compiler.steps import Buffer
from tidu.ir.op import Piece, Pieces
from tidu.ir.value import Value

if TYPE_CHECKING:
    from tidu.compiler.lower import Lowering


class Part(NamedTuple):
    """Where a Value goes: ranges of a join, in which it has another shape with as many elements."""

    join: Value
    ranges: Any
    shape: Shape


class Joins:
    """Which Values are parts of which joins, and where in memory that is."""

    def __init__(self, lowering: Lowering) -> None:
        self.lowering = lowering
        self.computed = {id(value) for value in lowering.graph.values}
        self.parts: dict[int, Part] = {}
        # By id of a join and number of its piece: what is stored in its place.
        self.sources: dict[tuple[int, int], Value] = {}
        self.roots: dict[int, Value] = {}  # by id of a join: the one in whose buffer it lies
        self.blocks: set[int] = set()  # joins without gaps between their elements
        self.by_rows: set[int] = set()  # outermost joins that have to be in row-major order
        self.places: dict[int, tuple[Buffer, Layout]] = {}
        self.filled: set[int] = set()  # by id: parts that have been written

    def find(self) -> None:
        """Give every Value that can be stored as part of a join its place in one."""
        for join in reversed(self.lowering.graph.values):
            if not is_join(join):
                continue
            if id(join) not in self.parts:
                self.roots[id(join)] = join
                self.blocks.add(id(join))
                if id(join) in self.lowering.in_memory or id(join) in self.lowering.wanted:
                    self.by_rows.add(id(join))
            for number, piece in enumerate(pieces_of(join)[1]):
                self.consider(join, number, piece)

    def consider(self, join: Value, number: int, piece: Piece) -> None:
        given = join.inputs[piece.input]
        x = self.source(given)
        if x.__class__ is not Value or not self.may_be_part(x) or x.dtype is not join.dtype:
            return
        shape, root = tuple(given.shape), self.roots[id(join)]
        is_block = id(join) in self.blocks and _is_block(piece.ranges, tuple(join.shape))
        if id(x) in self.lowering.in_memory and not is_block:
            return
        if shape != tuple(x.shape):
            try:
                reshaped(shape, tuple(x.shape))(within(contiguous(join.shape), piece.ranges))
            except UnviewableError:
                return
        if id(x) in self.lowering.in_memory or shape != tuple(x.shape):
            self.by_rows.add(id(root))
        self.parts[id(x)] = Part(join, piece.ranges, shape)
        self.sources[id(join), number] = x
        if is_join(x):
            self.roots[id(x)] = root
            if is_block:
                self.blocks.add(id(x))

    def source(self, x: Value) -> Value:
        """What an input of a join is but for its shape."""
        while (
            x.op is not None
            and x.op.layout is not None
            and self.lowering.uses.get(id(x), 0) == 1
            and id(x) not in self.lowering.wanted
            and _keeps_order(x)
        ):
            x = x.inputs[0]
        return x

    def may_be_part(self, x: Value) -> bool:
        lowering, op = self.lowering, x.op
        if id(x) not in self.computed or id(x) in lowering.wanted or id(x) in self.parts:
            return False
        if id(x) in lowering.whole_for or id(x) in lowering.convolutions or 0 in x.shape:
            return False
        return op is not None and (is_join(x) or lowering.rule(op, x) == lowering.elementwise)

    def place(self, value: Value, like: Expression) -> tuple[Buffer, Layout]:
        """Where a join or a part goes. A buffer that is made for it is in the order of `like`."""
        inner: list[Value] = []
        while id(value) not in self.places and id(value) in self.parts:
            inner.append(value)
            value = self.parts[id(value)].join
        if id(value) not in self.places:
            self.places[id(value)] = self.lowering.ordered(
                value, like, by_rows=id(value) in self.by_rows
            )
        for x in reversed(inner):
            buffer, layout = self.places[id(self.parts[id(x)].join)]
            _, ranges, shape = self.parts[id(x)]
            layout = reshaped(shape, tuple(x.shape))(within(layout, ranges))
            self.places[id(x)] = buffer, layout
        return self.places[id(inner[0] if inner else value)]

    def has(self, join: Value, number: int) -> bool:
        """Whether a piece of a join has been written to its place."""
        source = self.sources.get((id(join), number))
        return source is not None and id(source) in self.filled


def pieces_of(value: Value) -> Pieces:
    assert value.op is not None and value.op.pieces is not None
    shapes = tuple(tuple(x.shape) if x.__class__ is Value else () for x in value.inputs)
    return value.op.pieces(shapes, *value.attrs)


def is_join(value: Value) -> bool:
    """Whether a Value consists of its inputs, each in a place of its own."""
    op = value.op
    if op is None or op.pieces is None or op.layout is not None or 0 in value.shape:
        return False
    zero, pieces = pieces_of(value)
    parts = [value.inputs[piece.input] for piece in pieces]
    return are_apart(zero, pieces, value) and all(
        x.__class__ is Value and tuple(x.shape) == tuple(len(range(*r)) for r in piece.ranges)
        for x, piece in zip(parts, pieces, strict=True)
    )


def are_apart(zero: bool, pieces: tuple[Piece, ...], value: Value) -> bool:
    """Whether pieces can be written in any order: none covers another, together they are all."""
    if zero or any(piece.adds for piece in pieces):
        return False
    return sum(prod(len(range(*r)) for r in piece.ranges) for piece in pieces) == prod(value.shape)


def within(layout: Layout, ranges: Any) -> Layout:
    """A part of what lies as `layout` says."""
    offset = sum(r[0] * s for r, s in zip(ranges, layout.strides, strict=True))
    steps = tuple(r[2] * s for r, s in zip(ranges, layout.strides, strict=True))
    return Layout(steps, layout.offset + offset)


def _is_block(ranges: Any, shape: Shape) -> bool:
    """Whether a part has no gaps between its elements, in row-major order."""
    partial = [d for d, (r, n) in enumerate(zip(ranges, shape, strict=True)) if r != (0, n, 1)]
    if not partial:
        return True
    return ranges[partial[0]][2] == 1 and partial[1:] == [] and prod(shape[: partial[0]]) == 1


def _keeps_order(value: Value) -> bool:
    """Whether a movement only gives another shape to the same elements in the same order."""
    assert value.op is not None and value.op.layout is not None
    shape, made = tuple(value.inputs[0].shape), tuple(value.shape)
    if prod(shape) != prod(made) or 0 in made:
        return False
    try:
        layout = moved(value.op.layout, shape, value.attrs)(contiguous(shape))
    except UnviewableError:
        return False
    squeeze = without_ones(made)[1]
    return squeeze(layout) == squeeze(contiguous(made))
