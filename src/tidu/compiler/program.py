"""A plan: fused steps as native kernels in groups, host calls between them, and where memory is.

Everything here is data; `tidu.backends.cpu` turns it into something that runs.
"""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tidu.compiler.emit import Emitted, emit
from tidu.compiler.expressions import Expressions
from tidu.compiler.fuse import Fused, Kernel, loaded, root_loads
from tidu.compiler.gemm import ceiling, panels
from tidu.compiler.loops import Loops
from tidu.compiler.steps import Buffer, Correlate, HostCall, Product, Steps, Stored

# What starts in the arena starts at a multiple of this many bytes, a line of the cache.
_ALIGNMENT = 64


@dataclass(slots=True)
class NativeCall:
    """One kernel with its parameters; those that name a slot are filled in by the backend."""

    kernel: str  # the name of its function
    parameters: list[Any]
    units: int
    work: int  # for one unit
    what: Kernel | Product | Correlate
    reads: frozenset[int]
    writes: frozenset[int]
    barrier: bool = False
    loops: Loops | None = None  # of a kernel, over the space of `nest`
    nest: Kernel | None = None


@dataclass(slots=True)
class Plan:
    """What a program does, in order, and what it needs."""

    buffers: list[Buffer]
    leaves: list[int]
    constants: dict[int, Any]
    outputs: list[Any]  # numbers of buffers, or tuples of them
    calls: list[NativeCall | HostCall] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)  # by name
    offsets: dict[int, int] = field(default_factory=dict)  # by buffer: its place in the arena
    arena: int = 0  # bytes

    def results(self) -> list[int]:
        """The buffers that a run leaves behind, each once."""
        found: dict[int, None] = {}
        for output in self.outputs:
            for number in output if output.__class__ is tuple else (output,):
                found[number] = None
        return list(found)


def plan(steps: Steps, fused: list[Fused], make: Expressions, vector_bytes: int) -> Plan:
    outputs = [
        tuple(b.number for b in output) if output.__class__ is tuple else output.number
        for output in steps.outputs
    ]
    leaves = [b.number for b in steps.leaves]
    made = Plan(steps.buffers, leaves, steps.constants, outputs)
    readers = _readers(fused)
    results = set(made.results())
    for step in fused:
        if isinstance(step, HostCall):
            made.calls.append(step)
        elif isinstance(step, Product):
            made.calls.append(_product_call(step))
        elif isinstance(step, Correlate):
            made.calls.append(_correlate_call(step, made.functions))
        else:
            stored = {
                b for b in step.writes() if b in results or any(r is not step for r in readers[b])
            }
            made.calls.append(_kernel_call(step, stored, make, vector_bytes, made.functions))
    _place(made)
    _order(made)
    return made


def _readers(fused: list[Fused]) -> dict[int, list[Fused]]:
    """Who reads each buffer, or writes to it after another has."""
    readers: dict[int, list[Fused]] = {}
    written: dict[int, Fused] = {}
    for step in fused:
        for buffer in _touched(step):
            readers.setdefault(buffer, []).append(step)
        for buffer in _written(step):
            if buffer in written:
                readers[buffer].append(step)
            written[buffer] = step
            readers.setdefault(buffer, [])
    return readers


def _touched(step: Fused) -> set[int]:
    """The buffers that a step reads."""
    if isinstance(step, Product):
        return {step.a.buffer.number, step.b.buffer.number}
    if isinstance(step, Correlate):
        return {b.number for b in step.reads}
    if isinstance(step, HostCall):
        return {b.number for b in _host_buffers(step)}
    return {b for root in step.roots for b in loaded(root)}


def _written(step: Fused) -> set[int]:
    if isinstance(step, Product):
        return {step.c.buffer.number}
    if isinstance(step, Correlate):
        return {step.written.number}
    if isinstance(step, HostCall):
        return {b.number for b in step.results}
    return step.writes()


def _host_buffers(call: HostCall) -> Iterator[Buffer]:
    for x in call.inputs:
        if x.__class__ is tuple:
            yield from (y.buffer for y in x)
        elif isinstance(x, Stored):
            yield x.buffer


# Calls --------------------------------------------------------------------------------------------


class Function(NamedTuple):
    """The text of one kernel, and what a module needs besides: declarations and helpers."""

    text: str
    declarations: frozenset[str]
    whole: bool = False  # a module of its own


def module_texts(functions: dict[str, Function], most: int) -> list[str]:
    """Modules for all functions, with at most so many kernels in each."""
    texts = [function.text for function in functions.values() if function.whole]
    names = sorted(name for name, function in functions.items() if not function.whole)
    for start in range(0, len(names), most):
        texts.append(module_text(functions[name] for name in names[start : start + most]))
    return texts


def module_text(functions: Iterable[Function]) -> str:
    """Kernels as one module of LLVM IR."""
    functions = tuple(functions)
    declarations = frozenset().union(*(f.declarations for f in functions))
    return "\n".join([*(f.text for f in functions), *sorted(declarations), "!0 = !{}", ""])


