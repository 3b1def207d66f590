"""The forms of compile(), and what may stand inside a compiled function."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest

import tidu as torch
from tests.replay.training import Training, assert_same, losses, replayed
from tidu import execute, nn
from tidu.backends import in_place
from tidu.backends.cpu import CpuProgram
from tidu.programs import programs
from tidu.replay import program


def test_a_compiled_module_is_the_module() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5))
    compiled = torch.compile(model, mode="reduce-overhead", dynamic=False)
    assert isinstance(compiled, nn.Module)
    assert list(compiled.state_dict()) == ["_orig_mod.0.weight", "_orig_mod.0.bias"]
    assert [p is q for p, q in zip(compiled.parameters(), model.parameters(), strict=True)]
    compiled.eval()
    assert not model[1].training
    assert compiled._orig_mod is model


def test_the_forms_of_the_call() -> None:
    @torch.compile(mode="max-autotune", fullgraph=True)
    def one(x: Any) -> Any:
        """Adds one."""
        return x + 1

    assert one(torch.zeros(1)).item() == 1
    assert (one.__name__, one.__doc__) == ("one", "Adds one.")

    def plain(x: Any) -> Any:
        return x

    assert torch.compile(plain, disable=True) is plain
    with pytest.raises(TypeError, match="function or a module"):
        torch.compile(3)
    with pytest.raises(RuntimeError, match="can't be specified"):
        torch.compile(plain, mode="default", options={})


def test_compiled_functions_nest() -> None:
    t = Training()
    t.step = torch.compile(t.step)

    @torch.compile
    def outer(x: Any, y: Any) -> Any:
        return t.step(x, y).detach() * 2

    expected = Training()
    for i in range(12):
        loss = expected.step(expected.x + i, expected.y).detach() * 2
        assert_same(outer(t.x + i, t.y).item(), loss.item())
    assert replayed(outer) > 0


def test_compiled_programs_take_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute.engine, "tier", None)
    native = []
    finish = in_place.InPlace.finish

    def counted(run: Any, arrays: Any, *, alone: bool) -> Any:
        native.append(1)
        return finish(run, arrays, alone=alone)

    monkeypatch.setattr(in_place.InPlace, "finish", counted)
    plain, t = Training(optimizer="Adam", lr=0.01), Training(optimizer="Adam", lr=0.01)
    step = t.step = torch.compile(t.step)
    found = losses(t, 6)
    assert programs.wait()
    found += losses(t, 20)
    assert len(native) >= 10
    assert replayed(step) >= 20
    spaces = [replay.__globals__.values() for replay in step.site.replays]
    segments = [x for space in spaces for x in space if isinstance(x, program.Segment)]
    # None of them looks for its program in each call.
    assert segments and all(x.run != x._first for x in segments)
    np.testing.assert_allclose(found, losses(plain, 6) + losses(plain, 20), rtol=2e-4)


def test_deterministic_steps_run_in_one_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute.engine, "tier", None)
    torch.use_deterministic_algorithms(True)
    try:
        t = Training(dropout=0.3)
        step = t.step = torch.compile(t.step)
        found = losses(t, 12)
        plain = Training(dropout=0.3)
        assert_same(found, losses(plain, 12))
        assert replayed(step) > 0
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


class Clamp(torch.autograd.Function):
    """Clamps, and lets gradients pass where the input was in range."""

    @staticmethod
    def forward(ctx: Any, x: Any, limit: float) -> Any:
        ctx.save_for_backward(x)
        ctx.limit = limit
        return x.clamp(-limit, limit)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * (x.abs() <= ctx.limit), None


def test_custom_functions_and_hooks_within_the_step_are_part_of_it() -> None:
    def run(compiled: bool) -> list[Any]:
        torch.manual_seed(0)
        layer = nn.Linear(3, 3)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            hidden = layer(x)
            hidden.register_hook(lambda g: g * 0.5)
            loss = (Clamp.apply(hidden, 0.7) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        function = torch.compile(step) if compiled else step
        found = [function(torch.ones(2, 3) * i).item() for i in range(15)]
        assert not compiled or replayed(function) > 0
        return [*found, layer.weight.tolist()]

    assert_same(run(True), run(False))


def test_threads_step_their_own_networks() -> None:
    results: dict[int, list[float]] = {}

    def train(number: int) -> None:
        weight = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.Adam([weight], lr=0.1)

        def step(x: Any) -> Any:
            optimizer.zero_grad()
            loss = ((weight * x - number) ** 2).sum()
            loss.backward()
            optimizer.step()
            return loss

        function = torch.compile(step) if number < 10 else step
        results[number] = [function(torch.arange(3.0) + i % 7).item() for i in range(60)]

    workers = [threading.Thread(target=train, args=(n,)) for n in (1, 2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    one, two = results[1], results[2]

    def alone(number: int) -> list[float]:
        weight = torch.ones(3, requires_grad=True)
        optimizer = torch.optim.Adam([weight], lr=0.1)
        found = []
        for i in range(60):
            optimizer.zero_grad()
            loss = ((weight * (torch.arange(3.0) + i % 7) - number) ** 2).sum()
            loss.backward()
            optimizer.step()
            found.append(loss.item())
        return found

    assert_same(one, alone(1))
    assert_same(two, alone(2))


def test_stances_and_switches() -> None:
    class Counted(nn.Module):
        def forward(self, x: Any) -> Any:
            return x + len(seen)

    seen: list[int] = []
    compiled = torch.compile(Counted())._compiled
    for _ in range(8):
        compiled(torch.zeros(1))
    count = replayed(compiled)
    assert count > 0
    with torch.compiler.set_stance("force_eager"):
        for _ in range(5):
            compiled(torch.zeros(1))
    assert replayed(compiled) == count
    with pytest.raises(RuntimeError, match="invalid torch"):
        torch.compiler.set_stance("sometimes")
    assert torch.compiler.is_compiling() is False
    torch.compiler.reset()

    @torch.compiler.disable
    def one() -> int:
        return 1

    @torch.compiler.disable(recursive=False)
    def two() -> int:
        return 2

    assert (one(), two()) == (1, 2)


@pytest.mark.parametrize("how", ["plain", "step", "module"])
def test_a_deterministic_run_that_is_resumed_repeats_the_same_bits(
    monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Whatever waits when the first step begins: copies from the checkpoint, and for it."""
    monkeypatch.setattr(execute.engine, "tier", None)
    x, y = torch.randn(65, 100), torch.randn(65, 1)

    def make() -> tuple[Any, Any, Any]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(100, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        forward = torch.compile(model) if how == "module" else model

        def step() -> None:
            optimizer.zero_grad()
            ((forward(x) - y) ** 2).mean().backward()
            optimizer.step()

        return model, optimizer, torch.compile(step) if how == "step" else step

    def bits(model: Any) -> list[bytes]:
        return [p.detach().numpy().tobytes() for p in model.parameters()]

    torch.use_deterministic_algorithms(True)
    try:
        model, optimizer, step = make()
        for number in range(12):
            if number == 6:
                saved = {name: value.clone() for name, value in model.state_dict().items()}
                state = copy.deepcopy(optimizer.state_dict())
            step()
        again, optimizer, step = make()
        again.load_state_dict(saved)
        optimizer.load_state_dict(state)
        for _ in range(6):
            step()
        assert bits(again) == bits(model)
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_small_step_is_compiled_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without compile(), regions as small as this are left to NumPy."""
    monkeypatch.setattr(execute.engine, "tier", None)
    weight = torch.ones(3, requires_grad=True)

    @torch.compile
    def step(x: Any) -> Any:
        weight.grad = None
        loss = (weight * x).tanh().sum()
        loss.backward()
        return loss

    for _ in range(12):
        step(torch.arange(3.0))
    assert programs.wait()
    for _ in range(3):
        step(torch.arange(3.0))
    assert replayed(step) > 0
    segment = step.site.plans[0].recording.names.table["p0"]
    assert isinstance(programs.made[segment._key], CpuProgram)
