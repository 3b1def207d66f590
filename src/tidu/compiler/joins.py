"""Joins in place: a Value that is joined to others is written where it belongs, and not copied.

A join's buffer is made when its first part is. A join that is part of another, larger one lies
inside of that one's buffer; so what grows by one part after another is stored once.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from tidu.base.shapes import Shape
from tidu.compiler.demands import Demands
from tidu.compiler.expressions import Expression
from tidu.compiler.layouts import (
    Layout,
    UnviewableError,
    contiguous,
    moved,
    reshaped,
    sliced,
    without_ones,
)
from tidu.compiler.signatures import input_shapes
from tidu.compiler.steps import Buffer
from tidu.ir.op import Piece, Pieces
from tidu.ir.value import Value


class Part(NamedTuple):
    """Where a Value goes: ranges of a join, in which it has another shape with as many elements."""

    join: Value
    ranges: Any
    shape: Shape


class Joins:
    """Which Values are parts of which joins, and where in memory that is."""

    def __init__(self, demands: Demands, is_elementwise: Callable[[Value], bool]) -> None:
        self.demands = demands
        self.is_elementwise = is_elementwise
        self.computed = {id(value) for value in demands.graph.values}
        self.parts: dict[int, Part] = {}
        # By id of a join and number of its piece: what is stored in its place.
        self.sources: dict[tuple[int, int], Value] = {}
        self.roots: dict[int, Value] = {}  # by id of a join: the one in whose buffer it lies
        self.blocks: set[int] = set()  # joins without gaps between their elements
        self.by_rows: set[int] = set()  # outermost joins that have to be in row-major order
        self.places: dict[int, tuple[Buffer, Layout]] = {}
        self.filled: set[int] = set()  # by id: parts that have been written
        self._find()

    def _find(self) -> None:
        """Give every Value that can be stored as part of a join its place in one."""
        for join in reversed(self.demands.graph.values):
            if not is_join(join):
                continue
            if id(join) not in self.parts:
                self.roots[id(join)] = join
                self.blocks.add(id(join))
                if self.demands.is_by_rows(join):
                    self.by_rows.add(id(join))
            for number, piece in enumerate(pieces_of(join)[1]):
                self._consider(join, number, piece)

    def _consider(self, join: Value, number: int, piece: Piece) -> None:
        given = join.inputs[piece.input]
        x = self._source(given)
        if x.__class__ is not Value or not self._may_be_part(x) or x.dtype is not join.dtype:
            return
        shape, root = tuple(given.shape), self.roots[id(join)]
        is_block = id(join) in self.blocks and _is_block(piece.ranges, tuple(join.shape))
        if id(x) in self.demands.in_memory and not is_block:
            return
        if shape != tuple(x.shape):
            try:
                reshaped(shape, tuple(x.shape))(sliced(piece.ranges)(contiguous(join.shape)))
            except UnviewableError:
                return
        if id(x) in self.demands.in_memory or shape != tuple(x.shape):
            self.by_rows.add(id(root))
        self.parts[id(x)] = Part(join, piece.ranges, shape)
        self.sources[id(join), number] = x
        if is_join(x):
            self.roots[id(x)] = root
            if is_block:
                self.blocks.add(id(x))

    def _source(self, x: Value) -> Value:
        """What an input of a join is but for its shape."""
        while (
            x.op is not None
            and x.op.layout is not None
            and self.demands.uses.get(id(x), 0) == 1
            and id(x) not in self.demands.wanted
            and _keeps_order(x)
        ):
            x = x.inputs[0]
        return x

    def _may_be_part(self, x: Value) -> bool:
        demands = self.demands
        if id(x) not in self.computed or id(x) in demands.wanted or id(x) in self.parts:
            return False
        if id(x) in demands.whole_for or id(x) in demands.convolutions or 0 in x.shape:
            return False
        return is_join(x) or self.is_elementwise(x)

    def place(
        self, value: Value, like: Expression, make: Callable[..., tuple[Buffer, Layout]]
    ) -> tuple[Buffer, Layout]:
        """Where a join or a part goes. A buffer that `make` makes for it is in the order of `like`,
        unless it has to be by rows.
        """
        inner: list[Value] = []
        while id(value) not in self.places and id(value) in self.parts:
            inner.append(value)
            value = self.parts[id(value)].join
        if id(value) not in self.places:
            self.places[id(value)] = make(value, like, by_rows=id(value) in self.by_rows)
        for x in reversed(inner):
            buffer, layout = self.places[id(self.parts[id(x)].join)]
            _, ranges, shape = self.parts[id(x)]
            layout = reshaped(shape, tuple(x.shape))(sliced(ranges)(layout))
            self.places[id(x)] = buffer, layout
        return self.places[id(inner[0] if inner else value)]

    def has(self, join: Value, number: int) -> bool:
        """Whether a piece of a join has been written to its place."""
        source = self.sources.get((id(join), number))
        return source is not None and id(source) in self.filled


def pieces_of(value: Value) -> Pieces:
    """What an operation says of how its result is put together."""
    assert value.op is not None and value.op.pieces is not None
    return value.op.pieces(input_shapes(value), *value.attrs)


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
