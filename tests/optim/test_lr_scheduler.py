"""Every schedule gives the learning rates of PyTorch, to the bit."""

from __future__ import annotations

import copy
import inspect
import random
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import tidu
import tidu.optim

torch = pytest.importorskip("torch")

LIBRARIES = (torch, tidu)
EPOCHS = 50


class Halving:
    """A function with state, which state dicts save."""

    def __init__(self) -> None:
        self.base = 0.5

    def __call__(self, epoch: float) -> float:
        return self.base**epoch


SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "LambdaLR": lambda S, o: S.LambdaLR(o, [lambda e: 0.95**e, Halving()]),
    "MultiplicativeLR": lambda S, o: S.MultiplicativeLR(o, lambda e: 0.97 - e / 1000),
    "StepLR": lambda S, o: S.StepLR(o, 7, 0.3),
    "MultiStepLR": lambda S, o: S.MultiStepLR(o, [3, 9, 9, 20], 0.5),
    "ConstantLR": lambda S, o: S.ConstantLR(o, 0.3, 9),
    "LinearLR": lambda S, o: S.LinearLR(o, 0.1, 0.8, 20),
    "ExponentialLR": lambda S, o: S.ExponentialLR(o, 0.93),
    "PolynomialLR": lambda S, o: S.PolynomialLR(o, 30, 1.7),
    "CosineAnnealingLR": lambda S, o: S.CosineAnnealingLR(o, 11, 0.001),
    "CosineAnnealingWarmRestarts": lambda S, o: S.CosineAnnealingWarmRestarts(o, 5, 2, 0.001),
    "CosineAnnealingWarmRestarts, equal": lambda S, o: S.CosineAnnealingWarmRestarts(o, 5),
    "OneCycleLR": lambda S, o: S.OneCycleLR(o, [0.3, 0.2], total_steps=60),
    "OneCycleLR, three phases": lambda S, o: S.OneCycleLR(
        o, 0.3, epochs=6, steps_per_epoch=10, three_phase=True, anneal_strategy="linear"
    ),
    "CyclicLR": lambda S, o: S.CyclicLR(o, 0.01, [0.1, 0.2], 5, 8),
    "CyclicLR, triangular2": lambda S, o: S.CyclicLR(o, 0.01, 0.1, 5, mode="triangular2"),
    "CyclicLR, exp_range": lambda S, o: S.CyclicLR(o, 0.01, 0.1, 5, mode="exp_range", gamma=0.98),
    "CyclicLR, scale_fn": lambda S, o: S.CyclicLR(
        o, 0.01, 0.1, 5, scale_fn=Halving(), scale_mode="cycle", cycle_momentum=False
    ),
    "CyclicLR, iterations": lambda S, o: S.CyclicLR(
        o, 0.01, 0.1, 5, scale_fn=lambda x: 1 / 5 ** (x * 1e-4), scale_mode="iterations"
    ),
    "SequentialLR": lambda S, o: S.SequentialLR(
        o,
        [S.LinearLR(o, 0.1, total_iters=5), S.CosineAnnealingLR(o, 20), S.ExponentialLR(o, 0.9)],
        [5, 25],
    ),
    "SequentialLR, restarts": lambda S, o: S.SequentialLR(
        o, [S.ConstantLR(o, 0.1), S.CosineAnnealingWarmRestarts(o, 7)], [8]
    ),
    "ChainedScheduler": lambda S, o: S.ChainedScheduler(
        [S.LinearLR(o, 0.1), S.ExponentialLR(o, 0.9), S.StepLR(o, 4)]
    ),
}


def test_every_schedule_is_tried() -> None:
    module = tidu.optim.lr_scheduler
    kinds = {
        name
        for name, kind in vars(module).items()
        if inspect.isclass(kind) and issubclass(kind, module.LRScheduler)
    }
    tried = {name.split(",")[0] for name in SCHEDULES} | {"ReduceLROnPlateau"}
    assert tried == kinds - {"LRScheduler", "_LRScheduler"}
    assert {*module.__all__} == {*torch.optim.lr_scheduler.__all__}


def make_optimizer(library: Any, kind: str, tensor_lr: bool = False) -> Any:
    x, y = (library.zeros(2).requires_grad_() for _ in range(2))
    options = {"SGD": {"momentum": 0.9}, "AdamW": {}}[kind]
    rates = [library.tensor(r, dtype=library.float64) if tensor_lr else r for r in (0.05, 0.2)]
    groups = [{"params": [x]}, {"params": [y], "lr": rates[1]}]
    return getattr(library.optim, kind)(groups, lr=rates[0], **options)


def observe(optimizer: Any, schedule: Any) -> Any:
    return (
        [float(rate) for rate in schedule.get_last_lr()],
        getattr(schedule, "last_epoch", None),
        [
            (float(g["lr"]), float(g["initial_lr"]), g.get("momentum"), g.get("betas"))
            for g in optimizer.param_groups
        ],
    )


