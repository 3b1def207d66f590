"""Run what is pending: cut a region, work out its key, and hand it to a backend.

CPython counts every handle on a Value when it is made and dropped: a Tensor, the tape and a later
Value's inputs
each hold one reference. A region is therefore cut without any search: the pending list holds one
reference of its own, and a Value on which nothing else does is dead.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

from tidu.backends.base import Backend, Failure
from tidu.backends.null import NullBackend
from tidu.backends.numpy import NumpyBackend
from tidu.ir.value import Value, pending
from tidu.ir.verify import verify_region

_lock = threading.RLock()
_BACKENDS: dict[str, Callable[[], Backend]] = {"numpy": NumpyBackend, "null": NullBackend}


def _baseline() -> int:
    """What sys.getrefcount says of an object that one local variable and nothing else refers to."""
    value = object()
    return sys.getrefcount(value)


_UNHELD = _baseline()


class Engine:
    """The running state: which backend, which structures were seen how often, and what was run."""

    def __init__(self) -> None:
        self.backend: Backend = _BACKENDS[os.environ.get("TIDU_BACKEND", "numpy")]()
        self.verify = os.environ.get("TIDU_VERIFY", "") == "1"
        # With keys off, regions are not told apart; only the compiled tier needs them.
        self.keyed = os.environ.get("TIDU_TIER", "") != "0"
        self.seen: dict[Any, int] = {}
        self.regions = 0
        self.values = 0


engine = Engine()
_SEEN_LIMIT = 1024
# A smaller region costs less to run than to tell apart from others.
_FEW_VALUES = 16


def stats() -> dict[str, int]:
    """Counts since the start: regions run, values run, different structures among the regions."""
    return {"regions": engine.regions, "values": engine.values, "structures": len(engine.seen)}


def cut(batch: list[Value]) -> list[Value]:
    """The Values of `batch` (in order of making) that somebody holds or that such a Value is made
    of.
    """
    region = []
    while batch:
        value = batch.pop()
        if sys.getrefcount(value) > _UNHELD:
            region.append(value)
    region.reverse()
    return region


def region_key(region: list[Value]) -> tuple[Any, ...]:
    """The structure of a region: ops, attributes and connections, leaf shapes, and what is held
    from outside.

    Two regions with one key differ in nothing but the contents of their leaves and the numbers
    among their inputs.
    """
    slots: dict[int, int] = {}
    leaves: list[Any] = []
    instructions: list[Any] = []
    for number, value in enumerate(region):
        operands: list[Any] = []
        for x in value.inputs:
            if x.__class__ is Value:
                slot = slots.get(id(x))
                if slot is None:
                    slot = slots[id(x)] = -1 - len(leaves)
                    leaves.append((x.shape, x.dtype))
                operands.append(slot)
            else:
                operands.append(x.__class__)
        instructions.append((value.op, value.attrs, tuple(operands)))
        slots[id(value)] = number
    value = x = None  # type: ignore[assignment]
    return (tuple(instructions), tuple(leaves), held(region))


def held(region: list[Value]) -> tuple[int, ...]:
    """Which Values of a region outlive it: those with more references than the region itself
    explains.
    """
    uses: dict[int, int] = {}
    for value in region:
        for x in value.inputs:
            if x.__class__ is Value:
                uses[id(x)] = uses.get(id(x), 0) + 1
    value = x = None  # type: ignore[assignment]
    outlive = []
    for number in range(len(region)):
        value = region[number]
        # The list holds one reference besides the local variable.
        if sys.getrefcount(value) - uses.get(id(value), 0) > _UNHELD + 1:
            outlive.append(number)
    return tuple(outlive)


def realize() -> None:
    """Run everything pending that somebody holds. Raises what an op raised, naming the line that
    made it.
    """
    with _lock:
        error = _run(cut(pending.take()))
    if error is not None:
        raise error


def _run(region: list[Value]) -> BaseException | None:
    if not region:
        return None
    engine.regions += 1
    engine.values += len(region)
    if engine.verify:
        verify_region(region)
    if engine.keyed and len(engine.seen) < _SEEN_LIMIT and len(region) >= _FEW_VALUES:
        key = region_key(region)
        engine.seen[key] = engine.seen.get(key, 0) + 1
    return engine.backend.run(region)


def buffer_of(value: Value) -> Any:
    """The numbers of a Value, run now if they are not there yet."""
    buffer = value.buffer
    if buffer is None:
        realize()
        buffer = value.buffer
        if buffer is None:
            buffer = _run_alone(value)
    if buffer.__class__ is Failure:
        raise buffer.error
    return buffer


def _run_alone(value: Value) -> Any:
    """Run a Value that is on no list (another thread's list was swapped away while it was made)."""
    with _lock:
        order: list[Value] = []
        stack = [value]
        while stack:
            top = stack[-1]
            waiting = [
                x
                for x in top.inputs
                if isinstance(x, Value) and x.buffer is None and not any(x is y for y in order)
            ]
            if top.buffer is None and waiting:
                stack.extend(waiting)
            else:
                stack.pop()
                if top.buffer is None and not any(top is done for done in order):
                    order.append(top)
        engine.backend.run(order)
    return value.buffer


# What is looked at before it is run: indices, whose own history is short and made of integers.
_MOST_PEEKED = 12
_LARGEST_PEEKED = 1 << 17


def _peek(value: Value) -> Any:
    """The numbers of an integer Value that is made of integers in a few steps, worked out beside
    what is pending; None if there is more behind it.
    """
    if value.buffer is None:
        copies: dict[int, Value] = {}
        with _lock:
            value_copy = _copy(value, copies)
            if value_copy is None:
                return None
            engine.backend.run(list(copies.values()))
        value = value_copy
    return None if value.buffer.__class__ is Failure else value.buffer


def _copy(value: Value, copies: dict[int, Value]) -> Value | None:
    """A copy of a Value that has not been run, with copies of what it is made of before it."""
    found = copies.get(id(value))
    if found is not None or value.buffer is not None:
        return found or value
    op, d = value.op, value.dtype
    # What a host operation says of places (argmax, sorting) is in range, and costly.
    if op is None or op.host or op.outputs != 1 or d.is_floating_point:
        return None
    if len(copies) == _MOST_PEEKED or value.numel() > _LARGEST_PEEKED:
        return None
    inputs = []
    for x in value.inputs:
        known = _copy(x, copies) if x.__class__ is Value else x
        if known is None and x is not None:
            return None
        inputs.append(known)
    made = copies[id(value)] = Value(op, tuple(inputs), value.attrs, value.shape, d, value.position)
    return made


def _flush() -> None:
    """Called when the list of pending Values has grown past its limit. Errors wait for whoever
    asks.
    """
    with _lock:
        _run(cut(pending.take()))


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


pending.flush = _flush
pending.peek = _peek
os.register_at_fork(after_in_child=_after_fork)
