"""Addresses and memory: where the elements of a layout are, and how lanes are loaded and stored."""

from __future__ import annotations

from typing import NamedTuple

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.compiler.fuse import Kernel
from tidu.compiler.instructions import Register
from tidu.compiler.layouts import Layout
from tidu.compiler.loops import Loops
from tidu.compiler.scalars import VectorScalars
from tidu.compiler.text import KernelText, Lines, lane_numbers

# Elements that are no farther apart are loaded and stored with those between them.
_NEAR = 4


class Condition(NamedTuple):
    """A guard under which values are computed now."""

    number: int  # of the guarded expression
    depth: int  # of the loops inside of which it is known
    register: str
    varies: bool  # whether lanes differ


class KernelMemory(KernelText):
    """Loads and stores, under the mask of the lanes in use and the guards that hold."""

    def __init__(self, kernel: Kernel, plan: Loops, vector_bytes: int) -> None:
        super().__init__(kernel, plan, vector_bytes)
        self.guard: tuple[Condition, ...] = ()

    def layout_depth(self, layout: Layout) -> int:
        """The number of loops inside of which a layout is known."""
        return max((self.depth_of[d] for d, s in enumerate(layout.strides) if s), default=0)

    def stride(self, layout: Layout, d: int) -> str:
        """A stride, which is a parameter: kernels that differ in it are one text."""
        return self.parameter(("stride", layout, d), layout.strides[d])

    def offset(self, layout: Layout, skip: int | None = None) -> str:
        """The affine function at the current counters, with the first lane's along the vector."""
        depth = self.layout_depth(layout)
        key = ("offset", layout, skip)
        for level in self.levels[: depth + 1]:
            found = level.known.get(key)
            if found is not None:
                assert isinstance(found, str)
                return found
        total = self.parameter(("offset", layout), layout.offset) if layout.offset else "0"
        name = total
        place = 0
        for d in self.loops:
            stride = layout.strides[d]
            if not stride:
                continue
            place = self.depth_of[d]
            partial = ("partial", layout, place)
            level = self.levels[place]
            found = level.known.get(partial)
            if found is None:
                term = self.counters[d]
                if stride != 1 or d != self.plan.vector:
                    term = self.line(level.lines, f"mul nsw i64 {term}, {self.stride(layout, d)}")
                found = (
                    term if name == "0" else self.line(level.lines, f"add nsw i64 {name}, {term}")
                )
                level.known[partial] = found
            assert isinstance(found, str)
            name = found
        self.levels[place].known[key] = name
        return name

    def along(self, layout: Layout) -> int:
        """The stride along the lanes."""
        vector = self.plan.vector
        return layout.strides[vector] if vector is not None and self.plan.lanes > 1 else 0

    def lane_offsets(self, layout: Layout, lines: Lines) -> str:
        """A vector of the affine function in each lane."""
        lanes = self.plan.lanes
        base = self.splat_text(lines, self.offset(layout), "i64", lanes)
        vector = self.plan.vector
        assert vector is not None
        stride = layout.strides[vector]
        if not stride:
            return base
        steps = lane_numbers(lanes)
        if stride != 1:
            factor = self.splat_text(lines, self.stride(layout, vector), "i64", lanes)
            steps = self.line(lines, f"mul nsw <{lanes} x i64> {steps}, {factor}")
        return self.line(lines, f"add nsw <{lanes} x i64> {base}, {steps}")

    def any_lane(self, lines: Lines, condition: str) -> str:
        lanes = self.plan.lanes
        name = f"@llvm.vector.reduce.or.v{lanes}i1"
        self.declarations.add(f"declare i1 {name}(<{lanes} x i1>)")
        return self.line(lines, f"call i1 {name}(<{lanes} x i1> {condition})")

    def active(self, lines: Lines, lanes: int) -> str | None:
        """The mask under which memory may be touched now, or None where it always may."""
        parts = []
        if self.mask is not None and lanes > 1:
            parts.append(self.mask)
        for _, _, condition, varies in self.guard:
            if lanes > 1 and not varies:
                condition = self.splat_text(lines, condition, "i1", lanes)
            elif lanes == 1 and varies:
                condition = self.any_lane(lines, condition)
            parts.append(condition)
        if not parts:
            return None
        bit = "i1" if lanes == 1 else f"<{lanes} x i1>"
        found = parts[0]
        for part in parts[1:]:
            found = self.line(lines, f"and {bit} {found}, {part}")
        return str(found)

    def as_bits(self, lines: Lines, name: str, kind: dtype, lanes: int) -> Register:
        """What was loaded, as registers hold it: bools are bytes in memory."""
        if kind is dtypes.bool_:
            of, zero = ("i8", "0") if lanes == 1 else (f"<{lanes} x i8>", "zeroinitializer")
            name = self.line(lines, f"icmp ne {of} {name}, {zero}")
        return Register(name, kind)

    def contiguous_load(
        self, lines: Lines, kind: str, base: str, offset: str, lanes: int, mask: str | None
    ) -> str:
        """Neighbors in memory, those under the mask if there is one; the others are 0."""
        address = self.line(lines, f"getelementptr {kind}, ptr {base}, i64 {offset}")
        align = _alignment(kind)
        if lanes == 1:
            if mask is not None:  # read something harmless instead
                address = self.line(lines, f"select i1 {mask}, ptr {address}, ptr %table")
            return self.line(lines, f"load {kind}, ptr {address}, align {align}")
        of = f"<{lanes} x {kind}>"
        if mask is None:
            return self.line(lines, f"load {of}, ptr {address}, align {align}")
        name = f"@llvm.masked.load.v{lanes}{_mangled(kind)}.p0"
        self.declarations.add(f"declare {of} {name}(ptr, <{lanes} x i1>, {of})")
        return self.line(
            lines,
            f"call {of} {name}(ptr align {align} {address}, <{lanes} x i1> {mask}, "
            f"{of} zeroinitializer)",
        )

    def gather(
        self, lines: Lines, kind: str, base: str, offsets: str, lanes: int, mask: str | None
    ) -> str:
        """An element for each lane, from a place of its own."""
        of = f"<{lanes} x {kind}>"
        places = self.line(lines, f"getelementptr {kind}, ptr {base}, <{lanes} x i64> {offsets}")
        every = mask or "splat (i1 true)"
        name = f"@llvm.masked.gather.v{lanes}{_mangled(kind)}.v{lanes}p0"
        self.declarations.add(f"declare {of} {name}(<{lanes} x ptr>, <{lanes} x i1>, {of})")
        return self.line(
            lines,
            f"call {of} {name}(<{lanes} x ptr> align {_alignment(kind)} {places}, "
            f"<{lanes} x i1> {every}, {of} zeroinitializer)",
        )

    def spacing(self, layout: Layout, kind: str) -> int:
        """The distance of neighbors along the lanes if whole vectors of all that lies between are
        quicker than a gather or a scatter, else 0. It takes masks for every vector.
        """
        stride = self.along(layout)
        return stride if 2 <= stride <= _NEAR and self.scales and _alignment(kind) >= 4 else 0

    def spaced_load(
        self, lines: Lines, kind: str, base: str, offset: str, spacing: int, mask: str | None
    ) -> str:
        """Every so many-th element. What lies between is not touched."""
        lanes = self.plan.lanes
        wide = self.contiguous_load(
            lines, kind, base, offset, lanes * spacing, self.spaced_mask(lines, spacing, mask)
        )
        of = f"<{lanes * spacing} x {kind}>"
        order = ", ".join(f"i32 {lane * spacing}" for lane in range(lanes))
        return self.line(
            lines, f"shufflevector {of} {wide}, {of} poison, <{lanes} x i32> <{order}>"
        )

    def spaced(self, lines: Lines, kind: str, name: str, spacing: int) -> str:
        """The lanes of a register that far apart in a wider one."""
        lanes = self.plan.lanes
        order = ", ".join(
            f"i32 {place // spacing}" if place % spacing == 0 else "i32 poison"
            for place in range(lanes * spacing)
        )
        of = f"<{lanes} x {kind}>"
        return self.line(
            lines, f"shufflevector {of} {name}, {of} poison, <{lanes * spacing} x i32> <{order}>"
        )

    def spaced_mask(self, lines: Lines, spacing: int, mask: str | None) -> str:
        """The mask of the lanes where they are so far apart; it leaves out what lies between."""
        lanes = self.plan.lanes
        places = range(lanes * spacing)
        if mask is None:
            bits = (f"i1 {'true' if place % spacing == 0 else 'false'}" for place in places)
            return f"<{', '.join(bits)}>"
        order = (f"i32 {place // spacing if place % spacing == 0 else lanes}" for place in places)
        return self.line(
            lines,
            f"shufflevector <{lanes} x i1> {mask}, <{lanes} x i1> zeroinitializer, "
            f"<{lanes * spacing} x i32> <{', '.join(order)}>",
        )

    def check(self, lines: Lines, inside: str, mask: str | None, width: int, lanes: int) -> None:
        """Leave the number of the check in the table if an index in use is out of range."""
        bit = "i1" if width == 1 else f"<{width} x i1>"
        bad = self.line(lines, f"xor {bit} {inside}, {'true' if width == 1 else 'splat (i1 true)'}")
        if mask is not None and (width > 1 or lanes == 1):
            bad = self.line(lines, f"and {bit} {bad}, {mask}")
        if width > 1:
            bad = self.any_lane(lines, bad)
        self.labels += 1
        label = f"E{self.labels}"
        lines += [
            f"br i1 {bad}, label %{label}e, label %{label}x",
            f"{label}e:",
            "store i64 1, ptr %table",
            f"br label %{label}x",
            f"{label}x:",
        ]

    def write(
        self,
        lines: Lines,
        kind: str,
        base: str,
        offset: str,
        lanes: int,
        scatters: bool,
        mask: str | None,
        x: Register,
    ) -> None:
        """Store lanes, to neighbors or (`scatters`) each to a place of its own."""
        of = kind if lanes == 1 else f"<{lanes} x {kind}>"
        name = x.name
        if x.dtype is dtypes.bool_:
            bit = "i1" if lanes == 1 else f"<{lanes} x i1>"
            name = self.line(lines, f"zext {bit} {name} to {of}")
        align = _alignment(kind)
        if scatters:
            places = self.line(lines, f"getelementptr {kind}, ptr {base}, <{lanes} x i64> {offset}")
            call = f"@llvm.masked.scatter.v{lanes}{_mangled(kind)}.v{lanes}p0"
            self.declarations.add(f"declare void {call}({of}, <{lanes} x ptr>, <{lanes} x i1>)")
            lines.append(
                f"call void {call}({of} {name}, <{lanes} x ptr> align {align} {places}, "
                f"<{lanes} x i1> {mask or 'splat (i1 true)'})"
            )
            return
        address = self.line(lines, f"getelementptr {kind}, ptr {base}, i64 {offset}")
        if lanes == 1 or mask is None:
            lines.append(f"store {of} {name}, ptr {address}, align {align}")
            return
        self.masked_store(lines, kind, address, lanes, mask, name)

    def masked_store(
        self, lines: Lines, kind: str, address: str, lanes: int, mask: str, name: str
    ) -> None:
        of, call = f"<{lanes} x {kind}>", f"@llvm.masked.store.v{lanes}{_mangled(kind)}.p0"
        self.declarations.add(f"declare void {call}({of}, ptr, <{lanes} x i1>)")
        lines.append(
            f"call void {call}({of} {name}, ptr align {_alignment(kind)} {address}, "
            f"<{lanes} x i1> {mask})"
        )


def memory_type(kind: dtype) -> str:
    """LLVM's name of an element in memory, where a bool is a byte."""
    return "i8" if kind is dtypes.bool_ else VectorScalars([], 1, str).type_of(kind)


def _mangled(kind: str) -> str:
    return {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64"}.get(kind, kind)


def _alignment(kind: str) -> int:
    return {"i8": 1, "half": 2, "bfloat": 2, "i16": 2, "float": 4, "i32": 4}.get(kind, 8)