@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_are_those_of_pytorch(name: str, kind: str) -> None:
    logs, states = [], []
    for library in LIBRARIES:
        optimizer = make_optimizer(library, kind)
        schedule = SCHEDULES[name](library.optim.lr_scheduler, optimizer)
        log = [observe(optimizer, schedule)]
        for _ in range(EPOCHS):
            optimizer.step()
            schedule.step()
            log.append(observe(optimizer, schedule))
        logs.append(log)
        states.append(schedule.state_dict())
    assert logs[1] == logs[0]
    assert set(states[1]) == set(states[0])


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedules_resume_from_their_state(name: str) -> None:
    module = tidu.optim.lr_scheduler
    optimizer = make_optimizer(tidu, "SGD")
    schedule = SCHEDULES[name](module, optimizer)

    def go_on(optimizer: Any, schedule: Any, epochs: int) -> list[Any]:
        log = []
        for _ in range(epochs):
            optimizer.step()
            schedule.step()
            log.append(observe(optimizer, schedule))
        return log

    go_on(optimizer, schedule, 13)
    saved = copy.deepcopy((schedule.state_dict(), optimizer.state_dict()))
    expected = go_on(optimizer, schedule, 20)
    other = make_optimizer(tidu, "SGD")
    resumed = SCHEDULES[name](module, other)
    resumed.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    assert go_on(other, resumed, 20) == expected


@pytest.mark.parametrize("name", ["StepLR", "CosineAnnealingLR", "LinearLR", "ExponentialLR"])
def test_rates_that_are_tensors_change_in_place(name: str) -> None:
    logs = []
    for library in LIBRARIES:
        optimizer = make_optimizer(library, "SGD", tensor_lr=True)
        rate = optimizer.param_groups[0]["lr"]
        schedule = SCHEDULES[name](library.optim.lr_scheduler, optimizer)
        log = []
        for _ in range(10):
            optimizer.step()
            schedule.step()
            log.append(observe(optimizer, schedule))
        assert optimizer.param_groups[0]["lr"] is rate
        logs.append(log)
    for found, expected in zip(logs[1], logs[0]):
        assert found[0] == pytest.approx(expected[0], rel=1e-12)


@pytest.mark.parametrize(
    "name", ["StepLR", "MultiStepLR", "LinearLR", "ExponentialLR", "PolynomialLR", "ConstantLR"]
)
@pytest.mark.filterwarnings("ignore:Detected call", "ignore:The epoch parameter")
def test_steps_to_an_epoch_use_the_closed_form(name: str) -> None:
    logs = []
    for library in LIBRARIES:
        optimizer = make_optimizer(library, "SGD")
        schedule = SCHEDULES[name](library.optim.lr_scheduler, optimizer)
        log = []
        for epoch in (3, 17, 9, 30):
            schedule.step(epoch)
            log.append(observe(optimizer, schedule))
        logs.append(log)
    assert logs[1] == logs[0]


def test_restarts_take_fractions_of_epochs() -> None:
    logs = []
    for library in LIBRARIES:
        optimizer = make_optimizer(library, "SGD")
        schedule = library.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 3, 2)
        log = []
        for epoch in (0.25, 2.9, 3.0, 8.99, 9.5, 40.2):
            schedule.step(epoch)
            log.append(observe(optimizer, schedule))
        logs.append(log)
    assert logs[1] == logs[0]


@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_plateaus_are_those_of_pytorch(mode: str, threshold_mode: str) -> None:
    logs = []
    for library in LIBRARIES:
        metrics = random.Random(0)
        optimizer = make_optimizer(library, "SGD")
        schedule = library.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer,
            mode,
            factor=0.7,
            patience=2,
            threshold=0.05,
            threshold_mode=threshold_mode,
            cooldown=2,
            min_lr=[1e-4, 1e-3],
        )
        log = []
        for epoch in range(EPOCHS):
            metric = metrics.random()
            schedule.step(library.tensor(metric, dtype=library.float64))
            log.append((schedule.get_last_lr(), schedule.best, schedule.num_bad_epochs))
            if epoch == 30:
                saved = copy.deepcopy(schedule.state_dict())
                schedule.load_state_dict(saved)
        logs.append((log, schedule.state_dict()))
    assert logs[1] == logs[0]


def test_stepping_first_is_warned_of() -> None:
    for library in LIBRARIES:
        optimizer = make_optimizer(library, "SGD")
        schedule = library.optim.lr_scheduler.StepLR(optimizer, 2)
        with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before"):
            schedule.step()
        schedule.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer = make_optimizer(tidu, "SGD")
        schedule = tidu.optim.lr_scheduler.StepLR(optimizer, 2)
        optimizer.step()
        schedule.step()


def test_asking_outside_a_step_is_warned_of() -> None:
    for library in LIBRARIES:
        schedule = library.optim.lr_scheduler.StepLR(make_optimizer(library, "SGD"), 2)
        with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
            schedule.get_lr()


