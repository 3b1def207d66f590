"""torch.multiprocessing: processes that exchange tensors by value, and whose failures are told."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

import tidu
from tidu import multiprocessing as mp


def scale(number: int, queue: Any, x: Any) -> None:
    queue.put((number, x * number))


def fail_second(number: int) -> None:
    if number == 1:
        raise ValueError("no second process")


def end_itself(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_spawned_processes_return_tensors_by_value() -> None:
    queue = mp.get_context("spawn").SimpleQueue()
    x = tidu.ones(3)
    mp.spawn(scale, args=(queue, x), nprocs=2)
    results = dict(queue.get() for _ in range(2))
    assert {number: y.tolist() for number, y in results.items()} == {0: [0.0] * 3, 1: [1.0] * 3}
    assert x.tolist() == [1.0] * 3


def test_an_exception_in_a_process_is_raised_with_its_traceback() -> None:
    with pytest.raises(mp.ProcessRaisedException, match="ValueError: no second process") as caught:
        mp.start_processes(fail_second, nprocs=2, start_method="fork")
    assert caught.value.error_index == 1


def test_a_process_that_dies_is_reported_with_its_signal() -> None:
    with pytest.raises(mp.ProcessExitedException, match="SIGKILL") as caught:
        mp.start_processes(end_itself, start_method="fork")
    assert caught.value.signal_name == "SIGKILL"
    assert caught.value.exit_code == -signal.SIGKILL


def test_processes_can_be_joined_later() -> None:
    queue = mp.get_context("fork").SimpleQueue()
    context = mp.start_processes(scale, (queue, tidu.ones(1)), 2, join=False, start_method="fork")
    assert context is not None
    assert len(context.pids()) == 2
    while not context.join():
        pass
    assert sorted(number for number, _ in (queue.get(), queue.get())) == [0, 1]
