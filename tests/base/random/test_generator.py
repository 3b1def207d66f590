"""The generator against PyTorch's: seeds, states, and draws of all kinds in one sequence."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.base.random.agreement import ALL, FLOATS, assert_same_bits, empty, with_avx2, without_mkl
from tidu.base.random.generator import DEFAULT_SEED, Generator

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of these tests")


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
