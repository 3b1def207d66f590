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
from tidu.compiler.steps import Buffer, Root, Step, Steps, loaded

# Smaller kernels than this, in bytes that they read and write, find all of it in a cache.
_LARGE = 1 << 19
# How many blocks of rows there are at least, and about how many there should be.
_FEW_BLOCKS, _BLOCKS = 8, 16
# Blocks of fewer rows would give nearly as much to add up as there was; and a sum of more terms in
# a row would lose digits.
_FEWEST_ROWS, _MOST_ROWS = 8, 128


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
        if step.ordered or step.lanes:
            return [step]
        kernel = coalesced(step, self.make)
        blocks = _blocks(kernel)
        # What is computed from the sums, such as the update of a bias, goes with them.
        later = {root.buffer.number for root in kernel.roots if _is_of_sums(root, kernel)}
        rest = [root for root in kernel.roots if not _is_of_sums(root, kernel)]
        if blocks is None or any(loaded(root) & later for root in rest):
            return [step]
        if not can_be_swept(Kernel(kernel.space, kernel.reduced, rest)):
            return [step]
        rows, *columns = kernel.space
        change = split(((blocks, rows // blocks), *((n,) for n in columns)))
        first = Kernel((blocks, rows // blocks, *columns), frozenset({1}))
        second = Kernel((blocks, *columns), frozenset({0}))
        for root in kernel.roots:
            if _is_of_sums(root, kernel):
                second.roots.append(replace(root, space=second.space))
                continue
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


def _is_of_sums(root: Root, kernel: Kernel) -> bool:
    """Whether a root is the same for all that is added up: it is computed once, from the sums."""
    return root.reduction is None and not any(root.store.strides[d] for d in kernel.reduced)


def _blocks(kernel: Kernel) -> int | None:
    """Into how many blocks the rows are cut; None if they are not what is added up, too few, or of
    a number that has no factors for it.
    """
    if kernel.reduced != {0} or len(kernel.space) < 2:
        return None
    rows = kernel.space[0]
    together = range(min(rows // _FEW_BLOCKS, _MOST_ROWS), _FEWEST_ROWS - 1, -1)
    fitting = [rows // n for n in together if rows % n == 0]  # from the fewest blocks
    return next((n for n in fitting if n >= _BLOCKS), fitting[-1] if fitting else None)
