"""Muon follows PyTorch's, to the last bits that bfloat16 arithmetic leaves alike."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch")


def trained(library: Any, options: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    rng = np.random.default_rng(0)
    shapes = [(3, 4), (5, 2), (6, 6)]
    parameters = [
        library.tensor(rng.normal(size=shape).astype("float32"), requires_grad=True)
        for shape in shapes
    ]
    optimizer = library.optim.Muon(parameters, **options)
    for _ in range(10):
        for parameter, shape in zip(parameters, shapes):
            parameter.grad = library.tensor(rng.normal(size=shape).astype("float32"))
        optimizer.step()
    return [p.detach().numpy() for p in parameters], optimizer.state_dict()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.1, "nesterov": False, "weight_decay": 0.5},
        {"adjust_lr_fn": "original", "momentum": 0.5},
        {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3},
        {"ns_coefficients": (2.0, -1.5, 0.5), "eps": 1e-2},
    ],
)
def test_numbers_and_state_are_those_of_pytorch(options: dict[str, Any]) -> None:
    (expected, expected_state), (found, state) = (trained(L, options) for L in (torch, tidu))
    for one, other in zip(found, expected):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert state["param_groups"] == expected_state["param_groups"]
    for index, entry in expected_state["state"].items():
        assert list(state["state"][index]) == list(entry)
        for name, tensor in entry.items():
            np.testing.assert_allclose(
                state["state"][index][name].numpy(), tensor.numpy(), rtol=1e-5, atol=1e-6
            )


def test_the_signature_is_that_of_pytorch() -> None:
    def signature(library: Any) -> list[Any]:
        parameters = inspect.signature(library.optim.Muon).parameters.values()
        return [(p.name, p.kind, p.default) for p in parameters]

    assert signature(tidu) == signature(torch)


def test_singular_values_come_near_one() -> None:
    weight = tidu.zeros(8, 5, requires_grad=True)
    weight.grad = tidu.tensor(np.random.default_rng(0).normal(size=(8, 5)).astype("float32"))
    tidu.optim.Muon([weight], lr=1.0, weight_decay=0.0).step()
    # The update is scaled by the square root of 8 / 5.
    values = np.linalg.svd(weight.detach().numpy(), compute_uv=False) / np.sqrt(8 / 5)
    assert np.all((values > 0.5) & (values < 1.5))
