"""How buffers, addresses and expressions are written.

Buffers are called in0, in1, ... (leaves), const0, ... (constants), out0, ... (results) and t0, t1,
... (what lives within a run); n0, n1, ... are the Python numbers that a run is given. `x[i, j]` is
an element at coordinates, `x.flat[4i + j]` one in row-major order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.strides import contiguous_strides
from tidu.compiler.expressions import (
    ARGUMENT,
    COMPUTE,
    CONSTANT,
    GUARDED,
    IOTA,
    LOAD,
    Expression,
    Index,
)
from tidu.compiler.layouts import Layout
from tidu.compiler.steps import Buffer, Root

_VARIABLES = "ijklmnpq"
# An expression of more characters has parts of it on lines of their own.
_LONGEST = 72


class Names:
    """What the buffers of a program are called."""

    def __init__(
        self,
        buffers: Sequence[Buffer],
        leaves: Iterable[int],
        constants: Iterable[int],
        results: Iterable[int],
    ) -> None:
        self.buffers = buffers
        self.of: dict[int, str] = {}
        for kind, numbers in (("in", leaves), ("const", constants), ("out", results)):
            for place, number in enumerate(n for n in numbers if n not in self.of):
                self.of[number] = f"{kind}{place}"
        rest = (b.number for b in buffers if b.number not in self.of)
        self.of.update((number, f"t{place}") for place, number in enumerate(rest))

    def __getitem__(self, number: int) -> str:
        return self.of[number]

    def typed(self, number: int) -> str:
        """``in0 f32[8, 4]``"""
        buffer = self.buffers[number]
        return f"{self[number]} {buffer.dtype.short}{list(buffer.shape)}"


Terms = list[tuple[int, str]]  # factors, and what they are factors of
Guarded = frozenset[str]  # the counters that are looked at before an access is made


def variables(rank: int) -> list[str]:
    """The names of coordinates."""
    return [*_VARIABLES, *(f"d{n}" for n in range(len(_VARIABLES), rank))][:rank]


def affine(terms: Terms, offset: int) -> str:
    """``2i + j - 3``"""
    text = ""
    for factor, name in terms:
        shown = name if abs(factor) == 1 else f"{abs(factor)}{name}"
        sign = (" - " if factor < 0 else " + ") if text else ("-" if factor < 0 else "")
        text += sign + shown
    if offset or not text:
        text += (f" {'-' if offset < 0 else '+'} {abs(offset)}") if text else str(offset)
    return text


def _terms(layout: Layout, counters: Sequence[str]) -> Terms:
    return [(s, name) for s, name in zip(layout.strides, counters, strict=True) if s]


def element(
    name: str, buffer: Buffer, space: Shape, layout: Layout, indexed: Terms, guarded: Guarded
) -> str:
    """An element of a buffer: by its coordinates if each is an affine function of its own."""
    if not buffer.shape:
        return name
    counters = variables(len(space))
    found = _coordinates(buffer.shape, space, layout, counters, guarded)
    strides = contiguous_strides(buffer.shape)
    if found is None or any(stride not in strides for stride, _ in indexed):
        return f"{name}.flat[{affine([*_terms(layout, counters), *indexed], layout.offset)}]"
    for stride, text in indexed:
        terms, start = found[strides.index(stride)]
        found[strides.index(stride)] = ([*terms, (1, text)], start)
    return f"{name}[{', '.join(affine(terms, start) for terms, start in found)}]"


def _coordinates(
    shape: Shape, space: Shape, layout: Layout, counters: Sequence[str], guarded: Guarded
) -> list[tuple[Terms, int]] | None:
    """For each dimension the terms and the start of its coordinate; None if that cannot be said.

    A coordinate that leaves its dimension belongs to another way of counting, unless it is
    `guarded`.
    """
    strides = contiguous_strides(shape)
    found: list[tuple[Terms, int]] = []
    terms = list(zip(layout.strides, counters, space, strict=True))
    offset = layout.offset
    for n, stride in zip(shape, strides, strict=True):
        here = [t for t in terms if n > 1 and t[0] and abs(t[0]) >= stride and not t[0] % stride]
        terms = [t for t in terms if t not in here]
        start = round(offset / stride) if guarded and offset < 0 else offset // stride
        start = start if n > 1 else 0
        offset -= start * stride
        ends = [t[0] // stride * (t[2] - 1) for t in here]
        least = start + sum(min(e, 0) for e in ends)
        most = start + sum(max(e, 0) for e in ends)
        checked = any(t[1] in guarded for t in here)
        if not checked and not 0 <= least <= most < n:
            return None
        found.append(([(t[0] // stride, t[1]) for t in here], start))
    return None if offset or any(t[0] for t in terms) else found


class Printer:
    """Expressions as lines; those that are used again, or long, are given names."""

    def __init__(self, names: Names, space: Shape, roots: Iterable[Root]) -> None:
        self.names = names
        self.space = space
        self.lines: list[str] = []
        self.known: dict[int, str] = {}
        self.uses = _uses(roots)
        self.count = 0

    def text(self, x: Expression, guarded: Guarded = frozenset()) -> str:
        """`x` as text, or its name if it has one; what is used more than once gets one."""
        known = self.known.get(x.number)
        if known is not None:
            return known
        text = self.fresh(x, guarded)
        shared = x.kind in (COMPUTE, GUARDED) and self.uses[x.number] > 1
        return self.named(x, text) if shared else text

    def named(self, x: Expression, text: str) -> str:
        """Put `x` on a line of its own, and from now on say its name instead."""
        name = self.known[x.number] = f"v{self.count}"
        self.count += 1
        self.lines.append(f"{name} = {text}")
        return name

    def fresh(self, x: Expression, guarded: Guarded) -> str:
        """`x` as text, without a look at names."""
        if x.kind == ARGUMENT:
            return f"n{x.what[0]}"
        if x.kind == CONSTANT:
            return "none" if x.what is None else repr(x.what)
        if x.kind == IOTA:
            return affine(_terms(x.what, variables(len(self.space))), x.what.offset)
        if x.kind == LOAD:
            buffer, layout, indices = x.what
            return self.place(buffer, layout, indices, x.inputs, guarded)
        if x.kind == GUARDED:
            return self.guarded(x, guarded)
        op, attrs = x.what
        inputs = [self.text(y, guarded) for y in x.inputs]
        parts = [place for place, y in enumerate(x.inputs) if y.kind in (COMPUTE, GUARDED)]
        while sum(map(len, inputs)) > _LONGEST and parts:
            longest = max(parts, key=lambda place: len(inputs[place]))
            parts.remove(longest)
            if x.inputs[longest].number not in self.known:
                inputs[longest] = self.named(x.inputs[longest], inputs[longest])
        return f"{op.name}({', '.join([*inputs, *map(attribute_text, attrs)])})"

    def place(
        self,
        buffer: int,
        layout: Layout,
        indices: Sequence[Index],
        places: Sequence[Expression],
        guarded: Guarded = frozenset(),
    ) -> str:
        """An element of a buffer, at a layout and at indices."""
        given = [(i.stride, self.text(p, guarded)) for i, p in zip(indices, places, strict=True)]
        whole = self.names.buffers[buffer]
        return element(self.names[buffer], whole, self.space, layout, given, guarded)

    def guarded(self, x: Expression, outer: Guarded) -> str:
        """`x` where its guards hold, and what stands in its place elsewhere."""
        guards, fill = x.what
        counters = variables(len(self.space))
        inner = outer.union(name for g in guards for _, name in _terms(g.layout, counters))
        conditions = [
            f"{g.low} <= {affine(_terms(g.layout, counters), g.layout.offset)} < {g.high}"
            for g in guards
        ]
        return f"({self.text(x.inputs[0], inner)} where {' and '.join(conditions)} else {fill})"

    def root(self, root: Root) -> str:
        """What a root stores, and where."""
        value = self.text(root.expression)
        number = root.buffer.number
        if root.scatter is not None:
            scatter = root.scatter
            target = self.place(number, scatter.layout, scatter.indices, scatter.places)
        else:
            target = self.place(number, root.store, (), ())
        if root.reduction is not None:
            counters = variables(len(self.space))
            over = ", ".join(counters[d] for d in sorted(root.reduced))
            value = f"{root.reduction.name} over {over} of {value}"
        return f"{target} {'+=' if root.adds else '='} {value}"

    def take(self) -> list[str]:
        """The lines so far; what they named is known to the lines that follow."""
        lines, self.lines = self.lines, []
        return lines


def attribute_text(x: Any) -> str:
    """An attribute as it stands behind the inputs of an operation."""
    return x.short if isinstance(x, dtype) else repr(x)


def expressions(root: Root) -> Iterator[Expression]:
    """Every expression of a root, once."""
    stack = [root.expression, *(root.scatter.places if root.scatter is not None else ())]
    seen: set[int] = set()
    while stack:
        x = stack.pop()
        if x.number not in seen:
            seen.add(x.number)
            stack.extend(x.inputs)
            yield x


def _uses(roots: Iterable[Root]) -> dict[int, int]:
    """How many expressions and roots each expression is part of."""
    uses: dict[int, int] = {}
    seen: set[int] = set()
    for root in roots:
        places = root.scatter.places if root.scatter is not None else ()
        for top in (root.expression, *places):
            uses[top.number] = uses.get(top.number, 0) + 1
        for x in expressions(root):
            if x.number not in seen:
                seen.add(x.number)
                for y in x.inputs:
                    uses[y.number] = uses.get(y.number, 0) + 1
    return uses
