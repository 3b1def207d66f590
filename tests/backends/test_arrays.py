"""Addresses of arrays, read natively and asked for one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tidu.backends import arrays
from tidu.backends.arrays import Addresses


@pytest.fixture(params=["native", "asked"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "asked":
        monkeypatch.setattr(arrays, "_found", arrays._Asked())


def _filled(given: list[Any], count: int) -> list[int]:
    table = np.full(len(given), -1, np.int64)
    Addresses(table.ctypes.data).fill(given, count)
    return table.tolist()


def test_the_layout_of_objects_is_known_here() -> None:
    assert arrays._layout_is_known()


def test_each_slot_gets_the_address_of_its_array(way: None) -> None:
    given = [np.ones((2, 3)), np.ones(()), np.empty(0), np.ones(7, np.int8)[3:]]
    assert _filled(given, 4) == [a.ctypes.data for a in given]


def test_slots_behind_the_count_stay(way: None) -> None:
    given = [np.ones(2), np.ones(3), np.ones((4, 2)).T]
    assert _filled(given, 2) == [given[0].ctypes.data, given[1].ctypes.data, -1]
    assert not given[2].flags.c_contiguous


def test_arrays_in_another_order_are_replaced_by_copies(way: None) -> None:
    transposed, every_other = np.arange(6.0).reshape(2, 3).T, np.arange(6)[::2]
    given = [np.ones(1), transposed, every_other]
    found = _filled(given, 3)
    assert found == [a.ctypes.data for a in given]
    assert all(a.flags.c_contiguous for a in given)
    assert np.array_equal(given[1], transposed)
    assert np.array_equal(given[2], every_other)


class _Other(np.ndarray):  # type: ignore[type-arg]
    """An array of a class of its own, whose objects may look otherwise."""


def test_what_is_no_plain_array_is_replaced_by_one(way: None) -> None:
    given: list[Any] = [np.float32(2.5), np.arange(3.0).view(_Other), np.maximum(np.array(1.5), 0)]
    numbers = [np.array(x) for x in given]
    found = _filled(given, 3)
    assert found == [a.ctypes.data for a in given]
    assert {type(a) for a in given} == {np.ndarray}
    assert [a.ravel().tolist() for a in given] == [a.ravel().tolist() for a in numbers]
