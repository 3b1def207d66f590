"""Pooling, as functions and as layers, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tests.nn.numeric import compare
from tests.nn.oracle import assert_same_answer

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


@st.composite
def inputs(draw: Any, sizes: list[int], batches: list[tuple[int, ...]] | None = None) -> Any:
    """Numbers with channels and perhaps a batch; some repeat, some are infinite or NaN."""
    shape = (*draw(st.sampled_from(batches or [(), (1,), (2,)])), draw(st.integers(1, 2)), *sizes)
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    x = rng.standard_normal(shape)
    special = draw(st.sampled_from(["", "", "ties", "nan", "lowest"]))
    if special == "ties":
        x = np.round(x)
    elif special == "nan":
        x[rng.random(shape) < 0.2] = np.nan
    elif special == "lowest":
        x[rng.random(shape) < 0.6] = -np.inf
    return x


def each(draw: Any, n: int, low: int, high: int) -> list[int]:
    return draw(st.lists(st.integers(low, high), min_size=n, max_size=n))


@st.composite
def max_poolings(draw: Any) -> tuple[str, dict[str, Any]]:
    n = draw(st.sampled_from([1, 2, 2, 3]))
    kernel, dilation = each(draw, n, 1, 4), each(draw, n, 1, 2)
    stride = draw(st.sampled_from([None, each(draw, n, 1, 3)]))
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    sizes = [
        d * (k - 1) + 1 + draw(st.integers(0, 4)) for k, d in zip(kernel, dilation, strict=True)
    ]
    ceil, indices = draw(st.booleans()), draw(st.booleans())
    call = f"F.max_pool{n}d(x, {kernel}, {stride}, {padding}, {dilation}, {ceil}, {indices})"
    return call, {"x": draw(inputs(sizes))}


@given(max_poolings())
@settings(max_examples=80, deadline=None)
def test_greatest_elements_their_places_and_derivatives(case: tuple[str, dict[str, Any]]) -> None:
    statement, arrays = case
    # What PyTorch makes of a square of NaN is its own affair.
    compare(statement, arrays, order=2 if np.isfinite(arrays["x"]).all() else 1)


@st.composite
def avg_poolings(draw: Any) -> tuple[str, dict[str, Any]]:
    n = draw(st.sampled_from([1, 2, 2, 3]))
    kernel, stride = each(draw, n, 1, 4), draw(st.sampled_from([None, each(draw, n, 1, 3)]))
    padding = [draw(st.integers(0, k // 2)) for k in kernel]
    sizes = [k + draw(st.integers(0, 4)) for k in kernel]
    ceil, include = draw(st.booleans()), draw(st.booleans())
    divisor = f", {draw(st.sampled_from([None, 3, -2]))}" if n > 1 else ""
    call = f"F.avg_pool{n}d(x, {kernel}, {stride}, {padding}, {ceil}, {include}{divisor})"
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    batch = draw(st.sampled_from([(), (1,), (2,)]))
    return call, {"x": rng.standard_normal((*batch, draw(st.integers(1, 2)), *sizes))}


@given(avg_poolings())
@settings(max_examples=60, deadline=None)
def test_means_and_their_derivatives(case: tuple[str, dict[str, Any]]) -> None:
    compare(*case)


@st.composite
def adaptive_poolings(draw: Any) -> tuple[str, dict[str, Any]]:
    n, kind = draw(st.sampled_from([1, 2, 2, 3])), draw(st.sampled_from(["avg", "max"]))
    size = st.integers(1, 7) if n == 1 else st.sampled_from([None, 1, 2, 3, 5, 7])
    wanted = draw(size) if n == 1 else draw(st.lists(size, min_size=n, max_size=n))
    indices = f", {draw(st.booleans())}" if kind == "max" else ""
    x = draw(inputs(each(draw, n, 1, 8)))
    return f"F.adaptive_{kind}_pool{n}d(x, {wanted}{indices})", {"x": x}


@given(adaptive_poolings())
@settings(max_examples=80, deadline=None)
def test_pooling_to_a_size(case: tuple[str, dict[str, Any]]) -> None:
    statement, arrays = case
    if "avg" in statement:
        arrays = {"x": np.nan_to_num(arrays["x"], neginf=-3.0)}
    compare(statement, arrays, order=2 if np.isfinite(arrays["x"]).all() else 1)


def test_means_to_a_size_keep_infinities_to_their_windows() -> None:
    x = np.arange(7.0)[None]
    x[0, 3] = np.inf
    compare("F.adaptive_avg_pool1d(x, 3)", {"x": x}, order=0)


@pytest.mark.parametrize("norm", [1, 2, 3.0, 1.5, "float('inf')", "-float('inf')"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_norms(n: int, norm: Any) -> None:
    x = np.random.default_rng(0).random((2, 2, *(5, 4, 6)[:n])) + 0.1
    names = n == 2 and not isinstance(norm, str)
    compare(f"F.lp_pool{n}d(x, {norm}, 2)", {"x": x}, names=names)
    compare(f"F.lp_pool{n}d(x, {norm}, 3, 1, ceil_mode=True)", {"x": x}, names=names)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling_puts_elements_back(n: int) -> None:
    x = np.random.default_rng(0).standard_normal((2, 2, *(6, 7, 5)[:n]))
    pooled = f"F.max_pool{n}d(x, 2, 2, return_indices=True)"
    for size in (list(x.shape), list(x.shape[2:])):
        compare(f"F.max_unpool{n}d(*{pooled}, 2, 2, 0, {size})", {"x": x})
    even = x[(..., *(slice(4),) * n)]
    compare(f"F.max_unpool{n}d(*{pooled}, 2)", {"x": even})


def test_the_first_of_equal_elements_gets_the_gradient() -> None:
    x = tidu.zeros(1, 4, 4, requires_grad=True)
    tidu.nn.functional.max_pool2d(x, 2).sum().backward()
    assert x.grad[0].tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]


def test_a_gradient_that_is_not_finite_stays_at_its_place() -> None:
    x = tidu.tensor([[1.0, 2.0, 3.0, 4.0]], requires_grad=True)
    y = tidu.nn.functional.max_pool1d(x, 2)
    y.backward(tidu.tensor([[float("inf"), float("nan")]]))
    assert str(x.grad.tolist()) == "[[0.0, inf, 0.0, nan]]"


def test_integers_and_halves() -> None:
    rng = np.random.default_rng(0)
    whole = {"x": rng.integers(-9, 9, (2, 3, 6, 6))}
    compare("F.max_pool2d(x, 3, 2, 1, return_indices=True)", whole)
    compare("F.avg_pool2d(x, 3, 2, 1)", whole)
    for dtype in ("float16", "bfloat16", "float32"):
        arrays = {"x": rng.standard_normal((2, 3, 6, 6))}
        compare("F.max_pool2d(x, 3, 2, 1)", arrays, dtype=dtype, order=1)
        compare("F.avg_pool2d(x, 3, 2, 1, True)", arrays, dtype=dtype, order=1)
        compare("F.adaptive_avg_pool2d(x, 4)", arrays, dtype=dtype, order=1)


def test_wide_kernels_count_their_places() -> None:
    x = np.random.default_rng(0).standard_normal((1, 40, 40))
    compare("F.max_pool2d(x, 17, 3, return_indices=True)", {"x": x})


def test_names_of_torch() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 6))
    for call in ("max_pool1d(x, 2)", "avg_pool1d(x, 2)", "max_pool1d_with_indices(x, 2)"):
        compare(f"T.{call}", {"x": x})
    compare("T.max_pool2d(x, 2, [])", {"x": x})
    compare("T.adaptive_max_pool1d(x, 2)", {"x": x})
    compare("F.max_pool2d_with_indices(x, 2)", {"x": x})
    compare("F.adaptive_max_pool2d_with_indices(x, 2)", {"x": x})


ERRORS = """
F.max_pool2d(o(2, 3, 8, 8), 2, padding=2)
F.max_pool2d(o(2, 3, 8, 8), 2, padding=-1)
F.max_pool2d(o(2, 3, 8, 8), 2, stride=0)
F.max_pool2d(o(2, 3, 8, 8), (2, 2, 2))
F.max_pool2d(o(2, 3, 2, 2), 3)
F.max_pool3d(o(2, 3, 2, 2, 2), 3)
F.max_pool2d(o(2, 0, 4, 4), 2)
F.avg_pool2d(o(2, 3, 8, 8), 2, divisor_override=0)
F.avg_pool2d(o(2, 3, 8, 8), 2, padding=2)
F.avg_pool2d(o(2, 3, 2, 2), 3)
F.avg_pool2d(o(2, 3, 8, 8), 2, stride=0)
F.max_unpool2d(o(2, 3, 2, 2), o(2, 3, 2, 2).int(), 2)
F.max_unpool2d(o(2, 3, 2, 2), o(2, 3, 2, 3).long(), 2)
F.max_unpool2d(o(2, 3, 2, 2), o(2, 3, 2, 2).long(), 2, output_size=(9, 9))
F.max_unpool2d(o(2, 3, 2, 2), o(2, 3, 2, 2).long(), 2, output_size=(9, 9, 9))
""".strip().splitlines()


@pytest.mark.parametrize("statement", ERRORS)
def test_errors(statement: str) -> None:
    assert_same_answer(statement)


OTHER_ERRORS = """
F.max_pool2d(o(2, 3), 3)
F.max_pool2d(o(2, 3, 8, 8), 0)
F.max_pool2d(o(2, 3, 8, 8), 2, dilation=0)
F.max_pool1d(o(2, 3, 2), 3)
F.max_pool2d(o(2, 3, 8, 8).bool(), 2)
F.avg_pool2d(o(2, 3, 8, 8).int(), 2)
F.avg_pool3d(o(2, 3, 2, 2, 2), 3, padding=1)
F.adaptive_avg_pool2d(o(3), 2)
F.adaptive_max_pool2d(o(3), 2)
F.adaptive_avg_pool2d(o(2, 3, 6, 6), (2, 2, 2))
F.adaptive_avg_pool2d(o(2, 3, 6, 6), -1)
F.adaptive_avg_pool1d(o(2, 3, 6), (None,))
F.adaptive_avg_pool2d(o(2, 3, 6, 6).long(), 2)
""".strip().splitlines()


@pytest.mark.parametrize("statement", OTHER_ERRORS)
def test_errors_in_other_words(statement: str) -> None:
    kinds = []
    for library in (torch, tidu):
        scope = {"F": library.nn.functional, "o": library.ones}
        with pytest.raises((TypeError, RuntimeError, NotImplementedError)) as caught:
            eval(statement, scope)
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


LAYERS = """
nn.MaxPool1d(2)
nn.MaxPool2d((2, 3), stride=(1, 2), padding=1, return_indices=True, ceil_mode=True)
nn.MaxPool3d(2, dilation=2)
nn.AvgPool1d(2)
nn.AvgPool1d(3, 2, 1, True, False)
nn.AvgPool2d(2, 1, 1, True, False, 3)
nn.AvgPool3d(2)
nn.LPPool1d(1.2, 3, stride=2, ceil_mode=True)
nn.LPPool2d(2, 3)
nn.LPPool3d(2, 2)
nn.AdaptiveMaxPool1d(3)
nn.AdaptiveMaxPool2d((3, None), True)
nn.AdaptiveMaxPool3d(2)
nn.AdaptiveAvgPool1d(2)
nn.AdaptiveAvgPool2d(1)
nn.AdaptiveAvgPool3d((1, 2, None))
""".strip().splitlines()


@pytest.mark.parametrize("make", LAYERS)
def test_layers(make: str) -> None:
    n = int(make.partition("d(")[0][-1])
    assert_same_answer(make)
    x = np.random.default_rng(0).random((2, 3, *(5, 6, 7)[:n])) + 0.1
    compare(f"{make}(x)", {"x": x}, names=False)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling_layers(n: int) -> None:
    assert_same_answer(f"nn.MaxUnpool{n}d(2)")
    assert_same_answer(f"nn.MaxUnpool{n}d(3, stride=1, padding=1)")
    x = np.random.default_rng(0).standard_normal((2, 2, *(6, 7, 5)[:n]))
    pooled = f"nn.MaxPool{n}d(2, return_indices=True)(x)"
    compare(f"nn.MaxUnpool{n}d(2)(*{pooled}, output_size={list(x.shape[2:])})", {"x": x})
