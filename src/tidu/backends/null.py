"""The null backend: every region goes through the compiler, up to the text of its kernels, and is
taken as run. Nothing is computed. For looking at graphs, programs and what compiling costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tidu.backends.base import Program
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.compiler.graph import Graph
from tidu.compiler.modules import modules
from tidu.compiler.pipeline import compile_graph
from tidu.compiler.steps import Buffer
from tidu.ir.value import Value

# As of a processor with AVX-512, so that the text is the same on every machine.
VECTOR_BYTES = 64


class NullProgram(Program):
    """A compiled region that has no machine code. What it gives is zero, in the right shapes."""

    def __init__(self, graph: Graph) -> None:
        self.plan = compile_graph(graph, VECTOR_BYTES)
        functions = self.plan.functions
        self.texts = [module.text for module in modules(functions, most=len(functions) or 1)]

    def run(self, leaves: Sequence[Any], numbers: Sequence[Any]) -> list[Any]:
        return [
            tuple(map(self._nothing, output))
            if output.__class__ is tuple
            else self._nothing(output)
            for output in self.plan.outputs
        ]

    def _nothing(self, number: int) -> Any:
        buffer: Buffer = self.plan.buffers[number]
        return nothing(buffer.shape, buffer.dtype)


class NullBackend:
    """Takes Values as run that are not compiled: those asked for one by one."""

    name = "null"

    def run(self, region: list[Value]) -> BaseException | None:
        for position, value in enumerate(region):
            region[position] = None  # type: ignore[call-overload]
            value.buffer = _nothing_of(value.shape, value.dtype)
            value.op, value.inputs, value.attrs = None, (), ()
        return None


def _nothing_of(shape: Any, d: Any) -> Any:
    if d.__class__ is tuple:
        return tuple(map(nothing, shape, d))
    return nothing(shape, d)


def nothing(shape: Shape, d: dtype) -> Any:
    """One zero, seen through strides of 0: the right shape and dtype, and no memory."""
    return np.broadcast_to(np.zeros((), d.numpy), shape)
