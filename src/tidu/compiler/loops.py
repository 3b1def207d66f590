"""The loops of a kernel: fewer dimensions where addresses allow it, their order, their units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from tidu.compiler.costs import cost
from tidu.compiler.expressions import COMPUTE, GUARDED, IOTA, LOAD, Expression, Expressions
from tidu.compiler.fuse import Kernel, root_loads
from tidu.compiler.layouts import Layout
from tidu.compiler.steps import Root, loaded

# What a unit of work shall cost, in units of one operation on one element.
_UNIT_WORK = 1 << 17
# What an element costs that lies around others, in a cache line that is written for it alone.
_APART = 400
_MOST_UNITS = 64
# How much longer an element takes where there is no dimension to compute in vectors.
_WITHOUT_VECTORS = 8
# A row of accumulators fits a part of the fastest cache. And so many bytes that are added up for it
# do not fit there, so that it is better to go through them once.
_MOST_IN_ROW, _MUCH_TO_ADD = 1 << 14, 1 << 15
# What it is worth that elements along the lanes are near each other, if not neighbors.
_NEAR = {2: 0.5, 3: 0.3, 4: 0.1}


def _layouts(root: Root) -> Iterator[Layout]:
    yield root.store
    stack, seen = [root.expression], set()
    if root.scatter is not None:
        yield root.scatter.layout
        stack.extend(root.scatter.places)
    while stack:
        x = stack.pop()
        if x.number in seen:
            continue
        seen.add(x.number)
        stack.extend(x.inputs)
        if x.kind == LOAD:
            yield x.what[1]
        elif x.kind == IOTA:
            yield x.what
        elif x.kind == GUARDED:
            for guard in x.what[0]:
                yield guard.layout


def coalesced(kernel: Kernel, make: Expressions) -> Kernel:
    """Neighboring dimensions as one, where every address allows it."""
    roots = kernel.roots
    layouts = {layout for root in roots for layout in _layouts(root)}
    sequential = frozenset().union(*(r.scatter.sequential for r in roots if r.scatter is not None))
    groups: list[list[int]] = []
    for d, size in enumerate(kernel.space):
        last = groups[-1][-1] if groups else None
        if (
            last is not None
            and (last in kernel.reduced) == (d in kernel.reduced)
            and (last in sequential) == (d in sequential)
            and all(x.strides[last] == x.strides[d] * size for x in layouts)
        ):
            groups[-1].append(d)
        else:
            groups.append([d])
    if len(groups) == len(kernel.space):
        return kernel

    def change(layout: Layout) -> Layout:
        return Layout(tuple(layout.strides[g[-1]] for g in groups), layout.offset)

    def flags(dims: frozenset[int]) -> frozenset[int]:
        return frozenset(i for i, g in enumerate(groups) if g[0] in dims)

    def joined(root: Root) -> Root:
        scatter = root.scatter
        if scatter is not None:
            scatter = replace(
                scatter,
                layout=change(scatter.layout),
                places=tuple(make.relaid(p, change) for p in scatter.places),
                sequential=flags(scatter.sequential),
            )
        return replace(
            root,
            expression=make.relaid(root.expression, change),
            store=change(root.store),
            reduced=flags(root.reduced),
            scatter=scatter,
        )

    space = tuple(prod(kernel.space[d] for d in g) for g in groups)
    return Kernel(space, flags(kernel.reduced), [joined(r) for r in roots])


@dataclass(slots=True)
class Loops:
    """Which dimension the lanes run along, and the loops from the outermost."""

    vector: int | None
    lanes: int
    outer: list[int]  # loops over what is kept, in which results are complete
    inner: list[int]  # loops over what is reduced
    divided: int | None  # the dimension that is cut into units
    chunk: int
    units: int
    # Whether the loop along the lanes, over what is kept, is inside of those over what is reduced:
    # memory is read from front to back, and there is an accumulator for each of its iterations.
    swept: bool = False


# Longer sums are added up in blocks, which what is swept is not, unless in the order of indices.
LONG_SUM = 128


def _vector_dimension(kernel: Kernel, sequential: frozenset[int]) -> int | None:
    """The dimension along which most addresses are consecutive."""
    best, chosen = 0.0, None
    if kernel.ordered:
        sequential |= kernel.reduced
    if kernel.lanes:
        return max(kernel.reduced)
    for d, size in enumerate(kernel.space):
        if d in sequential:
            continue
        score = 0.0
        for root in kernel.roots:
            if root.scatter is not None:
                if root.scatter.layout.strides[d] != 1 or any(
                    _depends(p, d) for p in root.scatter.places
                ):
                    score -= 1000
            elif d not in root.reduced and d not in kernel.reduced:
                worth = {1: 2.0, 0: 0.0, **_NEAR}.get(root.store.strides[d], -2.0)
                score += worth * _share(root.store, kernel)
            for load in root_loads(root):
                varies = any(_depends(p, d) for p in load.inputs)
                stride = load.what[1].strides[d]
                worth = -1.0 if varies else {1: 1.0, 0: 0.2, **_NEAR}.get(stride, -1.0)
                score += worth * _share(load.what[1], kernel)
        score += 0.1 + 0.01 * d
        if size < 16:
            score *= size / 32 if score > 0 else 2
        if score > best:
            best, chosen = score, d
    return chosen


def _share(layout: Layout, kernel: Kernel) -> float:
    """How much an access matters: little if it is the same for all that is reduced."""
    inside = not kernel.reduced or any(layout.strides[d] for d in kernel.reduced)
    return 1.0 if inside else 0.05


def _depends(x: Expression, d: int) -> bool:
    stack, seen = [x], set()
    while stack:
        top = stack.pop()
        if top.number in seen:
            continue
        seen.add(top.number)
        if top.kind == LOAD and top.what[1].strides[d]:
            return True
        if top.kind == IOTA and top.what.strides[d]:
            return True
        if top.kind == GUARDED and any(g.layout.strides[d] for g in top.what[0]):
            return True
        stack.extend(top.inputs)
    return False


def plan_loops(kernel: Kernel, vector_bytes: int) -> Loops:
    """The lanes, the order of the loops and the units of a kernel, as its addresses suggest."""
    space, reduced = kernel.space, kernel.reduced
    sequential = frozenset().union(
        *(r.scatter.sequential for r in kernel.roots if r.scatter is not None)
    )
    vector = _vector_dimension(kernel, sequential)
    wide = any(_is_wide(root) for root in kernel.roots)
    lanes = 1
    if vector is not None and vector_bytes:
        lanes = vector_bytes // (8 if wide else 4)
        if not kernel.lanes:
            lanes = min(lanes, 1 << (space[vector] - 1).bit_length())
        operations = kernel.operations
        for limit in (10, 40):
            if operations <= limit and space[vector] >= 2 * lanes:
                lanes *= 2
        lanes = max(lanes, kernel.lanes)
    kept = _from_far_to_near(kernel, [d for d in range(len(space)) if d not in reduced])
    swept = lanes > 1 and len(kept) > 1 and _is_swept(kernel, vector)
    if swept:
        kept.remove(vector)  # type: ignore[arg-type]
    elif vector in kept and sequential:
        kept = [d for d in kept if d not in sequential and d != vector]
        kept += [*sorted(sequential), vector]
    elif sequential:
        kept = [d for d in kept if d not in sequential] + sorted(sequential)
    elif vector in kept:
        kept = [d for d in kept if d != vector] + [vector]
    inner = [d for d in sorted(reduced) if d != vector]
    if vector in reduced or swept:
        inner.append(vector)  # type: ignore[arg-type]
    work = prod(space) * _work_of_one(kernel)
    if vector is None:
        work *= _WITHOUT_VECTORS
    elif lanes > space[vector]:
        work = work * lanes // space[vector]
    free = [d for d in kept if d not in sequential]
    units, divided, chunk = 1, None, 1
    if free:
        divided = free[0] if space[free[0]] >= 16 else max(free, key=lambda d: space[d])
        units, chunk = units_of(work, space[divided], lanes if divided == vector else 1)
    return Loops(vector, lanes, kept, inner, divided, chunk, units, swept)


def _from_far_to_near(kernel: Kernel, dims: list[int]) -> list[int]:
    """Dimensions in the order in which loops over them go through memory from front to back."""
    far = dict.fromkeys(dims, 0)
    for root in kernel.roots:
        for layout in (root.store, *(load.what[1] for load in root_loads(root))):
            steps = [abs(stride) for stride in layout.strides]
            size = prod(n for n, step in zip(kernel.space, steps, strict=True) if step)
            for d in dims:
                far[d] += steps[d] * size
    return sorted(dims, key=far.__getitem__, reverse=True)


def can_be_swept(kernel: Kernel) -> bool:
    """Whether memory can be read from front to back although sums over rows are asked for: results
    lie side by side, few enough for a row of accumulators, and nothing in the kernel needs them.
    """
    if any(r.scatter is not None or r.after for r in kernel.roots):
        return False
    vector = _vector_dimension(kernel, frozenset())
    if not kernel.reduced or vector is None or vector in kernel.reduced:
        return False
    sums = [root for root in kernel.roots if root.reduction is not None]
    made = {root.buffer.number for root in sums}
    for root in kernel.roots:
        if loaded(root) & made:
            return False
        if root.reduction is None and not any(root.store.strides[d] for d in kernel.reduced):
            return False
    return kernel.space[vector] * sum(_size_of_sum(root) for root in sums) <= _MOST_IN_ROW


def _is_swept(kernel: Kernel, vector: int | None) -> bool:
    rows = prod(kernel.space[d] for d in kernel.reduced)
    if vector is None or not kernel.reduced or (rows > LONG_SUM and not kernel.ordered):
        return False
    much = 4 * rows * kernel.space[vector] * len(kernel.reads()) >= _MUCH_TO_ADD
    return much and can_be_swept(kernel)


def _size_of_sum(root: Root) -> int:
    size: int = root.expression.dtype.itemsize
    return max(4, size)


def _work_of_one(kernel: Kernel) -> int:
    """What an element of all roots costs. Two instructions count as one operation: they wait for
    each other less than for memory.
    """
    instructions = sum(cost(root.expression, kernel.space).instructions for root in kernel.roots)
    operations = max(kernel.operations, int(instructions) // 2)
    apart = _APART * sum(root.around for root in kernel.roots)
    return 1 + operations + 2 * len(kernel.reads()) + apart


def units_of(work: int, size: int, step: int) -> tuple[int, int]:
    """Into how many units a dimension is cut, and how long each is: a multiple of `step`."""
    most = -(-size // step)
    units = max(1, min(work // _UNIT_WORK, most, _MOST_UNITS))
    chunk = -(-most // units) * step
    return -(-size // chunk), chunk


def _is_wide(root: Root) -> bool:
    """Whether elements of 8 bytes are computed with, and not only used as indices."""
    if root.buffer.dtype.itemsize == 8:
        return True
    stack, seen = [root.expression], set()
    while stack:
        top = stack.pop()
        if top.number in seen:
            continue
        seen.add(top.number)
        if top.dtype.itemsize == 8 and top.kind in (LOAD, COMPUTE, IOTA):
            return True
        stack.extend(top.inputs)
    return False
