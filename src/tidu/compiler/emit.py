"""A kernel as LLVM IR: loops with explicit vectors in the innermost.

Sizes, strides and buffer numbers are parameters, so that kernels of the same structure are the same
text and are compiled once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

from tidu.compiler.accumulators import Accumulator
from tidu.compiler.expressions import Expressions
from tidu.compiler.fuse import Kernel, Place, place_of
from tidu.compiler.loops import LONG_SUM, Loops, coalesced, plan_loops
from tidu.compiler.steps import Root
from tidu.compiler.text import Blocks, Lines
from tidu.compiler.transpose import Axes, Transposition, exchanged
from tidu.compiler.values import KernelValues


@dataclass(slots=True)
class Emitted:
    """The text of a kernel without its name, and what this instance of it is called with.

    A parameter is a number, or ("slot", buffer) or ("argument", number), which are numbers once the
    program has given its buffers their slots.
    """

    body: str
    declarations: frozenset[str]
    parameters: list[Any]
    units: int
    work: int
    stored: set[int]
    kernel: Kernel  # as it was emitted: with neighboring dimensions joined
    loops: Loops


def emit(kernel: Kernel, make: Expressions, stored: set[int], vector_bytes: int) -> Emitted:
    """The text of `kernel`, of which the buffers in `stored` have to be written. Without
    `vector_bytes` it has no vectors.
    """
    kernel = coalesced(kernel, make)
    axes = exchanged(kernel, vector_bytes)
    if axes is not None:
        return _transposed(kernel, axes, vector_bytes)
    return _Emitter(kernel, stored, vector_bytes).run()


def _transposed(kernel: Kernel, axes: Axes, vector_bytes: int) -> Emitted:
    text = Transposition(kernel, axes, vector_bytes)
    text.write_text()
    units = text.plan.units
    work = max(1, 3 * prod(kernel.space) // units)
    return Emitted(
        text.body(), frozenset(text.declarations), text.parameters, units, work,
        kernel.writes(), kernel, text.plan,
    )  # fmt: skip


class _Emitter(KernelValues):
    """The loops over what is kept, and in them pass after pass over what is reduced."""

    def __init__(self, kernel: Kernel, stored: set[int], vector_bytes: int) -> None:
        super().__init__(kernel, plan_loops(kernel, vector_bytes), stored, vector_bytes)
        self.accumulators: dict[Place, Accumulator] = {}

    def run(self) -> Emitted:
        # The error of a sum grows with the number of its terms.
        in_blocks = not self.plan.swept and prod(map(self.trips, self.plan.inner)) > LONG_SUM
        for root in self.kernel.roots:
            if root.reduction is not None:
                blocks = in_blocks and not (root.reduction.ordered or root.reduction.lanes)
                self.accumulators[place_of(root)] = Accumulator(self, root, in_blocks=blocks)
        self.nest(0)
        plan = self.plan
        operations = 1 + self.kernel.operations + 2 * len(self.kernel.reads())
        return Emitted(
            self.body(),
            frozenset(self.declarations),
            self.parameters,
            plan.units,
            max(1, prod(self.kernel.space) * operations // max(plan.units, 1)),
            self.stored,
            self.kernel,
            plan,
        )

    def nest(self, depth: int) -> None:
        """The loops from `depth` inwards over what is kept, and the segments inside of them."""
        if depth == self.kept_depth:
            self.segments()
            return
        d = self.plan.outer[depth]
        self.loop(d, lambda: self.nest(depth + 1))

    def segments(self) -> None:
        """With all that is kept fixed: pass after pass over what is reduced."""
        self.finished = {}
        last = self.stages.last
        for number in range(last + 1):
            self.segment = number
            self.kept_results(number)
            full = [r for r in self.kernel.roots if self.runs_in(r, number)]
            if full:
                self.reduce(full)
        self.segment = last + 1
        self.kept_results(last + 1)

    def runs_in(self, root: Root, number: int) -> bool:
        return not self.stages.is_kept(root) and self.stages.of(root) == number

    def kept_results(self, number: int) -> None:
        """Roots of one element for each iteration over what is kept."""
        for root in self.kernel.roots:
            if self.stages.is_kept(root) and self.stages.of(root) == number:
                x = self.value(root.expression)
                self.finished[place_of(root)] = x
                if root.buffer.number in self.stored:
                    self.store(root, x)

    def reduce(self, roots: list[Root]) -> None:
        """One pass over what is reduced."""
        places = [place_of(root) for root in roots]
        accumulators = [self.accumulators[p] for p in places if p in self.accumulators]

        def start() -> None:
            for accumulator in accumulators:
                accumulator.start()

        def finish() -> None:
            for accumulator in accumulators:
                root, x = accumulator.root, accumulator.result()
                self.finished[place_of(root)] = x
                if root.buffer.number in self.stored:
                    self.store(root, x)

        self.for_accumulators(start)
        self.reduce_nest(0, roots)
        self.for_accumulators(finish)

    def for_accumulators(self, body: Callable[[], None]) -> None:
        """Something outside of the loops over what is reduced, for each accumulator of a row if
        there are rows of them.
        """
        d = self.plan.vector
        if not self.plan.swept or d is None:
            body()
            return
        inside, self.depth_of[d] = self.depth_of[d], self.kept_depth + 1
        self.loop(d, body)
        self.depth_of[d] = inside

    def reduce_nest(self, depth: int, roots: list[Root]) -> None:
        """The loops from `depth` inwards over what is reduced."""
        if depth < len(self.plan.inner):
            blocks = self.blocks(roots) if depth == 0 else None
            self.loop(self.plan.inner[depth], lambda: self.reduce_nest(depth + 1, roots), blocks)
            return
        for root in roots:
            if root.reduction is not None:
                self.accumulators[place_of(root)].accumulate()
            elif root.buffer.number in self.stored or root.scatter is not None:
                self.store(root, self.value(root.expression))

    def blocks(self, roots: list[Root]) -> Blocks | None:
        """How the outermost loop over what is reduced is cut, if there are long sums."""
        found = [self.accumulators.get(place_of(root)) for root in roots]
        summed = [x for x in found if x is not None and x.total is not None]
        if not summed:
            return None
        trips = [self.trips(d) for d in self.plan.inner]

        def after(lines: Lines) -> None:
            for accumulator in summed:
                accumulator.end_block(lines)

        return Blocks(max(1, isqrt(prod(trips)) // prod(trips[1:])), after)