def test_resuming_by_last_epoch() -> None:
    logs = []
    for library in LIBRARIES:
        optimizer = make_optimizer(library, "SGD")
        with pytest.raises(KeyError, match="param 'initial_lr' is not specified"):
            library.optim.lr_scheduler.StepLR(optimizer, 2, last_epoch=3)
        for group in optimizer.param_groups:
            group["initial_lr"] = 0.5
        schedule = library.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20, last_epoch=3)
        log = [observe(optimizer, schedule)]
        for _ in range(5):
            optimizer.step()
            schedule.step()
            log.append(observe(optimizer, schedule))
        logs.append(log)
    assert logs[1] == logs[0]


ERRORS: dict[str, Callable[[Any, Any], Any]] = {
    "not an optimizer": lambda S, o: S.StepLR(3, 2),
    "lambdas": lambda S, o: S.LambdaLR(o, [lambda e: 1]),
    "not a function": lambda S, o: S.MultiplicativeLR(o, 0.5),
    "constant": lambda S, o: S.ConstantLR(o, 1.5),
    "linear start": lambda S, o: S.LinearLR(o, 0),
    "linear end": lambda S, o: S.LinearLR(o, 0.5, 2),
    "restarts T_0": lambda S, o: S.CosineAnnealingWarmRestarts(o, 0),
    "restarts T_mult": lambda S, o: S.CosineAnnealingWarmRestarts(o, 2, 1.5),
    "restarts eta_min": lambda S, o: S.CosineAnnealingWarmRestarts(o, 2, eta_min="0"),
    "restarts epoch": lambda S, o: S.CosineAnnealingWarmRestarts(o, 2).step(-1),
    "one cycle, no steps": lambda S, o: S.OneCycleLR(o, 0.1),
    "one cycle, steps": lambda S, o: S.OneCycleLR(o, 0.1, total_steps=0),
    "one cycle, epochs": lambda S, o: S.OneCycleLR(o, 0.1, epochs=1.5, steps_per_epoch=2),
    "one cycle, start": lambda S, o: S.OneCycleLR(o, 0.1, total_steps=9, pct_start=1),
    "one cycle, strategy": lambda S, o: S.OneCycleLR(o, 0.1, total_steps=9, anneal_strategy="x"),
    "one cycle, rates": lambda S, o: S.OneCycleLR(o, [0.1], total_steps=9),
    "cyclic mode": lambda S, o: S.CyclicLR(o, 0.1, 0.2, mode="square"),
    "cyclic rates": lambda S, o: S.CyclicLR(o, [0.1], 0.2),
    "plateau factor": lambda S, o: S.ReduceLROnPlateau(o, factor=1.0),
    "plateau mode": lambda S, o: S.ReduceLROnPlateau(o, mode="up"),
    "plateau threshold": lambda S, o: S.ReduceLROnPlateau(o, threshold_mode="up"),
    "plateau rates": lambda S, o: S.ReduceLROnPlateau(o, min_lr=[0.1]),
    "sequence of none": lambda S, o: S.SequentialLR(o, [], []),
    "sequence, milestones": lambda S, o: S.SequentialLR(o, [S.StepLR(o, 1)], [1]),
    "sequence, plateau": lambda S, o: S.SequentialLR(o, [S.ReduceLROnPlateau(o)], []),
    "sequence, other": lambda S, o: S.SequentialLR(o, [3], []),
    "sequence, optimizers": lambda S, o: S.SequentialLR(o, [S.StepLR(copy.deepcopy(o), 1)], []),
    "chain of none": lambda S, o: S.ChainedScheduler([]),
    "chain, plateau": lambda S, o: S.ChainedScheduler([S.ReduceLROnPlateau(o)]),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_pytorch(name: str) -> None:
    caught = []
    for library in LIBRARIES:
        with pytest.raises(Exception) as error:
            ERRORS[name](library.optim.lr_scheduler, make_optimizer(library, "SGD"))
        caught.append(error)
    assert caught[1].type is caught[0].type
    assert str(caught[0].value)[:30] in str(caught[1].value)


def test_one_cycle_ends() -> None:
    for library in LIBRARIES:
        optimizer = make_optimizer(library, "SGD")
        schedule = library.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=2)
        optimizer.step()
        schedule.step()
        schedule.step()
        with pytest.raises(ValueError, match="Tried to step 3 times"):
            schedule.step()


def test_cycles_need_momentum() -> None:
    for library in LIBRARIES:
        optimizer = library.optim.Adagrad([library.zeros(1).requires_grad_()])
        with pytest.raises(ValueError, match="must support momentum or beta1"):
            library.optim.lr_scheduler.CyclicLR(optimizer, 0.1, 0.2)


def test_schedules_of_users() -> None:
    class Warmup(tidu.optim.lr_scheduler._LRScheduler):
        def get_lr(self) -> list[float]:
            return [base * min(1.0, (self.last_epoch + 1) / 4) for base in self.base_lrs]

    optimizer = make_optimizer(tidu, "SGD")
    schedule = Warmup(optimizer)
    found = [schedule.get_last_lr()[1]]
    for _ in range(4):
        optimizer.step()
        schedule.step()
        found.append(optimizer.param_groups[1]["lr"])
    assert found == [0.05, 0.1, 0.2 * 0.75, 0.2, 0.2]
