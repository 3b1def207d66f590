"""Threads of the user's own: each records for itself, and reads what others have recorded."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import tidu
from tests.threads import in_thread
from tidu import execute
from tidu.base.state import state


def test_what_another_thread_records_is_not_on_the_list_of_this_one() -> None:
    tidu.realize()
    y = in_thread(lambda: tidu.ones(3) + 1)
    assert state.own.pending.values == []
    assert y._value.buffer is None


def test_a_tensor_that_waits_in_another_thread_is_run_for_whoever_asks() -> None:
    y = in_thread(lambda: (tidu.ones(3) + 1) * 2)
    assert y.tolist() == [4.0, 4.0, 4.0]


def test_a_region_takes_in_what_it_is_made_of_that_waits_in_another_thread() -> None:
    y = in_thread(lambda: (tidu.ones(3) + 1) * 2)
    z = y + y * 3
    tidu.realize()
    assert z._value.buffer.tolist() == [16.0, 16.0, 16.0]
    assert y._value.buffer is not None


def test_a_gradient_reaches_leaves_through_what_another_thread_recorded() -> None:
    x = tidu.tensor([1.0, 2.0], requires_grad=True)
    y = in_thread(lambda: x * x)
    (y * 3.0).sum().backward()
    assert x.grad.tolist() == [6.0, 12.0]


def test_what_another_thread_has_run_is_left_out_of_the_region_of_its_maker() -> None:
    tidu.realize()
    x = tidu.ones(3)
    y = x + 1
    made = y._value
    assert in_thread(lambda: y.tolist()) == [2.0, 2.0, 2.0]
    assert any(value is made for value in state.own.pending.values)
    buffer = made.buffer
    z = y * 2
    tidu.realize()
    assert made.buffer is buffer
    assert z.tolist() == [4.0, 4.0, 4.0]


def test_threads_that_train_at_the_same_time_do_not_disturb_each_other() -> None:
    def train(number: int, losses: list[float]) -> None:
        w = tidu.tensor([0.0, 0.0], requires_grad=True)
        optimizer = tidu.optim.SGD([w], lr=0.1)
        for _ in range(30):
            optimizer.zero_grad()
            loss = ((w - number) ** 2).sum()
            loss.backward()
            optimizer.step()
        losses.append(loss.item())

    def all_losses(concurrent: bool) -> list[list[float]]:
        losses: list[list[float]] = [[] for _ in range(4)]
        threads = [threading.Thread(target=train, args=(n, losses[n])) for n in range(4)]
        for thread in threads:
            thread.start()
            if not concurrent:
                thread.join()
        for thread in threads:
            thread.join()
        return losses

    assert all_losses(concurrent=True) == all_losses(concurrent=False)


def test_a_long_chain_of_another_thread_is_run_without_recursion() -> None:
    def chain() -> Any:
        x = tidu.zeros(1)
        for _ in range(3000):
            x = x + 1
        return x

    assert in_thread(chain).item() == 3000.0


def test_what_an_interrupted_run_left_over_is_run_for_whoever_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    tidu.realize()
    y = tidu.ones(2) + 1
    with monkeypatch.context() as patch:
        patch.setattr(execute, "_run", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tidu.realize()
    z = y * 2
    tidu.realize()
    assert z._value.buffer.tolist() == [4.0, 4.0]
