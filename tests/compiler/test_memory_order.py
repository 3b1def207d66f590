"""Programs go through memory from front to back, and write to where results are wanted: that they
do, and that the numbers stay what they are.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from math import prod
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
from tidu.compiler.fuse import Kernel
from tidu.compiler.pipeline import forms
from tidu.compiler.program import NativeCall, Plan
from tidu.compiler.steps import Product


def numbers(*shape: int, dtype: Any = tidu.float32, seed: int = 0) -> Tensor:
    array = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return tidu.tensor(array).to(dtype)


def calls(run: Callable[[], Any]) -> list[NativeCall]:
    """The calls of the one region of a function."""
    (graph,) = graphs(lambda: run)
    plan: Plan = dict(forms(graph, VECTOR_BYTES))["plan"]
    return [call for call in plan.calls if isinstance(call, NativeCall)]


def kernels(run: Callable[[], Any]) -> list[Kernel]:
    return [call.what for call in calls(run) if isinstance(call.what, Kernel)]


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


@pytest.mark.parametrize("shape", [(1009, 700), (1018, 700), (16, 8000)])
def test_blocks_are_much_less_to_add_up_than_all_rows(shape: tuple[int, int]) -> None:
    x = numbers(*shape)

    def run() -> list[Tensor]:
        made = x.exp()
        return [made, made.sum(0), (made * x).sum(0)]

    written = sum(root.buffer.size for kernel in kernels(run) for root in kernel.roots)
    assert written < 1.3 * x.numel()
    assert_same_in_both_tiers(run, 1e-3)


def test_sums_of_other_lengths_have_the_same_text() -> None:
    parts = [numbers(ROWS, columns) for columns in (190, 250)]

    def run() -> list[Tensor]:
        return [x.exp().sum(0) for x in parts]

    swept = {call.kernel for call in calls(run) if is_swept(call)}
    assert len(swept) == 1


@pytest.mark.parametrize("dtype", [tidu.float32, tidu.float16])
def test_what_is_computed_from_sums_goes_with_them(dtype: Any) -> None:
    x, grad = (numbers(ROWS, 2 * COLUMNS, dtype=dtype, seed=seed).abs() for seed in (0, 1))
    bias, momentum = (numbers(2 * COLUMNS, dtype=dtype, seed=seed).abs() for seed in (2, 3))

    def run() -> list[Tensor]:
        made = grad * (x > 0.5)
        total = made.sum(0)
        moved = 0.9 * momentum + total / ROWS
        return [made, moved, bias + 0.1 * moved, bias * made.amax(0)]

    first, second = calls(run)
    assert is_swept(first) and not is_swept(second)
    assert_same_in_both_tiers(run, 2e-2 if dtype.itemsize == 2 else 1e-3)


def test_what_is_computed_from_sums_may_be_joined_to_the_rows() -> None:
    x = numbers(ROWS, 2 * COLUMNS)

    def run() -> list[Tensor]:
        made = x.exp()
        return [tidu.cat([made * 2, (made.sum(0, keepdim=True) * 3).tanh()])]

    assert any(map(is_swept, calls(run)))
    assert_same_in_both_tiers(run, 1e-3)


def test_sums_that_the_same_kernel_needs_are_not_cut() -> None:
    x = numbers(ROWS, COLUMNS)

    def run() -> list[Tensor]:
        normal = (x - x.mean(0)) / x.std(0)
        return [tidu.softmax(x, 0), normal, normal.sum(0) + 1, x.sum(0) * 2]

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
        return [made, made.sum(0), (made * x[:, : columns - part].abs()).sum(0)]

    assert_same_in_both_tiers(run, 1e-3)


def products(run: Callable[[], Any]) -> list[Product]:
    return [call.what for call in calls(run) if isinstance(call.what, Product)]


def test_heads_of_attention_write_side_by_side() -> None:
    weights, values, output = numbers(2, 4, 32, 32), numbers(2, 4, 32, 16), numbers(64, 64)

    def run() -> list[Tensor]:
        heads = (weights @ values).transpose(1, 2).reshape(64, 64)
        return [heads @ output]

    assert len(calls(run)) == 2
    assert products(run)[0].c.leading == 64
    assert_same_in_both_tiers(run, 1e-3)


def test_who_else_reads_a_product_reads_it_where_it_was_written() -> None:
    weights, values, output = numbers(2, 4, 32, 32), numbers(2, 4, 32, 16), numbers(64, 64)
    like = numbers(2, 4, 32, 16, seed=2)

    def run() -> list[Tensor]:
        made = weights @ values
        heads = made.transpose(1, 2).reshape(64, 64)
        return [heads @ output, (made * like).sum(-1), made[:, 1:3, 5:].exp().sum((0, 1))]

    assert products(run)[0].c.leading == 64
    assert_same_in_both_tiers(run, 1e-3)


def test_a_product_that_is_a_result_stays_where_it_is() -> None:
    x, y = numbers(6, 8, 16), numbers(6, 16, 24)

    def run() -> list[Tensor]:
        made = x @ y
        return [made, made.transpose(0, 1).reshape(8, -1) * 2]

    assert products(run)[0].c.leading == 24
    assert_same_in_both_tiers(run, 1e-3)


@pytest.mark.parametrize("name", ["index_add", "index_copy"])
def test_what_is_written_to_a_copy_of_a_product_leaves_the_product_alone(name: str) -> None:
    x, y, source = numbers(40, 32), numbers(32, 24), numbers(3, 24)
    where = tidu.tensor([3, 30, 5])

    def run() -> list[Tensor]:
        made = x @ y
        changed = getattr(made, name)(0, where, source)
        return [changed, (made * 2).exp().sum(1), getattr(made, name)(0, where, 2 * source)]

    assert_same_in_both_tiers(run, 1e-3)


def test_a_product_of_one_number_may_be_copied() -> None:
    x, y = numbers(1, 5000), numbers(5000, 1)

    def run() -> list[Tensor]:
        return [(x @ y).index_add(0, tidu.tensor([0]), numbers(1, 1))]

    assert_same_in_both_tiers(run, 1e-3)


def test_a_product_that_is_only_copied_is_written_where_others_write_too() -> None:
    x, y, source = numbers(40, 32), numbers(32, 24), numbers(3, 24)

    def run() -> list[Tensor]:
        return [(x @ y).index_add(0, tidu.tensor([3, 30, 5]), source)]

    assert len(products(run)) == 1 and len(kernels(run)) == 1
    assert_same_in_both_tiers(run, 1e-3)


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_copies_of_products_are_the_same_in_both_tiers(data: st.DataObject) -> None:
    batch = data.draw(st.lists(st.integers(1, 4), max_size=3))
    m, n, k = (data.draw(st.sampled_from([1, 2, 16, 24])) for _ in range(3))
    x = numbers(*batch, m, 16 * k, dtype=tidu.float64)
    y = numbers(*batch, 16 * k, n, dtype=tidu.float64)
    shape = (*batch, m, n)
    order = data.draw(st.sampled_from([*permutations(range(len(shape)))]))
    whole = prod(shape)
    width = data.draw(st.sampled_from([i for i in range(1, whole + 1) if whole % i == 0]))
    used_otherwise = data.draw(st.booleans())

    def run() -> list[Tensor]:
        made = x @ y
        copied = made.permute(order).reshape(-1, width)
        results = [copied @ numbers(width, 3, dtype=tidu.float64), copied.sum()]
        return [*results, made.flatten()[1:].exp().sum(), made.amax(-1)][
            : 4 if used_otherwise else 2
        ]

    assert_same_in_both_tiers(run, 1e-7)
