"""Values that a function reaches by names which do not stand in it plainly, or not yet."""

from __future__ import annotations

import collections
import dataclasses
import operator
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

import tidu as torch
from tests.replay.training import Wrap, assert_never_stale, go, replayed
from tidu import nn
from tidu.compiler import plain
from tidu.compiler.steps import Buffer
from tidu.replay.conduct import Conduct


def a_module_imported_by_the_function(wrap: Wrap) -> list[Any]:
    settings = types.ModuleType("tidu_test_settings")
    settings.__file__ = __file__
    settings.scale = 2.0
    sys.modules[settings.__name__] = settings

    def whole(x: Any) -> Any:
        import tidu_test_settings

        return x * tidu_test_settings.scale

    def part(x: Any) -> Any:
        from tidu_test_settings import scale

        return x * scale

    whole, part = wrap(whole), wrap(part)
    found = go(whole) + go(part)
    settings.scale = 3.0
    return found + go(whole) + go(part)


class Settings:
    __match_args__ = ("scale", "shift")

    def __init__(self) -> None:
        self.scale, self.shift = 2.0, 1.0


def attributes_in_patterns(wrap: Wrap) -> list[Any]:
    settings = Settings()

    def by_name(x: Any) -> Any:
        match settings:
            case Settings(shift=s):
                return x + s
        return x

    def by_place(x: Any) -> Any:
        match settings:
            case Settings(a, b):
                return x * a + b
        return x

    by_name, by_place = wrap(by_name), wrap(by_place)
    found = go(by_name) + go(by_place)
    settings.shift = 5.0
    return found + go(by_name) + go(by_place)


@dataclasses.dataclass
class Options:
    first: float = 1.0
    second: float = 2.0


def fields_that_are_not_named(wrap: Wrap) -> list[Any]:
    options = Options()
    nested = types.SimpleNamespace(options=options)
    functions = [
        wrap(lambda x: x * sum(dataclasses.astuple(options))),
        wrap(lambda x: x * sum(dataclasses.asdict(options).values())),
        wrap(lambda x: x * operator.attrgetter("options.second")(nested)),
    ]
    found = [go(function) for function in functions]
    options.second = 7.0
    return found + [go(function) for function in functions]


def attributes_of_the_keys_of_a_dictionary(wrap: Wrap) -> list[Any]:
    key = Settings()
    known = {key: 1}
    function = wrap(lambda x: x * sum(k.scale for k in known))
    found = go(function)
    key.scale = 9.0
    return found + go(function)


class Number(float):
    """A number with attributes of its own."""


def attributes_of_a_number(wrap: Wrap) -> list[Any]:
    number = Number(2.0)
    number.extra = 3.0  # type: ignore[attr-defined]
    function = wrap(lambda x: x * number.extra)  # type: ignore[attr-defined]
    found = go(function)
    number.extra = 4.0  # type: ignore[attr-defined]
    return found + go(function)


def a_global_that_hides_a_built_in_function(wrap: Wrap) -> list[Any]:
    def absolute(x: Any) -> Any:
        return x * abs(-2.0)

    variables = {"__name__": __name__, "__package__": __package__}
    function = wrap(types.FunctionType(absolute.__code__, variables))
    found = go(function)
    variables["abs"] = lambda _: 7.0  # type: ignore[assignment]
    return found + go(function)


def code_that_is_in_no_module(wrap: Wrap) -> list[Any]:
    variables: dict[str, Any] = {"scale": 2.0}
    exec("def scaled(x):\n    import math\n    return x * math.floor(scale)", variables)
    function = wrap(variables["scaled"])
    found = go(function)
    variables["scale"] = 5.0
    return found + go(function)


SCENARIOS = [
    a_module_imported_by_the_function,
    attributes_in_patterns,
    fields_that_are_not_named,
    attributes_of_the_keys_of_a_dictionary,
    attributes_of_a_number,
    a_global_that_hides_a_built_in_function,
    code_that_is_in_no_module,
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda f: f.__name__)
def test_what_is_reached_by_other_names_is_never_stale(scenario: Callable[[Wrap], Any]) -> None:
    assert_never_stale(scenario)


class Queue(collections.deque[float]):
    """A container whose numbers can be exchanged without anybody being told."""


class Proxy:
    def __getattribute__(self, name: str) -> float:
        return {"scale": 2.0}[name]


QUEUE, PROXY = Queue([1.0]), Proxy()


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: x * QUEUE[0], "changes cannot be noticed"),
        (lambda x: x * PROXY.scale, "raises KeyError"),
    ],
)
def test_what_cannot_be_watched_runs_in_every_call(function: Any, reason: str) -> None:
    compiled = torch.compile(function)
    with pytest.warns(UserWarning, match=reason):
        for _ in range(12):
            assert compiled(torch.ones(2)).tolist() == function(torch.ones(2)).tolist()
    assert replayed(compiled) == 0


def test_a_step_count_that_is_written_between_calls_is_followed() -> None:
    def run(wrap: Wrap) -> list[Any]:
        weight = nn.Parameter(torch.ones(3))
        optimizer = torch.optim.Adam([weight], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = ((weight - 2) ** 2 * x).sum()
            loss.backward()
            optimizer.step()
            return loss.detach()

        step = wrap(step)
        found = []
        for i in range(12):
            found += go(step, count=1)
            if i % 3:
                optimizer.state[weight]["step"].fill_(10.0 * i)
        return [*found, weight.tolist()]

    assert_never_stale(run)


def test_the_fields_that_the_compiler_itself_looks_at_are_not_the_users() -> None:
    plain._fields.cache_clear()
    with Conduct() as ours:
        plain._fields(Buffer)
    with Conduct() as theirs:
        dataclasses.asdict(Options())
    assert (ours.any_name, theirs.any_name) == (False, True)
