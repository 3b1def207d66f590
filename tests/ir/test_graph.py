"""The graph: what is pending, what a region contains, when two are alike,
and what the verifier refuses.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest

import tidu
from tidu import execute
from tidu.backends.null import NullBackend
from tidu.base.state import state
from tidu.ir.render import render_region
from tidu.ir.structure import Key
from tidu.ir.value import Value, pending
from tidu.ir.verify import InvalidGraphError, verify_region
from tidu.ops.elementwise import add, mul


@pytest.fixture(autouse=True)
def nothing_pending() -> None:
    tidu.realize()


def _cut() -> list[Value]:
    return execute.cut(pending.take())


def test_operations_are_gathered_and_run_when_a_number_is_asked_for() -> None:
    x = tidu.ones(3)
    y = x * 2 + 1
    assert not y._value.is_realized
    assert y.sum().item() == 9.0
    assert y._value.is_realized


def test_what_nobody_holds_is_never_run() -> None:
    before = execute.stats()["values"]
    x = tidu.ones(3)
    for _ in range(10):
        x * 2  # dropped at once
    assert x.sum().item() == 3.0
    assert execute.stats()["values"] - before == 2  # ones and sum


def test_a_value_that_was_run_forgets_what_it_was_made_of() -> None:
    y = tidu.ones(3) * 2
    tidu.realize()
    value = y._value
    assert value.op is None and value.inputs == ()


def test_intermediate_values_are_freed_while_the_region_runs() -> None:
    x = tidu.ones(4)
    y = x * 2
    held = y._value
    z = y + 1
    del y
    region = _cut()
    assert execute.region_key(region)[0].held == tuple(
        i for i, v in enumerate(region) if v is held or v is z._value or v is x._value
    )


def _program(scale: float, size: int = 3) -> Key:
    x = tidu.ones(size)
    y = (x * scale).tanh()
    key, _, _ = execute.region_key(_cut())
    del y
    return key


def test_numbers_are_arguments_of_a_program_and_do_not_change_its_key() -> None:
    assert _program(0.1) == _program(0.2)


def test_shapes_are_part_of_the_key() -> None:
    assert _program(0.1, 3) != _program(0.1, 4)


def test_what_is_held_is_part_of_the_key() -> None:
    x = tidu.ones(3)
    a = x * 2
    b = a + 1
    first, _, _ = execute.region_key(_cut())
    x = tidu.ones(3)
    b = x * 2 + 1
    second, _, _ = execute.region_key(_cut())
    assert first != second
    del a, b


def test_a_training_step_is_one_region_that_the_optimizer_closes() -> None:
    model = tidu.nn.Sequential(tidu.nn.Linear(4, 3), tidu.nn.ReLU(), tidu.nn.Linear(3, 1))
    optimizer = tidu.optim.Adam(model.parameters(), lr=0.1)
    x, y = tidu.randn(8, 4), tidu.randn(8, 1)

    def step() -> Any:
        optimizer.zero_grad()
        loss = tidu.nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    step()
    before = execute.stats()["regions"]
    loss = step()
    loss.item()
    assert execute.stats()["regions"] - before == 1


def test_steps_of_a_schedule_have_one_structure() -> None:
    model = tidu.nn.Linear(4, 20)
    optimizer = tidu.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = tidu.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    x = tidu.randn(800, 4)
    for number in range(6):
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()
        schedule.step()
        if number == 1:  # the first step makes the momentum buffers
            structures = execute.stats()["structures"]
    assert execute.stats()["structures"] == structures


def test_a_region_closes_when_it_grows_past_the_limit() -> None:
    x = tidu.ones(2)
    limit = state.own.pending.limit
    for _ in range(limit + 10):
        x = x + 1
    assert len(state.own.pending.values) <= limit
    assert x[0].item() == limit + 11


def test_the_text_of_a_region() -> None:
    x = tidu.tensor([[1.0, 2.0], [3.0, 4.0]])
    y = (x * 2.0).t().sum(1, keepdim=True)
    text = render_region(_cut())
    assert text == "\n".join(
        [
            "%in0 = f32[2, 2] leaf",
            "%0 = f32[2, 2] mul(%in0, 2.0)",
            "%1 = f32[2, 2] permute(%0, dims=(1, 0))",
            "%2 = f32[2, 1] sum(%1, dims=(1,), keepdim=True)",
        ]
    )
    del y


def test_the_text_names_the_lines_of_the_user() -> None:
    x = tidu.ones(2)
    tidu.realize()
    y = x.exp()  # this line
    assert "y = x.exp()  # this line" in render_region(_cut(), lines=True)
    del y


def test_the_gradient_carries_the_line_of_the_forward_operation() -> None:
    x = tidu.ones(2, requires_grad=True)
    y = x.exp().sum()  # forward line
    y.backward()
    assert "x.exp().sum()  # forward line" in render_region(_cut(), lines=True).splitlines()[-1]


def _value(
    inputs: tuple[Any, ...], shape: tuple[int, ...] = (2,), dtype: Any = tidu.float32
) -> Value:
    return Value(mul, inputs, (), shape, dtype, None)


def test_the_verifier_refuses_what_does_not_follow_the_rules() -> None:
    x = tidu.ones(2)
    tidu.realize()
    leaf = x._value
    good = _value((leaf, leaf))
    verify_region([good])
    cases = {
        "a leaf is not run": [leaf],
        "neither a leaf nor defined earlier": [_value((good, leaf))],
        "an input of type str": [_value((leaf, "two"))],
        "its rule gives": [_value((leaf, leaf), shape=(3,))],
        "attributes that cannot be part of a key": [
            Value(add, (leaf, leaf), ([],), (2,), tidu.float32, None)
        ],
    }
    for message, region in cases.items():
        with pytest.raises(InvalidGraphError, match=message):
            verify_region(region)
    other = tidu.ones(2, dtype=tidu.float64)
    tidu.realize()
    with pytest.raises(InvalidGraphError, match="still cast"):
        verify_region([_value((leaf, other._value), dtype=tidu.float64)])
    pending.take()


def test_an_error_at_run_time_names_the_line_that_made_the_operation() -> None:
    x = tidu.arange(4)
    index = (tidu.ones(1) * 9).long()
    picked = x[index]  # the line at fault
    with pytest.raises(IndexError, match="the line at fault"):
        picked.tolist()
    with pytest.raises(IndexError):  # and again for whoever asks again
        picked.tolist()
    assert x.tolist() == [0, 1, 2, 3]  # nothing else is harmed


def test_memory_of_values_is_freed_without_the_garbage_collector() -> None:
    w = tidu.ones(10, requires_grad=True)

    def steps(count: int) -> None:
        for _ in range(count):
            w.grad = None
            (w * w).sum().backward()
            tidu.realize()

    gc.disable()
    try:
        steps(3)
        gc.collect()
        before = len(gc.get_objects())
        steps(50)
        assert len(gc.get_objects()) - before < 20
    finally:
        gc.enable()


def test_the_null_backend_gives_shapes_and_computes_nothing() -> None:
    backend = execute.engine.backend
    execute.engine.backend = NullBackend()
    try:
        y = tidu.ones(2, 3) @ tidu.ones(3, 4)
        assert y.numpy().shape == (2, 4)
    finally:
        execute.engine.backend = backend
