"""Where a recorded call found its tensors: among its arguments, in variables, in `.grad`."""

from __future__ import annotations

import collections
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np

from tidu.autograd.anomaly import Anomaly
from tidu.base.state import state
from tidu.ir.value import Value, leaf
from tidu.replay.memory import Memory
from tidu.replay.places import Place, Size
from tidu.replay.recording import Names, Refusal
from tidu.replay.runtime import alike, contents, is_plain, strides_unless_by_rows
from tidu.replay.surroundings import Surroundings
from tidu.tensor import Storage, Tensor

_CONTAINERS = (list, dict, collections.OrderedDict, collections.defaultdict)
PLAIN = (type(None), bool, int, float, complex, str, bytes, np.generic)
_Gradient = tuple["weakref.ref[Storage]", "weakref.ref[Tensor]", Tensor | None]


def is_transparent(x: Any) -> bool:
    """Whether an argument is nothing but what is in it: a list, a dictionary, a tuple with names or
    without.
    """
    return type(x) in _CONTAINERS or (isinstance(x, tuple) and not hasattr(x, "__dict__"))


def objects_in(x: Any) -> Iterator[Any]:
    """What stands in an argument."""
    if is_transparent(x):
        for part in x.values() if isinstance(x, dict) else x:
            yield from objects_in(part)
    else:
        yield x


def _contents(x: Any) -> list[Any]:
    return [*x, *x.values()] if isinstance(x, dict) else [*x]


