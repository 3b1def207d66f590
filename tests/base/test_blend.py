"""Choosing by bit masks gives what np.where gives, bit for bit."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from tidu.base.blend import blend

KINDS = [
    np.float32,
    np.float64,
    np.float16,
    ml_dtypes.bfloat16,
    np.int64,
    np.int32,
    np.int8,
    np.uint8,
    np.bool_,
]


def _numbers(kind: type, count: int) -> np.ndarray:
    numbers = np.random.default_rng(0).standard_normal(count) * 50
    if not np.issubdtype(kind, np.integer) and kind is not np.bool_:
        numbers[:6] = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40]
    else:
        numbers = np.abs(numbers)
    return numbers.astype(kind)


@pytest.mark.parametrize("count", [7, 5000])
@pytest.mark.parametrize("kind", KINDS)
def test_arrays_and_single_numbers(kind: type, count: int) -> None:
    condition = np.random.default_rng(1).random(count) < 0.5
    x, y = _numbers(kind, count), _numbers(kind, count)[::-1]
    for a, b in (
        (x, y),
        (x, x[:1].reshape(())),
        (x[3:4].reshape(()), y),
        (x, np.zeros((), kind)),
        (np.ones((), kind), y),
    ):
        got, want = blend(condition, a, b), np.where(condition, a, b)
        assert got.dtype == want.dtype
        assert got.tobytes() == want.tobytes()


def test_python_numbers_take_the_dtype_of_the_array() -> None:
    condition = np.arange(4000) % 3 == 0
    x = np.arange(4000, dtype=np.float32)
    assert blend(condition, x, 0.0).dtype == np.float32
    np.testing.assert_array_equal(
        blend(condition, -1.5, x), np.where(condition, np.float32(-1.5), x)
    )


def test_strides_and_broadcasting() -> None:
    condition = np.random.default_rng(1).random((100, 60)) < 0.5
    x, y = (
        _numbers(np.float32, 6000).reshape(60, 100).T,
        _numbers(np.float32, 12000).reshape(100, 120)[:, ::2],
    )
    np.testing.assert_array_equal(
        blend(condition.T.T[:, ::-1], x, y), np.where(condition[:, ::-1], x, y)
    )
    np.testing.assert_array_equal(blend(condition, x[:1], y), np.where(condition, x[:1], y))
    np.testing.assert_array_equal(blend(condition, x, 1.0), np.where(condition, x, np.float32(1.0)))
