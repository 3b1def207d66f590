"""The scalar instructions as vectors of LLVM, against the same instructions on NumPy arrays."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from benchmarks.mathematics import CASES, PAIRS, Loop, compile_loops, module_text

import tidu
from tests.ops import table
from tidu.backends.numpy_scalars import NumpyScalars
from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.compiler import llvm
from tidu.compiler.instructions import Register
from tidu.compiler.scalars import VectorScalars
from tidu.ir.op import Op, Sample, registry
from tidu.ir.value import Value

NUMPY = NumpyScalars()
LANES = (1, 8, 16)
EMITTED = [op for op in registry.values() if op.emit is not None and op.kind == "elementwise"]
REDUCTIONS = [op for op in registry.values() if op.emit is not None and op.kind == "reduction"]
# One of the two half dtypes is enough: an emission gets both as float32.
KINDS = ("float32", "float64", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
SIZE = 48
# For float32 and float64, the polynomials are not those of NumPy.
TOLERANCE = {dtypes.float32: 3e-6, dtypes.float64: 1e-12}


class Case:
    """One sample of an op in one dtype: what its emission gets."""

    def __init__(self, op: Op, sample: Sample, name: str) -> None:
        self.op = op
        rng = np.random.default_rng(len(op.name))
        arguments = tuple(self._leaf(a, name, rng) for a in sample.args)
        value = op.value(arguments[: op.arity], arguments[op.arity :])
        self.attrs = value.attrs
        self.arrays: list[Any] = []
        self.plan: list[Any] = []  # places among the arrays, numbers and None
        for x in [*value.inputs]:  # held here, or they might not outlive a run
            if isinstance(x, Value):
                self.plan.append(len(self.arrays))
                self.arrays.append(self._array(x))
            else:
                self.plan.append((x,))
        like = [a.dtype for a in self.arrays if a.dtype != np.bool_]
        self.numbers = dtypes.from_numpy(like[0]) if like else dtypes.float32

    def _leaf(self, argument: Any, name: str, rng: np.random.Generator) -> Any:
        if not isinstance(argument, table.Array):
            return argument
        array = table.array_of(argument._replace(shape=(SIZE,)), name, rng)
        if array.dtype.kind == "f":
            array[:6] = [0.0, -0.0, np.nan, np.inf, -np.inf, 1.0]
            array = rng.permutation(array)
        kind = dtypes.from_name(argument.dtype or name)
        return tidu.from_array(array).to(kind)._value

    def _array(self, x: Value) -> Any:
        """The numbers of an input, halves widened, also where a cast was inserted."""
        found = tidu.from_value(x).numpy()
        array = np.broadcast_to(found, (SIZE,))
        return np.array(array.astype(np.float32) if x.dtype.is_half else array)

    def loop(self, lanes: int) -> Loop:
        def emission(s: VectorScalars, *registers: Register) -> Register:
            made: Register = self.op.emit(s, *self._given(s, registers), *self.attrs)
            return made

        return Loop(emission, tuple(dtypes.from_numpy(a.dtype) for a in self.arrays), lanes)

    def _given(self, s: VectorScalars, registers: tuple[Register, ...]) -> Iterator[Any]:
        for x in self.plan:
            if isinstance(x, int):
                yield registers[x]
            else:
                yield None if x[0] is None else s.constant(x[0], self.numbers)

    def expected(self) -> Any:
        def number(x: Any) -> Any:
            return None if x is None else np.asarray(x, self.numbers.numpy)

        given = [self.arrays[x] if isinstance(x, int) else number(x[0]) for x in self.plan]
        with np.errstate(all="ignore"):
            try:
                result = self.op.emit(NUMPY, *given, *self.attrs)
            except TypeError:  # NumPy has no such instruction for bools
                result = self.op.numpy(*given, *self.attrs)
        return np.broadcast_to(result, (SIZE,))


def _cases(op: Op) -> Iterator[Case]:
    for sample in op.samples():
        for name in table.DTYPES[op.dtypes]:
            if name in KINDS:
                try:
                    yield Case(op, sample, name)
                except (NotImplementedError, RuntimeError, TypeError):
                    continue  # a dtype that the op refuses


@pytest.mark.parametrize("op", EMITTED, ids=lambda op: op.name)
def test_every_emission_computes_what_it_does_with_numpy(op: Op) -> None:
    distinct: dict[Any, Case] = {}
    for case in _cases(op):
        key = (tuple(a.dtype for a in case.arrays), case.attrs, str(case.plan))
        distinct.setdefault(key, case)
    assert distinct
    loops = [(case, case.loop(lanes)) for case in distinct.values() for lanes in LANES]
    compile_loops([loop for _, loop in loops])
    for case, loop in loops:
        got, want = loop(*case.arrays), case.expected()
        what = f"{op.name} {case.attrs} of {[a.dtype for a in case.arrays]}, {loop.lanes} lanes"
        if loop.kind.is_floating_point:
            tolerance = max(TOLERANCE[loop.kind], 1e-12 * op.tolerance)
            want = want.astype(loop.kind.numpy)
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg=what)
        else:
            np.testing.assert_array_equal(got, want.astype(loop.kind.numpy), err_msg=what)


@pytest.mark.parametrize("op", EMITTED, ids=lambda op: op.name)
def test_every_emission_becomes_ptx_without_calls_of_a_library(op: Op) -> None:
    case = next(_cases(op))
    ptx = llvm.emit_ptx(module_text([case.loop(1)]))
    assert ".entry loop" in ptx
    assert ".extern .func" not in ptx


def _steps(op: Op, place: int) -> Any:
    """One step of a reduction, or one of the results of one that carries several along."""

    def step(s: Any, *given: Any) -> Any:
        assert op.emit is not None
        made = op.emit(s, *given)
        return made[place] if type(made) is tuple else made

    return step


@pytest.mark.parametrize("op", REDUCTIONS, ids=lambda op: op.name)
def test_every_step_of_a_reduction_computes_what_it_does_with_numpy(op: Op) -> None:
    pairs = op.name.startswith("arg")
    loops = []
    names = ("bool",) if op.name in ("any", "all") else KINDS
    for kind, place, lanes in itertools.product(names, range(2 if pairs else 1), LANES):
        if kind == "bfloat16" or (pairs and kind == "bool"):
            continue
        of = dtypes.from_name(kind)
        kinds = (of, dtypes.int64, of, dtypes.int64) if pairs else (of, of)
        loops.append((Loop(_steps(op, place), kinds, lanes), place))
    compile_loops([loop for loop, _ in loops])
    for loop, place in loops:
        x, y = _combined(loop.kinds[0])
        where = np.arange(len(x)), np.arange(len(x)) + 1000
        given = (x, where[0], y, where[1]) if pairs else (x, y)
        with np.errstate(all="ignore"):
            want = _steps(op, place)(NUMPY, *given)
        np.testing.assert_array_equal(loop(*given), want, err_msg=f"{op.name} {loop.kinds}")


# Conversion

FLOATS = [0, -0.0, 0.5, -0.5, 1, -1.5, 255.7, -129, 300, 70000, 2**31 - 1, 2**31, -(2**31), 3e9]
FLOATS += [1e10, -1e10, 9.3e18, -9.3e18, np.nan, np.inf, -np.inf, 1e-40, 6e-8, 65520, 3.4e38]
FLOATS += [65519.99, 1.00390625, 1.01171875, 3.3895314e38, 5e-324, 2.0**-25]


def _numbers(kind: dtype) -> Any:
    rng = np.random.default_rng(0)
    if kind.is_floating_point:
        with np.errstate(all="ignore"):
            return np.array(FLOATS).astype(kind.numpy)
    if kind is dtypes.bool_:
        return np.array([True, False, True])
    info = np.iinfo(kind.numpy)
    drawn = rng.integers(info.min, info.max, 40, kind.numpy, endpoint=True)
    return np.append(drawn, np.array([info.min, info.max, 0, 1], kind.numpy))


def _combined(kind: dtype) -> tuple[Any, Any]:
    """All pairs of the numbers of a dtype."""
    x, y = np.meshgrid(_numbers(kind), _numbers(kind))
    return np.ascontiguousarray(x.ravel()), np.ascontiguousarray(y.ravel())


def test_conversions_give_what_pytorch_gives() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    cases = []
    for source, to, lanes in itertools.product(dtypes.ALL, dtypes.ALL, LANES):
        cases.append((source, to, Loop(lambda s, x, to=to: s.cast(x, to), (source,), lanes)))
    compile_loops([loop for _, _, loop in cases])
    for source, to, loop in cases:
        x = _numbers(source)
        got, want = loop(x), _torch_cast(torch, x, source, to)
        what = f"{source} to {to}, {loop.lanes} lanes"
        if to.is_floating_point:
            got, want = got.astype(np.float64), want.astype(np.float64)
            negative = np.signbit(got) & (got == got), np.signbit(want) & (want == want)
            np.testing.assert_array_equal(*negative, err_msg=what)
        np.testing.assert_array_equal(got, want, err_msg=what)


def _torch_cast(torch: Any, x: Any, source: dtype, to: dtype) -> Any:
    wide = x.astype(np.float32) if source.is_half else x
    tensor = torch.from_numpy(wide).to(getattr(torch, source.name)).to(getattr(torch, to.name))
    if to.is_half:
        return tensor.float().numpy().astype(to.numpy)
    return tensor.numpy()


def test_constants_are_converted_as_registers_are() -> None:
    s = VectorScalars([], 8, str)
    for source in dtypes.ALL:
        x = _numbers(source)
        loops = [Loop(lambda s, v, to=to: s.cast(v, to), (source,), 8) for to in dtypes.ALL]
        compile_loops(loops)
        for to, loop in zip(dtypes.ALL, loops, strict=True):
            constants = [s.cast(s.constant(n.item(), source), to) for n in x]
            got = np.array([c.number for c in constants]).astype(to.numpy)
            want = loop(x)
            if to.is_half:
                got, want = got.astype(np.float32), want.astype(np.float32)
            np.testing.assert_array_equal(got, want, err_msg=f"{source} to {to}")


# Integers

INTEGERS = [d for d in dtypes.ALL if d.category == dtypes.INTEGER]


def _pairs(kind: dtype) -> tuple[Any, Any]:
    edges = _numbers(kind)[-4:]
    small = np.arange(-5, 6).astype(kind.numpy)
    values = np.concatenate([edges, small, _numbers(kind)[:8]])
    x, y = np.meshgrid(values, values)
    return np.ascontiguousarray(x.ravel()), np.ascontiguousarray(y.ravel())


def _python_quotient(x: int, y: int) -> int:
    return 0 if y == 0 else abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def _shifted(x: int, y: int, width: int, left: bool) -> int:
    if 0 <= y < width:
        return x << y if left else x >> y
    return 0 if left or x >= 0 else -1


def _power(x: int, y: int) -> int:
    if y >= 0:
        return pow(x, y, 1 << 64)
    return 0 if abs(x) != 1 else x if y % 2 else 1


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
@pytest.mark.parametrize("lanes", LANES)
def test_integer_instructions_never_trap_and_wrap(kind: dtype, lanes: int) -> None:
    width = 8 * kind.itemsize
    exact = {
        "add": lambda x, y: x + y,
        "sub": lambda x, y: x - y,
        "mul": lambda x, y: x * y,
        "div": _python_quotient,
        "rem": lambda x, y: x % y if y else 0,
        "fmod": lambda x, y: x - y * _python_quotient(x, y) if y else 0,
        "shift_left": lambda x, y: _shifted(x, y, width, True),
        "shift_right": lambda x, y: _shifted(x, y, width, False),
        "max": max,
        "min": min,
        "pow": _power,
    }
    x, y = _pairs(kind)
    loops = {name: Loop(getattr(VectorScalars, name), (kind, kind), lanes) for name in exact}
    compile_loops(list(loops.values()))
    for name, function in exact.items():
        wrapped = [
            (function(a, b) + (1 << 80)) % (1 << width)
            for a, b in zip(x.tolist(), y.tolist(), strict=True)
        ]
        want = np.array(wrapped, np.uint64).astype(f"u{kind.itemsize}").view(kind.numpy)
        np.testing.assert_array_equal(loops[name](x, y), want, err_msg=name)


# Floats

SPECIALS = [0.0, -0.0, 1.0, -1.0, np.nan, np.inf, -np.inf, 3.5, -2.25, 1e-45]


@pytest.mark.parametrize("name", ["max", "min", "lt", "le", "eq", "ne", "copysign", "rem"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_pairs_of_special_numbers(name: str, kind: Any) -> None:
    x, y = (np.ascontiguousarray(a.ravel()) for a in np.meshgrid(*(np.array(SPECIALS, kind),) * 2))
    of = dtypes.from_numpy(x.dtype)
    with np.errstate(all="ignore"):
        want = getattr(NUMPY, name)(x, y)
    np.testing.assert_array_equal(Loop(getattr(VectorScalars, name), (of, of))(x, y), want)
    # Where one operand is a constant, another sequence of instructions is chosen.
    instruction = getattr(VectorScalars, name)
    for number in SPECIALS:
        fixed = np.full_like(x, number)
        with np.errstate(all="ignore"):
            want = getattr(NUMPY, name)(x, fixed), getattr(NUMPY, name)(fixed, x)
        last = Loop(lambda s, v, n=number: instruction(s, v, s.const(n, v)), (of,))
        first = Loop(lambda s, v, n=number: instruction(s, s.const(n, v), v), (of,))
        compile_loops([last, first])
        np.testing.assert_array_equal(last(x), want[0], err_msg=f"{name} {number}")
        np.testing.assert_array_equal(first(x), want[1], err_msg=f"{name} {number}")


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 7, 63, 64, 100])
def test_integers_to_a_known_power(exponent: int) -> None:
    x = np.arange(-9, 10)
    got = Loop(lambda s, v: s.pow(v, s.const(exponent, v)), (dtypes.int64,))(x)
    wrapped = [(pow(v, exponent) + (1 << 640)) % (1 << 64) for v in x.tolist()]
    np.testing.assert_array_equal(got, np.array(wrapped, np.uint64).view(np.int64))


@pytest.mark.parametrize("exponent", [0.5, 2.0, 3.0, -1.0, -2.0])
def test_powers_with_arithmetic_of_their_own_are_close_to_the_others(exponent: float) -> None:
    x = np.linspace(0.1, 5, 64)
    got = Loop(lambda s, v: s.pow(v, s.const(exponent, v)), (dtypes.float64,))(x)
    np.testing.assert_allclose(got, x**exponent, rtol=1e-15)


def test_a_rare_case_is_worked_out_for_the_lanes_that_need_it_only() -> None:
    def function(s: VectorScalars, x: Register) -> Register:
        negative = s.lt(x, s.const(0, x))
        return s.rare(negative, x, lambda t, y: t.mul(y, t.const(-10, y)), x)

    x = np.array([1, 2, -3, 4, -5, 6, 7, 8, 9, -1, 2, 3, 4, 5, 6, 7, 8], np.float32)
    for lanes in LANES:
        got = Loop(function, (dtypes.float32,), lanes)(x)
        np.testing.assert_array_equal(got, np.where(x < 0, -10 * x, x))


LIBRARY = "fma ldexp floor ceil trunc roundeven rint fmod exp exp2 log sin cos pow sqrt copysign"
LIBRARY_FUNCTIONS = {f"{name}{kind}".encode() for name in LIBRARY.split() for kind in ("", "f")}


@pytest.mark.parametrize("name", [*CASES, "floor", "ceil", "trunc", "round", "sqrt", "rem"])
def test_no_function_of_the_math_library_is_called(name: str) -> None:
    loops = []
    for kind, lanes in itertools.product((dtypes.float32, dtypes.float64), LANES):
        count = 2 if name in ("rem", *PAIRS) else 1
        loops.append(Loop(getattr(VectorScalars, name), (kind,) * count, lanes))
    symbols = set(llvm.compile_module(module_text(loops)).split(b"\0"))
    assert loops[0].name.encode() in symbols
    assert not symbols & LIBRARY_FUNCTIONS
