"""What differs from thread to thread: the gradient mode, the source line on whose behalf we work,
and the Values that wait to be run.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import CodeType
from typing import Any

Position = tuple[CodeType, int]


class Pending:
    """The Values recorded by one thread and not run yet, in the order in which they were made,
    which is a topological order. When there are more than `limit`, they are run. `outlook` is what
    the first of them were when a backward pass began; `parts` are those that show a part of
    something that may be there already.
    """

    __slots__ = ("limit", "outlook", "parts", "values")

    # Whether Values may wait to be run that are not on the list of the thread that needs them:
    # another thread recorded them, or a run was interrupted.
    scattered = False
    _in_use = False  # whether some thread has recorded operations

    def __init__(self, limit: int = 4096) -> None:
        self.values: list[Any] = []
        self.limit = limit
        self.outlook: Any = None
        self.parts: list[Any] = []

    @classmethod
    def of_thread(cls) -> Pending:
        """The list of a thread. The first Value is more than it allows, so that whoever looks after
        the limit notices a second thread that begins to record.
        """
        return cls(limit=0)

    def begin(self) -> None:
        """The thread has recorded its first Value."""
        self.limit = 4096
        Pending.scattered |= Pending._in_use
        Pending._in_use = True


class ThreadState:
    """What one thread has to itself."""

    __slots__ = (
        "autocast",
        "grad_enabled",
        "inference",
        "pending",
        "position",
        "programs",
        "running",
        "saved_hooks",
        "saved_hooks_disabled",
    )

    def __init__(self) -> None:
        self.grad_enabled = True
        self.inference = False
        # Casts arguments in a section of mixed precision:
        # (precision, args, kwargs) -> (args, kwargs); None outside of such sections.
        self.autocast: Callable[[str, tuple[Any, ...], dict[str, Any]], Any] | None = None
        # Set while a backward pass runs, so that the Values it makes carry the line of the forward
        # op.
        self.position: Position | None = None
        # The (pack, unpack) hooks for what the tape saves, innermost last.
        self.saved_hooks: tuple[tuple[Callable[[Any], Any], Callable[[Any], Any]], ...] = ()
        # Why no such hooks may be added, where somebody has forbidden it.
        self.saved_hooks_disabled: str | None = None
        # The backward pass that is running: `tidu.autograd.engine.Running`.
        self.running: Any = None
        # What compiles for this thread alone, as long as that is looked at: `programs.Programs`.
        self.programs: Any = None
        self.pending = Pending.of_thread()


class _Current(threading.local):
    """`state.own` is what the running thread has to itself. Finding out which thread that is has
    its price: where much is asked, keep it.
    """

    def __init__(self) -> None:
        self.own = ThreadState()


state = _Current()
