"""The values of a kernel: the registers in which expressions are computed, and what is stored.

Each is computed once, in the loop that `invariance` says, and looked up there from then on.
"""

from __future__ import annotations

from typing import Any

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.compiler.access import Condition, memory_type
from tidu.compiler.expressions import ARGUMENT, CONSTANT, GUARDED, IOTA, LOAD, Expression
from tidu.compiler.fuse import Kernel, Place
from tidu.compiler.instructions import Register
from tidu.compiler.invariance import KernelInvariance
from tidu.compiler.layouts import Layout
from tidu.compiler.loops import Loops
from tidu.compiler.steps import Root
from tidu.compiler.text import Level, Lines


class KernelValues(KernelInvariance):
    """Expressions as registers, and the stores of roots."""

    def __init__(self, kernel: Kernel, plan: Loops, stored: set[int], vector_bytes: int) -> None:
        super().__init__(kernel, plan, stored, vector_bytes)
        self.finished: dict[Place, Register] = {}  # what a reduction or a kept root came to

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
        """Write what computes `x`, given where it is known."""
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
        """A Python number, which each run puts into the table."""
        number, kind = x.what
        slot = self.table(("argument", number), ("argument", number))
        given = dtypes.float64 if kind is float else dtypes.int64
        of = "double" if kind is float else "i64"
        register = Register(self.line(self.entry, f"load {of}, ptr {slot}"), given)
        if x.dtype is given:
            return register
        return self.scalars(self.entry, 1).cast(register, x.dtype)

    def operation(self, x: Expression, level: Level) -> Register:
        """What an op's own emission makes of the inputs; of halves, in float32."""
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
        """The value of an affine function of the coordinates itself."""
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
        """An element, or one for each lane in the cheapest way that their places allow."""
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
        # Lanes are neighbors in memory if nothing but the layout says where they are.
        together = self.along(layout) == 1 and not any(self.varies(p) for p in places)
        spread = lanes > 1 and not together
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
        """Write what a root has come to, or add it to what is there."""
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
        """Halves are added in float32 and rounded once."""
        scalars = self.scalars(lines, lanes)
        if not x.dtype.is_half:
            return scalars.add(before, x)
        wide = [scalars.cast(y, dtypes.float32) for y in (before, x)]
        return scalars.cast(scalars.add(*wide), x.dtype)
