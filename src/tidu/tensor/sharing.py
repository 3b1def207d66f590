"""Memory that tensors and NumPy's arrays share.

PyTorch's `numpy()` and `from_numpy` give two names to one memory. Values never change, so here an
array is a copy that is kept equal, for as long as both live: what is written to the tensor is run
at once and copied into the array; and whoever reads the tensor looks first whether somebody has
written to the array. Nothing that was computed before is changed by that.

A storage that has such arrays is of a class of its own, so that no other pays for the question.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from tidu.autograd.slices import write_through
from tidu.backends.base import Failure
from tidu.base.changes import changes
from tidu.base.dtypes import from_numpy
from tidu.execute import buffer_of
from tidu.ir.value import Value, leaf
from tidu.tensor.storage import InferenceStorage, Storage, StridedStorage

# An array of more bytes is not asked whether it was written to: that would take longer than most
# operations do.
MOST_BYTES = 1 << 16


class Link:
    """An array, and the movements that lead from the memory to what it shows."""

    __slots__ = ("_mark", "array", "chain")

    def __init__(
        self, array: np.ndarray[Any, Any], chain: Any, storage: weakref.ref[Storage]
    ) -> None:
        self.array = weakref.ref(array)
        self.chain = chain
        self._mark = _Mark(_whole(array))
        self._mark.storage = storage

    def neighbors(self) -> list[Storage]:
        """The storages that share this array, or another name of all of it."""
        whole = self._mark()
        marks = () if whole is None else weakref.getweakrefs(whole)
        found = [mark.storage() for mark in marks if mark.__class__ is _Mark]
        return [storage for storage in found if storage is not None]

    def part_of(self, numbers: Any) -> Any:
        """What the array has to show, of the numbers in memory."""
        for op, attrs in self.chain:
            numbers = op.numpy(numbers, *attrs)
        return numbers


class _Mark(weakref.ref[Any]):
    """What is found at an array: a storage that shares it."""

    __slots__ = ("storage",)
    storage: weakref.ref[Storage]


def _whole(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The array whose memory this is, if it is all of it."""
    base = array.base
    return base if isinstance(base, np.ndarray) and base.nbytes == array.nbytes else array


_content: Any = Storage.value  # type: ignore[misc]
_count: Any = Storage.version  # type: ignore[misc]


def link(storage: Storage, array: np.ndarray[Any, Any], chain: Any = ()) -> None:
    """Keep the memory and an array, which has the same numbers, equal from now on."""
    if not array.flags.writeable or 0 in array.strides:
        return
    new = Link(array, chain, weakref.ref(storage))
    try:
        links = storage.links
    except AttributeError:  # nothing is called in between: no other thread can come first
        links = storage.links = []
    links.append(new)
    _be_shared(storage)


def _be_shared(storage: Any) -> None:
    storage.__class__ = _SHARED.get(storage.__class__, storage.__class__)


def _links(storage: Storage) -> Sequence[Link]:
    """The storage's links. Once there is a list of them it stays: others may add to it any time."""
    return getattr(storage, "links", ())


def _prune(storage: Any) -> None:
    """Drop the links to arrays that are gone. Without any, the memory is ordinary again."""
    links = storage.links
    for there in [there for there in links if there.array() is None]:
        with contextlib.suppress(ValueError):  # another thread was faster
            links.remove(there)
    if not links:
        storage.__class__ = _PLAIN.get(storage.__class__, storage.__class__)
        if links:  # another thread has added one
            _be_shared(storage)


def linked(storage: Storage, chain: Any) -> Any:
    """Another name for the array that shows this already, if there is one."""
    for there in _links(storage):
        array = there.array()
        if array is not None and there.chain == chain:
            return array.view()
    return None


def _look(storage: Any) -> None:
    """Take over what somebody has written to an array, be it one of a storage that shares another
    with this: the farthest take over first, and hand it on to those nearer.
    """
    for there in _links(storage):
        if there.array() is not None:
            break
    else:  # as for what is made of `array[i]`, which nobody has
        _prune(storage)
        return
    found = [storage]
    known = {id(storage)}
    for near in found:  # which grows meanwhile
        for there in _links(near):
            for neighbor in there.neighbors():
                if id(neighbor) not in known:
                    known.add(id(neighbor))
                    found.append(neighbor)
    for one in reversed(found):
        _take_over(one)


def _take_over(storage: Any) -> None:
    """Take over what somebody has written to the storage's own arrays."""
    for there in [*_links(storage)]:
        array = there.array()
        if array is None:
            continue
        value = _content.__get__(storage)
        if value.buffer.__class__ is Failure:  # there is nothing that the array could differ from
            continue
        if array.nbytes <= MOST_BYTES and _differ(array, there.part_of(_numbers(value))):
            written: Value = leaf(array.copy(), from_numpy(array.dtype))
            if there.chain:
                written = write_through(value, there.chain, written)
            _count.__set__(storage, _count.__get__(storage) + 1)
            _write(storage, written, there)
    _prune(storage)


def _numbers(value: Value) -> Any:
    """The buffer of a Value, run now if need be; raises what the op that makes it has raised."""
    buffer = value.buffer
    if buffer.__class__ is np.ndarray:
        return buffer
    if changes.recorder is not None:
        changes.recorder.refuse("a NumPy array shares the memory that it writes to")
    return buffer_of(value)


def _differ(a: Any, b: Any) -> bool:
    bits = f"u{a.dtype.itemsize}"
    return not bool((a.view(bits) == b.view(bits)).all())


def _write(storage: Any, value: Value, but: Link | None = None) -> None:
    """Write to the memory, and to the arrays that show it; a Value that cannot be computed raises
    before anything is written.
    """
    numbers = _numbers(value)
    _content.__set__(storage, value)
    for there in _links(storage):
        array = there.array()
        if array is not None and there is not but:
            np.copyto(array, there.part_of(numbers))


def _value(storage: Any) -> Value:
    _look(storage)
    value: Value = _content.__get__(storage)
    return value


def _version(storage: Any) -> int:
    _look(storage)
    count: int = _count.__get__(storage)
    return count


_watched: dict[str, Any] = {
    "__slots__": (),
    "__module__": __name__,
    "value": property(_value, _write),
    "version": property(_version, lambda storage, count: _count.__set__(storage, count)),
}
_SHARED: dict[type[Storage], type[Storage]] = {
    kind: type(f"Shared{kind.__name__}", (kind,), dict(_watched))
    for kind in (Storage, StridedStorage, InferenceStorage)
}
_PLAIN = {shared: kind for kind, shared in _SHARED.items()}
SHARED = frozenset(_PLAIN)
