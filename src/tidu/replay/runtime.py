"""What the generated code of a replayed call uses: reading tensors, and putting results into them.

What happens to each parameter in each step is done by loops that run inside C functions (`map`,
`deque`). They are quick, and no signal handler can get in between and find half of it done.
"""

from __future__ import annotations

import operator
import sys
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import repeat
from typing import Any

import numpy as np

from tidu.autograd.anomaly import Anomaly
from tidu.base.changes import changes
from tidu.base.state import state
from tidu.execute import realize
from tidu.ir.value import Value, leaf
from tidu.replay.surroundings import same
from tidu.tensor import Storage, Tensor

MISS = object()  # what replaying gives where the Python code has to run
ONLY_ARRAYS = {np.ndarray}


class Departure(Exception):
    """A condition does not hold under which a call was recorded."""


# What generated code refers to by name, besides the functions below.
GLOBALS = {"Anomaly": Anomaly, "changes": changes, "same": same, "state": state}
_new = object.__new__
value_of = operator.attrgetter("value")
_grad_of = operator.attrgetter("_grad")
_set_value: Callable[[Storage, Value], None] = Storage.value.__set__  # type: ignore[attr-defined]
_set_buffer: Callable[[Value, Any], None] = Value.buffer.__set__  # type: ignore[attr-defined]


def _count_of_one_holder() -> int:
    """What sys.getrefcount says of the elements of a list that one other object holds as well."""
    holder = [[object()]]
    holder.append(list(holder[0]))
    return max(map(sys.getrefcount, holder[1]))


_HELD_ONCE = _count_of_one_holder()


def settle() -> None:
    """Run what is pending. An error is kept for whoever asks for the number."""
    try:
        realize()
    except Exception:
        return


def contents(tensor: Tensor) -> Any:
    """The numbers of a tensor as a contiguous array."""
    array = tensor._array()
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def accept(
    tensor: Any, kind: type, shape: tuple[int, ...], dtype: Any, requires_grad: bool
) -> Any:
    """The numbers of a tensor that was given to the call, if it is like the recorded one."""
    if tensor.__class__ is not kind or tensor._storage.value.dtype is not dtype:
        raise Departure
    array = contents(tensor)
    if array.shape != shape or tensor.requires_grad is not requires_grad:
        raise Departure
    return array


def alike(objects: Sequence[Any], known: Sequence[Any]) -> bool:
    """Whether two sequences hold the very same objects."""
    return len(objects) == len(known) and all(map(operator.is_, objects, known))


def plain_gradient(owner: Tensor) -> bool:
    """Whether a tensor has a gradient with memory of its own."""
    return owner._grad is not None and owner._grad._chain is None


def fresh(array: Any, dtype: Any) -> Tensor:
    """A tensor over memory of its own."""
    made = _new(Tensor)
    made._storage = Storage(Value(None, (), (), array.shape, dtype, None, array))
    return made


def look(storage: Storage, chain: Any, base: Tensor | None) -> Tensor:
    """A tensor over memory that others share, perhaps a view of it."""
    made = _new(Tensor)
    made._storage = storage
    if chain is not None:
        made._chain = chain
    if base is not None:
        made._base = base
        made._tracked = made._edits.edits
    return made


def put(storages: Sequence[Storage], dtypes: Sequence[Any], buffers: Iterable[Any]) -> None:
    """Let each storage hold a buffer: in its present Value if nobody else refers to that."""
    values = list(map(value_of, storages))
    if max(map(sys.getrefcount, values)) > _HELD_ONCE:
        values = list(map(leaf, buffers, dtypes))
        deque(map(_set_value, storages, values), 0)
    else:
        deque(map(_set_buffer, values, buffers), 0)
    for storage in storages:
        storage.version += 1
        storage.edits += 1


def replace(storages: Sequence[Storage], dtypes: Sequence[Any], buffers: Iterable[Any]) -> None:
    """Let each storage hold a new Value with a buffer."""
    deque(map(_set_value, storages, list(map(leaf, buffers, dtypes))), 0)
    for storage in storages:
        storage.version += 1
        storage.edits += 1


class Gradients:
    """The gradients that a step leaves in `.grad` of some tensors.

    Each step leaves new tensors there. Where nobody looked at those of the step before, they serve
    again.
    """

    __slots__ = ("_dtypes", "_made", "_owners", "_storages", "_values")

    def __init__(self, owners: Sequence[Tensor], dtypes: Sequence[Any]) -> None:
        self._owners = list(owners)
        self._dtypes = list(dtypes)
        self._made: list[Tensor] = []
        self._storages: list[Storage] = []
        self._values: list[Value] = []

    def put(self, buffers: Sequence[Any]) -> None:
        if self._unseen():
            deque(map(_set_buffer, self._values, buffers), 0)
            return
        self._made = list(map(fresh, buffers, self._dtypes))
        self._storages = [tensor._storage for tensor in self._made]
        self._values = list(map(value_of, self._storages))
        for owner, gradient in zip(self._owners, self._made, strict=True):
            owner._grad = gradient

    def _unseen(self) -> bool:
        """Whether what was left last time is still there, and nobody else refers to it."""
        made, storages, values = self._made, self._storages, self._values
        count = sys.getrefcount
        return (
            bool(made)
            and all(map(operator.is_, map(_grad_of, self._owners), made))
            and all(map(operator.is_, map(value_of, storages), values))
            and max(map(count, made)) <= _HELD_ONCE
            and max(map(count, storages)) <= _HELD_ONCE
            and max(map(count, values)) <= _HELD_ONCE
        )


def count_up(storages: Sequence[Storage], value: Value) -> None:
    """Let all storages hold one Value."""
    deque(map(_set_value, storages, repeat(value)), 0)
    for storage in storages:
        storage.version += 1
        storage.edits += 1
