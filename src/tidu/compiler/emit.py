"""A kernel as LLVM IR: loops with explicit vectors in the innermost.

Sizes, strides and buffer numbers are parameters, so that kernels of the same structure are the same
text and are compiled once. Every value is computed in the outermost loop in which all that it
depends on is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.compiler.access import Condition, KernelMemory, memory_type
from tidu.compiler.costs import cost
from tidu.compiler.expressions import (
    ARGUMENT,
    CONSTANT,
    GUARDED,
    IOTA,
    LOAD,
    Expression,
    Expressions,
    Layout,
)
from tidu.compiler.fuse import Kernel, Place, place_of, root_loads
from tidu.compiler.loops import Loops, coalesced, plan_loops
from tidu.compiler.scalars import Register
from tidu.compiler.steps import Root
from tidu.compiler.text import Blocks, Level, Lines
from tidu.compiler.transpose import Axes, Transposition, exchanged

# So many instructions are repeated rather than stored and read again by a later pass.
_CHEAP = 6
# A sum of more terms in a row than this is cut: the error of a sum grows with their number.
_LONG_SUM = 128


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
    checks: bool  # whether an index may be out of range
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
        kernel.writes(), False, kernel, text.plan,
    )  # fmt: skip


class _Emitter(KernelMemory):
    """Passes over what is reduced, and the values that are computed in them."""

    def __init__(self, kernel: Kernel, stored: set[int], vector_bytes: int) -> None:
        super().__init__(kernel, plan_loops(kernel, vector_bytes), vector_bytes)
        self.roots = {place_of(root): root for root in kernel.roots}
        self.stages: dict[int, int] = {}
        self.repeated: dict[Place, bool] = {}
        self.stored = stored | self.revisited()
        self.kept_depth = len(self.plan.outer)
        self.segment = 0
        self.finished: dict[Place, Register] = {}  # what a reduction came to
        self.accumulators: dict[Place, tuple[str, dtype]] = {}
        self.totals: dict[Place, str] = {}  # what the blocks of a long sum have come to

    def run(self) -> Emitted:
        for root in self.kernel.roots:
            if root.reduction is not None:
                self.make_accumulator(root)
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
            self.checks,
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
        last = max((self.stage_of(root) for root in self.kernel.roots), default=0)
        for number in range(last + 1):
            self.segment = number
            self.kept_results(number)
            full = [r for r in self.kernel.roots if self.runs_in(r, number)]
            if not full:
                continue
            for root in full:
                if root.reduction is not None:
                    self.start(root)
            self.reduce_nest(0, full)
            for root in full:
                if root.reduction is not None:
                    self.finish(root)
        self.segment = last + 1
        self.kept_results(last + 1)

    def is_kept(self, root: Root) -> bool:
        """Whether a root has one element for each iteration over what is kept."""
        return (
            bool(self.plan.inner)
            and root.reduction is None
            and not any(root.store.strides[d] for d in self.plan.inner)
        )

    def runs_in(self, root: Root, number: int) -> bool:
        return not self.is_kept(root) and self.stage_of(root) == number

    def stage_of(self, root: Root) -> int:
        return self.stage(root.expression)

    def stage(self, x: Expression) -> int:
        """How many reductions have to be complete before `x` can be computed."""
        found = self.stages.get(x.number)
        if found is None:
            found = max((self.stage(y) for y in x.inputs), default=0)
            root = self.roots.get(x.what[:2]) if x.kind == LOAD else None
            if root is not None and root.scatter is None and not root.after:
                found = self.stage(root.expression) + (root.reduction is not None)
            self.stages[x.number] = found
        return found

    def revisited(self) -> set[int]:
        """Roots that a later pass over what is reduced needs again, and that cost too much to
        compute twice.
        """
        found = set()
        for root in self.kernel.roots:
            for load in root_loads(root):
                other = self.roots.get(load.what[:2])
                if (
                    other is not None
                    and other.reduction is None
                    and not self.is_repeated(other)
                    and self.stage_of(other) < self.stage_of(root)
                ):
                    found.add(load.what[0])
        return found

    def is_repeated(self, root: Root) -> bool:
        """Whether a later pass computes what a root stores rather than reading it."""
        place = place_of(root)
        found = self.repeated.get(place)
        if found is None:
            instructions = cost(root.expression, self.kernel.space).instructions
            found = self.repeated[place] = instructions <= _CHEAP
        return found

    def kept_results(self, number: int) -> None:
        for root in self.kernel.roots:
            if self.is_kept(root) and self.stage_of(root) == number:
                x = self.value(root.expression)
                self.finished[place_of(root)] = x
                if root.buffer.number in self.stored:
                    self.store(root, x)

    def reduce_nest(self, depth: int, roots: list[Root]) -> None:
        if depth < len(self.plan.inner):
            blocks = self.blocks(roots) if depth == 0 else None
            self.loop(self.plan.inner[depth], lambda: self.reduce_nest(depth + 1, roots), blocks)
            return
        for root in roots:
            if root.reduction is not None:
                self.accumulate(root)
            elif root.buffer.number in self.stored or root.scatter is not None:
                self.store(root, self.value(root.expression))

    def blocks(self, roots: list[Root]) -> Blocks | None:
        """How the outermost loop over what is reduced is cut, if there are long sums."""
        summed = [r for r in roots if place_of(r) in self.totals]
        if not summed:
            return None
        trips = [self.trips(d) for d in self.plan.inner]

        def after(lines: Lines) -> None:
            for root in summed:
                self.total(root, lines)

        return Blocks(max(1, isqrt(prod(trips)) // prod(trips[1:])), after)

    def trips(self, d: int) -> int:
        return -(-self.kernel.space[d] // (self.plan.lanes if d == self.plan.vector else 1))

    def reduces_lanes(self) -> bool:
        return self.plan.lanes > 1 and self.plan.vector in self.kernel.reduced

    def accumulator_lanes(self) -> int:
        vector = self.plan.vector
        return self.plan.lanes if vector is not None else 1

    def make_accumulator(self, root: Root) -> None:
        kind = root.expression.dtype
        kind = dtypes.float32 if kind.is_half else kind
        scalars = self.scalars(self.entry, self.accumulator_lanes())
        name = self.line(self.entry, f"alloca {scalars.type_of(kind)}")
        self.accumulators[place_of(root)] = (name, kind)
        if kind.is_floating_point and prod(map(self.trips, self.plan.inner)) > _LONG_SUM:
            total = self.line(self.entry, f"alloca {scalars.type_of(kind)}")
            self.totals[place_of(root)] = total

    def start(self, root: Root) -> None:
        name, kind = self.accumulators[place_of(root)]
        assert root.reduction is not None and root.reduction.identity is not None
        lines = self.levels[-1].lines
        scalars = self.scalars(lines, self.accumulator_lanes())
        neutral = scalars.constant(root.reduction.identity(kind), kind)
        lines.append(f"store {scalars.type_of(kind)} {neutral.name}, ptr {name}")
        total = self.totals.get(place_of(root))
        if total is not None:
            lines.append(f"store {scalars.type_of(kind)} {neutral.name}, ptr {total}")

    def total(self, root: Root, lines: Lines) -> Register:
        """Put what has been accumulated to the total, and begin anew."""
        name, kind = self.accumulators[place_of(root)]
        assert root.reduction is not None and root.reduction.emit is not None
        assert root.reduction.identity is not None
        total = self.totals[place_of(root)]
        scalars = self.scalars(lines, self.accumulator_lanes())
        of = scalars.type_of(kind)
        sums = [Register(self.line(lines, f"load {of}, ptr {x}"), kind) for x in (total, name)]
        made: Register = root.reduction.emit(scalars, *sums)
        neutral = scalars.constant(root.reduction.identity(kind), kind)
        lines.append(f"store {of} {made.name}, ptr {total}")
        lines.append(f"store {of} {neutral.name}, ptr {name}")
        return made

    def accumulate(self, root: Root) -> None:
        name, kind = self.accumulators[place_of(root)]
        assert root.reduction is not None and root.reduction.emit is not None
        lanes = self.accumulator_lanes()
        lines = self.levels[-1].lines
        x = self.value(root.expression)
        if x.dtype.is_half:
            x = self.converted(x, root.expression, kind)
        x = self.to_lanes(x, root.expression)
        scalars = self.scalars(lines, lanes)
        of = scalars.type_of(kind)
        before = Register(self.line(lines, f"load {of}, ptr {name}"), kind)
        after = root.reduction.emit(scalars, before, x)
        if self.mask is not None and self.reduces_lanes():
            after = scalars.select(Register(self.mask, dtypes.bool_), after, before)
        lines.append(f"store {of} {after.name}, ptr {name}")

    def finish(self, root: Root) -> None:
        name, kind = self.accumulators[place_of(root)]
        assert root.reduction is not None and root.reduction.emit is not None
        lines = self.levels[-1].lines
        lanes = self.accumulator_lanes()
        scalars = self.scalars(lines, lanes)
        if place_of(root) in self.totals:
            x = self.total(root, lines)
        else:
            x = Register(self.line(lines, f"load {scalars.type_of(kind)}, ptr {name}"), kind)
        if self.reduces_lanes():
            while lanes > 1:
                half = lanes // 2
                of = scalars.type_of(kind)
                low, high = (
                    Register(
                        self.line(
                            lines,
                            f"shufflevector {of} {x.name}, {of} poison, <{half} x i32> "
                            f"<{', '.join(f'i32 {start + i}' for i in range(half))}>",
                        ),
                        kind,
                    )
                    for start in (0, half)
                )
                lanes = half
                scalars = self.scalars(lines, lanes)
                if lanes == 1:
                    low, high = (
                        Register(
                            self.line(
                                lines,
                                f"extractelement <1 x {scalars.type_of(kind)}> {y.name}, i64 0",
                            ),
                            kind,
                        )
                        for y in (low, high)
                    )
                x = root.reduction.emit(scalars, low, high)
        if kind is not root.buffer.dtype:
            x = scalars.cast(x, root.buffer.dtype)
        self.finished[place_of(root)] = x
        if root.buffer.number in self.stored:
            self.store(root, x)

    def depth(self, x: Expression) -> int:
        """The number of loops inside of which `x` is known."""
        key = ("depth", x.number, self.segment)
        found = self.roles.get(key)
        if found is not None:
            return int(found)
        depth = 0
        if x.kind == LOAD:
            root = self.own(x)
            if root is not None:
                depth = (
                    self.kept_depth
                    if root.reduction is not None or self.is_kept(root)
                    else self.depth(root.expression)
                )
            else:
                depth = self.layout_depth(x.what[1])
        elif x.kind == IOTA:
            depth = self.layout_depth(x.what)
        elif x.kind == GUARDED:
            depth = max((self.layout_depth(g.layout) for g in x.what[0]), default=0)
        for y in x.inputs:
            depth = max(depth, self.depth(y))
        self.roles[key] = str(depth)
        return depth

    def varies(self, x: Expression) -> bool:
        """Whether the lanes of `x` differ."""
        vector = self.plan.vector
        if vector is None or self.plan.lanes == 1:
            return False
        key = ("varies", x.number, self.segment)
        found = self.roles.get(key)
        if found is None:
            result = any(self.varies(y) for y in x.inputs)
            if x.kind == LOAD:
                root = self.own(x)
                if root is not None:
                    result = (
                        vector not in self.kernel.reduced
                        if root.reduction is not None
                        else self.varies_kept(root)
                        if self.is_kept(root)
                        else self.varies(root.expression)
                    )
                else:
                    result = result or bool(x.what[1].strides[vector])
            elif x.kind == IOTA:
                result = bool(x.what.strides[vector])
            elif x.kind == GUARDED:
                result = result or any(g.layout.strides[vector] for g in x.what[0])
            found = self.roles[key] = "1" if result else ""
        return bool(found)

    def varies_kept(self, root: Root) -> bool:
        """The same of a root that was computed once, in the segment in which that was done."""
        segment, self.segment = self.segment, self.stage_of(root)
        found = self.varies(root.expression)
        self.segment = segment
        return found

    def own(self, x: Expression) -> Root | None:
        """The root of this kernel whose element of this iteration a load asks for."""
        root = self.roots.get(x.what[:2])
        if root is None or root.scatter is not None or root.after:
            return None
        if root.reduction is None and not self.is_kept(root):
            number = root.buffer.number
            passed = self.stage_of(root) < self.segment
            if passed and number in self.stored and not self.is_repeated(root):
                return None  # it was stored in a pass before this one
        return root

    def value(self, x: Expression) -> Register:
        """The register that holds `x`, computed in the outermost loop where that is possible."""
        if x.kind == LOAD:
            root = self.own(x)
            if root is not None:
                done = self.finished.get(x.what[:2])
                return done if done is not None else self.value(root.expression)
        depth = self.depth(x)
        if self.guard:
            depth = max(depth, max(g.depth for g in self.guard))
        # What one pass computes, a later one may read from memory, lane by lane.
        key = (x.number, self.varies(x), tuple(g.number for g in self.guard) if self.guard else ())
        for level in self.levels[: depth + 1]:
            found = level.known.get(key)
            if found is not None:
                assert isinstance(found, Register)
                return found
        made = self.compute(x, self.levels[depth])
        self.levels[depth].known[key] = made
        return made

    def compute(self, x: Expression, level: Level) -> Register:
        if x.kind == CONSTANT:
            if x.what is None:
                return Register("none", x.dtype)
            return self.scalars(level.lines, 1).constant(x.what, x.dtype)
        if x.kind == ARGUMENT:
            return self.argument(x)
        if x.kind == LOAD:
            return self.load(x, level)
        if x.kind == IOTA:
            return self.iota(x.what, level)
        if x.kind == GUARDED:
            return self.guarded(x)
        return self.operation(x, level)

    def argument(self, x: Expression) -> Register:
        number, kind = x.what
        slot = self.table(("argument", number), ("argument", number))
        given = dtypes.float64 if kind is float else dtypes.int64
        of = "double" if kind is float else "i64"
        register = Register(self.line(self.entry, f"load {of}, ptr {slot}"), given)
        if x.dtype is given:
            return register
        return self.scalars(self.entry, 1).cast(register, x.dtype)

    def operation(self, x: Expression, level: Level) -> Register:
        op, attrs = x.what
        lanes = self.plan.lanes if self.varies(x) else 1
        inputs = [self.value(y) for y in x.inputs]
        scalars = self.scalars(level.lines, lanes)
        given: list[Any] = []
        for y, register in zip(x.inputs, inputs, strict=True):
            if y.kind == CONSTANT and y.what is None:
                given.append(None)
                continue
            if register.dtype.is_half:
                register = self.converted(register, y, dtypes.float32)
            if lanes > 1 and not self.varies(y):
                register = self.splat(register, y, level)
            given.append(register)
        made: Register = op.emit(scalars, *given, *attrs)
        if made.dtype is not x.dtype:
            made = scalars.cast(made, x.dtype)
        return made

    def converted(self, x: Register, of: Expression, to: dtype) -> Register:
        """A register that holds `of`, in another dtype, where `of` itself was computed."""
        home = self.levels[min(self.depth_with(of), len(self.levels) - 1)]
        key = ("converted", x.name, to)
        found = home.known.get(key)
        if found is None:
            found = home.known[key] = self.cast(x, to, self.varies(of), home.lines)
        assert isinstance(found, Register)
        return found

    def cast(self, x: Register, to: dtype, varies: bool, lines: Lines) -> Register:
        return self.scalars(lines, self.plan.lanes if varies else 1).cast(x, to)

    def to_lanes(self, x: Register, of: Expression) -> Register:
        if self.accumulator_lanes() > 1 and not self.varies(of):
            return self.splat(x, of, self.levels[-1])
        return x

    def splat(self, x: Register, of: Expression, level: Level) -> Register:
        """A number that all lanes share, in every lane."""
        if of.kind == CONSTANT:
            return self.scalars(level.lines, self.plan.lanes).constant(of.what, x.dtype)
        home = self.levels[min(self.depth_with(of), self.levels.index(level))]
        key = ("splat", x.name, x.dtype)
        found = home.known.get(key)
        if found is None:
            kind = self.scalars(home.lines, 1).type_of(x.dtype)
            text = self.splat_text(home.lines, x.name, kind, self.plan.lanes)
            found = home.known[key] = Register(text, x.dtype)
        assert isinstance(found, Register)
        return found

    def iota(self, layout: Layout, level: Level) -> Register:
        if self.along(layout):
            return Register(self.lane_offsets(layout, level.lines), dtypes.int64)
        return Register(self.offset(layout), dtypes.int64)

    def guarded(self, x: Expression) -> Register:
        """The inner value where the guards hold; where they do not, nothing of it is read."""
        guards, fill = x.what
        outer = self.guard
        condition, depth, varies = self.condition(x.number, guards)
        self.guard = (*outer, Condition(x.number, depth, condition, varies))
        inner = self.value(x.inputs[0])
        self.guard = outer
        level = self.levels[self.depth_with(x)]
        lanes = self.plan.lanes if self.varies(x) else 1
        lane_kind = inner.dtype
        if lanes > 1 and not self.varies(x.inputs[0]):
            inner = Register(
                self.splat_text(
                    level.lines, inner.name, self.scalars(level.lines, 1).type_of(lane_kind), lanes
                ),
                lane_kind,
            )
        scalars = self.scalars(level.lines, lanes)
        if lanes > 1 and not varies:
            condition = self.splat_text(level.lines, condition, "i1", lanes)
        otherwise = scalars.constant(fill, lane_kind)
        return scalars.select(Register(condition, dtypes.bool_), inner, otherwise)

    def depth_with(self, x: Expression) -> int:
        depth = self.depth(x)
        return max([depth, *(g.depth for g in self.guard)])

    def condition(self, number: int, guards: Any) -> tuple[str, int, bool]:
        """Whether all guards hold: the register, its depth, and whether lanes differ."""
        depth = max(self.layout_depth(g.layout) for g in guards)
        varies = any(self.along(g.layout) for g in guards)
        level = self.levels[depth]
        key = ("condition", number)
        found = level.known.get(key)
        if found is None:
            lanes = self.plan.lanes if varies else 1
            of = "i64" if lanes == 1 else f"<{lanes} x i64>"
            bit = "i1" if lanes == 1 else f"<{lanes} x i1>"
            for place, guard in enumerate(guards):
                at = (
                    self.lane_offsets(guard.layout, level.lines)
                    if lanes > 1
                    else self.offset(guard.layout)
                )
                low = self.parameter(("low", guard), guard.low)
                width = self.parameter(("width", guard), guard.high - guard.low)
                if lanes > 1:
                    low = self.splat_text(level.lines, low, "i64", lanes)
                    width = self.splat_text(level.lines, width, "i64", lanes)
                shifted = self.line(level.lines, f"sub {of} {at}, {low}")
                inside = self.line(level.lines, f"icmp ult {of} {shifted}, {width}")
                found = self.line(level.lines, f"and {bit} {found}, {inside}") if place else inside
            level.known[key] = found  # type: ignore[assignment]
        assert isinstance(found, str)
        return found, depth, varies

    def load(self, x: Expression, level: Level) -> Register:
        buffer, layout, indices = x.what
        lines = level.lines
        lanes = self.plan.lanes if self.varies(x) else 1
        kind = memory_type(x.dtype)
        base = self.pointer(buffer)
        mask = self.active(lines, lanes)
        if indices:
            offset, gathers = self.dynamic(layout, indices, x.inputs, level, lanes, mask, x)
        else:
            offset, gathers = self.offset(layout), lanes > 1 and self.along(layout) != 1
            spacing = self.spacing(layout, kind) if gathers else 0
            if spacing:
                name = self.spaced_load(lines, kind, base, offset, spacing, mask)
                return self.as_bits(lines, name, x.dtype, lanes)
            if gathers:
                offset = self.lane_offsets(layout, lines)
        if lanes > 1 and gathers:
            name = self.gather(lines, kind, base, offset, lanes, mask)
        else:
            name = self.contiguous_load(lines, kind, base, offset, lanes, mask)
        return self.as_bits(lines, name, x.dtype, lanes)

    def dynamic(
        self,
        layout: Layout,
        indices: Any,
        places: tuple[Expression, ...],
        level: Level,
        lanes: int,
        mask: str | None,
        what: Any,
    ) -> tuple[str, bool]:
        """Offsets with indices that were computed, each checked against the size it indexes."""
        lines = level.lines
        spread = lanes > 1 and (
            any(self.varies(p) for p in places) or self.along(layout) not in (0, 1)
        )
        spread = spread or (lanes > 1 and self.along(layout) == 0)
        width = lanes if spread else 1
        of = "i64" if width == 1 else f"<{width} x i64>"
        bit = "i1" if width == 1 else f"<{width} x i1>"
        offset = self.lane_offsets(layout, lines) if spread else self.offset(layout)
        for place, index in zip(places, indices, strict=True):
            register = self.value(place)
            if register.dtype is not dtypes.int64:
                register = self.cast(register, dtypes.int64, self.varies(place), lines)
            name = register.name
            if width > 1 and not self.varies(place):
                name = self.splat_text(lines, name, "i64", width)
            size = self.parameter(("index size", what, index, place.number), index.size)
            stride = self.parameter(("index stride", what, index, place.number), index.stride)
            if width > 1:
                size = self.splat_text(lines, size, "i64", width)
                stride = self.splat_text(lines, stride, "i64", width)
            zero = "0" if width == 1 else "zeroinitializer"
            if index.wraps:
                negative = self.line(lines, f"icmp slt {of} {name}, {zero}")
                wrapped = self.line(lines, f"add {of} {name}, {size}")
                name = self.line(lines, f"select {bit} {negative}, {of} {wrapped}, {of} {name}")
            inside = self.line(lines, f"icmp ult {of} {name}, {size}")
            self.check(lines, inside, mask, width, lanes)
            name = self.line(lines, f"select {bit} {inside}, {of} {name}, {of} {zero}")
            term = self.line(lines, f"mul {of} {name}, {stride}")
            offset = self.line(lines, f"add {of} {offset}, {term}")
        return offset, spread

    def store(self, root: Root, x: Register) -> None:
        level = self.levels[-1]
        lines = level.lines
        varies = (
            self.varies(root.expression)
            if root.reduction is None
            else (self.plan.lanes > 1 and self.plan.vector not in self.kernel.reduced)
        )
        layout = root.store if root.scatter is None else root.scatter.layout
        lanes = self.plan.lanes if self.along(layout) else 1
        if root.scatter is not None and any(self.varies(p) for p in root.scatter.places):
            lanes = self.plan.lanes
        if x.dtype is not root.buffer.dtype:
            x = self.cast(x, root.buffer.dtype, varies, lines)
        if lanes > 1 and not varies:
            kind = self.scalars(lines, 1).type_of(x.dtype)
            x = Register(self.splat_text(lines, x.name, kind, lanes), x.dtype)
        mask = self.active(lines, lanes)
        kind = memory_type(root.buffer.dtype)
        base = self.pointer(root.buffer.number)
        gathers = lanes > 1 and self.along(layout) != 1
        if root.scatter is not None:
            scatter = root.scatter
            offset, gathers = self.dynamic(
                layout, scatter.indices, scatter.places, level, lanes, mask, root.buffer.number
            )
        elif gathers and self.spacing(layout, kind):
            self.spaced_store(root, kind, base, mask, x)
            return
        else:
            offset = self.lane_offsets(layout, lines) if gathers else self.offset(layout)
        if root.adds:
            before = (
                self.gather(lines, kind, base, offset, lanes, mask)
                if gathers
                else self.contiguous_load(lines, kind, base, offset, lanes, mask)
            )
            x = self.sum(lines, self.as_bits(lines, before, root.buffer.dtype, lanes), x, lanes)
        self.write(lines, kind, base, offset, lanes, gathers, mask, x)

    def spaced_store(self, root: Root, kind: str, base: str, mask: str | None, x: Register) -> None:
        """Lanes to places a few elements apart; what lies between stays as it is."""
        lines, spacing = self.levels[-1].lines, self.spacing(root.store, kind)
        offset = self.offset(root.store)
        if root.adds:
            before = self.spaced_load(lines, kind, base, offset, spacing, mask)
            x = self.sum(lines, Register(before, x.dtype), x, self.plan.lanes)
        wide = Register(self.spaced(lines, kind, x.name, spacing), x.dtype)
        mask = self.spaced_mask(lines, spacing, mask)
        self.write(lines, kind, base, offset, self.plan.lanes * spacing, False, mask, wide)

    def sum(self, lines: Lines, before: Register, x: Register, lanes: int) -> Register:
        scalars = self.scalars(lines, lanes)
        if not x.dtype.is_half:
            return scalars.add(before, x)
        wide = [scalars.cast(y, dtypes.float32) for y in (before, x)]
        return scalars.cast(scalars.add(*wide), x.dtype)
