"""Backward passes that come again: what is repeated is what the engine would have done."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tidu
from tests.ops import table
from tests.oracle.programs import STEP, Machine, run_step
from tidu.autograd import gradients, recipes
from tidu.base.state import state
from tidu.execute import cut
from tidu.ir.op import Op
from tidu.ir.structure import region_key
from tidu.ir.value import pending

DIFFERENTIABLE = [
    op for op in table.tested_ops() if op.differentiable and op.grad_name != "NotImplemented"
]


# Sequences of different lengths are put in order by a table that each backward pass makes anew.
WITH_TABLES = {op for op in DIFFERENTIABLE if op.name in ("rnn_layer", "lstm_layer", "gru_layer")}


class Passes:
    """What became of the backward passes."""

    def __init__(self) -> None:
        self.repeated: list[bool] = []

    def last(self) -> bool:
        return bool(self.repeated) and self.repeated[-1]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Passes]:
    monkeypatch.setattr(recipes, "_known", {})
    seen = Passes()

    def watched(*args: Any, **kwargs: Any) -> bool:
        seen.repeated.append(recipes.repeat_backward(*args, **kwargs))
        return seen.last()

    monkeypatch.setattr(gradients, "repeat_backward", watched)
    yield seen


# What is repeated ---------------------------------------------------------------------------------


def _backward_of(op: Op, arguments: tuple[Any, ...]) -> tuple[list[Any], Any]:
    """The gradients of a sum over what an op makes, and the structure of all that was recorded."""
    pending.take()
    inputs, leaves = table.tensors(tidu, arguments, requires_grad=True)
    outputs = [o for o in table.as_outputs(table.ours(op, inputs)) if o.requires_grad]
    if not outputs:
        return [], None
    total = tidu.zeros(())
    for o in outputs:
        # Not by sum(): CPython moves a call to another instruction once it has specialised it, and
        # the tape of another place is another tape.
        total = total + (o * 2.0).sum()
    total.backward()
    region = cut(pending.take())
    return [leaf.grad for leaf in leaves], region_key(region)[0].structure


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.name)
def test_a_repeated_pass_records_what_the_engine_does(op: Op, passes: Passes) -> None:
    for sample in op.samples():
        recipes._known.clear()
        arguments = table.realize_sample(op, sample, "float32")
        by_engine, _, repeated = [_backward_of(op, arguments) for _ in range(3)]
        assert repeated[1] == by_engine[1], sample
        for found, expected in zip(repeated[0], by_engine[0], strict=True):
            assert (found is None) == (expected is None)
            if found is not None:
                np.testing.assert_array_equal(found.numpy(), expected.numpy())
        assert passes.last() or not by_engine[0] or op in WITH_TABLES, sample


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.lists(STEP, min_size=4, max_size=14))
def test_random_programs_give_the_same_bits_again(steps: list[tuple[int, int, int, int]]) -> None:
    recipes._known.clear()
    first, *others = [_outcome(steps) for _ in range(4)]
    for other in others:
        assert [kind for kind, _ in other] == [kind for kind, _ in first]
        for (_, found), (_, expected) in zip(other, first, strict=True):
            np.testing.assert_array_equal(found, expected)


def _outcome(steps: list[tuple[int, int, int, int]]) -> list[tuple[str, Any]]:
    """What a program raised, what its tensors hold, and their gradients after a backward pass
    through all of them.
    """
    machine = Machine(tidu)
    outcome: list[tuple[str, Any]] = [(str(run_step(machine, step)), 0) for step in steps]
    tracked = [t for t in machine.tensors if t.requires_grad]
    if tracked:
        sum((t * t).sum() for t in tracked).backward()
    for t in machine.tensors:
        outcome.append(("tensor", t.detach().numpy()))
        grad = t.grad if t.is_leaf else None
        outcome.append(("nothing", 0) if grad is None else ("gradient", grad.numpy()))
    return outcome


Loss = Callable[..., Any]


class Step:
    """A step that gives the gradients of a loss, which it knows from its last calls."""

    def __init__(self, loss: Loss, *shapes: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        self.loss = loss
        self.leaves = [
            tidu.from_numpy(rng.standard_normal(shape, dtype=np.float32)).requires_grad_()
            for shape in shapes
        ]

    def __call__(self, *arguments: Any) -> Any:
        for leaf in self.leaves:
            leaf.grad = None
        loss = self.loss(*self.leaves, *arguments)
        loss.backward()
        return loss

    def prepare(self, passes: Passes, *arguments: Any) -> None:
        """Take the step until its backward pass is repeated."""
        for _ in range(3):
            self(*arguments)
        assert passes.last()

    def check(self, *arguments: Any) -> None:
        """The gradients of one more step are those that the engine gives."""
        self(*arguments)
        loss = self.loss(*self.leaves, *arguments)
        expected = tidu.autograd.grad(loss, self.leaves, allow_unused=True)
        for leaf, gradient in zip(self.leaves, expected, strict=True):
            if gradient is None:
                assert leaf.grad is None
            else:
                np.testing.assert_array_equal(leaf.grad.numpy(), gradient.numpy())


def _layer(x: Any, w: Any, b: Any) -> Any:
    return (x @ w + b).tanh().sum()


LAYER = ((3, 4), (4, 5), (5,))


def test_gradients_are_added_in_the_order_of_the_engine(passes: Passes) -> None:
    x = tidu.tensor([0.1, 0.2, 0.3], requires_grad=True)

    def loss() -> Any:
        return (x * 0.7 + (x * 1.1) * (x + 0.3) - x / 3.0).sum()

    for _ in range(4):
        before = x.grad
        x.grad = None
        loss().backward()
        found = x.grad.numpy()
        expected = tidu.autograd.grad(loss(), [x])[0].numpy()
        np.testing.assert_array_equal(found, expected)
        if before is not None:
            x.grad = before
            loss().backward()
            np.testing.assert_array_equal(x.grad.numpy(), before.numpy())
    assert passes.last()


def test_a_gradient_that_is_there_is_added_to_in_place(passes: Passes) -> None:
    x = tidu.tensor([1.0, 2.0], requires_grad=True)
    grads = []
    for count in range(1, 6):
        (x * x).sum().backward()
        grads.append(x.grad)
        np.testing.assert_array_equal(x.grad.numpy(), [2.0 * count, 4.0 * count])
    assert passes.last() and all(grad is x.grad for grad in grads)


def test_numbers_that_derivatives_hand_on_may_change(passes: Passes) -> None:
    step = Step(lambda x, factor: (x * factor).sum(), (3,))
    step.prepare(passes, 1.5)
    for factor in (2.0, -0.0, 0.0, float("inf")):
        step.check(factor)
        assert passes.last()


def test_numbers_that_derivatives_look_at_are_part_of_the_recipe(passes: Passes) -> None:
    step = Step(lambda x, exponent: (x**exponent).sum(), (3,))
    step.prepare(passes, 2.0)
    for exponent in (3.0, 2.0, 0.0, 2.5, 1.0):
        step.check(exponent)
    step.prepare(passes, 3.0)
    step.check(3.0)


def test_zeros_of_different_sign_are_different_numbers(passes: Passes) -> None:
    step = Step(lambda x, exponent: (x**exponent).sum(), (3,))
    step.prepare(passes, 0.0)
    step(-0.0)
    assert not passes.last()


def test_attributes_shapes_and_dtypes_are_part_of_the_recipe(passes: Passes) -> None:
    step = Step(lambda x, y, dim: (x.to(y.dtype) * y).cumsum(dim).prod(dim).sum(), (3, 3))
    y = tidu.ones(3, 3)
    step.prepare(passes, y, 0)
    for other in (y, tidu.ones(2, 3, 3), tidu.ones(3), y.double(), y.half(), y):
        step.check(other, 0)
        step.check(other, -1)


def test_two_leaves_are_not_one(passes: Passes) -> None:
    step = Step(lambda x, y, same: (x * (x if same else y)).sum(), (3,), (3,))
    step.prepare(passes, False)
    step.check(True)
    step.prepare(passes, True)
    step.check(False)


def test_a_leaf_that_needs_no_gradient_any_more_gets_none(passes: Passes) -> None:
    step = Step(_layer, *LAYER)
    step.prepare(passes)
    step.leaves[1].requires_grad_(False)
    step()
    assert step.leaves[1].grad is None and step.leaves[2].grad is not None
    step.leaves[1].requires_grad_()
    step.check()


def test_operations_in_another_order_are_another_tape(passes: Passes) -> None:
    def loss(x: Any, swapped: bool) -> Any:
        if swapped:
            b = x * 1.1
            a = x * 0.7
        else:
            a = x * 0.7
            b = x * 1.1
        return (a + b + x * 0.3).sum()

    step = Step(loss, (7,))
    step.prepare(passes, False)
    step(True)
    assert not passes.last()
    step.check(True)


def test_the_second_of_two_results_is_not_the_first(passes: Passes) -> None:
    step = Step(lambda x, n: x.sort().values.sum() * 0.0 + x.topk(2)[0][n].sum(), (4, 3))
    step.prepare(passes, 0)
    step.check(1)
    halves = Step(lambda x, n: x.chunk(2)[n].exp().sum(), (4, 3))
    halves.prepare(passes, 0)
    halves.check(1)


# What is not repeated -----------------------------------------------------------------------------


def test_hooks_are_called(passes: Passes) -> None:
    step = Step(_layer, *LAYER)
    step.prepare(passes)
    called = []
    hooks = [
        step.leaves[0].register_hook(lambda g: called.append("tensor") or g * 2.0),
        step.leaves[1].register_post_accumulate_grad_hook(lambda x: called.append("leaf")),
    ]
    plain = Step(_layer, *LAYER)
    plain()
    step()
    assert sorted(called) == ["leaf", "tensor"] and not passes.last()
    np.testing.assert_array_equal(step.leaves[0].grad.numpy(), 2 * plain.leaves[0].grad.numpy())
    for hook in hooks:
        hook.remove()
    step.check()


def test_hooks_at_the_tape_are_called_and_gradients_retained(passes: Passes) -> None:
    seen: list[Any] = []

    def loss(x: Any, what: str) -> Any:
        y = x.exp()
        if what == "tensor":
            y.register_hook(lambda g: seen.append(g.numpy()))
        elif what == "node":
            y.grad_fn.register_hook(lambda into, out: seen.append(out[0].numpy()))
        elif what == "before":
            y.grad_fn.register_prehook(lambda out: seen.append(out[0].numpy()))
        elif what == "retain":
            y.retain_grad()
            seen.append(y)
        return (y * y).sum()

    step = Step(loss, (3,))
    step.prepare(passes, "")
    for what in ("tensor", "node", "before", "retain"):
        seen.clear()
        step(what)
        assert not passes.last()
        (found,) = seen
        found = found.grad.numpy() if what == "retain" else found
        np.testing.assert_allclose(found, 2 * step.leaves[0].detach().exp().numpy(), rtol=1e-6)


def test_a_second_pass_over_a_freed_tape_is_an_error(passes: Passes) -> None:
    step = Step(_layer, *LAYER)
    step.prepare(passes)
    loss = step()
    assert passes.last()
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_a_retained_tape_may_be_used_again(passes: Passes) -> None:
    step = Step(_layer, *LAYER)
    step.prepare(passes)
    for leaf in step.leaves:
        leaf.grad = None
    loss = step.loss(*step.leaves)
    loss.backward(retain_graph=True)
    assert passes.last()
    once = [leaf.grad.numpy().copy() for leaf in step.leaves]
    loss.backward()
    for leaf, gradient in zip(step.leaves, once, strict=True):
        np.testing.assert_array_equal(leaf.grad.numpy(), 2 * gradient)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_what_no_gradient_came_by_is_not_freed(passes: Passes) -> None:
    matrix, x = tidu.eye(2).requires_grad_(), tidu.tensor(0.1).requires_grad_()
    for number in range(4):
        tolerance = x * x
        tidu.linalg.pinv(matrix, atol=tolerance).sum().backward()
        assert passes.last() == (number >= 2)
        tidu.autograd.grad(tolerance, x)  # an error if it had been freed


def test_functions_of_the_users_are_called(passes: Passes) -> None:
    called = []

    class Double(tidu.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2.0

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            called.append(g)
            return g * 2.0

    step = Step(lambda x: Double.apply(x.exp()).sum(), (3,))
    for _ in range(5):
        step()
        assert not passes.last()
    assert len(called) == 5


def test_saved_tensor_hooks_are_called(passes: Passes) -> None:
    step = Step(_layer, *LAYER)
    step.prepare(passes)
    unpacked = []
    with tidu.autograd.graph.saved_tensors_hooks(lambda x: x, lambda x: unpacked.append(x) or x):
        step()
    assert unpacked and not passes.last()


def test_anomalies_are_looked_for(passes: Passes) -> None:
    step = Step(lambda x, y: (x * y).sqrt().sum(), (3,))
    step.prepare(passes, tidu.ones(3))
    with (
        tidu.autograd.set_detect_anomaly(True),
        pytest.warns(UserWarning, match="Error detected"),
        pytest.raises(RuntimeError, match="nan"),
    ):
        step(tidu.full((3,), float("nan")))


def test_a_pass_that_is_another_each_time_is_not_learned_for_ever(
    passes: Passes, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = []
    found_out = recipes._found_out
    monkeypatch.setattr(
        recipes, "_found_out", lambda *args: learned.append(args) or found_out(*args)
    )

    def loss(x: Any, count: int) -> Any:
        for _ in range(count):
            x = x.exp()
        return x.sum()

    step = Step(loss, (3,))
    for count in range(30):
        step(count)
    assert 0 < len(learned) < 10


def test_nothing_is_kept_alive_by_a_recipe(passes: Passes) -> None:
    step = Step(_layer, *LAYER)
    step.prepare(passes)
    loss = step()
    assert passes.last()
    references = [weakref.ref(loss._storage.value), weakref.ref(step.leaves[1].grad._storage.value)]
    references += [weakref.ref(loss.grad_fn)]
    step.leaves[1].grad = None
    del loss
    pending.take()
    assert [reference() for reference in references] == [None] * 3


def test_a_list_without_room_is_left_to_the_engine(
    passes: Passes, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Step(_layer, *LAYER)
    step.prepare(passes)
    monkeypatch.setattr(state.own.pending, "limit", 8)
    step.check()
    assert not passes.last()
