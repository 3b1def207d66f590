"""Numbers that the state of an optimizer holds as 0-d tensors, kept as Python floats beside them.

`state["step"]` is a tensor, as in PyTorch's state dicts. Reading it with `.item()` in every step
would cut the training step in two programs, and adding one to it would put an operation for each
parameter into that program. So the number is remembered here, and what the tensor holds is
exchanged from outside the graph. It is read from the tensor only when somebody else put it there: a
loaded state dict, or an assignment.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tidu.base.dtypes import dtype
from tidu.base.traced import Traced
from tidu.ir.value import Value, leaf
from tidu.tensor import Tensor, write_each


class HostScalars:
    """The remembered numbers of 0-d tensors, each valid while nobody else writes to its tensor."""

    __slots__ = ("_known", "_last")

    def __init__(self) -> None:
        self._known: dict[Tensor, tuple[float, Value]] = {}
        # What was written last: parameters mostly share their step count, and then one Value.
        self._last: tuple[float, Value] | None = None

    def read(self, tensor: Tensor) -> float:
        known = self._known.get(tensor)
        value = tensor._storage.value
        if known is not None and known[1] is value:
            return known[0]
        if tensor._chain is not None or value.buffer.__class__ is not np.ndarray:
            return float(tensor.item())
        # Such as what an interrupted step was undone to. Nobody need know that it was read.
        number = float(value.buffer)
        self._known[tensor] = number, value
        return number

    def write(self, tensor: Tensor, number: float) -> float:
        """Put `number` into the tensor, and return it as rounded to the tensor's dtype."""
        d = tensor.dtype
        held: float = rounded(number, d)
        last = self._last
        if last is None or last[0] != held or last[1].dtype is not d:
            last = self._last = (held, leaf(np.array(number, d.numpy), d))
        tensor._write(last[1])
        self._known[tensor] = last
        return held

    def increase(self, tensors: Sequence[Tensor]) -> list[float]:
        """Add one to each of the tensors, and return what they hold then."""
        entries = list(map(self._known.get, tensors))
        shared = entries[0] if entries else None
        # Parameters that were always updated together have one entry, and one Value.
        if (
            shared is None
            or any([entry is not shared for entry in entries])
            or any([tensor._storage.value is not shared[1] for tensor in tensors])
        ):
            return [self._increase(tensor) for tensor in tensors]
        number = shared[0] + 1.0
        d = shared[1].dtype
        value = leaf(np.array(number, d.numpy), d)
        write_each(tensors, [value] * len(tensors))
        self.remember(tensors, rounded(number, d), value)
        return [number] * len(tensors)

    def _increase(self, tensor: Tensor) -> float:
        number = self.read(tensor) + 1.0
        self.write(tensor, number)
        return number

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
