"""Signals wait where a handler would change what is being looked at, and none is lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tidu.base.signals import SignalGate

A, B = signal.SIGUSR1, signal.SIGUSR2


@pytest.fixture
def received() -> Iterator[list[int]]:
    """What has come so far; a second A raises."""
    found: list[int] = []

    def handler(number: int, frame: Any) -> None:
        found.append(number)
        if found.count(A) > 1:
            raise KeyboardInterrupt

    before = signal.signal(A, handler), signal.signal(B, handler)
    yield found
    signal.signal(A, before[0])
    signal.signal(B, before[1])


def test_handlers_wait_until_the_gate_is_left(received: list[int]) -> None:
    handler = signal.getsignal(A)
    with SignalGate() as gate:
        signal.raise_signal(B)
        signal.raise_signal(A)
        assert received == []
    assert received == [B, A]
    assert not gate.passed
    assert signal.getsignal(A) is handler


def test_an_opened_gate_lets_handlers_run_and_tells_so(received: list[int]) -> None:
    with SignalGate() as gate:
        with gate.opened():
            assert not gate.passed
            signal.raise_signal(A)
            assert received == [A]
        assert gate.passed
        signal.raise_signal(B)
        assert received == [A]
    assert received == [A, B]


def test_a_handler_that_raises_does_so_when_the_gate_is_left_and_holds_back_no_other(
    received: list[int],
) -> None:
    handler = signal.getsignal(A)
    reached = False
    with pytest.raises(KeyboardInterrupt), SignalGate():
        for number in (A, A, B):
            signal.raise_signal(number)
        reached = True
    assert reached
    assert sorted(received) == [A, A, B]
    assert signal.getsignal(A) is handler
    assert signal.getsignal(B) is handler


def test_a_handler_that_the_program_sets_meanwhile_stays(received: list[int]) -> None:
    with SignalGate() as gate, gate.opened():
        signal.signal(A, signal.SIG_IGN)
    assert signal.getsignal(A) is signal.SIG_IGN
    signal.raise_signal(B)
    assert received == [B]


def test_in_another_thread_nothing_waits(received: list[int]) -> None:
    gates: list[SignalGate] = []

    def enter() -> None:
        with SignalGate() as gate:
            gates.append(gate)
            assert gate.is_open

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert len(gates) == 1
