"""A function that somebody puts in the place of one of ours is used, whenever that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tidu as torch
from tests.replay.training import replayed
from tidu import nn
from tidu.nn import functional as F

_LAYERS = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
_LOSS = nn.MSELoss()


def _sevenfold(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **named: original(*args, **named) * 7


# By what is patched: where it stands, its name, and a function that comes to it.
PATCHES: dict[str, tuple[Any, str, Callable[[Any], Any]]] = {
    "a function of a module": (F, "relu", lambda x: F.relu(x)),
    "by its full name": (F, "softmax", lambda x: torch.nn.functional.softmax(x, 0)),
    "torch.exp": (torch, "exp", lambda x: torch.exp(x)),
    "a method": (torch.Tensor, "exp", lambda x: x.exp()),
    "an operator": (torch.Tensor, "__add__", lambda x: x + 1),
    "a reflected operator": (torch.Tensor, "__rsub__", lambda x: 1 - x),
    "indexing": (torch.Tensor, "__getitem__", lambda x: x[1:]),
    "forward of a layer": (nn.Linear, "forward", lambda x: _LAYERS(x)),
    "the call of all layers": (nn.Module, "__call__", lambda x: _LAYERS(x)),
    "forward of a loss": (nn.MSELoss, "forward", lambda x: _LOSS(x, x * 2)),
}


@pytest.mark.parametrize("what", PATCHES)
def test_a_patched_function_is_used_from_then_on(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, name, function = PATCHES[what]
    x = torch.tensor([-1.0, 2.0, 3.0])
    compiled = torch.compile(function)
    with torch.no_grad():
        usual = function(x).tolist()
        assert [compiled(x).tolist() for _ in range(8)] == [usual] * 8
        before = replayed(compiled)
        assert before > 0
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, _sevenfold(getattr(owner, name)))
            other = function(x).tolist()
            assert other != usual
            assert [compiled(x).tolist() for _ in range(8)] == [other] * 8
        assert [compiled(x).tolist() for _ in range(3)] == [usual] * 3
    assert replayed(compiled) > before


def test_a_patched_step_of_an_optimizer_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    w = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    step = torch.optim.SGD.step
    calls: list[int] = []

    @torch.compile
    def train(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    for _ in range(8):
        train(torch.ones(3))
    assert replayed(train) > 0

    def counted(self: Any, *args: Any, **named: Any) -> Any:
        calls.append(1)
        return step(self, *args, **named)

    monkeypatch.setattr(torch.optim.SGD, "step", counted)
    for _ in range(5):
        train(torch.ones(3))
    assert len(calls) == 5
