"""Which results may be written over leaves.

A training step makes new parameters of old ones, which nobody needs any more. Written over these,
they take no other memory, and half of what the processor does to write them is saved: to read first
what was at the new place, and to find room in its caches for both.

Whether a leaf is needed is for whoever runs the program to say. Here it is found out where the
order of the calls allows it: nothing reads the leaf once the result is being written, and nothing
that is done from then on can fail, as long as the leaf is there to begin anew with.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from tidu.compiler.expressions import GUARDED, Expression
from tidu.compiler.fuse import Kernel, root_loads
from tidu.compiler.phases import follow, phases_of
from tidu.compiler.program import NativeCall, Plan
from tidu.compiler.steps import Root


def find(plan: Plan) -> None:
    """Fill `plan.over`, and `plan.safe`, of a plan whose calls are in order."""
    calls = [call for call in plan.calls if isinstance(call, NativeCall)]
    if plan.nested or len(calls) < len(plan.calls):
        return
    phases = phases_of(calls)
    last = max((phases[place] for place, call in enumerate(calls) if _can_fail(call)), default=-1)
    plan.safe = sum(phase <= last for phase in phases)
    results = set(plan.results())
    leaves = set(plan.leaves) - results
    readers: dict[int, list[int]] = {}
    writers: dict[int, list[int]] = {}
    for place, call in enumerate(calls):
        for buffer in call.reads & leaves:
            readers.setdefault(buffer, []).append(place)
        for buffer in call.writes & results:
            writers.setdefault(buffer, []).append(place)
    for place in range(plan.safe, len(calls)):
        for root in _roots_by_element(calls[place]):
            if writers.get(root.buffer.number) != [place]:
                continue
            free = {
                leaf for leaf in _replaceable(plan, calls[place], root)
                if leaf in leaves
                and follow(calls, phases, [x for x in readers[leaf] if x != place], [place])
            }  # fmt: skip
            if free:
                plan.over[root.buffer.number] = frozenset(free)


def _can_fail(call: NativeCall) -> bool:
    """Whether it checks indices."""
    if not isinstance(call.what, Kernel):
        return False
    return any(
        root.scatter is not None or any(load.what[2] for load in root_loads(root))
        for root in call.what.roots
    )


def _roots_by_element(call: NativeCall) -> list[Root]:
    """The roots of a kernel of which each iteration over what is kept makes one element, of what it
    has loaded for it.
    """
    kernel = call.what
    if not isinstance(kernel, Kernel) or any(_has_guards(x.expression) for x in kernel.roots):
        return []
    if any(root.adds or root.after or root.scatter is not None for root in kernel.roots):
        return []
    return [
        root for root in kernel.roots
        if root.reduction is None and not any(root.store.strides[d] for d in kernel.reduced)
    ]  # fmt: skip


def _has_guards(x: Expression) -> bool:
    stack, seen = [x], {x.number}
    while stack:
        top = stack.pop()
        if top.kind == GUARDED:
            return True
        stack += [y for y in top.inputs if y.number not in seen]
        seen.update(y.number for y in top.inputs)
    return False


def _replaceable(plan: Plan, call: NativeCall, root: Root) -> Iterator[int]:
    """The buffers of which each element is loaded by the very iteration that makes the element of
    `root` for its place, and by no other.
    """
    kernel, made = call.what, root.buffer
    assert isinstance(kernel, Kernel)
    if prod(n for d, n in enumerate(kernel.space) if d not in kernel.reduced) != made.size:
        return
    own = {load.what[0] for load in root_loads(root)}
    elsewhere = {
        load.what[0]
        for other in kernel.roots
        for load in root_loads(other)
        if load.what[1:] != (root.store, ())
    }
    for number in own - elsewhere:
        there = plan.buffers[number]
        if there.size == made.size and there.dtype is made.dtype:
            yield number
