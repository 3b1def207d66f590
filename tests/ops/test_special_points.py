"""Functions and their gradients where numbers end: zeros of both signs, denormals, the greatest and
the least, infinities and NaN, in both tiers as in PyTorch.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import tier

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

Call = Callable[..., Any]


def _points(name: str) -> np.ndarray[Any, Any]:
    limits = np.finfo(name)
    least, tiny, largest = (float(x) for x in (limits.smallest_subnormal, limits.tiny, limits.max))
    positive = [0.0, least, 3 * least, tiny - least, tiny, 1e-20, 1e-5, 0.3, 0.5, 1.0, 1.5, 2.0]
    positive += [2.5, 3.0, 7.0, 20.0, 100.0, 1e10, largest / 2, largest]
    return np.array([*positive, *(-x for x in positive), np.inf, -np.inf, np.nan], name)


def _of(*path: str) -> Call:
    def call(module: Any, *x: Any) -> Any:
        function = module
        for part in path:
            function = getattr(function, part)
        return function(*x)

    return call


UNARY: dict[str, Call] = {
    **{name: _of(name) for name in (
        *("abs", "neg", "sqrt", "rsqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
        *("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh"),
        *("atanh", "sigmoid", "erf", "erfc", "erfinv", "floor", "ceil", "trunc", "round", "frac"),
        *("sign", "sgn", "reciprocal", "square", "lgamma", "sinc", "logit"),
    )},
    "entr": _of("special", "entr"),
    "logit of bounded numbers": lambda m, x: m.logit(x, 0.1),
    **{name: _of("nn", "functional", name) for name in (
        *("gelu", "silu", "mish", "softplus", "softsign", "elu", "selu", "celu", "hardswish"),
        *("hardtanh", "logsigmoid", "tanhshrink", "softshrink", "hardshrink", "leaky_relu"),
    )},
    "gelu by tanh": lambda m, x: m.nn.functional.gelu(x, approximate="tanh"),
    **{f"power {p}": lambda m, x, p=p: x**p for p in (2, 3, 0.5, -1, -0.5, 0, 1, -2, 2.5)},
    **{f"power of {p}": lambda m, x, p=p: p**x for p in (2.0, 0.5)},
}  # fmt: skip
BINARY: dict[str, Call] = {
    name: _of(name)
    for name in (
        *("add", "sub", "mul", "div", "pow", "fmod", "remainder", "atan2", "hypot", "maximum"),
        *("minimum", "copysign", "logaddexp", "xlogy"),
    )
}
BINARY["div trunc"] = lambda m, x, y: m.div(x, y, rounding_mode="trunc")
BINARY["div floor"] = lambda m, x, y: m.div(x, y, rounding_mode="floor")
# Where PyTorch overflows on the way to what has an answer, which is here.
_ANSWERED_HERE = {"fmod", "remainder", "gelu"}
# What is small because terms cancel.
_CANCEL = {"logaddexp", "lgamma", "tanhshrink", "gelu", "gelu by tanh", "mish", "silu", "tanh"}
_TOLERANCE = {"float32": 2e-6, "float64": 2e-14}


def _evaluated(module: Any, call: Call, arrays: list[Any]) -> list[Any]:
    inputs = [module.from_numpy(np.array(a)).requires_grad_() for a in arrays]
    result = call(module, *inputs)
    gradients = module.autograd.grad(result.sum(), inputs, allow_unused=True)
    return [x.detach().numpy(force=True) for x in (result, *gradients) if x is not None]


def _one_by_one(call: Call, arrays: list[Any]) -> list[Any]:
    """PyTorch's answers for single numbers, which are not always those of its vectors."""
    each = [_evaluated(torch, call, [a[i : i + 1] for a in arrays]) for i in range(len(arrays[0]))]
    return [np.concatenate(parts) for parts in zip(*each, strict=True)]


def _agrees(g: Any, w: Any, name: str, kind: str) -> Any:
    """Where a result is PyTorch's."""
    tolerance = _TOLERANCE[kind]
    smallest = tolerance if name in _CANCEL else float(np.finfo(kind).tiny)
    with np.errstate(all="ignore"):
        near = np.abs(g - w) <= 8 * (tolerance * np.abs(w) + smallest)
    signs = (np.signbit(g) == np.signbit(w)) | (g != 0) | (w != 0)
    answered = ~np.isfinite(w) & ~np.isnan(g) if name in _ANSWERED_HERE else False
    return (np.isnan(g) & np.isnan(w)) | (g == w) & signs | near & (g != w) | answered


def _compare(call: Call, name: str, arrays: list[Any], kind: str) -> None:
    wanted = zip(_evaluated(torch, call, arrays), _one_by_one(call, arrays), strict=True)
    for part, (vector, single) in enumerate(wanted):
        for number in (0, 1):
            with tier(number):
                got = _evaluated(tidu, call, arrays)[part]
            # The sign of a gradient that is zero says nothing.
            got, vector, single = (x + 0.0 if part else x for x in (got, vector, single))
            right = _agrees(got, vector, name, kind) | _agrees(got, single, name, kind)
            if part:  # nor does one at NaN, where PyTorch's pieces meet by chance
                right |= np.logical_or.reduce([np.isnan(a) for a in arrays])
            wrong = [(*(a[i] for a in arrays), got[i], vector[i]) for i in np.nonzero(~right)[0]]
            assert not wrong, f"{name}, part {part}, tier {number}: {wrong[:5]}"


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_number(name: str, kind: str) -> None:
    _compare(UNARY[name], name, [_points(kind)], kind)


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_numbers(name: str, kind: str) -> None:
    points = _points(kind)
    pairs = zip(*itertools.product(points, points), strict=True)
    _compare(BINARY[name], name, [np.array(x, kind) for x in pairs], kind)


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_bessel_functions_at_infinity_are_infinite_where_pytorch_has_nan(kind: str) -> None:
    x = tidu.tensor([np.inf, -np.inf], dtype=getattr(tidu, kind))
    for number in (0, 1):
        with tier(number):
            assert tidu.i0(x).tolist() == [np.inf, np.inf]
            assert tidu.special.i1(x).tolist() == [np.inf, -np.inf]


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_the_derivative_of_i1_at_denormals_is_a_half(kind: str) -> None:
    numbers = _points(kind)[1:5].tolist()
    for number, name in itertools.product((0, 1), ("i1", "i1e")):
        x = tidu.tensor(numbers, dtype=getattr(tidu, kind), requires_grad=True)
        with tier(number):
            getattr(tidu.special, name)(x).sum().backward()
            assert x.grad.tolist() == [0.5] * 4


def test_the_gradient_of_a_norm_does_not_overflow_in_a_half_type() -> None:
    found = []
    for module in (torch, tidu):
        x = module.tensor([[1e-3, 0.0]], dtype=module.float16, requires_grad=True)
        norm = x.norm(dim=1, keepdim=True)
        (gradient,) = module.autograd.grad(norm, x, module.full_like(norm, -999.0))
        found.append(gradient.tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ["bool", "int8", "uint8", "int32"])
def test_quotients_are_cut_off_for_all_integers(kind: str) -> None:
    numbers = {"bool": [True, False], "uint8": [0, 7, 250]}.get(kind, [-128, -7, 7, 127])
    found = []
    for module in (torch, tidu):
        x = module.tensor(numbers, dtype=getattr(module, kind))
        others = 2, module.tensor([3], dtype=module.int8), module.tensor(5, dtype=module.int32)
        quotients = [module.div(x, y, rounding_mode="trunc") for y in others]
        found.append([(str(q.dtype), q.tolist()) for q in quotients])
    assert found[0] == found[1]
