"""Where compiled functions listen: what changes around them, and what a step does that they record.

A function that is replayed without its Python code has to notice when one of its modules gets other
attributes, a hook is registered, or a parameter group is added. Each such change adds one to a
count: whoever compares it with what it was need not look at every module and tensor.
"""

from __future__ import annotations

from typing import Any


class Changes:
    """`count` of the changes; `watched` are the ids of the modules and tensors whose changes count;
    `recorder` is whoever records a call now, in its own thread; `stance` says whether compiled
    functions are replayed at all.
    """

    __slots__ = ("count", "recorder", "stance", "watched")

    def __init__(self) -> None:
        self.count = 0
        self.recorder: Any = None
        self.stance = "default"
        self.watched: set[int] = set()

    def of(self, owner: object) -> None:
        """Something about `owner` has changed."""
        if id(owner) in self.watched:
            self.count += 1

    def asked(self, what: str) -> None:
        """The program is told something that no condition of a replayed call covers."""
        if self.recorder is not None:
            self.recorder.refuse(f"it asks {what}")


changes = Changes()
