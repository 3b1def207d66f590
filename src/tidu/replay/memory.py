"""All tensors and memory of the process, at the start and at the end of a recorded call."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from tidu.autograd.function import FunctionNode
from tidu.autograd.op_node import OpNode
from tidu.base.random.generator import Generator
from tidu.ir.value import Value, leaf
from tidu.optim.lr_scheduler import LRScheduler
from tidu.optim.optimizer import Optimizer
from tidu.tensor import Storage, Tensor

_KINDS = (Storage, Tensor, OpNode, FunctionNode, Generator, Optimizer, LRScheduler)


class TensorState(NamedTuple):
    """What a tensor was when the call began."""

    tensor: weakref.ref[Tensor]
    storage: weakref.ref[Storage]
    chain: Any
    grad: weakref.ref[Tensor] | None
    requires_grad: bool
    grad_fn: int


class Found(NamedTuple):
    """The living objects of each kind."""

    storages: list[Storage]
    tensors: list[Tensor]
    nodes: list[OpNode]
    functions: list[FunctionNode]
    generators: list[Generator]
    optimizers: list[Optimizer]
    schedules: list[LRScheduler]


def find() -> Found:
    """Look through all objects that Python's cycle collector knows of.

    They are found as what refers to their classes. To ask for all objects would be simpler, but
    other threads would fail on tuples that they are just making, and that somebody refers to.
    """
    kinds = [_with_subclasses(base) for base in _KINDS]
    places = {kind: place for place, classes in enumerate(kinds) for kind in classes}
    found = Found([], [], [], [], [], [], [])
    for x in gc.get_referrers(*places):
        place = places.get(type(x))
        if place is not None:
            found[place].append(x)
    # Parameters of lazy modules have no memory yet, and constructors that raised leave halves.
    found.tensors[:] = [t for t in found.tensors if "_storage" in t.__dict__]
    found.optimizers[:] = [o for o in found.optimizers if "_scalars" in o.__dict__]
    return found


def _with_subclasses(base: type) -> frozenset[type]:
    classes, stack = {base}, [base]
    while stack:
        new: set[type] = set(type.__subclasses__(stack.pop())) - classes
        classes |= new
        stack.extend(new)
    return frozenset(classes)


class Memory:
    """What there was when a call began.

    Every piece of memory gets a Value that no other has, nor the tape, and views forget what they
    saw: so each Value that the call reads tells which memory it was read from. Gradients are not
    kept alive: the call would free them.
    """

    def __init__(self, found: Found) -> None:
        known = {id(t) for o in found.optimizers for t in o._scalars.tensors()}
        counted = {id(t._storage) for t in found.tensors if id(t) in known}
        self._saved = {id(value): weakref.ref(value) for value in _saved(found)}
        self._make_distinct([s for s in found.storages if id(s) not in counted])
        self.storages: dict[int, tuple[weakref.ref[Storage], weakref.ref[Value]]] = {}
        self._sources: dict[int, tuple[weakref.ref[Value], Callable[[], Storage | None]]] = {}
        self._counts: dict[int, weakref.ref[Value]] = {}
        gradients = {id(t._grad._storage) for t in found.tensors if t._grad is not None}
        for storage in found.storages:
            reference, content = weakref.ref(storage), weakref.ref(storage.value)
            self.storages[id(storage)] = reference, content
            if id(storage) in gradients:
                self._sources[id(storage.value)] = content, reference
            elif id(storage) not in counted:
                self._sources[id(storage.value)] = content, partial(_itself, storage)
            else:
                self._counts[id(storage.value)] = content
        self.tensors: dict[int, TensorState] = {}
        for tensor in found.tensors:
            if tensor._chain is not None:
                tensor._cached = None
            self.tensors[id(tensor)] = _state_of(tensor)

    def _make_distinct(self, storages: list[Storage]) -> None:
        seen = set(self._saved)
        for storage in storages:
            value = storage.value
            if id(value) in seen and value.op is None and value.buffer is not None:
                storage.value = leaf(value.buffer, value.dtype)
                storage.value.bounds = value.bounds
            seen.add(id(storage.value))

    def source(self, value: Value) -> Storage | None:
        """The memory that held this Value when the call began."""
        there = self._sources.get(id(value))
        return there[1]() if there is not None and there[0]() is value else None

    def was_saved(self, value: Value) -> bool:
        """Whether the tape had saved this Value before the call began."""
        reference = self._saved.get(id(value))
        return reference is not None and reference() is value

    def was_count(self, value: Value) -> bool:
        """Whether this is a number that an optimizer keeps, such as the count of its steps."""
        reference = self._counts.get(id(value))
        return reference is not None and reference() is value

    def had(self, storage: Storage) -> bool:
        """Whether this memory was there when the call began."""
        there = self.storages.get(id(storage))
        return there is not None and there[0]() is storage

    def was_written(self, storage: Storage) -> bool:
        there = self.storages.get(id(storage))
        return there is not None and there[0]() is storage and there[1]() is not storage.value

    def state_of(self, tensor: Tensor) -> TensorState | None:
        """What this tensor was when the call began; None if the call made it."""
        state = self.tensors.get(id(tensor))
        return state if state is not None and state.tensor() is tensor else None


def _itself(storage: Storage) -> Storage:
    return storage


def _saved(found: Found) -> Iterator[Value]:
    """The Values that the tape keeps for backward passes."""
    for node in found.nodes:
        yield from (x for x in node.saved or () if x.__class__ is Value)
    for function in found.functions:
        yield from function.saved_values()


def _state_of(tensor: Tensor) -> TensorState:
    gradient = tensor._grad
    return TensorState(
        weakref.ref(tensor),
        weakref.ref(tensor._storage),
        tensor._chain,
        None if gradient is None else weakref.ref(gradient),
        tensor._leaf_requires_grad,
        id(tensor._grad_fn),
    )
