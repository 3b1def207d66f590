"""What a compiled function is given: tensors alone and in containers, and what it may ask of them.

A call is only replayed where its arguments are like those that were recorded.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu as torch
from tests.replay.training import Wrap, assert_never_stale, replayed

Batch = collections.namedtuple("Batch", "x y")
Calls = list[tuple[Any, ...]]


def _known() -> Callable[[Any], Any]:
    weight = torch.full((3,), 5.0)
    return lambda x: x * 2 if x is weight else x * weight


def _labelled(label: int) -> torch.Tensor:
    tensor = torch.ones(3)
    tensor.label = label
    return tensor


def _with_gradient() -> torch.Tensor:
    tensor = torch.ones(3)
    tensor.grad = torch.ones(3)
    return tensor


def _in_inference_mode() -> torch.Tensor:
    with torch.inference_mode():
        return torch.ones(3)


_ONE = torch.ones(3)

# A function, what it is given at first, and what later.
DEPARTURES: dict[str, tuple[Callable[..., Any], Callable[[], tuple[Any, ...]], tuple[Any, ...]]] = {
    "the same tensor twice": (
        lambda a, b: a * 2 if a is b else a * 3,
        lambda: (torch.ones(3), torch.ones(3)),
        (_ONE, _ONE),
    ),
    "the same tensor twice in a container": (
        lambda batch: batch["a"][0] * (2 if batch["a"][0] is batch["b"] else 3),
        lambda: ({"a": [torch.ones(3)], "b": torch.ones(3)},),
        ({"a": [_ONE], "b": _ONE},),
    ),
    "an attribute": (
        lambda x: x * getattr(x, "label", 1),
        lambda: (torch.ones(3),),
        (_labelled(5),),
    ),
    "a gradient": (
        lambda x: x * 2 if x.grad is None else x * 3,
        lambda: (torch.ones(3),),
        (_with_gradient(),),
    ),
    "inference mode": (
        lambda x: x * 2 if x.is_inference() else x * 3,
        lambda: (torch.ones(3),),
        (_in_inference_mode(),),
    ),
    "another number in a container": (
        lambda batch: batch["x"] * batch["n"],
        lambda: ({"x": torch.ones(3), "n": 2},),
        ({"x": torch.ones(3), "n": 3},),
    ),
    "another key": (
        lambda batch: sum(batch.values()),
        lambda: ({"x": torch.ones(3)},),
        ({"x": torch.ones(3), "y": torch.ones(3)},),
    ),
}


@pytest.mark.parametrize("name", DEPARTURES)
def test_arguments_that_differ_from_those_recorded_are_noticed(name: str) -> None:
    function, first, later = DEPARTURES[name]

    def scenario(wrap: Wrap) -> list[Any]:
        wrapped = wrap(function)
        return [wrapped(*first()).tolist() for _ in range(8)] + [wrapped(*later).tolist()]

    assert_never_stale(scenario)


def test_a_tensor_that_the_function_knows_is_noticed_among_the_arguments() -> None:
    def scenario(wrap: Wrap) -> list[Any]:
        function = _known()
        (known,) = (cell.cell_contents for cell in function.__closure__ or ())
        wrapped = wrap(function)
        return [wrapped(torch.ones(3)).tolist() for _ in range(8)] + [wrapped(known).tolist()]

    assert_never_stale(scenario)


CONTAINERS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, Any], Any]]] = {
    "tuple": (lambda batch: batch[0] * batch[1], lambda x, y: (x, y)),
    "list": (lambda batch: batch[0] * batch[1], lambda x, y: [x, y]),
    "dictionary": (lambda batch: batch["x"] * batch["y"], lambda x, y: {"x": x, "y": y}),
    "named tuple": (lambda batch: batch.x * batch.y, Batch),
    "ordered dictionary": (
        lambda batch: batch["x"] * batch["y"],
        lambda x, y: collections.OrderedDict(x=x, y=y),
    ),
    "shape": (lambda batch: batch[0].view(batch[1]), lambda x, y: (x * y, y.shape)),
    "nested": (
        lambda batch: batch["a"][0][0] * batch["b"],
        lambda x, y: {"a": [(x, "text", 1)], "b": y},
    ),
}


@pytest.mark.parametrize("kind", CONTAINERS)
def test_a_batch_in_a_container_is_replayed_with_the_numbers_of_each_call(kind: str) -> None:
    function, make = CONTAINERS[kind]

    def scenario(wrap: Wrap) -> list[Any]:
        wrapped = wrap(function)
        numbers = (torch.arange(3.0) + i for i in range(10))
        return [wrapped(make(x, x + 1)).tolist() for x in numbers]

    assert_never_stale(scenario)


def _put_in(batch: Any) -> Any:
    batch["y"] = batch["x"] * 2
    return batch["y"]


def _put_elsewhere(batch: Any) -> Any:
    batch["x"] = batch["x"] * 2
    return batch["x"]


@pytest.mark.parametrize("function", [_put_in, _put_elsewhere])
def test_a_function_that_changes_a_container_it_is_given_runs_in_every_call(function: Any) -> None:
    compiled = torch.compile(function)
    with pytest.warns(UserWarning, match="it changes an argument"):
        for i in range(12):
            batch = {"x": torch.full((2,), float(i))}
            result = compiled(batch)
            assert result is batch["y" if function is _put_in else "x"]
            assert result.tolist() == [2.0 * i] * 2


ASKED = {
    "where in its memory": lambda x: x * x.storage_offset(),
    "how often": lambda x: x * x._version,
    "whether a tensor is a view": lambda x: x * x._is_view(),
    "where a tensor lies": lambda x: x * (x.data_ptr() == 0),
}


@pytest.mark.parametrize("question", ASKED)
def test_a_function_runs_in_every_call_if_it_asks_what_no_condition_covers(question: str) -> None:
    function = ASKED[question]
    compiled = torch.compile(function)
    rows = torch.arange(12.0).reshape(4, 3)
    with pytest.warns(UserWarning, match=f"it asks {question}"):
        for i in range(12):
            rows.add_(1.0)
            x = rows[i % 4] if i > 8 else rows[0]
            assert compiled(x).tolist() == function(x).tolist()
    assert replayed(compiled) == 0


def test_parts_of_one_tensor_are_arguments_of_their_own() -> None:
    """Inputs and targets of a language model are parts of one batch, but need not be."""

    def scenario(wrap: Wrap) -> list[Any]:
        function = wrap(lambda x, y: (x * 2 + y).sum(0))
        found = []
        for i in range(12):
            batch = torch.arange(8.0).view(2, 4) + i
            x, y = batch[:, :-1], batch[:, 1:]
            if i > 8:
                x, y = torch.ones(2, 3) * i, batch[:, :3]
            if i > 10:
                x, y = x.contiguous(), torch.zeros(2, 3)
            found.append(function(x, y).tolist())
        whole = torch.arange(6.0).view(2, 3)
        return [
            *found,
            function(whole, whole[:]).tolist(),
            function(whole, whole.detach()).tolist(),
        ]

    assert_never_stale(scenario)


def test_numbers_of_numpy_are_compared_like_pythons() -> None:
    def scenario(wrap: Wrap) -> list[Any]:
        function = wrap(lambda x, n: x * float(n))
        numbers = [np.float32(2.0)] * 8 + [np.float32(3.0)] * 8
        return [function(torch.ones(2), type(n)(n)).tolist() for n in numbers]

    assert_never_stale(scenario)
