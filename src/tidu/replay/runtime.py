"""What the generated code of a replayed call uses: reading tensors, and making new ones."""

from __future__ import annotations

import operator
import sys
from collections.abc import Collection, Iterable, Sequence
from itertools import repeat
from threading import get_ident
from typing import Any

import numpy as np

from tidu.autograd.anomaly import Anomaly
from tidu.base.changes import changes
from tidu.base.state import state
from tidu.base.strides import Strides, strides_like
from tidu.execute import begin_in_place, lock, realize
from tidu.ir.value import Value, leaf
from tidu.replay.places import MISSING, same
from tidu.tensor import Storage, Tensor
from tidu.tensor.copying import OWN
from tidu.tensor.sharing import SHARED
from tidu.tensor.storage import StridedStorage

MISS = object()  # what replaying gives where the Python code has to run


class Departure(Exception):  # noqa: N818 (not an error: the Python code runs instead)
    """A condition does not hold under which a call was recorded."""


# What generated code refers to by name, besides the functions below.
GLOBALS = {
    "Anomaly": Anomaly,
    "MISSING": MISSING,
    "begin_in_place": begin_in_place,
    "changes": changes,
    "count": sys.getrefcount,
    "get_ident": get_ident,
    "lock": lock,
    "same": same,
    "state": state,
}
_new = object.__new__
value_of = operator.attrgetter("value")
gradient_of = operator.attrgetter("_grad")
_ARRAY = np.ndarray
_PLAIN = OWN - {"_grad"}


def _count_without_holder() -> int:
    """What sys.getrefcount says of an object that only a local variable of generated code refers
    to: that is interpreted, as compiled code need not count in the same way.
    """
    table: dict[str, Any] = {"count": sys.getrefcount}
    exec("def unheld():\n    value = object()\n    return count(value)", table)
    unheld: int = table["unheld"]()
    return unheld


UNHELD = _count_without_holder()


def settle() -> None:
    """Run what is pending. An error is kept for whoever asks for the number."""
    try:
        realize()
    except Exception:
        return


def are_arrays(buffers: Iterable[Any]) -> bool:
    """Whether each is there: an array, or those of an operation with several results."""
    for buffer in buffers:
        if buffer.__class__ is not _ARRAY and buffer.__class__ is not tuple:
            return False
    return True


def contents(tensor: Tensor) -> Any:
    """The numbers of a tensor as a contiguous array."""
    array = tensor._array()
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def accept(
    tensor: Any,
    kind: type[Tensor],
    shape: tuple[int, ...],
    strides: Strides | None,
    dtype: Any,
    requires_grad: bool,
    inference: bool,
) -> Any:
    """The numbers of a tensor that was given to the call, if it is like the recorded one."""
    storage = tensor._storage
    if type(tensor) is not kind or storage.value.dtype is not dtype:
        raise Departure
    if not is_plain(tensor) or storage.inference is not inference:
        raise Departure
    array = tensor._array()
    if array.shape != shape or tensor.requires_grad is not requires_grad:
        raise Departure
    if strides_unless_by_rows(tensor, array) != strides:
        raise Departure
    return array if array.flags.c_contiguous else np.ascontiguousarray(array)


def is_plain(tensor: Tensor) -> bool:
    """Whether a tensor has neither a gradient nor attributes that users have given it."""
    return _PLAIN.issuperset(tensor.__dict__)


def strides_unless_by_rows(tensor: Tensor, array: Any) -> Strides | None:
    """How a tensor, of which these are the numbers, lies in memory; None in row-major order."""
    # A view of memory in that order shows the numbers as they lie there, unless a program has made
    # a copy of them: asked of the array, it costs little also where each call gets another part.
    storage = tensor._storage
    shown = tensor._chain is None or array.base is storage.value.buffer
    if shown and storage.strides is None and array.flags.c_contiguous:
        return None
    return None if tensor.is_contiguous() else tensor._strides()[0]


def alike(objects: Collection[Any], known: Sequence[Any]) -> bool:
    """Whether a container holds the very same objects in this order."""
    if len(objects) != len(known):
        return False
    # Compiled, this takes a third of the time that `all` would.
    for place, x in enumerate(objects):  # noqa: SIM110
        if x is not known[place]:
            return False
    return True


def hold(containers: Iterable[dict[Any, Any]], known: Sequence[Any]) -> bool:
    """Whether several dictionaries hold the very same objects, all in all."""
    place, count = 0, len(known)
    for container in containers:
        for x in container.values():
            if place == count or x is not known[place]:
                return False
            place += 1
    return place == count


def are_unshared(storages: Sequence[Storage]) -> bool:
    """Whether no NumPy array shows some memory, so that nobody sees what is in it meanwhile."""
    for storage in storages:
        if type(storage) in SHARED:
            _ = storage.value  # finds out whether an array is still there
            if type(storage) in SHARED:
                return False
    return True


def are_different(objects: Sequence[Any]) -> bool:
    """Whether no object is there twice."""
    return len({*map(id, objects)}) == len(objects)


def have_no_gradients(owners: Iterable[Tensor]) -> bool:
    return all(map(operator.is_, map(gradient_of, owners), repeat(None)))


def have_plain_gradients(owners: Sequence[Tensor]) -> bool:
    """Whether each of some tensors has a gradient with memory of its own."""
    gradients = [owner._grad for owner in owners]
    memory = {id(g._storage) for g in gradients if g is not None and g._chain is None}
    return len(memory) == len(owners)


def fresh(array: Any, dtype: Any, strides: Strides | None = None) -> Tensor:
    """A tensor over memory of its own."""
    made = _new(Tensor)
    value = Value(None, (), (), array.shape, dtype, None, array)
    made._storage = Storage(value) if strides is None else StridedStorage(value, strides)
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


def values(buffers: Iterable[Any], dtypes: Iterable[Any]) -> list[Value]:
    """New Values of buffers."""
    return list(map(leaf, buffers, dtypes))


class Gradients:
    """The gradients that a step leaves in `.grad` of some tensors.

    Each step leaves new tensors there. Where nobody looked at those of the step before, generated
    code lets them serve again; `made` are those, with their memory and its Values.
    """

    __slots__ = ("_dtypes", "_owners", "_strides", "made")

    def __init__(self, owners: Sequence[Tensor], dtypes: Sequence[Any]) -> None:
        self._owners = list(owners)
        self._dtypes = list(dtypes)
        self._strides = [strides_like(tuple(x.shape), x._strides()[0]) for x in owners]
        self.made: tuple[Any, ...] = (None,) * len(owners)

    def forget(self) -> None:
        """No gradients: the old ones are gone, and new ones could not be computed."""
        for owner in self._owners:
            owner._grad = None
        self.made = (None,) * len(self._owners)

    def fresh(self, buffers: Sequence[Any]) -> tuple[Tensor, ...]:
        """New tensors for new buffers."""
        return tuple(map(fresh, buffers, self._dtypes, self._strides))
