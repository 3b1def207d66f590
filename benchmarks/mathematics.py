"""The elementary functions of the compiler: their greatest errors and their speed.

    python benchmarks/mathematics.py [points] [name ...]

Each function runs as a compiled loop on one core: over `points` numbers (a million) of all sizes
and of the range in which it changes, over the special ones, and over 4096 numbers again and again
for the time. The reference is the C library in long double, with 11 digits more than float64.
"""

from __future__ import annotations

import ctypes
import itertools
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from tidu.base import dtypes
from tidu.compiler.instructions import Register
from tidu.compiler.llvm import compile_module, load, vector_bytes
from tidu.compiler.scalars import VectorScalars
from tidu.ir.op import registry

Array = np.ndarray[Any, Any]
_numbers = itertools.count()


def lanes_of(*kinds: dtypes.dtype) -> int:
    """How many elements of the widest dtype fill a vector register."""
    return vector_bytes() // max(kind.itemsize for kind in kinds)


class Loop:
    """A function of scalars as a loop over arrays whose size is a multiple of the lanes."""

    def __init__(
        self,
        function: Callable[..., Register],
        kinds: tuple[dtypes.dtype, ...],
        lanes: int = 0,
        scales: bool | None = None,
    ) -> None:
        self.lanes = lanes or lanes_of(*kinds)
        self.kinds = kinds
        self.name = f"loop{next(_numbers)}"
        count = itertools.count()
        scales = vector_bytes() == 64 if scales is None else scales
        s = VectorScalars([], self.lanes, lambda: f"%t{next(count)}", scales)
        result = function(s, *(self._loaded(s, i) for i in range(len(kinds))))
        self.kind = result.dtype
        self._store(s, result)
        self.declarations = s.declarations
        self.text = "\n".join(self._lines(s))
        self._call: Callable[..., None] | None = None

    def _loaded(self, s: VectorScalars, i: int) -> Register:
        kind, name = self.kinds[i], f"%loaded{i}"
        stored = s.type_of(_stored(kind))
        s.lines.append(f"%address{i} = getelementptr {_element(kind)}, ptr %in{i}, i64 %i")
        s.lines.append(f"{name} = load {stored}, ptr %address{i}, align {kind.itemsize}")
        if kind is dtypes.bool_:
            s.lines.append(f"%bool{i} = trunc {stored} {name} to {s.type_of(kind)}")
            name = f"%bool{i}"
        return Register(name, kind)

    def _store(self, s: VectorScalars, result: Register) -> None:
        kind, stored = result.dtype, s.type_of(_stored(result.dtype))
        name = result.name
        if kind is dtypes.bool_:
            s.lines.append(f"%byte = zext {s.type_of(kind)} {name} to {stored}")
            name = "%byte"
        s.lines.append(f"%place = getelementptr {_element(kind)}, ptr %out, i64 %i")
        s.lines.append(f"store {stored} {name}, ptr %place, align {kind.itemsize}")

    def _lines(self, s: VectorScalars) -> list[str]:
        pointers = "".join(f"ptr %in{i}, " for i in range(len(self.kinds)))
        head = [f"define void @{self.name}({pointers}ptr %out, i64 %n) {{"]
        head += [
            "entry:",
            "br label %loop",
            "loop:",
            "%i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        ]
        tail = [f"%next = add i64 %i, {s.lanes}", "%more = icmp ult i64 %next, %n"]
        tail += ["br i1 %more, label %loop, label %exit", "exit:", "ret void", "}"]
        return [*head, *s.lines, *tail]

    def __call__(self, *arrays: Array) -> Array:
        """The function of every element; arrays of one element are repeated."""
        size = max(len(a) for a in arrays)
        whole = -(-size // self.lanes) * self.lanes
        padded = [np.resize(a, whole) for a in arrays]
        out = np.empty(whole, self.kind.numpy)
        self._native()(*(a.ctypes.data for a in padded), out.ctypes.data, whole)
        return out[:size]

    def nanoseconds(self, *arrays: Array) -> float:
        """For one element, at best."""
        out = np.empty(len(arrays[0]), self.kind.numpy)
        arguments = (*(a.ctypes.data for a in arrays), out.ctypes.data, len(out))
        call, best = self._native(), float("inf")
        for _ in range(400):
            start = time.perf_counter_ns()
            for _ in range(4):
                call(*arguments)
            best = min(best, (time.perf_counter_ns() - start) / 4 / len(out))
        return best

    def _native(self) -> Callable[..., None]:
        if self._call is None:
            compile_loops([self])
        assert self._call is not None
        return self._call

    def link(self, address: int) -> None:
        pointers = [ctypes.c_void_p] * (len(self.kinds) + 1)
        self._call = ctypes.CFUNCTYPE(None, *pointers, ctypes.c_int64)(address)


def _stored(kind: dtypes.dtype) -> dtypes.dtype:
    return dtypes.uint8 if kind is dtypes.bool_ else kind


def _element(kind: dtypes.dtype) -> str:
    return VectorScalars([], 1, str).type_of(_stored(kind))


def module_text(loops: Sequence[Loop]) -> str:
    declarations = sorted(set().union(*(loop.declarations for loop in loops)))
    return "\n".join([*declarations, *(loop.text for loop in loops)])


def compile_loops(loops: Sequence[Loop]) -> None:
    """Compile several loops at once."""
    addresses = load([compile_module(module_text(loops))], [loop.name for loop in loops])
    for loop in loops:
        loop.link(addresses[loop.name])


# References in long double


def _erf_series(x: Array) -> Array:
    """2/√π exp(-x²) Σ 2ⁿ x²ⁿ⁺¹ / (1 · 3 · 5 ... (2n + 1)), whose terms have one sign."""
    term = np.copy(x)
    total = np.copy(x)
    for n in range(1, 120):
        term = term * (2 * x * x) / (2 * n + 1)
        total = total + term
    return total * _gauss(x) * (2 / np.sqrt(np.longdouble(_PI)))


_PI = np.longdouble("3.14159265358979323846264338327950288")


def _gauss(x: Array) -> Array:
    """exp(-x²), by way of a part of x whose square is exact."""
    head = x.astype(np.float32).astype(np.longdouble)
    return np.exp(-head * head) * np.exp(-(x - head) * (x + head))


def _erfc_fraction(x: Array) -> Array:
    """exp(-x²)/√π / (x + 1/2/(x + 1/(x + 3/2/(x + ...)))) for x >= 1."""
    value = np.zeros_like(x)
    for n in range(500, 0, -1):
        value = (np.longdouble(n) / 2) / (x + value)
    return _gauss(x) / np.sqrt(_PI) / (x + value)


def erf_reference(x: Array) -> Array:
    small = np.clip(x, -7, 7)
    return np.where(np.abs(x) < 7, _erf_series(small), np.sign(x) + 0 * np.where(x == x, 0, x))


def erfc_reference(x: Array) -> Array:
    far = _erfc_fraction(np.clip(x, 1, 200))
    return np.where(x < 1, 1 - erf_reference(np.minimum(x, 1)), np.where(x == x, far, x))


class Case(NamedTuple):
    """A function, and where it changes in float32 and in float64."""

    reference: Callable[..., Array]
    single: tuple[float, float]
    double: tuple[float, float]


CASES = {
    "exp": Case(np.exp, (-105, 90), (-750, 711)),
    "exp2": Case(np.exp2, (-151, 129), (-1076, 1025)),
    "expm1": Case(np.expm1, (-20, 90), (-40, 711)),
    "log": Case(np.log, (0, 4), (0, 4)),
    "log2": Case(np.log2, (0, 4), (0, 4)),
    "log10": Case(np.log10, (0, 4), (0, 4)),
    "log1p": Case(np.log1p, (-1, 4), (-1, 4)),
    "sin": Case(np.sin, (-100, 100), (-100, 100)),
    "cos": Case(np.cos, (-100, 100), (-100, 100)),
    "tan": Case(np.tan, (-100, 100), (-100, 100)),
    "asin": Case(np.arcsin, (-1, 1), (-1, 1)),
    "acos": Case(np.arccos, (-1, 1), (-1, 1)),
    "atan": Case(np.arctan, (-5, 5), (-5, 5)),
    "sinh": Case(np.sinh, (-90, 90), (-711, 711)),
    "cosh": Case(np.cosh, (-90, 90), (-711, 711)),
    "tanh": Case(np.tanh, (-10, 10), (-20, 20)),
    "asinh": Case(np.arcsinh, (-5, 5), (-5, 5)),
    "acosh": Case(np.arccosh, (1, 5), (1, 5)),
    "atanh": Case(np.arctanh, (-1, 1), (-1, 1)),
    "erf": Case(erf_reference, (-4.2, 4.2), (-6.2, 6.2)),
    "erfc": Case(erfc_reference, (-4, 10.4), (-6, 27.4)),
    "atan2": Case(np.arctan2, (-5, 5), (-5, 5)),
    "pow": Case(np.power, (0, 20), (0, 100)),
    "fmod": Case(np.fmod, (-100, 100), (-100, 100)),
}
PAIRS = ("atan2", "pow", "fmod")


def _sigmoid_reference(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _softplus_reference(x: Array) -> Array:
    """By its definition: from 20 on it is its argument."""
    return np.where(x > 20, x, np.log1p(np.exp(np.minimum(x, 21))))


# Not functions of `VectorScalars`, but what operations emit.
OPERATIONS = {
    "sqrt": Case(np.sqrt, (0, 4), (0, 4)),
    "rsqrt": Case(lambda x: 1 / np.sqrt(x), (0, 4), (0, 4)),
    "reciprocal": Case(lambda x: 1 / x, (-4, 4), (-4, 4)),
    "sigmoid": Case(_sigmoid_reference, (-105, 20), (-750, 40)),
    "softplus": Case(_softplus_reference, (-105, 30), (-750, 30)),
}
_ATTRIBUTES = {"softplus": (1.0, 20.0)}
_EVERY = CASES | OPERATIONS


def function_of(name: str) -> Callable[..., Register]:
    """What writes a function with the scalar instructions."""
    if name in CASES:
        return cast(Callable[..., Register], getattr(VectorScalars, name))
    emit, attributes = registry[name].emit, _ATTRIBUTES.get(name, ())
    assert emit is not None
    return lambda s, x: emit(s, x, *attributes)


SPECIAL = (
    *(0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 10.0, 1e-10, 1e-20, 1e10, 1e22, 128.0, 1024.0, np.inf),
    *(np.nan, 1e-45, 1e-40, 2.0**-126, 2.0**128 - 2.0**104, 2.0**104, 2.0**-149, 2.0**-130),
    *(5e-324, 1e-310, 2.0**-1022, 1.7976931348623157e308, 2.0**53, 2.0**53 - 1, 2.0**24 - 1),
    # Where exp, exp2, sinh and erfc overflow and vanish.
    *(88.72283, 88.7229, 87.33655, 103.97208, 103.9721, 709.782712893384, 709.7827128933841),
    *(745.1332191019411, 745.1332191019412, 149.0, 150.0, 1074.0, 1075.0, 89.415985, 89.41599),
    *(710.4758600739439, 710.475860073944, 10.05, 10.06, 27.2, 27.3, 708.4),
    # Close to a multiple of π/2, and where the reduction changes its way.
    *(np.pi, np.pi / 2, np.pi / 4, 6381956970095103 * 2.0**797, 2.0**16, 2.0**24, 71476.08),
    *(1 - 2.0**-24, 1 + 2.0**-23, 1 - 2.0**-53, 1 + 2.0**-52, 2.0**0.5, 2.0**-0.5),
)


def points(name: str, kind: Any, count: int) -> tuple[Array, ...]:
    """Bit patterns of all sizes, the range where the function changes, numbers about 0 and 1, and
    the special numbers (of two arguments: all pairs).
    """
    rng = np.random.default_rng(0)
    case = _EVERY[name]
    low, high = case.single if kind is np.float32 else case.double
    third = count // 3

    def draw() -> Array:
        unsigned = np.uint32 if kind is np.float32 else np.uint64
        bits = rng.integers(0, np.iinfo(unsigned).max, third, unsigned, endpoint=True).view(kind)
        sizes = rng.standard_normal(third) * np.exp2(rng.uniform(-20, 3, third))
        near = np.where(rng.random(third) < 0.5, sizes, 1 + sizes / 8)
        return np.concatenate([bits, rng.uniform(low, high, third), near]).astype(kind)

    with np.errstate(all="ignore"):
        special = np.array([*SPECIAL, *(-x for x in SPECIAL)]).astype(kind)
        if name not in PAIRS:
            return (np.concatenate([draw(), special]),)
        pairs = np.stack(np.meshgrid(special, special)).reshape(2, -1)
        first, second = draw(), draw()
    if name == "pow":
        second[third : 2 * third] *= kind(2)
        with np.errstate(all="ignore"):
            second[: third // 4] = np.round(second[: third // 4])
    return np.concatenate([first, pairs[0]]), np.concatenate([second, pairs[1]])


def units(got: Array, want: Array) -> Array:
    """Errors in units of the last place of what was wanted; infinite where a special is missed."""
    info = np.finfo(got.dtype)
    with np.errstate(all="ignore"):
        size = np.abs(want)
        exponent = np.floor(np.log2(np.maximum(size, np.longdouble(info.tiny))))
        unit = np.ldexp(np.longdouble(1), (exponent - info.nmant).astype(np.int64))
        errors = np.abs(got.astype(np.longdouble) - want) / unit
        rounded = want.astype(got.dtype)
        special = ~np.isfinite(got) | ~np.isfinite(rounded)
        equal = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        # The greatest number and infinity are neighbors.
        beside = np.isinf(rounded) & (np.abs(got) == info.max) & (np.sign(got) == np.sign(want))
        beside |= np.isinf(got) & (np.abs(rounded) == info.max) & (np.sign(got) == np.sign(want))
        zero = (got == 0) & (want == 0)
        errors = np.where(special, np.where(equal, 0.0, np.where(beside, 1.0, np.inf)), errors)
        return np.where(zero & (np.signbit(got) != np.signbit(want)), np.inf, errors)


class Result(NamedTuple):
    worst: float
    at: tuple[Any, ...]
    got: Any
    want: Any


def greatest_error(
    name: str, kind: Any, count: int, lanes: int = 0, scales: bool | None = None
) -> Result:
    arguments = points(name, kind, count)
    kinds = tuple(dtypes.from_numpy(a.dtype) for a in arguments)
    got = Loop(function_of(name), kinds, lanes, scales)(*arguments)
    with np.errstate(all="ignore"):
        want = _EVERY[name].reference(*(a.astype(np.longdouble) for a in arguments))
    errors = units(got, want)
    place = int(np.argmax(errors))
    return Result(float(errors[place]), tuple(a[place] for a in arguments), got[place], want[place])


_WIDE = (
    *("exp", "exp2", "expm1", "sin", "cos", "tan", "sinh", "cosh", "tanh", "erf", "erfc"),
    *("sigmoid", "softplus"),
)
_AT_WORK = {
    **{"acosh": (1, 3), "log": (0.1, 5), "pow": (0.1, 3)},
    **dict.fromkeys(_WIDE, (-4, 4)),
    **dict.fromkeys(("sqrt", "rsqrt", "reciprocal"), (0.1, 5)),
}


def speed(name: str, kind: Any) -> float:
    """Nanoseconds for one element, of numbers where the function is at work."""
    rng = np.random.default_rng(0)
    low, high = _AT_WORK.get(name, (-0.99, 0.99))
    arguments = [
        rng.uniform(low, high, 4096).astype(kind) for _ in range(2 if name in PAIRS else 1)
    ]
    if name.startswith("log"):
        arguments = [np.abs(a) + kind(0.1) for a in arguments]
    kinds = tuple(dtypes.from_numpy(a.dtype) for a in arguments)
    return Loop(function_of(name), kinds).nanoseconds(*arguments)


def main(arguments: list[str]) -> None:
    count = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 1_000_000
    print("| function | dtype | greatest error (ulp) | at | ns per element |")
    print("| --- | --- | --- | --- | --- |")
    for name in arguments or _EVERY:
        for kind in (np.float32, np.float64):
            result = greatest_error(name, kind, count)
            at = ", ".join(str(x) for x in result.at)
            row = (name, kind.__name__, f"{result.worst:.2f}", at, f"{speed(name, kind):.2f}")
            print(f"| {' | '.join(row)} |", flush=True)
            if result.worst > 2:
                print(f"  got {result.got!r}, not {result.want!r}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
