"""Lowering of what computes or moves elements one by one: nodes of expressions, nothing stored."""

from __future__ import annotations

from tidu.base import dtypes
from tidu.compiler.expressions import IOTA, Expression
from tidu.compiler.layouts import Layout, UnviewableError, moved
from tidu.compiler.lowering import Lowering
from tidu.ir.op import Op
from tidu.ir.value import Value


def lower_elementwise(lowering: Lowering, value: Value, op: Op) -> Expression:
    """One node on top of the inputs, each broadcast to the shape of the result."""
    like = next(
        (x.dtype for x in value.inputs if x.__class__ is Value and x.dtype is not dtypes.bool_),
        value.dtype,
    )
    inputs = tuple(
        lowering.broadcast(x, value.shape) if x.__class__ is Value else lowering.number(x, like)
        for x in value.inputs
    )
    return lowering.compute(op, value.attrs, inputs, value.dtype)


def lower_movement(lowering: Lowering, value: Value, op: Op) -> Expression:
    """The input with other strides; stored first where strides cannot say the movement."""
    (x,) = value.inputs
    change = moved(op.layout, tuple(x.shape), value.attrs)  # type: ignore[arg-type]
    try:
        return lowering.make.relaid(lowering.found[id(x)], change)
    except UnviewableError:
        return lowering.make.relaid(lowering.store(x, lowering.found[id(x)]), change)


def lower_source(lowering: Lowering, value: Value, op: Op) -> Expression:
    """A number for every element, or a function of an element's place (`arange`)."""
    if op.kind == "source":
        (number,) = value.inputs
        like = dtypes.float64 if isinstance(number, float) else dtypes.int64
        if value.dtype.is_half and like is dtypes.float64:
            like = dtypes.float32
        return lowering.compute(op, value.attrs, (lowering.number(number, like),), value.dtype)
    index = lowering.make.make(IOTA, Layout((1,), 0), (), dtypes.int64)
    exact = all(isinstance(x, int) for x in value.inputs)
    like = dtypes.int64 if exact else dtypes.float64
    numbers = tuple(lowering.number(x, like) for x in value.inputs)
    if not exact:
        index = lowering.cast(index, dtypes.float64)
    return lowering.compute(op, value.attrs, (index, *numbers), value.dtype)


def lower_pick(lowering: Lowering, value: Value, op: Op) -> Expression:
    """One of the results of an op with several."""
    found: tuple[Expression, ...] = lowering.found[id(value.inputs[0])]
    number: int = value.attrs[0]
    return found[number]
