"""The scalar instructions as text of LLVM IR, on explicit vectors of any number of lanes.

Every result is defined for every operand: nothing here traps, and nothing is LLVM's poison. There
are no fast-math flags and no calls into a math library; what LLVM has no vector instruction for is
expanded by `tidu.ir.mathematics`.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable
from types import FunctionType
from typing import Any, NamedTuple

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.compiler.rare import Helpers, Parameter
from tidu.ir import mathematics

_ELEMENTS = {
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
_SAME_WIDTH = {dtypes.float32: dtypes.int32, dtypes.float64: dtypes.int64}
_AS_FLOAT = {integer: number for number, integer in _SAME_WIDTH.items()}


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


class VectorScalars:
    """Implements `tidu.ir.scalar.Scalars` by appending lines to the body of a function.

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

    # The text

    def type_of(self, kind: dtype) -> str:
        element = _ELEMENTS[kind]
        return element if self.lanes == 1 else f"<{self.lanes} x {element}>"

    def _line(self, text: str, kind: dtype) -> Register:
        name = self.fresh()
        self.lines.append(f"{name} = {text}")
        return Register(name, kind)

    def _typed(self, x: Register) -> str:
        return f"{self.type_of(x.dtype)} {x.name}"

    def _binary(self, instruction: str, x: Register, y: Register) -> Register:
        return self._line(f"{instruction} {self._typed(x)}, {y.name}", x.dtype)

    def _convert(self, instruction: str, x: Register, to: dtype) -> Register:
        return self._line(f"{instruction} {self._typed(x)} to {self.type_of(to)}", to)

    def _compare(self, test: str, x: Register, y: Register) -> Register:
        return self._line(f"{test} {self._typed(x)}, {y.name}", dtypes.bool_)

    def _intrinsic(self, name: str, *arguments: Register, suffix: str = "") -> Register:
        """A call of an intrinsic whose result has the type of its first argument."""
        kind = arguments[0].dtype
        types = [self.type_of(a.dtype) for a in arguments]
        full = f"@llvm.{name}.{self._mangled(kind)}{suffix}"
        self.declarations.add(f"declare {types[0]} {full}({', '.join(types)})")
        given = ", ".join(self._typed(a) for a in arguments)
        return self._line(f"call {types[0]} {full}({given})", kind)

    def _mangled(self, kind: dtype) -> str:
        element = _MANGLED.get(_ELEMENTS[kind], _ELEMENTS[kind])
        return element if self.lanes == 1 else f"v{self.lanes}{element}"

    # Constants and dtypes

    def const(self, number: float | int | bool, like: Register) -> Register:
        return self.constant(number, like.dtype)

    def constant(self, number: float | int | bool, kind: dtype) -> Register:
        """A constant of a dtype, in every lane."""
        text = literal(number, kind)
        if self.lanes > 1:
            text = f"splat ({_ELEMENTS[kind]} {text})"
        return Register(text, kind, number)

    def kind(self, x: Register) -> dtype:
        return x.dtype

    # Arithmetic

    def add(self, x: Register, y: Register) -> Register:
        if x.dtype is dtypes.bool_:
            return self.bit_or(x, y)
        return self._binary("fadd" if x.dtype.is_floating_point else "add", x, y)

    def sub(self, x: Register, y: Register) -> Register:
        return self._binary("fsub" if x.dtype.is_floating_point else "sub", x, y)

    def mul(self, x: Register, y: Register) -> Register:
        return self._binary("fmul" if x.dtype.is_floating_point else "mul", x, y)

    def div(self, x: Register, y: Register) -> Register:
        if x.dtype.is_floating_point:
            return self._binary("fdiv", x, y)
        if not x.dtype.is_signed:
            return self._where_divisible(self._binary("udiv", x, self._divisor(y)), y)
        quotient = self._where_divisible(self._binary("sdiv", x, self._divisor(y)), y)
        return self.select(self.eq(y, self.const(-1, y)), self.neg(x), quotient)

    def _divisor(self, y: Register) -> Register:
        """1 in the place of 0, and of -1, by which the least integer cannot be divided."""
        bad = self.eq(y, self.const(0, y))
        if y.dtype.is_signed:
            bad = self.bit_or(bad, self.eq(y, self.const(-1, y)))
        return self.select(bad, self.const(1, y), y)

    def _where_divisible(self, quotient: Register, y: Register) -> Register:
        zero = self.const(0, y)
        return self.select(self.eq(y, zero), zero, quotient)

    def fma(self, x: Register, y: Register, z: Register) -> Register:
        if x.dtype.is_floating_point:
            return self._intrinsic("fma", x, y, z)
        return self.add(self.mul(x, y), z)

    def fmod(self, x: Register, y: Register) -> Register:
        if x.dtype.is_floating_point:
            rest: Register = mathematics.fmod(self, x, y)
            return rest
        return self._binary("srem" if x.dtype.is_signed else "urem", x, self._divisor(y))

    def rem(self, x: Register, y: Register) -> Register:
        rest = self.fmod(x, y)
        if not x.dtype.is_signed:
            return rest
        zero = self.const(0, x)
        opposite = self.bit_xor(self.lt(rest, zero), self.lt(y, zero))
        wrong = self.bit_and(self.ne(rest, zero), opposite)
        rest = self.select(wrong, self.add(rest, y), rest)
        if not x.dtype.is_floating_point:
            return rest
        return self.select(self.eq(rest, zero), self.copysign(zero, y), rest)

    def neg(self, x: Register) -> Register:
        if x.dtype.is_floating_point:
            return self._line(f"fneg {self._typed(x)}", x.dtype)
        return self.sub(self.const(0, x), x)

    def abs(self, x: Register) -> Register:
        if x.dtype.is_floating_point:
            return self._intrinsic("fabs", x)
        return self.max(x, self.neg(x)) if x.dtype.is_signed else x

    def max(self, x: Register, y: Register) -> Register:
        return self._extreme("ogt", "max", x, y)

    def min(self, x: Register, y: Register) -> Register:
        return self._extreme("olt", "min", x, y)

    def _extreme(self, better: str, name: str, x: Register, y: Register) -> Register:
        if not x.dtype.is_floating_point:
            return self._intrinsic(("s" if x.dtype.is_signed else "u") + name, x, y)
        if x.number is not None:
            x, y = y, x
        # One instruction on x86, which gives its second operand where either is NaN.
        if y.number is not None and y.number == y.number:
            return self.select(self._compare(f"fcmp {better}", y, x), y, x)
        chosen = self.select(self._compare(f"fcmp {better}", x, y), x, y)
        return self.select(self._compare("fcmp uno", x, x), x, chosen)

    def floor(self, x: Register) -> Register:
        return self._rounded("floor", x)

    def ceil(self, x: Register) -> Register:
        return self._rounded("ceil", x)

    def trunc(self, x: Register) -> Register:
        return self._rounded("trunc", x)

    def round(self, x: Register) -> Register:
        return self._rounded("roundeven", x)

    def _rounded(self, intrinsic: str, x: Register) -> Register:
        return self._intrinsic(intrinsic, x) if x.dtype.is_floating_point else x

    def sqrt(self, x: Register) -> Register:
        return self._intrinsic("sqrt", x)

    def copysign(self, x: Register, y: Register) -> Register:
        if x.dtype.is_floating_point:
            return self._intrinsic("copysign", x, y)
        if not x.dtype.is_signed:
            return x
        zero = self.const(0, x)
        differ = self.bit_xor(self.lt(x, zero), self.lt(y, zero))
        return self.select(differ, self.neg(x), x)

    # Comparison and choice

    def lt(self, x: Register, y: Register) -> Register:
        return self._compare(self._test("lt", x), x, y)

    def le(self, x: Register, y: Register) -> Register:
        return self._compare(self._test("le", x), x, y)

    def _test(self, name: str, x: Register) -> str:
        if x.dtype.is_floating_point:
            return f"fcmp o{name}"
        return f"icmp {'s' if x.dtype.is_signed else 'u'}{name}"

    def eq(self, x: Register, y: Register) -> Register:
        return self._compare("fcmp oeq" if x.dtype.is_floating_point else "icmp eq", x, y)

    def ne(self, x: Register, y: Register) -> Register:
        return self._compare("fcmp une" if x.dtype.is_floating_point else "icmp ne", x, y)

    def select(self, condition: Register, x: Register, y: Register) -> Register:
        if condition.dtype is not dtypes.bool_:
            condition = self.cast(condition, dtypes.bool_)
        chosen = f"{self._typed(condition)}, {self._typed(x)}, {self._typed(y)}"
        return self._line(f"select {chosen}", x.dtype)

    # Bits

    def bit_and(self, x: Register, y: Register) -> Register:
        return self._binary("and", x, y)

    def bit_or(self, x: Register, y: Register) -> Register:
        return self._binary("or", x, y)

    def bit_xor(self, x: Register, y: Register) -> Register:
        return self._binary("xor", x, y)

    def bit_not(self, x: Register) -> Register:
        return self._binary("xor", x, self.const(-1, x))

    def shift_left(self, x: Register, y: Register) -> Register:
        if x.dtype is dtypes.bool_:
            return x  # 1 and 2 are both true
        inside, count = self._shift(x, y)
        return self.select(inside, self._binary("shl", x, count), self.const(0, x))

    def shift_right(self, x: Register, y: Register) -> Register:
        inside, count = self._shift(x, y)
        if not x.dtype.is_signed:
            return self.select(inside, self._binary("lshr", x, count), self.const(0, x))
        # All bits of a negative number shifted out leave -1.
        last = self.const(8 * x.dtype.itemsize - 1, x)
        return self._binary("ashr", x, self.select(inside, count, last))

    def _shift(self, x: Register, y: Register) -> tuple[Register, Register]:
        """Whether a count is at least 0 and below the width, and the count where it is."""
        width = 1 if x.dtype is dtypes.bool_ else 8 * x.dtype.itemsize
        if y.number is not None and 0 <= y.number < width:
            return self.constant(True, dtypes.bool_), y
        zero = self.const(0, y)
        if width == 1:
            return self.bit_not(y), zero
        inside = self._compare("icmp ult", y, self.const(width, y))
        return inside, self.select(inside, y, zero)

    def bits(self, x: Register) -> Register:
        return self._convert("bitcast", x, _SAME_WIDTH[x.dtype])

    def from_bits(self, x: Register) -> Register:
        return self._convert("bitcast", x, _AS_FLOAT[x.dtype])

    def ldexp(self, x: Register, exponent: Register) -> Register:
        if self.scales:
            narrow = self.cast(exponent, dtypes.int32)
            return self._intrinsic("ldexp", x, narrow, suffix=f".{self._mangled(dtypes.int32)}")
        product: Register = mathematics.scaled(self, x, exponent)
        return product

    # Conversion

    def cast(self, x: Register, to: dtype) -> Register:
        if x.number is not None:
            return self._cast_number(x.number, x.dtype, to)
        if x.dtype is to:
            return x
        if x.dtype.is_half:
            return self.cast(self._widened(x), to)
        if to is dtypes.bool_:
            return self.ne(x, self.const(0, x))
        if to.is_half:
            return self._narrowed(self.cast(x, dtypes.float32), to)
        if x.dtype.is_floating_point:
            if to.is_floating_point:
                return self._convert("fpext" if to.itemsize > 4 else "fptrunc", x, to)
            return self._truncated(x, to)
        if to.is_floating_point:
            return self._convert("sitofp" if x.dtype.is_signed else "uitofp", x, to)
        return self._resized(x, to)

    def _cast_number(self, number: float | int | bool, kind: dtype, to: dtype) -> Register:
        """A constant in another dtype, by way of a number that its own dtype holds."""
        with np.errstate(all="ignore"):
            held = np.asarray(number).astype(kind.numpy)
            if kind.is_floating_point and to.category == dtypes.INTEGER:
                least = -(1 << (31 if to.itemsize < 8 else 63))
                inside = bool(abs(held.astype(np.float64)) < -least)
                return self.constant(int(held) if inside else least, to)
            if to.is_half:
                held = held.astype(np.float32)
            return self.constant(held.astype(to.numpy).item(), to)

    def _resized(self, x: Register, to: dtype) -> Register:
        """An integer or bool as an integer of another width."""
        if _ELEMENTS[x.dtype] == _ELEMENTS[to]:
            return Register(x.name, to)
        if x.dtype is not dtypes.bool_ and to.itemsize < x.dtype.itemsize:
            return self._convert("trunc", x, to)
        return self._convert("sext" if x.dtype.is_signed else "zext", x, to)

    def _truncated(self, x: Register, to: dtype) -> Register:
        """Towards zero; what the 32-bit (for int64: 64-bit) integers lack becomes the least of
        them, as on x86, and narrower results are its low bits.
        """
        wide = dtypes.int64 if to is dtypes.int64 else dtypes.int32
        bound = 2.0 ** (8 * wide.itemsize - 1)
        inside = self.lt(self.abs(x), self.const(bound, x))
        number = self._convert("fptosi", x, wide)
        return self._resized(self.select(inside, number, self.constant(-int(bound), wide)), to)

    def _widened(self, x: Register) -> Register:
        if x.dtype is dtypes.float16:
            return self._convert("fpext", x, dtypes.float32)
        upper = self._resized(self._convert("bitcast", x, dtypes.int16), dtypes.int32)
        return self.from_bits(self.shift_left(upper, self.const(16, upper)))

    def _narrowed(self, x: Register, to: dtype) -> Register:
        if to is dtypes.float16:
            # Fenced, or LLVM makes one conversion of two and calls a library for it.
            fenced = self._intrinsic("arithmetic.fence", x)
            return self._convert("fptrunc", fenced, to)
        # To the nearest, ties to even; a NaN keeps its upper bits and becomes quiet.
        bits = self.bits(x)
        sixteen = self.const(16, bits)
        odd = self.bit_and(self.shift_right(bits, sixteen), self.const(1, bits))
        up = self.add(bits, self.add(odd, self.const(0x7FFF, bits)))
        kept = self.select(self.ne(x, x), self.bit_or(bits, self.const(0x400000, bits)), up)
        half = self._resized(self.shift_right(kept, sixteen), dtypes.int16)
        return self._convert("bitcast", half, to)

    # Tables and rare cases

    def lookup(self, table: tuple[int, ...], index: Register) -> Register:
        numbers = ", ".join(f"i64 {number}" for number in table)
        array = f"[{len(table)} x i64]"
        name = f"@tidu.table.{_digest(numbers)}"
        self.declarations.add(f"{name} = internal unnamed_addr constant {array} [{numbers}]")
        if self.lanes == 1:
            return self._entry(array, name, index.name)
        result = Register("poison", dtypes.int64)
        for lane in range(self.lanes):
            place = self._line(f"extractelement {self._typed(index)}, i32 {lane}", index.dtype)
            entry = self._entry(array, name, place.name)
            inserted = f"insertelement {self._typed(result)}, i64 {entry.name}, i32 {lane}"
            result = self._line(inserted, dtypes.int64)
        return result

    def _entry(self, array: str, name: str, index: str) -> Register:
        address = self._line(f"getelementptr {array}, ptr {name}, i64 0, i64 {index}", dtypes.int64)
        return self._line(f"load i64, ptr {address.name}", dtypes.int64)

    def rare(
        self,
        condition: Register,
        usual: Register,
        function: Callable[..., Any],
        *arguments: Register,
    ) -> Register:
        """A branch around a call, lane by lane, of a function that is not inlined."""
        kinds = tuple(x.dtype for x in arguments)
        key = (_identity(function), kinds, usual.dtype, self.scales)
        made = _rare_functions.get(key)
        if made is None:
            made = _rare_functions[key] = self._rare_function(function, kinds, usual.dtype)
        helpers = Helpers(made.name, _ELEMENTS[usual.dtype], made.parameters, self.lanes)
        self.declarations |= made.declarations | helpers.texts()
        passed = ", ".join(self._typed(a) for a in (condition, usual, *arguments))
        return self._line(f"call {self.type_of(usual.dtype)} {helpers.name}({passed})", usual.dtype)

    def _rare_function(
        self, function: Callable[..., Any], kinds: tuple[dtype, ...], result: dtype
    ) -> _RareFunction:
        count = itertools.count()
        inner = VectorScalars([], 1, lambda: f"%v{next(count)}", self.scales)
        given = [Register(f"%a{i}", kind) for i, kind in enumerate(kinds)]
        answer = function(inner, *given)
        parameters = tuple(Parameter(_ELEMENTS[x.dtype], x.name) for x in given)
        element = _ELEMENTS[result]
        typed = ", ".join(p.typed() for p in parameters)
        body = "\n".join([*inner.lines, f"ret {element} {answer.name}"])
        name = f"@tidu.rare.{_digest(typed + body)}"
        text = f"define internal {element} {name}({typed}) noinline cold {{\n{body}\n}}"
        return _RareFunction(name, parameters, frozenset({*inner.declarations, text}))

    # Functions

    exp = mathematics.exp
    exp2 = mathematics.exp2
    expm1 = mathematics.expm1
    log = mathematics.log
    log2 = mathematics.log2
    log10 = mathematics.log10
    log1p = mathematics.log1p
    sin = mathematics.sin
    cos = mathematics.cos
    tan = mathematics.tan
    asin = mathematics.asin
    acos = mathematics.acos
    atan = mathematics.atan
    atan2 = mathematics.atan2
    sinh = mathematics.sinh
    cosh = mathematics.cosh
    tanh = mathematics.tanh
    asinh = mathematics.asinh
    acosh = mathematics.acosh
    atanh = mathematics.atanh
    erf = mathematics.erf
    erfc = mathematics.erfc

    def pow(self, x: Register, y: Register) -> Register:
        power: Register
        if x.dtype.is_floating_point:
            if y.number is not None and float(y.number) in _POWERS:
                return _POWERS[float(y.number)](self, x)
            power = mathematics.pow(self, x, y)
        elif y.number is not None and y.number >= 0:
            power = self._repeated(x, int(y.number))
        else:
            power = mathematics.integer_power(self, x, y)
        return power

    def _repeated(self, x: Register, exponent: int) -> Register:
        """x to a known power, by repeated squaring."""
        result = self.const(1, x)
        while exponent:
            if exponent & 1:
                result = self.mul(result, x)
            exponent >>= 1
            x = self.mul(x, x) if exponent else x
        return result


class _RareFunction(NamedTuple):
    """A scalar function that `rare` calls: its text, and what that needs."""

    name: str
    parameters: tuple[Parameter, ...]
    declarations: frozenset[str]


# Their text is long, and the same wherever an instruction is used.
_rare_functions: dict[Any, _RareFunction] = {}


def _identity(function: Any) -> Any:
    """What a function does, whenever it was made: its code, and what that refers to outside."""
    if not isinstance(function, FunctionType):
        return function
    cells = function.__closure__ or ()
    return (function.__code__, *(_identity(cell.cell_contents) for cell in cells))


# Exponents for which PyTorch has arithmetic of its own.
_POWERS: dict[float, Callable[[VectorScalars, Register], Register]] = {
    0.5: lambda s, x: s.sqrt(x),
    2.0: lambda s, x: s.mul(x, x),
    3.0: lambda s, x: s.mul(s.mul(x, x), x),
    -1.0: lambda s, x: s.div(s.const(1, x), x),
    -2.0: lambda s, x: s.div(s.const(1, x), s.mul(x, x)),
}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
