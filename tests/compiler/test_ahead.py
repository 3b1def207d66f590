"""The workers run what nobody asks for yet, while more is recorded: nothing else may change."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tidu
from tests.compiler.test_processes import FORK, Training, _in_child, needs_fork
from tests.compiler.tiers import launch_whatever_can_be, tier
from tidu import Tensor, nn
from tidu.backends import spmd, threads
from tidu.backends.cpu import CpuProgram
from tidu.execute import engine
from tidu.nn import functional as F

pytestmark = pytest.mark.skipif(not spmd.can_work_together(), reason="there are no workers here")


class Seen:
    """How many programs were launched, begun before their region was recorded, and continued."""

    def __init__(self) -> None:
        self.launched = self.begun = self.continued = 0


@pytest.fixture(autouse=True)
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[Seen]:
    """Everything that can be is launched."""
    launch_whatever_can_be(monkeypatch)
    found = Seen()

    def count(name: str, method: str) -> None:
        original = getattr(CpuProgram, method)

        def counting(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            setattr(found, name, getattr(found, name) + (result is not None))
            return result

        monkeypatch.setattr(CpuProgram, method, counting)

    count("launched", "launch")
    count("begun", "begin")
    count("continued", "proceed")
    before = threads.get_num_threads()
    threads.set_num_threads(2)
    with tier(1):
        yield found
    threads.set_num_threads(before)


class Network:
    """Something of each kind: convolution, normalization, dropout, embedding, attention."""

    def __init__(self) -> None:
        tidu.manual_seed(0)
        self.embed = nn.Embedding(11, 16)
        self.body = nn.Sequential(
            nn.Conv1d(16, 8, 3, padding=1), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2)
        )
        self.head = nn.Linear(8, 11)
        layers = nn.ModuleList([self.embed, self.body, self.head])
        self.parameters = [*layers.parameters()]
        self.optimizer = tidu.optim.AdamW(self.parameters, lr=1e-2)
        self.tokens = tidu.randint(0, 11, (6, 10))

    def loss(self) -> Tensor:
        x = self.body(self.embed(self.tokens).transpose(1, 2)).transpose(1, 2)
        x = F.scaled_dot_product_attention(x, x, x)
        return F.cross_entropy(self.head(x).flatten(0, 1), self.tokens.flatten())

    def step(self) -> Tensor:
        self.optimizer.zero_grad()
        loss = self.loss()
        loss.backward()
        self.optimizer.step()
        return loss


def _trained(steps: int) -> list[Any]:
    network = Network()
    losses = [network.step().item() for _ in range(steps)]
    return [losses, *(x.tolist() for x in network.parameters)]


def test_the_same_bits_as_without_workers(seen: Seen) -> None:
    ahead = _trained(8)
    # The first steps make the optimizer's state and are remembered.
    assert seen.launched + seen.continued == 8 and seen.begun == seen.continued >= 4
    threads.set_num_threads(1)
    assert _trained(8) == ahead


class Wanderer:
    """Training whose steps go on in many ways after the same forward pass."""

    ACTIONS = (
        "step", "read the loss", "keep the hidden", "read a gradient", "skip", "scale", "shrink",
        "other parameters", "second pass", "interrupted",
    )  # fmt: skip

    def __init__(self) -> None:
        tidu.manual_seed(3)
        self.models = [nn.Sequential(nn.Linear(6, 9), nn.Tanh(), nn.Linear(9, 6)) for _ in range(2)]
        self.optimizers = [tidu.optim.SGD(m.parameters(), 0.1, momentum=0.9) for m in self.models]
        self.x = tidu.randn(7, 6)
        self.found: list[Any] = []

    def act(self, action: str, number: float) -> None:
        which = int(action == "other parameters")
        model, optimizer = self.models[which], self.optimizers[which]
        optimizer.zero_grad()
        hidden = model[1](model[0](self.x * number))
        loss = (model[2](hidden) - self.x).square().mean()
        kept = hidden if action == "keep the hidden" else None
        del hidden
        loss.backward(retain_graph=action == "second pass")
        weight = model[0].weight
        assert weight.grad is not None
        if action == "interrupted":
            self.found.append((tidu.arange(3.0) * number).tolist())
        if action == "read a gradient":
            self.found.append(weight.grad.tolist())
        if action == "second pass":
            loss.backward()
        with tidu.no_grad():
            if action == "scale":
                weight.grad.mul_(number)
            if action == "shrink":
                weight.mul_(0.5)
        if action != "skip":
            optimizer.step()
        if action == "read the loss":
            self.found.append(loss.item())
        if kept is not None:
            self.found.append(kept.tolist())

    def held(self) -> list[Any]:
        return [self.found, *(x.tolist() for m in self.models for x in m.parameters())]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sampled_from(Wanderer.ACTIONS), min_size=1, max_size=12))
def test_a_head_start_in_vain_changes_nothing(actions: list[str]) -> None:
    """What was expected after the steps before does not come: same bits as if nothing had been."""
    held = []
    for workers in (2, 1):
        threads.set_num_threads(workers)
        wanderer = Wanderer()
        for number, action in enumerate(["step"] * 5 + actions + ["step"]):
            wanderer.act(action, 1.0 + number / 8)
        held.append(wanderer.held())
    assert held[0] == held[1]


def test_numbers_and_leaves_of_a_head_start_are_those_of_its_own_step(seen: Seen) -> None:
    for workers in (2, 1):
        threads.set_num_threads(workers)
        wanderer = Wanderer()
        for number in range(12):
            wanderer.x = tidu.full((7, 6), float(number))
            wanderer.act("step", 1.0 / (1 + number))
        if workers == 2:
            assert seen.continued >= 6
            ahead = wanderer.held()
    assert wanderer.held() == ahead


def test_the_loss_is_there_while_the_rest_of_the_step_is_run(seen: Seen) -> None:
    wanderer = Wanderer()
    for _ in range(6):
        wanderer.act("step", 1.0)
    before = seen.continued
    wanderer.act("read the loss", 1.0)
    assert seen.continued == before + 1
    assert engine.flight is not None


def test_a_thread_reads_what_another_one_launched() -> None:
    network, found = Network(), []
    for _ in range(10):
        loss = network.step()
        assert engine.flight is not None
        thread = threading.Thread(target=lambda: found.append(loss.item()))
        thread.start()
        thread.join()
    assert found == _trained(10)[0]


def test_what_nobody_holds_any_more_may_be_in_flight() -> None:
    for _ in range(20):
        network = Network()
        network.step()
        del network
    assert tidu.ones(3).sum().item() == 3.0


@needs_fork
def test_a_child_forked_in_flight_reads_the_same_numbers() -> None:
    assert FORK is not None
    training = Training()
    for _ in range(5):
        training.step()
        assert _in_child(training.held) == training.held()


def test_the_interpreter_exits_in_flight() -> None:
    script = """
