"""Expressions: what one element of a buffer is computed from, as a function of its coordinates.

An expression lives in an index space (a tuple of sizes). Its leaves are loads whose addresses are
affine in the coordinates, so every movement of tensors (transposing, slicing, broadcasting,
reshaping) is a change of strides, made on the leaves. Equal expressions are one object.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.state import Position
from tidu.compiler.layouts import Change, Layout


class Guard(NamedTuple):
    """Holds where low <= layout < high."""

    layout: Layout
    low: int
    high: int


class Index(NamedTuple):
    """A coordinate of a load or store that an expression gives (a gather, a scatter)."""

    stride: int  # of the buffer along this dimension
    size: int
    wraps: bool  # whether -1 means the last one


LOAD, ARGUMENT, CONSTANT, IOTA, COMPUTE, GUARDED = (
    "load",
    "argument",
    "constant",
    "iota",
    "compute",
    "guarded",
)


class Expression:
    """One node.

    load       what=(buffer, layout, indices), inputs: one expression for each index
    argument   what=(number among the program's Python numbers, float or int)
    constant   what=a number
    iota       what=layout: the value of the affine function itself, as int64
    compute    what=(op, attrs), inputs
    guarded    what=(guards, fill), one input: `fill` where a guard does not hold, nothing is read
    """

    __slots__ = ("buffers", "dtype", "inputs", "kind", "number", "position", "size", "what")

    def __init__(
        self, kind: str, what: Any, inputs: tuple[Expression, ...], d: dtype, number: int
    ) -> None:
        self.kind = kind
        self.what = what
        self.inputs = inputs
        self.dtype = d
        self.number = number  # order of making: inputs come before what is made of them
        self.position: Position | None = None  # of the line that first asked for it
        # The buffers that are loaded from below.
        own: frozenset[int] = frozenset((what[0],) if kind == LOAD else ())
        self.buffers: frozenset[int] = own.union(*(x.buffers for x in inputs)) if inputs else own
        # How many operations there are below, counting shared ones as often as they are used.
        self.size: int = (kind == COMPUTE) + sum(x.size for x in inputs)


class Expressions:
    """Makes expressions, each once."""

    def __init__(self) -> None:
        self._made: dict[Any, Expression] = {}

    def make(self, kind: str, what: Any, inputs: tuple[Expression, ...], d: dtype) -> Expression:
        # Equal is not the same among numbers: 0.0 and -0.0, 1 and True.
        exact = repr(what) if kind == CONSTANT else repr(what[1]) if kind == COMPUTE else None
        key = (kind, what, exact, d, *(x.number for x in inputs))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = Expression(kind, what, inputs, d, len(self._made))
        return found

    def load(self, buffer: int, layout: Layout, d: dtype) -> Expression:
        return self.make(LOAD, (buffer, layout, ()), (), d)

    def relaid(self, x: Expression, change: Change) -> Expression:
        """`x` in another index space: `change` is applied to every affine function in it."""

        def what(node: Expression) -> Any:
            if node.kind == LOAD:
                return node.what[0], change(node.what[1]), node.what[2]
            if node.kind == IOTA:
                return change(node.what)
            if node.kind == GUARDED:
                guards, fill = node.what
                return tuple(Guard(change(g.layout), g.low, g.high) for g in guards), fill
            return node.what

        return self._rewritten(x, what, {})

    def redirected(
        self, x: Expression, buffer: int, to: Callable[[Expression], tuple[int, Layout]]
    ) -> Expression:
        """`x` with loads from another buffer, and of a layout there, instead of those of one."""

        def what(node: Expression) -> Any:
            if node.kind == LOAD and node.what[0] == buffer:
                return *to(node), node.what[2]
            return node.what

        return self._rewritten(x, what, {})

    def _rewritten(
        self, x: Expression, what: Callable[[Expression], Any], done: dict[int, Expression]
    ) -> Expression:
        """`x` with another `what` in each node."""
        found = done.get(x.number)
        if found is not None:
            return found
        inputs = tuple(self._rewritten(y, what, done) for y in x.inputs)
        made = self.make(x.kind, what(x), inputs, x.dtype)
        made.position = made.position or x.position
        done[x.number] = made
        return made


def usual_order(x: Expression, shape: Shape) -> tuple[int, ...]:
    """The dimensions from the outermost as most of what `x` loads for every element lies in memory.

    Row-major order, if that is as frequent.
    """
    by_rows = tuple(range(len(shape)))
    wide = [d for d in by_rows if shape[d] != 1]
    counts: dict[tuple[int, ...], int] = {}
    for node in below(x):
        if node.kind == LOAD and not node.what[2]:
            strides = node.what[1].strides
            if all(strides[d] > 0 for d in wide):
                order = tuple(sorted(wide, key=lambda d: -strides[d]))
                counts[order] = counts.get(order, 0) + 1
    best = max(counts, key=lambda order: (counts[order], order == tuple(wide)), default=None)
    if best is None or best == tuple(wide):
        return by_rows
    return (*(d for d in by_rows if shape[d] == 1), *best)


def below(x: Expression) -> list[Expression]:
    """All nodes of an expression, inputs before what is made of them."""
    found: dict[int, Expression] = {}
    stack = [x]
    while stack:
        top = stack.pop()
        if top.number not in found:
            found[top.number] = top
            stack.extend(top.inputs)
    return [found[number] for number in sorted(found)]
