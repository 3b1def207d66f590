"""The way from a captured region to a plan: one list of named passes.

Each pass is a function from one form to the next and leaves the form that it was given as it was.
`tidu.compiler.graph.capture` makes the first form, `tidu.backends` make the last one run.
`tidu.compiler.verify` says what must hold of each form, `tidu.compiler.render` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from tidu.compiler import fuse, in_place, lower, partial, places, program, schedule
from tidu.compiler.expressions import Expressions
from tidu.compiler.fuse import Fused
from tidu.compiler.graph import Graph, expand
from tidu.compiler.program import Plan
from tidu.compiler.signatures import has_several
from tidu.compiler.steps import Steps


@dataclass(frozen=True, slots=True)
class Target:
    """What a plan depends on besides the region."""

    vector_bytes: int  # the width of vector registers; 0 asks for code without vectors


@dataclass(frozen=True, slots=True)
class Lowered:
    """What is stored, and the expression each of its elements is."""

    steps: Steps
    make: Expressions  # what made the expressions, and makes more of them
    numbers: tuple[type, ...]  # of each Python number that a run is given: float or int
    nested: bool  # whether a leaf is all the results of an op with several


@dataclass(frozen=True, slots=True)
class Merged:
    """The same, with roots gathered into kernels."""

    lowered: Lowered
    order: list[Fused]


class Pass(NamedTuple):
    """A step of the pipeline; in tests and in messages it goes by its name."""

    name: str
    run: Callable[[Any, Target], Any]


def _expand(graph: Graph, target: Target) -> Graph:
    return expand(graph, lower.is_composite)


def _lower(graph: Graph, target: Target) -> Lowered:
    steps, make = lower.lower(graph, target.vector_bytes)
    nested = any(map(has_several, graph.leaves))
    return Lowered(steps, make, tuple(graph.numbers), nested)


def _fuse(lowered: Lowered, target: Target) -> Merged:
    return Merged(lowered, fuse.fuse(lowered.steps, lowered.make))


def _part(merged: Merged, target: Target) -> Merged:
    lowered = merged.lowered
    steps, order = partial.in_parts(lowered.steps, merged.order, lowered.make)
    return Merged(replace(lowered, steps=steps), order)


def _plan(merged: Merged, target: Target) -> Plan:
    lowered = merged.lowered
    made = program.plan(lowered.steps, merged.order, lowered.make, target.vector_bytes)
    made.numbers, made.nested = lowered.numbers, lowered.nested
    made.calls = schedule.arrange(made.calls)
    places.place(made)
    in_place.find(made)
    return made


PASSES = (
    Pass("expand", _expand),  # Graph → Graph: composites become what they are made of
    Pass("lower", _lower),  # Graph → Lowered: movements become strides, operations expressions
    Pass("fuse", _fuse),  # Lowered → Merged: what runs over the same elements shares a kernel
    Pass("part", _part),  # Merged → Merged: large sums down columns become sums of sums
    Pass("plan", _plan),  # Merged → Plan: kernels become text, buffers get places, barriers
)

# Called with the name of each pass and the form it has made.
Watcher = Callable[[str, Any], None]
watchers: list[Watcher] = []


def forms(graph: Graph, vector_bytes: int) -> Iterator[tuple[str, Any]]:
    """The name of each pass, and what it makes of a captured region."""
    form: Any = graph
    target = Target(vector_bytes)
    for step in PASSES:
        form = step.run(form, target)
        for watch in watchers:
            watch(step.name, form)
        yield step.name, form


def compile_graph(graph: Graph, vector_bytes: int) -> Plan:
    """The plan for a captured region, for registers of so many bytes."""
    *_, (_, plan) = forms(graph, vector_bytes)
    assert isinstance(plan, Plan)
    return plan
