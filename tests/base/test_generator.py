"""The generator against PyTorch's: equal seeds give equal bits and leave equal states behind."""

from __future__ import annotations

import copy
import doctest
import math
import pickle
import threading
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidu.base import generator as generator_module
from tidu.base import rounding, selection
from tidu.base.generator import DEFAULT_SEED, Generator
from tidu.base.rounding import scale_shift
from tidu.base.selection import largest
from tidu.base.shuffling import shuffle_forward, shuffle_inside_out

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")

BFLOAT16 = ml_dtypes.bfloat16
FLOATS = {
    "float32": np.float32,
    "float64": np.float64,
    "float16": np.float16,
    "bfloat16": BFLOAT16,
}
INTEGERS = {name: np.dtype(name) for name in ("uint8", "int8", "int16", "int32", "int64")}
ALL = {**FLOATS, **INTEGERS, "bool": np.dtype(bool)}
SIZES = (0, 1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 47, 100, 623, 624, 625, 1000, 5000)
LARGE = 70_001


def words_used(draw: Callable[[torch.Generator], Any]) -> int:
    generator = torch.Generator().manual_seed(0)
    draw(generator)
    return int(generator.get_state()[16:24].view(torch.int64))


without_mkl = pytest.mark.skipif(
    words_used(lambda g: torch.empty(4).bernoulli_(0.5, generator=g)) != 8
    or words_used(lambda g: torch.empty(4).exponential_(generator=g)) != 8,
    reason="PyTorch takes these samples from MKL on this processor",
)
with_avx2 = pytest.mark.skipif(
    torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"),
    reason="PyTorch has another float32 normal kernel for this processor",
)

Draw = Callable[[Generator], Any]
Oracle = Callable[["torch.Generator"], "torch.Tensor"]


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(BFLOAT16)
    return tensor.numpy()


def assert_same_bits(ours: np.ndarray, expected: torch.Tensor) -> None:
    theirs = to_numpy(expected)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    differing = np.flatnonzero(bits(ours) != bits(theirs))
    assert not differing.size, (
        f"{differing.size} of {ours.size} differ, the first at {differing[0]}: "
        f"{ours.ravel()[differing[0]]!r} instead of {theirs.ravel()[differing[0]]!r}"
    )


def bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(f"u{array.itemsize}")


def compare(draw: Draw, oracle: Oracle, seed: int = 0) -> None:
    """Two draws in a row, and the states after them."""
    ours, theirs = Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    for _ in range(2):
        assert_same_bits(draw(ours), oracle(theirs))
    assert_same_bits(ours.get_state(), theirs.get_state())


def empty(size: int | tuple[int, ...], name: str) -> torch.Tensor:
    return torch.empty(size, dtype=getattr(torch, name))


def nonzero_sizes() -> list[int]:
    return [size for size in SIZES if size]


# Seeds and states


@pytest.mark.parametrize(
    "seed", [0, 1, 42, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**64 - 1, -1, -5, -(2**63)]
)
def test_seeds(seed: int) -> None:
    ours, theirs = Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    assert ours.initial_seed() == theirs.initial_seed()
    assert_same_bits(ours.get_state(), theirs.get_state())
    assert_same_bits(ours.uniform(700), torch.rand(700, generator=theirs))
    assert_same_bits(ours.get_state(), theirs.get_state())


def test_a_new_generator_has_the_default_seed() -> None:
    ours, theirs = Generator(), torch.Generator()
    assert ours.initial_seed() == theirs.initial_seed() == DEFAULT_SEED
    assert_same_bits(ours.uniform(5), torch.rand(5, generator=theirs))
    assert str(ours.device) == "cpu"


@pytest.mark.parametrize("seed", [2**64, -(2**63) - 1, 1.5, True, "a", None])
def test_wrong_seeds(seed: Any) -> None:
    with pytest.raises((RuntimeError, ValueError)) as expected:
        torch.Generator().manual_seed(seed)
    with pytest.raises(expected.type, match=str(expected.value)):
        Generator().manual_seed(seed)


