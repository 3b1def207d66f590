"""A kernel as LLVM IR: loops with explicit vectors in the innermost.

Sizes, strides and buffer numbers are parameters, so that kernels of the same structure are the same
text and are compiled once. Every value is computed in the outermost loop in which all that it
depends on is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.compiler.expressions import (
    ARGUMENT,
    COMPUTE,
    CONSTANT,
    GUARDED,
    IOTA,
    LOAD,
    Expression,
    Expressions,
    Layout,
)
from tidu.compiler.fuse import Kernel, root_loads
from tidu.compiler.steps import Root
from tidu.compiler.scalars import Register, VectorScalars, literal

# A dimension of at most this size is a constant of the kernel, so that its loop can be unrolled.
_SMALL = 8
# So many operations are repeated rather than stored and read again by a later pass.
_CHEAP = 3
# What a unit of work shall cost, in units of one operation on one element.
_UNIT_WORK = 1 << 17
_MOST_UNITS = 64
Lines = list[Any]  # of str, and of Lines that are filled in later


@dataclass(slots=True)
class Emitted:
    """The text of a kernel without its name, and what this instance of it is called with.

    A parameter is a number, or ("slot", buffer) or ("argument", number), which are numbers once the
    program has given its buffers their slots.
    """

    body: str
    declarations: frozenset[str]
    parameters: list[Any]
    units: int
    work: int
    stored: set[int]
    checks: bool  # whether an index may be out of range
    kernel: Kernel  # as it was emitted: with neighboring dimensions joined
    loops: Loops


def emit(kernel: Kernel, make: Expressions, stored: set[int], vector_bytes: int) -> Emitted:
    """The text of `kernel`, of which the buffers in `stored` have to be written. Without
    `vector_bytes` it has no vectors.
    """
    return _Emitter(_coalesced(kernel, make), stored, vector_bytes).run()


# Fewer dimensions ---------------------------------------------------------------------------------


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


def _coalesced(kernel: Kernel, make: Expressions) -> Kernel:
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


# The order of the loops ---------------------------------------------------------------------------


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


def _vector_dimension(kernel: Kernel, sequential: frozenset[int]) -> int | None:
    """The dimension along which most addresses are consecutive."""
    best, chosen = 0.0, None
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
                score += {1: 2.0, 0: 0.0}.get(root.store.strides[d], -2.0)
            for load in root_loads(root):
                varies = any(_depends(p, d) for p in load.inputs)
                stride = load.what[1].strides[d]
                score += -1.0 if varies else {1: 1.0, 0: 0.2}.get(stride, -1.0)
        score += 0.1 + 0.01 * d
        if size < 16:
            score *= size / 32 if score > 0 else 2
        if score > best:
            best, chosen = score, d
    return chosen


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


def _plan(kernel: Kernel, vector_bytes: int) -> Loops:
    space, reduced = kernel.space, kernel.reduced
    sequential = frozenset().union(
        *(r.scatter.sequential for r in kernel.roots if r.scatter is not None)
    )
    vector = _vector_dimension(kernel, sequential)
    wide = any(_is_wide(root) for root in kernel.roots)
    lanes = 1
    if vector is not None and vector_bytes:
        lanes = vector_bytes // (8 if wide else 4)
        operations = kernel.operations
        for limit in (10, 40):
            if operations <= limit and space[vector] >= 2 * lanes:
                lanes *= 2
    kept = [d for d in range(len(space)) if d not in reduced]
    if vector in kept and sequential:
        kept = [d for d in kept if d not in sequential and d != vector]
        kept += [*sorted(sequential), vector]
    elif sequential:
        kept = [d for d in kept if d not in sequential] + sorted(sequential)
    elif vector in kept:
        kept = [d for d in kept if d != vector] + [vector]
    inner = [d for d in sorted(reduced) if d != vector] + ([vector] if vector in reduced else [])
    work = prod(space) * (1 + kernel.operations + 2 * len(kernel.reads()))
    free = [d for d in kept if d not in sequential]
    units, divided, chunk = 1, None, 1
    if free:
        divided = free[0] if space[free[0]] >= 16 else max(free, key=lambda d: space[d])
        step = lanes if divided == vector else 1
        most = -(-space[divided] // step)
        units = max(1, min(work // _UNIT_WORK, most, _MOST_UNITS))
        chunk = -(-most // units) * step
        units = -(-space[divided] // chunk)
    return Loops(vector, lanes, kept, inner, divided, chunk, units)


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


# Text ---------------------------------------------------------------------------------------------


class _Level:
    """One loop: the text of its body so far, and what has been computed there."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.known: dict[Any, Register | str] = {}


