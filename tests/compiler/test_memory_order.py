"""Programs go through memory from front to back: that they do, and that the numbers stay what they
are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tests.compiler.tiers import assert_same_in_both_tiers
from tests.golden.programs import graphs
from tidu import Tensor
from tidu.backends.null import VECTOR_BYTES
from tidu.compiler.pipeline import forms
from tidu.compiler.program import NativeCall, Plan


def numbers(*shape: int, dtype: Any = tidu.float32, seed: int = 0) -> Tensor:
    array = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return tidu.tensor(array).to(dtype)


def calls(run: Callable[[], Any]) -> list[NativeCall]:
    """The calls of the one region of a function."""
    (graph,) = graphs(lambda: run)
    plan: Plan = dict(forms(graph, VECTOR_BYTES))["plan"]
    return [call for call in plan.calls if isinstance(call, NativeCall)]


def is_swept(call: NativeCall) -> bool:
    return call.loops is not None and call.loops.swept


ROWS, COLUMNS = 768, 200


@pytest.mark.parametrize("dtype", [tidu.float32, tidu.float64, tidu.float16])
def test_large_sums_down_columns_are_swept_in_blocks(dtype: Any) -> None:
    x, grad = numbers(ROWS, COLUMNS, dtype=dtype), numbers(ROWS, COLUMNS, dtype=dtype, seed=1)

    def run() -> list[Tensor]:
        made = grad * (x > 0)
        return [made, made.sum(0), (made * x).sum(0)]

    first, second = calls(run)
    assert is_swept(first) and first.units > 1 and not is_swept(second)
    assert_same_in_both_tiers(run, 1e-2 if dtype.itemsize == 2 else 1e-3)


@pytest.mark.parametrize("shape", [(96, 8, COLUMNS), (12, 64, COLUMNS), (ROWS, 5, 40)])
def test_rows_may_have_several_dimensions(shape: tuple[int, ...]) -> None:
    x = numbers(*shape)

    def run() -> list[Tensor]:
        return [tidu.tanh(x).sum(0), (x * 2).sum((0, 1))]

    assert any(map(is_swept, calls(run)))
    assert_same_in_both_tiers(run, 1e-3)


def test_greatest_numbers_and_integers_are_found_in_blocks_too() -> None:
    x = numbers(ROWS, COLUMNS)
    whole = (x * 100).long()

    def run() -> list[Tensor]:
        return [tidu.exp(x).amax(0), whole.sum(0), (whole > 90).any(0)]

    assert any(map(is_swept, calls(run)))
    assert_same_in_both_tiers(run)


def test_nan_and_infinity_stay_in_their_columns() -> None:
    x = numbers(ROWS, COLUMNS)
    x[500, 3], x[20, 70], x[21, 70], x[700, 199] = (
        float("nan"), float("inf"), -float("inf"), float("inf"),
    )  # fmt: skip
    assert_same_in_both_tiers(lambda: [(x * 1.5).sum(0)], 1e-4)
    assert tidu.nonzero(~tidu.isfinite((x * 1.5).sum(0))).flatten().tolist() == [3, 70, 199]


def test_sums_that_the_same_kernel_needs_are_not_cut() -> None:
    x = numbers(ROWS, COLUMNS)

    def run() -> list[Tensor]:
        return [tidu.softmax(x, 0)]

    assert_same_in_both_tiers(run, 1e-3)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_sum_down_columns_is_the_same_in_both_tiers(data: st.DataObject) -> None:
    rows = data.draw(st.sampled_from([64, 256, 768, 1000, 1009]))
    columns = data.draw(st.integers(100, 900))
    x = numbers(rows, columns)
    part = data.draw(st.integers(0, columns // 2))

    def run() -> list[Tensor]:
        made = tidu.sigmoid(x[:, part:])
        return [made, made.sum(0), (made * x[:, : columns - part]).sum(0)]

    assert_same_in_both_tiers(run, 1e-3)