def test_numpy_integers_are_seeds() -> None:
    assert Generator().manual_seed(np.int64(-3)).initial_seed() == 2**64 - 3


def test_seed_is_new_every_time_and_fits_a_double() -> None:
    generator = Generator()
    seeds = {generator.seed() for _ in range(20)}
    assert len(seeds) == 20
    assert all(seed == int(float(seed)) for seed in seeds)
    assert generator.initial_seed() in seeds


@pytest.mark.parametrize("drawn", [0, 1, 5, 623, 624, 625, 1248, 1300, 40_000])
@pytest.mark.parametrize("normals", [0, 1, 2])
def test_states_are_interchangeable_with_pytorch(drawn: int, normals: int) -> None:
    ours, theirs = Generator().manual_seed(9), torch.Generator().manual_seed(9)
    ours.uniform(drawn)
    ours.normal(normals)
    torch.rand(drawn, generator=theirs)
    torch.randn(normals, generator=theirs)
    assert_same_bits(ours.get_state(), theirs.get_state())
    from_theirs = Generator().set_state(theirs.get_state().numpy())
    from_ours = torch.Generator().set_state(torch.from_numpy(ours.get_state()))
    expected = torch.randn(9, generator=theirs)
    assert_same_bits(from_theirs.normal(9), expected)
    assert_same_bits(ours.normal(9), expected)
    assert torch.equal(torch.randn(9, generator=from_ours), expected)
    assert from_theirs.initial_seed() == 9


def test_set_state_twice_gives_the_same_numbers_twice() -> None:
    generator = Generator().manual_seed(4)
    generator.normal(3)
    state = generator.get_state()
    first = [generator.normal(5), generator.uniform(1000), generator.permutation(50)]
    generator.set_state(state)
    second = [generator.normal(5), generator.uniform(1000), generator.permutation(50)]
    assert all((a == b).all() for a, b in zip(first, second))


@pytest.mark.parametrize(
    "state",
    [
        np.zeros(5056, np.uint8),
        np.zeros(5, np.uint8),
        np.zeros(5056, np.float32),
        [1, 2],
    ],
)
def test_wrong_states(state: Any) -> None:
    theirs = torch.from_numpy(state) if isinstance(state, np.ndarray) else state
    with pytest.raises((RuntimeError, TypeError)) as expected:
        torch.Generator().set_state(theirs)
    with pytest.raises(expected.type):
        Generator().set_state(state)


def test_contradictory_positions_are_refused() -> None:
    state = Generator().get_state()
    state[8] = 100  # 99 words left, but none used
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        Generator().set_state(state)


@pytest.mark.parametrize(
    "duplicate",
    [
        Generator.clone_state,
        Generator.clone,
        copy.copy,
        copy.deepcopy,
        lambda generator: pickle.loads(pickle.dumps(generator)),
    ],
)
def test_copies_are_independent(duplicate: Callable[[Generator], Generator]) -> None:
    original = Generator().manual_seed(3)
    original.normal(1)
    other = duplicate(original)
    expected = other.normal(20)
    assert (original.normal(20) == expected).all()
    assert other.initial_seed() == 3


def test_other_devices_are_refused() -> None:
    with pytest.raises(RuntimeError, match="cuda"):
        Generator("cuda")


def test_threads_share_the_words_without_repeats() -> None:
    generator = Generator().manual_seed(0)
    parts: list[np.ndarray] = []

    def work() -> None:
        for _ in range(200):
            parts.append(generator.random(7, np.int64))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    drawn = np.sort(np.concatenate(parts))
    assert (drawn == np.sort(Generator().manual_seed(0).random(5600, np.int64))).all()


# Continuous distributions


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


# Discrete distributions


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


# Errors


