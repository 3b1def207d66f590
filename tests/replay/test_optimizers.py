"""Replayed steps of every optimizer, with schedules and options that change."""

from __future__ import annotations

import random
from typing import Any

import pytest

import tidu as torch
from tests.replay.training import Training, assert_same, both, losses, replayed
from tidu import nn
from tidu.replay import compiled, memory

ONE_BY_ONE = [
    *("SGD", "Adam", "AdamW", "NAdam", "RAdam", "ASGD", "Adagrad", "RMSprop", "Rprop"),
    *("Adamax", "Adadelta"),
]


@pytest.mark.parametrize("optimizer", ONE_BY_ONE)
def test_parameters_optimizer_state_and_statistics_go_on(optimizer: str) -> None:
    step = both(lambda t: losses(t, 20), optimizer=optimizer, lr=0.01)
    assert replayed(step) > 0


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "Adagrad"])
def test_the_order_in_which_the_collector_knows_objects_does_not_matter(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, rng = memory.find, random.Random(0)

    def find_in_another_order() -> memory.Found:
        return memory.Found._make(rng.sample(found, len(found)) for found in find())

    monkeypatch.setattr(memory, "find", find_in_another_order)
    monkeypatch.setattr(compiled, "_CHECKS", (3,) * 10)  # it is soon recorded again
    step = both(lambda t: losses(t, 30), optimizer=optimizer, lr=0.01)
    (plan,) = step.site.plans
    assert plan.replayed > 15


def test_every_optimizer_is_tried() -> None:
    names = {
        name
        for name, x in vars(torch.optim).items()
        if isinstance(x, type) and issubclass(x, torch.optim.Optimizer)
    }
    # These read numbers, or work on gradients of embeddings only.
    assert names - set(ONE_BY_ONE) <= {"Optimizer", "LBFGS", "SparseAdam", "Adafactor", "Muon"}


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW"])
def test_all_options_of_an_optimizer_may_change_between_calls(optimizer: str) -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        for name in ("lr", "weight_decay"):
            for group in t.optimizer.param_groups:
                group[name] = 0.05
            found += losses(t, 8)
        return found

    assert replayed(both(scenario, optimizer=optimizer, lr=0.01)) > 0


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("schedule", ["StepLR", "OneCycleLR", "CosineAnnealingLR"])
def test_learning_rate_schedules_are_followed(schedule: str, inside: bool) -> None:
    arguments = {
        "StepLR": {"step_size": 3, "gamma": 0.5},
        "OneCycleLR": {"max_lr": 0.5, "total_steps": 60},
        "CosineAnnealingLR": {"T_max": 12},
    }[schedule]

    def scenario(t: Training) -> list[float]:
        scheduler = getattr(torch.optim.lr_scheduler, schedule)(t.optimizer, **arguments)
        found = []
        for i in range(20):
            found.append(t.step(t.x + 0.01 * i, t.y).item())
            scheduler.step()
            found.append(scheduler.get_last_lr()[0])
        return found

    def scenario_inside(t: Training) -> list[float]:
        scheduler = getattr(torch.optim.lr_scheduler, schedule)(t.optimizer, **arguments)
        inner = t.step.site.function if hasattr(t.step, "site") else t.step

        def step(x: Any, y: Any) -> Any:
            loss = inner(x, y)
            scheduler.step()
            return loss

        t.step = torch.compile(step) if hasattr(t.step, "site") else step
        found = losses(t, 20)
        if hasattr(t.step, "site"):
            assert replayed(t.step) > 0
        return [*found, scheduler.get_last_lr()[0], scheduler.last_epoch]

    step = both(scenario_inside if inside else scenario)
    assert inside or replayed(step) > 0


def test_parameters_may_be_frozen_and_groups_added() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        t.model[0].requires_grad_(False)
        t.optimizer.zero_grad()
        found += losses(t, 8)
        t.model[0].requires_grad_(True)
        extra = nn.Parameter(torch.ones(3))
        t.optimizer.add_param_group({"params": [extra], "lr": 0.5})
        extra.grad = torch.ones(3)
        found += losses(t, 8)
        return [*found, *extra.tolist()]

    assert replayed(both(scenario)) > 0


def test_two_networks_two_optimizers_and_a_running_average() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)
        generator, critic, average = nn.Linear(2, 3), nn.Linear(3, 1), nn.Linear(2, 3)
        first = torch.optim.Adam(generator.parameters(), lr=0.01, betas=(0.5, 0.9))
        second = torch.optim.SGD(
            [{"params": [critic.weight], "lr": 0.1}, {"params": [critic.bias]}],
            lr=0.01,
            weight_decay=0.1,
        )
        decay = torch.optim.lr_scheduler.ExponentialLR(second, 0.9)

        def step(real: Any) -> Any:
            noise = torch.randn(4, 2)
            fake = generator(noise)
            second.zero_grad()
            loss = critic(fake.detach()).mean() - critic(real).mean()
            loss.backward()
            second.step()
            decay.step()
            first.zero_grad()
            other = -critic(fake).mean()
            other.backward()
            norm = nn.utils.clip_grad_norm_(generator.parameters(), 0.5)
            first.step()
            with torch.no_grad():
                for slow, fast in zip(average.parameters(), generator.parameters(), strict=True):
                    slow.mul_(0.9).add_(fast, alpha=0.1)
            return loss.detach(), other.detach(), norm

        function = torch.compile(step) if compiled else step
        found = [[x.item() for x in function(torch.ones(4, 3) * i)] for i in range(20)]
        assert not compiled or replayed(function) > 0
        modules = (generator, critic, average)
        return found + [p.tolist() for m in modules for p in m.parameters()] + decay.get_last_lr()

    assert_same(run(True), run(False))


def test_an_optimizer_that_could_not_be_made_is_in_nobodys_way() -> None:
    halves = []
    try:
        torch.optim.SGD([], lr=0.1)
    except ValueError as error:
        halves.append(error.__traceback__)  # keeps the object alive that has no groups
    weight = torch.ones(20, 20, requires_grad=True)
    optimizer = torch.optim.SGD([weight], lr=0.1)

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (weight * weight).sum()
        loss.backward()
        optimizer.step()
        return loss

    compiled = torch.compile(step)
    losses = [compiled().item() for _ in range(8)]
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0]
    assert halves


def test_another_optimizer_is_no_reason_to_look_again() -> None:
    t = Training("Adam", lr=0.01)
    t.step = torch.compile(t.step)
    losses(t, 8)
    count = replayed(t.step)
    other = Training("SGD")
    losses(t, 3)
    assert replayed(t.step) == count + 3
    t.optimizer.add_param_group({"params": list(other.model.parameters())})
    losses(t, 1)
    assert replayed(t.step) == count + 3
