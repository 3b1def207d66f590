"""The step counts of an optimizer: many tensors of one number, which go on together."""

from __future__ import annotations

from itertools import repeat
from operator import is_
from typing import Any

import numpy as np

from tidu.base.traced import Trace, Traced
from tidu.ir.value import Value, leaf
from tidu.optim.scalars import HostScalars, rounded
from tidu.replay.recording import Names, Refusal
from tidu.replay.runtime import Departure, value_of
from tidu.replay.stages import Stages
from tidu.tensor import Storage, Tensor


class Counts:
    """Tensors that held the same number when the call was recorded, and have to do so still."""

    __slots__ = ("_dtype", "_number", "_scalars", "_value", "storages", "tensors")

    def __init__(self, scalars: HostScalars, dtype: Any) -> None:
        self._scalars = scalars
        self._dtype = dtype
        self.tensors: list[Tensor] = []
        self.storages: list[Storage] = []
        self._value: Value | None = None  # what all of them hold, as far as we know
        self._number = 0.0

    def add(self, tensor: Tensor, number: float) -> None:
        if not any(tensor is other for other in self.tensors):
            self.tensors.append(tensor)
            self.storages.append(tensor._storage)

    def read(self) -> float:
        value = self._value
        if value is None or not all(map(is_, map(value_of, self.storages), repeat(value))):
            numbers = {self._scalars.read(tensor) for tensor in self.tensors}
            if len(numbers) != 1:
                raise Departure
            self._number = numbers.pop()
        return self._number

    def value_of(self, number: float) -> Value:
        """A number as the tensors are to hold it."""
        return leaf(np.array(number, self._dtype.numpy), self._dtype)

    def remember(self, number: float, value: Value) -> None:
        """All tensors hold `value` now, which is `number`."""
        self._value, self._number = value, number
        self._scalars.remember(self.tensors, number, value)


class Tallies:
    """The counts of all optimizers in a call that is recorded: what is read of them, as numbers
    whose computation is written down, and what is written to them.
    """

    def __init__(self, trace: Trace, names: Names) -> None:
        self._trace = trace
        self._names = names
        self._counts: dict[tuple[int, float, Any], Counts] = {}
        self._count_names: dict[int, str] = {}
        self._written: dict[int, tuple[Tensor, Traced]] = {}

    def read(self, scalars: HostScalars, tensor: Tensor) -> Any:
        """A number in the state of an optimizer, such as the count of its steps."""
        written = self._written.get(id(tensor))
        if written is not None:
            return written[1]
        number = scalars.read(tensor)
        key = id(scalars), number, tensor.dtype
        counts = self._counts.get(key)
        if counts is None:
            counts = self._counts[key] = Counts(scalars, tensor.dtype)
            self._count_names[id(counts)] = f"q{len(self._count_names)}"
        counts.add(tensor, number)
        return self._trace.compute(f"{self._count_names[id(counts)]}.read()", number)

    def write(self, scalars: HostScalars, tensor: Tensor, number: Any) -> Any:
        """The number was exchanged."""
        if not isinstance(number, Traced):
            number = self._trace.compute(self._trace.text(number), number)
        number = rounded(number, tensor.dtype)
        scalars.write(tensor, number.value)
        self._written[id(tensor)] = tensor, number
        return number

    def go_on(self, stages: Stages) -> None:
        """Let the counts go on in the replayed call, too."""
        for counts in self._counts.values():
            name = self._count_names[id(counts)]
            self._names.bind_alike(counts, *map(id, counts.tensors))
            self._names.table[name] = counts
            there = [self._written.get(id(tensor)) for tensor in counts.tensors]
            written = {None if entry is None else entry[1].name for entry in there}
            if written == {None}:
                continue
            number = written.pop()
            if written or number is None:
                raise Refusal(
                    "an optimizer counts differently for tensors that have the same count now"
                )
            stages.count(name, counts.storages, number)

    def storages(self) -> set[int]:
        """The ids of the storages whose numbers `go_on` writes."""
        return {id(tensor._storage) for tensor, _ in self._written.values()}
