"""A region that is like the one before is recognized as a whole, and any difference is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import tidu
from tidu.ir import structure
from tidu.ir.structure import Key, Outline, region_key
from tidu.ir.value import pending
from tidu.ops.activations.rectifiers import threshold_op


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


# What equal attributes of different meaning are: (a function of one, the two).
TWINS: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "zeros": (lambda zero: threshold_op(X, 0.0, zero), 0.0, -0.0),
    "zeros inside": (lambda zero: threshold_op(X, (None, ((0, zero),)), 3), 0.0, -0.0),
    "number and truth": (lambda number: threshold_op(X, 0.5, number), 1, True),
    "integer and float": (lambda number: threshold_op(X, 0.5, number), 2, 2.0),
    "both inside": (lambda number: threshold_op(X, 0.5, (0.5, number)), 1, 1.0),
}


@pytest.mark.parametrize("what", TWINS)
@pytest.mark.parametrize("repeats", [1, 3], ids=["described", "matched"])
def test_equal_attributes_that_are_not_the_same_make_other_keys(what: str, repeats: int) -> None:
    make, one, other = TWINS[what]
    assert one == other
    first = [_key(lambda: make(one))[0] for _ in range(repeats)][-1]
    second = _key(lambda: make(other))[0]
    assert second != first
    assert hash(second) != hash(first)
    assert _key(lambda: make(one))[0] == first


def test_a_program_for_zero_is_not_used_for_negative_zero() -> None:
    def signs(zero: float) -> list[bool]:
        return threshold_op(X * 0.0, 0.5, zero).signbit().tolist()

    for _ in range(4):
        assert signs(0.0) == [False] * 4
        assert signs(-0.0) == [True] * 4


def test_zeros_of_both_signs_in_one_region_stay_apart() -> None:
    for _ in range(3):
        y = X * 0.0 - 1.0
        zeros = [threshold_op(y, 0.0, zero) for zero in (0.0, -0.0)]
        assert tidu.stack(zeros).signbit().any(1).tolist() == [False, True]