def _function(name: str, emitted: Emitted) -> Function:
    text = (
        f"define void @{name}(ptr noalias %table, ptr noalias %params, i64 %begin, i64 %end, "
        f"i64 %worker) nounwind {{\nentry:\n{emitted.body}\n}}"
    )
    return Function(text, emitted.declarations)


def _kernel_call(
    kernel: Kernel,
    stored: set[int],
    make: Expressions,
    vector_bytes: int,
    functions: dict[str, Function],
) -> NativeCall:
    emitted = emit(kernel, make, stored, vector_bytes)
    digest = hashlib.blake2b(emitted.body.encode(), digest_size=12).hexdigest()
    name = f"kernel_{digest}"
    if name not in functions:
        functions[name] = _function(name, emitted)
    forwarded = kernel.writes() - emitted.stored
    reads = {load.what[0] for root in kernel.roots for load in root_loads(root)} - forwarded
    return NativeCall(
        name, emitted.parameters, emitted.units, emitted.work, kernel,
        frozenset(reads), frozenset(emitted.stored), loops=emitted.loops, nest=emitted.kernel,
    )  # fmt: skip


def _product_call(product: Product) -> NativeCall:
    batch = 1
    for n in product.batch:
        batch *= n
    cut = panels(product.m, product.n, product.k, batch, product.a.transposed, product.b.transposed)
    count = batch * ceiling(product.m, cut.rows) * ceiling(product.n, cut.columns)
    return NativeCall(
        "gemm", list(cut), ceiling(count, cut.together),
        2 * cut.rows * cut.columns * product.k * cut.together, product,
        frozenset({product.a.buffer.number, product.b.buffer.number}),
        frozenset({product.c.buffer.number}),
    )  # fmt: skip


def _correlate_call(step: Correlate, functions: dict[str, Function]) -> NativeCall:
    params = step.params
    if step.kernel not in functions:
        functions[step.kernel] = Function(step.text(), frozenset(), whole=True)
    return NativeCall(
        step.kernel, [], params.units, max(1, step.work // params.units), step,
        frozenset(b.number for b in step.reads), frozenset({step.written.number}),
    )  # fmt: skip


# Memory -------------------------------------------------------------------------------------------


def _size(buffer: Buffer) -> int:
    size: int = buffer.size * buffer.dtype.itemsize
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def lifetimes(made: Plan) -> dict[int, tuple[int, int]]:
    """For each buffer in the arena, the first and the last call that uses it."""
    outside = {*made.leaves, *made.constants, *made.results()}
    lives: dict[int, tuple[int, int]] = {}
    for place, call in enumerate(made.calls):
        if isinstance(call, HostCall):
            outside.update(b.number for b in call.results)
            used = {b.number for b in _host_buffers(call)}
        else:
            used = {*call.reads, *call.writes}
        for number in used - outside:
            first = lives[number][0] if number in lives else place
            lives[number] = (first, place)
    return lives


def _place(made: Plan) -> None:
    """Offsets in the arena, the largest buffers first, each in the lowest place that is free."""
    lives = lifetimes(made)
    placed: list[tuple[int, int, int]] = []  # (start, end, buffer), sorted
    for number in sorted(lives, key=lambda n: (-_size(made.buffers[n]), lives[n], n)):
        first, last = lives[number]
        size = _size(made.buffers[number])
        start = 0
        for low, high, other in placed:
            if lives[other][0] > last or lives[other][1] < first:
                continue
            if low - start >= size:
                break
            start = max(start, high)
        insort(placed, (start, start + size, number))
        made.offsets[number] = start
        made.arena = max(made.arena, start + size)


# Order --------------------------------------------------------------------------------------------


def _order(made: Plan) -> None:
    """Where workers have to wait for each other: before what needs a share that another one did."""
    since: list[NativeCall] = []
    for call in made.calls:
        if isinstance(call, HostCall):
            since = []
            continue
        call.barrier = any(
            (call.units > 1 or other.units > 1) and _conflict(made, call, other) for other in since
        )
        if call.barrier:
            since = []
        since.append(call)


def _conflict(made: Plan, call: NativeCall, other: NativeCall) -> bool:
    # What both write parts of has one place for both, which is nobody else's.
    apart = parts(call) & parts(other)
    return (
        _meet(made, call.reads, other.writes)
        or _meet(made, call.writes, other.reads)
        or _meet(made, call.writes, other.writes - apart)
        or _meet(made, call.writes - apart, other.writes)
    )


def parts(call: NativeCall) -> frozenset[int]:
    """The buffers of which a call writes places that no other call writes."""
    if not isinstance(call.what, Kernel):
        return call.writes
    shared = {
        root.buffer.number
        for root in call.what.roots
        if root.after or root.adds or root.scatter is not None
    }
    return call.writes - shared


def _meet(made: Plan, some: frozenset[int], others: frozenset[int]) -> bool:
    """Whether two sets of buffers share memory."""
    if some & others:
        return True
    spans = [_span(made, n) for n in others if n in made.offsets]
    return any(
        low < end and start < high
        for n in some
        if n in made.offsets
        for start, end in (_span(made, n),)
        for low, high in spans
    )


def _span(made: Plan, number: int) -> tuple[int, int]:
    start = made.offsets[number]
    return start, start + _size(made.buffers[number])
