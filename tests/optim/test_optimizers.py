"""Every optimizer with every option follows PyTorch's: numbers, state dicts and errors."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tidu
import tidu.optim

torch = pytest.importorskip("torch")

LIBRARIES = (torch, tidu)
SHAPES = [(3, 4), (5,), (), (2, 1, 3)]
STEPS = 20

# For each optimizer the values of each option; all combinations are tried.
OPTIONS: dict[str, dict[str, list[Any]]] = {
    "SGD": {
        "lr": [0.1],
        "momentum": [0, 0.9],
        "dampening": [0, 0.3],
        "nesterov": [False, True],
        "weight_decay": [0, 0.1],
        "maximize": [False, True],
    },
    "Adam": {
        "amsgrad": [False, True],
        "weight_decay": [0, 0.1],
        "maximize": [False, True],
        "decoupled_weight_decay": [False, True],
    },
    "AdamW": {
        "amsgrad": [False, True],
        "weight_decay": [0, 0.1],
        "betas": [(0.9, 0.999), (0.5, 0.7)],
        "eps": [1e-8, 1e-2],
    },
    "Adamax": {"weight_decay": [0, 0.1], "maximize": [False, True], "betas": [(0.8, 0.95)]},
    "NAdam": {
        "weight_decay": [0, 0.1],
        "maximize": [False, True],
        "decoupled_weight_decay": [False, True],
        "momentum_decay": [4e-3, 0.1],
    },
    "RAdam": {
        "weight_decay": [0, 0.1],
        "maximize": [False, True],
        "decoupled_weight_decay": [False, True],
        "betas": [(0.9, 0.999), (0.5, 0.7)],
    },
    "RMSprop": {
        "momentum": [0, 0.9],
        "centered": [False, True],
        "weight_decay": [0, 0.1],
        "maximize": [False, True],
        "alpha": [0.99, 0.4],
    },
    "Adagrad": {
        "lr_decay": [0, 0.1],
        "initial_accumulator_value": [0, 0.9],
        "weight_decay": [0, 0.1],
        "maximize": [False, True],
    },
    "Adafactor": {
        "beta2_decay": [-0.8, -0.3],
        "eps": [(None, 1e-3), (1e-2, 1e-1)],
        "d": [1.0, 2.5],
        "weight_decay": [0, 0.1],
        "maximize": [False, True],
    },
    "Adadelta": {"rho": [0.9, 0.4], "weight_decay": [0, 0.1], "maximize": [False, True]},
    "ASGD": {"t0": [1e6, 3], "lambd": [1e-4, 0.1], "weight_decay": [0, 0.1], "maximize": [True]},
    "Rprop": {"etas": [(0.5, 1.2), (0.9, 1.5)], "step_sizes": [(1e-6, 50), (0.01, 0.05)]},
}
ALL = {
    name
    for name, kind in inspect.getmembers(tidu.optim, inspect.isclass)
    if issubclass(kind, tidu.optim.Optimizer)
} - {"Optimizer"}


def combinations() -> Iterator[Any]:
    for name, options in OPTIONS.items():
        for values in itertools.product(*options.values()):
            chosen = dict(zip(options, values))
            if chosen.get("nesterov") and (not chosen["momentum"] or chosen["dampening"]):
                continue
            marks = ",".join(f"{key}={value}" for key, value in chosen.items())
            yield pytest.param(name, chosen, id=f"{name}-{marks}")


def test_every_optimizer_is_tried() -> None:
    assert {*OPTIONS, "LBFGS", "Muon"} == ALL  # Muon takes matrices only: test_muon.py


class Run:
    """One optimizer of one library, with parameters in two groups and gradients that are given."""

    def __init__(
        self, library: Any, name: str, options: dict[str, Any], dtype: str = "float32"
    ) -> None:
        self.library = library
        self.dtype = dtype
        rng = np.random.default_rng(0)
        self.parameters = [
            library.tensor(rng.normal(size=shape).astype(dtype), requires_grad=True)
            for shape in SHAPES
        ]
        groups = [{"params": self.parameters[:2]}, {"params": self.parameters[2:], "lr": 0.05}]
        self.optimizer = getattr(library.optim, name)(groups, **options)

    def steps(self, first: int, last: int) -> Run:
        for step in range(first, last):
            rng = np.random.default_rng(step + 1)
            self.optimizer.zero_grad()
            for number, parameter in enumerate(self.parameters):
                grad = rng.normal(size=SHAPES[number]).astype(self.dtype)
                if step % 5 != 4 or number % 2:  # now and then some have no gradient
                    parameter.grad = self.library.tensor(grad)
            self.optimizer.step()
        return self

    def numbers(self) -> list[Any]:
        return [np.asarray(p.detach().numpy()) for p in self.parameters]


def assert_same(found: Any, expected: Any, dtype: str) -> None:
    """Equal structure and types, and numbers equal up to the rounding of fused operations."""
    if isinstance(expected, dict):
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key], dtype)
    elif isinstance(expected, (list, tuple)):
        assert type(found) is type(expected) and len(found) == len(expected)
        for one, other in zip(found, expected):
            assert_same(one, other, dtype)
    elif isinstance(expected, torch.Tensor):
        assert isinstance(found, tidu.Tensor)
        assert str(found.dtype) == str(expected.dtype)
        assert tuple(found.shape) == tuple(expected.shape)
        assert_same(found.detach().numpy(), expected.detach().numpy(), dtype)
    elif isinstance(expected, np.ndarray):
        rtol, atol = (2e-5, 2e-6) if dtype == "float32" else (1e-12, 1e-13)
        np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)
    else:
        assert found == expected


@pytest.mark.parametrize("name,options", list(combinations()))
def test_numbers_are_those_of_pytorch(name: str, options: dict[str, Any]) -> None:
    expected, found = (Run(L, name, options, "float64").steps(0, STEPS) for L in LIBRARIES)
    assert_same(found.numbers(), expected.numbers(), "float64")
    assert_same(found.optimizer.state_dict(), expected.optimizer.state_dict(), "float64")


@pytest.mark.parametrize("name", OPTIONS)
def test_numbers_in_single_precision(name: str) -> None:
    expected, found = (Run(L, name, {}).steps(0, STEPS) for L in LIBRARIES)
    assert_same(found.numbers(), expected.numbers(), "float32")
    assert_same(found.optimizer.state_dict(), expected.optimizer.state_dict(), "float32")


@pytest.mark.parametrize("name", OPTIONS)
def test_names_orders_and_defaults_of_arguments(name: str) -> None:
    def signature(library: Any) -> list[Any]:
        parameters = inspect.signature(getattr(library.optim, name)).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    assert signature(tidu) == signature(torch)


@pytest.mark.parametrize("name", sorted(ALL))
def test_repr(name: str) -> None:
    x, y = (library.zeros(2, 2, requires_grad=True) for library in LIBRARIES)
    assert repr(getattr(tidu.optim, name)([y])) == repr(getattr(torch.optim, name)([x]))


def converted(state: Any, library: Any) -> Any:
    """A state dict with its tensors made anew by another library."""
    if isinstance(state, dict):
        return {key: converted(value, library) for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)(converted(value, library) for value in state)
    if isinstance(state, (torch.Tensor, tidu.Tensor)):
        return library.tensor(np.array(state.detach().numpy()))
    return state


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("start,end", [(torch, tidu), (tidu, torch)], ids=["to tidu", "to PyTorch"])
def test_state_dicts_go_from_one_library_to_the_other(name: str, start: Any, end: Any) -> None:
    options = {key: values[-1] for key, values in OPTIONS[name].items()}
    options.pop("nesterov", None)
    whole = Run(start, name, options, "float64").steps(0, 7)
    other = Run(end, name, {}, "float64")
    with torch.no_grad(), tidu.no_grad():
        for parameter, numbers in zip(other.parameters, whole.numbers()):
            parameter.copy_(end.tensor(np.array(numbers)))
    other.optimizer.load_state_dict(converted(whole.optimizer.state_dict(), end))
    # Loading changes dtypes, in PyTorch too: that of `eta` to the parameter's, for one.
    whole.optimizer.load_state_dict(whole.optimizer.state_dict())
    whole.steps(7, 14)
    other.steps(7, 14)
    assert_same(other.numbers(), whole.numbers(), "float64")


@pytest.mark.parametrize("name", OPTIONS)
def test_old_checkpoints_with_step_counts_that_are_numbers(name: str) -> None:
    results = []
    for library in LIBRARIES:
        run = Run(library, name, {}, "float64").steps(0, 3)
        saved = run.optimizer.state_dict()
        for state in saved["state"].values():
            for key in ("step", "mu_product", "eta", "mu"):
                if key in state:
                    state[key] = state[key].item()
        for group in saved["param_groups"]:
            for key in ("maximize", "foreach", "capturable", "differentiable", "fused"):
                if (name, key) != ("Adafactor", "maximize"):  # PyTorch asks every checkpoint for it
                    group.pop(key, None)
        run.optimizer.load_state_dict(saved)
        results.append(run.steps(3, 6))
    expected, found = results
    assert_same(found.numbers(), expected.numbers(), "float64")
    assert_same(
        found.optimizer.state_dict()["state"], expected.optimizer.state_dict()["state"], "float64"
    )


ERRORS: dict[str, Callable[[Any, Any], Any]] = {
    "lr": lambda L, x: L.optim.SGD([x], lr=-1),
    "momentum": lambda L, x: L.optim.SGD([x], lr=1, momentum=-0.5),
    "weight_decay": lambda L, x: L.optim.SGD([x], lr=1, weight_decay=-0.5),
    "nesterov": lambda L, x: L.optim.SGD([x], lr=1, nesterov=True),
    "tensor lr": lambda L, x: L.optim.SGD([x], lr=L.ones(2)),
    "negative tensor lr": lambda L, x: L.optim.SGD([x], lr=L.tensor(-1.0)),
    "lr is text": lambda L, x: L.optim.SGD([x], lr="0.1"),
    "fused and foreach": lambda L, x: L.optim.SGD([x], lr=1, fused=True, foreach=True),
    "fused, differentiable": lambda L, x: L.optim.Adam([x], fused=True, differentiable=True),
    "adam lr": lambda L, x: L.optim.Adam([x], lr=-1e-2),
    "adam nan": lambda L, x: L.optim.Adam([x], lr=float("nan")),
    "adam eps": lambda L, x: L.optim.Adam([x], eps=-1),
    "adam beta 0": lambda L, x: L.optim.Adam([x], betas=(1.0, 0.9)),
    "adam beta 1": lambda L, x: L.optim.AdamW([x], betas=(0.9, -0.1)),
    "adam weight_decay": lambda L, x: L.optim.Adam([x], weight_decay=-1),
    "adam mixed betas": lambda L, x: L.optim.Adam([x], betas=(L.tensor(0.9), 0.99)),
    "adamax beta": lambda L, x: L.optim.Adamax([x], betas=(0.9, 1.0)),
    "nadam decay": lambda L, x: L.optim.NAdam([x], momentum_decay=-1),
    "radam beta": lambda L, x: L.optim.RAdam([x], betas=(-0.9, 0.9)),
    "rmsprop alpha": lambda L, x: L.optim.RMSprop([x], alpha=-1),
    "rmsprop momentum": lambda L, x: L.optim.RMSprop([x], momentum=-1),
    "adagrad lr_decay": lambda L, x: L.optim.Adagrad([x], lr_decay=-1),
    "adagrad initial": lambda L, x: L.optim.Adagrad([x], initial_accumulator_value=-1),
    "adadelta rho": lambda L, x: L.optim.Adadelta([x], rho=1.1),
    "asgd weight_decay": lambda L, x: L.optim.ASGD([x], weight_decay=-1),
    "adafactor lr": lambda L, x: L.optim.Adafactor([x], lr=-1),
    "adafactor decay": lambda L, x: L.optim.Adafactor([x], beta2_decay=0.5),
    "adafactor eps": lambda L, x: L.optim.Adafactor([x], eps=(-1.0, 1e-3)),
    "adafactor d": lambda L, x: L.optim.Adafactor([x], d=0.5),
    "muon vector": lambda L, x: L.optim.Muon([x]),
    "muon rule": lambda L, x: L.optim.Muon([L.ones(2, 2)], adjust_lr_fn="none"),
    "muon momentum": lambda L, x: L.optim.Muon([L.ones(2, 2)], momentum=-1),
    "rprop etas": lambda L, x: L.optim.Rprop([x], etas=(0.5, 0.9)),
    "lbfgs lr": lambda L, x: L.optim.LBFGS([x], lr=-1),
    "lbfgs groups": lambda L, x: L.optim.LBFGS([{"params": [x]}, {"params": [L.ones(1)]}]),
    "no parameters": lambda L, x: L.optim.SGD([]),
    "a tensor": lambda L, x: L.optim.SGD(x),
    "a number": lambda L, x: L.optim.SGD([1.0]),
    "a set": lambda L, x: L.optim.SGD([{"params": {x}}]),
    "not a leaf": lambda L, x: L.optim.SGD([x * 2]),
    "twice": lambda L, x: L.optim.SGD([{"params": [x]}, {"params": [x]}]),
    "some names": lambda L, x: L.optim.SGD([("x", x), L.ones(1)]),
    "names in one group": lambda L, x: L.optim.SGD(
        [{"params": [("x", x)]}, {"params": [L.ones(1)]}]
    ),
    "a group that is no dict": lambda L, x: L.optim.SGD([x]).add_param_group([x]),
    "no params": lambda L, x: L.optim.SGD([{"lr": 1}]),
    "fewer groups": lambda L, x: L.optim.SGD([x]).load_state_dict(
        {"state": {}, "param_groups": []}
    ),
    "smaller group": lambda L, x: L.optim.SGD([x]).load_state_dict(
        {"state": {}, "param_groups": [{"params": []}]}
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_pytorch(name: str) -> None:
    caught = []
    for library in LIBRARIES:
        with pytest.raises(Exception) as error:
            ERRORS[name](library, library.ones(2).requires_grad_())
        caught.append(error)
    expected, found = caught
    assert found.type is expected.type
    # The first words are the same, so that whoever looks for them finds them.
    first = str(expected.value).split(":")[0].split(". ")[0][:40].rstrip(".")
    if name not in ("lr is text",):
        assert first in str(found.value)


def test_groups_with_duplicates_are_warned_of() -> None:
    for library in LIBRARIES:
        x = library.ones(2).requires_grad_()
        with pytest.warns(UserWarning, match="parameter group with duplicate parameters"):
            library.optim.SGD([x, x])


def test_a_gradient_of_another_shape_names_the_parameter() -> None:
    x = tidu.ones(3).requires_grad_()
    y = tidu.ones(2).requires_grad_()
    optimizer = tidu.optim.Adam([("body.weight", y), ("head.bias", x)])
    (x * 2).sum().backward()
    x.data = tidu.ones(3, 1)
    with pytest.raises(
        RuntimeError,
        match=r"Adam.step\(\): parameter 1 \(head.bias\) of group 0 has shape \(3, 1\), but its "
        r"gradient has shape \(3,\)",
    ):
        optimizer.step()


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_parameters_that_share_memory_are_updated_one_after_the_other(name: str) -> None:
    """`b.data = a.data.view(...)`: each update begins with what the one before has left there."""
    found = []
    for module in (torch, tidu):
        a = module.nn.Parameter(module.arange(4.0))
        b = module.nn.Parameter(module.zeros(2, 2))
        b.data = a.data.view(2, 2)
        optimizer = getattr(module.optim, name)([a, b], lr=0.1)
        for _ in range(4):
            optimizer.zero_grad()
            ((a - 1).pow(2).sum() + (b * 2).pow(2).sum()).backward()
            optimizer.step()
        found.append(a.tolist())
        assert b.flatten().tolist() == a.tolist()
    assert found[1] == pytest.approx(found[0], rel=1e-5)
