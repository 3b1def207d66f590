"""Replayed calls draw the random numbers that ordinary calls draw."""

from __future__ import annotations

from typing import Any

import tidu as torch
from tests.replay.training import Training, assert_same, both, losses, replayed
from tidu.nn import functional as F


def test_dropout_draws_the_masks_of_the_ordinary_step() -> None:
    assert replayed(both(lambda t: losses(t, 20), dropout=0.4)) > 0


def test_seeding_between_calls_reaches_the_replayed_draws() -> None:
    def scenario(t: Training) -> list[float]:
        found = losses(t, 8)
        torch.manual_seed(7)
        return found + losses(t, 5)

    assert replayed(both(scenario, dropout=0.4)) > 0


def test_random_numbers_of_every_kind_are_drawn_anew() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)

        def draw(x: Any) -> Any:
            noise = torch.rand(3) + torch.randn(3) + torch.randint(0, 9, (3,)).float()
            noise = noise + torch.randperm(3).float() + torch.empty(3).uniform_(0, 2)
            return x * noise + F.dropout(x, 0.5) + F.gumbel_softmax(x) + torch.bernoulli(x, 0.3)

        function = torch.compile(draw) if compiled else draw
        found = [function(torch.arange(3.0)).tolist() for _ in range(10)]
        assert not compiled or replayed(function) > 0
        return [*found, torch.rand(2).tolist()]

    assert_same(run(True), run(False))
