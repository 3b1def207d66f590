"""Programs in which a replay of what was recorded earlier would give other numbers.

Each scenario runs with and without compile(), changes something on the way, and returns everything
that it computes.
"""

from __future__ import annotations

import collections
import enum
import os
import types
from collections.abc import Callable
from typing import Any

import pytest

import tidu as torch
from tests.compiler.tiers import tier
from tests.replay.training import Wrap, assert_never_stale, assert_same, go, replayed
from tidu import nn
from tidu.nn import functional as F


def optimizer_groups_edited_in_place(wrap: Wrap) -> list[Any]:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([{"params": [a]}, {"params": [b], "lr": 0.2}], lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = ((a + b * 2) * x).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    step = wrap(step)
    found = go(step)
    removed = optimizer.param_groups.pop()
    found += go(step)
    optimizer.param_groups[0]["params"].append(removed["params"][0])
    found += go(step)
    optimizer.param_groups = [{**optimizer.param_groups[0], "lr": 0.01}]
    return found + go(step) + [a.tolist(), b.tolist()]


def optimizer_state_edited(wrap: Wrap) -> list[Any]:
    w = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([w], lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = ((w - 2) ** 2 * x).sum()
        loss.backward()
        optimizer.step()
        return loss.detach()

    step = wrap(step)
    found = go(step)
    optimizer.state.clear()
    found += go(step)
    optimizer.state[w]["step"] = torch.tensor(100.0)
    found += go(step)
    optimizer.state[w]["exp_avg_sq"] = optimizer.state[w]["exp_avg_sq"] * 4
    return found + go(step)


def learning_rate_read_by_the_function(wrap: Wrap) -> list[Any]:
    w = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([w], lr=0.1)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)

    def by_hand(x: Any) -> Any:
        w.grad = None
        (w * x).sum().backward()
        for group in optimizer.param_groups:
            for p in group["params"]:
                p.data.add_(p.grad, alpha=-group["lr"])
        return w.detach().sum()

    asked = wrap(lambda x: x.sum() * schedule.get_last_lr()[0])
    by_hand = wrap(by_hand)
    found = []
    for _ in range(3):
        found += go(by_hand) + go(asked)
        optimizer.step()
        schedule.step()
    return found


def gradients_that_come_and_go(wrap: Wrap) -> list[Any]:
    w = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)

    def accumulate(x: Any, last: bool) -> Any:
        loss = ((w - 1) ** 2 * x + w * x).sum()
        loss.backward()
        if last:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()

    accumulate = wrap(accumulate)
    found = []
    for i in range(60):
        if i == 50:
            w.grad = torch.ones(3)
        found.append(accumulate(torch.ones(3) * (i % 5), i % 4 == 3).tolist())
    return found + [w.tolist()]


def gradients_of_other_parameters(wrap: Wrap) -> list[Any]:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([a, b], lr=0.1)

    def update(x: Any) -> Any:
        norm = nn.utils.clip_grad_norm_([a, b], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return norm

    update = wrap(update)
    found = []
    for i in range(40):
        x = torch.ones(3) * (i % 5)
        (a * x if i % 12 < 9 else a * x + b * 2).sum().backward()
        found.append(update(x).tolist())
    return found + [a.tolist(), b.tolist()]


def one_gradient_for_two_parameters(wrap: Wrap) -> list[Any]:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))

    def accumulate(x: Any) -> Any:
        loss = (a * x + b * 2).sum()
        loss.backward()
        return loss.detach()

    accumulate = wrap(accumulate)
    found = go(accumulate)
    a.grad = b.grad
    return found + go(accumulate, count=3) + [a.grad.tolist(), b.grad.tolist()]


def containers_edited(wrap: Wrap) -> list[Any]:
    words, order, weights = {"a"}, {"p": 1.0, "q": 2.0}, Weights([1.0, 2.0])
    weights.factor = 3.0

    def function(x: Any) -> Any:
        total = x.sum() * (2 if "b" in words else 1) * weights[0] * weights.factor
        for name in order:
            total = total * 2 + order[name]
        return total

    function = wrap(function)
    found = go(function)
    words.remove("a")
    words.add("b")
    found += go(function)
    order["p"] = order.pop("p")
    found += go(function)
    weights.factor = 5.0
    return found + go(function)


