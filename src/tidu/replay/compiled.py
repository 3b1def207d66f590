"""compile(): calls of a function that are replayed once they have turned out to be alike."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from tidu.base.changes import changes
from tidu.base.determinism import Determinism
from tidu.base.locks import new_lock
from tidu.base.signals import SignalGate
from tidu.base.source import warn
from tidu.base.state import state
from tidu.nn import Module
from tidu.replay.account import tensors_of, waits
from tidu.replay.conduct import Conduct
from tidu.replay.recorder import Recorder
from tidu.replay.recording import Recording, Refusal
from tidu.replay.runtime import MISS
from tidu.tensor.separation import keep_apart

_MOST_RECORDINGS = 6
_ATTEMPTS = 6
_FIRST_PATIENCE = 20
_LONGEST_PATIENCE = 10_000
# After so many replayed calls the Python code runs again, to see whether it still does the same.
_CHECKS = (10, 90, 900)
_LATER_CHECKS = 1000
# Checking takes at most this part of the time.
_PART_OF_TIME = 0.02


_watching = new_lock()


def _after_fork() -> None:
    """The thread whose call was being recorded is not in the child."""
    if changes.recorder is not None and not changes.recorder.is_here():
        changes.recorder = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Ticks:
    """How often a call may be replayed before the Python code has to run again."""

    __slots__ = ("left", "limit")

    def __init__(self) -> None:
        self.limit = self.left = _CHECKS[0]


class Plan:
    """A recording that was confirmed by a second one, and how often it was replayed."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.ticks = Ticks()
        recording.names.table["ticks"] = self.ticks
        self.replay = recording.compile()
        self._checks = 0
        self._earlier = 0
        self._since = time.perf_counter()

    @property
    def replayed(self) -> int:
        """How many calls were replayed so far."""
        return self._earlier + self.ticks.limit - max(self.ticks.left, 0)

    @property
    def is_due(self) -> bool:
        """Whether the Python code has to run to see whether it still does the same."""
        return self.ticks.left < 0

    def confirm(self, recording: Recording, cost: float) -> None:
        """The Python code was seen to do the same once more; `cost` is what that took."""
        self.recording.take_over(recording)
        if self.is_due:
            self._checks += 1
        limit = _CHECKS[self._checks] if self._checks < len(_CHECKS) else _LATER_CHECKS
        now = time.perf_counter()
        count = self.replayed - self._earlier
        if count:
            each = (now - self._since) / count
            limit = max(limit, int(cost / _PART_OF_TIME / max(each, 1e-6)))
        self._earlier += count
        self.ticks.limit = self.ticks.left = limit
        self._since = now


