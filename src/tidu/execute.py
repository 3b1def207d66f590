"""Run what is pending: cut a region, work out its key, and hand it to a backend.

A compiled region whose numbers nobody asks for yet is launched: the worker threads run it while
this one goes on recording. It is landed when somebody needs them or the next region is to be run.

`ir/region.py` tells how regions are cut.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tidu.backends import mersenne
from tidu.backends.base import Backend, DeclinedError, Failure, InPlaceRun, Program
from tidu.backends.numpy import NumpyBackend
from tidu.base.changes import changes
from tidu.base.collector import passes, thresholds
from tidu.base.deferred import DeferredModule
from tidu.base.environment import setting
from tidu.base.locks import pause_in_forks
from tidu.base.state import Pending, state
from tidu.headstart import Head, HeadStarts, Outlook, Past, Start, Task
from tidu.ir.region import alive, complete, cut, cut_after, has_many_elements, is_large
from tidu.ir.structure import Key, region_key
from tidu.ir.value import Value, pending
from tidu.parts import take
from tidu.programs import Programs, programs

if TYPE_CHECKING:
    from tidu.backends import null
    from tidu.compiler import graph, pipeline, verify
    from tidu.compiler.graph import Graph
    from tidu.ir import verify as ir_verify
else:
    null = DeferredModule("tidu.backends.null")
    graph = DeferredModule("tidu.compiler.graph")
    pipeline = DeferredModule("tidu.compiler.pipeline")
    verify = DeferredModule("tidu.compiler.verify")
    ir_verify = DeferredModule("tidu.ir.verify")

lock = threading.RLock()
mersenne.install()
_BACKENDS: dict[str, Callable[[], Backend]] = {
    "numpy": NumpyBackend,
    "null": lambda: null.NullBackend(),
}


class Engine:
    """The running state: which backend, which structures were seen how often, and what was run."""

    def __init__(self) -> None:
        self.backend: Backend = _BACKENDS[setting("TIDU_BACKEND") or "numpy"]()
        self.verify = setting("TIDU_VERIFY") == "1"
        # 0: everything by the backend; 1: everything compiled, at once; else what comes again.
        tier = setting("TIDU_TIER")
        self.tier = int(tier) if tier else None
        if self.backend.name == "null":
            self.tier = 1
        self.fewest = 1 if self.tier == 1 else _FEW_VALUES
        self.regions = 0
        self.values = 0
        self.inside = False  # whether what was pending is just being run, under the lock
        self.flight: Task | None = None  # what was launched
        self.start: Start | None = None  # the beginning of what will be cut; nothing flies then
        # What an op raised that was run when nobody could be told: nobody had asked for anything.
        self.untold: BaseException | None = None


# A smaller region costs less to run than to tell apart from others.
_FEW_VALUES = 16
engine = Engine()
head_starts = HeadStarts()
if engine.verify:
    pipeline.watchers.append(verify.verify_form)


@contextmanager
def compiling(make: Callable[[Graph], Program]) -> Iterator[None]:
    """For a while, every region that this thread runs is compiled by `make` before it is run,
    however small it is. What was made is forgotten afterwards.
    """
    programs.wait()  # what is being compiled would be in the way of measuring
    own = state.own
    kept, own.programs = own.programs, Programs(immediate=True, make=make)
    try:
        yield
    finally:
        own.programs = kept


def stats() -> dict[str, int]:
    """Counts since the start: regions run, values run, different structures among the regions."""
    return {
        "regions": engine.regions,
        "values": engine.values,
        "structures": len(programs.ledger.records),
    }


def realize() -> None:
    """Run everything pending that somebody holds. Raises what an op raised, naming the line that
    made it.
    """
    with lock:
        _run_pending()
        if engine.untold is not None:
            _tell()


def settle() -> None:
    """Wait for what was launched. Raises what an op raised there."""
    with lock:
        if engine.flight is not None:
            land()
        if engine.untold is not None:
            _tell()


def _tell() -> None:
    """Raise what an op raised when nobody could be told."""
    error, engine.untold = engine.untold, None
    error.is_told = True  # type: ignore[union-attr]
    raise error  # type: ignore[misc]


def launch(undo: Callable[[], None]) -> None:
    """As `realize`, but what is pending may go on being run by the workers. Raises what an op
    raised that was run already; if one raises later, `undo` is called, and who needs its result or
    runs something next gets the error.
    """
    with lock:
        _run_pending(ahead=True)
        if engine.flight is not None:
            engine.flight.undo = undo
        if engine.untold is not None:
            _tell()


def head_start(roots: Sequence[tuple[Any, Any]]) -> None:
    """Have the workers begin with what is pending, if it is known how such a region goes on. Called
    when a backward pass begins, with what it begins at and the cotangents there.
    """
    own = state.own
    recorded = own.pending
    values = recorded.values
    if len(values) < engine.fewest and not (values and has_many_elements(values[0])):
        return
    # A call that is recorded is run as it will be replayed; what is looked at, from its beginning.
    if recorded.outlook is not None or engine.tier == 0 or changes.recorder is not None:
        return
    if own.programs is not None:
        return
    if recorded.parts:
        with lock:
            _take_parts(recorded)
    cotangents = [cotangent for _, cotangent in roots]
    outlook = Outlook.of(values, cotangents)
    if not outlook.ops:  # a signal handler came in between
        return
    recorded.outlook = outlook
    start = head_starts.find(values, cotangents, outlook)
    if start is None:
        return
    with lock:
        landed = _landed()
        # Only once it has begun: what a signal handler runs meanwhile must not go on with it, nor
        # take for landed what is about to be launched.
        try:
            if start.begin():
                engine.start = start
        except DeclinedError:
            pass
        if landed is not None:
            landed.forget()


def _run_pending(*, ahead: bool = False) -> None:
    """Run it all, or only launch it if it can be run `ahead` of need."""
    if engine.inside:  # a signal handler, or a finalizer
        _run_amid()
        return
    if passes:
        thresholds.follow()
    try:
        engine.inside = True
        if Pending.scattered and engine.flight is not None:
            land()
        recorded = state.own.pending
        if recorded.parts:
            _take_parts(recorded)
        if recorded.outlook is None:
            _run(cut(pending.take()), ahead)
        else:
            outlook, recorded.outlook = recorded.outlook, None
            region, kept = cut_after(pending.take(), len(outlook.ops))
            _run(region, ahead, Past(outlook, kept))
    except BaseException:
        # Interrupted: what had been taken is on no list any more.
        Pending.scattered = True
        raise
    finally:
        engine.inside = False


def _take_parts(recorded: Pending) -> None:
    """Have what shows a part of something that is there, before structures are looked at. What is
    recorded for a replay, or compiled at first sight, stays as it was written.
    """
    shown, recorded.parts = recorded.parts, []
    if engine.tier is None and changes.recorder is None and state.own.programs is None:
        take(shown, land)


def _run_amid() -> None:
    """Run what has become pending in the middle of another run."""
    if state.own.pending.limit > Pending().limit:
        Pending.scattered = True  # a decomposition gathers its parts there: what is asked for waits
        return
    land()
    state.own.pending.outlook = None
    region = alive(pending.take())
    _work_out(region)
    for value in region:
        value.op, value.inputs, value.attrs = None, (), ()


def _work_out(wanted: list[Value]) -> None:
    """Give some Values their buffers. What another run is about to run is worked out on copies, so
    that it is still there afterwards.
    """
    copies: dict[int, Value] = {}
    for value in complete([value for value in wanted if value.buffer is None]):
        inputs = tuple([copies.get(id(x), x) for x in value.inputs])
        assert value.op is not None
        copies[id(value)] = Value(
            value.op, inputs, value.attrs, value.shape, value.dtype, value.position
        )
    engine.backend.run(list(copies.values()))
    for value in wanted:
        if value.buffer is None:
            value.buffer = copies[id(value)].buffer


def _run(region: list[Value], ahead: bool, past: Past | None = None) -> None:
    if not region:
        land()
        return
    engine.regions += 1
    engine.values += len(region)
    if engine.verify or changes.recorder is not None:
        _look_at(region)
        ahead = False
    key: Key | None = None
    asked_for = changes.recorder is not None
    table: Programs = state.own.programs or programs
    if table is not programs or (
        engine.tier != 0 and (asked_for or len(region) >= engine.fewest or is_large(region))
    ):
        key, leaves, numbers = region_key(region)
        held = key.held
        program = table.ready(
            key,
            lambda: graph.capture(region, leaves, held),
            asked_for=asked_for,
        )
        if program is not None:
            task = Task(region, program, key, leaves, numbers)
            if _run_compiled(task, ahead, past):
                return
            del task
        leaves = []
    if engine.flight is not None or engine.start is not None:
        land()
    started = 0.0 if key is None else time.thread_time()
    error = engine.backend.run(region)
    if key is not None:
        table.ledger.ran(key, time.thread_time() - started)
    if error is not None:
        _note(error)


def _note(error: BaseException) -> None:
    """Keep what an op raised until somebody is told, unless it comes from what was told before."""
    if engine.untold is None and not hasattr(error, "is_told"):
        engine.untold = error


def _look_at(region: list[Value]) -> None:
    """Let the verifier and the recorder see a region whose leaves are all there."""
    land()
    if engine.verify:
        ir_verify.verify_region(region)
    if changes.recorder is not None:
        changes.recorder.region(region)


def land() -> None:
    """Wait for the region that was launched, if any, and give its Values their buffers. A head
    start is given up.
    """
    task = _landed()
    if task is not None:
        task.forget()


def _landed() -> Task | None:
    """Land; what was launched, which is to forget what it was made of as soon as there is time."""
    if engine.start is not None:
        engine.start.head.program.cancel()
        engine.start = None
    task = engine.flight
    if task is None:
        return None
    try:
        task.deliver(task.program.land(task.arrays))
        engine.flight = None
        return task
    except DeclinedError:
        if engine.flight is task:  # else a signal handler has landed it meanwhile
            engine.flight = None
            error = engine.backend.run(task.region)
            if error is not None:
                _note(error)
                if task.undo is not None:
                    task.undo()
    return None


def _run_compiled(task: Task, ahead: bool, past: Past | None) -> bool:
    """Whether the program could do it, or was launched; if not, nothing has happened."""
    try:
        start = engine.start
        if start is not None and past is not None and start.leads_to(task, past):
            _proceed(start, task, ahead)
            return True
        land()
        if past is not None and head_starts.is_worth_learning(past.outlook):
            head_starts.learn(Head(past, task))
        buffers = task.buffers()
        if ahead:
            # Known before it begins, so that no interrupt can come between.
            engine.flight = task
            task.arrays = task.program.launch(buffers, task.numbers)
            if task.arrays is not None:
                return True
            engine.flight = None
        task.deliver(task.program.run(buffers, task.numbers))
        task.forget()
    except DeclinedError:
        engine.start = engine.flight = None
        return False
    return True


def _proceed(start: Start, task: Task, ahead: bool) -> None:
    """Run the second half of a program that has begun, or launch it."""
    halves, program, arrays = start.head.halves, task.program, start.arrays
    assert halves is not None and arrays is not None
    buffers = task.buffers()
    engine.flight, engine.start = task, None
    launched = program.proceed(halves, arrays, buffers, task.numbers, ahead=ahead)
    head_starts.confirm(start.head)
    if launched:
        task.arrays = arrays
        task.deliver(program.results(arrays), halves.early)
    else:
        engine.flight = None
        task.deliver(program.results(arrays))
        task.forget()


def run_program(program: Program, leaves: list[Any], numbers: Sequence[Any]) -> list[Any]:
    """The buffers that a compiled program makes of those of its leaves. Raises DeclinedError."""
    with lock:
        _clear_the_way()
        return program.run(leaves, numbers)


def begin_in_place(run: InPlaceRun, leaves: list[Any], numbers: Sequence[Any]) -> list[Any]:
    """The first part of such a run, for who holds the `lock` until after the second."""
    _clear_the_way()
    return run.begin(leaves, numbers)


def _clear_the_way() -> None:
    if passes:
        thresholds.follow()
    land()


def buffer_of(value: Value) -> Any:
    """The numbers of a Value, run now if they are not there yet."""
    if changes.recorder is not None:
        changes.recorder.read()
    buffer = value.buffer
    if buffer is None:
        if engine.flight is not None:
            _land_for(value)
        if value.buffer is None:
            realize()
            if value.buffer is None:
                _run_alone(value)
        buffer = value.buffer
    if buffer.__class__ is Failure:
        raise buffer.error
    return buffer


def _land_for(value: Value) -> None:
    """Land what is flying. If that gave the Value that is needed, what is pending may fly next."""
    with lock:
        land()
        if value.buffer is not None:
            _run_pending(ahead=True)
        if engine.untold is not None:
            _tell()


def _run_alone(value: Value) -> None:
    """Run a Value that is not on the list of this thread."""
    with lock:
        land()
        if value.buffer is not None:  # another thread may have been quicker
            return
        if engine.inside:
            _work_out([value])
        else:
            engine.backend.run(complete([value]))


# What is looked at before it is run: indices, whose own history is short and made of integers.
_MOST_PEEKED = 12
_LARGEST_PEEKED = 1 << 17


def _peek(value: Value) -> Any:
    """The numbers of an integer Value that is made of integers in a few steps, worked out beside
    what is pending; None if there is more behind it.
    """
    if value.buffer is None:
        copies: dict[int, Value] = {}
        with lock:
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
    if op is None or op.kind == "host" or op.outputs != 1 or d.is_floating_point:
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
    """Called when the list of pending Values has grown past its limit."""
    with lock:
        _run_pending()


def _land_quietly() -> None:
    with lock:
        land()


def _before_fork() -> None:
    """Nothing is under way while the child is made: it has none of the workers."""
    lock.acquire()
    land()


def _after_fork() -> None:
    engine.inside = False


pending.flush = _flush
pending.peek = _peek
pause_in_forks(0, _before_fork, lock.release)
os.register_at_fork(after_in_child=_after_fork)
# At the end the memory that the workers work in is taken away.
atexit.register(_land_quietly)
