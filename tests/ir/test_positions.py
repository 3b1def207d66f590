"""Every Value carries the line of the user's code that made it, however the operation is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tidu
from tidu.base.source import line_of
from tidu.base.state import state

F = tidu.nn.functional


def _add_in_place(x: Any) -> None:
    x += 1.0


def _assign(x: Any) -> None:
    x[0] = 1.0


WAYS: dict[str, Callable[[Any], Any]] = {
    "operator": lambda x: x * 2.0,
    "operator of two tensors": lambda x: x - x,
    "reflected operator": lambda x: 2.0 / x,
    "power": lambda x: x**2,
    "augmented operator": _add_in_place,
    "comparison": lambda x: x < 1.0,
    "negation": lambda x: -x,
    "method": lambda x: x.exp(),
    "method with attributes": lambda x: x.sum(0, keepdim=True),
    "method in place": lambda x: x.mul_(3.0),
    "zero_": lambda x: x.zero_(),
    "fill_": lambda x: x.fill_(2.0),
    "function": lambda x: tidu.tanh(x),
    "function of several": lambda x: tidu.cat([x, x]),
    "view": lambda x: x.view(2, 2),
    "index": lambda x: x[1:3],
    "assignment": _assign,
    "functional": lambda x: F.relu(x),
    "factory": lambda x: tidu.zeros_like(x),
    "layer": tidu.nn.Linear(4, 4),
    "layers": tidu.nn.Sequential(tidu.nn.Linear(4, 4), tidu.nn.ReLU()),
    "loss": lambda x: F.mse_loss(x, x),
    "several results": lambda x: x.max(0),
}


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_value_carries_the_line_that_made_it(way: str, gradient: bool) -> None:
    x = tidu.tensor([1.0, 2.0, 3.0, 4.0], requires_grad=gradient).clone()
    tidu.realize()
    call = WAYS[way]
    result = call(x)
    # A function of the table has a line of its own; a layer is called by the line above.
    is_layer = isinstance(call, tidu.nn.Module)
    code = (test_a_value_carries_the_line_that_made_it if is_layer else call).__code__
    lines = {line_of(value.position) for value in state.own.pending.values}
    assert len(lines) == 1
    assert lines <= {(__file__, line) for _, _, line in code.co_lines()}
    del result


def test_the_backward_pass_gives_its_values_the_lines_of_the_forward_pass() -> None:
    x = tidu.ones(3, requires_grad=True)
    y = x * 2.0
    z = y.exp()
    first = y._value.position
    second = z._value.position
    tidu.realize()
    z.backward(tidu.ones(3))
    cotangents = [v for v in state.own.pending.values if v.op is not None and v.op.name == "mul"]
    assert [v.position for v in cotangents] == [second, first]


def test_the_updates_of_an_optimizer_carry_the_line_that_calls_step() -> None:
    w = tidu.ones(3, requires_grad=True)
    w.grad = tidu.ones(3)
    optimizer = tidu.optim.SGD([w], lr=0.1)
    tidu.realize()
    seen: list[Any] = []
    optimizer.register_step_post_hook(lambda *_: seen.extend(state.own.pending.values))
    optimizer.step()
    line = test_the_updates_of_an_optimizer_carry_the_line_that_calls_step.__code__
    assert seen
    assert all(value.position[0] is line for value in seen)


def test_what_one_line_makes_in_a_row_shares_one_position() -> None:
    x = tidu.ones(2)
    first, second = (x * 2.0 for _ in range(2))
    assert first._value.position is second._value.position


def test_code_that_was_made_anew_has_its_own_lines() -> None:
    x = tidu.ones(2)
    for number in range(50):  # each takes the place in memory of one before it
        made: dict[str, Any] = {"x": x}
        exec(compile("\n" * number + "y = x * 2.0", "made", "exec"), made)
        position = made["y"]._value.position
        assert position is not None
        assert line_of(position) == ("made", number + 1)
        tidu.realize()