class Weights(list[float]):
    factor: float


def order_of_keywords(wrap: Wrap) -> list[Any]:
    def function(x: Any, **named: Any) -> Any:
        for key in named:
            x = x * 2 + named[key]
        return x

    function = wrap(function)
    return go(function, a=1.0, b=2.0) + go(function, b=2.0, a=1.0)


class Base:
    scale = 2.0

    def __init__(self) -> None:
        self.shift = 1.0

    @property
    def offset(self) -> float:
        return self.shift

    @staticmethod
    def twice(x: Any) -> Any:
        return x * 2

    def __call__(self, x: Any) -> Any:
        return self.twice(x) * self.scale + self.offset


class Derived(Base):
    pass


class Other(Base):
    scale = 11.0


def classes_edited(wrap: Wrap) -> list[Any]:
    kept = dict(vars(Base))
    thing = Derived()
    function = wrap(thing)
    try:
        found = go(function)
        Base.scale = 3.0
        found += go(function)
        Base.twice = staticmethod(lambda x: x * 5)  # type: ignore[method-assign]
        found += go(function)
        Derived.offset = property(lambda self: 7.0)  # type: ignore[misc]
        found += go(function)
        thing.__class__ = Other  # type: ignore[assignment]
        return found + go(function)
    finally:
        Base.scale, Base.twice = kept["scale"], kept["twice"]  # type: ignore[method-assign]
        del Derived.offset


def functions_edited(wrap: Wrap) -> list[Any]:
    def helper(x: Any, shift: list[float] = [0.0], *, power: int = 1) -> Any:  # noqa: B006
        return (x + shift[0]) ** power * helper.factor

    helper.factor = 1.0  # type: ignore[attr-defined]
    function = wrap(lambda x: helper(x))
    found = go(function)
    helper.factor = 2.0  # type: ignore[attr-defined]
    found += go(function)
    helper.__defaults__ = ([3.0],)
    found += go(function)
    helper.__kwdefaults__["power"] = 2
    found += go(function)
    helper.__code__ = (lambda x, shift=None, *, power=0: x * 13 if helper else x).__code__
    return found + go(function)


def names_worked_out(wrap: Wrap) -> list[Any]:
    settings = types.SimpleNamespace(rate_0=1.0, rate_1=2.0)
    by_getattr = wrap(lambda x: x * getattr(settings, f"rate_{x.dim() - 1}"))
    by_dict = wrap(lambda x, name: x * settings.__dict__[name])
    found = go(by_getattr) + go(by_dict, "rate_1")
    settings.rate_0, settings.rate_1 = 3.0, 4.0
    return found + go(by_getattr) + go(by_dict, "rate_1")


def attributes_of_tensors(wrap: Wrap) -> list[Any]:
    weight = torch.ones(3)
    weight.factor = 2.0  # type: ignore[attr-defined]
    function = wrap(lambda x: x * weight * weight.factor)
    found = go(function)
    weight.factor = 3.0  # type: ignore[attr-defined]
    return found + go(function)


def tensors_reshaped_in_place(wrap: Wrap) -> list[Any]:
    weight = torch.arange(9.0).reshape(3, 3)
    trained = torch.ones(3, requires_grad=True)
    function = wrap(lambda x: (x * weight).sum(-1))

    def gradient(x: Any) -> Any:
        x = x.clone().requires_grad_()
        (trained * x * x).sum().backward()
        return torch.zeros(3) if trained.grad is None else trained.grad.clone()

    gradient = wrap(gradient)
    found = go(function) + go(gradient)
    weight.t_()
    found += go(function)
    weight.unsqueeze_(0)
    trained.detach_()
    return found + go(function) + go(gradient)


def an_argument_in_memory_that_is_written(wrap: Wrap) -> list[Any]:
    total = torch.zeros(3)

    def add(x: Any) -> Any:
        total.add_(1)
        return x * 2 + total

    add = wrap(add)
    found = go(add)
    return found + [add(total.detach()).tolist() for _ in range(4)]


class Flags(enum.IntFlag):
    DOUBLE = 1
    NEGATE = 2


