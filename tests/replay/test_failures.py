"""Errors leave everything as it was; what cannot be replayed runs as it always did."""

from __future__ import annotations

import contextlib
import math
import signal
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import tidu as torch
from tests.compiler.interrupts import calls_until
from tests.compiler.tiers import tier
from tests.replay.training import Training, assert_same, losses, replayed
from tidu import nn
from tidu.backends.cpu import CpuProgram
from tidu.nn import functional as F
from tidu.replay import compiled, memory
from tidu.replay.account import Account


def test_an_error_leaves_everything_as_it_was() -> None:
    torch.manual_seed(0)
    table = nn.Embedding(5, 3)
    optimizer = torch.optim.Adam(table.parameters())

    @torch.compile
    def step(index: Any) -> Any:
        optimizer.zero_grad()
        loss = (F.dropout(table(index), 0.5) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    good = torch.tensor([0, 1, 4])
    for _ in range(8):
        step(good)
    assert replayed(step) > 0
    before = table.weight.tolist(), optimizer.state_dict()["state"][0]["step"].item()
    state = torch.get_rng_state().tolist()
    with pytest.raises(IndexError, match=r"test_failures\.py"):
        step(torch.tensor([0, 5, 1]))
    assert (table.weight.tolist(), optimizer.state_dict()["state"][0]["step"].item()) == before
    assert torch.get_rng_state().tolist() == state
    count = replayed(step)
    step(good)
    assert replayed(step) == count + 1
    assert table.weight.tolist() != before[0]


def test_an_exception_in_the_python_code_comes_through() -> None:
    limit = 3

    @torch.compile
    def checked(x: Any) -> Any:
        if x.shape[0] > limit:
            raise ValueError("too long")
        return x + 1

    for _ in range(6):
        checked(torch.ones(2))
    assert replayed(checked) > 0
    with pytest.raises(ValueError, match="too long"):
        checked(torch.ones(4))
    limit = 1
    with pytest.raises(ValueError, match="too long"):
        checked(torch.ones(2))
    assert checked(torch.ones(1)).tolist() == [2]


def _refusals() -> Iterator[Any]:
    counter = [0]
    log: list[Any] = []
    numbers = iter(range(1000))
    generator = np.random.default_rng(0)
    array = np.ones(3, np.float32)

    def item(x: Any) -> Any:
        return x * 2 if x.sum().item() > 0 else x

    def branch(x: Any) -> Any:
        return x * 2 if (x > 0).all() else -x

    def shows(x: Any) -> Any:
        print(end="")
        return x + 1

    def counts(x: Any) -> Any:
        counter[0] += 1
        return x + counter[0]

    def appends(x: Any) -> Any:
        log.append(x)
        return x + len(log)

    def iterates(x: Any) -> Any:
        return x + next(numbers)

    def draws(x: Any) -> Any:
        return x + generator.random()

    def tosses(x: Any) -> Any:
        return x if np.random.rand() < 0.5 else -x

    def numpy_data(x: Any) -> Any:
        return x + torch.from_numpy(array)

    yield item, "reads the number in a tensor"
    yield branch, "reads the number in a tensor"
    yield shows, "calls print"
    yield counts, r"changes the variable 'counter'\[0\]"
    yield appends, "adds to, or removes from, the variable 'log'"
    yield iterates, "range_iterator"
    yield draws, "Generator"
    yield tosses, r"numpy.random.rand\(\)"
    yield numpy_data, "ndarray"


@pytest.mark.parametrize(("function", "reason"), list(_refusals()), ids=lambda x: str(x)[:30])
def test_what_cannot_be_replayed_runs_and_says_why_once(function: Any, reason: str) -> None:
    compiled = torch.compile(function)
    x = torch.arange(3.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = [compiled(x).tolist() for _ in range(40)]
    assert replayed(compiled) == 0
    assert len(results) == 40
    (warning,) = caught
    assert function.__name__ in str(warning.message)
    assert warning.filename == __file__
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(str(warning.message))


def test_a_function_that_begins_to_do_something_else_is_found_out() -> None:
    class Sneaky:
        """Changes its behaviour where nobody looks."""

        calls = 0

        def __getattr__(self, name: str) -> int:
            return len(hidden)

    hidden: list[int] = []
    sneaky = Sneaky()
    compiled = torch.compile(lambda x: x + sneaky.secret)
    x = torch.zeros(1)
    for _ in range(14):
        assert compiled(x).item() == 0
    hidden.append(1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = [compiled(x).item() for _ in range(200)]
    assert found[-1] == 1
    assert any("number" in str(w.message) for w in caught) or found[0] == 1


def test_a_forward_pass_that_needs_a_graph_runs_in_python() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    compiled = torch.compile(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(100):
            compiled(torch.ones(1, 3)).sum().backward()
    assert model.weight.grad.tolist() == [[100.0] * 3] * 2
    with torch.no_grad():
        for i in range(8):
            x = torch.ones(1, 3) * i
            assert compiled(x).tolist() == model(x).tolist()
    assert replayed(compiled._compiled) > 0


def test_ctrl_c_before_anything_is_written_leaves_everything_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    t = Training(dropout=0.2)
    step = t.step = torch.compile(t.step)
    losses(t, 8)
    assert replayed(step) > 0
    before = [p.tolist() for p in (*t.model.parameters(), *t.model.buffers())]
    state = torch.get_rng_state().tolist()
    way = step.site.plans[0].recording.names.table["p0"].way

    def interrupted(arrays: Any, *, alone: bool) -> Any:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(way, "finish", interrupted)
        t.step(t.x, t.y)
    assert [p.tolist() for p in (*t.model.parameters(), *t.model.buffers())] == before
    assert torch.get_rng_state().tolist() == state
    assert all(p.grad is None for p in t.model.parameters())
    found = losses(t, 3)
    plain = Training(dropout=0.2)
    assert_same(found, [*losses(plain, 8), *losses(plain, 3)][8:])


def test_ctrl_c_while_parameters_are_written_finds_the_step_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    t = Training(dropout=0.2)
    schedule = torch.optim.lr_scheduler.StepLR(t.optimizer, 1, 0.9)
    plain_step = t.step

    @torch.compile
    def step(x: Any, y: Any) -> Any:
        loss = plain_step(x, y)
        schedule.step()
        return loss

    t.step = step
    losses(t, 8)
    assert replayed(step) > 0
    way = step.site.plans[0].recording.names.table["p0"].way
    finish = way.finish

    def interrupted_later(arrays: Any, *, alone: bool) -> Any:
        results = finish(arrays, alone=alone)
        run = way.function

        def run_and_interrupt(*addresses: int) -> None:
            run(*addresses)
            raise KeyboardInterrupt

        patch.setattr(way, "function", run_and_interrupt)
        return results

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(way, "finish", interrupted_later)
        t.step(t.x, t.y)
    found = losses(t, 3), t.numbers()
    plain = Training(dropout=0.2)
    schedule = torch.optim.lr_scheduler.StepLR(plain.optimizer, 1, 0.9)
    for count in (8, 1, 3):
        for i in range(count):
            loss = [plain.step(plain.x + 0.01 * i, plain.y).item()]
            schedule.step()
    assert_same(found[0][-1:], loss)
    assert_same(found[1], plain.numbers())


def test_ctrl_c_never_keeps_a_thread_from_replaying_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_CHECKS", (1_000_000,))
    with tier(1):
        t = Training(dropout=0.2)
        step = t.step = torch.compile(t.step)
        losses(t, 8)
        before, calls = replayed(step), calls_until(math.inf, lambda: losses(t, 1))
        assert replayed(step) > before
        for limit in range(calls):
            losses(t, 4)
            before = replayed(step)
            with contextlib.suppress(KeyboardInterrupt):
                calls_until(limit, lambda: losses(t, 1))
            assert CpuProgram.arena.user == 0
            losses(t, 4)
            assert replayed(step) > before


def test_what_a_signal_handler_writes_around_a_recorded_call_is_not_replayed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, w = torch.ones(3), torch.ones(5)
    came: list[int] = []
    find = memory.find

    def handler(number: int, frame: Any) -> None:
        came.append(number)
        w.add_(1)

    def interrupted() -> Any:
        found = find()
        if sys._getframe(1).f_code is Account.text.__code__:  # after the function
            signal.raise_signal(signal.SIGUSR1)
        return found

    monkeypatch.setattr(memory, "find", interrupted)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        compiled = torch.compile(lambda x: x * 2)
        for _ in range(9):
            assert compiled(x).tolist() == [2.0] * 3
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert replayed(compiled) > 0
    assert w.tolist() == [1.0 + len(came)] * 5
