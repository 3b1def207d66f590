"""What replayed calls leave in memory: gradients, results, buffers, and nothing else."""

from __future__ import annotations

import gc
from typing import Any

import pytest

import tidu as torch
from tests.replay.training import Training, assert_same, both, replayed
from tidu import nn
from tidu.base.changes import changes


def test_gradients_are_left_as_the_ordinary_step_leaves_them() -> None:
    def scenario(t: Training) -> list[Any]:
        found: list[Any] = []
        kept = []
        for i in range(12):
            t.step(t.x + i, t.y)
            gradient = t.model[0].weight.grad
            found.append(gradient.sum().item())
            if i % 3 == 0:
                kept.append(gradient)  # this one must not change any more
            if i % 4 == 0:
                kept.append(gradient.detach()[0])
            if i % 5 == 0:
                t.optimizer.zero_grad()
        return found + [x.tolist() for x in kept]

    assert replayed(both(scenario)) > 0


def test_gradients_accumulate_over_calls() -> None:
    def run(compiled: bool) -> list[Any]:
        weight = torch.ones(3, requires_grad=True)

        def add(x: Any) -> Any:
            loss = (weight * x).sum()
            loss.backward()
            return loss

        function = torch.compile(add) if compiled else add
        found = []
        for i in range(12):
            found.append(function(torch.arange(3.0) + i).item())
            found.append(weight.grad.tolist())
            if i == 8:
                weight.grad = None
        assert not compiled or replayed(function) > 0
        return found

    assert_same(run(True), run(False))


def test_results_are_fresh_and_have_no_graph_left() -> None:
    t = Training()
    step = torch.compile(t.step)
    kept = [step(t.x, t.y) for _ in range(10)]
    assert replayed(step) > 0
    assert len({loss.item() for loss in kept}) == 10
    assert kept[-1].requires_grad
    assert type(kept[-1].grad_fn).__name__ == type(kept[0].grad_fn).__name__
    with pytest.raises(RuntimeError, match="second time"):
        kept[-1].backward()


def test_structures_and_views_are_returned_as_they_are() -> None:
    weight = torch.arange(6.0).reshape(2, 3)

    def function(x: Any) -> Any:
        weight.add_(1)
        return {"row": weight[0], "sum": (x.sum(), None, "text", [x * 2])}, weight

    compiled = torch.compile(function)
    for _ in range(6):
        last, same = compiled(torch.ones(2))
    assert replayed(compiled) > 0
    assert same is weight
    assert last["sum"][0].item() == 2 and last["sum"][1:3] == (None, "text")
    row = last["row"].tolist()
    weight.add_(1)
    assert last["row"].tolist() == [x + 1 for x in row]  # a view stays one
    last["row"].zero_()
    assert weight[0].tolist() == [0, 0, 0]


def test_state_in_a_variable_is_carried_from_call_to_call() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)
        cell = nn.LSTM(3, 4, batch_first=True)
        optimizer = torch.optim.SGD(cell.parameters(), lr=0.1)
        carried = [(torch.zeros(1, 2, 4), torch.zeros(1, 2, 4))]

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            out, state = cell(x, tuple(s.detach() for s in carried[0]))
            carried[0] = state
            loss = (out**2).mean()
            loss.backward()
            optimizer.step()
            return loss

        function = torch.compile(step) if compiled else step
        found = []
        for i in range(14):
            if i == 9:
                carried[0] = (torch.ones(1, 2, 4), torch.ones(1, 2, 4))
            found.append(function(torch.ones(2, 5, 3) * i).item())
            found.append(carried[0][1].tolist())
        assert not compiled or replayed(function) > 0
        return found

    assert_same(run(True), run(False))


class Averaging(nn.Module):
    """Keeps a running average in a buffer that it sets anew."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(3))

    def forward(self, x: Any) -> Any:
        self.average = self.average * 0.5 + x.mean(0) * 0.5
        return x - self.average


def test_buffers_that_a_module_sets_anew_go_on() -> None:
    module, compiled = Averaging(), Averaging()
    function = torch.compile(compiled)
    with torch.no_grad():
        for i in range(10):
            x = torch.ones(2, 3) * i
            assert function(x).tolist() == module(x).tolist()
    assert compiled.average.tolist() == module.average.tolist()
    assert replayed(function._compiled) > 0


def test_modules_that_are_gone_are_not_watched_any_more() -> None:
    """Others come to lie where they were: their changes would keep all calls from a replay."""
    module = Averaging()
    function = torch.compile(module)
    with torch.no_grad():
        for _ in range(4):
            function(torch.ones(2, 3))
    place = id(module)
    assert changes.watches(place)
    del module, function
    gc.collect()
    assert not changes.watches(place)


def test_data_that_is_exchanged_goes_on() -> None:
    w = torch.ones(2, requires_grad=True)

    def step(x: Any) -> Any:
        loss = ((w * x - 1) ** 2).sum()
        loss.backward()
        w.data = w.data - 0.1 * w.grad.data
        w.grad.data.zero_()
        return loss

    compiled = torch.compile(step)
    found = [compiled(torch.tensor([1.0, 2.0])).item() for _ in range(10)]
    assert replayed(compiled) > 0
    w = torch.ones(2, requires_grad=True)
    assert found == [step(torch.tensor([1.0, 2.0])).item() for _ in range(10)]


def test_what_is_pending_is_run_before_a_replay_reads_it() -> None:
    weight = torch.ones(3)
    compiled = torch.compile(lambda x: x * weight)
    for i in range(12):
        weight.mul_(2.0)  # not run yet when the call begins
        kept = weight + 1
        assert compiled(torch.ones(3)).tolist() == [2.0 ** (i + 1)] * 3
        assert kept.tolist() == [2.0 ** (i + 1) + 1] * 3
    assert replayed(compiled) > 0


def test_work_waiting_on_old_numbers_gets_the_old_numbers() -> None:
    weight = torch.zeros(3)

    @torch.compile
    def step(x: Any) -> Any:
        weight.add_(x)
        return weight.sum()

    waiting = []
    for _ in range(12):
        waiting.append(weight + 0.5)  # to be run after the step has changed the weight
        step(torch.ones(3))
    assert replayed(step) > 0
    assert [x[0].item() for x in waiting] == [i + 0.5 for i in range(12)]


def test_replays_leave_nothing_behind() -> None:
    t = Training(dropout=0.2)
    step = torch.compile(t.step)
    for _ in range(16):
        step(t.x, t.y)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(50):
        step(t.x, t.y)
    assert replayed(step) >= 50
    gc.collect()
    assert len(gc.get_objects()) - before < 20


class Garbage:
    """Stays until the cycle collector comes."""

    finalized = 0

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        print(end="")
        Garbage.finalized += 1


def test_what_the_cycle_collector_calls_is_no_part_of_a_call() -> None:
    passes = []

    def callback(phase: str, info: dict[str, int]) -> None:
        passes.append(phase)
        print(end="")
        if phase == "stop":
            Garbage()

    t, thresholds = Training(), gc.get_threshold()
    t.step = torch.compile(t.step)
    gc.callbacks.append(callback)
    gc.set_threshold(5)
    try:
        for _ in range(8):
            t.step(t.x, t.y)
        assert gc.callbacks[-1] is callback
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(callback)
    assert passes and Garbage.finalized and replayed(t.step) > 0
