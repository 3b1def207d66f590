"""What optimizers and schedules save is what PyTorch's do: the same keys, kinds and numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def _described(x: Any) -> Any:
    if isinstance(x, dict):
        return {key: _described(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [type(x).__name__, *map(_described, x)]
    if hasattr(x, "shape"):
        return tuple(x.shape), str(x.dtype)
    return type(x).__name__, "a function" if callable(x) else x


def _optimizers(module: Any) -> dict[str, type]:
    kinds = vars(module.optim)
    base = module.optim.Optimizer
    return {
        name: kind
        for name, kind in kinds.items()
        if isinstance(kind, type) and issubclass(kind, base) and kind is not base
    }


@pytest.mark.parametrize("name", sorted(_optimizers(tidu)))
def test_the_state_of_an_optimizer(name: str) -> None:
    def states(module: Any) -> list[Any]:
        parameter = module.nn.Parameter(module.ones(3, 2))
        optimizer = _optimizers(module)[name]([parameter], lr=0.1)

        def closure() -> Any:
            optimizer.zero_grad()
            loss = (parameter * parameter).sum()
            loss.backward()
            return loss

        before = _described(optimizer.state_dict())
        closure()
        optimizer.step(closure)
        return [before, _described(optimizer.state_dict()), sorted(optimizer.defaults)]

    assert states(tidu) == states(torch)


SCHEDULES: dict[str, Callable[[Any, Any], Any]] = {
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda epoch: 0.9**epoch),
    "MultiplicativeLR": lambda s, o: s.MultiplicativeLR(o, lambda epoch: 0.9),
    "StepLR": lambda s, o: s.StepLR(o, 2),
    "MultiStepLR": lambda s, o: s.MultiStepLR(o, [2, 3]),
    "ConstantLR": lambda s, o: s.ConstantLR(o),
    "LinearLR": lambda s, o: s.LinearLR(o),
    "ExponentialLR": lambda s, o: s.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda s, o: s.PolynomialLR(o),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, 5),
    "CosineAnnealingWarmRestarts": lambda s, o: s.CosineAnnealingWarmRestarts(o, 5),
    "CyclicLR": lambda s, o: s.CyclicLR(o, 0.01, 0.1),
    "OneCycleLR": lambda s, o: s.OneCycleLR(o, 0.1, 10),
    "ReduceLROnPlateau": lambda s, o: s.ReduceLROnPlateau(o, "max", patience=1),
    "SequentialLR": lambda s, o: s.SequentialLR(o, [s.ConstantLR(o), s.StepLR(o, 1)], [2]),
    "ChainedScheduler": lambda s, o: s.ChainedScheduler([s.ConstantLR(o), s.StepLR(o, 1)]),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SCHEDULES)
def test_the_state_of_a_schedule(name: str) -> None:
    def states(module: Any) -> list[Any]:
        parameter = module.nn.Parameter(module.ones(2))
        optimizer = module.optim.SGD([parameter], lr=0.1, momentum=0.9)
        schedule = SCHEDULES[name](module.optim.lr_scheduler, optimizer)
        found = []
        for _ in range(4):
            found.append(_described(schedule.state_dict()))
            optimizer.step()
            schedule.step(*[1.0] if name == "ReduceLROnPlateau" else [])
        return found

    assert states(tidu) == states(torch)
