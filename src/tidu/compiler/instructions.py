"""Lines of LLVM IR, on explicit vectors of any number of lanes: registers, types and constants."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype

ELEMENTS = {
    dtypes.float16: "half",
    dtypes.bfloat16: "bfloat",
    dtypes.float32: "float",
    dtypes.float64: "double",
    dtypes.int8: "i8",
    dtypes.int16: "i16",
    dtypes.int32: "i32",
    dtypes.int64: "i64",
    dtypes.uint8: "i8",
    dtypes.bool_: "i1",
}
# What LLVM calls the elements in the names of its intrinsics.
_MANGLED = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64"}


class Register(NamedTuple):
    """A value in the text: the name of a register, or a constant, its dtype, and the number that a
    constant stands for.
    """

    name: str
    dtype: dtype
    number: float | int | bool | None = None


def literal(number: float | int | bool, kind: dtype) -> str:
    """A number as LLVM writes it: floats as the bits of what the dtype holds."""
    if kind is dtypes.bool_:
        return "true" if number else "false"
    if kind.category == dtypes.INTEGER:
        bits = 8 * kind.itemsize
        wrapped = int(number) & ((1 << bits) - 1)
        return str(wrapped - (1 << bits) if wrapped >> (bits - 1) else wrapped)
    with np.errstate(over="ignore"):
        held = np.asarray(number, np.float64).astype(kind.numpy)
    if kind.is_half:
        return f"0x{'H' if kind is dtypes.float16 else 'R'}{int(held.view(np.uint16)):04X}"
    return f"0x{int(held.astype(np.float64).view(np.uint64)):016X}"


class Instructions:
    """Appends lines to the body of a function.

    lines   where the text goes
    lanes   how many elements a register holds; 1 for plain scalars
    fresh   makes the name of a new register
    scales  whether the target scales by a power of two in one instruction (AVX-512)

    `declarations` collects what the module needs besides: declarations, constants and helper
    functions, each a text of its own.
    """

    def __init__(
        self, lines: list[str], lanes: int, fresh: Callable[[], str], scales: bool = False
    ) -> None:
        self.lines = lines
        self.lanes = lanes
        self.fresh = fresh
        self.scales = scales
        self.declarations: set[str] = set()

    def type_of(self, kind: dtype) -> str:
        element = ELEMENTS[kind]
        return element if self.lanes == 1 else f"<{self.lanes} x {element}>"

    def line(self, text: str, kind: dtype) -> Register:
        name = self.fresh()
        self.lines.append(f"{name} = {text}")
        return Register(name, kind)

    def typed(self, x: Register) -> str:
        return f"{self.type_of(x.dtype)} {x.name}"

    def binary(self, instruction: str, x: Register, y: Register) -> Register:
        return self.line(f"{instruction} {self.typed(x)}, {y.name}", x.dtype)

    def convert(self, instruction: str, x: Register, to: dtype) -> Register:
        return self.line(f"{instruction} {self.typed(x)} to {self.type_of(to)}", to)

    def compare(self, test: str, x: Register, y: Register) -> Register:
        return self.line(f"{test} {self.typed(x)}, {y.name}", dtypes.bool_)

    def intrinsic(self, name: str, *arguments: Register, suffix: str = "") -> Register:
        """A call of an intrinsic whose result has the type of its first argument."""
        kind = arguments[0].dtype
        types = [self.type_of(a.dtype) for a in arguments]
        full = f"@llvm.{name}.{self.mangled(kind)}{suffix}"
        self.declarations.add(f"declare {types[0]} {full}({', '.join(types)})")
        given = ", ".join(self.typed(a) for a in arguments)
        return self.line(f"call {types[0]} {full}({given})", kind)

    def mangled(self, kind: dtype) -> str:
        element = _MANGLED.get(ELEMENTS[kind], ELEMENTS[kind])
        return element if self.lanes == 1 else f"v{self.lanes}{element}"

    def const(self, number: float | int | bool, like: Register) -> Register:
        return self.constant(number, like.dtype)

    def constant(self, number: float | int | bool, kind: dtype) -> Register:
        """A constant of a dtype, in every lane."""
        text = literal(number, kind)
        if self.lanes > 1:
            text = f"splat ({ELEMENTS[kind]} {text})"
        return Register(text, kind, number)

    def kind(self, x: Register) -> dtype:
        return x.dtype
