"""Tables of hooks, and what registering one returns."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeAlias

from tidu.base.changes import changes

Hooks: TypeAlias = "OrderedDict[int, Callable[..., Any]]"


class Handle:
    """What registering a hook returns; `remove()` takes the hook off again."""

    _ids = itertools.count()

    def __init__(self, hooks: OrderedDict[int, Any], hook: Callable[..., Any]) -> None:
        self.id = next(Handle._ids)
        self._hooks = hooks
        hooks[self.id] = hook
        changes.count += 1

    def remove(self) -> None:
        self._hooks.pop(self.id, None)
        changes.count += 1

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def register(hooks: Hooks, hook: Callable[..., Any], prepend: bool = False) -> Handle:
    """Add a hook at the end of a table, or at its front."""
    handle = Handle(hooks, hook)
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle
