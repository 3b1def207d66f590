"""Storage: mutable cells over immutable Values."""

from __future__ import annotations

from typing import Any

from tidu.base.strides import Strides, memory_order
from tidu.ir.value import Value
from tidu.ops.moving.movement import permute


class Counter:
    """How often memory was written through `.data` and the views of it."""

    __slots__ = ("edits",)

    def __init__(self) -> None:
        self.edits = 0


class Storage:
    """A mutable cell: the current Value of some memory, and how often it was written.

    `version` counts all writes, `edits` those that the tape knows of: `.data` has a counter of its
    own. `links` are those to NumPy's arrays; only storages that share memory have any
    (`tensor/sharing.py`).
    """

    __slots__ = ("__weakref__", "edits", "links", "value", "version")

    links: list[Any]
    inference = False
    strides: Strides | None = None  # how the elements of the Value lie there; None: by rows

    def __init__(self, value: Value) -> None:
        self.value = value
        self.version = self.edits = 0

    def in_order(self) -> Value:
        """The elements as they come in memory: the Value with its dimensions in that order."""
        shape = self.value.shape
        order = None if self.strides is None else memory_order(shape, self.strides)
        return self.value if order is None else permute.value((self.value,), (order,))


class StridedStorage(Storage):
    """Memory in which the elements of the Value lie in another order than by rows.

    That order is what users see of it (`Tensor.stride`, which views there can be, in which order
    random numbers are drawn); the Value itself, and what is computed with it, knows nothing of it.
    """

    __slots__ = ("strides",)

    def __init__(self, value: Value, strides: Strides | None) -> None:
        super().__init__(value)
        self.strides = strides


class InferenceStorage(StridedStorage):
    """Memory made in inference mode: outside, it can neither be written nor saved for backward."""

    __slots__ = ()

    inference = True
    exists = False  # whether there ever was one; nobody pays for the checks before

    def __init__(self, value: Value, strides: Strides | None = None) -> None:
        super().__init__(value, strides)
        InferenceStorage.exists = True