class Inputs:
    """The texts by which a replayed call reaches tensors and memory, and checks its arguments.

    An argument may be another tensor in every call, of the same shape and dtype. One that requires
    a gradient, has one, or has attributes of the user's, or that the function also reaches through
    a variable, has to be the same one.
    """

    def __init__(
        self, recorder: Any, around: Surroundings, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        own = state.own
        if own.saved_hooks or Anomaly.enabled:
            raise Refusal("saved-tensor hooks, or anomaly detection, are in use")
        self.names: Names = recorder.names
        self.memory: Memory = recorder.memory
        self.lines: list[str] = []
        self.around = around
        self._checks = [
            f"own.grad_enabled is {own.grad_enabled}",
            f"own.inference is {own.inference}",
            f"own.autocast is {self.constant(own.autocast)}",
            "not own.saved_hooks",
            "own.programs is None",
            "not Anomaly.enabled",
            f"len(args) == {len(args)}",
            f"[*kwargs] == {list(kwargs)!r}" if kwargs else "not kwargs",
        ]
        self._paths: dict[int, str] = {}  # by id of a tensor: how to reach it
        self._arrays: dict[int, tuple[Any, str]] = {}  # by id of a Value or Storage
        self._storages: dict[int, str] = {}
        self._held: list[Any] = []
        self._accepted: list[str] = []  # arguments that may be other tensors in the next call
        self._with_gradients: list[str] = []
        self._containers: list[tuple[Any, list[Any]]] = []  # arguments, and what is in them
        self.known: list[tuple[str, Any]] = []  # numbers and words in places that are compared
        self.changeable: set[int] = set()  # memory that may be another one in the next call
        for place, x in enumerate(args):
            self._argument(x, f"args[{place}]")
        for name, x in kwargs.items():
            self._argument(x, f"kwargs[{name!r}]")
        if len(self._accepted) > 1:
            self._checks.append(f"are_different(({', '.join(self._accepted)}))")
        self._gradients = self._gradients_by_storage()

    def _argument(self, x: Any, text: str) -> None:
        if isinstance(x, Tensor):
            self._tensor_argument(x, text)
        elif isinstance(x, PLAIN):
            self._checks.append(self._same(text, text, x))
        elif is_transparent(x):
            self._containers.append((x, _contents(x)))
            self._checks.append(f"{text}.__class__ is {self.names.bind(type(x))}")
            if isinstance(x, dict):
                self._checks.append(f"[*{text}] == [{', '.join(map(self.constant, x))}]")
            else:
                self._checks.append(f"len({text}) == {len(x)}")
            for key in x if isinstance(x, dict) else range(len(x)):
                self._argument(x[key], f"{text}[{self.constant(key)}]")
        else:
            self._checks.append(f"{text} is {self.names.bind(x)}")

    def _same(self, text: str, place: str, value: Any) -> str:
        """The condition that a number or a word is there, and what people call that place."""
        self.known.append((place, value))
        return f"same({text}, {self.constant(value)})"

    def require_unchanged_arguments(self) -> None:
        """Raise Refusal if the call has put something else into one of its arguments."""
        if not all(alike(_contents(x), before) for x, before in self._containers):
            raise Refusal("it changes an argument")

    def require(self, condition: str) -> None:
        self._checks.append(condition)

    def require_no_gradients(self, owners: list[Tensor]) -> None:
        """Those of some tensors that had no gradients when the call began have to have none."""
        states = map(self.memory.state_of, owners)
        without = [
            self.tensor_text(owner)
            for owner, state in zip(owners, states, strict=True)
            if state is not None and state.grad is None and state.requires_grad
        ]
        if without:
            self.require(f"have_no_gradients(({', '.join(without)},))")

    def keep_apart(self, written: list[Storage]) -> None:
        """The memory of an argument must not be some that the call writes to."""
        ids = frozenset(map(id, written))
        if ids and self._accepted:
            name = self.names.bind_alike(ids, ids)
            self._checks += [f"id({text}._storage) not in {name}" for text in self._accepted]

    def require_unshared(self, written: list[Storage]) -> None:
        """Nobody may see memory that the call writes to under another name."""
        if written:
            name = self.names.bind_alike(tuple(written), *map(id, written))
            self._checks.append(f"are_unshared({name})")

    def constant(self, x: Any) -> str:
        """A Python value as text."""
        if x is None or x.__class__ in (bool, int, str):
            return repr(x)
        if isinstance(x, PLAIN):
            return self.names.bind_alike(x, type(x), repr(x))
        return self.names.bind(x)

    def _tensor_argument(self, tensor: Tensor, text: str) -> None:
        known = self._paths.get(id(tensor))
        if known is not None:
            self._checks.append(f"{text} is {known}")
            return
        if tensor.requires_grad or self._is_reached_otherwise(tensor):
            self._paths[id(tensor)] = self.names.bind(tensor, "t")
            self._checks.append(f"{text} is {self._paths[id(tensor)]}")
            return
        self._paths[id(tensor)] = text
        storage = tensor._storage
        if tensor._chain is None and id(storage) in self._arrays:
            raise Refusal("two of its arguments are names for the same memory")
        self.changeable.add(id(storage))
        if tensor._chain is None:
            value = storage.value
        else:
            # What the view shows becomes a leaf, whatever part of which tensor that is.
            value = leaf(contents(tensor), tensor.dtype)
            tensor._cached, tensor._seen = value, storage.version
        name = self.accept(tensor, text, value.shape)
        self._accepted.append(text)
        self._arrays[id(value)] = value, name
        if tensor._chain is None:
            self._arrays[id(storage)] = storage, name
            self._storages[id(storage)] = f"{text}._storage"

    def _is_reached_otherwise(self, tensor: Tensor) -> bool:
        storage = tensor._storage
        others = self.around.tensors.values()
        return any(other.__dict__.get("_storage") is storage for other in others)

    def accept(self, tensor: Tensor, text: str, shape: tuple[int, ...]) -> str:
        """A line that takes the numbers of a tensor like this one; the name of the array."""
        if not is_plain(tensor):
            raise Refusal(f"a tensor that it is given has a gradient or attributes ({text})")
        name, storage = f"a{len(self.lines)}", tensor._storage
        kind, d = self.names.bind(type(tensor)), self.names.bind(tensor.dtype)
        strides = strides_unless_by_rows(tensor, tensor._array())
        self.lines.append(
            f"{name} = accept({text}, {kind}, {tuple(shape)}, {strides}, {d}, "
            f"{tensor.requires_grad}, {storage.inference})"
        )
        return name

    def add_slot(self, tensor: Tensor, text: str) -> None:
        """A variable that holds another tensor in every call."""
        if tensor._chain is not None:
            raise Refusal(f"a variable that it exchanges holds a view ({text})")
        storage = tensor._storage
        name = self.accept(tensor, text, storage.value.shape)
        self._paths[id(tensor)] = text
        self._storages[id(storage)] = f"{text}._storage"
        self._arrays[id(storage)] = storage, name
        self.changeable.add(id(storage))
        self._held.append(tensor)

    def text_of(self, value: Value) -> str | None:
        """The array of an argument."""
        there = self._arrays.get(id(value))
        return there[1] if there is not None and there[0] is value else None

    def tensor_text(self, tensor: Tensor) -> str:
        """A tensor that was there before the call."""
        known = self._paths.get(id(tensor))
        return known or self.names.bind(tensor, "t")

    def leaf_text(self, storage: Storage) -> str:
        """The array that some memory held when the call began."""
        there = self._arrays.get(id(storage))
        if there is not None and there[0] is storage:
            return there[1]
        return f"{self.storage_text(storage)}.value.buffer"

    def name_memory(self, storage: Storage | None, text: str) -> None:
        """Memory that is another one in every call, and how to reach it."""
        if storage is not None:
            self._storages[id(storage)] = text
            self.changeable.add(id(storage))

    def storage_text(self, storage: Storage) -> str:
        """Memory that was there before the call."""
        known = self._storages.get(id(storage))
        if known is not None:
            return known
        if id(storage) in self.changeable:
            raise Refusal("it reaches the memory of an argument in several ways")
        there = self._gradients.get(id(storage))
        owner = there[1]() if there is not None and there[0]() is storage else None
        if there is None or owner is None:
            text = self.names.bind(storage, "s")
        elif there[2] is not None:
            text = self.names.bind(storage, "s")
            self._checks.append(f"{self.tensor_text(owner)}._grad is {self.names.bind(there[2])}")
        else:
            text = f"{self.tensor_text(owner)}._grad._storage"
            self._with_gradients.append(self.tensor_text(owner))
            self.changeable.add(id(storage))
        self._storages[id(storage)] = text
        return text

    def _gradients_by_storage(self) -> dict[int, _Gradient]:
        """The memory of the gradients there are, by its id: whose they are, and the gradient itself
        where a variable holds it too. They are not kept alive.
        """
        found: dict[int, _Gradient] = {}
        for there in self.memory.tensors.values():
            owner = there.tensor()
            gradient = None if there.grad is None else there.grad()
            if owner is not None and gradient is not None and gradient._chain is None:
                storage = gradient._storage
                fixed = self.around.tensors.get(id(gradient))
                found[id(storage)] = weakref.ref(storage), weakref.ref(owner), fixed
        return found

    def reads_gradients(self, owners: list[Tensor]) -> bool:
        """Whether the programs read what the gradients of some tensors held before the call."""
        ids = {id(owner) for owner in owners}
        return any(
            key in self._storages and id(owner()) in ids
            for key, (_, owner, _) in self._gradients.items()
        )

    def place_text(self, place: Place) -> str:
        owner = self.names.bind(place.owner)
        if place.kind == "cell":
            return f"{owner}.cell_contents"
        if place.kind == "item":
            return f"{owner}[{self.constant(place.key)}]"
        if place.kind == "member":
            return f"{owner}.__dict__[{place.key!r}]"
        if place.kind == "own":
            return f"{owner}.__dict__.get({place.key!r}, MISSING)"
        return f"{owner}.{place.key}"

    def _size_text(self, container: Any, size: Size) -> str:
        name = self.names.bind(container)
        if isinstance(size, int):
            return f"len({name}{'.__dict__' if isinstance(container, type) else ''}) == {size}"
        if isinstance(size, frozenset):
            return f"{name} == {self.names.bind_alike(size, size)}"
        return f"alike({name}, {self.names.bind_alike(size, *map(id, size))})"

    def guards(self, exchanged: set[int]) -> list[str]:
        """Conditions on the arguments and on the surroundings; `exchanged` are the ids of entries
        that hold something else in every call.
        """
        texts = list(self._checks)
        if self._with_gradients:
            texts.append(f"have_plain_gradients(({', '.join(self._with_gradients)},))")
        for container, _, size in self.around.sizes:
            texts.append(self._size_text(container, size))
        if self.around.registers:
            registers = self.names.bind_alike(
                self.around.registers, *map(id, self.around.registers)
            )
            registered = self.names.bind_alike(
                self.around.registered, *map(id, self.around.registered)
            )
            texts.append(f"hold({registers}, {registered})")
        for variables, names in self.around.absent.values():
            absent = self.names.bind_alike(frozenset(names), *sorted(names))
            texts.append(f"{absent}.isdisjoint({self.names.bind(variables)})")
        # The function may ask whether an argument is one of the tensors that it knows.
        entries = [entry for entry in self.around.entries if id(entry) not in exchanged]
        known = frozenset(id(entry.value) for entry in entries if isinstance(entry.value, Tensor))
        if known and self._accepted:
            name = self.names.bind_alike(known, known)
            texts += [f"id({text}) not in {name}" for text in self._accepted]
        for entry in entries:
            if entry.place.counted:
                continue
            place = self.place_text(entry.place)
            if isinstance(entry.value, PLAIN) and entry.value is not None:
                texts.append(self._same(place, entry.place.text, entry.value))
            else:
                texts.append(f"{place} is {self.names.bind(entry.value)}")
        return list(dict.fromkeys(texts))