def zeros_with_signs_and_flags(wrap: Wrap) -> list[Any]:
    value, flags = [0.0], Flags.DOUBLE
    inverse = wrap(lambda x: 1.0 / (torch.zeros(3) * value[0] + value[0]))
    flagged = wrap(lambda x: -x if Flags.NEGATE in flags else x + value[0])
    found = go(inverse) + go(flagged)
    value[0], flags = -0.0, Flags.DOUBLE | Flags.NEGATE
    return found + go(inverse) + go(flagged)


def tuples_with_names_and_queues(wrap: Wrap) -> list[Any]:
    pair = collections.namedtuple("pair", "first second")
    held = pair(1.0, [2.0])
    function = wrap(lambda x: x * held.first + held.second[0])
    found = go(function)
    held.second[0] = 5.0
    found += go(function)
    held = pair(7.0, [1.0])
    return found + go(function)


SCENARIOS = [
    optimizer_groups_edited_in_place,
    optimizer_state_edited,
    learning_rate_read_by_the_function,
    gradients_that_come_and_go,
    gradients_of_other_parameters,
    one_gradient_for_two_parameters,
    containers_edited,
    order_of_keywords,
    classes_edited,
    functions_edited,
    names_worked_out,
    attributes_of_tensors,
    tensors_reshaped_in_place,
    an_argument_in_memory_that_is_written,
    zeros_with_signs_and_flags,
    tuples_with_names_and_queues,
]


@pytest.mark.filterwarnings("ignore:compile..:UserWarning")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda f: f.__name__)
def test_what_has_changed_is_never_replayed_as_it_was(scenario: Callable[[Wrap], Any]) -> None:
    assert_never_stale(scenario)


def test_the_environment_is_not_taken_for_a_constant(monkeypatch: pytest.MonkeyPatch) -> None:
    function = torch.compile(lambda x: x * float(os.environ["TIDU_TEST_FACTOR"]))
    with pytest.warns(UserWarning, match=r"it calls os\._Environ"):
        for i in range(12):
            monkeypatch.setenv("TIDU_TEST_FACTOR", str(i // 6))
            assert function(torch.ones(1)).item() == i // 6


def test_a_dropout_mask_and_a_schedule_go_on_behind_a_condition_that_fails() -> None:
    """A branch of RAdam ends after some steps: what was drawn before that is found out stays."""

    def run(wrap: Wrap) -> list[Any]:
        torch.manual_seed(0)
        w = nn.Parameter(torch.ones(20))
        optimizer = torch.optim.RAdam([w], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = (F.dropout(w, 0.5) ** 2).sum() * x.sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = wrap(step)
        return [*go(step, count=16), w.grad.tolist(), torch.rand(2).tolist()]

    assert_same(run(torch.compile), run(lambda function: function))


@pytest.mark.parametrize("number", [0, 1])
def test_a_transposed_argument_is_not_taken_for_one_that_lies_by_rows(number: int) -> None:
    def times(x: Any) -> Any:
        return x * 1 if x.is_contiguous() else x * 100

    def run(function: Any) -> list[float]:
        arguments = (torch.ones(3, 2) if i % 3 else torch.ones(2, 3).t() for i in range(18))
        return [function(x).sum().item() for x in arguments]

    with tier(number):
        compiled = torch.compile(times)
        assert run(compiled) == run(times)
        assert replayed(compiled) > 0


def test_functions_that_differ_in_a_constant_share_a_program_without_mixing_them_up() -> None:
    def by_two(x: Any) -> Any:
        return (x * 2.0 + 1.0).sum()

    def by_three(x: Any) -> Any:
        return (x * 3.0 + 2.0).sum()

    with tier(1):
        two, three = torch.compile(by_two), torch.compile(by_three)
        for i in range(12):
            x = torch.ones(2) * i
            assert (two(x).item(), three(x).item()) == (4.0 * i + 2.0, 6.0 * i + 4.0)
            assert (x * 4.0 + 3.0).sum().item() == 8.0 * i + 6.0
            assert (two(x).item(), two(x).item()) == (4.0 * i + 2.0, 4.0 * i + 2.0)
        assert replayed(two) > 0
        assert replayed(three) > 0
