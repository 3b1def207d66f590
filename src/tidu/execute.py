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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tidu.backends import mersenne
from tidu.backends.base import Backend, Failure, Program
from tidu.backends.cpu import DeclinedError
from tidu.backends.null import NullBackend
from tidu.backends.numpy import NumpyBackend
from tidu.base.changes import changes
from tidu.base.state import Pending
from tidu.compiler import pipeline
from tidu.compiler.graph import Graph, capture
from tidu.compiler.verify import verify_form
from tidu.ir.value import Value, pending
from tidu.ir.verify import verify_region
from tidu.programs import programs

_lock = threading.RLock()
mersenne.install()
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
        # 0: everything by the backend; 1: everything compiled, at once; else what comes again.
        tier = os.environ.get("TIDU_TIER", "")
        self.tier = int(tier) if tier in ("0", "1") else None
        if self.backend.name == "null":
            self.tier = 1
        self.fewest = 1 if self.tier == 1 else _FEW_VALUES
        self.regions = 0
        self.values = 0


# A smaller region costs less to run than to tell apart from others.
_FEW_VALUES = 16
# Unless it has Values of so many elements.
_MANY_ELEMENTS = 1 << 15
engine = Engine()
if engine.verify:
    pipeline.watchers.append(verify_form)


@contextmanager
def compiling(make: Callable[[Graph], Program]) -> Iterator[None]:
    """For a while, every region is compiled by `make` before it is run, however small it is."""
    kept = engine.tier, engine.fewest
    engine.tier, engine.fewest = 1, 1
    try:
        with programs.apart(make):
            yield
    finally:
        engine.tier, engine.fewest = kept


def stats() -> dict[str, int]:
    """Counts since the start: regions run, values run, different structures among the regions."""
    return {"regions": engine.regions, "values": engine.values, "structures": len(programs.seen)}


def cut(batch: list[Value]) -> list[Value]:
    """The Values of `batch` (in order of making) that somebody holds or that such a Value is made
    of.
    """
    region = []
    while batch:
        value = batch.pop()
        # Another thread that needed it may have run it meanwhile.
        if sys.getrefcount(value) > _UNHELD and value.buffer is None:
            region.append(value)
    region.reverse()
    if Pending.scattered:
        value = None  # type: ignore[assignment]
        return _complete(region)
    return region


def _complete(region: list[Value]) -> list[Value]:
    """`region`, and before its Values what they are made of that waits outside this list."""
    done: set[int] = set()
    order: list[Value] = []
    for wanted in region:
        stack = [wanted]
        while stack:
            top = stack[-1]
            waiting = [
                x
                for x in top.inputs
                if x.__class__ is Value and x.buffer is None and id(x) not in done
            ]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if id(top) not in done:
                done.add(id(top))
                order.append(top)
    return order


class Key:
    """The structure of a region, hashed once."""

    __slots__ = ("_hash", "structure")

    def __init__(self, structure: tuple[Any, ...]) -> None:
        self.structure = structure
        self._hash = hash(structure)

    @property
    def held(self) -> tuple[int, ...]:
        outlive: tuple[int, ...] = self.structure[2]
        return outlive

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.structure == other.structure


def region_key(region: list[Value]) -> tuple[Key, list[Value], list[float]]:
    """The structure of a region: ops, attributes and connections, leaf shapes, and what is held
    from outside; then its leaves and the numbers among its inputs, in order of first use.

    Two regions with one key differ in nothing but the contents of those two.
    """
    slots: dict[int, int] = {}
    find = slots.get
    uses = [0] * len(region)
    leaves: list[Value] = []
    numbers: list[float] = []
    instructions: list[Any] = []
    for count, value in enumerate(region):
        operands: list[Any] = []
        for x in value.inputs:
            kind = x.__class__
            if kind is Value:
                slot = find(id(x))
                if slot is None:
                    slot = slots[id(x)] = -1 - len(leaves)
                    leaves.append(x)
                elif slot >= 0:
                    uses[slot] += 1
                operands.append(slot)
            elif kind is float or kind is int:
                numbers.append(x)
                operands.append(kind)
            else:
                operands.append((x,))
        instructions.append((value.op, value.attrs, *operands))
        slots[id(value)] = count
    value = x = None  # type: ignore[assignment]
    shapes = tuple([(leaf.shape, leaf.dtype) for leaf in leaves])
    return Key((tuple(instructions), shapes, _held(region, uses))), leaves, numbers


def _held(region: list[Value], uses: list[int]) -> tuple[int, ...]:
    """Which Values of a region outlive it: those with more references than those from the region,
    which are counted in `uses`, and from the list itself.
    """
    references = sys.getrefcount
    return tuple([n for n, used in enumerate(uses) if references(region[n]) - used > _UNHELD])


def realize() -> None:
    """Run everything pending that somebody holds. Raises what an op raised, naming the line that
    made it.
    """
    with _lock:
        error = _run_pending()
    if error is not None:
        raise error


def _run_pending() -> BaseException | None:
    try:
        return _run(cut(pending.take()))
    except BaseException:
        # Interrupted: what had been taken is on no list any more.
        Pending.scattered = True
        raise


def _run(region: list[Value]) -> BaseException | None:
    if not region:
        return None
    engine.regions += 1
    engine.values += len(region)
    if engine.verify:
        verify_region(region)
    if changes.recorder is not None:
        changes.recorder.region(region)
    if engine.tier != 0 and (len(region) >= engine.fewest or _is_large(region)):
        key, leaves, numbers = region_key(region)
        program = programs.ready(key, lambda: capture(region, leaves, key.held))
        if program is not None and _run_compiled(program, key, region, leaves, numbers):
            return None
        del leaves, program
    return engine.backend.run(region)


def _is_large(region: list[Value]) -> bool:
    """Whether a few Values have many elements, judged by the first and the last of them."""
    return _has_many_elements(region[0]) or _has_many_elements(region[-1])


def _has_many_elements(value: Value) -> bool:
    op = value.op
    return op is not None and op.outputs == 1 and value.numel() >= _MANY_ELEMENTS


def _run_compiled(
    program: Program,
    key: Key,
    region: list[Value],
    leaves: list[Value],
    numbers: list[float],
) -> bool:
    """Whether the compiled program could do it; if not, nothing has happened yet."""
    arrays = [x.buffer for x in leaves]
    if any(array.__class__ is Failure for array in arrays):
        return False
    try:
        results = program.run(arrays, numbers)
    except DeclinedError:
        return False
    for number, buffer in zip(key.held, results, strict=True):
        value = region[number]
        if buffer.__class__ is not tuple and buffer.shape != value.shape:
            buffer = buffer.reshape(value.shape)
        value.buffer = buffer
    for value in region:
        value.op = None
        value.inputs = value.attrs = ()
    return True


def run_program(program: Program, leaves: list[Any], numbers: list[Any]) -> list[Any]:
    """The buffers that a compiled program makes of those of its leaves. Raises DeclinedError."""
    with _lock:
        return program.run(leaves, numbers)


def buffer_of(value: Value) -> Any:
    """The numbers of a Value, run now if they are not there yet."""
    if changes.recorder is not None:
        changes.recorder.read()
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
    """Run a Value that is not on the list of this thread."""
    with _lock:
        if value.buffer is None:  # another thread may have been quicker
            engine.backend.run(_complete([value]))
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
        _run_pending()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()


pending.flush = _flush
pending.peek = _peek
os.register_at_fork(after_in_child=_after_fork)
