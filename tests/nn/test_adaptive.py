"""The adaptive softmax gives PyTorch's numbers, gradients and complaints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def layer(library: Any, **options: Any) -> Any:
    library.manual_seed(0)
    return library.nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10], **options)


def batch(library: Any, targets: Any) -> tuple[Any, Any]:
    targets = np.array(targets)
    inputs = np.random.default_rng(1).normal(size=(*targets.shape, 16)).astype("float32")
    return library.tensor(inputs), library.tensor(targets)


@pytest.mark.parametrize("options", [{}, {"div_value": 2.0, "head_bias": True}])
@pytest.mark.parametrize("targets", [[0, 4, 5, 9, 10, 19], [1, 2], [19], 7])
def test_losses_and_gradients_are_those_of_pytorch(targets: Any, options: dict[str, Any]) -> None:
    found = []
    for library in (torch, tidu):
        model = layer(library, **options)
        output, loss = model(*batch(library, targets))
        loss.backward()
        gradients = [
            np.zeros(tuple(p.shape)) if p.grad is None else p.grad.numpy()
            for p in model.parameters()
        ]
        found.append([output.detach().numpy(), loss.detach().numpy(), *gradients])
    for ours, theirs in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_probabilities_and_predictions_are_those_of_pytorch() -> None:
    found = []
    for library in (torch, tidu):
        model = layer(library)
        x, _ = batch(library, range(16))
        found.append((model.log_prob(x).detach().numpy(), model.predict(x * 5).numpy()))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[1][1], found[0][1])
    assert {bool(label < 5) for label in found[1][1]} == {True, False}


MISTAKES: dict[str, Callable[[Any], Any]] = {
    "no cutoffs": lambda L: L.nn.AdaptiveLogSoftmaxWithLoss(8, 20, []),
    "unsorted": lambda L: L.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [10, 5]),
    "too large": lambda L: L.nn.AdaptiveLogSoftmaxWithLoss(8, 20, [20]),
    "a target too large": lambda L: layer(L)(*batch(L, [0, 20])),
    "a negative target": lambda L: layer(L)(*batch(L, [0, -1])),
    "two targets each": lambda L: layer(L)(*batch(L, [[0, 1]])),
    "one input less": lambda L: layer(L)(L.ones(2, 16), L.tensor([1, 2, 3])),
    "inputs of three dimensions": lambda L: layer(L)(L.ones(2, 1, 16), L.tensor([1, 2])),
    "one target, two inputs": lambda L: layer(L)(L.ones(2, 16), L.tensor(1)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_answered_as_pytorch_does(mistake: str) -> None:
    messages = []
    for library in (torch, tidu):
        with pytest.raises((ValueError, RuntimeError)) as error:
            MISTAKES[mistake](library)
        messages.append(f"{error.type.__name__}: {error.value}".strip())
    assert messages[1].startswith(messages[0])