import tidu
from tidu import nn
model = nn.Sequential(nn.Linear(512, 512), nn.Tanh(), nn.Linear(512, 512))
optimizer = tidu.optim.Adam(model.parameters())
x = tidu.randn(256, 512)
for _ in range(6):
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()
from tidu.execute import engine
assert engine.flight is not None
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"TIDU_TIER": "1", "TIDU_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")


class Lookup:
    """Picks rows of a table by what floats say, which no one can check beforehand."""

    def __init__(self) -> None:
        self.table = nn.Parameter(tidu.arange(12.0).reshape(4, 3))
        self.optimizer = tidu.optim.SGD([self.table], lr=0.5, momentum=0.9)

    def step(self, places: Tensor) -> Tensor:
        self.optimizer.zero_grad()
        loss = (self.table[(places * 2).long()] ** 2).sum()
        loss.backward()
        self.optimizer.step()
        return loss

    def held(self) -> list[Any]:
        state = [x.tolist() for s in self.optimizer.state.values() for x in s.values()]
        return [self.table.tolist(), *state]


GOOD, BAD = [0.0, 0.5, 1.5], [0.0, 3.5, 1.0]


def test_an_error_found_by_a_head_start_is_raised_by_the_step(seen: Seen) -> None:
    lookup, other = Lookup(), Lookup()
    for _ in range(6):
        lookup.step(tidu.tensor(GOOD))
    before, begun = lookup.held(), seen.begun
    with pytest.raises(IndexError, match=r"index 7 .*test_ahead\.py"):
        lookup.step(tidu.tensor(BAD))
    assert seen.begun == begun + 1
    assert lookup.held() == before
    lookup.step(tidu.tensor(GOOD))
    for _ in range(7):
        other.step(tidu.tensor(GOOD))
    assert lookup.held() == other.held()


def test_an_error_found_after_the_step_leaves_parameters_as_they_were() -> None:
    """The optimizer has launched the whole step: who asks next is told."""
    lookup = Lookup()
    lookup.step(tidu.tensor(GOOD))
    before = lookup.held()
    loss = lookup.step(tidu.tensor(BAD))
    with pytest.raises(IndexError, match=r"index 7 .*test_ahead\.py"):
        loss.item()
    assert lookup.held() == before
    with pytest.raises(IndexError, match="index 7"):
        loss.item()


def test_an_error_that_nobody_asked_for_is_told_by_the_next_step() -> None:
    lookup = Lookup()
    lookup.step(tidu.tensor(GOOD))
    before = lookup.held()
    lookup.step(tidu.tensor(BAD))
    with pytest.raises(IndexError, match="index 7"):
        lookup.step(tidu.tensor(GOOD))
    assert lookup.held() == before
