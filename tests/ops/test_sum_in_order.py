"""Sums whose bits are those of a certain order of additions, in both tiers."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import tier
from tidu.ops.reductions.in_order import dot_in_order
from tidu.ops.reductions.reduce import sum_in_order
from tidu.ops.reductions.rows import sum_in_lanes

SHAPES = [
    ((1000,), (0,)),
    ((5, 1), (0,)),
    ((300, 2), (0,)),
    ((300, 5), (0,)),
    ((300, 100), (0,)),
    ((64, 300), (1,)),
    ((2, 300), (1,)),
    ((9, 6, 11), (0, 2)),
    ((3, 40, 70), (1, 2)),
    ((3, 4, 128, 8), (2,)),
    ((70, 33, 5), (0, 1, 2)),
    ((40000, 3), (0,)),
    ((4096, 64), (0,)),
    ((3, 4), ()),
]


def one_by_one(x: np.ndarray, dims: tuple[int, ...]) -> np.ndarray:
    total = np.zeros([n for d, n in enumerate(x.shape) if d not in dims], x.dtype)
    for place in product(*(range(x.shape[d]) for d in dims)):
        index: list[int | slice] = [slice(None)] * x.ndim
        for d, i in zip(dims, place, strict=True):
            index[d] = i
        total = total + x[tuple(index)]
    return total


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize(("shape", "dims"), SHAPES)
def test_elements_are_added_in_the_order_of_their_indices(
    shape: tuple[int, ...], dims: tuple[int, ...], number: int
) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    with tier(number):
        got = sum_in_order(tidu.from_numpy(x), dims, False).numpy()
        again = sum_in_order(tidu.from_numpy(x) * 1.0, dims, True).numpy()
    want = one_by_one(x, dims)
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(again.reshape(want.shape), want)


@pytest.mark.parametrize("number", [0, 1])
def test_the_order_is_that_of_indices_not_of_memory(number: int) -> None:
    x = np.random.default_rng(1).standard_normal((6, 9, 50)).astype(np.float32)
    with tier(number):
        moved = tidu.from_numpy(x).permute(2, 1, 0)
        got = sum_in_order(moved, (0, 1), False).numpy()
    np.testing.assert_array_equal(got, one_by_one(x.transpose(2, 1, 0), (0, 1)))


@pytest.mark.parametrize("number", [0, 1])
def test_other_sums_beside_it_leave_it_as_it_is(number: int) -> None:
    """They may be in one kernel, with what is computed from either."""
    x = np.random.default_rng(2).standard_normal((64, 2000)).astype(np.float32)
    with tier(number):
        y = tidu.from_numpy(x) * 2.0
        got, other = sum_in_order(y, (1,), True), y.sum(1, keepdim=True)
        share = y / got
        results = [got.numpy(), other.numpy(), share.numpy()]
    want = one_by_one(x * 2, (1,))[:, None]
    np.testing.assert_array_equal(results[0], want)
    np.testing.assert_allclose(results[1], want, rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(results[2], x * 2 / want)


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("size", [8, 15, 16, 31, 33, 200, 1000])
def test_every_eighth_element_is_added_to_the_same_sum(size: int, number: int) -> None:
    x = np.random.default_rng(3).standard_normal((3, 5, size)).astype(np.float32)
    with tier(number):
        got = sum_in_lanes(tidu.from_numpy(x) * 1.0, 8).squeeze(2).numpy()
    sums = [one_by_one(x[..., lane::8], (2,)) for lane in range(8)]
    while len(sums) > 1:
        half = len(sums) // 2
        sums = [lower + upper for lower, upper in zip(sums[:half], sums[half:], strict=True)]
    np.testing.assert_array_equal(got, sums[0])


@pytest.mark.parametrize("number", [0, 1])
def test_products_are_added_with_one_rounding(number: int) -> None:
    rng = np.random.default_rng(4)
    x, y = (rng.standard_normal((2, 90, 17)).astype(np.float32) for _ in range(2))
    with tier(number):
        got = dot_in_order(tidu.from_numpy(x), tidu.from_numpy(y), (1,), False).numpy()
    total = np.zeros((2, 17), np.float32)
    for i in range(90):
        total = (x[:, i].astype(np.float64) * y[:, i] + total).astype(np.float32)
    np.testing.assert_array_equal(got, total)
    assert np.any(got != one_by_one(x * y, (1,)))
