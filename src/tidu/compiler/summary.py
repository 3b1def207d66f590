"""What a compiled program is made of, in the terms of the user's own code: for each of its calls
the lines that it was made for, what it reads and writes, and how long it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

from tidu.base.source import describe
from tidu.compiler.expressions import COMPUTE
from tidu.compiler.fuse import Kernel
from tidu.compiler.notation import Names, expressions
from tidu.compiler.program import NativeCall, Plan
from tidu.compiler.render import names_of, step_lines, why_on_host
from tidu.compiler.steps import Correlate, HostCall, Product, Stored

Call = NativeCall | HostCall
_KINDS = {Kernel: "kernel", Product: "product", Correlate: "convolution"}


def summary(plan: Plan, seconds: Sequence[float]) -> str:
    """A paragraph for each call of a program, `seconds` being the time of each."""
    names = names_of(plan)
    counts = Counter(map(_kind, plan.calls))
    made_of = ", ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts.items())
    lines = [f"{made_of or 'nothing to do'}; {_duration(sum(seconds))} one after the other"]
    made_for = _lines(plan)
    for number, (call, time) in enumerate(zip(plan.calls, seconds, strict=True)):
        first, *rest = _call(call, time, made_for[number], names)
        lines += [f"{number}  {first}", *(f"   {line}" for line in rest)]
    return "\n".join(lines)


def _kind(call: Call) -> str:
    if isinstance(call, HostCall):
        return "host call"
    return _KINDS[call.what.__class__]


def _lines(plan: Plan) -> list[list[str]]:
    """For each call the lines that it was made for. One that only brings its input into another
    order has none of its own: it is made for those who read what it writes.
    """
    found = [source_lines(c if isinstance(c, HostCall) else c.what) for c in plan.calls]
    for place in reversed(range(len(found))):
        _, writes = _uses(plan.calls[place])
        readers = (n for n in range(place + 1, len(found)) if _uses(plan.calls[n])[0] & writes)
        if not found[place]:
            found[place] = next((found[n] for n in readers), [])
    return found


def _call(call: Call, seconds: float, lines: list[str], names: Names) -> Iterator[str]:
    step = call if isinstance(call, HostCall) else call.what
    text = _kind(call)
    if isinstance(call, NativeCall) and call.units > 1:
        text += f" in {call.units} units"
    yield f"{text}, {_duration(seconds)}"
    if isinstance(call, HostCall):
        yield from _labelled("because", [why_on_host(call)])
    yield from _labelled("for", lines)
    reads, writes = _uses(call)
    yield from _labelled("reads", (_memory(names, n) for n in sorted(reads)))
    yield from _labelled("writes", (_memory(names, n) for n in sorted(writes)))
    if not isinstance(step, Kernel):
        yield from step_lines(step, names)


def _labelled(label: str, texts: Iterable[str]) -> Iterator[str]:
    for place, text in enumerate(texts):
        yield f"{'' if place else label:<8}{text}"


def _uses(call: Call) -> tuple[set[int], set[int]]:
    if isinstance(call, NativeCall):
        return set(call.reads - call.writes), set(call.writes)
    given = (y for x in call.inputs for y in (x if x.__class__ is tuple else (x,)))
    reads = {x.buffer.number for x in given if isinstance(x, Stored)}
    return reads, {b.number for b in call.results}


def _memory(names: Names, number: int) -> str:
    buffer = names.buffers[number]
    return f"{names.typed(number)}, {buffer.size * buffer.dtype.itemsize:,} bytes"


def _duration(seconds: float) -> str:
    if seconds < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.2f} ms"


def source_lines(step: Kernel | Product | Correlate | HostCall) -> list[str]:
    """The lines of the user's files that a step was made for, in the order of its operations."""
    found: dict[str, None] = {}
    for position in _positions(step):
        text = describe(position)
        if text:
            found[text] = None
    return list(found)


def _positions(step: Kernel | Product | Correlate | HostCall) -> Iterator[Any]:
    if not isinstance(step, Kernel):
        yield step.value.position if step.value is not None else None
        return
    for root in step.roots:
        for x in sorted(expressions(root), key=attrgetter("number")):
            if x.kind == COMPUTE:
                yield x.position
        yield root.value.position if root.value is not None else None