class _Emitter:
    def __init__(self, kernel: Kernel, stored: set[int], vector_bytes: int) -> None:
        self.kernel = kernel
        self.plan = _plan(kernel, vector_bytes)
        self.roots = {root.buffer.number: root for root in kernel.roots}
        self.stages: dict[int, int] = {}
        self.stored = stored | self.revisited()
        self.parameters: list[Any] = []
        self.roles: dict[Any, str] = {}
        self.entry: Lines = []
        self.top: Lines = []
        self.levels: list[_Level] = []
        self.names = 0
        self.labels = 0
        self.scales = vector_bytes == 64
        self.declarations: set[str] = set()
        self.loops = [*self.plan.outer, *self.plan.inner]
        self.depth_of = {d: i + 1 for i, d in enumerate(self.loops)}
        self.kept_depth = len(self.plan.outer)
        self.counters: dict[int, str] = {}
        self.mask: str | None = None  # of the lanes in use, in the last part of a vector loop
        self.guard: tuple[tuple[Any, ...], ...] = ()
        self.segment = 0
        self.finished: dict[int, Register] = {}  # by buffer: what a reduction came to
        self.checks = False
        self.accumulators: dict[int, tuple[str, dtype]] = {}

    def run(self) -> Emitted:
        self.levels = [_Level(self.top)]
        for root in self.kernel.roots:
            if root.reduction is not None:
                self.make_accumulator(root)
        self.nest(0)
        body = [*_flat(self.entry), *_flat(self.top), "ret void"]
        plan = self.plan
        operations = 1 + self.kernel.operations + 2 * len(self.kernel.reads())
        return Emitted(
            "\n".join(body),
            frozenset(self.declarations),
            self.parameters,
            plan.units,
            max(1, prod(self.kernel.space) * operations // max(plan.units, 1)),
            self.stored,
            self.checks,
            self.kernel,
            plan,
        )

    # Names, parameters, lines ---------------------------------------------------------------------

    def fresh(self) -> str:
        self.names += 1
        return f"%v{self.names}"

    def line(self, lines: Lines, text: str) -> str:
        name = self.fresh()
        lines.append(f"{name} = {text}")
        return name

    def parameter(self, role: Any, value: Any) -> str:
        """A number that this instance of the kernel is called with; one for each role."""
        found = self.roles.get(role)
        if found is None:
            place = len(self.parameters)
            self.parameters.append(value)
            address = self.line(
                self.entry, f"getelementptr inbounds i64, ptr %params, i64 {place}"
            )
            found = self.roles[role] = self.line(
                self.entry, f"load i64, ptr {address}, !invariant.load !0"
            )
        return found

    def table(self, role: Any, value: Any) -> str:
        """The address of the slot of the table that a parameter names."""
        key = ("table", role)
        if key not in self.roles:
            slot = self.parameter(role, value)
            self.roles[key] = self.line(
                self.entry, f"getelementptr inbounds i64, ptr %table, i64 {slot}"
            )
        return self.roles[key]

    def pointer(self, buffer: int) -> str:
        key = ("pointer", buffer)
        if key not in self.roles:
            slot = self.table(("slot", buffer), ("slot", buffer))
            self.roles[key] = self.line(self.entry, f"load ptr, ptr {slot}, !invariant.load !0")
        return self.roles[key]

    def size(self, d: int) -> str:
        n = self.kernel.space[d]
        if n <= _SMALL:
            return str(n)
        return self.parameter(("size", d), n)

    def scalars(self, lines: Lines, lanes: int) -> VectorScalars:
        scalars = VectorScalars(lines, lanes, self.fresh, self.scales)
        scalars.declarations = self.declarations
        return scalars

    # Loops ----------------------------------------------------------------------------------------

    def nest(self, depth: int) -> None:
        """The loops from `depth` inwards over what is kept, and the segments inside of them."""
        if depth == self.kept_depth:
            self.segments()
            return
        d = self.plan.outer[depth]
        self.loop(d, lambda: self.nest(depth + 1))

    def bounds(self, d: int) -> tuple[str, str]:
        if d != self.plan.divided:
            return "0", self.size(d)
        if "lower" not in self.roles:
            chunk = self.parameter("chunk", self.plan.chunk)
            size = self.parameter(("size", d), self.kernel.space[d])
            self.roles["lower"] = self.line(self.entry, f"mul i64 %begin, {chunk}")
            upper = self.line(self.entry, f"mul i64 %end, {chunk}")
            self.declarations.add("declare i64 @llvm.smin.i64(i64, i64)")
            self.roles["upper"] = self.line(
                self.entry, f"call i64 @llvm.smin.i64(i64 {upper}, i64 {size})"
            )
        return self.roles["lower"], self.roles["upper"]

    def loop(self, d: int, body: Callable[[], None]) -> None:
        lower, upper = self.bounds(d)
        if d == self.plan.vector and self.plan.lanes > 1:
            self.vector_loop(d, lower, upper, body)
        else:
            self.counted(d, lower, upper, 1, body)

    def counted(self, d: int, lower: str, upper: str, step: int, body: Callable[[], None]) -> None:
        """for (i = lower; i < upper; i += step)"""
        self.labels += 1
        label = f"L{self.labels}"
        lines = self.levels[-1].lines
        before: Lines = []
        inside: Lines = []
        counter = self.fresh()
        following = f"%n{self.labels}"
        lines += [
            before,
            f"br label %{label}p",
            f"{label}p:",
            f"br label %{label}h",
            f"{label}h:",
            f"{counter} = phi i64 [{lower}, %{label}p], [{following}, %{label}l]",
            f"%c{self.labels} = icmp slt i64 {counter}, {upper}",
            f"br i1 %c{self.labels}, label %{label}b, label %{label}x",
            f"{label}b:",
            inside,
            f"br label %{label}l",
            f"{label}l:",
            f"{following} = add nsw i64 {counter}, {step}",
            f"br label %{label}h",
            f"{label}x:",
        ]
        self.enter(before, inside, d, counter, body)

    def enter(
        self, before: Lines, inside: Lines, d: int, counter: str, body: Callable[[], None]
    ) -> None:
        outer = self.levels[-1]
        kept_lines = outer.lines
        outer.lines = before
        self.levels.append(_Level(inside))
        self.counters[d] = counter
        body()
        self.levels.pop()
        outer.lines = kept_lines

    def vector_loop(self, d: int, lower: str, upper: str, body: Callable[[], None]) -> None:
        """Whole vectors, then what is left with a mask."""
        lanes, size = self.plan.lanes, self.kernel.space[d]
        divided = d == self.plan.divided
        if size % lanes == 0:
            self.counted(d, lower, upper, lanes, body)
            return
        lines = self.levels[-1].lines
        middle = lower
        if size > lanes:
            count = self.line(lines, f"sub i64 {upper}, {lower}")
            whole = self.line(lines, f"and i64 {count}, {-lanes}")
            middle = self.line(lines, f"add i64 {lower}, {whole}")
            self.counted(d, lower, middle, lanes, body)
        self.labels += 1
        label = f"T{self.labels}"
        before: Lines = []
        inside: Lines = []
        lines.append(before)
        if divided or size <= _SMALL or size > lanes:
            some = self.line(lines, f"icmp slt i64 {middle}, {upper}")
            lines.append(f"br i1 {some}, label %{label}b, label %{label}x")
        else:
            lines.append(f"br label %{label}b")
        lines += [f"{label}b:", inside, f"br label %{label}x", f"{label}x:"]

        def masked() -> None:
            here = self.levels[-1].lines
            left = self.line(here, f"sub i64 {upper}, {middle}")
            self.mask = self.line(
                here,
                f"icmp ult <{lanes} x i64> {_steps(lanes)}, "
                f"{self.splat_text(here, left, 'i64', lanes)}",
            )
            body()
            self.mask = None

        self.enter(before, inside, d, middle, masked)

    def splat_text(self, lines: Lines, name: str, kind: str, lanes: int) -> str:
        one = self.line(
            lines, f"insertelement <{lanes} x {kind}> poison, {kind} {name}, i64 0"
        )
        return self.line(
            lines,
            f"shufflevector <{lanes} x {kind}> {one}, <{lanes} x {kind}> poison, "
            f"<{lanes} x i32> zeroinitializer",
        )

    # Segments -------------------------------------------------------------------------------------

    def segments(self) -> None:
        """With all that is kept fixed: pass after pass over what is reduced."""
        self.finished = {}
        last = max((self.stage_of(root) for root in self.kernel.roots), default=0)
        for number in range(last + 1):
            self.segment = number
            self.kept_results(number)
            full = [r for r in self.kernel.roots if self.runs_in(r, number)]
            if not full:
                continue
            for root in full:
                if root.reduction is not None:
                    self.start(root)
            self.reduce_nest(0, full)
            for root in full:
                if root.reduction is not None:
                    self.finish(root)
        self.segment = last + 1
        self.kept_results(last + 1)

    def is_kept(self, root: Root) -> bool:
        """Whether a root has one element for each iteration over what is kept."""
        return bool(self.plan.inner) and root.reduction is None and not any(
            root.store.strides[d] for d in self.plan.inner
        )

    def runs_in(self, root: Root, number: int) -> bool:
        return not self.is_kept(root) and self.stage_of(root) == number

    def stage_of(self, root: Root) -> int:
        return self.stage(root.expression)

    def stage(self, x: Expression) -> int:
        """How many reductions have to be complete before `x` can be computed."""
        found = self.stages.get(x.number)
        if found is None:
            found = max((self.stage(y) for y in x.inputs), default=0)
            if x.kind == LOAD and x.what[0] in self.roots:
                root = self.roots[x.what[0]]
                if root.scatter is None and not root.after:
                    found = self.stage(root.expression) + (root.reduction is not None)
            self.stages[x.number] = found
        return found

    def revisited(self) -> set[int]:
        """Roots that a later pass over what is reduced needs again, and that cost too much to
        compute twice.
        """
        found = set()
        for root in self.kernel.roots:
            for load in root_loads(root):
                other = self.roots.get(load.what[0])
                if (
                    other is not None
                    and other.reduction is None
                    and other.expression.size > _CHEAP
                    and self.stage_of(other) < self.stage_of(root)
                ):
                    found.add(load.what[0])
        return found

    def kept_results(self, number: int) -> None:
        for root in self.kernel.roots:
            if self.is_kept(root) and self.stage_of(root) == number:
                x = self.value(root.expression)
                self.finished[root.buffer.number] = x
                if root.buffer.number in self.stored:
                    self.store(root, x)

    def reduce_nest(self, depth: int, roots: list[Root]) -> None:
        if depth < len(self.plan.inner):
            self.loop(self.plan.inner[depth], lambda: self.reduce_nest(depth + 1, roots))
            return
        for root in roots:
            if root.reduction is not None:
                self.accumulate(root)
            elif root.buffer.number in self.stored or root.scatter is not None:
                self.store(root, self.value(root.expression))

    # Reductions -----------------------------------------------------------------------------------

    def reduces_lanes(self) -> bool:
        return self.plan.lanes > 1 and self.plan.vector in self.kernel.reduced

    def accumulator_lanes(self) -> int:
        vector = self.plan.vector
        return self.plan.lanes if vector is not None else 1

    def make_accumulator(self, root: Root) -> None:
        kind = root.expression.dtype
        kind = dtypes.float32 if kind.is_half else kind
        scalars = self.scalars(self.entry, self.accumulator_lanes())
        name = self.line(self.entry, f"alloca {scalars.type_of(kind)}")
        self.accumulators[root.buffer.number] = (name, kind)

    def start(self, root: Root) -> None:
        name, kind = self.accumulators[root.buffer.number]
        assert root.reduction is not None and root.reduction.identity is not None
        lines = self.levels[-1].lines
        scalars = self.scalars(lines, self.accumulator_lanes())
        neutral = scalars.constant(root.reduction.identity(kind), kind)
        lines.append(f"store {scalars.type_of(kind)} {neutral.name}, ptr {name}")

    def accumulate(self, root: Root) -> None:
        name, kind = self.accumulators[root.buffer.number]
        assert root.reduction is not None and root.reduction.emit is not None
        lanes = self.accumulator_lanes()
        lines = self.levels[-1].lines
        x = self.value(root.expression)
        if x.dtype.is_half:
            x = self.converted(x, root.expression, kind)
        x = self.to_lanes(x, root.expression)
        scalars = self.scalars(lines, lanes)
        of = scalars.type_of(kind)
        before = Register(self.line(lines, f"load {of}, ptr {name}"), kind)
        after = root.reduction.emit(scalars, before, x)
        if self.mask is not None and self.reduces_lanes():
            after = scalars.select(Register(self.mask, dtypes.bool_), after, before)
        lines.append(f"store {of} {after.name}, ptr {name}")

    def finish(self, root: Root) -> None:
        name, kind = self.accumulators[root.buffer.number]
        assert root.reduction is not None and root.reduction.emit is not None
        lines = self.levels[-1].lines
        lanes = self.accumulator_lanes()
        scalars = self.scalars(lines, lanes)
        x = Register(self.line(lines, f"load {scalars.type_of(kind)}, ptr {name}"), kind)
        if self.reduces_lanes():
            while lanes > 1:
                half = lanes // 2
                of = scalars.type_of(kind)
                low, high = (
                    Register(
                        self.line(
                            lines,
                            f"shufflevector {of} {x.name}, {of} poison, <{half} x i32> "
                            f"<{', '.join(f'i32 {start + i}' for i in range(half))}>",
                        ),
                        kind,
                    )
                    for start in (0, half)
                )
                lanes = half
                scalars = self.scalars(lines, lanes)
                if lanes == 1:
                    low, high = (
                        Register(
                            self.line(lines, f"extractelement <1 x {scalars.type_of(kind)}> {y.name}, i64 0"),
                            kind,
                        )
                        for y in (low, high)
                    )
                x = root.reduction.emit(scalars, low, high)
        if kind is not root.buffer.dtype:
            x = scalars.cast(x, root.buffer.dtype)
        self.finished[root.buffer.number] = x
        if root.buffer.number in self.stored:
            self.store(root, x)

    # Values ---------------------------------------------------------------------------------------

    def depth(self, x: Expression) -> int:
        """The number of loops inside of which `x` is known."""
        key = ("depth", x.number, self.segment)
        found = self.roles.get(key)
        if found is not None:
            return int(found)
        depth = 0
        if x.kind == LOAD:
            root = self.own(x)
            if root is not None:
                depth = (
                    self.kept_depth
                    if root.reduction is not None or self.is_kept(root)
                    else self.depth(root.expression)
                )
            else:
                depth = self.layout_depth(x.what[1])
        elif x.kind == IOTA:
            depth = self.layout_depth(x.what)
        elif x.kind == GUARDED:
            depth = max((self.layout_depth(g.layout) for g in x.what[0]), default=0)
        for y in x.inputs:
            depth = max(depth, self.depth(y))
        self.roles[key] = str(depth)
        return depth

    def layout_depth(self, layout: Layout) -> int:
        return max((self.depth_of[d] for d, s in enumerate(layout.strides) if s), default=0)

    def varies(self, x: Expression) -> bool:
        """Whether the lanes of `x` differ."""
        vector = self.plan.vector
        if vector is None or self.plan.lanes == 1:
            return False
        key = ("varies", x.number, self.segment)
        found = self.roles.get(key)
        if found is None:
            result = any(self.varies(y) for y in x.inputs)
            if x.kind == LOAD:
                root = self.own(x)
                if root is not None:
                    result = (
                        vector not in self.kernel.reduced
                        if root.reduction is not None
                        else self.varies(root.expression)
                    )
                else:
                    result = result or bool(x.what[1].strides[vector])
            elif x.kind == IOTA:
                result = bool(x.what.strides[vector])
            elif x.kind == GUARDED:
                result = result or any(g.layout.strides[vector] for g in x.what[0])
            found = self.roles[key] = "1" if result else ""
        return bool(found)

    def own(self, x: Expression) -> Root | None:
        """The root of this kernel whose element of this iteration a load asks for."""
        root = self.roots.get(x.what[0])
        if root is None or root.scatter is not None or root.after:
            return None
        if root.reduction is None and not self.is_kept(root):
            number = root.buffer.number
            passed = self.stage_of(root) < self.segment
            if passed and number in self.stored and root.expression.size > _CHEAP:
                return None  # it was stored in a pass before this one
        return root

    def value(self, x: Expression) -> Register:
        """The register that holds `x`, computed in the outermost loop where that is possible."""
        if x.kind == LOAD:
            root = self.own(x)
            if root is not None:
                done = self.finished.get(x.what[0])
                return done if done is not None else self.value(root.expression)
        depth = self.depth(x)
        if self.guard:
            depth = max(depth, max(g[1] for g in self.guard))
        key = (x.number, tuple(g[0] for g in self.guard) if self.guard else ())
        for level in self.levels[: depth + 1]:
            found = level.known.get(key)
            if found is not None:
                assert isinstance(found, Register)
                return found
        made = self.compute(x, self.levels[depth])
        self.levels[depth].known[key] = made
        return made

    def compute(self, x: Expression, level: _Level) -> Register:
        if x.kind == CONSTANT:
            if x.what is None:
                return Register("none", x.dtype)
            return self.scalars(level.lines, 1).constant(x.what, x.dtype)
        if x.kind == ARGUMENT:
            return self.argument(x)
        if x.kind == LOAD:
            return self.load(x, level)
        if x.kind == IOTA:
            return self.iota(x.what, level)
        if x.kind == GUARDED:
            return self.guarded(x)
        return self.operation(x, level)

    def argument(self, x: Expression) -> Register:
        number, kind = x.what
        slot = self.table(("argument", number), ("argument", number))
        given = dtypes.float64 if kind is float else dtypes.int64
        of = "double" if kind is float else "i64"
        register = Register(self.line(self.entry, f"load {of}, ptr {slot}"), given)
        if x.dtype is given:
            return register
        return self.scalars(self.entry, 1).cast(register, x.dtype)

    def operation(self, x: Expression, level: _Level) -> Register:
        op, attrs = x.what
        lanes = self.plan.lanes if self.varies(x) else 1
        inputs = [self.value(y) for y in x.inputs]
        scalars = self.scalars(level.lines, lanes)
        given: list[Any] = []
        for y, register in zip(x.inputs, inputs, strict=True):
            if y.kind == CONSTANT and y.what is None:
                given.append(None)
                continue
            if register.dtype.is_half:
                register = self.converted(register, y, dtypes.float32)
            if lanes > 1 and not self.varies(y):
                register = self.splat(register, y, level)
            given.append(register)
        made: Register = op.emit(scalars, *given, *attrs)
        if made.dtype is not x.dtype:
            made = scalars.cast(made, x.dtype)
        return made

    def converted(self, x: Register, of: Expression, to: dtype) -> Register:
        """A register that holds `of`, in another dtype, where `of` itself was computed."""
        home = self.levels[min(self.depth_with(of), len(self.levels) - 1)]
        key = ("converted", x.name, to)
        found = home.known.get(key)
        if found is None:
            found = home.known[key] = self.cast(x, to, self.varies(of), home.lines)
        assert isinstance(found, Register)
        return found

    def cast(self, x: Register, to: dtype, varies: bool, lines: Lines) -> Register:
        return self.scalars(lines, self.plan.lanes if varies else 1).cast(x, to)

    def to_lanes(self, x: Register, of: Expression) -> Register:
        if self.accumulator_lanes() > 1 and not self.varies(of):
            return self.splat(x, of, self.levels[-1])
        return x

    def splat(self, x: Register, of: Expression, level: _Level) -> Register:
        """A number that all lanes share, in every lane."""
        if of.kind == CONSTANT:
            return self.scalars(level.lines, self.plan.lanes).constant(of.what, x.dtype)
        home = self.levels[min(self.depth_with(of), self.levels.index(level))]
        key = ("splat", x.name, x.dtype)
        found = home.known.get(key)
        if found is None:
            kind = self.scalars(home.lines, 1).type_of(x.dtype)
            text = self.splat_text(home.lines, x.name, kind, self.plan.lanes)
            found = home.known[key] = Register(text, x.dtype)
        assert isinstance(found, Register)
        return found

    # Addresses ------------------------------------------------------------------------------------

    def stride(self, layout: Layout, d: int) -> str:
        return self.parameter(("stride", layout, d), layout.strides[d])

    def offset(self, layout: Layout, skip: int | None = None) -> str:
        """The affine function at the current counters, with the first lane's along the vector."""
        depth = self.layout_depth(layout)
        key = ("offset", layout, skip)
        for level in self.levels[: depth + 1]:
            found = level.known.get(key)
            if found is not None:
                assert isinstance(found, str)
                return found
        total = self.parameter(("offset", layout), layout.offset) if layout.offset else "0"
        name = total
        place = 0
        for d in self.loops:
            stride = layout.strides[d]
            if not stride:
                continue
            place = self.depth_of[d]
            partial = ("partial", layout, place)
            level = self.levels[place]
            found = level.known.get(partial)
            if found is None:
                term = self.counters[d]
                if stride != 1 or d != self.plan.vector:
                    term = self.line(
                        level.lines, f"mul nsw i64 {term}, {self.stride(layout, d)}"
                    )
                found = (
                    term if name == "0" else self.line(level.lines, f"add nsw i64 {name}, {term}")
                )
                level.known[partial] = found
            assert isinstance(found, str)
            name = found
        self.levels[place].known[key] = name
        return name

    def along(self, layout: Layout) -> int:
        """The stride along the lanes."""
        vector = self.plan.vector
        return layout.strides[vector] if vector is not None and self.plan.lanes > 1 else 0

    def lane_offsets(self, layout: Layout, lines: Lines) -> str:
        """A vector of the affine function in each lane."""
        lanes = self.plan.lanes
        base = self.splat_text(lines, self.offset(layout), "i64", lanes)
        vector = self.plan.vector
        assert vector is not None
        stride = layout.strides[vector]
        if not stride:
            return base
        steps = _steps(lanes)
        if stride != 1:
            factor = self.splat_text(lines, self.stride(layout, vector), "i64", lanes)
            steps = self.line(lines, f"mul nsw <{lanes} x i64> {steps}, {factor}")
        return self.line(lines, f"add nsw <{lanes} x i64> {base}, {steps}")

    def iota(self, layout: Layout, level: _Level) -> Register:
        if self.along(layout):
            return Register(self.lane_offsets(layout, level.lines), dtypes.int64)
        return Register(self.offset(layout), dtypes.int64)

    # Guards ---------------------------------------------------------------------------------------

    def guarded(self, x: Expression) -> Register:
        """The inner value where the guards hold; where they do not, nothing of it is read."""
        guards, fill = x.what
        outer = self.guard
        condition, depth, varies = self.condition(x.number, guards)
        self.guard = (*outer, (x.number, depth, condition, varies))
        inner = self.value(x.inputs[0])
        self.guard = outer
        level = self.levels[self.depth_with(x)]
        lanes = self.plan.lanes if self.varies(x) else 1
        lane_kind = inner.dtype
        if lanes > 1 and not self.varies(x.inputs[0]):
            inner = Register(
                self.splat_text(
                    level.lines, inner.name, self.scalars(level.lines, 1).type_of(lane_kind), lanes
                ),
                lane_kind,
            )
        scalars = self.scalars(level.lines, lanes)
        if lanes > 1 and not varies:
            condition = self.splat_text(level.lines, condition, "i1", lanes)
        otherwise = scalars.constant(fill, lane_kind)
        return scalars.select(Register(condition, dtypes.bool_), inner, otherwise)

    def depth_with(self, x: Expression) -> int:
        depth = self.depth(x)
        return max([depth, *(g[1] for g in self.guard)])

    def condition(self, number: int, guards: Any) -> tuple[str, int, bool]:
        """Whether all guards hold: the register, its depth, and whether lanes differ."""
        depth = max(self.layout_depth(g.layout) for g in guards)
        varies = any(self.along(g.layout) for g in guards)
        level = self.levels[depth]
        key = ("condition", number)
        found = level.known.get(key)
        if found is None:
            lanes = self.plan.lanes if varies else 1
            of = "i64" if lanes == 1 else f"<{lanes} x i64>"
            bit = "i1" if lanes == 1 else f"<{lanes} x i1>"
            for place, guard in enumerate(guards):
                at = (
                    self.lane_offsets(guard.layout, level.lines)
                    if lanes > 1
                    else self.offset(guard.layout)
                )
                low = self.parameter(("low", guard), guard.low)
                width = self.parameter(("width", guard), guard.high - guard.low)
                if lanes > 1:
                    low = self.splat_text(level.lines, low, "i64", lanes)
                    width = self.splat_text(level.lines, width, "i64", lanes)
                shifted = self.line(level.lines, f"sub {of} {at}, {low}")
                inside = self.line(level.lines, f"icmp ult {of} {shifted}, {width}")
                found = (
                    self.line(level.lines, f"and {bit} {found}, {inside}") if place else inside
                )
            level.known[key] = found  # type: ignore[assignment]
        assert isinstance(found, str)
        return found, depth, varies

    def any_lane(self, lines: Lines, condition: str) -> str:
        lanes = self.plan.lanes
        name = f"@llvm.vector.reduce.or.v{lanes}i1"
        self.declarations.add(f"declare i1 {name}(<{lanes} x i1>)")
        return self.line(lines, f"call i1 {name}(<{lanes} x i1> {condition})")

    def active(self, lines: Lines, lanes: int) -> str | None:
        """The mask under which memory may be touched now, or None where it always may."""
        parts = []
        if self.mask is not None and lanes > 1:
            parts.append(self.mask)
        for _, _, condition, varies in self.guard:
            if lanes > 1 and not varies:
                condition = self.splat_text(lines, condition, "i1", lanes)
            elif lanes == 1 and varies:
                condition = self.any_lane(lines, condition)
            parts.append(condition)
        if not parts:
            return None
        bit = "i1" if lanes == 1 else f"<{lanes} x i1>"
        found = parts[0]
        for part in parts[1:]:
            found = self.line(lines, f"and {bit} {found}, {part}")
        return str(found)

    # Memory ---------------------------------------------------------------------------------------

    def load(self, x: Expression, level: _Level) -> Register:
        buffer, layout, indices = x.what
        lines = level.lines
        lanes = self.plan.lanes if self.varies(x) else 1
        kind = _memory_type(x.dtype)
        base = self.pointer(buffer)
        mask = self.active(lines, lanes)
        if indices:
            offset, gathers = self.dynamic(layout, indices, x.inputs, level, lanes, mask, x)
        else:
            offset, gathers = self.offset(layout), lanes > 1 and self.along(layout) != 1
            if gathers:
                offset = self.lane_offsets(layout, lines)
        if lanes > 1 and gathers:
            name = self.gather(lines, kind, base, offset, lanes, mask)
        else:
            name = self.contiguous_load(lines, kind, base, offset, lanes, mask)
        return self.as_bits(lines, name, x.dtype, lanes)

    def as_bits(self, lines: Lines, name: str, kind: dtype, lanes: int) -> Register:
        """What was loaded, as registers hold it: bools are bytes in memory."""
        if kind is dtypes.bool_:
            of, zero = ("i8", "0") if lanes == 1 else (f"<{lanes} x i8>", "zeroinitializer")
            name = self.line(lines, f"icmp ne {of} {name}, {zero}")
        return Register(name, kind)

    def contiguous_load(
        self, lines: Lines, kind: str, base: str, offset: str, lanes: int, mask: str | None
    ) -> str:
        address = self.line(lines, f"getelementptr {kind}, ptr {base}, i64 {offset}")
        align = _alignment(kind)
        if lanes == 1:
            if mask is not None:  # read something harmless instead
                address = self.line(lines, f"select i1 {mask}, ptr {address}, ptr %table")
            return self.line(lines, f"load {kind}, ptr {address}, align {align}")
        of = f"<{lanes} x {kind}>"
        if mask is None:
            return self.line(lines, f"load {of}, ptr {address}, align {align}")
        name = f"@llvm.masked.load.v{lanes}{_mangled(kind)}.p0"
        self.declarations.add(f"declare {of} {name}(ptr, <{lanes} x i1>, {of})")
        return self.line(
            lines,
            f"call {of} {name}(ptr align {align} {address}, <{lanes} x i1> {mask}, "
            f"{of} zeroinitializer)",
        )

    def gather(
        self, lines: Lines, kind: str, base: str, offsets: str, lanes: int, mask: str | None
    ) -> str:
        of = f"<{lanes} x {kind}>"
        places = self.line(lines, f"getelementptr {kind}, ptr {base}, <{lanes} x i64> {offsets}")
        every = mask or f"splat (i1 true)"
        name = f"@llvm.masked.gather.v{lanes}{_mangled(kind)}.v{lanes}p0"
        self.declarations.add(f"declare {of} {name}(<{lanes} x ptr>, <{lanes} x i1>, {of})")
        return self.line(
            lines,
            f"call {of} {name}(<{lanes} x ptr> align {_alignment(kind)} {places}, "
            f"<{lanes} x i1> {every}, {of} zeroinitializer)",
        )

    def dynamic(
        self,
        layout: Layout,
        indices: Any,
        places: tuple[Expression, ...],
        level: _Level,
        lanes: int,
        mask: str | None,
        what: Any,
    ) -> tuple[str, bool]:
        """Offsets with indices that were computed, each checked against the size it indexes."""
        lines = level.lines
        spread = lanes > 1 and (
            any(self.varies(p) for p in places) or self.along(layout) not in (0, 1)
        )
        spread = spread or (lanes > 1 and self.along(layout) == 0)
        width = lanes if spread else 1
        of = "i64" if width == 1 else f"<{width} x i64>"
        bit = "i1" if width == 1 else f"<{width} x i1>"
        offset = self.lane_offsets(layout, lines) if spread else self.offset(layout)
        for place, index in zip(places, indices, strict=True):
            register = self.value(place)
            if register.dtype is not dtypes.int64:
                register = self.cast(register, dtypes.int64, self.varies(place), lines)
            name = register.name
            if width > 1 and not self.varies(place):
                name = self.splat_text(lines, name, "i64", width)
            size = self.parameter(("index size", what, index, place.number), index.size)
            stride = self.parameter(("index stride", what, index, place.number), index.stride)
            if width > 1:
                size = self.splat_text(lines, size, "i64", width)
                stride = self.splat_text(lines, stride, "i64", width)
            zero = "0" if width == 1 else "zeroinitializer"
            if index.wraps:
                negative = self.line(lines, f"icmp slt {of} {name}, {zero}")
                wrapped = self.line(lines, f"add {of} {name}, {size}")
                name = self.line(lines, f"select {bit} {negative}, {of} {wrapped}, {of} {name}")
            inside = self.line(lines, f"icmp ult {of} {name}, {size}")
            self.check(lines, inside, mask, width, lanes, what)
            name = self.line(lines, f"select {bit} {inside}, {of} {name}, {of} {zero}")
            term = self.line(lines, f"mul {of} {name}, {stride}")
            offset = self.line(lines, f"add {of} {offset}, {term}")
        return offset, spread

    def check(
        self, lines: Lines, inside: str, mask: str | None, width: int, lanes: int, what: Any
    ) -> None:
        """Leave the number of the check in the table if an index in use is out of range."""
        bit = "i1" if width == 1 else f"<{width} x i1>"
        bad = self.line(lines, f"xor {bit} {inside}, {'true' if width == 1 else 'splat (i1 true)'}")
        if mask is not None and (width > 1 or lanes == 1):
            bad = self.line(lines, f"and {bit} {bad}, {mask}")
        if width > 1:
            bad = self.any_lane(lines, bad)
        self.checks = True
        self.labels += 1
        label = f"E{self.labels}"
        lines += [
            f"br i1 {bad}, label %{label}e, label %{label}x",
            f"{label}e:",
            "store i64 1, ptr %table",
            f"br label %{label}x",
            f"{label}x:",
        ]

    def store(self, root: Root, x: Register) -> None:
        level = self.levels[-1]
        lines = level.lines
        varies = self.varies(root.expression) if root.reduction is None else (
            self.plan.lanes > 1 and self.plan.vector not in self.kernel.reduced
        )
        layout = root.store if root.scatter is None else root.scatter.layout
        lanes = self.plan.lanes if self.along(layout) else 1
        if root.scatter is not None and any(self.varies(p) for p in root.scatter.places):
            lanes = self.plan.lanes
        if x.dtype is not root.buffer.dtype:
            x = self.cast(x, root.buffer.dtype, varies, lines)
        if lanes > 1 and not varies:
            kind = self.scalars(lines, 1).type_of(x.dtype)
            x = Register(self.splat_text(lines, x.name, kind, lanes), x.dtype)
        mask = self.active(lines, lanes)
        kind = _memory_type(root.buffer.dtype)
        base = self.pointer(root.buffer.number)
        gathers = lanes > 1 and self.along(layout) != 1
        if root.scatter is not None:
            scatter = root.scatter
            offset, gathers = self.dynamic(
                layout, scatter.indices, scatter.places, level, lanes, mask, root.buffer.number
            )
        else:
            offset = self.lane_offsets(layout, lines) if gathers else self.offset(layout)
        if root.adds:
            before = (
                self.gather(lines, kind, base, offset, lanes, mask)
                if gathers
                else self.contiguous_load(lines, kind, base, offset, lanes, mask)
            )
            x = self.sum(lines, self.as_bits(lines, before, root.buffer.dtype, lanes), x, lanes)
        self.write(lines, kind, base, offset, lanes, gathers, mask, x)

    def sum(self, lines: Lines, before: Register, x: Register, lanes: int) -> Register:
        scalars = self.scalars(lines, lanes)
        if not x.dtype.is_half:
            return scalars.add(before, x)
        wide = [scalars.cast(y, dtypes.float32) for y in (before, x)]
        return scalars.cast(scalars.add(*wide), x.dtype)

    def write(
        self,
        lines: Lines,
        kind: str,
        base: str,
        offset: str,
        lanes: int,
        scatters: bool,
        mask: str | None,
        x: Register,
    ) -> None:
        of = kind if lanes == 1 else f"<{lanes} x {kind}>"
        name = x.name
        if x.dtype is dtypes.bool_:
            bit = "i1" if lanes == 1 else f"<{lanes} x i1>"
            name = self.line(lines, f"zext {bit} {name} to {of}")
        align = _alignment(kind)
        if scatters:
            places = self.line(lines, f"getelementptr {kind}, ptr {base}, <{lanes} x i64> {offset}")
            call = f"@llvm.masked.scatter.v{lanes}{_mangled(kind)}.v{lanes}p0"
            self.declarations.add(f"declare void {call}({of}, <{lanes} x ptr>, <{lanes} x i1>)")
            lines.append(
                f"call void {call}({of} {name}, <{lanes} x ptr> align {align} {places}, "
                f"<{lanes} x i1> {mask or 'splat (i1 true)'})"
            )
            return
        address = self.line(lines, f"getelementptr {kind}, ptr {base}, i64 {offset}")
        if lanes == 1 or mask is None:
            lines.append(f"store {of} {name}, ptr {address}, align {align}")
            return
        call = f"@llvm.masked.store.v{lanes}{_mangled(kind)}.p0"
        self.declarations.add(f"declare void {call}({of}, ptr, <{lanes} x i1>)")
        lines.append(
            f"call void {call}({of} {name}, ptr align {align} {address}, <{lanes} x i1> {mask})"
        )


def _flat(lines: Lines) -> Iterator[str]:
    for line in lines:
        if line.__class__ is str:
            yield line
        else:
            yield from _flat(line)


def _steps(lanes: int) -> str:
    return "<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">"


def _memory_type(kind: dtype) -> str:
    return "i8" if kind is dtypes.bool_ else VectorScalars([], 1, str).type_of(kind)


def _mangled(kind: str) -> str:
    return {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64"}.get(kind, kind)


def _alignment(kind: str) -> int:
    return {"i8": 1, "half": 2, "bfloat": 2, "i16": 2, "float": 4, "i32": 4}.get(kind, 8)
