"""A small training step, run with and without compile(): what the tests of replays share.

Each scenario runs twice and asserts that calls were replayed:
a stale program, or one that was never used, fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tidu as torch
from tidu import nn

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


def replayed(function: Any) -> int:
    """How many calls of a compiled function were replayed."""
    return sum(plan.replayed for plan in function.site.plans)


class Training:
    """A small network, its optimizer, and a step over both."""

    def __init__(self, optimizer: str = "SGD", dropout: float = 0.0, **options: Any) -> None:
        torch.manual_seed(0)
        # Without a bias, to which batch normalization would leave a gradient of rounding errors:
        # most optimizers make whole steps of those, others each time the order of a sum changes.
        self.model = nn.Sequential(
            nn.Linear(4, 8, bias=False),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(8, 1),
        )
        options = options or {"lr": 0.1, "momentum": 0.9}
        self.optimizer = getattr(torch.optim, optimizer)(self.model.parameters(), **options)
        self.x, self.y = torch.randn(16, 4), torch.randn(16, 1)
        torch.manual_seed(1)
        model, optimizer_ = self.model, self.optimizer

        def step(x: Any, y: Any) -> Any:
            optimizer_.zero_grad()
            loss = ((model(x) - y) ** 2).mean()
            loss.backward()
            optimizer_.step()
            return loss

        self.step: Any = step

    def numbers(self) -> list[list[float]]:
        """Everything that a step changes."""
        tensors = [*self.model.parameters(), *self.model.buffers()]
        tensors += [p.grad for p in self.model.parameters() if p.grad is not None]
        for state in self.optimizer.state.values():
            tensors += [x for x in state.values() if isinstance(x, torch.Tensor)]
        return [x.detach().flatten().tolist() for x in tensors] + [torch.rand(2).tolist()]


def both(scenario: Callable[[Training], Any], **options: Any) -> Any:
    """Run a scenario with and without compile(); returns the compiled step."""
    plain, compiled = Training(**options), None
    expected = scenario(plain), plain.numbers()
    again = Training(**options)
    compiled = again.step = torch.compile(again.step)
    assert_same((scenario(again), again.numbers()), expected)
    return compiled


def assert_same(found: Any, expected: Any) -> None:
    """Equal structures of numbers, up to what the order of a sum may do."""
    if isinstance(expected, (list, tuple)):
        assert len(found) == len(expected)
        for x, y in zip(found, expected, strict=True):
            assert_same(x, y)
    else:
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)


def losses(t: Training, count: int) -> list[float]:
    return [t.step(t.x + 0.01 * i, t.y).item() for i in range(count)]


def assert_never_stale(scenario: Callable[[Wrap], Any]) -> None:
    """A scenario computes the same with compile(), and all that it compiled was replayed."""
    made = []

    def wrap(function: Callable[..., Any]) -> Callable[..., Any]:
        made.append(torch.compile(function))
        return made[-1]

    found = scenario(wrap)
    assert_same(found, scenario(lambda function: function))
    assert all(replayed(function) > 0 for function in made)


def go(function: Callable[..., Any], *extra: Any, count: int = 8, **named: Any) -> list[Any]:
    """Call a function often enough to have it replayed."""
    return [function(torch.ones(3) * i, *extra, **named).tolist() for i in range(count)]
