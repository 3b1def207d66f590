"""Whole numbers, permutations and choices are those of PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from tests.base.random.agreement import (
    ALL,
    FLOATS,
    INTEGERS,
    LARGE,
    SIZES,
    assert_same_bits,
    compare,
    empty,
    to_numpy,
    without_mkl,
)
from tests.base.random.test_mistakes import same_outcome
from tidu.base.random import generator as generator_module
from tidu.base.random.generator import Generator

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


@pytest.mark.parametrize("name", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("p", [0.5, 0.1, 0.93, 1e-3])
def test_geometric(name: str, p: float) -> None:
    if name in ("uint8", "int8") and p == 1e-3:
        pytest.skip("samples beyond the type's range are undefined in PyTorch")
    compare(
        lambda g: g.geometric(3000, ALL[name], p),
        lambda g: empty(3000, name).geometric_(p, generator=g),
    )


@without_mkl
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 1 / 3, 1 - 2**-53, 1.0])
def test_bernoulli(size: int, p: float) -> None:
    compare(
        lambda g: g.bernoulli((size, 2), p).astype(np.float32),
        lambda g: torch.empty(size, 2).bernoulli_(p, generator=g),
    )


@without_mkl
def test_bernoulli_is_the_mask_of_dropout() -> None:
    torch.manual_seed(12)
    expected = torch.nn.functional.dropout(torch.ones(2, 20_000), 0.3)
    kept = Generator().manual_seed(12).bernoulli((2, 20_000), 1 - 0.3)
    assert_same_bits(kept / np.float32(1 - 0.3), expected)


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (20, 77), (3, 10_000)])
def test_bernoulli_tensor(name: str, shape: tuple[int, ...]) -> None:
    p = torch.rand(shape, generator=torch.Generator().manual_seed(1)).to(getattr(torch, name))
    compare(
        lambda g: g.bernoulli_tensor(to_numpy(p)).astype(FLOATS[name]),
        lambda g: torch.bernoulli(p, generator=g),
    )


RANGES = [
    (0, 2), (0, 10), (-5, 5), (0, 1 << 24), (0, (1 << 28) - 1), (0, 1 << 28), (-7, 1 << 28),
    (0, 1 << 31), (0, 1 << 32), (-(1 << 40), 1 << 40), (-(1 << 63), (1 << 63) - 1), (5, 6),
]  # fmt: skip


@pytest.mark.parametrize("low, high", RANGES)
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_integers(low: int, high: int, size: int) -> None:
    compare(
        lambda g: g.integers(low, high, size),
        lambda g: torch.randint(low, high, (size,), generator=g),
    )


@pytest.mark.filterwarnings("ignore:.*is out of bounds.*:UserWarning")
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    "low, high", [(0, 2), (3, 100), (-100, 100), (0, 256), (-128, 128), (0, 2049), (2000, 60_000)]
)
def test_integers_of_every_type(name: str, low: int, high: int) -> None:
    same_outcome(
        lambda g: g.integers(low, high, (5, 40), ALL[name]),
        lambda g: torch.randint(low, high, (5, 40), dtype=getattr(torch, name), generator=g),
    )


@pytest.mark.filterwarnings("ignore:.*is out of bounds.*:UserWarning")
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize(
    "low, high",
    [
        (2047, 2050), (2049, 2051), (0, 65_504), (-65_504, 65_504), (1 << 24, (1 << 24) + 3),
        (-(1 << 24) - 5, 7), (0, 1 << 40), (-(1 << 60) - 1, (1 << 60) + 1), (257, 259), (0, 70_000),
    ],
)  # fmt: skip
def test_integers_at_the_limits_of_floats(name: str, low: int, high: int) -> None:
    same_outcome(
        lambda g: g.integers(low, high, 500, FLOATS[name]),
        lambda g: torch.randint(low, high, (500,), dtype=getattr(torch, name), generator=g),
    )


def test_integers_warn_where_a_float_type_has_gaps() -> None:
    with pytest.warns(UserWarning, match="to - 1 is out of bounds"):
        Generator().integers(0, 4096, 3, np.float16)


@pytest.mark.filterwarnings("ignore:.*is out of bounds.*:UserWarning")
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("low", [None, -(1 << 63), 0, 1, -3, 100, 1 << 20])
def test_random_over_the_whole_range(name: str, low: int | None) -> None:
    def oracle(generator: torch.Generator) -> torch.Tensor:
        target = empty(700, name)
        if low is None:
            return target.random_(generator=generator)
        return target.random_(low, None, generator=generator)

    same_outcome(lambda g: g.random(700, ALL[name], low), oracle)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 100, 399, 400, 401, 625, 1000, 5000, LARGE])
def test_permutation(n: int) -> None:
    compare(lambda g: g.permutation(n), lambda g: torch.randperm(n, generator=g))


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("n", [5, 128, 129, 200, 257, 2049, 2050, 3000])
def test_permutation_of_every_type(name: str, n: int) -> None:
    same_outcome(
        lambda g: g.permutation(n, ALL[name]),
        lambda g: torch.randperm(n, dtype=getattr(torch, name), generator=g),
    )


def test_permutation_of_very_many(monkeypatch: pytest.MonkeyPatch) -> None:
    # The way PyTorch goes from 2**32 / 20 elements on; too long to draw here.
    words = Generator().random(1000, np.int64, -(1 << 63)).view(np.uint64).tolist()
    items = list(range(1000))
    for i, word in enumerate(words):
        target = word % (i + 1)
        items[i] = items[target]
        items[target] = i
    monkeypatch.setattr(generator_module, "_LARGE_PERMUTATION", 0)
    assert Generator().permutation(1000).tolist() == items


def weights_for(kind: str, shape: tuple[int, ...], name: str) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    weights = torch.rand(shape, generator=generator)
    if kind == "equal":
        weights = torch.ones(shape)
    elif kind == "sparse":
        weights = weights * (torch.rand(shape, generator=generator) < 0.3)
        weights[..., 0] = 1.0
    return weights.to(getattr(torch, name))


@without_mkl
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("kind", ["random", "equal", "sparse"])
@pytest.mark.parametrize("replacement", [False, True])
@pytest.mark.parametrize("shape", [(1,), (5,), (4, 30), (3, 700), (0, 4)])
def test_multinomial(name: str, kind: str, replacement: bool, shape: tuple[int, ...]) -> None:
    weights = weights_for(kind, shape, name)
    n = shape[-1]
    for count in sorted({1, 2, n // 64 + 1, n // 2 + 1, n, *([3 * n] if replacement else [])}):
        if count > n and not replacement:
            continue
        compare(
            lambda g: g.multinomial(to_numpy(weights), count, replacement),
            lambda g: torch.multinomial(weights, count, replacement, generator=g),
        )


@without_mkl
def test_multinomial_of_many_categories() -> None:
    weights = weights_for("random", (40_000,), "float32")
    for count, replacement in ((1, False), (100, False), (40_000, False), (1000, True)):
        compare(
            lambda g: g.multinomial(weights.numpy(), count, replacement),
            lambda g: torch.multinomial(weights, count, replacement, generator=g),
        )
