"""Lowering of what is put together from pieces: joins, padding, slices written or added to."""

from __future__ import annotations

from typing import Any

from tidu.base.shapes import Shape
from tidu.compiler.expressions import COMPUTE, CONSTANT, GUARDED, Expression, Guard
from tidu.compiler.joins import are_apart, is_join, pieces_of
from tidu.compiler.layouts import Layout, contiguous, shifted, sliced
from tidu.compiler.lowering import Lowering
from tidu.compiler.steps import Buffer
from tidu.ir.op import Op
from tidu.ir.value import Value


def lower_pieces(lowering: Lowering, value: Value, op: Op) -> Expression:
    """A buffer written piece by piece; or no buffer, where the rest is zero."""
    inputs = value.inputs
    if is_join(value):
        return _join(lowering, value)
    zero, pieces = pieces_of(value)
    if zero and len(pieces) == 1 and all(step == 1 for _, _, step in pieces[0].ranges):
        return _surrounded(lowering, inputs[pieces[0].input], pieces[0].ranges, value.shape)
    around = _filling(lowering, inputs, pieces, value)
    if around is not None:
        return _surrounded(lowering, inputs[pieces[1].input], pieces[1].ranges, value.shape, around)
    buffer = lowering.buffer(value.shape, value.dtype)
    apart = are_apart(zero, pieces, value)
    if zero:
        nothing = lowering.number(0, value.dtype)
        whole = tuple((0, n, 1) for n in value.shape)
        _piece(lowering, buffer, nothing, whole, value, adds=False, ordered=True)
    for piece in pieces:
        if any(start >= stop for start, stop, _ in piece.ranges):
            continue
        x, shape = inputs[piece.input], _shape_of(piece.ranges)
        is_number = x.__class__ is not Value
        part = lowering.number(x, value.dtype) if is_number else lowering.broadcast(x, shape)
        _piece(lowering, buffer, part, piece.ranges, value, adds=piece.adds, ordered=not apart)
    return lowering.whole(buffer)


def _join(lowering: Lowering, value: Value) -> Expression:
    """A buffer in which most parts lie already, and copies of the others."""
    joins, found = lowering.joins, lowering.found
    given = [value.inputs[piece.input] for piece in pieces_of(value)[1]]
    buffer, layout = joins.place(value, found[id(given[0])], lowering.ordered)
    for number, (x, piece) in enumerate(zip(given, pieces_of(value)[1], strict=True)):
        if not joins.has(value, number) and 0 not in x.shape:
            part = sliced(piece.ranges)(layout)
            lowering.write(buffer, found[id(x)], tuple(x.shape), part, value)
    joins.filled.add(id(value))
    return lowering.make.load(buffer.number, layout, value.dtype)


def _filling(lowering: Lowering, inputs: Any, pieces: Any, value: Value) -> float | None:
    """The number around the one piece that is put into a constant tensor."""
    if len(pieces) != 2 or pieces[1].adds or any(r[2] != 1 for r in pieces[1].ranges):
        return None
    base, part = inputs[pieces[0].input], inputs[pieces[1].input]
    if base.__class__ is not Value or part.__class__ is not Value:
        return None
    x = lowering.found[id(base)]
    if tuple(base.shape) != tuple(value.shape) or x.kind != COMPUTE or len(x.inputs) != 1:
        return None
    known = x.what[0].kind == "source" and x.inputs[0].kind == CONSTANT
    inside = tuple(part.shape) == _shape_of(pieces[1].ranges)
    return x.inputs[0].what if known and inside else None


def _piece(
    lowering: Lowering,
    buffer: Buffer,
    x: Expression,
    ranges: Any,
    value: Value,
    *,
    adds: bool,
    ordered: bool,
) -> None:
    """Write or add `x` to a part of a buffer; `ordered` if others write to the same elements."""
    root = lowering.write(
        buffer, x, _shape_of(ranges), sliced(ranges)(contiguous(buffer.shape)), value
    )
    root.adds = adds
    root.after = (buffer,) if ordered else ()


def _surrounded(
    lowering: Lowering, x: Value, ranges: Any, shape: Shape, around: float = 0
) -> Expression:
    """A Value inside a larger space, and one number around it."""
    make, sizes = lowering.make, tuple(x.shape)
    starts = tuple(r[0] for r in ranges)
    rank = len(starts)
    units = [tuple(int(i == d) for i in range(rank)) for d in range(rank)]
    guards = tuple(
        Guard(Layout(units[d], -start), 0, n)
        for d, (start, n, whole) in enumerate(zip(starts, sizes, shape, strict=True))
        if n != whole
    )
    inner = make.relaid(lowering.found[id(x)], shifted(starts))
    if not guards:
        return inner
    return make.make(GUARDED, (guards, around), (inner,), inner.dtype)


def _shape_of(ranges: Any) -> Shape:
    return tuple(len(range(*r)) for r in ranges)