class Site:
    """One compiled function: its plans, and the attempts to make more of them."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self.function = function
        self.name = name
        self.replays: list[Callable[[Any, Any], Any]] = []
        self.plans: list[Plan] = []
        self.reason: str | None = None
        self._recordings: list[Recording] = []
        self._learned: Conduct | None = None
        self._calls = 0
        self._wait = 1  # the first call sets things up: lazy modules, the state of optimizers
        self._attempts = _ATTEMPTS
        self._patience = _FIRST_PATIENCE
        self._replayed = 0
        # The count of changes at which its results waited for a backward pass, with gradients on.
        self._graphs_at = -1
        self._waits = False  # whether the results of its last call wait for a backward pass
        self._warned: set[str] = set()

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the Python code, and perhaps record what it does.

        A replayed call is run by itself. Which calls are replayed must not show in the bits.
        """
        if not Determinism.enabled:
            return self._call(args, kwargs)
        keep_apart()
        result = self.function(*args, **kwargs) if self._waits else self._call(args, kwargs)
        keep_apart()
        # A call that is recorded may keep for its backward pass what others compute again.
        self._waits = any(
            tensor._grad_fn is not None and waits(tensor._grad_fn) for tensor in tensors_of(result)
        )
        return result

    def _call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if changes.recorder is not None or changes.stance == "force_eager" or sys.getprofile():
            return self.function(*args, **kwargs)
        if state.own.programs is not None:  # what it runs is looked at
            return self.function(*args, **kwargs)
        if self._graphs_at == changes.count and state.own.grad_enabled:
            return self.function(*args, **kwargs)
        if self._wait > 0:
            self._wait -= 1
            return self.function(*args, **kwargs)
        # One call of one thread at a time can be watched.
        if not _watching.acquire(blocking=False):
            return self.function(*args, **kwargs)
        try:
            if self._learned is None:
                return self._learn(args, kwargs)
            return self._record(args, kwargs)
        finally:
            _watching.release()

    def _learn(self, args: Any, kwargs: Any) -> Any:
        """Find out which code runs."""
        conduct = Conduct()
        with SignalGate() as gate, conduct, gate.opened():
            result = self.function(*args, **kwargs)
        if gate.passed:  # the code of a handler is no part of it
            return result
        if conduct.reason is None:
            self._learned = conduct
        else:
            self._give_up(conduct.reason)
        return result

    def _record(self, args: Any, kwargs: Any) -> Any:
        assert self._learned is not None
        replayed = sum(plan.replayed for plan in self.plans)
        if replayed > self._replayed:  # it was worth it
            self._attempts, self._patience = _ATTEMPTS, _FIRST_PATIENCE
        self._replayed = replayed
        self._attempts -= 1
        start = time.perf_counter()
        recorder = Recorder(self._learned)
        try:
            result, recording = recorder.run(self.function, args, kwargs)
        except BaseException:
            self._attempts += 1  # an interrupted call says nothing of the others
            raise
        if isinstance(recording, Refusal):
            self._drop_those_due()
            self._refused(recording)
        else:
            self._compare(recording, time.perf_counter() - start)
        return result

    def _compare(self, recording: Recording, cost: float) -> None:
        """Look for what was recorded now among what is known."""
        for plan in self.plans:
            if plan.recording.difference(recording) is None:
                plan.confirm(recording, cost)
                self._use(plan)
                if self._attempts <= 0:  # it was not once replayed in between
                    self._pause()
                return
        self._drop_those_due(recording)
        for known in self._recordings:
            if known.difference(recording) is None:
                self._recordings.remove(known)
                self._use(Plan(recording))
                return
        difference = recording.difference(self._recordings[-1]) if self._recordings else None
        self._recordings = [*self._recordings, recording][-_MOST_RECORDINGS:]
        if self._attempts <= 0:
            self._give_up(difference or "its calls differ")

    def _use(self, plan: Plan) -> None:
        """Try this plan first from now on."""
        self.reason = None
        self.plans = [plan, *(p for p in self.plans if p is not plan)][:_MOST_RECORDINGS]
        self.replays[:] = [p.replay for p in self.plans]

    def _drop_those_due(self, recording: Recording | None = None) -> None:
        """A plan that was checked and found to differ is wrong from now on."""
        stale = [plan for plan in self.plans if plan.is_due]
        if stale:
            self.plans = [plan for plan in self.plans if not plan.is_due]
            self.replays[:] = [plan.replay for plan in self.plans]
            if recording is not None:
                self._tell(recording.difference(stale[0].recording) or "it does something else")

    def _refused(self, refusal: Refusal) -> None:
        if refusal.quiet:
            self.reason = refusal.reason
            self._graphs_at = changes.count
            self._attempts = _ATTEMPTS
        elif refusal.learn_again:
            self._learned = None
        if self._attempts <= 0:
            self._give_up(refusal.reason)

    def _give_up(self, reason: str) -> None:
        """Run the Python code for a while, and say why."""
        self._tell(reason)
        self._pause()

    def _pause(self) -> None:
        self._wait = self._patience
        self._patience = min(10 * self._patience, _LONGEST_PATIENCE)
        self._attempts = 2

    def _tell(self, reason: str) -> None:
        self.reason = reason
        kind = reason.partition(" (")[0]  # the numbers in it are others each time
        if kind not in self._warned:
            self._warned.add(kind)
            warn(
                f"compile(): the Python code of '{self.name}' runs in every call, because {reason}."
                " Its results are right, but each call takes as long as without compile()."
            )


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function with the same results, which does without running `function` where it can."""
    name = getattr(function, "__qualname__", None) or type(function).__name__
    site = Site(function, name)
    replays = site.replays

    def call(*args: Any, **kwargs: Any) -> Any:
        for replay in replays:
            result = replay(args, kwargs)
            if result is not MISS:
                return result
        return site.call(args, kwargs)

    functools.update_wrapper(call, function, updated=())
    call.site = site  # type: ignore[attr-defined]
    return call


class CompiledModule(Module):
    """A module whose calls are replayed where that is possible. Its parameters, its state and its
    attributes are those of the module it was made from, `_orig_mod`.
    """

    def __init__(self, module: Module) -> None:
        super().__init__()
        self._orig_mod = module
        object.__setattr__(self, "_compiled", compiled(module))
        self.training = module.training

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return super().__getattr__(name)
        return getattr(self._orig_mod, name)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_compiled"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy compiles the copy of the module."""
        super().__setstate__(state)
        object.__setattr__(self, "_compiled", compiled(self._orig_mod))


def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """A callable with the results of `model` that after a few calls runs native programs only.

    `model` is a function, such as a whole training step, or a module. After some ordinary calls
    that turn out to be alike, its Python code does not run any more: what it did is done again on
    the present parameters, arguments, random numbers and learning rates. It does run when something
    around it has changed: shapes, train() and eval(), hooks, Python variables that it reads. Where
    a call cannot be replayed (it reads a number from a tensor, prints, or appends to a list), the
    Python code runs in every call, and a warning says why, once.

    The other arguments are those of `torch.compile`; only `disable` has an effect here. Without
    `model` it gives a decorator.

    >>> @tidu.compile
    ... def step(x, y):
    ...     optimizer.zero_grad()
    ...     loss = loss_fn(model(x), y)
    ...     loss.backward()
    ...     optimizer.step()
    ...     return loss
    """
    if model is None:
        return functools.partial(
            compile,
            fullgraph=fullgraph,
            dynamic=dynamic,
            backend=backend,
            mode=mode,
            options=options,
            disable=disable,
        )
    if not callable(model):
        raise TypeError(f"compile() takes a function or a module, not {type(model).__name__}")
    if mode is not None and options is not None:
        raise RuntimeError("Either mode or options can be specified, but both can't be specified.")
    if disable:
        return model
    return CompiledModule(model) if isinstance(model, Module) else compiled(model)
