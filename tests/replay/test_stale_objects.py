"""Objects, modules and tensors that change in ways that their classes do not see."""

from __future__ import annotations

import collections
import copy
import functools
import types
from collections.abc import Callable
from typing import Any

import pytest

import tidu as torch
from tests.replay.training import Wrap, assert_never_stale, go
from tidu import nn


def attributes_of_modules_set_past_setattr(wrap: Wrap) -> list[Any]:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self._factor = 2.0
            self.weight = nn.Parameter(torch.ones(3))

        @property
        def factor(self) -> float:
            return self._factor

        def forward(self, x: Any) -> Any:
            return x * self.weight * self.factor

    module = Scaled()
    function = wrap(lambda x: module(x).detach())
    found = go(function)
    object.__setattr__(module, "_factor", 3.0)
    found += go(function)
    vars(module)["_factor"] = 4.0
    found += go(function)
    module._parameters["weight"] = nn.Parameter(torch.ones(3) * 5)
    return found + go(function)


def parts_exchanged_in_the_dictionary(wrap: Wrap) -> list[Any]:
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    function = wrap(lambda x: model(x).detach())
    found = go(function)
    model._modules["1"] = nn.Sigmoid()
    found += go(function)
    model[0]._parameters["bias"] = None
    return found + go(function)


def hooks_cleared_in_the_dictionary(wrap: Wrap) -> list[Any]:
    layer = nn.Linear(3, 3)
    layer.register_forward_hook(lambda module, args, out: out * 2)
    layer.register_forward_pre_hook(lambda module, args: (args[0] + 1,))
    function = wrap(lambda x: layer(x).detach())
    found = go(function)
    layer._forward_hooks.clear()
    found += go(function)
    layer._forward_pre_hooks.clear()
    return found + go(function)


def methods_of_an_optimizer_hidden(wrap: Wrap) -> list[Any]:
    w = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.SGD([w], lr=0.1)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()
        return w.grad.clone()

    step = wrap(step)
    found = go(step)
    optimizer.zero_grad = lambda: None  # type: ignore[method-assign]
    return found + go(step) + [w.tolist()]


def modules_without_a_file(wrap: Wrap) -> list[Any]:
    module = types.ModuleType("made_by_hand")
    exec("factor = 2.0\ndef use(x):\n    return x * factor\n", vars(module))
    function = wrap(lambda x: module.use(x) + module.factor)
    found = go(function)
    module.factor = 3.0  # type: ignore[attr-defined]
    found += go(function)
    module.use = lambda x: -x  # type: ignore[attr-defined]
    return found + go(function)


def functions_that_dispatch(wrap: Wrap) -> list[Any]:
    @functools.singledispatch
    def factor(kind: Any) -> float:
        return 1.0

    factor.register(int, lambda kind: 2.0)
    function = wrap(lambda x: x * factor(0))
    found = go(function)
    factor.register(int, lambda kind: 3.0)
    return found + go(function)


def containers_of_the_standard_library(wrap: Wrap) -> list[Any]:
    below, held = {"a": 1.0}, collections.UserDict(b=2.0)
    several = collections.ChainMap({}, below)
    function = wrap(lambda x: x * several["a"] + held["b"])
    found = go(function)
    below["a"] = 3.0
    found += go(function)
    held["b"] = 4.0
    found += go(function)
    several["a"] = 5.0
    return found + go(function)


def classes_of_classes(wrap: Wrap) -> list[Any]:
    class Registry(type):
        known: dict[str, float] = {"factor": 2.0}

        @property
        def factor(cls) -> float:
            return cls.known["factor"]

    class Settings(metaclass=Registry):
        pass

    function = wrap(lambda x: x * Settings.factor)
    found = go(function)
    Registry.known["factor"] = 3.0
    return found + go(function)


def attributes_looked_for_in_vain(wrap: Wrap) -> list[Any]:
    weight, layer = torch.ones(3), nn.Linear(3, 3)

    def function(x: Any) -> Any:
        factor = 2.0 if getattr(weight, "doubled", False) else 1.0
        return (x * weight * factor).sum() + sum(getattr(p, "extra", 0) for p in layer.parameters())

    function = wrap(function)
    found = go(function)
    weight.doubled = True  # type: ignore[attr-defined]
    found += go(function)
    layer.bias.extra = 1.0  # type: ignore[attr-defined]
    found += go(function)
    layer.bias.extra = 3.0  # type: ignore[attr-defined]
    found += go(function)
    del weight.doubled  # type: ignore[attr-defined]
    return found + go(function)


SCENARIOS = [
    attributes_of_modules_set_past_setattr,
    parts_exchanged_in_the_dictionary,
    hooks_cleared_in_the_dictionary,
    methods_of_an_optimizer_hidden,
    modules_without_a_file,
    functions_that_dispatch,
    containers_of_the_standard_library,
    classes_of_classes,
    attributes_looked_for_in_vain,
]


@pytest.mark.filterwarnings("ignore:compile..:UserWarning")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda f: f.__name__)
def test_what_changes_unseen_is_never_replayed_as_it_was(scenario: Callable[[Wrap], Any]) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()

    def seeded(wrap: Wrap) -> Any:
        torch.set_rng_state(state)
        return scenario(wrap)

    assert_never_stale(seeded)


def test_sections_of_mixed_precision_have_replays_of_their_own() -> None:
    layer = nn.Linear(3, 3)
    function = torch.compile(lambda x: layer(x).detach())
    for precision in (None, torch.bfloat16, torch.float16, None, torch.bfloat16):
        for _ in range(6):
            with torch.autocast("cpu", dtype=precision, enabled=precision is not None):
                assert function(torch.ones(3)).dtype is (precision or torch.float32)


def test_a_function_that_keeps_its_results_is_not_replayed() -> None:
    factor = [1.0]

    @functools.cache
    def remembered() -> float:
        return factor[0]

    function = torch.compile(lambda x: x * remembered())
    with pytest.warns(UserWarning, match="keeps earlier results"):
        found = [function(torch.ones(1)).item() for _ in range(10)]
    factor[0] = 2.0
    remembered.cache_clear()
    found += [function(torch.ones(1)).item() for _ in range(10)]
    assert found == [1.0] * 10 + [2.0] * 10


def test_a_copy_of_a_compiled_module_has_numbers_of_its_own() -> None:
    compiled = torch.compile(nn.Linear(3, 1, bias=False))
    average = copy.deepcopy(compiled)
    with torch.no_grad():
        before = [average(torch.ones(3)).item() for _ in range(8)][-1]
        compiled.weight.add_(1.0)
        assert average(torch.ones(3)).item() == before
        assert compiled(torch.ones(3)).item() == pytest.approx(before + 3.0)
        average.weight.zero_()
        assert average(torch.ones(3)).item() == 0.0