def same_outcome(draw: Draw, oracle: Oracle) -> None:
    """The same numbers, or the same kind of error with PyTorch's words in it."""
    try:
        oracle(torch.Generator())
    except (RuntimeError, TypeError, ValueError) as error:
        with pytest.raises(type(error)) as raised:
            draw(Generator())
        beginning = str(error).split("\n")[0].split(".  (")[0].removesuffix(".")
        if "handles only" not in beginning:
            assert beginning in str(raised.value)
        return
    compare(draw, oracle)


f32 = torch.float32
ERRORS: dict[str, tuple[Draw, Oracle]] = {
    "uniform reversed": (
        lambda g: g.uniform(3, np.float32, 2, 1),
        lambda g: torch.empty(3).uniform_(2, 1),
    ),
    "uniform nan": (
        lambda g: g.uniform(3, np.float32, math.nan, 1),
        lambda g: torch.empty(3).uniform_(math.nan, 1),
    ),
    "uniform too wide": (
        lambda g: g.uniform(3, np.float32, -3e38, 3e38),
        lambda g: torch.empty(3).uniform_(-3e38, 3e38),
    ),
    "uniform beyond half": (
        lambda g: g.uniform(3, np.float16, 0, 1e6),
        lambda g: empty(3, "float16").uniform_(0, 1e6),
    ),
    "uniform integers": (
        lambda g: g.uniform(3, np.int64),
        lambda g: empty(3, "int64").uniform_(),
    ),
    "normal std": (lambda g: g.normal(3, std=-1.0), lambda g: torch.empty(3).normal_(0, -1)),
    "normal nan": (
        lambda g: g.normal(3, std=math.nan),
        lambda g: torch.empty(3).normal_(0, math.nan),
    ),
    "normal integers": (lambda g: g.normal(3, np.int64), lambda g: empty(3, "int64").normal_()),
    "normal no integers": (lambda g: g.normal(0, np.int64), lambda g: empty(0, "int64").normal_()),
    "log_normal std": (
        lambda g: g.log_normal(3, std=0.0),
        lambda g: torch.empty(3).log_normal_(0, 0),
    ),
    "log_normal bool": (
        lambda g: g.log_normal(3, np.bool_),
        lambda g: empty(3, "bool").log_normal_(),
    ),
    "exponential rate": (
        lambda g: g.exponential(3, lambd=0.0),
        lambda g: torch.empty(3).exponential_(0),
    ),
    "exponential integers": (
        lambda g: g.exponential(3, np.int64),
        lambda g: empty(3, "int64").exponential_(),
    ),
    "cauchy sigma": (lambda g: g.cauchy(3, sigma=0.0), lambda g: torch.empty(3).cauchy_(0, 0)),
    "cauchy integers": (lambda g: g.cauchy(3, np.int32), lambda g: empty(3, "int32").cauchy_()),
    "geometric 0": (lambda g: g.geometric(3, p=0.0), lambda g: torch.empty(3).geometric_(0)),
    "geometric 1": (lambda g: g.geometric(3, p=1.0), lambda g: torch.empty(3).geometric_(1)),
    "geometric bool": (
        lambda g: g.geometric(3, np.bool_),
        lambda g: empty(3, "bool").geometric_(0.5),
    ),
    "bernoulli": (lambda g: g.bernoulli(3, 1.5), lambda g: torch.empty(3).bernoulli_(1.5)),
    "bernoulli nan": (
        lambda g: g.bernoulli(3, math.nan),
        lambda g: torch.empty(3).bernoulli_(math.nan),
    ),
    "bernoulli tensor": (
        lambda g: g.bernoulli_tensor(np.array([0.5, 1.5])),
        lambda g: torch.bernoulli(torch.tensor([0.5, 1.5])),
    ),
    "bernoulli integers": (
        lambda g: g.bernoulli_tensor(np.ones(2, np.int64)),
        lambda g: torch.bernoulli(torch.ones(2, dtype=torch.int64)),
    ),
    "integers empty range": (
        lambda g: g.integers(3, 3, 2),
        lambda g: torch.randint(3, 3, (2,)),
    ),
    "permutation negative": (lambda g: g.permutation(-1), lambda g: torch.randperm(-1)),
    "multinomial too many": (
        lambda g: g.multinomial(np.ones(2), 3),
        lambda g: torch.multinomial(torch.ones(2), 3),
    ),
    "multinomial none": (
        lambda g: g.multinomial(np.ones(2), 0),
        lambda g: torch.multinomial(torch.ones(2), 0),
    ),
    "multinomial negative": (
        lambda g: g.multinomial(np.array([1.0, -2.0]), 1),
        lambda g: torch.multinomial(torch.tensor([1.0, -2.0]), 1),
    ),
    "multinomial infinite": (
        lambda g: g.multinomial(np.array([1.0, np.inf]), 1, True),
        lambda g: torch.multinomial(torch.tensor([1.0, math.inf]), 1, True),
    ),
    "multinomial zeros": (
        lambda g: g.multinomial(np.zeros((2, 2)), 1),
        lambda g: torch.multinomial(torch.zeros(2, 2), 1),
    ),
    "multinomial 3d": (
        lambda g: g.multinomial(np.ones((2, 3, 4)), 1),
        lambda g: torch.multinomial(torch.ones(2, 3, 4), 1),
    ),
    "multinomial integers": (
        lambda g: g.multinomial(np.ones(3, np.int64), 1),
        lambda g: torch.multinomial(torch.ones(3, dtype=torch.int64), 1),
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(case: str) -> None:
    same_outcome(*ERRORS[case])


def test_examples() -> None:
    for module in (generator_module, rounding, selection):
        assert doctest.testmod(module).failed == 0


# Mixed sequences

mixed_draws = st.lists(
    st.one_of(
        st.tuples(st.just("uniform"), st.sampled_from(list(FLOATS)), st.integers(0, 1300)),
        st.tuples(st.just("normal"), st.sampled_from(list(FLOATS)), st.integers(0, 40)),
        st.tuples(st.just("log_normal"), st.sampled_from(list(FLOATS)), st.integers(0, 9)),
        st.tuples(st.just("exponential"), st.sampled_from(list(FLOATS)), st.integers(0, 9)),
        st.tuples(st.just("random"), st.sampled_from(list(ALL)), st.integers(0, 700)),
        st.tuples(st.just("permutation"), st.just("int64"), st.integers(0, 700)),
        st.tuples(st.just("bernoulli"), st.just("bool"), st.integers(0, 700)),
        st.tuples(st.just("state"), st.just(""), st.just(0)),
        st.tuples(st.just("manual_seed"), st.just(""), st.integers(0, 2**64 - 1)),
    ),
    max_size=12,
)


@without_mkl
@with_avx2
@settings(max_examples=150, deadline=None)
@given(draws=mixed_draws, seed=st.integers(-(2**63), 2**64 - 1))
def test_mixed_sequences(draws: list[tuple[str, str, int]], seed: int) -> None:
    ours, theirs = Generator().manual_seed(seed), torch.Generator().manual_seed(seed)
    for method, name, size in draws:
        if method == "manual_seed":
            ours.manual_seed(size)
            theirs.manual_seed(size)
        elif method == "state":
            ours = Generator().set_state(ours.get_state())
        elif method == "permutation":
            assert_same_bits(ours.permutation(size), torch.randperm(size, generator=theirs))
        elif method == "bernoulli":
            expected = empty(size, name).bernoulli_(0.4, generator=theirs)
            assert_same_bits(ours.bernoulli(size, 0.4), expected)
        else:
            expected = getattr(empty(size, name), method + "_")(generator=theirs)
            assert_same_bits(getattr(ours, method)(size, ALL[name]), expected)
    assert_same_bits(ours.get_state(), theirs.get_state())


# The parts


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
