"""NaN, infinities, signed zeros and denormals: compiled, under NumPy and in PyTorch the same."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import tidu
from tests.compiler.tiers import tier

torch = pytest.importorskip("torch", reason="PyTorch is an oracle of this test")

FLOATS = ("float32", "float64", "float16", "bfloat16")
_NUMPY = {"bfloat16": ml_dtypes.bfloat16}
Call = Callable[..., Any]


def _special(name: str) -> np.ndarray[Any, Any]:
    """The numbers of a dtype where something happens."""
    kind = np.dtype(_NUMPY.get(name, name))
    limits = ml_dtypes.finfo(kind)
    tiny, least, largest = (float(x) for x in (limits.tiny, limits.smallest_subnormal, limits.max))
    positive = [0.0, least, 3 * least, tiny - least, tiny, 0.3, 0.5, 1.0, 1.5, 2.5, 7.0, largest]
    numbers = [*positive, *(-x for x in positive), np.inf, -np.inf, np.nan]
    return np.array(numbers, np.float64)


def _pairs(name: str) -> list[np.ndarray[Any, Any]]:
    return [np.array(x) for x in zip(*itertools.product(_special(name), repeat=2), strict=True)]


def _tensors(module: Any, arrays: list[Any], name: str) -> list[Any]:
    # By way of float64: a conversion of these numbers to `name` is exact.
    return [module.tensor(a, dtype=getattr(module, name)) for a in arrays]


def _numbers(x: Any) -> np.ndarray[Any, Any]:
    x = x.detach()
    wide = x.double() if x.is_floating_point() else x
    return np.asarray(wide.numpy())


def _run(module: Any, call: Call, arrays: list[Any], name: str) -> tuple[list[Any], list[str]]:
    made = call(module, *_tensors(module, arrays, name))
    made = made if isinstance(made, (tuple, list)) else [made]
    return [_numbers(x) for x in made], [str(x.dtype) for x in made]


def _three(call: Call, arrays: list[Any], name: str) -> Any:
    """Results compiled, by NumPy, and by PyTorch."""
    results = []
    for number in (1, 0):
        with tier(number):
            results.append(_run(tidu, call, arrays, name))
    theirs = _run(torch, call, arrays, name)
    assert results[0][1] == results[1][1] == theirs[1]
    return results[0][0], results[1][0], theirs[0]


def _same(got: Any, want: Any, what: str, signs: bool = True) -> None:
    """Equal numbers, NaN in the same places, and (if asked for) zeros of the same sign."""
    np.testing.assert_array_equal(got, want, err_msg=what, strict=True)
    if signs and want.dtype.kind == "f":
        zeros = want == 0
        np.testing.assert_array_equal(
            np.signbit(got[zeros]), np.signbit(want[zeros]), err_msg=f"signs of zeros: {what}"
        )


UNARY: dict[str, Call] = {
    "neg": lambda m, x: -x,
    "abs": lambda m, x: x.abs(),
    "sqrt": lambda m, x: x.sqrt(),
    "floor": lambda m, x: x.floor(),
    "ceil": lambda m, x: x.ceil(),
    "trunc": lambda m, x: x.trunc(),
    "round": lambda m, x: x.round(),
    "sign": lambda m, x: x.sign(),
    "reciprocal": lambda m, x: 1 / x,
    "square": lambda m, x: x * x,
    "halves": lambda m, x: x * 0.5,
    "twice": lambda m, x: x + x,
    "isnan": lambda m, x: x.isnan(),
    "isinf": lambda m, x: x.isinf(),
    "isfinite": lambda m, x: x.isfinite(),
    "signbit": lambda m, x: x.signbit(),
    "not": lambda m, x: x.logical_not(),
    "bool": lambda m, x: x.bool(),
    "nan_to_num": lambda m, x: m.nan_to_num(x),
    "nan_to_num_given": lambda m, x: m.nan_to_num(x, 1.0, 2.0, 3.0),
    "masked_fill": lambda m, x: x.masked_fill(x.isnan(), 7.0),
    "where": lambda m, x: m.where(x > 0, x, -x),
    "clone": lambda m, x: x.clone(),
    "to_float64": lambda m, x: x.to(m.float64),
    "to_float32": lambda m, x: x.to(m.float32),
    "to_float16": lambda m, x: x.to(m.float16),
    "to_bfloat16": lambda m, x: x.to(m.bfloat16),
    "relu": lambda m, x: m.relu(x),
    "clamp": lambda m, x: x.clamp(-0.5, 2.0),
    "clamp_min": lambda m, x: x.clamp(min=0.0),
    "clamp_max": lambda m, x: x.clamp(max=-1.0),
    "clamp_inf": lambda m, x: x.clamp(-float("inf"), float("inf")),
    "clamp_to_zero": lambda m, x: x.clamp(max=0.0),
    "clamp_integer": lambda m, x: x.clamp(0, 6),
    "hardtanh": lambda m, x: m.nn.functional.hardtanh(x),
    "relu6": lambda m, x: m.nn.functional.relu6(x),
    "hardshrink": lambda m, x: m.nn.functional.hardshrink(x),
    "full": lambda m, x: m.full((3,), -0.0, dtype=x.dtype),
    "full_like": lambda m, x: m.full_like(x, -0.0),
    "leaky_relu": lambda m, x: m.nn.functional.leaky_relu(x, 0.25),
    "threshold": lambda m, x: m.nn.functional.threshold(x, 0.5, 9.0),
}
BINARY: dict[str, Call] = {
    "add": lambda m, x, y: x + y,
    "sub": lambda m, x, y: x - y,
    "mul": lambda m, x, y: x * y,
    "div": lambda m, x, y: x / y,
    "lt": lambda m, x, y: x < y,
    "le": lambda m, x, y: x <= y,
    "gt": lambda m, x, y: x > y,
    "ge": lambda m, x, y: x >= y,
    "eq": lambda m, x, y: x == y,
    "ne": lambda m, x, y: x != y,
    "copysign": lambda m, x, y: m.copysign(x, y.masked_fill(y.isnan(), 1.0)),
    "where": lambda m, x, y: m.where(x < y, x, y),
    "and": lambda m, x, y: m.logical_and(x, y),
    "or": lambda m, x, y: m.logical_or(x, y),
    "xor": lambda m, x, y: m.logical_xor(x, y),
    "isclose": lambda m, x, y: m.isclose(x, y, equal_nan=True),
}
# Of two zeros, IEEE lets a maximum be either; PyTorch's is one or the other by its place.
EITHER_ZERO: dict[str, Call] = {
    "maximum": lambda m, x, y: m.maximum(x, y),
    "minimum": lambda m, x, y: m.minimum(x, y),
    "fmax": lambda m, x, y: m.fmax(x, y),
    "fmin": lambda m, x, y: m.fmin(x, y),
    "heaviside": lambda m, x, y: m.heaviside(x, y),
    "clamp": lambda m, x, y: x.clamp(min=y),
    "hypot_of_infinities": lambda m, x, y: m.hypot(x, y).isinf(),
}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_what_ieee_defines_of_one_number(name: str, dtype: str) -> None:
    compiled, plain, theirs = _three(UNARY[name], [_special(dtype)], dtype)
    for got, tier_zero, want in zip(compiled, plain, theirs, strict=True):
        if name == "sqrt":  # which PyTorch rounds otherwise than IEEE says on Intel's processors
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
            np.testing.assert_allclose(got, want, rtol=torch.finfo(getattr(torch, dtype)).eps)
        else:
            _same(got, want, f"{name}: compiled and PyTorch")
        _same(got, tier_zero, f"{name}: compiled and NumPy")


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", [*BINARY, *EITHER_ZERO])
def test_what_ieee_defines_of_two_numbers(name: str, dtype: str) -> None:
    call = BINARY.get(name) or EITHER_ZERO[name]
    compiled, plain, theirs = _three(call, _pairs(dtype), dtype)
    for got, tier_zero, want in zip(compiled, plain, theirs, strict=True):
        _same(got, want, f"{name}: compiled and PyTorch", name in BINARY)
        _same(got, tier_zero, f"{name}: compiled and NumPy")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["logaddexp", "logaddexp2"])
def test_the_smallest_digits_of_a_logarithm_of_a_sum_show(name: str, dtype: str) -> None:
    great = np.zeros(40, dtype)
    small = -np.linspace(1, 80, 40).astype(dtype)
    compiled, *_ = _three(lambda m, x, y: getattr(m, name)(x, y), [great, small], dtype)
    wanted = getattr(np, name)(great, small)
    np.testing.assert_allclose(compiled[0], wanted, rtol=4 * np.finfo(dtype).eps)


@pytest.mark.parametrize("name", ["maximum", "minimum"])
def test_both_operands_of_a_choice_beside_nan_get_its_gradient(name: str) -> None:
    numbers = [np.nan, np.nan, 1.0, 2.0, -np.inf], [np.nan, 1.0, np.nan, 3.0, -np.inf]
    found = []
    for library in (tidu, torch):
        x, y = (library.tensor(list(n), requires_grad=True) for n in numbers)
        getattr(library, name)(x, y).backward(library.ones(5))
        found.append((x.grad.tolist(), y.grad.tolist()))
    assert found[0] == found[1]


FUNCTIONS = (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos",
    "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "sigmoid", "rsqrt",
    "lgamma", "digamma",
)  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_at_special_numbers(name: str, dtype: str) -> None:
    """Infinite, NaN and zero exactly where they are in PyTorch, and near it elsewhere."""
    numbers = _special(dtype)
    compiled, plain, theirs = _three(lambda m, x: getattr(m, name)(x), [numbers], dtype)
    got, tier_zero, want = compiled[0], plain[0], theirs[0]
    # Of denormal results, some of PyTorch's functions make zero.
    least, tolerance = float(np.finfo(dtype).tiny), 3e-6 if dtype == "float32" else 1e-13
    for other, who in ((want, "PyTorch"), (tier_zero, "NumPy")):
        special = ~np.isfinite(other) | (numbers == 0)
        _same(got[special], other[special], f"{name}: compiled and {who}")
        np.testing.assert_allclose(
            got[~special], other[~special], rtol=tolerance, atol=least, err_msg=who
        )


def _rows(name: str, length: int) -> np.ndarray[Any, Any]:
    """Rows with one special number each, at every place where a vector could begin or end."""
    rng = np.random.default_rng(length)
    rows = []
    for number in (np.nan, np.inf, -np.inf, -0.0, 1e-45):
        for place in {0, length // 2, length - 1}:
            row = rng.integers(-8, 8, length) / 8.0
            row[place] = number
            rows.append(row)
    rows += [np.full(length, -0.0), np.full(length, np.nan), np.full(length, -np.inf)]
    both = np.zeros(length)
    both[0], both[-1] = np.inf, -np.inf
    return np.array([*rows, both])


REDUCTIONS: dict[str, Call] = {
    "sum": lambda m, x: x.sum(1),
    "mean": lambda m, x: x.mean(1),
    "prod": lambda m, x: (x.sign() * 2.0).prod(1),
    "amax": lambda m, x: x.amax(1),
    "amin": lambda m, x: x.amin(1),
    "max": lambda m, x: tuple(x.max(1)),
    "min": lambda m, x: tuple(x.min(1)),
    "argmax": lambda m, x: x.argmax(1),
    "argmin": lambda m, x: x.argmin(1),
    "any": lambda m, x: x.isnan().any(1),
    "all": lambda m, x: x.isfinite().all(1),
    "nansum": lambda m, x: x.nansum(1),
    "count_nonzero": lambda m, x: m.count_nonzero(x, 1),
    "cummax": lambda m, x: m.cummax(x, 1).values,
    "logsumexp_of_infinities": lambda m, x: m.logsumexp(x, 1).isinf(),
    "softmax_of_nan": lambda m, x: m.softmax(x, 1).isnan(),
    "norm_of_infinities": lambda m, x: x.norm(dim=1).isinf(),
}


@pytest.mark.parametrize("transposed", [False, True], ids=["rows", "columns"])
@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 33, 100])
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(name: str, length: int, transposed: bool) -> None:
    """The numbers are such that sums are exact in every order."""
    rows = _rows("float32", length)
    call = REDUCTIONS[name]
    if transposed:
        rows = np.ascontiguousarray(rows.T)
        compiled, plain, theirs = _three(lambda m, x: call(m, x.t()), [rows], "float32")
    else:
        compiled, plain, theirs = _three(call, [rows], "float32")
    signs = name in ("prod",)  # a sum of zeros may be the one or the other in PyTorch
    rounds = {"rtol": 1e-6} if name == "mean" else {"rtol": 0.0}
    for got, tier_zero, want in zip(compiled, plain, theirs, strict=True):
        for other, who in ((want, "PyTorch"), (tier_zero, "NumPy")):
            if name == "mean":
                np.testing.assert_allclose(got, other, atol=0, err_msg=who, **rounds)
            else:
                _same(got, other, f"{name} of {length}: compiled and {who}", signs)


INTEGERS = ("int64", "int32", "int16", "int8", "uint8")


@pytest.mark.parametrize("to", INTEGERS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_become_integers_as_under_numpy_and_in_pytorch_where_they_fit(
    dtype: str, to: str
) -> None:
    numbers = np.array([*_special(dtype), 3e9, -3e9, 1e19, -1e19, 200.7, -200.7, 100.5, -1.9])
    call: Call = lambda m, x: x.to(getattr(m, to))
    compiled, plain, theirs = _three(call, [numbers], dtype)
    _same(compiled[0], plain[0], "compiled and NumPy")
    limits = np.iinfo(to)
    held = np.asarray(_numbers(_tensors(torch, [numbers], dtype)[0]))
    with np.errstate(invalid="ignore"):
        fits = (np.trunc(held) >= limits.min) & (np.trunc(held) <= limits.max - 1)
    assert fits.sum() > 8
    _same(compiled[0][fits], theirs[0][fits], "compiled and PyTorch")


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integers_wrap_around_at_their_ends(dtype: str) -> None:
    limits = np.iinfo(dtype)
    some = [limits.min, limits.min + 1, 0, 1, 2, 7, limits.max - 1, limits.max]
    pairs = np.array(list(itertools.product(some, some)), dtype)

    def call(m: Any, x: Any, y: Any) -> Any:
        return (
            x + y, x - y, x * y, -x, x.abs(), x // (y | 1), x % (y | 1), x < y, x & y, x ^ y,
            m.maximum(x, y), x.bool(), x.to(m.float32), x.to(m.int64), x.to(m.int8),
        )  # fmt: skip

    def run(module: Any) -> list[Any]:
        x, y = (module.from_numpy(np.ascontiguousarray(c)) for c in pairs.T)
        return [_numbers(r) for r in call(module, x, y)]

    results = []
    for number in (1, 0):
        with tier(number):
            results.append(run(tidu))
    for place, (got, plain, want) in enumerate(zip(*results, run(torch), strict=True)):
        _same(got, plain, f"result {place}: compiled and NumPy")
        _same(got, want, f"result {place}: compiled and PyTorch")


@pytest.mark.parametrize("size", [1, 15, 16, 17, 33])
def test_nan_of_unused_lanes_stays_out(size: int) -> None:
    """What a masked tail computes beyond the end (0/0, log 0) reaches nothing."""
    x = np.linspace(1.0, 2.0, size)

    def call(m: Any, x: Any) -> Any:
        y = (x / x) * m.log(x).exp() / x + 1 / x - 1 / x
        return y.sum(), y.amax(), (x / x).prod(), (1 / x).amin(), m.sqrt(x - 1).isnan().any()

    compiled, plain, _ = _three(call, [x], "float64")
    for got, want in zip(compiled, plain, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_gradients_carry_nan_and_infinities_where_pytorch_does() -> None:
    def call(m: Any, x: Any) -> Any:
        x.requires_grad_()
        y = m.sqrt(x) + x.abs() + m.log(x) + x.clamp(0.0, 1.0) + m.relu(x) + x**3 + 1 / x
        y.sum().backward()
        return x.grad

    compiled, plain, theirs = _three(call, [_special("float32")], "float32")
    for other in (plain[0], theirs[0]):
        np.testing.assert_array_equal(np.isnan(compiled[0]), np.isnan(other))
        np.testing.assert_array_equal(np.isinf(compiled[0]), np.isinf(other))
        finite = np.isfinite(other)
        np.testing.assert_allclose(compiled[0][finite], other[finite], rtol=1e-5)


EXTREMES: dict[str, Call] = {
    "infinity norm": lambda m, x: m.linalg.vector_norm(x, float("inf"), 0, keepdim=True),
    "zero to a power": lambda m, x: 0.0**x,
    "greatest of all": lambda m, x: x.max() * m.ones(()),
    "least of all": lambda m, x: x.min(),
    "greatest of those that are numbers": lambda m, x: x[:-1].max(),
    "extremes over a dimension": lambda m, x: x.amax(0) + x.amin(0) + x.max(0)[0],
    "median": lambda m, x: x.median() + x.nanmedian(),
    "mean of no number": lambda m, x: m.where(x.isnan(), x, float("nan")).nanmean(),
    "product beside a zero": lambda m, x: x[1:].prod(),
    "greatest that is scattered": lambda m, x: m.zeros(3).scatter_reduce(
        0, m.arange(len(x)) % 3, x, "amax"
    ),
    "least that is scattered": lambda m, x: m.zeros(3).scatter_reduce(
        0, m.arange(len(x)) % 3, x, "amin"
    ),
}


@pytest.mark.parametrize("name", EXTREMES)
def test_gradients_at_special_numbers_are_those_of_pytorch(name: str) -> None:
    def call(m: Any, x: Any) -> Any:
        x.requires_grad_()
        EXTREMES[name](m, x).sum().backward()
        return x.grad

    compiled, plain, theirs = _three(call, [_special("float32")], "float32")
    np.testing.assert_allclose(compiled[0], theirs[0], rtol=1e-5)
    np.testing.assert_allclose(plain[0], theirs[0], rtol=1e-5)
