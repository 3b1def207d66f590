"""What the base class does: groups, state dicts, step counts, hooks, closures, regions."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import tidu
import tidu.optim
from tidu.execute import stats
from tidu.optim import SGD, Adam, AdamW, NAdam, Optimizer


def parameter(*values: float) -> Any:
    return tidu.tensor(values, requires_grad=True)


def backward(*parameters: Any) -> None:
    sum((p * p).sum() for p in parameters).backward()


def test_plain_descent_has_no_state() -> None:
    x = parameter(1.0, 2.0)
    optimizer = SGD([x], lr=0.1)
    backward(x)
    optimizer.step()
    assert optimizer.state_dict()["state"] == {}
    np.testing.assert_allclose(x.detach().numpy(), [0.8, 1.6], rtol=1e-6)


def test_step_counts_are_tensors_that_are_always_up_to_date() -> None:
    x = parameter(1.0)
    optimizer = Adam([x])
    backward(x)
    optimizer.step()
    step = optimizer.state[x]["step"]
    assert (step.dtype, tuple(step.shape), step.item()) == (tidu.float32, (), 1.0)
    for _ in range(3):
        optimizer.step()
    assert step.item() == 4.0
    assert optimizer.state_dict()["state"][0]["step"] is step


@pytest.mark.parametrize("how", ["assigned", "filled", "loaded"])
def test_step_counts_that_others_write_are_used(how: str) -> None:
    def run(change: bool) -> Any:
        x = parameter(1.0, -2.0)
        optimizer = NAdam([x], lr=0.1)
        for number in range(4):
            if change and number == 2:
                state = optimizer.state[x]
                if how == "assigned":
                    state["step"] = tidu.tensor(50.0)
                elif how == "filled":
                    state["step"].fill_(50.0)
                else:
                    saved = copy.deepcopy(optimizer.state_dict())
                    saved["state"][0]["step"] = tidu.tensor(50.0)
                    optimizer.load_state_dict(saved)
            optimizer.zero_grad()
            backward(x)
            optimizer.step()
        return x.tolist(), optimizer.state[x]["step"].item()

    plain, count = run(False)
    changed, other = run(True)
    assert (count, other) == (4.0, 52.0)
    assert changed != plain


@pytest.mark.parametrize("kind", ["Adam", "AdamW", "NAdam"])
def test_parameters_that_miss_updates_have_step_counts_of_their_own(kind: str) -> None:
    torch = pytest.importorskip("torch")

    def run(library: Any) -> list[list[float]]:
        parameters = [library.nn.Parameter(library.ones(2)) for _ in range(3)]
        optimizer = getattr(library.optim, kind)(parameters, lr=0.1)
        for step in range(6):
            for number, parameter in enumerate(parameters):
                missed = number == 1 and step in (0, 3)
                parameter.grad = None if missed else library.full((2,), 1.0 + step + number)
            optimizer.step()
        counts = [optimizer.state[parameter]["step"].item() for parameter in parameters]
        return [counts, *(parameter.detach().tolist() for parameter in parameters)]

    ours, theirs = run(tidu), run(torch)
    assert ours[0] == theirs[0] == [6.0, 4.0, 6.0]
    np.testing.assert_allclose(ours[1:], theirs[1:], rtol=1e-6)


def test_two_optimizers_may_share_their_state() -> None:
    x = parameter(1.0)
    first, second = Adam([x]), Adam([x])
    backward(x)
    first.step()
    second.load_state_dict(first.state_dict())
    first.step()
    second.step()
    assert second.state[x]["step"].item() == 3.0


def test_loading_converts_to_the_dtype_of_the_parameter() -> None:
    x = parameter(1.0)
    optimizer = Adam([x])
    backward(x)
    optimizer.step()
    y = tidu.ones(1, dtype=tidu.float64).requires_grad_()
    other = Adam([y])
    other.load_state_dict(optimizer.state_dict())
    assert other.state[y]["exp_avg"].dtype == tidu.float64
    assert other.state[y]["step"].dtype == tidu.float32


def test_pickle_and_deepcopy() -> None:
    x = parameter(1.0, 2.0)
    optimizer = Adam([x], lr=0.5)
    backward(x)
    optimizer.step()
    for other in (pickle.loads(pickle.dumps(optimizer)), copy.deepcopy(optimizer)):
        (y,) = other.param_groups[0]["params"]
        assert y is not x and y.tolist() == x.tolist()
        assert other.state[y]["step"].item() == 1.0
        y.grad = tidu.ones(2)
        other.step()
        assert other.state[y]["step"].item() == 2.0
    assert optimizer.state[x]["step"].item() == 1.0


def test_zero_grad() -> None:
    x = parameter(1.0)
    optimizer = SGD([x])
    backward(x)
    grad = x.grad
    optimizer.zero_grad(set_to_none=False)
    assert x.grad is grad and grad.tolist() == [0.0]
    optimizer.zero_grad()
    assert x.grad is None


def test_groups_and_names() -> None:
    x, y = parameter(1.0), parameter(2.0)
    optimizer = SGD([("x", x)], lr=0.1)
    optimizer.add_param_group({"params": [("y", y)], "lr": 0.2})
    assert optimizer.state_dict()["param_groups"][1]["param_names"] == ["y"]
    assert optimizer.state_dict()["param_groups"][1]["params"] == [1]
    other = SGD([{"params": [parameter(1.0)]}, {"params": [parameter(1.0)]}])
    other.load_state_dict(optimizer.state_dict())
    assert [group["lr"] for group in other.param_groups] == [0.1, 0.2]


def test_a_closure_runs_with_gradients_enabled() -> None:
    x = parameter(3.0)
    optimizer = SGD([x], lr=0.5)

    def closure() -> Any:
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    with tidu.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert x.item() == 0.0


def test_hooks() -> None:
    log: list[Any] = []
    x = parameter(1.0)
    optimizer = SGD([x], lr=0.5)
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: log.append("after"))
    everywhere = tidu.optim.optimizer.register_optimizer_step_pre_hook(
        lambda o, args, kwargs: log.append("everywhere")
    )
    optimizer.step()
    before.remove()
    everywhere.remove()
    optimizer.step()
    assert log == ["everywhere", "before", "after", "after"]


def test_hooks_of_state_dicts() -> None:
    optimizer = SGD([parameter(1.0)], lr=0.5)
    optimizer.register_state_dict_post_hook(lambda o, state: {**state, "note": 1})
    assert optimizer.state_dict()["note"] == 1
    optimizer.register_load_state_dict_pre_hook(lambda o, state: state["inner"])
    optimizer.load_state_dict({"inner": optimizer.state_dict()})


def test_a_pre_hook_may_change_the_arguments() -> None:
    x = parameter(1.0)
    optimizer = SGD([x], lr=0.5)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: ((*args, lambda: 7), kwargs))
    assert optimizer.step() == 7
    optimizer.register_step_pre_hook(lambda o, args, kwargs: "nonsense")
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        optimizer.step()


class Signs(Optimizer):
    """Written as users write theirs for PyTorch."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, dict(lr=lr))

    @tidu.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                state["count"] = state.get("count", 0) + 1
                p.add_(p.grad.sign(), alpha=-group["lr"])


