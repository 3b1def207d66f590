"""Scans have PyTorch's bits: the state of one over float32 is kept in float64, over halves in
float32, and each result is rounded.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import tier

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

DTYPES = ["float32", "float64", "float16", "bfloat16"]
SHAPES = [((3000,), 0), ((40, 30), 0), ((40, 30), 1), ((5, 17, 9), 1), ((0, 3), 1), ((), 0)]


@pytest.mark.parametrize("number", [0, 1])
def test_what_float32_cannot_hold_on_the_way_comes_back(number: int) -> None:
    with tier(number):
        assert tidu.full((3000,), 0.1).cumsum(0)[-1].item() == 300.0
        assert tidu.tensor([1e8, 1, -1e8, 1]).cumsum(0).tolist() == [1e8, 1e8, 1, 2]
        assert tidu.tensor([3e38, 3e38, -3e38]).cumsum(0).tolist() == [
            tidu.tensor(3e38).item(), np.inf, tidu.tensor(3e38).item(),
        ]  # fmt: skip
        products = tidu.tensor([1e-30, 1e-30, 1e30, 1e30]).cumprod(0)
        assert products.tolist() == pytest.approx([1e-30, 0.0, 1e-30, 1.0], rel=1e-6)


def _outcome(module: Any, name: str, numbers: Any, d: str, dim: int) -> list[Any]:
    """The numbers of a scan, and the gradient of a weighted sum of them."""
    x = module.tensor(numbers.tolist()).reshape(numbers.shape).to(getattr(module, d))
    y = getattr(x.requires_grad_(), name)(dim)
    weights = module.arange(y.numel()).reshape(y.shape).to(y.dtype) % 7 - 3
    (y * weights).sum().backward()
    return [y.detach().double().numpy(), x.grad.double().numpy()]


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("d", DTYPES)
@pytest.mark.parametrize(("shape", "dim"), SHAPES)
@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp"])
def test_scans_have_the_bits_of_pytorch(
    name: str, shape: tuple[int, ...], dim: int, d: str, number: int
) -> None:
    rng = np.random.default_rng(len(shape) + dim)
    numbers = rng.uniform(0.8, 1.2, shape) * rng.choice([-1, 1], shape)
    want = _outcome(torch, name, numbers, d, dim)
    with tier(number):
        got = _outcome(tidu, name, numbers, d, dim)
    np.testing.assert_array_equal(got[0], want[0], strict=True)
    if name != "logcumsumexp":  # whose derivative is worked out in another way, with less overflow
        np.testing.assert_array_equal(got[1], want[1], strict=True)


@pytest.mark.parametrize("number", [0, 1])
def test_gradients_of_long_scans_lose_nothing_on_the_way(number: int) -> None:
    x = np.random.default_rng(0).uniform(0.9, 1.1, 3000)
    x[7] = 0.0  # a product with a zero has its gradient from a recurrence
    for name in ("cumprod", "logcumsumexp"):
        want = _outcome(torch, name, x, "float64", 0)[1]
        with tier(number):
            got = _outcome(tidu, name, x, "float32", 0)[1]
        np.testing.assert_allclose(got, want, rtol=0, atol=4e-7 * np.abs(want).max())
