"""Replayed calls draw the random numbers that ordinary calls draw."""

from __future__ import annotations

from typing import Any

import pytest

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


def test_masks_follow_how_the_argument_of_each_call_lies_in_memory() -> None:
    rows, columns = torch.rand(6, 4), torch.rand(4, 6).t()
    assert rows.stride() != columns.stride()

    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)

        def draw(x: Any) -> Any:
            return F.dropout(F.gelu(x), 0.5)

        function = torch.compile(draw) if compiled else draw
        found = []
        for number in range(16):
            made = function((rows, columns)[number // 4 % 2])
            found.append((made.stride(), made.tolist()))
        assert not compiled or replayed(function) > 0
        return found

    assert_same(run(True), run(False))


def test_masks_with_several_probabilities_come_in_their_order() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)

        def draw(x: Any) -> Any:
            x = F.dropout(F.dropout(x, 0.5), 0.5) + F.dropout(x, 0.25)
            x = x * torch.rand(3)  # an odd number of words between masks
            return F.dropout(F.dropout(x[:0], 0.5).sum() + x, 0.1)

        function = torch.compile(draw) if compiled else draw
        x = torch.arange(1.0, 1001.0)[:, None] * torch.ones(3)
        found = [function(x).tolist() for _ in range(10)]
        assert not compiled or replayed(function) > 0
        return [*found, torch.rand(2).tolist()]

    assert_same(run(True), run(False))


def test_a_call_that_fails_leaves_the_generator_where_the_ordinary_one_does() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)
        table = torch.ones(10, 3)

        def draw(i: Any) -> Any:
            return F.dropout(torch.ones(5, 3), 0.5)[:3] * table[i]

        function = torch.compile(draw) if compiled else draw
        for _ in range(8):
            function(torch.tensor([1, 2, 3])).tolist()
        assert not compiled or replayed(function) > 0
        with pytest.raises(IndexError):
            function(torch.tensor([1, 2, 30])).tolist()
        return [torch.rand(2).tolist(), function(torch.tensor([1, 2, 3])).tolist()]

    assert_same(run(True), run(False))
