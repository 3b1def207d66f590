"""Averages of weights are those of PyTorch, saved and loaded, and cost no recompilation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu
import tidu.optim.swa_utils

torch = pytest.importorskip("torch")

LIBRARIES = (torch, tidu)


def model(library: Any) -> Any:
    library.manual_seed(0)
    nn = library.nn
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))


def batches(library: Any, count: int) -> list[Any]:
    rng = np.random.default_rng(1)
    return [library.tensor(rng.normal(size=(6, 3)).astype("float32")) for _ in range(count)]


def numbers(module: Any) -> dict[str, Any]:
    return {name: x.detach().numpy() for name, x in module.state_dict().items()}


def assert_same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def averaged(library: Any, make: Callable[[Any], dict[str, Any]], steps: int = 4) -> Any:
    """A model that was trained and averaged, and its average."""
    net = model(library)
    average = library.optim.swa_utils.AveragedModel(net, **make(library.optim.swa_utils))
    optimizer = library.optim.SGD(net.parameters(), lr=0.1)
    for x in batches(library, steps):
        optimizer.zero_grad()
        net(x).pow(2).sum().backward()
        optimizer.step()
        average.update_parameters(net)
    return average


KINDS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "equal": lambda utils: {},
    "equal, with buffers": lambda utils: {"use_buffers": True},
    "equal, of lists": lambda utils: {"multi_avg_fn": utils.get_swa_multi_avg_fn()},
    "exponential": lambda utils: {"avg_fn": utils.get_ema_avg_fn(0.9)},
    "exponential, of lists": lambda utils: {
        "multi_avg_fn": utils.get_ema_multi_avg_fn(0.9),
        "use_buffers": True,
    },
    "of one's own": lambda utils: {"avg_fn": lambda mean, x, n: mean * 0.5 + x * 0.5 + n * 0.01},
}


@pytest.mark.parametrize("kind", KINDS)
def test_averages_are_those_of_pytorch(kind: str) -> None:
    expected, found = (averaged(library, KINDS[kind]) for library in LIBRARIES)
    assert_same(numbers(found), numbers(expected))
    assert int(found.n_averaged) == 4
    x, y = (library.ones(2, 3) for library in LIBRARIES)
    np.testing.assert_allclose(
        found.eval()(y).detach().numpy(), expected.eval()(x).detach().numpy(), rtol=1e-5, atol=1e-6
    )


def test_an_average_goes_on_after_loading() -> None:
    whole = averaged(tidu, KINDS["equal"])
    loaded = tidu.optim.swa_utils.AveragedModel(model(tidu))
    loaded.load_state_dict(whole.state_dict())
    assert int(loaded.n_averaged) == 4
    for average in (whole, loaded):
        average.update_parameters(model(tidu))
    assert_same(numbers(loaded), numbers(whole))


@pytest.mark.parametrize("batch", ["tensor", "tuple"])
def test_batch_norms_learn_their_statistics_anew(batch: str) -> None:
    found = []
    for library in LIBRARIES:
        average = averaged(library, KINDS["equal"]).eval()
        data = batches(library, 3)
        loader = data if batch == "tensor" else [(x, None) for x in data]
        library.optim.swa_utils.update_bn(loader, average)
        assert not average.training and average.module[1].momentum == 0.1
        found.append(numbers(average))
    assert_same(found[1], found[0])


@pytest.mark.parametrize("strategy", ["cos", "linear"])
@pytest.mark.parametrize("epochs", [0, 1, 5])
def test_rates_anneal_as_in_pytorch(strategy: str, epochs: int) -> None:
    rates = []
    for library in LIBRARIES:
        w, v = library.zeros(2, requires_grad=True), library.zeros(2, requires_grad=True)
        optimizer = library.optim.SGD([{"params": [w]}, {"params": [v], "lr": 0.5}], lr=0.1)
        scheduler = library.optim.swa_utils.SWALR(optimizer, [0.05, 0.9], epochs, strategy)
        seen = []
        for _ in range(8):
            optimizer.step()
            scheduler.step()
            seen.append([group["lr"] for group in optimizer.param_groups])
        rates.append((seen, scheduler.state_dict()))
    np.testing.assert_allclose(rates[1][0], rates[0][0], rtol=1e-12)
    assert rates[1][1].keys() == rates[0][1].keys()


MISTAKES: dict[str, Callable[[Any, Any], Any]] = {
    "decay": lambda library, utils: utils.get_ema_avg_fn(1.5),
    "both functions": lambda library, utils: utils.AveragedModel(
        library.nn.Linear(1, 1), avg_fn=max, multi_avg_fn=max
    ),
    "strategy": lambda library, utils: utils.SWALR(
        library.optim.SGD([library.zeros(1)], 0.1), 0.1, anneal_strategy="none"
    ),
    "epochs": lambda library, utils: utils.SWALR(
        library.optim.SGD([library.zeros(1)], 0.1), 0.1, anneal_epochs=-1
    ),
    "number of rates": lambda library, utils: utils.SWALR(
        library.optim.SGD([library.zeros(1)], 0.1), [0.1, 0.2]
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_answered_as_pytorch_does(mistake: str) -> None:
    messages = []
    for library in LIBRARIES:
        with pytest.raises((ValueError, AssertionError)) as error:
            MISTAKES[mistake](library, library.optim.swa_utils)
        messages.append(f"{error.type.__name__}: {error.value}")
    assert messages[1].startswith(messages[0])


def test_updating_an_average_runs_nothing_by_itself() -> None:
    net = model(tidu)
    average = tidu.optim.swa_utils.AveragedModel(net)
    average.update_parameters(net)
    with tidu.no_grad():
        net[0].weight.add_(1.0)
    average.update_parameters(net)
    assert average.module[0].weight._storage.value.buffer is None  # still to be computed
    np.testing.assert_allclose(
        average.module[0].weight.detach().numpy(), net[0].weight.detach().numpy() - 0.5, rtol=1e-6
    )
