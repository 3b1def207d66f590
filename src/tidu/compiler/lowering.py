"""What the rules of lowering work on: the expressions that have been found, and what is stored.

A rule is given a Value of which all inputs have an expression, and returns that of the Value. It
may store things on the way: make buffers, and roots that write to them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, TypeAlias

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.compiler.expressions import (
    ARGUMENT,
    COMPUTE,
    CONSTANT,
    LOAD,
    Expression,
    Expressions,
    usual_order,
)
from tidu.compiler.joins import Joins
from tidu.compiler.layouts import Layout, broadcast_to, contiguous, without_ones
from tidu.compiler.steps import Buffer, Root, Steps
from tidu.ir.argument import FloatArgument, IntArgument
from tidu.ir.op import Op, registry
from tidu.ir.value import Value


class Lowering:
    """Expressions by Value, and the steps and buffers so far."""

    def __init__(self, joins: Joins, vector_bytes: int) -> None:
        self.joins = joins
        self.vector_bytes = vector_bytes
        self.make = Expressions()
        self.steps = Steps()
        self.found: dict[int, Any] = {}  # by id of a Value: its expression, or a tuple of them
        # Copies of tensors with zeros around them, by expression and pads; see `images`.
        self.planes: dict[Any, Any] = {}

    def buffer(self, shape: Shape, d: dtype) -> Buffer:
        """Another buffer, in row-major order."""
        made = Buffer(len(self.steps.buffers), prod(shape), d, tuple(shape))
        self.steps.buffers.append(made)
        return made

    def whole(self, buffer: Buffer) -> Expression:
        """The elements of a buffer, in its own space."""
        return self.make.load(buffer.number, contiguous(buffer.shape), buffer.dtype)

    def buffer_of(self, x: Expression) -> Buffer:
        """The buffer that a load reads."""
        assert x.kind == LOAD
        number: int = x.what[0]
        return self.steps.buffers[number]

    def stored(self, value: Value) -> Buffer:
        """The buffer that holds a Value in row-major order, storing it if none does."""
        x = self.found[id(value)]
        if x.kind == LOAD and not x.what[2] and _is_whole(x.what[1], value.shape):
            buffer = self.buffer_of(x)
            if buffer.size == prod(value.shape):
                return buffer
        return self.buffer_of(self.store(value, x))

    def store(self, value: Value, x: Expression) -> Expression:
        """Make `x` a root; what reads the Value from now on loads it."""
        buffer = self.root(x, value.shape, value.dtype, value)
        made = self.found[id(value)] = self.whole(buffer)
        return made

    def ordered(self, value: Value, like: Expression, *, by_rows: bool) -> tuple[Buffer, Layout]:
        """A buffer for a Value in row-major order, or in the order of what `like` is made of."""
        shape = tuple(value.shape)
        order = tuple(range(len(shape))) if by_rows else usual_order(like, shape)
        buffer = self.buffer(tuple(shape[d] for d in order), value.dtype)
        strides = dict(zip(order, contiguous(buffer.shape).strides, strict=True))
        return buffer, Layout(tuple(strides[d] for d in range(len(shape))), 0)

    def root(self, x: Expression, shape: Shape, d: dtype, value: Value | None = None) -> Buffer:
        """A buffer in row-major order for the elements of `x`."""
        buffer = self.buffer(shape, d)
        self.write(buffer, x, tuple(shape), contiguous(shape), value)
        return buffer

    def write(
        self,
        buffer: Buffer,
        x: Expression,
        shape: Shape,
        layout: Layout,
        value: Value | None,
        *,
        around: bool = False,
    ) -> Root:
        """A root whose elements, one for each coordinate of `shape`, go where `layout` says."""
        space, squeeze = without_ones(shape)
        root = Root(buffer, space, self.make.relaid(x, squeeze), squeeze(layout), value=value)
        root.around = around
        self.steps.steps.append(root)
        return root

    def number(self, x: Any, like: dtype) -> Expression:
        """A Python number as the dtype holds it: a constant, or one that each run is given."""
        if isinstance(x, (FloatArgument, IntArgument)):
            kind = float if isinstance(x, FloatArgument) else int
            return self.make.make(ARGUMENT, (x.number, kind), (), like)
        if x is not None:
            x = bool(x) if like is dtypes.bool_ else float(x) if like.is_floating_point else int(x)
        return self.make.make(CONSTANT, x, (), like)

    def compute(
        self, op: Op, attrs: tuple[Any, ...], inputs: tuple[Expression, ...], d: dtype
    ) -> Expression:
        """What the scalar emission of an op makes of the inputs."""
        return self.make.make(COMPUTE, (op, attrs), inputs, d)

    def broadcast(self, x: Value, shape: Shape) -> Expression:
        """A Value in a space to which its shape broadcasts."""
        found: Expression = self.found[id(x)]
        if x.shape == shape:
            return found
        return self.make.relaid(found, broadcast_to(tuple(x.shape), tuple(shape)))

    def cast(self, x: Expression, d: dtype) -> Expression:
        return self.compute(registry["cast"], (d,), (x,), d)


def _is_whole(layout: Layout, shape: Shape) -> bool:
    """Whether elements lie in row-major order from the first on."""
    space, squeeze = without_ones(tuple(shape))
    return squeeze(layout) == contiguous(space)


# What gives a Value its expression; None if it cannot, with these arguments.
Rule: TypeAlias = Callable[[Lowering, Value, Op], Expression | None]
