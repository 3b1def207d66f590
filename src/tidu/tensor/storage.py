"""Storage: mutable cells over immutable Values."""

from __future__ import annotations

from tidu.ir.value import Value


class Counter:
    """How often memory was written through `.data` and the views of it."""

    __slots__ = ("edits",)

    def __init__(self) -> None:
        self.edits = 0


class Storage:
    """A mutable cell: the current Value of some memory, and how often it was written.

    `version` counts all writes, `edits` those that the tape knows of: `.data` has a counter of its
    own.
    """

    __slots__ = ("__weakref__", "edits", "value", "version")

    inference = False

    def __init__(self, value: Value) -> None:
        self.value = value
        self.version = self.edits = 0


class InferenceStorage(Storage):
    """Memory made in inference mode: outside, it can neither be written nor saved for backward."""

    __slots__ = ()

    inference = True
    exists = False  # whether there ever was one; nobody pays for the checks before

    def __init__(self, value: Value) -> None:
        super().__init__(value)
        InferenceStorage.exists = True
