"""Looking at the tape and at what it saves: `torch.autograd.graph`."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tidu.autograd.gradients import GradientEdge
from tidu.autograd.hooks import Handle
from tidu.autograd.tape import GradFn, Tape
from tidu.base.source import at, here
from tidu.base.state import state

Node = GradFn


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """The place on the tape at which the gradient of `tensor` arrives, for `grad` and `backward`.

    RuntimeError for a tensor that requires no gradient.
    """
    edge = Tape.edge_of(tensor)
    if edge is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            f"gradients{at(here())}"
        )
    return GradientEdge(edge[0].shown(), edge[1])


class saved_tensors_hooks:  # noqa: N801
    """What the tape saves in the block goes through `pack_hook`, and back through `unpack_hook`.

    ``pack_hook(tensor)`` may return anything; ``unpack_hook`` of that must return a tensor with the
    same numbers. Of nested blocks the innermost counts. Follows
    torch.autograd.graph.saved_tensors_hooks.

    >>> with saved_tensors_hooks(lambda x: x.numpy(force=True), torch.from_numpy):
    ...     y = x * x
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.hooks = (pack_hook, unpack_hook)

    def __enter__(self) -> None:
        if state.own.saved_hooks_disabled is not None:
            raise RuntimeError(state.own.saved_hooks_disabled)
        self.before = state.own.saved_hooks
        state.own.saved_hooks = (*self.before, self.hooks)

    def __exit__(self, *exception: object) -> None:
        state.own.saved_hooks = self.before


class save_on_cpu(saved_tensors_hooks):  # noqa: N801
    """Keep what the tape saves in main memory, where it is anyway on a CPU."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor.cpu(), lambda tensor: tensor)


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Inside the block, `saved_tensors_hooks` raises RuntimeError with this message."""
    if state.own.saved_hooks:
        raise RuntimeError(error_message)
    before, state.own.saved_hooks_disabled = state.own.saved_hooks_disabled, error_message
    try:
        yield
    finally:
        state.own.saved_hooks_disabled = before


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[None]:
    """A block in which saved tensors may be edited in place.

    Here they always may: what the tape saved never changes.
    """
    yield


def increment_version(tensor: Any) -> None:
    """Say that somebody has written to the memory of one tensor or several, unseen."""
    for t in (tensor,) if isinstance(tensor, Tape.tensor) else tuple(tensor):
        t._edits.edits += 1


class MultiHandle:
    """What `register_multi_grad_hook` returns; `remove()` takes the hook off all tensors."""

    def __init__(self, handles: Sequence[Handle]) -> None:
        self.handles = handles

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> MultiHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Any], fn: Callable[..., Any], *, mode: str = "all"
) -> MultiHandle:
    """Call ``fn(grads)`` once in a backward pass that reaches some of `tensors`.

    That is when all their gradients are known. `grads` has one entry for each tensor, None where no
    gradient arrives. With mode "any", ``fn(grad)`` is called with the first of them. Follows
    torch.autograd.graph.register_multi_grad_hook.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    lock = threading.Lock()
    nodes = [get_gradient_edge(t).node for t in tensors]
    owner = object()  # what is gathered in one pass is kept with that pass, under this

    def arrived(number: int, g: Any) -> None:
        running = state.own.running
        assert running is not None, "hooks are called in backward passes"
        with lock:
            grads = running.notes.setdefault(owner, {})
            first = not grads
            grads[number] = g
            complete = len(grads) == sum(map(running.reaches, nodes))
        if mode == "any" and first:
            fn(g)
        elif mode == "all" and complete:
            fn([grads.get(i) for i in range(len(nodes))])

    return MultiHandle(
        [t.register_hook(functools.partial(arrived, i)) for i, t in enumerate(tensors)]
    )
