"""Threads of the user's own, forks, worker processes, Ctrl-C and exceptions in compiled steps."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.interrupts import calls_until
from tests.compiler.steps import digest
from tests.compiler.tiers import forget_programs, launch_whatever_can_be, tier
from tidu import Tensor, nn
from tidu.backends import cpu
from tidu.base import locks
from tidu.base.locks import new_lock
from tidu.compiler import cache
from tidu.data import DataLoader, Dataset
from tidu.execute import engine
from tidu.nn import functional as F
from tidu.ops.updates import normalized_step
from tidu.optim import adam
from tidu.programs import programs

FORK = multiprocessing.get_context("fork") if hasattr(os, "fork") else None
needs_fork = pytest.mark.skipif(FORK is None, reason="needs fork")


@pytest.fixture(autouse=True, params=["run", "launched"])
def _when(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything here holds whether programs are waited for or launched."""
    if request.param == "launched":
        launch_whatever_can_be(monkeypatch)


class Training:
    """A small model under Adam, whose steps can be counted by what it holds."""

    def __init__(self, width: int = 8, seed: int = 0) -> None:
        tidu.manual_seed(seed)
        self.model = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Linear(width, 1))
        self.optimizer = tidu.optim.Adam(self.model.parameters(), lr=0.05)
        numbers = np.random.default_rng(seed).standard_normal((24, 4))
        self.x = tidu.tensor(numbers, dtype=tidu.float32)
        self.y = self.x.sum(1, keepdim=True).sin()

    def loss(self) -> Tensor:
        return F.mse_loss(self.model(self.x), self.y)

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def held(self) -> bytes:
        """All that a step changes: parameters, moments, the count of steps."""
        tensors = list(self.model.parameters())
        for state in self.optimizer.state.values():
            tensors += state.values()
        return b"".join(x.detach().numpy().tobytes() for x in tensors)


def _trajectory(steps: int, **settings: int) -> list[bytes]:
    training = Training(**settings)
    found = [training.held()]
    for _ in range(steps):
        training.step()
        found.append(training.held())
    return found


def _in_child(work: Callable[[], Any]) -> Any:
    """What `work` returns in a child made by fork; fails if that takes longer than a minute."""
    assert FORK is not None
    here, there = FORK.Pipe(duplex=False)

    def run() -> None:
        there.send(work())

    child = FORK.Process(target=run)
    child.start()
    there.close()
    try:
        assert here.poll(60), "the child hangs"
        return here.recv()
    finally:
        child.kill()
        child.join()


@contextmanager
def _automatic() -> Iterator[None]:
    """Regions are compiled in the background when they come again, however small they are."""
    with tier(0):
        engine.tier, programs.immediate = None, False
        yield


def _trained_in_threads(at_once: bool) -> dict[int, bytes]:
    """What models of different widths hold after each was trained by a thread of its own."""
    made = {width: Training(width, width) for width in range(3, 9)}
    errors: list[BaseException] = []

    def train(training: Training) -> None:
        try:
            for _ in range(30):
                training.step()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=train, args=(training,)) for training in made.values()]
    for thread in threads:
        thread.start()
        if not at_once:
            thread.join()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert not errors
    return {width: training.held() for width, training in made.items()}


def test_threads_that_train_different_models_at_once_do_not_disturb_each_other() -> None:
    with tier(1):
        want = _trained_in_threads(at_once=False)
        for _ in range(3):
            assert _trained_in_threads(at_once=True) == want


def test_threads_train_while_their_programs_are_compiled() -> None:
    with tier(0):
        want = _trained_in_threads(at_once=False)
    with _automatic():
        got = _trained_in_threads(at_once=True)
    for width, held in got.items():
        a, b = (np.frombuffer(x, np.float32) for x in (held, want[width]))
        # NumPy and compiled code round otherwise; which of them ran a step is left to chance.
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@needs_fork
def test_a_child_goes_on_training_and_so_does_its_parent() -> None:
    with tier(1):
        want = _trajectory(6)[-1]
        training = Training()
        for _ in range(3):
            training.step()

        def rest() -> bytes:
            for _ in range(3):
                training.step()
            return training.held()

        assert _in_child(rest) == want
        assert rest() == want


@needs_fork
def test_a_child_compiles_what_its_parent_has_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDU_CACHE_DIR", str(tmp_path))
    with tier(1):
        Training(5).step()
        found = _in_child(lambda: digest("one dimension"))
        assert found == digest("one dimension")


