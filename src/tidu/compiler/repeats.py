"""Large results that are needed again much later are computed again.

A layer's backward pass needs what its forward pass has computed: the output of an activation is an
operand of two products, half a step apart. Until then other layers have taken its place in the
caches, and it has to be fetched from memory. What it was computed from is often needed at that time
anyway, for the derivative of the activation, so that to compute it once more costs little.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate, pairwise

from tidu.compiler.costs import cost
from tidu.compiler.expressions import LOAD, Expression, Expressions, below
from tidu.compiler.layouts import Layout
from tidu.compiler.steps import (
    Buffer,
    Correlate,
    HostCall,
    Operand,
    Product,
    Root,
    Step,
    Steps,
    touched,
)

# Smaller results than this, in bytes, take little from the caches.
_LARGE = 1 << 18
# When so many bytes have been written since, others have taken a result's place in the caches; and
# when so few, it is still there.
_FAR, _NEAR = 1 << 24, 1 << 22
# The most instructions that are repeated for an element.
_MOST_INSTRUCTIONS = 64


def repeat_what_is_far(steps: Steps, make: Expressions) -> None:
    """Compute large results anew for those that read them much later than others."""
    given = {*(b.number for b in steps.leaves), *steps.constants}
    outputs = {b.number for x in steps.outputs for b in (x if x.__class__ is tuple else (x,))}
    readers: dict[int, list[int]] = {}
    writers: dict[int, list[int]] = {}
    for place, step in enumerate(steps.steps):
        for number in touched(step):
            readers.setdefault(number, []).append(place)
        for buffer in _written(step):
            writers.setdefault(buffer.number, []).append(place)
    sizes = (sum(_bytes(buffer) for buffer in _written(step)) for step in steps.steps)
    written = [0, *accumulate(sizes)]  # before each step, in bytes
    before: dict[int, list[Root]] = {}  # by place of a step: what is computed anew for it
    for place, root in enumerate(steps.steps):
        if not isinstance(root, Root) or root.buffer.number in outputs or not _is_plain(root):
            continue
        number = root.buffer.number
        using = readers.get(number, [])
        if _bytes(root.buffer) < _LARGE or writers[number] != [place]:
            continue
        far = next((j for i, j in pairwise(using) if written[j] - written[i] > _FAR), None)
        if far is None:
            continue
        others = (b for b in root.expression.buffers - given if _bytes(steps.buffers[b]) >= _LARGE)
        if any(written[far] - written[readers[b][-1]] > _NEAR for b in others):
            continue
        again = Buffer(len(steps.buffers), root.buffer.size, root.buffer.dtype, root.buffer.shape)
        late = [i for i in using if i >= far]
        read_anew = (_reading(steps.steps[i], root.buffer, again, make) for i in late)
        changed = [step for step in read_anew if step is not None]
        if len(changed) < len(late):
            continue
        steps.buffers.append(again)
        before.setdefault(far, []).append(replace(root, buffer=again))
        for i, step in zip(late, changed, strict=True):
            steps.steps[i] = step
        readers[number] = [i for i in using if i < far]
        readers[again.number] = late
        for b in root.expression.buffers:
            readers[b] = sorted((*readers[b], far))
    every = enumerate(steps.steps)
    steps.steps[:] = [x for place, step in every for x in (*before.get(place, ()), step)]


def _bytes(buffer: Buffer) -> int:
    size: int = buffer.size * buffer.dtype.itemsize
    return size


def _written(step: Step) -> tuple[Buffer, ...]:
    if isinstance(step, HostCall):
        return step.results
    if isinstance(step, Product):
        return (step.c.buffer,)
    return (step.written if isinstance(step, Correlate) else step.buffer,)


def _is_plain(root: Root) -> bool:
    """Whether a root may be computed at any time, and is cheap."""
    if root.reduction is not None or root.scatter is not None or root.adds:
        return False
    if root.after or root.around or root.expression.kind == LOAD:
        return False
    if any(node.kind == LOAD and node.what[2] for node in below(root.expression)):
        return False
    return cost(root.expression, root.space).instructions <= _MOST_INSTRUCTIONS


def _reading(step: Step, old: Buffer, new: Buffer, make: Expressions) -> Step | None:
    """A step that reads one buffer instead of another; None if that is not simple."""
    if isinstance(step, Product):
        a, b = (_operand(x, old, new) for x in (step.a, step.b))
        return replace(step, a=a, b=b)
    if not isinstance(step, Root) or step.scatter is not None or old in step.after:
        return None

    def change(load: Expression) -> tuple[int, Layout]:
        return new.number, load.what[1]

    return replace(step, expression=make.redirected(step.expression, old.number, change))


def _operand(x: Operand, old: Buffer, new: Buffer) -> Operand:
    return replace(x, buffer=new) if x.buffer is old else x
