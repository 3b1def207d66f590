"""Checkpointing: forget what the forward pass saved, and compute it again when it is needed.

Without re-entrance, the tape records the part as always, but its saved tensors are put away as
numbers; the first of them that the backward pass asks for runs the part again and gathers all of
them. With re-entrance, the part is one node of the tape, whose backward runs the part again and a
backward pass through that. Follows torch.utils.checkpoint; the method is that of Chen et al.,
"Training Deep Nets with Sublinear Memory Cost".
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tidu.autograd.function import Function
from tidu.autograd.gradients import backward
from tidu.autograd.modes import enable_grad
from tidu.autograd.tape import Tape
from tidu.base.random.generator import default_generator
from tidu.base.source import at, here
from tidu.base.state import state

Context = contextlib.AbstractContextManager[Any]


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function saved other tensors than the first."""


def noop_context_fn() -> tuple[Context, Context]:
    """The contexts of the first and the second run, where nothing else is asked for."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Context, Context]] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    preserve_rng_state: bool = True,
    **kwargs: Any,
) -> Any:
    """``function(*args, **kwargs)``, whose saved tensors are computed again in the backward pass.

    use_reentrant       the old way, which cannot serve autograd.grad; False is recommended
    context_fn          gives two contexts, for the first and for the second run
    determinism_check   "default" compares shapes and dtypes of both runs, "none" nothing
    preserve_rng_state  draw the same random numbers in the second run
    What is never used is never computed here, so `early_stop` changes nothing. Raises
    CheckpointError in the backward pass if the second run differs from the first. Follows
    torch.utils.checkpoint.checkpoint.

    >>> y = checkpoint(model, x, use_reentrant=False)
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "use_reentrant=False is recommended; the default is True.",
            stacklevel=2,
        )
        use_reentrant = True
    if not use_reentrant:
        if determinism_check not in ("default", "none"):
            raise ValueError(
                "determinism_check should be one of ['default', 'none'] but got "
                f"{determinism_check}"
            )
        first, second = context_fn()
        frame = _Frame(
            function, args, kwargs, second, determinism_check == "default", preserve_rng_state
        )
        hooks = state.own.saved_hooks
        state.own.saved_hooks = (*hooks, (frame.put_away, frame.bring_back))
        try:
            with first:
                return function(*args, **kwargs)
        finally:
            state.own.saved_hooks = hooks
    if kwargs:
        raise ValueError(f"Unexpected keyword arguments: {', '.join(kwargs)}")
    if context_fn is not noop_context_fn or debug:
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )
    if state.own.grad_enabled and not any(
        isinstance(a, Tape.tensor) and a.requires_grad for a in args
    ):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )
    return CheckpointFunction.apply(function, preserve_rng_state, *args)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Run a sequence of modules in `segments` parts, all but the last of them checkpointed.

    Follows torch.utils.checkpoint.checkpoint_sequential.

    >>> y = checkpoint_sequential(model, 2, x, use_reentrant=False)
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
            "passed explicitly. use_reentrant=False is recommended; the default is True.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    steps = list(functions.children() if hasattr(functions, "children") else functions)
    length = max(len(steps) // segments, 1)
    for number in range(segments - 1):
        part = steps[number * length : (number + 1) * length]
        input = checkpoint(
            _in_sequence(part), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
    return _in_sequence(steps[(segments - 1) * length :])(input)


def _in_sequence(steps: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def run(x: Any) -> Any:
        for step in steps:
            x = step(x)
        return x

    return run


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Whether the second run ends as soon as it can. Laziness sees to that here in any case."""
    yield


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Whether errors tell more. They always name the line of the call here."""
    yield


def get_device_states(*args: Any) -> tuple[list[int], list[Any]]:
    """The generators of the accelerators that hold some of `args`: there are none."""
    return [], []


def set_device_states(
    devices: Sequence[int], states: Sequence[Any], *, device_type: str | None = None
) -> None:
    """Put the generators of accelerators back: there are none."""


@contextlib.contextmanager
def _random_numbers_from(kept: Any) -> Iterator[None]:
    """Draw again what was drawn from the given state of the generator on; None changes nothing."""
    if kept is None:
        yield
        return
    before = default_generator.get_state()
    default_generator.set_state(kept)
    try:
        yield
    finally:
        default_generator.set_state(before)


def _own_inputs(args: Sequence[Any]) -> tuple[Any, ...]:
    """The arguments, with tensors that have the same numbers but no history."""
    return tuple(
        a.detach().requires_grad_(a.requires_grad) if isinstance(a, Tape.tensor) else a
        for a in args
    )


class _Frame:
    """One checkpointed call: what it takes to run it again, and what the second run has saved."""

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: Context,
        compare: bool,
        preserve_rng_state: bool,
    ) -> None:
        self.function = function
        # As they are now: Values never change, whatever is written to the tensors later.
        self.args, self.kwargs = (
            tuple(map(_frozen, args)),
            {k: _frozen(x) for k, x in kwargs.items()},
        )
        self.context = context
        self.compare = compare
        self.random = default_generator.get_state() if preserve_rng_state else None
        self.position = here()
        self.saved: list[tuple[Any, Any]] = []  # shape and dtype of each tensor that was put away
        self.found: dict[int, Any] = {}  # what the second run has saved and nobody has fetched yet

    def put_away(self, tensor: Any) -> int:
        self.saved.append((tuple(tensor.shape), tensor.dtype))
        return len(self.saved) - 1

    def bring_back(self, number: int) -> Any:
        if number not in self.found:
            self.run_again()
        return self.found.pop(number)

    def run_again(self) -> None:
        again: list[Any] = []

        def put_away(tensor: Any) -> Any:
            again.append(tensor.detach())
            return tensor.detach()

        outer = state.own.saved_hooks, state.own.position
        state.own.saved_hooks, state.own.position = ((put_away, lambda tensor: tensor),), None
        try:
            with enable_grad(), _random_numbers_from(self.random), self.context:
                self.function(
                    *map(_thawed, self.args), **{k: _thawed(x) for k, x in self.kwargs.items()}
                )
        finally:
            state.own.saved_hooks, state.own.position = outer
        self.check([(tuple(t.shape), t.dtype) for t in again])
        self.found = dict(enumerate(again))

    def check(self, again: list[tuple[Any, Any]]) -> None:
        if len(again) < len(self.saved):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\nNumber of tensors saved during forward: "
                f"{len(self.saved)}\nNumber of tensors saved during recomputation: "
                f"{len(again)}.\nThe function must do the same both times{at(self.position)}"
            )
        for number, (before, after) in enumerate(zip(self.saved, again, strict=False)):
            if self.compare and before != after:
                raise CheckpointError(
                    "torch.utils.checkpoint: Recomputed values for the following tensors have "
                    "different metadata than during the forward pass.\ntensor at position "
                    f"{number}:\nsaved: shape {list(before[0])}, {before[1]}\nrecomputed: shape "
                    f"{list(after[0])}, {after[1]}\nThe function must do the same both "
                    f"times{at(self.position)}"
                )


class _Kept:
    """A tensor among the arguments: its Value, and whether it required a gradient."""

    __slots__ = ("requires_grad", "value")

    def __init__(self, tensor: Any) -> None:
        self.value = Tape.value_of(tensor)
        self.requires_grad: bool = tensor.requires_grad


def _frozen(argument: Any) -> Any:
    return _Kept(argument) if isinstance(argument, Tape.tensor) else argument


def _thawed(argument: Any) -> Any:
    if not isinstance(argument, _Kept):
        return argument
    return Tape.wrap(argument.value, None).requires_grad_(argument.requires_grad)


class CheckpointFunction(Function):
    """The old way: one node, whose backward runs the function again, and a pass of its own."""

    @staticmethod
    def forward(
        ctx: Any, function: Callable[..., Any], preserve_rng_state: bool, *args: Any
    ) -> Any:
        ctx.function = function
        ctx.random = default_generator.get_state() if preserve_rng_state else None
        tensors = [a for a in args if isinstance(a, Tape.tensor)]
        ctx.others = [None if isinstance(a, Tape.tensor) else a for a in args]
        ctx.places = [i for i, a in enumerate(args) if isinstance(a, Tape.tensor)]
        ctx.save_for_backward(*tensors)
        return function(*args)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        if state.own.running.selective:
            raise RuntimeError(
                "When use_reentrant=True, torch.utils.checkpoint is incompatible with .grad() or "
                "passing an `inputs` parameter to .backward(). To resolve this error, you can "
                "either set use_reentrant=False, or call .backward() without passing the `inputs` "
                "argument."
            )
        args = list(ctx.others)
        for place, tensor in zip(ctx.places, ctx.saved_tensors, strict=True):
            args[place] = tensor
        args = list(_own_inputs(args))
        with enable_grad(), _random_numbers_from(ctx.random):
            outputs = ctx.function(*args)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [
            (y, g)
            for y, g in zip(outputs, grads, strict=True)
            if isinstance(y, Tape.tensor) and y.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        backward([y for y, _ in pairs], [g for _, g in pairs])
        return None, None, *(a.grad if isinstance(a, Tape.tensor) else None for a in args)
