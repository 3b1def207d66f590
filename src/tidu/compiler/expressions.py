"""Expressions: what one element of a buffer is computed from, as a function of its coordinates.

An expression lives in an index space (a tuple of sizes). Its leaves are loads whose addresses are
affine in the coordinates, so every movement of tensors (transposing, slicing, broadcasting,
reshaping) is a change of strides, made on the leaves. Equal expressions are one object.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape, contiguous_strides, view_strides
from tidu.base.state import Position

Strides = tuple[int, ...]


class Layout(NamedTuple):
    """An affine function of the coordinates: offset + Σ strides · coordinates."""

    strides: Strides
    offset: int


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


class UnviewableError(Exception):
    """A reshape that cannot be said with strides: the expression has to be stored first."""


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
    argument   what=number of the Python number among the program's arguments
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
        key = (kind, what, d, *(x.number for x in inputs))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = Expression(kind, what, inputs, d, len(self._made))
        return found

    def load(self, buffer: int, layout: Layout, d: dtype) -> Expression:
        return self.make(LOAD, (buffer, layout, ()), (), d)

    def relaid(self, x: Expression, change: Callable[[Layout], Layout]) -> Expression:
        """`x` in another index space: `change` is applied to every affine function in it."""
        return self._relaid(x, change, {})

    def _relaid(
        self, x: Expression, change: Callable[[Layout], Layout], done: dict[int, Expression]
    ) -> Expression:
        found = done.get(x.number)
        if found is not None:
            return found
        inputs = tuple(self._relaid(y, change, done) for y in x.inputs)
        what = x.what
        if x.kind == LOAD:
            what = (what[0], change(what[1]), what[2])
        elif x.kind == IOTA:
            what = change(what)
        elif x.kind == GUARDED:
            guards = tuple(Guard(change(g.layout), g.low, g.high) for g in what[0])
            what = (guards, what[1])
        made = self.make(x.kind, what, inputs, x.dtype)
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


# Changes of layouts -------------------------------------------------------------------------------


def contiguous(shape: Shape) -> Layout:
    return Layout(contiguous_strides(shape), 0)


def broadcast_to(shape: Shape, target: Shape) -> Callable[[Layout], Layout]:
    """From the space `shape` to `target`, of which every size is that of `shape` or repeats it."""
    extra = len(target) - len(shape)
    repeated = [n != m for n, m in zip(shape, target[extra:], strict=True)]

    def change(layout: Layout) -> Layout:
        kept = (0 if r else s for r, s in zip(repeated, layout.strides, strict=True))
        return Layout((0,) * extra + tuple(kept), layout.offset)

    return change


def reshaped(shape: Shape, new: Shape) -> Callable[[Layout], Layout]:
    def change(layout: Layout) -> Layout:
        strides = view_strides(shape, layout.strides, new)
        if strides is None:
            raise UnviewableError
        return Layout(
            tuple(0 if n == 1 else s for n, s in zip(new, strides, strict=True)), layout.offset
        )

    return change


def moved(
    rule: Callable[..., tuple[Strides, int] | None], shape: Shape, attrs: tuple[Any, ...]
) -> Callable[[Layout], Layout]:
    """What an op's own rule for strides does."""

    def change(layout: Layout) -> Layout:
        found = rule(shape, layout.strides, layout.offset, *attrs)
        if found is None:
            raise UnviewableError
        return Layout(tuple(found[0]), found[1])

    return change


def without_ones(shape: Shape) -> tuple[Shape, Callable[[Layout], Layout]]:
    """The space without its dimensions of size 1."""
    kept = [i for i, n in enumerate(shape) if n != 1]

    def change(layout: Layout) -> Layout:
        return Layout(tuple(layout.strides[i] for i in kept), layout.offset)

    return tuple(shape[i] for i in kept), change


def split(parts: tuple[Shape, ...]) -> Callable[[Layout], Layout]:
    """Each dimension cut into the given sizes, whose product it is."""

    def change(layout: Layout) -> Layout:
        strides: list[int] = []
        for stride, sizes in zip(layout.strides, parts, strict=True):
            strides.extend(stride * prod(sizes[i + 1 :]) for i in range(len(sizes)))
        return Layout(tuple(strides), layout.offset)

    return change


def lifted(places: tuple[int, ...], rank: int) -> Callable[[Layout], Layout]:
    """Into a space with more dimensions, along which nothing changes."""

    def change(layout: Layout) -> Layout:
        strides = [0] * rank
        for place, stride in zip(places, layout.strides, strict=True):
            strides[place] = stride
        return Layout(tuple(strides), layout.offset)

    return change


def common_refinement(a: Shape, b: Shape) -> tuple[Shape, ...] | None:
    """For each dimension of `a` the sizes into which it has to be cut so that dimensions of `b`
    are runs of them too; None where the two do not fit.
    """
    cuts: list[list[int]] = [[] for _ in a]
    i, j = len(a) - 1, len(b) - 1
    left, right = 1, 1
    while i >= 0 or j >= 0:
        if left == 1:
            if i < 0:
                return None
            left = a[i]
        if right == 1:
            if j < 0:
                return None
            right = b[j]
        step = min(left, right)
        if left % step or right % step:
            return None
        cuts[i].insert(0, step)
        left //= step
        right //= step
        if left == 1:
            i -= 1
        if right == 1:
            j -= 1
    return tuple(tuple(c) for c in cuts) if left == right == 1 else None
