"""Whether indices lie within bounds; checked at the call where the numbers are known already."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.source import at, here
from tidu.ir.value import Value, pending


class OutOfRangeError(IndexError, RuntimeError):
    """An index out of range where PyTorch raises RuntimeError: caught under either name."""


# As which users see it: like PyTorch's.
OutOfRangeError.__name__ = OutOfRangeError.__qualname__ = "RuntimeError"
OutOfRangeError.__module__ = "builtins"

# How PyTorch's messages begin.
_BEGINNINGS = {
    "index_select": "index out of range in self: ",
    "index_copy": "index_copy_(): ",
    "take": "out of range: tried to access index {wrong} on a tensor of {size} elements. ",
    "put": "out of range: tried to access index {wrong} on a tensor of {size} elements. ",
}


def _numbers(index: Value) -> Any:
    """The elements of an index that has been run, or needs no running; None of others."""
    return pending.peek(index) if index.buffer is None else index.buffer


def bounds_of(index: Value) -> tuple[int, int] | None:
    """Least and greatest element of an index whose numbers can be had, remembered on the Value."""
    if index.bounds is None:
        numbers = _numbers(index)
        if numbers is None or numbers.size == 0:
            return None
        index.bounds = (int(numbers.min()), int(numbers.max()))
    return index.bounds


def are_within(index: Value, size: int) -> bool:
    """Whether all elements are known to lie in [0, size): those of which this shows a part do."""
    shown = index
    while shown.buffer is None:
        if shown.op is None or shown.op.view is None:
            return False
        shown = shown.inputs[0]
    if shown.buffer.__class__ is not np.ndarray:
        return False
    bounds = bounds_of(shown)
    return bounds is not None and bounds[0] >= 0 and bounds[1] < size


def check_index(
    operation: str,
    index: Any,
    size: int,
    dim: int,
    *,
    negative: bool = True,
    error: Any = IndexError,
) -> None:
    """Raise IndexError (or `error`) for an element outside [-size, size), or [0, size) where not
    `negative`, if the numbers are there to look at.
    """
    if index.__class__ is not Value or are_within(index, size):
        return
    bounds = bounds_of(index)
    if bounds is None:
        return
    low, high = bounds
    least = -size if negative else 0
    if high >= size or low < least:
        wrong = _first_outside(_numbers(index), least, size)
        words = _BEGINNINGS.get(operation, "").format(wrong=wrong, size=size)
        raise error(
            f"{words}index {wrong} is out of bounds for dimension {dim} with size {size}: "
            f"{operation} takes indices in [{least}, {size - 1}]{at(here())}"
        )


def _first_outside(numbers: Any, least: int, size: int) -> int:
    flat = numbers.reshape(-1)
    return int(flat[np.argmax((flat < least) | (flat >= size))])


def in_range(index: Any, size: int, dim: int) -> None:
    """OutOfRangeError for an element outside [0, size), when an op is run."""
    if index.size and (index.min() < 0 or index.max() >= size):
        wrong = _first_outside(index, 0, size)
        raise OutOfRangeError(
            f"index {wrong} is out of bounds for dimension {dim} with size {size}"
        )
