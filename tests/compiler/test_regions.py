"""Regions whose parts meet in an unusual way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import assert_same_in_both_tiers, tier
from tidu import Tensor
from tidu.backends.arena import Arena
from tidu.execute import engine
from tidu.nn import functional as F


def _numbers(*shape: int) -> Tensor:
    array = np.random.default_rng(0).standard_normal(shape)
    tensor = tidu.tensor(array, dtype=tidu.float32)
    tidu.realize()
    return tensor


def test_a_compiled_region_is_not_run_by_the_first_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without which the tests that compare the two would show nothing."""
    ran: list[Any] = []
    monkeypatch.setattr(engine.backend, "run", ran.append)
    x = _numbers(20, 30)
    with tier(1):
        y = (x.tanh() * 2).sum(0).softmax(0) @ x.t()
        tidu.realize()
        assert y._value.buffer is not None
    assert not ran


@pytest.mark.parametrize("size", [100, 5000, 40_000])
def test_products_of_vectors_that_are_computed(size: int) -> None:
    a, b = _numbers(size), _numbers(2, size)[1]
    assert_same_in_both_tiers(
        lambda: [(a * 2) @ (a + 1), a.flip(0) @ (b * 0.5), (a * 2) @ (a * 2)], 1e-4
    )


def test_a_result_of_several_is_read_in_a_later_region() -> None:
    def results() -> list[Tensor]:
        x = _numbers(9, 17).requires_grad_()
        values, indices = x.sort(1)
        tidu.realize()
        (values * values).sum().backward()
        return [values, indices, x.grad]

    assert_same_in_both_tiers(results)


def test_attention_is_differentiated_in_a_later_region() -> None:
    def results() -> list[Tensor]:
        query, key = _numbers(2, 3, 5, 8).requires_grad_(), _numbers(2, 3, 7, 8)
        out = F.scaled_dot_product_attention(query, key, key)
        tidu.realize()
        out.square().sum().backward()
        return [out, query.grad]

    assert_same_in_both_tiers(results)


def test_numbers_of_one_pass_that_a_later_pass_reads_from_memory() -> None:
    """The same for all lanes where they are computed, and one for each lane where they are read."""

    def results() -> list[Tensor]:
        x = _numbers(2).requires_grad_()
        y = (x * x + 0.1).norm() * 0.1
        z = tidu.atan2(y, y * y + 0.5)
        (slope,) = tidu.autograd.grad((y * y).sum() * 0.1, x, create_graph=True)
        (again,) = tidu.autograd.grad((slope * slope).sum() * 0.1, x, create_graph=True)
        return [y, z, slope, again]

    assert_same_in_both_tiers(results)


def test_an_arena_holds_what_was_reserved() -> None:
    """Also where it was made for a little less."""
    arena = Arena()
    for size in (64, 128, 100, 4096, 4160, 4159, 10_000):
        start = arena.reserve(size)
        first = arena.memory.ctypes.data
        assert start % 64 == 0
        assert first <= start
        assert start + size <= first + arena.memory.size


def test_a_join_of_joins_is_written_in_one_go() -> None:
    def blocks() -> tidu.Tensor:
        tidu.manual_seed(0)
        a, b, c = tidu.randn(3, 3), tidu.randn(3, 2), tidu.randn(2, 5)
        upper = tidu.cat((a * 2, b.exp()), 1)
        return tidu.cat((upper, c + 1), 0) * 1.5

    with tier(0):
        wanted = blocks().numpy()
    with tier(1):
        np.testing.assert_allclose(blocks().numpy(), wanted, rtol=1e-6)
