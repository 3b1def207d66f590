"""What differs from thread to thread: the gradient mode and the source line on whose behalf we
work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import CodeType
from typing import Any

Position = tuple[CodeType, int]


class ThreadState(threading.local):
    """Class attributes are the defaults that a new thread starts with."""

    grad_enabled: bool = True
    inference: bool = False
    # Set while a backward pass runs, so that the values it makes carry the line of the forward op.
    position: Position | None = None
    # The (pack, unpack) hooks for what the tape saves, innermost last.
    saved_hooks: tuple[tuple[Callable[[Any], Any], Callable[[Any], Any]], ...] = ()
    # Why no such hooks may be added, where somebody has forbidden it.
    saved_hooks_disabled: str | None = None
    # The backward pass that is running: `tidu.autograd.engine.Running`.
    running: Any = None


state = ThreadState()
