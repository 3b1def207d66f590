"""Sums down the columns of a matrix, in parts: a sum for each block of rows, and then their sum.

The gradient of a bias adds up the rows of a large matrix, which is often computed in the same
kernel. Column by column, such a kernel would read a little of each row, again and again, and wait
for memory each time. With a block of rows for each unit of work, a kernel goes through memory from
front to back (`Loops.swept`), and a second one adds up what the blocks have come to.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from tidu.base import dtypes
from tidu.compiler.expressions import Expressions
from tidu.compiler.fuse import Fused, Kernel
from tidu.compiler.layouts import Layout, contiguous, split
from tidu.compiler.loops import can_be_swept, coalesced
from tidu.compiler.steps import Buffer, Root, Step, Steps

# Smaller kernels than this, in bytes that they read and write, find all of it in a cache.
_LARGE = 1 << 19
# How many blocks of rows there are at least, and about how many there should be.
_FEW_BLOCKS, _BLOCKS = 8, 16
# A sum of more terms in a row would lose digits.
_MOST_ROWS = 128


def in_parts(steps: Steps, order: list[Fused], make: Expressions) -> tuple[Steps, list[Fused]]:
    """The same with large sums down columns in two steps."""
    parts = _Parts([*steps.buffers], make)
    order = [made for step in order for made in parts.of(step)]
    every: list[Step] = []
    for step in steps.steps:
        partial = parts.found.get(step.buffer.number) if isinstance(step, Root) else None
        every += [step] if partial is None else [partial, step]
    return replace(steps, steps=every, buffers=parts.buffers), order


class _Parts:
    """The buffers of a program, and the roots that sum up blocks, by the buffers of the sums."""

    def __init__(self, buffers: list[Buffer], make: Expressions) -> None:
        self.buffers = buffers
        self.make = make
        self.found: dict[int, Root] = {}

    def of(self, step: Fused) -> list[Fused]:
        """A step, or the two that take its place."""
        if not isinstance(step, Kernel) or not step.reduced or self.bytes(step) < _LARGE:
            return [step]
        kernel = coalesced(step, self.make)
        blocks = _blocks(kernel)
        if blocks is None or not can_be_swept(kernel):
            return [step]
        rows, *columns = kernel.space
        change = split(((blocks, rows // blocks), *((n,) for n in columns)))
        first = Kernel((blocks, rows // blocks, *columns), frozenset({1}))
        second = Kernel((blocks, *columns), frozenset({0}))
        for root in kernel.roots:
            changed = replace(
                root,
                space=first.space,
                expression=self.make.relaid(root.expression, change),
                store=change(root.store),
            )
            if root.reduction is not None:
                changed, last = self.halves(changed, second)
                second.roots.append(last)
            first.roots.append(changed)
        return [first, second]

    def halves(self, root: Root, second: Kernel) -> tuple[Root, Root]:
        """The sums of a root's blocks, and their sum."""
        x = root.expression
        wide = dtypes.float32 if x.dtype.is_half else x.dtype
        partial = Buffer(len(self.buffers), prod(second.space), wide, second.space)
        self.buffers.append(partial)
        place = contiguous(second.space)
        across, *along = place.strides
        store = Layout((across, 0, *along), 0)
        part = replace(root, buffer=partial, store=store, reduced=frozenset({1}))
        whole = replace(
            root,
            space=second.space,
            expression=self.make.load(partial.number, place, wide),
            store=Layout((0, *root.store.strides[2:]), root.store.offset),
            reduced=second.reduced,
        )
        self.found[root.buffer.number] = part
        return part, whole

    def bytes(self, kernel: Kernel) -> int:
        """What a kernel reads and writes."""
        used = (self.buffers[number] for number in kernel.reads() | kernel.writes())
        return sum(buffer.size * buffer.dtype.itemsize for buffer in used)


def _blocks(kernel: Kernel) -> int | None:
    """Into how many blocks the rows are cut; None if they are not what is added up, or too few."""
    if kernel.reduced != {0} or len(kernel.space) < 2:
        return None
    rows = kernel.space[0]
    fitting = [n for n in range(_FEW_BLOCKS, rows + 1) if rows % n == 0 and rows <= n * _MOST_ROWS]
    return min((n for n in fitting if n >= _BLOCKS), default=max(fitting, default=None))
