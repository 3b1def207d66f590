"""What must hold of a plan: of its calls, its memory and its barriers."""

from __future__ import annotations

from collections.abc import Iterator

from tidu.compiler.expressions import ARGUMENT, LOAD
from tidu.compiler.fuse import Kernel
from tidu.compiler.notation import Names, expressions
from tidu.compiler.phases import follow, on_one_track, phases_of
from tidu.compiler.program import NativeCall, Plan, parts
from tidu.compiler.render import names_of
from tidu.compiler.steps import Correlate, HostCall, Product, Root, Stored

_ALIGNMENT = 64


def plan_complaints(plan: Plan) -> Iterator[str]:
    """Every slot exists, no memory is used twice at a time, and workers wait where they have to."""
    names = names_of(plan)
    known = {*plan.leaves, *plan.constants, *plan.results(), *plan.offsets}
    for call in plan.calls:
        if isinstance(call, HostCall):
            known.update(b.number for b in call.results)
    for place, call in enumerate(plan.calls):
        yield from _call(call, plan, known, f"call {place}", names)
    yield from _arena(plan, names)
    yield from _barriers(plan, names)
    yield from _over(plan, names)


def _uses(call: NativeCall | HostCall) -> tuple[set[int], set[int]]:
    """The buffers in memory that a call reads and writes."""
    if isinstance(call, HostCall):
        return {x.buffer.number for x in stored(call)}, {b.number for b in call.results}
    what = call.what
    if isinstance(what, Product):
        return {what.a.buffer.number, what.b.buffer.number}, {what.c.buffer.number}
    if isinstance(what, Correlate):
        return {b.number for b in what.reads}, {what.written.number}
    own = {root.buffer.number for root in what.roots}
    reads = {number for root in what.roots for number in root_reads(root)}
    return reads - own, set(call.writes)


def _call(
    call: NativeCall | HostCall, plan: Plan, known: set[int], where: str, names: Names
) -> Iterator[str]:
    reads, writes = _uses(call)
    for number in sorted((reads | writes) - known):
        yield f"{where} uses {names[number]}, which has no place in memory"
    if isinstance(call, HostCall):
        return
    if not reads <= call.reads:
        unsaid = ", ".join(names[n] for n in sorted(reads - call.reads))
        yield f"{where} does not say that it reads {unsaid}"
    if not isinstance(call.what, Kernel):
        return
    if call.kernel not in plan.functions:
        yield f"{where} calls {call.kernel}, which has no text"
    own = {root.buffer.number for root in call.what.roots}
    if not call.writes <= own:
        yield f"{where} says that it writes what none of its roots computes"
    yield from _order(call, where)
    numbers = {x.what[0] for r in call.what.roots for x in expressions(r) if x.kind == ARGUMENT}
    for parameter in call.parameters:
        if parameter.__class__ is not tuple:
            continue
        kind, number = parameter
        if number not in (known if kind == "slot" else numbers):
            yield f"{where} asks for the {kind} of {number}, which does not exist"


def _order(call: NativeCall, where: str) -> Iterator[str]:
    """Where elements have to be taken in by the order of their indices, they are."""
    loops, kernel = call.loops, call.nest
    if loops is None or kernel is None:
        return
    side_by_side = kernel.reduced == {loops.vector} and not loops.lanes % max(kernel.lanes, 1)
    if kernel.lanes and loops.lanes > 1 and not side_by_side:
        yield f"{where} does not take in rows by {kernel.lanes} lanes"
    if not kernel.ordered:
        return
    if loops.lanes > 1 and loops.vector in kernel.reduced:
        yield f"{where} takes in elements side by side that have an order"
    over = [d for d in loops.inner if d in kernel.reduced]
    if over != sorted(over):
        yield f"{where} takes in elements in another order than that of their indices"


