"""What is asked of each Value of a graph: by how many others, how often, and in which form."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from tidu.base import dtypes
from tidu.compiler.graph import Graph
from tidu.compiler.signatures import has_several, input_shapes
from tidu.ir.op import Op
from tidu.ir.value import Value


class Demands:
    """The uses of Values, by id; found before anything is lowered."""

    def __init__(self, graph: Graph, rule: Callable[[Op, Value], Any]) -> None:
        self.graph = graph
        self.uses: dict[int, int] = {}
        # How often all elements of a Value are read. A slice reads only some of them.
        self.readings: dict[int, float] = {}
        self.convolutions: dict[int, list[Value]] = {}  # those that read it
        self.in_memory: set[int] = set()  # Values that have to be stored for some reader
        self.whole_for: set[int] = set()  # those of them that lie in row-major order for it
        self.wanted: set[int] = set()  # results of the program
        for value in reversed(graph.values):
            self._count(value)
        for output in graph.outputs:
            self.wanted.update(map(id, output if output.__class__ is tuple else (output,)))
        for value in reversed(graph.values):
            self._find_stored(value, rule)

    def is_by_rows(self, value: Value) -> bool:
        """Whether a Value has to lie in row-major order once it is stored."""
        return id(value) in self.in_memory or id(value) in self.wanted

    def _count(self, value: Value) -> None:
        for x in value.inputs:
            if x.__class__ is Value:
                self.uses[id(x)] = self.uses.get(id(x), 0) + 1
                readings = self.readings.get(id(x), 0.0)
                self.readings[id(x)] = readings + self._readings(x, value)
                if is_convolution(value):
                    self.convolutions.setdefault(id(x), []).insert(0, value)

    def _readings(self, x: Value, reader: Value) -> float:
        """How often another Value reads all of `x`: of a slice, that is what reads the slice."""
        assert reader.op is not None
        if reader.op.layout is None or has_several(x) or prod(reader.shape) >= prod(x.shape):
            return 1.0
        return max(1.0, self.readings.get(id(reader), 0.0)) * prod(reader.shape) / prod(x.shape)

    def _find_stored(self, value: Value, rule: Callable[[Op, Value], Any]) -> None:
        """Which inputs have to be stored for a product, NumPy or an access by index.

        They are stored before anything moves their elements, so in their own order.
        """
        op = value.op
        assert op is not None
        read: tuple[Any, ...] = ()
        access = access_of(value, op)
        gathers = access is not None and access.value is None
        moves = op.layout is not None
        if gathers or (moves and id(value) in self.in_memory):
            read = value.inputs[:1]
        special = has_several(value) or is_empty(value) or rule(op, value) is None
        if special or op.kind == "contraction":
            read = value.inputs
        numbers = [id(x) for x in read if x.__class__ is Value]
        self.in_memory.update(numbers)
        if special or gathers or (moves and id(value) in self.whole_for):
            self.whole_for.update(numbers)


def access_of(value: Value, op: Op) -> Any:
    """The access by index that an operation is, if it is one with strides."""
    return None if op.indexed is None else op.indexed(input_shapes(value), *value.attrs)


def is_convolution(value: Value) -> bool:
    """Whether a Value is a convolution that is done by the kernels in `correlation`."""
    op = value.op
    assert op is not None
    if op.correlation is None or value.dtype not in (dtypes.float32, dtypes.float64):
        return False
    return not is_empty(value)


def is_empty(value: Value) -> bool:
    """Whether there is nothing to compute, or nothing to compute it from."""
    return 0 in value.shape or any(x.__class__ is Value and 0 in x.shape for x in value.inputs)
