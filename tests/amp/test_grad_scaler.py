"""Scaling of losses, step by step beside PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def history(library: Any) -> list[Any]:
    """Factor, weights and state over steps of which one has infinite gradients."""
    library.manual_seed(0)
    scaler = library.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2)
    model = library.nn.Linear(2, 1)
    optimizer = library.optim.SGD(model.parameters(), 0.125)
    seen = []
    for step in range(6):
        optimizer.zero_grad()
        loss = model(library.ones(1, 2)).sum() * (math.inf if step == 3 else 1)
        scaler.scale(loss).backward()
        if step % 2:
            scaler.unscale_(optimizer)
            library.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        scaler.step(optimizer)
        scaler.update()
        seen.append((scaler.get_scale(), model.weight.tolist(), scaler.state_dict()))
    return seen


def test_a_run_is_that_of_pytorch() -> None:
    ours, theirs = history(tidu), history(torch)
    for (scale, weights, state), (their_scale, their_weights, their_state) in zip(
        ours, theirs, strict=True
    ):
        assert (scale, state) == (their_scale, their_state)
        assert weights == [pytest.approx(row, rel=1e-6) for row in their_weights]
    assert ours[3][1] == ours[2][1], "the step with infinite gradients is left out"


def test_a_state_is_taken_up_again() -> None:
    first = tidu.amp.GradScaler("cpu", init_scale=32.0, growth_factor=4.0)
    second = tidu.amp.GradScaler("cpu")
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict()
    assert second.scale([tidu.tensor(1.0), (tidu.tensor(2.0),)])[1][0].item() == 64.0
    with pytest.raises(RuntimeError, match="state dict is empty"):
        second.load_state_dict({})


def test_calls_out_of_order_are_answered() -> None:
    scaler = tidu.amp.GradScaler("cpu")
    model = tidu.nn.Linear(1, 1)
    optimizer = tidu.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(AssertionError, match="_scale is None"):
        scaler.step(optimizer)
    scaler.scale(model(tidu.ones(1, 1)).sum()).backward()
    with pytest.raises(AssertionError, match="No inf checks"):
        scaler.update()
    with pytest.raises(RuntimeError, match="Closure"):
        scaler.step(optimizer, closure=lambda: 0.0)
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"step\(\) has already"):
        scaler.step(optimizer)
    with pytest.raises(RuntimeError, match=r"after step\(\)"):
        scaler.unscale_(optimizer)
    with pytest.raises(AssertionError, match="growth factor"):
        tidu.amp.GradScaler("cpu", growth_factor=0.5)


def test_without_cuda_the_scaler_for_it_passes_everything_through() -> None:
    with pytest.warns(UserWarning, match="CUDA is not available"):
        scaler = tidu.amp.GradScaler()
    parameter = tidu.nn.Parameter(tidu.ones(1))
    optimizer = tidu.optim.SGD([parameter], 0.5)
    loss = (parameter * 2).sum()
    assert scaler.scale(loss) is loss and not scaler.is_enabled()
    loss.backward()
    scaler.unscale_(optimizer)
    scaler.step(optimizer)
    scaler.update()
    assert parameter.item() == 0.0
    assert (scaler.get_scale(), scaler.state_dict()) == (1.0, {})