@needs_fork
def test_children_of_a_thread_train_while_another_thread_goes_on() -> None:
    """Whatever locks that thread holds when they are made."""
    with tier(1):
        here, done = Training(), threading.Event()

        def go_on() -> None:
            while not done.is_set():
                here.step()

        thread = threading.Thread(target=go_on)
        thread.start()
        try:
            found = {_in_child(lambda: _trajectory(3, seed=2)[-1]) for _ in range(30)}
        finally:
            done.set()
            thread.join()
        assert found == {_trajectory(3, seed=2)[-1]}


@needs_fork
def test_each_lock_is_open_in_a_child() -> None:
    lock = new_lock()
    with lock:
        assert _in_child(lambda: lock.acquire(timeout=1))


@needs_fork
def test_pauses_for_forks_begin_in_their_order_whichever_module_came_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(locks, "_pauses", {})
    for order in (2, 1):
        begin, end = (partial(told.append, f"{word} {order}") for word in ("begin", "end"))
        locks.pause_in_forks(order, begin, end)
    assert _in_child(lambda: list(told)) == ["begin 1", "begin 2", "end 2", "end 1"]


@needs_fork
def test_a_fork_in_the_middle_of_a_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child has neither the compiling thread nor the lock that this thread holds."""
    parent, compiling, forked = os.getpid(), threading.Event(), threading.Event()
    object_code = cache.object_code

    def waiting(text: str) -> bytes:
        if os.getpid() == parent:
            compiling.set()
            assert forked.wait(60)
        return object_code(text)

    with tier(1):
        Training().step()  # what is compiled once in a process
    with _automatic():
        training = Training()
        monkeypatch.setattr(cache, "object_code", waiting)
        # Nothing is known yet, also if other tests have run the same steps.
        monkeypatch.setattr(cpu.kernels, "addresses", {})
        forget_programs(monkeypatch)
        for _ in range(3):
            training.step()  # the first makes the optimizer's state, the third orders the program
        assert compiling.wait(60)

        def work() -> tuple[int, bool]:
            for _ in range(5):
                training.step()
            return len(training.held()), programs.wait(20)

        try:
            assert _in_child(work) == (len(training.held()), True)
        finally:
            forked.set()
            assert programs.wait()


class _Squares(Dataset[Any]):
    """Samples made by compiled code in the worker."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, i: int) -> Any:
        x = tidu.arange(4.0) + i
        return (x * x).sum() + x.tanh(), i


@needs_fork
def test_workers_of_a_data_loader_compute_with_tensors() -> None:
    with tier(1):
        Training().step()  # worker threads exist
        alone = [x for x, _ in DataLoader(_Squares(), batch_size=5)]
        helped = [x for x, _ in DataLoader(_Squares(), batch_size=5, num_workers=2)]
        assert [x.tolist() for x in helped] == [x.tolist() for x in alone]
        training, batches = Training(), 0
        for _ in DataLoader(_Squares(), batch_size=5, num_workers=2):
            training.step()
            batches += 1
        assert training.held() == _trajectory(batches)[-1]


def _steps_behind(training: Training, trajectory: list[bytes]) -> int:
    """How many steps lead to what is held; fails if that is not the result of whole steps.

    What an interrupted run left over is computed in another order, and rounded otherwise.
    """
    counts = {int(state["step"].item()) for state in training.optimizer.state.values()}
    if not counts:
        assert training.held() == trajectory[0]
        return 0
    assert len(training.optimizer.state) == 4
    (count,) = counts

    def distance(number: int) -> float:
        a, b = (np.frombuffer(x, np.float32) for x in (training.held(), trajectory[number]))
        return float(np.abs(a - b).max()) if a.shape == b.shape else np.inf

    others = [distance(n) for n in (count - 1, count + 1)]
    assert distance(count) < 0.1 * min(others), "some of it is from another step"
    return count


@pytest.mark.parametrize("automatic", [False, True], ids=["at once", "in the background"])
def test_ctrl_c_leaves_whole_steps(automatic: bool) -> None:
    """Wherever it comes: what is held afterwards is what some number of steps leads to."""
    rng = np.random.default_rng(0)
    with tier(1):
        trajectory = _trajectory(190)
    training, done = Training(), 0
    happened = []
    with _automatic() if automatic else tier(1):
        for _ in range(60):
            training.step()
            done += 1
            calls = calls_until(np.inf, training.step)
            done += 1
            # The step that was counted may have made more calls: it remembers what begins early.
            with contextlib.suppress(KeyboardInterrupt):
                calls_until(rng.uniform(0, 0.85 * calls), training.step)
            behind = _steps_behind(training, trajectory)
            # The step that was interrupted has happened, or has not.
            assert done <= behind <= done + 1
            happened.append(behind > done)
            done = behind
    assert not all(happened)


