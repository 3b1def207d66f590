"""Memory that there is not: the error is PyTorch's, which is no MemoryError."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.source import at, here


def out_of_memory(error: MemoryError, where: str | None = None) -> RuntimeError:
    """What PyTorch raises for an array that cannot be made; `where` is the end of the message, the
    line of the user's code if nothing is given.
    """
    shape, kind = getattr(error, "shape", None), getattr(error, "dtype", None)
    size = ""
    if shape is not None and kind is not None:
        count = int(np.prod(shape, dtype=object)) * np.dtype(kind).itemsize
        size = f": you tried to allocate {count} bytes"
    line = at(here()) if where is None else where
    return RuntimeError(f"DefaultCPUAllocator: can't allocate memory{size}{line}")


def allocate(shape: Any, kind: Any) -> np.ndarray[Any, Any]:
    """A new array, with nothing in particular in it."""
    try:
        return np.empty(shape, kind)
    except MemoryError as error:
        raise out_of_memory(error) from None
