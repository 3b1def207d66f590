"""Fusion: roots that run over one index space share a kernel.

A kernel has one space and one set of reduced dimensions. What one of its roots stores, another may
use without reading it back, if it asks for the same element that the same iteration makes: the load
then has exactly the strides of the store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import gcd, prod

from tidu.base.shapes import Shape
from tidu.compiler.expressions import LOAD, Expression, Expressions
from tidu.compiler.layouts import Layout, common_refinement, lifted, split
from tidu.compiler.plain import UNWRITTEN
from tidu.compiler.steps import Correlate, HostCall, Product, Root, Step, Steps, loaded, written_by

# How many kernels back a root may be taken, and how large a kernel may grow.
_WINDOW = 24
_MOST_OPERATIONS = 160
_MOST_BUFFERS = 32
# The same for results that have nothing in common but a number, say: parameters and their moments,
# and how far the gradients are clipped. Each is better off with what else is made of its own
# gradient, so they share a kernel only if they have few elements.
_MOST_OF_STRANGERS, _FEW_ELEMENTS = 8, 4096


@dataclass(slots=True)
class Kernel:
    """Loops over one space, in which all elements of several roots are computed."""

    space: Shape
    reduced: frozenset[int]
    roots: list[Root] = field(default_factory=list, metadata=UNWRITTEN)

    @property
    def operations(self) -> int:
        return sum(root.expression.size + 1 for root in self.roots)

    @property
    def ordered(self) -> bool:
        """Whether elements of a reduction have to be taken in one by one, in their order."""
        return any(is_ordered(root) for root in self.roots)

    @property
    def lanes(self) -> int:
        """Into how many partial results a reduction takes a row in, 0 where that is left open."""
        return max((lanes_of(root) for root in self.roots), default=0)

    def reads(self) -> set[int]:
        return {b for root in self.roots for b in loaded(root)} - self.writes()

    def writes(self) -> set[int]:
        return {root.buffer.number for root in self.roots}


Fused = Kernel | Product | Correlate | HostCall

# Where a root stores: the elements that loads with the same buffer and layout ask for.
Place = tuple[int, Layout]


def is_ordered(root: Root) -> bool:
    """Whether a root is a reduction of elements one by one, in their order."""
    return root.reduction is not None and root.reduction.ordered


def lanes_of(root: Root) -> int:
    """Into how many partial results a root takes a row in, 0 where that is left open."""
    lanes = None if root.reduction is None else root.reduction.lanes
    return 0 if lanes is None else lanes.number


def place_of(root: Root) -> Place:
    """Where the elements of a root go."""
    return root.buffer.number, root.store


def fuse(steps: Steps, make: Expressions) -> list[Fused]:
    """Merge roots into kernels; the order of what comes back is one in which all can run."""
    return _Fusion(make, steps).run(steps.steps)


def loads(x: Expression, seen: set[int]) -> Iterator[Expression]:
    """Every load in an expression, once."""
    stack = [x]
    while stack:
        top = stack.pop()
        if top.number in seen:
            continue
        seen.add(top.number)
        if top.kind == LOAD:
            yield top
        stack.extend(top.inputs)


def root_loads(root: Root) -> Iterator[Expression]:
    """Every load of a root, those of the places of a scatter too."""
    seen: set[int] = set()
    yield from loads(root.expression, seen)
    if root.scatter is not None:
        for place in root.scatter.places:
            yield from loads(place, seen)


class _Fusion:
    def __init__(self, make: Expressions, steps: Steps) -> None:
        self.make = make
        self.buffers = steps.buffers
        self.results = steps.output_buffers()
        self.order: list[Fused] = []
        self.around: dict[int, list[Fused]] = {}  # by buffer, see `Root.around`
        self.written: dict[int, int] = {}  # by buffer: the place in the order where it is complete
        self.last: dict[int, int] = {}  # by buffer: the last place there was when it was reached
        self.using: dict[int, list[int]] = {}  # by buffer: the places of kernels that use it

    def run(self, steps: list[Step]) -> list[Fused]:
        for step in steps:
            if isinstance(step, Root) and step.around:
                around = self.around.setdefault(step.buffer.number, [])
                around.append(Kernel(step.space, step.reduced, [step]))
            elif isinstance(step, Root):
                place = self.join(step)
                if place is None:
                    place = len(self.order)
                    self.order.append(Kernel(step.space, step.reduced, [step]))
                # Several roots may write parts of one buffer.
                before = self.written.get(step.buffer.number, -1)
                self.written[step.buffer.number] = max(before, place)
                for number in (*loaded(step), step.buffer.number):
                    self.using.setdefault(number, []).append(place)
            else:
                for buffer in written_by(step):
                    self.written[buffer.number] = len(self.order)
                self.order.append(step)
            for buffer in written_by(step):
                self.last[buffer.number] = len(self.order) - 1
        return [*self.with_surroundings()]

    def with_surroundings(self) -> Iterator[Fused]:
        """The order, with what lies around the elements of a buffer written just after them, when
        the lines that have both are in a cache.
        """
        for step in self.order:
            yield step
            for buffer in sorted(step.writes()) if isinstance(step, Kernel) else ():
                yield from self.around.pop(buffer, ())

    def join(self, root: Root) -> int | None:
        """The place of a kernel that has taken the root in, if there is one."""
        if root.scatter is not None or root.after:
            return None
        reads = loaded(root)
        earliest: int = max((self.written.get(b, -1) for b in reads), default=-1)
        if root.not_before is not None:
            earliest = max(earliest, self.last[root.not_before.number])
        start = max(earliest, len(self.order) - _WINDOW, 0)
        places: list[int] = [*range(len(self.order) - 1, start - 1, -1)]
        if 0 <= earliest < start and root.expression.kind == LOAD:
            places.append(earliest)  # a copy goes with what it copies, however long ago that was
        if root.buffer.number in self.results:
            # Results have memory of their own, so they may as well be made long before.
            users = {p for b in reads for p in self.using.get(b, ())[-_WINDOW:]}
            places += sorted((p for p in users if max(earliest, 0) <= p < start), reverse=True)
        for place in places:
            kernel = self.order[place]
            if isinstance(kernel, Kernel) and self.fits(kernel, root, reads):
                return place
        return None

    def fits(self, kernel: Kernel, root: Root, reads: frozenset[int]) -> bool:
        if any(r.scatter is not None or r.after for r in kernel.roots):
            return False
        if root.reduction is not None and kernel.reduced and is_ordered(root) != kernel.ordered:
            return False  # others are shared among lanes, which these cannot be
        lanes = {lanes_of(root), kernel.lanes} - {0}
        if len(lanes) > 1:
            return False
        writes = kernel.writes()
        touched = writes.union(*map(loaded, kernel.roots))
        if not reads & touched or len(reads | touched) > _MOST_BUFFERS:
            return False
        if root.buffer.number in self.results and not self.are_related(root, reads, kernel):
            few = prod(root.space) <= _FEW_ELEMENTS
            if not few or len(reads | touched) > _MOST_OF_STRANGERS:
                return False
        if kernel.operations + root.expression.size > _MOST_OPERATIONS:
            return False
        for alignment in (_whole, _kept):
            merged = alignment(self.make, kernel, root)
            if merged is None or (lanes and len(merged[1]) > 1):
                continue  # where a row is cut, its lanes are no longer known
            if _forwards(merged, writes):
                kernel.space, kernel.reduced = merged[:2]
                kernel.roots = [_inside(kernel, r) for r in merged[2]]
                return True
        return False

    def are_related(self, root: Root, reads: frozenset[int], kernel: Kernel) -> bool:
        """Whether a root uses what a kernel makes, or another element of something that the kernel
        reads for each of its own.
        """
        if reads & kernel.writes():
            return True
        return any(self.buffers[b].size >= prod(root.space) for b in reads & kernel.reads())


Merged = tuple[Shape, frozenset[int], list[Root]]


def _inside(kernel: Kernel, root: Root) -> Root:
    """The root with the dimensions of the kernel that has taken it in."""
    reduced = kernel.reduced if root.reduction is not None else frozenset()
    return replace(root, space=kernel.space, reduced=reduced)


def _relaid(make: Expressions, root: Root, change: Callable[[Layout], Layout]) -> Root:
    return replace(root, expression=make.relaid(root.expression, change), store=change(root.store))


def _cut_reduced(reduced: frozenset[int], parts: tuple[Shape, ...]) -> frozenset[int]:
    flags = [d in reduced for d, sizes in enumerate(parts) for _ in sizes]
    return frozenset(i for i, flag in enumerate(flags) if flag)


def _whole(make: Expressions, kernel: Kernel, root: Root) -> Merged | None:
    """Both over the same elements."""
    if prod(kernel.space) != prod(root.space):
        return None
    roots, added = kernel.roots, root
    space, reduced, new_reduced = kernel.space, kernel.reduced, root.reduced
    if space != root.space:
        parts = common_refinement(space, root.space)
        if parts is None:
            return None
        finer = tuple(n for sizes in parts for n in sizes)
        others = common_refinement(root.space, finer)
        assert others is not None
        if finer != space:
            roots = [_relaid(make, r, split(parts)) for r in roots]
            reduced = _cut_reduced(reduced, parts)
        if finer != root.space:
            added = _relaid(make, root, split(others))
            new_reduced = _cut_reduced(root.reduced, others)
        space = finer
    if reduced and new_reduced and reduced != new_reduced:
        return None
    added = replace(added, space=space, reduced=new_reduced)
    return space, reduced or new_reduced, [*roots, added]


def _kept(make: Expressions, kernel: Kernel, root: Root) -> Merged | None:
    """The root is over what the kernel's reductions keep."""
    if not kernel.reduced or root.reduced:
        return None
    kept = tuple(i for i in range(len(kernel.space)) if i not in kernel.reduced)
    sizes = tuple(kernel.space[i] for i in kept)
    if prod(sizes) != prod(root.space):
        return None
    space, reduced, roots = kernel.space, kernel.reduced, kernel.roots
    if sizes != root.space:
        parts = common_refinement(sizes, root.space)
        if parts is None:
            return None
        finer = tuple(n for cut in parts for n in cut)
        others = common_refinement(root.space, finer)
        assert others is not None
        root = _relaid(make, root, split(others))
        if finer != sizes:
            cuts = dict(zip(kept, parts, strict=True))
            every = tuple(cuts.get(i, (n,)) for i, n in enumerate(space))
            roots = [_relaid(make, r, split(every)) for r in roots]
            reduced = _cut_reduced(reduced, every)
            space = tuple(n for cut in every for n in cut)
            kept = tuple(i for i in range(len(space)) if i not in reduced)
    root = _relaid(make, root, lifted(kept, len(space)))
    return space, reduced, [*roots, replace(root, space=space)]


def _forwards(merged: Merged, writes: set[int]) -> bool:
    """Whether the new root uses what the others make in the iteration that makes it, or elements
    of the same buffers that none of them makes.
    """
    space, _, (*others, root) = merged
    stores: dict[int, list[Layout]] = {}
    for other in others:
        stores.setdefault(other.buffer.number, []).append(other.store)
    return all(
        not load.what[2]
        and (
            load.what[1] in stores[load.what[0]]
            or all(_apart(load.what[1], store, space) for store in stores[load.what[0]])
        )
        for load in root_loads(root)
        if load.what[0] in writes
    )


def _apart(one: Layout, other: Layout, space: Shape) -> bool:
    """Whether two layouts have no place in common, as far as that is easily seen."""
    if one.strides != other.strides or min(one.strides, default=0) < 0:
        return False
    # Along steps that are longer than this distance, both only move together.
    distance = abs(one.offset - other.offset)
    span, steps = 0, sorted(zip(one.strides, space, strict=True))
    while steps and steps[0][0] <= distance + span:
        stride, size = steps.pop(0)
        span += stride * (size - 1)
    coarse = gcd(*(stride for stride, _ in steps))
    return span < distance and (not steps or coarse > distance + span)