def _arena(plan: Plan, names: Names) -> Iterator[str]:
    """Buffers that are in use at the same time lie apart."""
    uses: dict[int, list[int]] = {}
    for place, call in enumerate(plan.calls):
        for number in set.union(*_uses(call)):
            uses.setdefault(number, []).append(place)
    phases = phases_of(plan.calls)
    placed: list[tuple[int, int, int]] = []
    for number, start in sorted(plan.offsets.items(), key=lambda x: x[1]):
        buffer = plan.buffers[number]
        end = start + buffer.size * buffer.dtype.itemsize
        if start % _ALIGNMENT:
            yield f"{names[number]} starts at byte {start}, not at a multiple of {_ALIGNMENT}"
        if start < 0 or end > plan.arena:
            yield f"{names[number]} is at bytes {start} to {end} of an arena of {plan.arena}"
        for other, low, high in placed:
            apart = end <= low or high <= start
            if apart or number not in uses or other not in uses:
                continue
            if not (
                follow(plan.calls, phases, uses[number], uses[other])
                or follow(plan.calls, phases, uses[other], uses[number])
            ):
                yield f"{names[other]} and {names[number]} are in use together at byte {start}"
        placed.append((number, start, end))


def _barriers(plan: Plan, names: Names) -> Iterator[str]:
    """Between calls that use the same memory, one of them writing, all workers have waited for each
    other, unless they follow each other on one track.
    """
    since: list[tuple[int, NativeCall]] = []
    for place, call in enumerate(plan.calls):
        if isinstance(call, HostCall):
            since = []
            continue
        if call.barrier:
            since = []
        for before, other in since:
            if on_one_track(call, other):
                continue
            number = _conflict(plan, call, other)
            if number is not None:
                yield f"call {place} does not wait for call {before}, which uses {names[number]}"
        since.append((place, call))


def _over(plan: Plan, names: Names) -> Iterator[str]:
    """What may be written over a leaf comes when that has been read, and when nothing can fail."""
    phases = phases_of(plan.calls)
    uses = [_uses(call) for call in plan.calls]
    for result, leaves in plan.over.items():
        what = names[result]
        writers = [place for place, (_, writes) in enumerate(uses) if result in writes]
        if len(writers) != 1 or writers[0] < plan.safe:
            yield f"{what} may be written over a leaf, but not by one call that cannot fail"
        for leaf in sorted(leaves):
            if leaf in plan.results():
                yield f"{what} is written over {names[leaf]}, which is a result itself"
            readers = [place for place, (reads, _) in enumerate(uses) if leaf in reads]
            if not follow(plan.calls, phases, [x for x in readers if x not in writers], writers):
                yield f"{what} is written over {names[leaf]} before that has been read"
    safe = phases[plan.safe :]
    if plan.over and any(phase >= safe[0] for phase in phases[: plan.safe]):
        yield f"call {plan.safe}, from which on nothing can fail, does not begin a phase"


def _conflict(plan: Plan, call: NativeCall, other: NativeCall) -> int | None:
    """A buffer whose memory one of two calls writes while the other uses it."""
    reads, writes = _uses(call)
    other_reads, other_writes = _uses(other)
    apart = parts(call) & parts(other)
    for some, others, shared in (
        (reads, other_writes, set()),
        (writes, other_reads, set()),
        (writes, other_writes, apart),
    ):
        for number in sorted(some):
            rivals = others - {number} if number in shared else others
            if any(_same_memory(plan, number, n) for n in rivals):
                return number
    return None


def _same_memory(plan: Plan, one: int, other: int) -> bool:
    if one == other:
        return True
    if one not in plan.offsets or other not in plan.offsets:
        return False
    (a, a_end), (b, b_end) = (_span(plan, n) for n in (one, other))
    return a < b_end and b < a_end


def _span(plan: Plan, number: int) -> tuple[int, int]:
    start, buffer = plan.offsets[number], plan.buffers[number]
    return start, start + buffer.size * buffer.dtype.itemsize


def stored(call: HostCall) -> Iterator[Stored]:
    """What a call of a NumPy function reads from memory."""
    for x in call.inputs:
        for y in x if x.__class__ is tuple else (x,):
            if isinstance(y, Stored):
                yield y


def root_reads(root: Root) -> Iterator[int]:
    """The buffers that a root loads from."""
    return (x.what[0] for x in expressions(root) if x.kind == LOAD)