class Twice(Signs):
    def step(self, closure: Any = None) -> None:
        super().step()
        super().step()


def test_optimizers_of_users() -> None:
    x = parameter(1.0, -1.0)
    log: list[Any] = []
    optimizer = Twice([x])
    optimizer.register_step_post_hook(lambda *_: log.append("after"))
    backward(x)
    optimizer.step()
    np.testing.assert_allclose(x.detach().numpy(), [0.8, -0.8], rtol=1e-6)
    assert optimizer.state_dict()["state"] == {0: {"count": 2}}
    assert log == ["after"]
    assert x._storage.value.is_realized


class Around(Optimizer):
    """Wraps another optimizer and, as many do, never calls Optimizer.__init__."""

    def __init__(self, inner: Optimizer) -> None:
        self.inner = inner
        self.param_groups, self.defaults = inner.param_groups, inner.defaults

    def step(self, closure: Any = None) -> Any:
        return self.inner.step(closure)


def test_a_wrapper_that_was_never_initialised_steps_and_has_a_schedule() -> None:
    x = tidu.ones(1, requires_grad=True)
    x.grad = tidu.ones(1)
    outer = Around(SGD([x], lr=0.5))
    schedule = tidu.optim.lr_scheduler.ExponentialLR(outer, 0.5)
    outer.step()
    schedule.step()
    outer.step()
    assert x.item() == 1 - 0.5 - 0.25


def test_an_optimizer_without_step() -> None:
    class Nothing(Optimizer):
        pass

    with pytest.raises(NotImplementedError, match="Nothing defines neither"):
        Nothing([parameter(1.0)], {}).step()


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, NAdam])
def test_a_training_step_is_one_region_whatever_the_rate(kind: Any) -> None:
    weights = [parameter(*([float(i + 1)] * 3)) for i in range(4)]
    optimizer = kind(weights, lr=0.1)
    schedule = tidu.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)

    def train() -> None:
        optimizer.zero_grad()
        backward(*weights)
        optimizer.step()
        schedule.step()

    for _ in range(3):
        train()
    before = stats()
    for _ in range(10):
        train()
    after = stats()
    assert after["regions"] - before["regions"] == 10
    assert after["structures"] == before["structures"]


def test_differentiating_through_steps() -> None:
    torch = pytest.importorskip("torch")
    results = []
    for library in (torch, tidu):
        for kind in ("SGD", "Adam"):
            start = library.tensor([1.0, -2.0], dtype=library.float64, requires_grad=True)
            lr = library.tensor(0.1, dtype=library.float64, requires_grad=True)
            x = start.clone()
            optimizer = getattr(library.optim, kind)([x], lr=lr, differentiable=True)
            for _ in range(2):
                x.grad = (x * x * x).detach() + x
                optimizer.step()
            x.sum().backward()
            results.append((start.grad.tolist(), lr.grad.tolist()))
    # PyTorch's differentiable Adam corrects its averages in single precision.
    for found, expected, rtol in zip(results[2:], results[:2], (1e-12, 1e-4)):
        np.testing.assert_allclose(found[0], expected[0], rtol=rtol)
        np.testing.assert_allclose(found[1], expected[1], rtol=rtol)


def test_options_may_be_numpy_numbers_and_integers() -> None:
    results = []
    for number in (float, np.float64, np.float32):
        x = parameter(1.0, 2.0)
        optimizer = Adam([x], lr=number(0.5), weight_decay=number(0.25), eps=number(0.125))
        backward(x)
        optimizer.step()
        results.append(x.tolist())
    assert results[1] == results[2] == results[0]
    optimizer = SGD([x], lr=1, momentum=1, weight_decay=1, dampening=0)
    optimizer.step()
    optimizer.step()
