"""What changes around a compiled function is noticed: modules, arguments, variables, hooks."""

from __future__ import annotations

import copy
import re
import warnings
from typing import Any

import pytest

import tidu as torch
from tests.replay.training import Training, both, losses, replayed
from tidu import nn

step = t = 0  # of a script; they have names that methods have, too
scale = 0


def test_train_and_eval_switch_a_replayed_step() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        t.model.eval()
        found += losses(t, 8)
        t.model.train()
        return found + losses(t, 8)

    assert replayed(both(scenario, dropout=0.4)) > 0


def test_attributes_of_modules_are_noticed() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        t.model[3].p = 0.9
        found += losses(t, 3)
        t.model[2] = nn.Tanh()
        return found + losses(t, 8)

    assert replayed(both(scenario, dropout=0.1)) > 0


def test_each_shape_has_a_replay_of_its_own() -> None:
    def scenario(t: Training) -> list[float]:
        found = []
        for epoch in range(8):
            for size in (16, 16, 16, 5):
                found.append(t.step(t.x[:size] + epoch, t.y[:size]).item())
        return found

    step = both(scenario)
    assert len(step.site.plans) == 2
    assert all(plan.replayed > 0 for plan in step.site.plans)


def test_another_dtype_or_gradient_mode_is_noticed() -> None:
    @torch.compile
    def double(x: Any) -> Any:
        return x * 2

    for _ in range(8):
        double(torch.ones(3))
    assert replayed(double) > 0
    assert double(torch.ones(3, dtype=torch.float64)).dtype is torch.float64
    assert double(torch.ones(3, requires_grad=True)).requires_grad
    with torch.no_grad():
        assert not double(torch.ones(3, requires_grad=True)).requires_grad
    assert double(torch.tensor([1, 2])).tolist() == [2, 4]


def test_views_of_a_batch_are_arguments_like_any_other() -> None:
    def scenario(t: Training) -> list[float]:
        x, y = torch.cat([t.x, t.x + 1, t.x * 2]), torch.cat([t.y] * 3)
        return [t.step(x[i : i + 8], y[i : i + 8]).item() for i in range(24)]

    assert replayed(both(scenario)) > 0


def test_python_values_around_the_function_may_change() -> None:
    scale = 1.0
    settings = {"shift": 0.0, "unused": 0}

    class Config:
        power = 2

    config = Config()
    table = [1.0, 2.0]

    def function(x: Any) -> Any:
        return (x * scale + settings["shift"]) ** config.power + table[1]

    compiled = torch.compile(function)
    x = torch.arange(3.0)

    def check() -> None:
        for _ in range(6):
            assert compiled(x).tolist() == function(x).tolist()

    check()
    assert replayed(compiled) > 0
    scale = 3.0
    check()
    settings["shift"] = 1.0
    check()
    config.power = 3
    check()
    Config.power = 4
    del config.power
    check()
    table[1] = 7.0
    check()
    assert replayed(compiled) > 0


GLOBAL_SCALE = 2.0


def test_globals_and_helpers_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = torch.compile(lambda x: _helper(x) + 1)
    x = torch.arange(3.0)
    for _ in range(8):
        assert compiled(x).tolist() == [1, 3, 5]
    assert replayed(compiled) > 0
    monkeypatch.setitem(globals(), "GLOBAL_SCALE", 5.0)
    assert compiled(x).tolist() == [1, 6, 11]
    monkeypatch.setitem(globals(), "_helper", lambda x: -x)
    assert compiled(x).tolist() == [1, 0, -1]


def _helper(x: Any) -> Any:
    return x * GLOBAL_SCALE


def test_an_argument_that_is_a_number_is_compared() -> None:
    compiled = torch.compile(lambda x, factor, flag=False: x * factor if flag else x + factor)
    x = torch.ones(2)
    for _ in range(6):
        assert compiled(x, 3.0).tolist() == [4, 4]
    assert replayed(compiled) > 0
    assert compiled(x, 5.0).tolist() == [6, 6]
    assert compiled(x, 5.0, flag=True).tolist() == [5, 5]
    assert compiled(x, 3.0).tolist() == [4, 4]


def test_tensors_around_the_function_may_be_exchanged_or_written() -> None:
    weight = torch.ones(2)
    other = torch.ones(2) * 5
    compiled = torch.compile(lambda x: x * weight)
    x = torch.ones(2)
    for _ in range(6):
        compiled(x)
    weight.mul_(3)
    assert compiled(x).tolist() == [3, 3]
    assert replayed(compiled) > 0
    weight.data = torch.tensor([7.0, 8.0])
    assert compiled(x).tolist() == [7, 8]
    weight = other
    assert compiled(x).tolist() == [5, 5]


def test_state_dicts_may_be_loaded_between_calls() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 3)
        saved = copy.deepcopy((t.model.state_dict(), t.optimizer.state_dict()))
        found += losses(t, 8)
        t.model.load_state_dict(saved[0])
        t.optimizer.load_state_dict(saved[1])
        return found + losses(t, 8)

    assert replayed(both(scenario, optimizer="Adam", lr=0.01)) > 0


def test_hooks_registered_later_run() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        handle = t.model[0].register_forward_hook(lambda module, args, out: out * 2)
        found += losses(t, 4)
        handle.remove()
        t.model[4].weight.register_hook(lambda g: g * 0.5)
        return found + losses(t, 4)

    assert replayed(both(scenario)) > 0


def test_numbers_that_cannot_be_told_from_constants_are_not_taken_for_some() -> None:
    weight = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.Adam([weight], lr=0.1)
    weight.grad = torch.ones(2)
    optimizer.step()
    count = optimizer.state[weight]["step"]
    graph = (weight * weight).sum()

    def counted(x: Any) -> Any:
        return x * count

    def backward_again(x: Any) -> Any:
        weight.grad = None
        graph.backward(retain_graph=True)
        return x

    for function, reason in ((counted, "step count"), (backward_again, "made before the call")):
        compiled = torch.compile(function)
        with pytest.warns(UserWarning, match=reason):
            for _ in range(12):
                compiled(torch.ones(1))
        assert replayed(compiled) == 0


def test_a_global_with_the_name_of_a_method_is_no_part_of_a_call() -> None:
    """The counter of most training loops is called `step`."""
    global step, t
    weight = torch.ones(2, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)

    @torch.compile
    def train(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (x.t() @ weight).sum()
        loss.backward()
        optimizer.step()
        return loss

    for step in range(12):  # noqa: B007 (that it is a global name is the point)
        t = train(torch.ones(2, 3))
    assert replayed(train) > 0


def test_the_value_that_changes_is_named_once() -> None:
    def scaled(x: Any) -> Any:
        return x if scale % 2 else x * 2

    class Trainer:
        def __init__(self) -> None:
            self.epoch = 0

        def run(self, x: Any) -> Any:
            return x + 1 if self.epoch >= 0 else x

    def change() -> None:
        global scale
        scale += 2
        trainer.epoch += 1

    trainer = Trainer()
    for function, message in (
        (scaled, r"because the global 'scale' changes from call to call \(\d+, then \d+\)"),
        (trainer.run, r"because Trainer.epoch changes from call to call \(\d+, then \d+\)"),
        (lambda x: x * scale, r"because a number at .* changes from call to call \(.*, then .*\)"),
    ):
        compiled = torch.compile(function)
        with warnings.catch_warnings(record=True) as shown:
            warnings.simplefilter("always")
            for _ in range(100):
                change()
                compiled(torch.ones(1))
        (warning,) = shown
        assert re.search(message, str(warning.message)), warning.message
