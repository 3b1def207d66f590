"""Value: one immutable node of the lazy graph, and access to those that have not been run yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tidu.base import dtypes
from tidu.base.devices import CPU, device
from tidu.base.shapes import Shape
from tidu.base.state import Pending, Position, state

if TYPE_CHECKING:
    from tidu.ir.op import Op


class Value:
    """What an operation makes of its inputs:
    shape and dtype at once, the numbers when somebody asks.

    `inputs` holds Values, Python numbers (arguments of the program, never constants of it) and None
    for an absent optional input; for an operation on a list of tensors it holds that list as a
    tuple. A Value that has been run keeps its `buffer` and forgets `op` and `inputs`, so that a
    graph is freed as it is consumed. A Value of an operation with several results has a tuple of
    shapes and of dtypes, and is read through the operation `pick`.
    """

    __slots__ = (
        "__weakref__",
        "attrs",
        "bounds",
        "buffer",
        "dtype",
        "inputs",
        "op",
        "position",
        "shape",
    )

    op: Op | None
    inputs: tuple[Any, ...]
    attrs: tuple[Any, ...]
    shape: Shape
    dtype: dtypes.dtype
    buffer: Any
    position: Position | None
    bounds: tuple[int, int] | None

    def __init__(
        self,
        op: Op | None,
        inputs: tuple[Any, ...],
        attrs: tuple[Any, ...],
        shape: Shape,
        dtype: dtypes.dtype,
        position: Position | None,
        buffer: Any = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.shape = shape
        self.dtype = dtype
        self.position = position
        self.buffer = buffer
        self.bounds = None  # least and greatest element, once somebody had to know

    @property
    def device(self) -> device:
        return CPU

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def is_realized(self) -> bool:
        return self.buffer is not None

    def numel(self) -> int:
        count = 1
        for n in self.shape:
            count *= n
        return count

    def __repr__(self) -> str:
        what = "leaf" if self.op is None else self.op.name
        return f"<Value {what} {self.dtype.short}{list(self.shape)}>"

    # The operators that derivatives and decompositions are written with are bound in tidu.ops.
    if TYPE_CHECKING:

        def __add__(self, other: Any) -> Value: ...
        def __sub__(self, other: Any) -> Value: ...
        def __mul__(self, other: Any) -> Value: ...
        def __truediv__(self, other: Any) -> Value: ...
        def __neg__(self) -> Value: ...


def leaf(buffer: Any, dtype: dtypes.dtype) -> Value:
    """A Value of numbers that are already there.

    The buffer is owned from here on and never written.
    """
    if buffer.__class__ is not np.ndarray:  # NumPy's functions of a 0-d array return numbers
        buffer = np.asarray(buffer)
    return Value(None, (), (), buffer.shape, dtype, None, buffer)


class Waiting:
    """The Values that this thread has not run yet, and what runs them."""

    __slots__ = ("flush", "peek")

    def __init__(self) -> None:
        # Run what is pending in this thread; set by tidu.execute.
        self.flush: Callable[[], None] = lambda: None
        # The numbers of a Value if they are there or cheap to work out, else None; set by
        # tidu.execute.
        self.peek: Callable[[Value], Any] = lambda value: value.buffer

    def overflow(self, recorded: Pending) -> None:
        """More Values wait in the list of this thread than it allows."""
        if recorded.limit == 0:
            recorded.begin()
        else:
            self.flush()

    def take(self) -> list[Value]:
        """Remove and return what has been gathered so far; a signal handler may go on adding."""
        values = state.own.pending.values
        count = len(values)
        taken = values[:count]
        del values[:count]
        return taken


pending = Waiting()
