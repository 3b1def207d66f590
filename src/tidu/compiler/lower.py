"""From a graph of Values to steps: what is stored, and the expression each of its elements is.

Every Value gets an expression in the index space of its shape. Movements change its strides,
elementwise operations put a node on top; nothing is stored for either. A Value is stored (becomes a
`Root`) where it has to be: as a result of the region, as an operand of a matrix product, as the
result of a reduction, or where several others would compute it again.
"""

from __future__ import annotations

from math import prod
from typing import Any

from tidu.base import dtypes
from tidu.compiler.convolve import lower_correlation, place
from tidu.compiler.costs import is_cheap_to_repeat
from tidu.compiler.demands import Demands, is_convolution, is_empty
from tidu.compiler.destinations import write_at_destinations
from tidu.compiler.elementwise import (
    lower_elementwise,
    lower_movement,
    lower_pick,
    lower_source,
)
from tidu.compiler.expressions import LOAD, Expression, Expressions
from tidu.compiler.graph import Graph
from tidu.compiler.indexing import lower_indexing
from tidu.compiler.joins import Joins
from tidu.compiler.layouts import UnviewableError
from tidu.compiler.lowering import Lowering, Rule
from tidu.compiler.operands import lay_out
from tidu.compiler.pieces import lower_pieces
from tidu.compiler.products import lower_product
from tidu.compiler.reductions import lower_reduction
from tidu.compiler.repeats import repeat_what_is_far
from tidu.compiler.signatures import has_several, results_of
from tidu.compiler.steps import HostCall, Steps, Stored
from tidu.ir.op import Op
from tidu.ir.value import Value

# An expression of more operations than this is stored, whoever uses it.
_LARGEST = 48
# A smaller product is a loop among others: calling BLAS would cost more than the work.
_TINY_PRODUCT = 4096


def is_composite(value: Value) -> bool:
    """Whether an operation is taken apart before lowering."""
    op = value.op
    assert op is not None
    if op.decompose is None or op.emit is not None or is_convolution(value):
        return False
    return op.kind == "composite" or (op.kind == "contraction" and _is_tiny(value))


def _is_tiny(value: Value) -> bool:
    x, y = value.inputs
    return prod(value.shape) * x.shape[-1] <= _TINY_PRODUCT and 0 not in (*x.shape, *y.shape)


def rule_of(op: Op, value: Value) -> Rule | None:
    """How an operation is compiled, None if only NumPy can do it."""
    if op.kind == "pick":
        return lower_pick
    if is_convolution(value):
        return lower_correlation
    if op.kind == "elementwise" and op.emit is not None:
        by_value = value.inputs[-1].__class__ is Value
        if op.raises and value.dtype.category == dtypes.INTEGER and by_value:
            return None  # some integers are an error, which NumPy's function finds
        return lower_elementwise
    if op.layout is not None:
        return lower_movement
    if op.pieces is not None:
        return lower_pieces
    if op.kind == "reduction" and op.identity is not None:
        return lower_reduction
    if op.kind == "contraction":
        return lower_product
    if op.indexed is not None:
        return lower_indexing
    if op.kind in ("source", "range") and op.emit is not None:
        return lower_source
    return None


def lower(graph: Graph, vector_bytes: int) -> tuple[Steps, Expressions]:
    """The steps that compute a graph, and what made the expressions in them."""
    run = _Run(graph, vector_bytes)
    run.leaves()
    for value in graph.values:
        run.lower(value)
    run.outputs()
    steps, make = run.lowering.steps, run.lowering.make
    lay_out(steps, make, vector_bytes)
    write_at_destinations(steps, make)
    repeat_what_is_far(steps, make)
    return steps, make


