"""The arrays that programs leave their results in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu as torch
from tidu.backends import results
from tidu.backends.results import Results
from tidu.execute import programs

F32 = np.dtype(np.float32)


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "_remembered", results._Remembered())


def addresses(arrays: Any) -> set[int]:
    return {a.ctypes.data for a in arrays}


def test_results_come_in_the_order_asked_for_with_their_shapes_and_dtypes() -> None:
    kinds = [
        ((2, 3), F32),
        ((), F32),
        ((2, 3), np.dtype(np.int64)),
        ((1 << 20,), F32),
        ((2, 3), F32),
    ]
    found = list(Results(kinds).take())
    assert [(a.shape, a.dtype) for a in found] == kinds
    assert len(addresses(found)) == len(kinds)
    assert [a.shape for a in Results([((4,), F32)]).take()] == [(4,)]
    assert list(Results([]).take()) == []


SIZES = [8, 800]  # tiny arrays, which stay with a program, and those that programs share


@pytest.mark.parametrize("size", SIZES)
def test_an_array_serves_again_when_nobody_holds_it(size: int) -> None:
    wanted = Results([((size,), F32), ((size,), F32)])
    first = list(wanted.take())
    there = addresses(first)
    del first
    assert addresses(wanted.take()) == there


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "keep", [lambda a: a, lambda a: a[2:], lambda a: a.reshape(4, -1), memoryview]
)
def test_an_array_that_somebody_holds_or_looks_into_does_not_serve_again(
    keep: Any, size: int
) -> None:
    wanted = Results([((size,), F32)])
    (array,) = wanted.take()
    array[:] = 7
    kept = keep(array)
    del array
    for _ in range(5):
        (other,) = wanted.take()
        other[:] = 0
        del other
    assert np.asarray(kept).ravel()[-1] == 7


def test_programs_share_arrays_of_one_kind() -> None:
    (array,) = Results([((800,), F32)]).take()
    there = array.ctypes.data
    del array
    assert there in addresses(Results([((800,), F32)] * 3).take())


def test_arrays_held_for_ever_are_forgotten_and_what_is_remembered_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = Results([((800,), F32)])
    held = [list(wanted.take()) for _ in range(500)]
    remembered = results._remembered._kinds[(800,), F32]._arrays
    assert len(remembered) < 100
    assert len({a.ctypes.data for (a,) in held}) == 500
    monkeypatch.setattr(results, "_MOST_BYTES_IN_ALL", 1000)
    assert len(addresses(Results([((400,), F32)] * 5).take())) == 5
    assert results._remembered._bytes == 0


def test_the_numbers_of_a_training_loop_stay_where_somebody_keeps_them() -> None:
    """Every loss, gradient and parameter that is kept is still what it was many steps later."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    x, y = torch.randn(16, 5), torch.randn(16, 1)
    kept: list[tuple[Any, list[Any]]] = []
    for step in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        if step % 3 == 0:
            objects = [loss.detach(), *(p.grad for p in model.parameters())]
            objects += [p.detach().clone() for p in model.parameters()]
            kept.append((objects, [t.tolist() for t in objects]))
    programs.wait()
    for objects, numbers in kept:
        assert [t.tolist() for t in objects] == numbers
