"""What the texts of both kernels share: vectors of an element type, parameters in registers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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

    def declarations(self) -> str:
        kind, lanes, suffix = self.type, self.lanes, self.suffix
        return f"""
declare {kind} @llvm.masked.load.{suffix}.p0(ptr, <{lanes} x i1>, {kind})
declare void @llvm.masked.store.{suffix}.p0({kind}, ptr, <{lanes} x i1>)
declare {kind} @llvm.fmuladd.{suffix}({kind}, {kind}, {kind})
declare i64 @llvm.smin.i64(i64, i64)
"""


def loads(fields: Sequence[str], wanted: Iterable[str]) -> str:
    """The wanted parameters into registers of their own names."""
    lines = []
    for field in wanted:
        lines.append(f"  %{field}.at = getelementptr i64, ptr %params, i64 {fields.index(field)}")
        lines.append(f"  %{field} = load i64, ptr %{field}.at")
    return "\n".join(lines)


def fill(template: str, **values: object) -> str:
    """The template with each NAME of the keywords replaced."""
    for name, value in values.items():
        template = template.replace(name, str(value))
    return template


def indented(lines: list[str]) -> str:
    return "\n".join("  " + line for line in lines)


# Products of vectors: from how many on it pays to tell one worker from another, and how many a
# piece should have where there are plenty.
_WORTH_A_UNIT = 40_000
_PLENTY = 100_000
_ENOUGH_UNITS = 16


def enough_units(total: int) -> int:
    """How many units are enough for so many products of vectors."""
    return max(1, min(_ENOUGH_UNITS, total // _WORTH_A_UNIT))


def piece_work(total: int) -> int:
    """The products of vectors that a piece should have, out of so many."""
    return max(1, min(_PLENTY, total // enough_units(total)))


def pieces_together(pieces: int, total: int) -> int:
    """How many pieces one unit should make if they have so many products of vectors in total."""
    return max(1, min(_WORTH_A_UNIT * pieces // max(1, total), pieces))
