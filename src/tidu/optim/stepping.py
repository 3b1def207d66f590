"""What surrounds each step of an optimizer: hooks, and that a step that fails has not happened."""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tidu.autograd.hooks import Handle, Hooks, register
from tidu.tensor import Tensor, launch, settle

if TYPE_CHECKING:
    from tidu.optim.optimizer import Optimizer

_global_pre_hooks: Hooks = OrderedDict()
_global_post_hooks: Hooks = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> Handle:
    """Call `hook(optimizer, args, kwargs)` before every step of every optimizer.

    It may return new `(args, kwargs)`. Follows
    torch.optim.optimizer.register_optimizer_step_pre_hook.
    """
    return register(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> Handle:
    """Call `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    return register(_global_post_hooks, hook)


class _Contents:
    """What parameters and their state hold before a step: a step that fails, or is interrupted,
    shall not have happened.
    """

    __slots__ = ("entries", "optimizer", "storages", "values")

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.entries = {key: state.copy() for key, state in optimizer.state.items()}
        self.storages = [p._storage for group in optimizer.param_groups for p in group["params"]]
        self.storages += [
            entry._storage
            for state in self.entries.values()
            for entry in state.values()
            if entry.__class__ is Tensor
        ]
        self.values = [storage.value for storage in self.storages]

    def restore(self) -> None:
        for storage, value in zip(self.storages, self.values, strict=True):
            if storage.value is not value:
                storage.value = value
                storage.version += 1
                storage.edits += 1
        states = self.optimizer.state
        for key in [key for key in states if key not in self.entries]:
            del states[key]
        for key, state in self.entries.items():
            states[key] = state


def outermost_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """Run the hooks around `step`, and close the region of the lazy graph that ends with it.

    A `step` that calls that of its base class counts as one: hooks run once, around the outer one.
    """

    @functools.wraps(step)
    def wrapper(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:
            return step(self, *args, **kwargs)
        if "_step_pre_hooks" not in self.__dict__:
            # It wraps another optimizer and never called Optimizer.__init__; the other one's
            # step is the one that counts.
            self._opt_called = True
            return step(self, *args, **kwargs)
        call: tuple[Any, ...] = (self, *args)
        for hook in itertools.chain(_global_pre_hooks.values(), self._step_pre_hooks.values()):
            changed = hook(self, call, kwargs)
            if changed is None:
                continue
            if not (isinstance(changed, tuple) and len(changed) == 2):
                raise RuntimeError(
                    f"a step pre-hook must return None or a tuple (new_args, new_kwargs), "
                    f"but {hook} returned {changed!r}"
                )
            call, kwargs = changed
        settle()  # so that what may be restored is known to be there
        before = _Contents(self)
        self._stepping = True
        self._opt_called = True
        try:
            result = step(*call, **kwargs)
        except BaseException:
            before.restore()
            raise
        finally:
            self._stepping = False
        for hook in itertools.chain(self._step_post_hooks.values(), _global_post_hooks.values()):
            hook(self, call, kwargs)
        try:
            launch(before.restore)
        except BaseException:
            before.restore()
            raise
        return result

    return wrapper
