"""A region that is like the one before is recognized as a whole, and any difference is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tidu
from tidu.ir import structure
from tidu.ir.structure import Key, Outline, region_key
from tidu.ir.value import pending


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    tidu.realize()
    structure._latest.clear()
    yield
    structure._latest.clear()


def _key(make: Callable[[], Any]) -> tuple[Key, list[Any], list[float]]:
    """The key of the region that `make` gives rise to, while what it returns is held."""
    kept = make()
    found = region_key(pending.take())  # nothing in it is dead
    del kept
    return found


X, Y, Z = (tidu.from_numpy(tidu.randn(4).numpy()) for _ in range(3))


def _usual() -> Any:
    return tidu.cat([X * 0.5, Y + 1.0]) * tidu.cat([Y, X, Z])[:8]


def _other_number() -> Any:
    return tidu.cat([X * 0.25, Y + 3.0]) * tidu.cat([Y, X, Z])[:8]


OTHERS: dict[str, Callable[[], Any]] = {
    "op": lambda: tidu.cat([X / 0.5, Y + 1.0]) * tidu.cat([Y, X, Z])[:8],
    "attribute": lambda: tidu.cat([X * 0.5, Y + 1.0]) * tidu.cat([Y, X, Z])[4:],
    "leaf used twice": lambda: tidu.cat([X * 0.5, Y + 1.0]) * tidu.cat([Y, X, X])[:8],
    "leaves exchanged": lambda: tidu.cat([X * 0.5, Y + 1.0]) * tidu.cat([X, Y, Z])[:8],
    "number for tensor": lambda: tidu.cat([X * 0.5, Y + Z]) * tidu.cat([Y, X, Z])[:8],
    "kind of leaf": lambda: (
        tidu.cat([X * 0.5, Y + 1.0]) * tidu.cat([Y, X, Z.double().detach()])[:8]
    ),
}


def test_the_third_of_equal_regions_is_matched_as_a_whole() -> None:
    keys = [_key(_usual)[0] for _ in range(4)]
    (known,) = structure._latest.values()
    assert isinstance(known, Outline)
    assert keys[2] is keys[1] and keys[3] is keys[1]
    assert keys[0] == keys[1]


def test_a_match_gives_the_leaves_and_numbers_of_this_region() -> None:
    first = _key(_usual)
    _key(_usual)
    third = _key(_other_number)
    assert third[0] == first[0]
    assert list(map(id, third[1])) == list(map(id, first[1]))
    assert first[2] == [0.5, 1.0] and third[2] == [0.25, 3.0]


@pytest.mark.parametrize("what", OTHERS)
def test_any_difference_makes_another_key(what: str) -> None:
    usual = [_key(_usual)[0] for _ in range(3)][-1]
    key = _key(OTHERS[what])[0]
    assert key != usual
    structure._latest.clear()
    assert _key(OTHERS[what])[0] == key


def test_a_value_of_the_region_does_not_pass_for_a_leaf() -> None:
    def of_leaf() -> Any:
        a = X * 2.0
        return a, Y.sin(), (a + Z).cos()

    def of_result() -> Any:
        a = X * 2.0
        b = Y.sin()
        return a, b, (a + b).cos()

    usual = [_key(of_leaf)[0] for _ in range(3)][-1]
    assert _key(of_result)[0] != usual


@pytest.mark.parametrize("other", [tidu.zeros(5), tidu.zeros(4, dtype=tidu.float64)])
def test_a_leaf_of_another_kind_makes_another_key(other: tidu.Tensor) -> None:
    tidu.realize()

    def of(leaf: tidu.Tensor) -> Any:
        return X * 2.0, leaf * 3.0

    usual = [_key(lambda: of(Y))[0] for _ in range(3)][-1]
    assert _key(lambda: of(other))[0] != usual


def test_what_is_held_is_compared() -> None:
    def held() -> Any:
        a = X * 2.0
        return a, a + 1.0

    usual = [_key(held)[0] for _ in range(3)][-1]
    assert _key(lambda: X * 2.0 + 1.0)[0] != usual


def test_joining_two_and_three_is_not_joining_three_and_two() -> None:
    def two_and_three() -> Any:
        return X * 2.0, tidu.cat([X, X]), tidu.cat([X, X, X])

    def three_and_two() -> Any:
        return X * 2.0, tidu.cat([X, X, X]), tidu.cat([X, X])

    usual = [_key(two_and_three)[0] for _ in range(3)][-1]
    assert _key(three_and_two)[0] != usual


def test_structures_that_take_turns_keep_their_keys() -> None:
    usual = _key(_usual)[0]
    other = _key(OTHERS["op"])[0]
    for _ in range(3):
        assert _key(_usual)[0] == usual
        assert _key(OTHERS["op"])[0] == other
