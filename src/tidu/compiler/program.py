"""A plan: fused steps as native kernels and host calls. `schedule.py` says when each of them runs,
`places.py` where memory is.

Everything here is data; `tidu.backends.cpu` turns it into something that runs.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

from tidu.compiler.alike import Texts
from tidu.compiler.emit import Emitted
from tidu.compiler.expressions import Expressions
from tidu.compiler.fuse import Fused, Kernel, place_of, root_loads
from tidu.compiler.gemm import ceiling, panels
from tidu.compiler.loops import Loops
from tidu.compiler.modules import Function
from tidu.compiler.plain import UNWRITTEN
from tidu.compiler.steps import Buffer, Correlate, HostCall, Product, Steps, loaded, touched


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
    barrier: bool = False  # whether it begins a phase: all workers have done the calls before
    track: int = 0  # of what has one unit: in a phase, the calls of a track follow each other
    # Of a kernel, over the space of `nest`.
    loops: Loops | None = field(default=None, metadata=UNWRITTEN)
    nest: Kernel | None = field(default=None, metadata=UNWRITTEN)


@dataclass(slots=True)
class Plan:
    """What a program does, in order, and what it needs."""

    buffers: list[Buffer]
    leaves: list[int]
    constants: dict[int, Any]
    outputs: list[Any]  # numbers of buffers, or tuples of them
    calls: list[NativeCall | HostCall] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict, metadata=UNWRITTEN)  # by name
    offsets: dict[int, int] = field(default_factory=dict)  # by buffer: its place in the arena
    arena: int = 0  # bytes
    numbers: tuple[type, ...] = ()  # of each Python number that a run is given: float or int
    nested: bool = False  # whether a leaf is all the results of an op with several
    # By result: the leaves, if nobody needs them any more, over which it may be written. And the
    # first of the calls that write so; from it on, none can fail.
    over: dict[int, frozenset[int]] = field(default_factory=dict)
    safe: int = 0

    def results(self) -> list[int]:
        """The buffers that a run leaves behind, each once."""
        found: dict[int, None] = {}
        for output in self.outputs:
            for number in output if output.__class__ is tuple else (output,):
                found[number] = None
        return list(found)


def plan(steps: Steps, fused: list[Fused], make: Expressions, vector_bytes: int) -> Plan:
    """Steps as calls, each kernel with its text. Neither their order nor memory is settled yet."""
    outputs = [
        tuple(b.number for b in output) if output.__class__ is tuple else output.number
        for output in steps.outputs
    ]
    leaves = [b.number for b in steps.leaves]
    made = Plan(steps.buffers, leaves, steps.constants, outputs)
    readers = _readers(fused)
    results = set(made.results())
    texts = Texts(make, vector_bytes)
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
            made.calls.append(_kernel_call(step, texts.of(step, stored), made.functions))
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


def _touched(step: Fused) -> frozenset[int]:
    """The buffers that a step reads."""
    if isinstance(step, Kernel):
        return frozenset(b for root in step.roots for b in loaded(root))
    return touched(step)


def _written(step: Fused) -> set[int]:
    if isinstance(step, Product):
        return {step.c.buffer.number}
    if isinstance(step, Correlate):
        return {step.written.number}
    if isinstance(step, HostCall):
        return {b.number for b in step.results}
    return step.writes()


def _function(name: str, emitted: Emitted) -> Function:
    text = (
        f"define void @{name}(ptr noalias %table, ptr noalias %params, i64 %begin, i64 %end, "
        f"i64 %worker) nounwind {{\nentry:\n{emitted.body}\n}}"
    )
    return Function(text, emitted.declarations)


def _kernel_call(kernel: Kernel, emitted: Emitted, functions: dict[str, Function]) -> NativeCall:
    digest = hashlib.blake2b(emitted.body.encode(), digest_size=12).hexdigest()
    name = f"kernel_{digest}"
    if name not in functions:
        functions[name] = _function(name, emitted)
    forwarded = {place_of(r) for r in kernel.roots if r.buffer.number not in emitted.stored}
    loads = (load.what for root in kernel.roots for load in root_loads(root))
    reads = {what[0] for what in loads if what[:2] not in forwarded}
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
