"""What the texts of both kernels share: vectors of an element type, parameters in registers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

BYTES = {"float": 4, "double": 8}
_SUFFIX = {"float": "f32", "double": "f64"}


class Vector(NamedTuple):
    """The vectors that a kernel computes with."""

    element: str  # "float" or "double"
    bytes: int

    @property
    def lanes(self) -> int:
        return self.bytes // BYTES[self.element]

    @property
    def type(self) -> str:
        return f"<{self.lanes} x {self.element}>"

    @property
    def suffix(self) -> str:
        """What the names of LLVM's functions on these vectors end with."""
        return f"v{self.lanes}{_SUFFIX[self.element]}"

    @property
    def registers(self) -> int:
        """How many there are: AVX-512 has 32; others may have 16."""
        return 32 if self.bytes >= 64 else 16

    def splat(self, name: str, scalar: str) -> list[str]:
        """`%name` is a vector of the scalar in every lane."""
        kind, lanes = self.type, self.lanes
        return [
            f"%{name}.one = insertelement {kind} poison, {self.element} {scalar}, i64 0",
            f"%{name} = shufflevector {kind} %{name}.one, {kind} poison,"
            f" <{lanes} x i32> zeroinitializer",
        ]

    def at(self, name: str, base: str, vectors: int) -> str:
        """`%name` is the address that many vectors after `base`."""
        return f"%{name} = getelementptr {self.element}, ptr {base}, i64 {vectors * self.lanes}"

    def load(self, name: str, address: str, mask: str = "") -> str:
        """`%name` is what is stored at the address, and zero where the mask is not set."""
        if not mask:
            return f"%{name} = load {self.type}, ptr {address}, align {BYTES[self.element]}"
        return (
            f"%{name} = call {self.type} @llvm.masked.load.{self.suffix}.p0(ptr align"
            f" {BYTES[self.element]} {address}, <{self.lanes} x i1> {mask},"
            f" {self.type} zeroinitializer)"
        )

    def store(self, value: str, address: str, mask: str = "") -> str:
        """Store the lanes for which the mask is set."""
        if not mask:
            return f"store {self.type} {value}, ptr {address}, align {BYTES[self.element]}"
        return (
            f"call void @llvm.masked.store.{self.suffix}.p0({self.type} {value}, ptr align"
            f" {BYTES[self.element]} {address}, <{self.lanes} x i1> {mask})"
        )

    def fma(self, name: str, a: str, b: str, c: str) -> str:
        kind = self.type
        return (
            f"%{name} = call {kind} @llvm.fmuladd.{self.suffix}({kind} {a}, {kind} {b}, {kind} {c})"
        )

    def first_lanes(self, name: str, count: str) -> list[str]:
        """`%name` is the mask of as many lanes as the i64 `count` says."""
        lanes, numbers = self.lanes, ", ".join(f"i32 {i}" for i in range(self.lanes))
        return [
            f"%{name}.count = trunc i64 {count} to i32",
            f"%{name}.one = insertelement <{lanes} x i32> poison, i32 %{name}.count, i64 0",
            f"%{name}.all = shufflevector <{lanes} x i32> %{name}.one, <{lanes} x i32> poison,"
            f" <{lanes} x i32> zeroinitializer",
            f"%{name} = icmp slt <{lanes} x i32> <{numbers}>, %{name}.all",
        ]

    def turned(self, rows: list[str]) -> tuple[list[str], list[str]]:
        """Lines that turn a square of as many rows as lanes around, and the registers with its
        columns. Their names begin with `turned`.
        """
        rows, lines = list(rows), []
        for step, (i, j, lower, upper) in enumerate(exchanges(self.lanes)):
            both = f"{self.type} {rows[i]}, {self.type} {rows[j]}"
            for row, order in ((i, lower), (j, upper)):
                rows[row] = f"%turned.{step}.{row}"
                mask = ", ".join(f"i32 {lane}" for lane in order)
                lines.append(f"{rows[row]} = shufflevector {both}, <{self.lanes} x i32> <{mask}>")
        return lines, rows

    def declarations(self) -> str:
        kind, lanes, suffix = self.type, self.lanes, self.suffix
        return f"""
declare {kind} @llvm.masked.load.{suffix}.p0(ptr, <{lanes} x i1>, {kind})
declare void @llvm.masked.store.{suffix}.p0({kind}, ptr, <{lanes} x i1>)
declare {kind} @llvm.fmuladd.{suffix}({kind}, {kind}, {kind})
declare i64 @llvm.smin.i64(i64, i64)
"""


def sizes_text(
    images: int, groups: int, rows: int, channels: int, positions: int, taps: Sequence[int]
) -> str:
    """The sizes of a correlation, for a description of it."""
    places = ", ".join(map(str, taps))
    return (
        f"{images} images, {groups} groups, {rows} rows, {channels} channels,"
        f" {positions} positions, taps at {places}"
    )


def exchanges(lanes: int) -> Iterator[tuple[int, int, list[int], list[int]]]:
    """How a square of `lanes` vectors is turned around: each bit of a row's number changes places
    with that of a lane's. Each step gives two rows, and which lanes of both, numbered one row after
    the other, come to either.
    """
    half = lanes // 2
    while half:
        for i in range(lanes):
            if not i & half:
                lower = [j + lanes - half if j & half else j for j in range(lanes)]
                upper = [j + lanes if j & half else j + half for j in range(lanes)]
                yield i, i + half, lower, upper
        half //= 2


# Where an operand begins, and where a part of it is.
ADDRESSES = """
define internal ptr @operand(ptr %table, i64 %slot, i64 %offset) alwaysinline nounwind {
  %at = getelementptr i64, ptr %table, i64 %slot
  %base = load ptr, ptr %at
  %first = getelementptr ELEMENT, ptr %base, i64 %offset
  ret ptr %first
}

define internal ptr @place(ptr %base, i64 %index0, i64 %stride0, i64 %index1, i64 %stride1)
    alwaysinline nounwind {
  %outer = mul i64 %index0, %stride0
  %inner = mul i64 %index1, %stride1
  %offset = add i64 %outer, %inner
  %first = getelementptr ELEMENT, ptr %base, i64 %offset
  ret ptr %first
}
"""


def loads(fields: Sequence[str], wanted: Iterable[str]) -> list[str]:
    """The wanted parameters into registers of their own names."""
    lines = []
    for field in wanted:
        lines.append(f"%{field}.at = getelementptr i64, ptr %params, i64 {fields.index(field)}")
        lines.append(f"%{field} = load i64, ptr %{field}.at")
    return lines


def fill(template: str, **values: object) -> str:
    """The template with the name of each keyword replaced, by indented lines if it is a list."""
    for name, value in values.items():
        text = "\n".join("  " + x for x in value) if isinstance(value, list) else str(value)
        template = template.replace(name, text)
    return template
