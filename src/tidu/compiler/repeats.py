"""Large results that are needed again much later are computed again.

A layer's backward pass needs what its forward pass has computed: the output of an activation is an
operand of two products, half a step apart. Until then other layers have taken its place in the
caches, and it has to be fetched from memory. What it was computed from is often needed at that time
anyway, for the derivative of the activation, so that to compute it once more costs little.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import replace
from itertools import accumulate, pairwise
from math import prod

from tidu.compiler.costs import cost
from tidu.compiler.expressions import LOAD, Expression, Expressions, below
from tidu.compiler.layouts import Layout
from tidu.compiler.steps import Buffer, Operand, Product, Root, Step, Steps, touched, written_by

# Smaller results than this, in bytes, take little from the caches.
_LARGE = 1 << 18
# When so many bytes have been written since, others have taken a result's place in the caches; and
# when so few, it is still there.
_FAR, _NEAR = 1 << 24, 1 << 22
# The most instructions that are repeated for an element.
_MOST_INSTRUCTIONS = 64


def repeat_what_is_far(steps: Steps, make: Expressions) -> None:
    """Compute large results anew for those that read them much later than others."""
    repeats = _Repeats(steps, make)
    for place, step in enumerate(steps.steps):
        if isinstance(step, Root):
            far = repeats.far_reader(place, step)
            if far is not None:
                repeats.repeat(step, far)
    every = enumerate(steps.steps)
    steps.steps[:] = [x for place, step in every for x in (*repeats.before.get(place, ()), step)]


class _Repeats:
    """What is computed anew, and who reads what. Steps go by their places in the order."""

    def __init__(self, steps: Steps, make: Expressions) -> None:
        self.steps = steps
        self.make = make
        self.before: dict[int, list[Root]] = {}  # by step: what is computed anew for it
        self._given = {*(b.number for b in steps.leaves), *steps.constants}
        self._outputs = steps.output_buffers()
        self._readers: dict[int, list[int]] = {}
        self._writers: dict[int, list[int]] = {}
        for place, step in enumerate(steps.steps):
            for number in touched(step):
                self._readers.setdefault(number, []).append(place)
            for buffer in written_by(step):
                self._writers.setdefault(buffer.number, []).append(place)
        # What has been written before each step, in bytes.
        self._until = [0, *accumulate(map(_bytes_written, steps.steps))]

    def far_reader(self, place: int, root: Root) -> int | None:
        """The first reader of a root for which it is better computed again, if there is one."""
        number, until = root.buffer.number, self._until
        if _bytes(root.buffer) < _LARGE or number in self._outputs:
            return None
        if self._writers[number] != [place]:
            return None
        using = self._readers.get(number, [])
        far = next((j for i, j in pairwise(using) if until[j] - until[i] > _FAR), None)
        if far is None or not _is_plain(root):
            return None
        needed = (self.steps.buffers[b] for b in root.expression.buffers - self._given)
        late = (self._readers[b.number][-1] for b in needed if _bytes(b) >= _LARGE)
        return None if any(until[far] - until[i] > _NEAR for i in late) else far

    def repeat(self, root: Root, far: int) -> None:
        """Compute a root anew for its readers from `far` on, if all of them can be changed."""
        steps, until, old = self.steps, self._until, root.buffer
        again = Buffer(len(steps.buffers), old.size, old.dtype, old.shape)
        using = self._readers[old.number]
        late = [i for i in using if i >= far]
        changed = [_reading(steps.steps[i], old, again, self.make) for i in late]
        if any(step is None for step in changed):
            return
        steps.buffers.append(again)
        near = min(bisect_left(until, until[far] - _NEAR), far - 1)
        soonest = written_by(steps.steps[near])[0]
        self.before.setdefault(far, []).append(replace(root, buffer=again, not_before=soonest))
        for i, step in zip(late, changed, strict=True):
            assert step is not None
            steps.steps[i] = step
        self._readers[old.number] = [i for i in using if i < far]
        self._readers[again.number] = late
        for b in root.expression.buffers:
            self._readers[b] = sorted((*self._readers[b], far))


def _bytes(buffer: Buffer) -> int:
    size: int = buffer.size * buffer.dtype.itemsize
    return size


def _bytes_written(step: Step) -> int:
    if isinstance(step, Root):  # which may be a part of its buffer
        kept = prod(n for d, n in enumerate(step.space) if d not in step.reduced)
        size: int = kept * step.buffer.dtype.itemsize
        return size
    return sum(map(_bytes, written_by(step)))


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
