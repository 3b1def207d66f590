"""A replayed step writes parameters and moments over the old ones where nobody else needs those."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tidu as torch
from tests.compiler.tiers import tier
from tests.replay.training import Training, assert_same, losses, replayed
from tidu import nn
from tidu.backends import in_place
from tidu.nn import functional as F


@pytest.fixture(autouse=True)
def _compiled() -> Iterator[None]:
    with tier(1):
        yield


def _trained(count: int = 8, **options: Any) -> Training:
    """A compiled step that has been replayed."""
    t = Training(**options)
    t.step = torch.compile(t.step)
    losses(t, count)
    assert replayed(t.step) > 0
    return t


def _memory(t: Training) -> list[int]:
    """Where the weight of the first layer and its moments are."""
    weight = t.model[0].weight
    moments = [x for x in t.optimizer.state[weight].values() if isinstance(x, torch.Tensor)]
    tensors = [weight, *(x for x in moments if x.dim() == 2)]
    return [x._storage.value.buffer.ctypes.data for x in tensors]


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"optimizer": "Adam", "lr": 0.01},
        {"optimizer": "AdamW", "lr": 0.01, "amsgrad": True},
        {"optimizer": "RMSprop", "lr": 0.01, "centered": True},
        {"optimizer": "Adagrad", "lr": 0.01},
    ],
)
def test_parameters_and_moments_stay_where_they_are(options: dict[str, Any]) -> None:
    t = _trained(10, **options)
    before = _memory(t)
    losses(t, 3)
    assert _memory(t) == before
    found = t.numbers()
    plain = Training(**options)
    losses(plain, 10)
    losses(plain, 3)
    assert_same(found, plain.numbers())


def _array(p: Any) -> Callable[[], Any]:
    array = p.detach().numpy()
    return lambda: array.copy()


def _row(p: Any) -> Callable[[], Any]:
    row = p.detach().numpy()[1:]
    return lambda: np.concatenate([row[:0], row])


def _pending(p: Any) -> Callable[[], Any]:
    doubled = p.detach() * 2  # not computed yet
    return lambda: doubled.numpy()


def _copy(p: Any) -> Callable[[], Any]:
    copied = p.detach().clone()
    return lambda: copied.numpy()


def _loss(p: Any) -> Callable[[], Any]:
    waiting = (p**2).sum()  # its backward pass needs the numbers there are now

    def gradient() -> Any:
        (gradient,) = torch.autograd.grad(waiting, p)
        return gradient.numpy()

    return gradient


@pytest.mark.parametrize("hold", [_pending, _copy, _loss])
def test_who_needs_the_old_numbers_has_them(hold: Any) -> None:
    t = _trained()
    weight = t.model[0].weight
    expected = hold(weight.detach().clone().requires_grad_())()
    seen = hold(weight)
    losses(t, 3)
    np.testing.assert_array_equal(seen(), expected)


_WRITTEN: dict[str, Callable[[Training], Any]] = {
    "parameter": lambda t: t.model[0].weight,
    "statistics": lambda t: t.model[1].running_mean,
    "count": lambda t: t.model[1].num_batches_tracked,
    "moment": lambda t: t.optimizer.state[t.model[0].weight]["exp_avg"],
    "count of steps": lambda t: t.optimizer.state[t.model[0].weight]["step"],
    "gradient": lambda t: t.model[0].weight.grad,
}


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("what", _WRITTEN)
def test_an_array_that_shows_what_is_written_shows_it_without_and_with_compile(
    what: str, number: int
) -> None:
    with tier(number):
        plain = Training("Adam", lr=0.01)  # first: another optimizer makes all functions look again
        losses(plain, 8)
        t = _trained(optimizer="Adam", lr=0.01)
        arrays = [_WRITTEN[what](x).detach().numpy() for x in (t, plain)]
        for _ in range(3):
            assert_same(losses(t, 1), losses(plain, 1))
            assert_same(arrays[0].tolist(), arrays[1].tolist())
        assert_same(t.numbers()[:-1], plain.numbers()[:-1])  # the last one are random
        count = replayed(t.step)
        del arrays
        losses(t, 3)
        assert replayed(t.step) > count


@pytest.mark.parametrize("hold", [_array, _row])
def test_who_looks_at_the_memory_of_a_parameter_sees_what_he_would_see_without_compile(
    hold: Any,
) -> None:
    plain = Training("Adam", lr=0.01)
    losses(plain, 8)
    t = _trained(optimizer="Adam", lr=0.01)
    seen = [hold(x.model[0].weight) for x in (t, plain)]
    for x in (t, plain):
        losses(x, 3)
    assert_same(seen[0]().tolist(), seen[1]().tolist())


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """In each replayed step, the bytes of the memory that is replaced instead of written over."""
    held_in, found = in_place.InPlace._held, []

    def seen(way: in_place.InPlace, arrays: list[Any]) -> Any:
        held = held_in(way, arrays)
        found.append(sum(arrays[place].nbytes for place in held))
        return held

    monkeypatch.setattr(in_place.InPlace, "_held", seen)
    return found


def test_a_parameter_that_others_look_at_takes_new_memory_once(moved: list[int]) -> None:
    t = _trained(10)
    array = t.model[0].weight._storage.value.buffer[1:]
    del moved[:]
    losses(t, 1)
    del array
    losses(t, 2)
    assert moved == [t.model[0].weight.nbytes, 0, 0]


def test_an_index_out_of_range_leaves_the_parameters_as_they_were() -> None:
    torch.manual_seed(0)
    table, layer = nn.Embedding(5, 8), nn.Linear(8, 5)
    optimizer = torch.optim.Adam([*table.parameters(), *layer.parameters()])

    @torch.compile
    def step(index: Any, classes: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(layer(table(index)), classes)
        loss.backward()
        optimizer.step()
        return loss

    good = torch.tensor([0, 1, 4, 3])
    for _ in range(8):
        step(good, good)
    count = replayed(step)
    assert count > 0
    before = [p.tolist() for p in (*table.parameters(), *layer.parameters())]
    for bad in ((torch.tensor([0, 5, 1, 2]), good), (good, torch.tensor([0, 1, 2, 5]))):
        with pytest.raises(IndexError):
            step(*bad)
        assert [p.tolist() for p in (*table.parameters(), *layer.parameters())] == before
    step(good, good)
    assert replayed(step) == count + 1


def test_without_memory_for_other_results_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    t = _trained()
    before = [p.tolist() for p in (*t.model.parameters(), *t.model.buffers())], _memory(t)

    def refuse(*_: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(in_place.InPlace, "_held", lambda way, _: way._places)
        patch.setattr(in_place.np, "empty_like", refuse)
        patch.setattr(t.step.site, "call", lambda *_: None)  # what would run in Python
        t.step(t.x, t.y)
    found = [p.tolist() for p in (*t.model.parameters(), *t.model.buffers())], _memory(t)
    assert found == before
    count = replayed(t.step)
    losses(t, 2)
    assert replayed(t.step) == count + 2


def test_parameters_that_another_program_has_written_are_written_in_place_all_the_same(
    moved: list[int],
) -> None:
    """As where they are clipped after each step: what is small of them may move, no more."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(300, 300), nn.Linear(300, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x = torch.randn(4, 300)

    @torch.compile
    def step() -> Any:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(20):
        step()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.clamp_(-0.05, 0.05)
        model[0].bias.sum().item()
    assert len(moved) > 10
    assert max(moved[-5:]) < 10_000 < model[0].weight.nbytes
