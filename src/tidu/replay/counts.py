"""The step counts of an optimizer: many tensors of one number, which go on together."""

from __future__ import annotations

from itertools import repeat
from operator import is_
from typing import Any

import numpy as np

from tidu.ir.value import Value, leaf
from tidu.optim.scalars import HostScalars
from tidu.replay.runtime import Departure, value_of
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
