"""The way from a graph to a plan: one list of named passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tidu.compiler import fuse, lower, program
from tidu.compiler.expressions import Expressions
from tidu.compiler.graph import Graph, expand
from tidu.compiler.program import Plan


class Pass(NamedTuple):
    name: str
    run: Callable[..., Any]


def compile_graph(graph: Graph, vector_bytes: int) -> Plan:
    """The plan for a captured region, for registers of so many bytes."""
    graph = expand(graph, lower.is_composite)
    lowering = lower.Lowering(graph)
    steps = lowering.run()
    make: Expressions = lowering.make
    fused = fuse.fuse(steps, make)
    return program.plan(steps, fused, make, vector_bytes)
