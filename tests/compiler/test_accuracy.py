"""Compiled results are as near to the truth as PyTorch's, where the way to compute them decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import tier
from tidu.nn import functional as F


@pytest.mark.parametrize(
    ("shape", "dims"),
    [
        ((1_000_003,), 0),
        ((32_000,), 0),
        ((64, 30_000), 1),
        ((30_000, 64), 0),
        ((2_000, 1_000), 0),
        ((64, 5, 70, 33), (0, 2, 3)),
        ((300, 7, 300), (0, 2)),
    ],
)
@pytest.mark.parametrize("numbers", ["equal", "uniform"])
def test_long_sums_of_float32(shape: Any, dims: Any, numbers: str) -> None:
    """Adding a million equal numbers one after the other would lose four digits."""
    draw = np.random.default_rng(0).uniform(0.0, 1.0, shape)
    array = (np.full(shape, 0.1) if numbers == "equal" else draw).astype(np.float32)
    with tier(1):
        got = (tidu.from_numpy(array) * 1.0).sum(dims).numpy()
    np.testing.assert_allclose(got, array.astype(np.float64).sum(dims), rtol=5e-6)


def test_long_sums_of_halves_are_rounded_once() -> None:
    x = tidu.full((70_000,), 0.25, dtype=tidu.float16)
    with tier(1):
        assert (x * 1.0).sum().item() == 17_504.0  # 17500, to the nearest half


@pytest.mark.parametrize("dtype", [tidu.float16, tidu.bfloat16], ids=["float16", "bfloat16"])
def test_additions_to_one_place_do_not_stand_still_in_halves(dtype: Any) -> None:
    """A half of 2048 (256 of bfloat16) stays what it is when one is added."""
    x = tidu.ones(5000, dtype=dtype)
    places = tidu.zeros(5000, dtype=tidu.int64)
    with tier(1):
        y = tidu.zeros(3, dtype=dtype)
        assert y.index_add(0, places, x).tolist() == [tidu.tensor(5000.0, dtype=dtype).item(), 0, 0]


COMPOSITES: dict[str, Callable[[Any], Any]] = {
    "cosine_similarity": lambda x: F.cosine_similarity(x, x * 1.0, dim=1),
    "layer_norm": lambda x: F.layer_norm(x, (100,)),
    "normalize": lambda x: F.normalize(x, dim=1),
    "rms_norm": lambda x: F.rms_norm(x, (100,)),
    "softmax": lambda x: F.softmax(x, 1),
    "var": lambda x: (x * 0.01).var(1),
}


@pytest.mark.parametrize("name", COMPOSITES)
def test_what_lies_inside_of_an_operation_on_halves_does_not_overflow(name: str) -> None:
    """The squares of these numbers are beyond the largest half."""
    x = tidu.tensor(np.random.default_rng(0).uniform(300.0, 600.0, (4, 100)), dtype=tidu.float16)
    with tier(1):
        got = COMPOSITES[name](x).float().numpy()
    with tier(0):
        want = COMPOSITES[name](x.double()).numpy()
    np.testing.assert_allclose(got, want, rtol=4e-3, atol=2e-3)
