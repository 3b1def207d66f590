"""Copies that exchange dimensions: square tiles are turned around in registers.

Where neighbors of what is read are far apart in what is written, single elements would have to be
collected. Instead, as many rows as a vector has lanes are loaded, exchanged with each other in
halves, quarters and so on, and stored as columns.
"""

from __future__ import annotations

from math import prod
from typing import NamedTuple

from tidu.compiler.access import KernelMemory, memory_type
from tidu.compiler.correlation.vectors import exchanges
from tidu.compiler.expressions import LOAD
from tidu.compiler.fuse import Kernel
from tidu.compiler.layouts import Layout
from tidu.compiler.loops import Loops, units_of
from tidu.compiler.text import Lines, lane_numbers

# The kernel is written for registers of this many bytes, with masks.
_VECTOR_BYTES = 64


class Axes(NamedTuple):
    """The dimensions along which neighbors are neighbors in memory."""

    loaded: int
    stored: int


def exchanged(kernel: Kernel, vector_bytes: int) -> Axes | None:
    """The dimensions that a copy exchanges, if the kernel is nothing but such a copy."""
    if len(kernel.roots) != 1 or kernel.reduced or vector_bytes != _VECTOR_BYTES:
        return None
    (root,) = kernel.roots
    x, size = root.expression, root.buffer.dtype.itemsize
    if x.kind != LOAD or x.what[2] or root.scatter is not None or root.adds:
        return None
    if x.dtype is not root.buffer.dtype or size not in (4, 8):
        return None
    lanes = vector_bytes // size
    loads, stores = x.what[1].strides, root.store.strides
    for a, (a_load, a_store) in enumerate(zip(loads, stores, strict=True)):
        for b, (b_load, b_store) in enumerate(zip(loads, stores, strict=True)):
            far = a_load >= lanes and b_store >= lanes
            if a_store == b_load == 1 and far and min(kernel.space[a], kernel.space[b]) >= lanes:
                return Axes(b, a)
    return None


def plan_tiles(kernel: Kernel, axes: Axes, lanes: int) -> Loops:
    """Loops over the other dimensions, and then over tiles."""
    outer = [d for d in range(len(kernel.space)) if d not in axes] + [*axes]
    divided = max(outer, key=lambda d: kernel.space[d])
    step = lanes if divided in axes else 1
    units, chunk = units_of(3 * prod(kernel.space), kernel.space[divided], step)
    return Loops(None, lanes, outer, [], divided, chunk, units)


class Transposition(KernelMemory):
    """The text of such a copy."""

    def __init__(self, kernel: Kernel, axes: Axes, vector_bytes: int) -> None:
        (self.root,) = kernel.roots
        self.lanes = vector_bytes // self.root.buffer.dtype.itemsize
        super().__init__(kernel, plan_tiles(kernel, axes, self.lanes), vector_bytes)
        self.axes = axes
        self.kind = memory_type(self.root.buffer.dtype)
        self.vector = f"<{self.lanes} x {self.kind}>"

    def write_text(self, depth: int = 0) -> None:
        """The loops from `depth` inwards."""
        if depth == len(self.plan.outer):
            self.tile()
            return
        d = self.plan.outer[depth]
        step = self.lanes if d in self.axes else 1
        self.counted(d, *self.bounds(d), step, lambda: self.write_text(depth + 1))

    def tile(self) -> None:
        """One tile: with all its rows and columns, or with masks where the matrix ends."""
        lines = self.levels[-1].lines
        source: Layout = self.root.expression.what[1]
        read, written = self.offset(source), self.offset(self.root.store)
        left = [
            self.line(lines, f"sub nsw i64 {self.bounds(d)[1]}, {self.counters[d]}")
            for d in self.axes
        ]
        whole = [self.line(lines, f"icmp sge i64 {n}, {self.lanes}") for n in left]
        every = self.line(lines, f"and i1 {whole[0]}, {whole[1]}")
        self.labels += 1
        label = f"T{self.labels}"
        lines += [f"br i1 {every}, label %{label}w, label %{label}p", f"{label}w:"]
        self.turned(lines, read, written, None)
        lines += [f"br label %{label}x", f"{label}p:"]
        self.turned(lines, read, written, (left[0], left[1]))
        lines += [f"br label %{label}x", f"{label}x:"]

    def turned(self, lines: Lines, read: str, written: str, left: tuple[str, str] | None) -> None:
        """Loads, exchanges and stores; `left` elements of the matrix along both axes, if fewer."""
        source: Layout = self.root.expression.what[1]
        loaded, stored = self.axes
        masks = [None, None] if left is None else [self.first_lanes(lines, n) for n in left]
        rows = []
        for row in range(self.lanes):
            number = str(row)
            if left is not None:  # a row that does not exist: the last one once more
                last = self.line(lines, f"sub nsw i64 {left[1]}, 1")
                number = self.least(lines, number, last)
            step = self.line(lines, f"mul nsw i64 {number}, {self.stride(source, stored)}")
            at = self.line(lines, f"add nsw i64 {read}, {step}")
            base = self.pointer(self.root.expression.what[0])
            rows.append(self.contiguous_load(lines, self.kind, base, at, self.lanes, masks[0]))
        for column, name in enumerate(self.exchange(lines, rows)):
            step = self.line(lines, f"mul nsw i64 {column}, {self.stride(self.root.store, loaded)}")
            at = self.line(lines, f"add nsw i64 {written}, {step}")
            self.put(lines, name, at, masks[1], None if left is None else (column, left[0]))

    def put(
        self, lines: Lines, name: str, at: str, mask: str | None, limit: tuple[int, str] | None
    ) -> None:
        base = self.pointer(self.root.buffer.number)
        address = self.line(lines, f"getelementptr {self.kind}, ptr {base}, i64 {at}")
        align = self.root.buffer.dtype.itemsize
        if mask is None or limit is None:
            lines.append(f"store {self.vector} {name}, ptr {address}, align {align}")
            return
        column, columns = limit
        exists = self.line(lines, f"icmp slt i64 {column}, {columns}")
        all_lanes = self.splat_text(lines, exists, "i1", self.lanes)
        mask = self.line(lines, f"and <{self.lanes} x i1> {mask}, {all_lanes}")
        self.masked_store(lines, self.kind, address, self.lanes, mask, name)

    def first_lanes(self, lines: Lines, count: str) -> str:
        counts = self.splat_text(lines, count, "i64", self.lanes)
        return self.line(
            lines, f"icmp slt <{self.lanes} x i64> {lane_numbers(self.lanes)}, {counts}"
        )

    def exchange(self, lines: Lines, rows: list[str]) -> list[str]:
        """The columns of the tile, by exchanging each bit of a row's number with that of a lane."""
        for i, j, lower, upper in exchanges(self.lanes):
            low, high = rows[i], rows[j]
            rows[i] = self.mixed(lines, low, high, lower)
            rows[j] = self.mixed(lines, low, high, upper)
        return rows

    def mixed(self, lines: Lines, low: str, high: str, lanes: list[int]) -> str:
        """The given lanes of two registers, numbered one after the other."""
        order = ", ".join(f"i32 {lane}" for lane in lanes)
        both = f"{self.vector} {low}, {self.vector} {high}"
        return self.line(lines, f"shufflevector {both}, <{self.lanes} x i32> <{order}>")