class _Run:
    """Goes through a graph once, and decides of each Value whether it is stored."""

    def __init__(self, graph: Graph, vector_bytes: int) -> None:
        self.graph = graph
        self.demands = Demands(graph, rule_of)
        self.joins = Joins(self.demands, _is_elementwise)
        self.lowering = Lowering(self.joins, vector_bytes)

    def leaves(self) -> None:
        """Buffers for what the program is given."""
        lowering = self.lowering
        for leaf in self.graph.leaves:
            buffers = [lowering.buffer(shape, d) for shape, d in results_of(leaf)]
            lowering.steps.leaves += buffers
            made = tuple(map(lowering.whole, buffers))
            # What has several results is read one by one.
            lowering.found[id(leaf)] = made if has_several(leaf) else made[0]
        for constant in self.graph.constants:
            buffer = lowering.buffer(constant.shape, constant.dtype)
            lowering.steps.constants[buffer.number] = constant.buffer
            lowering.found[id(constant)] = lowering.whole(buffer)

    def outputs(self) -> None:
        """Store what the program returns, where that has not been done."""
        lowering = self.lowering
        for output in self.graph.outputs:
            made: Any
            if output.__class__ is tuple:
                made = tuple(map(lowering.stored, output))
            elif has_several(output):
                made = tuple(map(lowering.buffer_of, lowering.found[id(output)]))
            else:
                made = lowering.stored(output)
            lowering.steps.outputs.append(made)

    def lower(self, value: Value) -> None:
        """Give a Value its expression, and store it if that is better or necessary."""
        op, lowering, demands = value.op, self.lowering, self.demands
        assert op is not None
        rule = None
        if not has_several(value) and not is_empty(value):
            rule = rule_of(op, value)
        try:
            made = None if rule is None else rule(lowering, value, op)
        except UnviewableError:
            made = None
        if made is None:
            made = self.host(value, op)
        lowering.found[id(value)] = made
        if made.__class__ is tuple or made.kind == LOAD:
            return
        made.position = made.position or value.position
        readers = demands.convolutions.get(id(value), [])
        if readers and id(value) not in demands.wanted and place(lowering, value, readers):
            return
        if id(value) in self.joins.parts:
            self.store_part(value, made)
            return
        # A single number that is wanted, a loss, is there early: somebody may wait for it.
        is_loss = id(value) in demands.wanted and prod(value.shape) == 1
        stays = id(value) in demands.in_memory or made.size > _LARGEST or is_loss
        if stays or not self.repeats(value, made):
            self.store_ordered(value, made)

    def repeats(self, value: Value, made: Expression) -> bool:
        """Whether all that use a Value compute it for themselves."""
        if self.demands.uses.get(id(value), 0) <= 1:
            return True
        space, readings = tuple(value.shape), self.demands.readings[id(value)]
        return is_cheap_to_repeat(made, space, readings)

    def store_part(self, value: Value, x: Expression) -> None:
        """Make `x` a root that is written to its place in a join."""
        lowering = self.lowering
        buffer, layout = self.joins.place(value, x, lowering.ordered)
        lowering.write(buffer, x, tuple(value.shape), layout, value)
        lowering.found[id(value)] = lowering.make.load(buffer.number, layout, value.dtype)
        self.joins.filled.add(id(value))

    def store_ordered(self, value: Value, x: Expression) -> None:
        """Make `x` a root, in the order in which what it is made of lies in memory."""
        lowering, by_rows = self.lowering, self.demands.is_by_rows(value)
        buffer, layout = lowering.ordered(value, x, by_rows=by_rows)
        lowering.write(buffer, x, tuple(value.shape), layout, value)
        lowering.found[id(value)] = lowering.make.load(buffer.number, layout, value.dtype)

    def host(self, value: Value, op: Op) -> Any:
        """A call of the NumPy function, with everything in memory."""
        lowering = self.lowering
        inputs: list[Any] = []
        for x in value.inputs:
            if x.__class__ is not Value:
                inputs.append(x)
            elif has_several(x):
                buffers = map(lowering.buffer_of, lowering.found[id(x)])
                inputs.append(tuple(Stored(b, b.shape) for b in buffers))
            else:
                inputs.append(Stored(lowering.stored(x), tuple(x.shape)))
        results = tuple(lowering.buffer(shape, d) for shape, d in results_of(value))
        lowering.steps.steps.append(HostCall(value, tuple(inputs), results))
        made = tuple(map(lowering.whole, results))
        return made if has_several(value) else made[0]


def _is_elementwise(value: Value) -> bool:
    return value.op is not None and rule_of(value.op, value) is lower_elementwise
