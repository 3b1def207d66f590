"""What draws are made of: selection, shuffles, arithmetic with one rounding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.base.random.agreement import assert_same_bits
from tidu.base.random.rounding import scale_shift
from tidu.base.random.selection import largest
from tidu.base.random.shuffling import shuffle_forward, shuffle_inside_out

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


@settings(max_examples=100, deadline=None)
@given(
    values=st.lists(
        st.sampled_from([0.0, 1.0, 2.0, 5.0, -1.0, math.nan]), min_size=1, max_size=200
    ),
    part=st.floats(0, 1),
)
def test_largest_orders_equal_values_as_topk_does(values: list[float], part: float) -> None:
    k = round(part * len(values))
    expected = torch.topk(torch.tensor(values), k).indices
    assert_same_bits(largest(np.array(values, np.float32), k), expected)


@pytest.mark.parametrize("n, k", [(1000, 3), (1000, 15), (1000, 16), (5000, 5000), (20_000, 300)])
@pytest.mark.parametrize("values", [1, 2, 30, 10**6])
def test_largest_of_many(n: int, k: int, values: int) -> None:
    row = torch.randint(values, (n,), generator=torch.Generator().manual_seed(n)).float()
    assert_same_bits(largest(row.numpy(), k), torch.topk(row, k).indices)
    ordered = row.sort().values
    assert_same_bits(largest(ordered.numpy(), k), torch.topk(ordered, k).indices)


@pytest.mark.parametrize("n", [1, 2, 3, 10, 399, 400, 401, 3000])
def test_shuffles_equal_the_plain_loops(n: int) -> None:
    random = np.random.default_rng(n)
    offsets = np.array([random.integers(0, n - i) for i in range(n - 1)], np.uint32)
    items = list(range(n))
    for i, offset in enumerate(offsets.tolist()):
        items[i], items[i + offset] = items[i + offset], items[i]
    assert shuffle_forward(offsets).tolist() == items

    targets = np.array([random.integers(0, i + 1) for i in range(n)], np.int64)
    for i, target in enumerate(targets.tolist()):
        items[i] = items[target]
        items[target] = i
    assert shuffle_inside_out(targets).tolist() == items


def test_scale_shift_rounds_float32_once() -> None:
    # The product ends in the middle between two float32 values, and the tiny shift decides.
    odd = np.arange(1, 4097, 2).astype(np.float32) * np.float32(2**-12)
    scale, shift = np.float32(1 + 2**-13), np.float32(2**-60)
    exact = odd.astype(np.longdouble) * np.longdouble(scale) + np.longdouble(shift)
    once = scale_shift(odd.copy(), scale, shift)
    twice = (odd.astype(np.float64) * float(scale) + float(shift)).astype(np.float32)
    error = abs(once.astype(np.longdouble) - exact)
    other = abs(np.nextafter(once, np.float32(np.inf)).astype(np.longdouble) - exact)
    below = abs(np.nextafter(once, np.float32(-np.inf)).astype(np.longdouble) - exact)
    assert (error <= other).all() and (error <= below).all()
    assert (once != twice).any()
