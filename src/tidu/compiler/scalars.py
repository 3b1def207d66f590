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

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.compiler import casts
from tidu.compiler.instructions import ELEMENTS, Instructions, Register
from tidu.compiler.rare import Helpers, Parameter
from tidu.ir import mathematics

_SAME_WIDTH = {dtypes.float32: dtypes.int32, dtypes.float64: dtypes.int64}
_AS_FLOAT = {integer: number for number, integer in _SAME_WIDTH.items()}


class VectorScalars(Instructions):
    """Implements `tidu.ir.scalar.Scalars` by appending lines to the body of a function."""

    # Arithmetic

    def add(self, x: Register, y: Register) -> Register:
        if x.dtype is dtypes.bool_:
            return self.bit_or(x, y)
        return self.binary("fadd" if x.dtype.is_floating_point else "add", x, y)

    def sub(self, x: Register, y: Register) -> Register:
        return self.binary("fsub" if x.dtype.is_floating_point else "sub", x, y)

    def mul(self, x: Register, y: Register) -> Register:
        return self.binary("fmul" if x.dtype.is_floating_point else "mul", x, y)

    def div(self, x: Register, y: Register) -> Register:
        if x.dtype.is_floating_point:
            return self.binary("fdiv", x, y)
        if not x.dtype.is_signed:
            return self._where_divisible(self.binary("udiv", x, self._divisor(y)), y)
        quotient = self._where_divisible(self.binary("sdiv", x, self._divisor(y)), y)
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
            return self.intrinsic("fma", x, y, z)
        return self.add(self.mul(x, y), z)

    mul_add = fma

    def fmod(self, x: Register, y: Register) -> Register:
        if x.dtype.is_floating_point:
            rest: Register = mathematics.fmod(self, x, y)
            return rest
        return self.binary("srem" if x.dtype.is_signed else "urem", x, self._divisor(y))

    def rem(self, x: Register, y: Register) -> Register:
        rest = self.fmod(x, y)
        if not x.dtype.is_signed:
            return rest
        zero = self.const(0, x)
        opposite = self.bit_xor(self.lt(rest, zero), self.lt(y, zero))
        wrong = self.bit_and(self.ne(rest, zero), opposite)
        return self.select(wrong, self.add(rest, y), rest)

    def neg(self, x: Register) -> Register:
        if x.dtype.is_floating_point:
            return self.line(f"fneg {self.typed(x)}", x.dtype)
        return self.sub(self.const(0, x), x)

    def abs(self, x: Register) -> Register:
        if x.dtype.is_floating_point:
            return self.intrinsic("fabs", x)
        return self.max(x, self.neg(x)) if x.dtype.is_signed else x

    def max(self, x: Register, y: Register) -> Register:
        return self._extreme("ogt", "max", x, y)

    def min(self, x: Register, y: Register) -> Register:
        return self._extreme("olt", "min", x, y)

    def _extreme(self, better: str, name: str, x: Register, y: Register) -> Register:
        if not x.dtype.is_floating_point:
            return self.intrinsic(("s" if x.dtype.is_signed else "u") + name, x, y)
        # One instruction on x86, which gives its second operand where either is NaN.
        if x.number is not None and x.number == x.number:
            return self.select(self.compare(f"fcmp {better}", x, y), x, y)
        if y.number is not None and y.number == y.number:
            better = better if y.number else better.replace("t", "e")  # of two zeros: this one
            return self.select(self.compare(f"fcmp {better}", y, x), y, x)
        chosen = self.select(self.compare(f"fcmp {better}", x, y), x, y)
        return self.select(self.compare("fcmp uno", x, x), x, chosen)

    def floor(self, x: Register) -> Register:
        return self._rounded("floor", x)

    def ceil(self, x: Register) -> Register:
        return self._rounded("ceil", x)

    def trunc(self, x: Register) -> Register:
        return self._rounded("trunc", x)

    def round(self, x: Register) -> Register:
        return self._rounded("roundeven", x)

    def _rounded(self, intrinsic: str, x: Register) -> Register:
        return self.intrinsic(intrinsic, x) if x.dtype.is_floating_point else x

    def sqrt(self, x: Register) -> Register:
        return self.intrinsic("sqrt", x)

    def copysign(self, x: Register, y: Register) -> Register:
        if x.dtype.is_floating_point:
            return self.intrinsic("copysign", x, y)
        if not x.dtype.is_signed:
            return x
        zero = self.const(0, x)
        differ = self.bit_xor(self.lt(x, zero), self.lt(y, zero))
        return self.select(differ, self.neg(x), x)

    # Comparison and choice

    def lt(self, x: Register, y: Register) -> Register:
        return self.compare(self._test("lt", x), x, y)

    def le(self, x: Register, y: Register) -> Register:
        return self.compare(self._test("le", x), x, y)

    def _test(self, name: str, x: Register) -> str:
        if x.dtype.is_floating_point:
            return f"fcmp o{name}"
        return f"icmp {'s' if x.dtype.is_signed else 'u'}{name}"

    def eq(self, x: Register, y: Register) -> Register:
        return self.compare("fcmp oeq" if x.dtype.is_floating_point else "icmp eq", x, y)

    def ne(self, x: Register, y: Register) -> Register:
        return self.compare("fcmp une" if x.dtype.is_floating_point else "icmp ne", x, y)

    def select(self, condition: Register, x: Register, y: Register) -> Register:
        if condition.dtype is not dtypes.bool_:
            condition = self.cast(condition, dtypes.bool_)
        chosen = f"{self.typed(condition)}, {self.typed(x)}, {self.typed(y)}"
        return self.line(f"select {chosen}", x.dtype)

    # Bits

    def bit_and(self, x: Register, y: Register) -> Register:
        return self.binary("and", x, y)

    def bit_or(self, x: Register, y: Register) -> Register:
        return self.binary("or", x, y)

    def bit_xor(self, x: Register, y: Register) -> Register:
        return self.binary("xor", x, y)

    def bit_not(self, x: Register) -> Register:
        return self.binary("xor", x, self.const(-1, x))

    def shift_left(self, x: Register, y: Register) -> Register:
        if x.dtype is dtypes.bool_:
            return x  # 1 and 2 are both true
        inside, count = self._shift(x, y)
        return self.select(inside, self.binary("shl", x, count), self.const(0, x))

    def shift_right(self, x: Register, y: Register) -> Register:
        inside, count = self._shift(x, y)
        if not x.dtype.is_signed:
            return self.select(inside, self.binary("lshr", x, count), self.const(0, x))
        # All bits of a negative number shifted out leave -1.
        last = self.const(8 * x.dtype.itemsize - 1, x)
        return self.binary("ashr", x, self.select(inside, count, last))

    def _shift(self, x: Register, y: Register) -> tuple[Register, Register]:
        """Whether a count is at least 0 and below the width, and the count where it is."""
        width = 1 if x.dtype is dtypes.bool_ else 8 * x.dtype.itemsize
        if y.number is not None and 0 <= y.number < width:
            return self.constant(True, dtypes.bool_), y
        zero = self.const(0, y)
        if width == 1:
            return self.bit_not(y), zero
        inside = self.compare("icmp ult", y, self.const(width, y))
        return inside, self.select(inside, y, zero)

    def bits(self, x: Register) -> Register:
        return self.convert("bitcast", x, _SAME_WIDTH[x.dtype])

    def from_bits(self, x: Register) -> Register:
        return self.convert("bitcast", x, _AS_FLOAT[x.dtype])

    def ldexp(self, x: Register, exponent: Register) -> Register:
        if self.scales:
            narrow = self.cast(exponent, dtypes.int32)
            return self.intrinsic("ldexp", x, narrow, suffix=f".{self.mangled(dtypes.int32)}")
        product: Register = mathematics.scaled(self, x, exponent)
        return product

    # Conversion

    cast = casts.cast

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
            place = self.line(f"extractelement {self.typed(index)}, i32 {lane}", index.dtype)
            entry = self._entry(array, name, place.name)
            inserted = f"insertelement {self.typed(result)}, i64 {entry.name}, i32 {lane}"
            result = self.line(inserted, dtypes.int64)
        return result

    def _entry(self, array: str, name: str, index: str) -> Register:
        address = self.line(f"getelementptr {array}, ptr {name}, i64 0, i64 {index}", dtypes.int64)
        return self.line(f"load i64, ptr {address.name}", dtypes.int64)

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
        helpers = Helpers(made.name, ELEMENTS[usual.dtype], made.parameters, self.lanes)
        self.declarations |= made.declarations | helpers.texts()
        passed = ", ".join(self.typed(a) for a in (condition, usual, *arguments))
        return self.line(f"call {self.type_of(usual.dtype)} {helpers.name}({passed})", usual.dtype)

    def _rare_function(
        self, function: Callable[..., Any], kinds: tuple[dtype, ...], result: dtype
    ) -> _RareFunction:
        count = itertools.count()
        inner = VectorScalars([], 1, lambda: f"%v{next(count)}", self.scales)
        given = [Register(f"%a{i}", kind) for i, kind in enumerate(kinds)]
        answer = function(inner, *given)
        parameters = tuple(Parameter(ELEMENTS[x.dtype], x.name) for x in given)
        element = ELEMENTS[result]
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
    -0.5: lambda s, x: s.div(s.const(1, x), s.sqrt(x)),
    -1.0: lambda s, x: s.div(s.const(1, x), x),
    -2.0: lambda s, x: s.div(s.const(1, x), s.mul(x, x)),
}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
