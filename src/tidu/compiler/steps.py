"""What lowering gives: buffers, and the steps that fill them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.compiler.expressions import Expression, Index
from tidu.compiler.layouts import Layout
from tidu.compiler.plain import UNWRITTEN
from tidu.ir.op import Op
from tidu.ir.value import Value


@dataclass(slots=True)
class Buffer:
    """Memory that the program reads or writes, in row-major order."""

    number: int
    size: int
    dtype: dtype
    shape: Shape


@dataclass(slots=True)
class Scatter:
    """Where the elements go when expressions say it: like a load with indices, but written."""

    layout: Layout
    indices: tuple[Index, ...]
    places: tuple[Expression, ...]
    sequential: frozenset[int]  # dimensions along which two elements may meet in one place


@dataclass(slots=True)
class Root:
    """One buffer's elements as an expression over `space`, reduced over the dimensions `reduced`.

    `store` says where an element goes: a layout over the whole space, with stride 0 along what is
    reduced.
    """

    buffer: Buffer
    space: Shape
    expression: Expression
    store: Layout
    reduced: frozenset[int] = frozenset()
    reduction: Op | None = None
    adds: bool = False  # to what is there
    scatter: Scatter | None = None
    value: Value | None = None
    # Buffers that have to be written before, although no expression reads them.
    after: tuple[Buffer, ...] = ()
    # Whether this is what lies around the elements that another root of the buffer writes.
    around: bool = False
    # Of what is computed again: a buffer that is written before, so that this is not too soon.
    not_before: Buffer | None = None


@dataclass(slots=True)
class Operand:
    """A matrix, or a batch of them, in a buffer, as BLAS is told of it."""

    buffer: Buffer
    offset: int
    transposed: bool
    leading: int  # distance of rows (of columns where transposed), in elements
    batch: tuple[int, ...]  # strides


@dataclass(slots=True)
class Product:
    """A batch of matrix products, c = a · b, of (m, k) and (k, n)."""

    m: int
    n: int
    k: int
    batch: Shape
    a: Operand
    b: Operand
    c: Operand
    dtype: dtype
    value: Value | None = None


@dataclass(slots=True)
class Correlate:
    """A convolution, or one of its derivatives, by one of the kernels in `correlation`.

    The slots among its parameters are numbers of buffers.
    """

    kernel: str
    text: Callable[[], str] = field(metadata=UNWRITTEN)
    params: Any
    reads: tuple[Buffer, ...]
    written: Buffer
    work: int
    value: Value


@dataclass(slots=True)
class Stored:
    """What a host call reads: a buffer, and the shape in which it is meant."""

    buffer: Buffer
    shape: Shape


@dataclass(slots=True)
class HostCall:
    """An operation done by its NumPy function, between native segments."""

    value: Value
    # `Stored` or a tuple of them for Values, numbers of arguments, constants
    inputs: tuple[Any, ...]
    results: tuple[Buffer, ...]


Step = Root | Product | Correlate | HostCall


@dataclass(slots=True)
class Steps:
    """What lowering gives: steps in order, and which buffers hold leaves and outputs."""

    steps: list[Step] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    leaves: list[Buffer] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)  # by buffer: its numbers
    outputs: list[Any] = field(default_factory=list)  # Buffers, or tuples of them

    def output_buffers(self) -> set[int]:
        """The numbers of the buffers that hold outputs."""
        return {b.number for x in self.outputs for b in (x if x.__class__ is tuple else (x,))}


def loaded(root: Root) -> frozenset[int]:
    """The buffers that a root reads."""
    places = () if root.scatter is None else root.scatter.places
    return root.expression.buffers.union(*(place.buffers for place in places))


def host_buffers(call: HostCall) -> Iterator[Buffer]:
    """The buffers that a call of a NumPy function reads."""
    for x in call.inputs:
        if x.__class__ is tuple:
            yield from (y.buffer for y in x)
        elif isinstance(x, Stored):
            yield x.buffer


def touched(step: Step) -> frozenset[int]:
    """The buffers that a step reads."""
    if isinstance(step, Product):
        return frozenset((step.a.buffer.number, step.b.buffer.number))
    if isinstance(step, Correlate):
        return frozenset(b.number for b in step.reads)
    if isinstance(step, HostCall):
        return frozenset(b.number for b in host_buffers(step))
    return loaded(step)


def written_by(step: Step) -> tuple[Buffer, ...]:
    """The buffers that a step writes."""
    if isinstance(step, HostCall):
        return step.results
    if isinstance(step, Product):
        return (step.c.buffer,)
    return (step.written if isinstance(step, Correlate) else step.buffer,)
