"""Whether indices lie within bounds; checked at the call where the numbers are known already."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.source import at, here
from tidu.ir.value import Value, pending


class OutOfRangeError(IndexError, RuntimeError):
    """An index out of range where PyTorch raises RuntimeError: caught under either name."""


def bounds_of(index: Value) -> tuple[int, int] | None:
    """Least and greatest element of an index whose numbers can be had, remembered on the Value."""
    if index.bounds is None:
        numbers = index.buffer
        if numbers is None:
            numbers = pending.peek(index)
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
    """Raise IndexError for an element outside [-size, size),
    if the numbers are there to look at.
    """
    if index.__class__ is not Value or are_within(index, size):
        return
    bounds = bounds_of(index)
    if bounds is None:
        return
    low, high = bounds
    wrong = high if high >= size else low
    if high >= size or low < (-size if negative else 0):
        words = "index out of range in self: " if operation == "index_select" else ""
        raise error(
            f"{words}index {wrong} is out of bounds for dimension {dim} with size {size}: "
            f"{operation} takes indices in [{-size if negative else 0}, {size - 1}]{at(here())}"
        )


def in_range(index: Any, size: int, dim: int) -> None:
    """OutOfRangeError for an element outside [0, size), when an op is run."""
    if index.size and (index.min() < 0 or index.max() >= size):
        wrong = index.max() if index.max() >= size else index.min()
        raise OutOfRangeError(
            f"index {wrong} is out of bounds for dimension {dim} with size {size}"
        )
