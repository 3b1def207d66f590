"""Samples of continuous distributions have the bits of PyTorch's."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.base.random.agreement import FLOATS, LARGE, SIZES, compare, empty, with_avx2, without_mkl

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_uniform(name: str, size: int) -> None:
    compare(
        lambda g: g.uniform(size, FLOATS[name]),
        lambda g: torch.rand(size, dtype=getattr(torch, name), generator=g),
    )


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize(
    "low, high",
    [(-1.0, 1.0), (-0.3, 0.7), (0.1, 0.10001), (2.0, 2.0), (-5e4, 1e4), (1e-7, 3e-7), (0.0, 0.3)],
)
def test_uniform_between(name: str, low: float, high: float) -> None:
    compare(
        lambda g: g.uniform((3, 1111), FLOATS[name], low, high),
        lambda g: empty((3, 1111), name).uniform_(low, high, generator=g),
    )


@with_avx2
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_normal(name: str, size: int) -> None:
    compare(
        lambda g: g.normal(size, FLOATS[name]),
        lambda g: torch.randn(size, dtype=getattr(torch, name), generator=g),
        seed=size,
    )


@with_avx2
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize(
    "mean, std", [(0.5, 1.0), (0.0, 0.02), (0.3, 1.7), (-4.0, 0.0), (100.0, 1e-3), (1e-3, 1e3)]
)
@pytest.mark.parametrize("size", [5, 16, 999])
def test_normal_with_mean_and_std(name: str, mean: float, std: float, size: int) -> None:
    compare(
        lambda g: g.normal(size, FLOATS[name], mean, std),
        lambda g: empty(size, name).normal_(mean, std, generator=g),
    )


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("size", [1, 4, 15, 17, 64, 1001])
def test_normal_not_contiguous(name: str, size: int) -> None:
    compare(
        lambda g: g.normal(size, FLOATS[name], 0.25, 1.5, contiguous=False),
        lambda g: empty((size, 2), name)[:, 0].normal_(0.25, 1.5, generator=g).contiguous(),
    )


@without_mkl
@with_avx2
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("method", ["uniform", "normal", "log_normal", "exponential", "cauchy"])
def test_large_draws(name: str, method: str) -> None:
    compare(
        lambda g: getattr(g, method)(LARGE, FLOATS[name]),
        lambda g: getattr(empty(LARGE, name), method + "_")(generator=g),
        seed=8,
    )


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("size", SIZES)
def test_log_normal(name: str, size: int) -> None:
    compare(
        lambda g: g.log_normal(size, FLOATS[name], 0.7, 0.3),
        lambda g: empty(size, name).log_normal_(0.7, 0.3, generator=g),
    )


def test_log_normal_overflows_to_infinity() -> None:
    compare(
        lambda g: g.log_normal(1000, np.float64, 700.0, 20.0),
        lambda g: empty(1000, "float64").log_normal_(700.0, 20.0, generator=g),
    )


@without_mkl
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("rate", [1.0, 0.3, 17.5, math.inf])
@pytest.mark.parametrize("size", [0, 1, 100, 3001])
def test_exponential(name: str, rate: float, size: int) -> None:
    compare(
        lambda g: g.exponential(size, FLOATS[name], rate),
        lambda g: empty(size, name).exponential_(rate, generator=g),
    )


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("median, sigma", [(0.0, 1.0), (0.3, 2.7), (-100.0, 0.01)])
def test_cauchy(name: str, median: float, sigma: float) -> None:
    compare(
        lambda g: g.cauchy((40, 50), FLOATS[name], median, sigma),
        lambda g: empty((40, 50), name).cauchy_(median, sigma, generator=g),
    )
