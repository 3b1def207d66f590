"""Where compiled functions listen: what changes around them, and what a step does that they record.

A function that is replayed without its Python code has to notice when one of its modules gets other
attributes, a hook is registered, or a parameter group is added. Each such change adds one to a
count: whoever compares it with what it was need not look at every module and tensor.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any


class Changes:
    """`count` of the changes; `recorder` is whoever records a call now, in its own thread; `stance`
    says whether compiled functions are replayed at all.
    """

    __slots__ = ("_watched", "count", "recorder", "stance")

    def __init__(self) -> None:
        self.count = 0
        self.recorder: Any = None
        self.stance = "default"
        # The objects whose changes count, by id, for as long as they live: others come to lie where
        # they were, and a change of those in each call would let nothing be replayed.
        self._watched: dict[int, weakref.ref[Any]] = {}

    def watch(self, owners: Iterable[Any]) -> None:
        """Let the changes of these modules, tensors and optimizers count."""
        for owner in owners:
            key = id(owner)
            if key not in self._watched:
                self._watched[key] = weakref.ref(owner, partial(self._forget, key))

    def _forget(self, key: int, _: object) -> None:
        self._watched.pop(key, None)

    def watches(self, key: int) -> bool:
        """Whether the changes of the object with this id count."""
        return key in self._watched

    def of(self, owner: object) -> None:
        """Something about `owner` has changed."""
        if id(owner) in self._watched:
            self.count += 1

    def asked(self, what: str) -> None:
        """The program is told something that no condition of a replayed call covers."""
        if self.recorder is not None:
            self.recorder.refuse(f"it asks {what}")


changes = Changes()