def test_ctrl_c_never_keeps_a_thread_from_running_programs_again() -> None:
    """Wherever it comes in a run: nobody seems to be in the middle of one afterwards."""
    with tier(1):
        training = Training()
        training.step()
        training.step()
        calls = calls_until(np.inf, training.step)
        for limit in range(calls):
            training.step()
            with contextlib.suppress(KeyboardInterrupt):
                calls_until(limit, training.step)
            assert cpu.CpuProgram.arena.user == 0


@pytest.mark.parametrize("updates", range(4))
def test_an_interrupt_between_the_updates_of_two_parameters(
    updates: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tier(1):
        training = Training()
        training.step()
        before, made = training.held(), []

        def interrupted(*operands: Any) -> Any:
            if len(made) == updates:
                raise KeyboardInterrupt
            made.append(normalized_step(*operands))
            return made[-1]

        with monkeypatch.context() as patch:
            patch.setattr(adam, "normalized_step", interrupted)
            with pytest.raises(KeyboardInterrupt):
                training.step()
        assert training.held() == before
        training.step()
        assert _steps_behind(training, _trajectory(3)) == 2


@pytest.mark.parametrize("number", [0, 1])
def test_a_signal_handler_computes_with_what_is_about_to_be_run(number: int) -> None:
    """Wherever it comes, it gets its numbers, and the step goes on as if it had not come: also when
    it comes there again, and what has followed then is expected.
    """

    def begun() -> Training:
        training = Training()
        training.step()
        training.step()
        return training

    with tier(number):
        wanted = np.frombuffer(_trajectory(5)[-1], np.float32)
        total, count = tidu.zeros(3), 0
        for place in range(1, calls_until(np.inf, begun().step)):
            training = begun()
            for left in (place, place):

                def handle(frame: Any, event: str, argument: Any) -> None:
                    nonlocal left, count
                    left -= event in ("call", "c_return")
                    if left == 0:
                        sys.setprofile(None)
                        assert (total * 2).sum().item() == 6 * count
                        total.add_(1)
                        count += 1
                        for parameter in training.model.parameters():
                            assert np.isfinite(parameter.detach().numpy()).all()

                sys.setprofile(handle)
                try:
                    training.step()
                finally:
                    sys.setprofile(None)
            training.step()
            found = np.frombuffer(training.held(), np.float32)
            np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)
        assert count > place
        assert total.tolist() == [count] * 3


def test_an_exception_of_the_user_inside_a_step() -> None:
    with tier(1):
        training = Training()
        training.step()
        before = training.held()

        class WrongError(Exception):
            pass

        def hook(grad: Tensor) -> None:
            raise WrongError

        handle = training.model[2].weight.register_hook(hook)
        with pytest.raises(WrongError):
            training.step()
        handle.remove()
        assert training.held() == before
        training.step()
        assert training.held() == _trajectory(2)[-1]


def test_an_operation_that_fails_between_native_parts() -> None:
    """NumPy finds, in the middle of a compiled region, numbers that are no probabilities."""
    with tier(1):
        training = Training()
        training.step()
        before = training.held()
        training.optimizer.zero_grad()
        scores = training.model(training.x) * 100.0
        loss = F.binary_cross_entropy(scores, tidu.ones(24, 1)) + training.loss()
        loss.backward()
        with pytest.raises(RuntimeError, match=r"between 0 and 1.*test_processes\.py"):
            training.optimizer.step()
        assert training.held() == before
        training.step()
        assert training.held() == _trajectory(2)[-1]


def test_a_finalizer_may_compute_in_the_middle_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may even need the program that is being run."""
    with tier(1):
        training, other = Training(), Training()
        inside: list[bool] = []
        steps = 0

        def interrupted(function: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
            def run(program: Any, table: int) -> Any:
                nonlocal steps
                if not inside:
                    inside.append(True)
                    other.step()
                    inside.pop()
                    steps += 1
                return function(program, table)

            return run

        for name in ("run", "launch"):
            monkeypatch.setattr(cpu.threads, name, interrupted(getattr(cpu.threads, name)))
        for _ in range(3):
            training.step()
        monkeypatch.undo()
        # What is needed in the middle is computed by NumPy, which rounds otherwise.
        for trained, number in ((training, 3), (other, steps)):
            numbers = np.frombuffer(trained.held(), np.float32)
            wanted = np.frombuffer(_trajectory(number)[-1], np.float32)
            np.testing.assert_allclose(numbers, wanted, rtol=1e-3, atol=1e-6)
