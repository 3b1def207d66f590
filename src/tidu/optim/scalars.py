"""Numbers that the state of an optimizer holds as 0-d tensors, kept as Python floats beside them.

`state["step"]` is a tensor, as in PyTorch's state dicts. Reading it with `.item()` in every step
would cut the training step in two programs, and adding one to it would put an operation for each
parameter into that program. So the number is remembered here, and what the tensor holds is
exchanged from outside the graph. It is read from the tensor only when somebody else put it there: a
loaded state dict, or an assignment.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tidu.base.dtypes import dtype
from tidu.base.traced import Traced
from tidu.ir.value import Value, leaf
from tidu.tensor import Tensor


class HostScalars:
    """The remembered numbers of 0-d tensors, each valid while nobody else writes to its tensor."""

    __slots__ = ("_known", "_last")

    def __init__(self) -> None:
        self._known: dict[Tensor, tuple[float, Value]] = {}
        # Parameters mostly share their step count: one Value serves all of them.
        self._last: tuple[float, Value] | None = None

    def read(self, tensor: Tensor) -> float:
        known = self._known.get(tensor)
        if known is not None and known[1] is tensor._storage.value:
            return known[0]
        return float(tensor.item())

    def write(self, tensor: Tensor, number: float) -> float:
        """Put `number` into the tensor, and return it as rounded to the tensor's dtype."""
        d = tensor.dtype
        last = self._last
        if last is None or last[0] != number or last[1].dtype is not d:
            last = self._last = (number, leaf(np.array(number, d.numpy), d))
        value = last[1]
        tensor._write(value)
        held = float(value.buffer)
        self._known[tensor] = (held, value)
        return held

    def multiply(self, tensor: Tensor, factor: float) -> float:
        """Multiply the tensor by `factor`, in its own precision, and return the product."""
        number = np.array(self.read(tensor), tensor.dtype.numpy)
        return self.write(tensor, float(number * number.dtype.type(factor)))

    def remember(self, tensors: Iterable[Tensor], number: float, value: Value) -> None:
        """Somebody else has put `value`, which is `number`, into the tensors."""
        self._known.update(dict.fromkeys(tensors, (number, value)))

    def tensors(self) -> list[Tensor]:
        """The tensors whose numbers are remembered."""
        return list(self._known)

    def forget(self) -> None:
        self._known.clear()


def rounded(number: Any, d: dtype) -> Any:
    """A number, which may be a traced one, as a dtype holds it."""
    kind = d.numpy.type
    if number.__class__ is Traced:
        return number.apply(f"rounded_to_{d.short}", lambda x: float(kind(x)))
    return float(kind(number))
