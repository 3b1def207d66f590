"""Parts of what has been computed are there at once: they are views of its memory.

A loop takes the next rows of its data at each step, or the last words of a text that grows by one.
Where they begin, and how long the text is, must not be told apart in the structure of what follows:
each step would be a structure of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from tidu.backends.numpy import run_value
from tidu.ir.value import Value

# Integers are joined, and copied where that is needed, up to so many: words, and places of such.
_MOST_INTEGERS = 1 << 14


def take(parts: Iterable[Value], land: Callable[[], None]) -> None:
    """Give those Values their buffers that show a part of something, where that costs next to
    nothing. What is flying is landed if something depends on it.
    """
    for part in parts:
        if part.buffer is not None or part.op is None or part.op.numpy is None:
            continue
        source = part.inputs[0]
        if source.buffer is None and not _is_few_integers(source):
            continue
        if source.buffer is None:
            land()
            _join(source)
        if source.buffer.__class__ is not np.ndarray:
            continue
        shown = part.op.numpy(source.buffer, *part.attrs)
        # A program has what is not in row-major order copied for it, each time that it is run.
        if not shown.flags.c_contiguous:
            if not _is_few_integers(part):
                continue
            shown = np.ascontiguousarray(shown)
        _give(part, shown)


def _is_few_integers(value: Value) -> bool:
    return not value.dtype.is_floating_point and value.numel() <= _MOST_INTEGERS


def _join(value: Value) -> None:
    """Put together what a sequence of integers is made of, if all of that is there."""
    if value.op is None or value.buffer is not None:
        return
    # What stacks is a composite: only what that is made of has pieces.
    stacks = value.op.variadic and value.op.kind == "composite"
    if value.op.pieces is None and not stacks:
        return
    if all(x.buffer.__class__ is np.ndarray for x in value.inputs if x.__class__ is Value):
        run_value(value)
        _give(value, value.buffer)


def _give(value: Value, buffer: object) -> None:
    value.buffer = buffer
    value.op = None
    value.inputs = value.attrs = ()
