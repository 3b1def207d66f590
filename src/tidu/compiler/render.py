"""The forms of a program as text: for people, for logs, and for tests that compare it.

The text is a function of the form alone. Buffers are called in0, in1, ... (leaves), const0, ...
(constants), out0, ... (results) and t0, t1, ... (what lives within a run); n0, n1, ... are the
Python numbers that a run is given. `x[i, j]` is an element at coordinates, `x.flat[4i + j]` one at a
place in row-major order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import singledispatch
from operator import attrgetter
from typing import Any

from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape, contiguous_strides
from tidu.base.source import describe
from tidu.compiler.emit import Loops
from tidu.compiler.expressions import (
    ARGUMENT,
    COMPUTE,
    CONSTANT,
    GUARDED,
    IOTA,
    LOAD,
    Expression,
    Index,
    Layout,
)
from tidu.compiler.fuse import Kernel
from tidu.compiler.graph import Graph
from tidu.compiler.lower import Buffer, HostCall, Operand, Product, Root, Stored
from tidu.compiler.pipeline import Lowered, Merged
from tidu.compiler.program import NativeCall, Plan, lifetimes
from tidu.ir.argument import ARGUMENTS
from tidu.ir.render import render_value
from tidu.ir.value import Value

_VARIABLES = "ijklmnpq"
# A longer part of an expression gets a line of its own.
_LONGEST = 56


@singledispatch
def render(form: Any) -> str:
    """The text of what a pass has made."""
    raise TypeError(f"no text for {type(form).__name__}")


# Graphs -------------------------------------------------------------------------------------------


@render.register
def render_graph(graph: Graph) -> str:
    """Leaves, constants, operations and what is returned, one on each line."""
    names: dict[int, str] = {}
    lines = []
    for kind, values in (("in", graph.leaves), ("const", graph.constants)):
        for number, value in enumerate(values):
            names[id(value)] = f"%{kind}{number}"
            lines.append(render_value(value, names).removesuffix("()"))
    for number, value in enumerate(graph.values):
        names[id(value)] = f"%{number}"
        lines.append(_with_numbers(value, names))
    outputs = [
        f"({', '.join(names[id(x)] for x in output)})"
        if output.__class__ is tuple
        else names[id(output)]
        for output in graph.outputs
    ]
    return "\n".join([*lines, f"return {', '.join(outputs)}"])


def _with_numbers(value: Value, names: dict[int, str]) -> str:
    """`render_value`, with the names of Python numbers in the place of what they were once."""
    for x in value.inputs:
        if isinstance(x, ARGUMENTS):
            names[id(x)] = f"n{x.number}"
    inputs = tuple(_Name(names[id(x)]) if isinstance(x, ARGUMENTS) else x for x in value.inputs)
    shown = Value(value.op, inputs, value.attrs, value.shape, value.dtype, None)
    return render_value(shown, {**names, id(shown): names[id(value)]})


class _Name(str):
    """A word that stands for itself."""

    def __repr__(self) -> str:
        return str(self)


# Names --------------------------------------------------------------------------------------------


class Names:
    """What the buffers of a program are called."""

    def __init__(
        self,
        buffers: Sequence[Buffer],
        leaves: Iterable[int],
        constants: Iterable[int],
        results: Iterable[int],
    ) -> None:
        self.buffers = buffers
        self.of: dict[int, str] = {}
        for kind, numbers in (("in", leaves), ("const", constants), ("out", results)):
            for place, number in enumerate(n for n in numbers if n not in self.of):
                self.of[number] = f"{kind}{place}"
        rest = (b.number for b in buffers if b.number not in self.of)
        self.of.update((number, f"t{place}") for place, number in enumerate(rest))

    def __getitem__(self, number: int) -> str:
        return self.of[number]

    def typed(self, number: int) -> str:
        """``in0 f32[8, 4]``"""
        buffer = self.buffers[number]
        return f"{self[number]} {buffer.dtype.short}{list(buffer.shape)}"


def names_of(form: Lowered | Plan) -> Names:
    if isinstance(form, Plan):
        return Names(form.buffers, form.leaves, form.constants, form.results())
    steps = form.steps
    results: list[int] = []
    for output in steps.outputs:
        results += [b.number for b in (output if output.__class__ is tuple else (output,))]
    return Names(steps.buffers, [b.number for b in steps.leaves], steps.constants, results)


def _outputs(names: Names, outputs: Iterable[Any]) -> str:
    texts = []
    for output in outputs:
        several = output.__class__ is tuple
        numbers = output if several else (output,)
        text = ", ".join(names[b if isinstance(b, int) else b.number] for b in numbers)
        texts.append(f"({text})" if several else text)
    return f"return {', '.join(texts)}"


# Addresses ----------------------------------------------------------------------------------------

Terms = list[tuple[int, str]]  # factors, and what they are factors of


def variables(rank: int) -> list[str]:
    """The names of coordinates."""
    return [*_VARIABLES, *(f"d{n}" for n in range(len(_VARIABLES), rank))][:rank]


def affine(terms: Terms, offset: int) -> str:
    """``2i + j - 3``"""
    text = ""
    for factor, name in terms:
        shown = name if abs(factor) == 1 else f"{abs(factor)}{name}"
        sign = (" - " if factor < 0 else " + ") if text else ("-" if factor < 0 else "")
        text += sign + shown
    if offset or not text:
        text += (f" {'-' if offset < 0 else '+'} {abs(offset)}") if text else str(offset)
    return text


def _terms(layout: Layout, counters: Sequence[str]) -> Terms:
    return [(s, name) for s, name in zip(layout.strides, counters, strict=True) if s]


def element(
    name: str, buffer: Buffer, space: Shape, layout: Layout, indexed: Terms, guarded: bool
) -> str:
    """An element of a buffer: by its coordinates if each is an affine function of its own."""
    if not buffer.shape:
        return name
    counters = variables(len(space))
    found = _coordinates(buffer.shape, space, layout, counters, guarded or bool(indexed))
    if found is None:
        return f"{name}.flat[{affine([*_terms(layout, counters), *indexed], layout.offset)}]"
    strides = contiguous_strides(buffer.shape)
    for stride, text in indexed:
        place = next(d for d, s in enumerate(strides) if s == stride)
        terms, start = found[place]
        found[place] = ([*terms, (1, text)], start)
    return f"{name}[{', '.join(affine(terms, start) for terms, start in found)}]"


def _coordinates(
    shape: Shape, space: Shape, layout: Layout, counters: Sequence[str], trusted: bool
) -> list[tuple[Terms, int]] | None:
    """For each dimension the terms and the start of its coordinate; None if that cannot be said.

    A coordinate that leaves its dimension belongs to another way of counting, unless the access is
    `trusted` to be looked at before it is made.
    """
    strides = contiguous_strides(shape)
    found: list[tuple[Terms, int]] = []
    terms = list(zip(layout.strides, counters, space, strict=True))
    offset = layout.offset
    for n, stride in zip(shape, strides, strict=True):
        here = [t for t in terms if n > 1 and t[0] and abs(t[0]) >= stride and not t[0] % stride]
        terms = [t for t in terms if t not in here]
        start = round(offset / stride) if trusted and offset < 0 else offset // stride
        start = start if n > 1 else 0
        offset -= start * stride
        ends = [t[0] // stride * (t[2] - 1) for t in here]
        least = start + sum(min(e, 0) for e in ends)
        most = start + sum(max(e, 0) for e in ends)
        if not trusted and not 0 <= least <= most < n:
            return None
        found.append(([(t[0] // stride, t[1]) for t in here], start))
    return None if offset or any(t[0] for t in terms) else found


# Expressions --------------------------------------------------------------------------------------


class _Printer:
    """Expressions as lines; those that are used again, or long, are given names."""

    def __init__(self, names: Names, space: Shape, roots: Iterable[Root]) -> None:
        self.names = names
        self.space = space
        self.lines: list[str] = []
        self.known: dict[int, str] = {}
        self.uses = _uses(roots)
        self.count = 0

    def text(self, x: Expression, guarded: bool = False) -> str:
        known = self.known.get(x.number)
        if known is not None:
            return known
        text = self.fresh(x, guarded)
        if x.kind in (COMPUTE, GUARDED) and (self.uses[x.number] > 1 or len(text) > _LONGEST):
            name = self.known[x.number] = f"v{self.count}"
            self.count += 1
            self.lines.append(f"{name} = {text}")
            return name
        return text

    def fresh(self, x: Expression, guarded: bool) -> str:
        if x.kind == ARGUMENT:
            return f"n{x.what[0]}"
        if x.kind == CONSTANT:
            return "none" if x.what is None else repr(x.what)
        if x.kind == IOTA:
            return affine(_terms(x.what, variables(len(self.space))), x.what.offset)
        if x.kind == LOAD:
            buffer, layout, indices = x.what
            return self.place(buffer, layout, indices, x.inputs, guarded)
        if x.kind == GUARDED:
            return self.guarded(x)
        op, attrs = x.what
        inputs = [self.text(y, guarded) for y in x.inputs]
        return f"{op.name}({', '.join([*inputs, *map(_attribute, attrs)])})"

    def place(
        self,
        buffer: int,
        layout: Layout,
        indices: Sequence[Index],
        places: Sequence[Expression],
        guarded: bool = False,
    ) -> str:
        given = [(i.stride, self.text(p, guarded)) for i, p in zip(indices, places, strict=True)]
        whole = self.names.buffers[buffer]
        return element(self.names[buffer], whole, self.space, layout, given, guarded)

    def guarded(self, x: Expression) -> str:
        guards, fill = x.what
        counters = variables(len(self.space))
        conditions = [
            f"{g.low} <= {affine(_terms(g.layout, counters), g.layout.offset)} < {g.high}"
            for g in guards
        ]
        return f"({self.text(x.inputs[0], True)} where {' and '.join(conditions)} else {fill})"

    def root(self, root: Root) -> str:
        """What a root stores, and where."""
        value = self.text(root.expression)
        number = root.buffer.number
        if root.scatter is not None:
            scatter = root.scatter
            target = self.place(number, scatter.layout, scatter.indices, scatter.places)
        else:
            target = self.place(number, root.store, (), ())
        if root.reduction is not None:
            counters = variables(len(self.space))
            over = ", ".join(counters[d] for d in sorted(root.reduced))
            value = f"{root.reduction.name} over {over} of {value}"
        return f"{target} {'+=' if root.adds else '='} {value}"

    def take(self) -> list[str]:
        """The lines so far; what they named is known to the lines that follow."""
        lines, self.lines = self.lines, []
        return lines


def _attribute(x: Any) -> str:
    return x.short if isinstance(x, dtype) else repr(x)


def expressions(root: Root) -> Iterator[Expression]:
    """Every expression of a root, once."""
    stack = [root.expression, *(root.scatter.places if root.scatter is not None else ())]
    seen: set[int] = set()
    while stack:
        x = stack.pop()
        if x.number not in seen:
            seen.add(x.number)
            stack.extend(x.inputs)
            yield x


def _uses(roots: Iterable[Root]) -> dict[int, int]:
    """How many expressions and roots each expression is part of."""
    uses: dict[int, int] = {}
    seen: set[int] = set()
    for root in roots:
        places = root.scatter.places if root.scatter is not None else ()
        for top in (root.expression, *places):
            uses[top.number] = uses.get(top.number, 0) + 1
        for x in expressions(root):
            if x.number not in seen:
                seen.add(x.number)
                for y in x.inputs:
                    uses[y.number] = uses.get(y.number, 0) + 1
    return uses


# Steps --------------------------------------------------------------------------------------------


@render.register
def render_lowered(lowered: Lowered) -> str:
    """Each step, with the space that it runs over."""
    names = names_of(lowered)
    lines = _declared(names, lowered)
    for step in lowered.steps.steps:
        lines += step_lines(step, names)
    return "\n".join([*lines, _outputs(names, lowered.steps.outputs)])


def _declared(names: Names, lowered: Lowered) -> list[str]:
    steps = lowered.steps
    given = [*(b.number for b in steps.leaves), *steps.constants]
    return [names.typed(number) for number in given]


@singledispatch
def step_lines(step: Any, names: Names) -> list[str]:
    """A step as text."""
    raise TypeError(f"no text for {type(step).__name__}")


@step_lines.register
def _root_lines(root: Root, names: Names) -> list[str]:
    printer = _Printer(names, root.space, [root])
    last = printer.root(root)
    return [f"{_space(root.space)}:", *(f"  {line}" for line in [*printer.take(), last])]


@step_lines.register
def _kernel_lines(kernel: Kernel, names: Names) -> list[str]:
    """A kernel before the order of its loops is known: its space and its roots."""
    printer = _Printer(names, kernel.space, kernel.roots)
    lines = []
    for root in kernel.roots:
        last = printer.root(root)
        lines += [*printer.take(), last]
    return [f"{_space(kernel.space)}:", *(f"  {line}" for line in lines)]


@step_lines.register
def _product_lines(product: Product, names: Names) -> list[str]:
    m, n, k = product.m, product.n, product.k
    a = _operand(names, product.a, m, k)
    b = _operand(names, product.b, k, n)
    c = _operand(names, product.c, m, n)
    lines = [f"product: {c} = {a} @ {b}"]
    if product.batch:
        steps = [",".join(map(str, x.batch)) for x in (product.c, product.a, product.b)]
        count = " x ".join(map(str, product.batch))
        lines.append(f"  {count} times, {' and '.join(steps)} elements further each time")
    return lines


def _operand(names: Names, x: Operand, rows: int, columns: int) -> str:
    """``in0 (64 x 128)``; the distance of rows where it is not the usual one."""
    text = names[x.buffer.number]
    if x.offset:
        text += f".flat[{x.offset}:]"
    stored = (columns, rows) if x.transposed else (rows, columns)
    shape = f"{stored[0]} x {stored[1]}"
    if x.leading != stored[1]:
        shape += f", rows {x.leading} apart"
    return f"{text} ({shape}){'.T' if x.transposed else ''}"


@step_lines.register
def _host_lines(call: HostCall, names: Names) -> list[str]:
    op = call.value.op
    assert op is not None
    given = [_host_input(x, names) for x in call.inputs]
    pairs = zip(op.attr_names, call.value.attrs, strict=False)
    given += [f"{name}={_attribute(attribute)}" for name, attribute in pairs]
    results = ", ".join(names[b.number] for b in call.results)
    return [f"host: {results} = {op.name}({', '.join(given)})"]


def _host_input(x: Any, names: Names) -> str:
    if x.__class__ is tuple:
        return f"({', '.join(_host_input(y, names) for y in x)})"
    if isinstance(x, Stored):
        text = names[x.buffer.number]
        return text if x.shape == x.buffer.shape else f"{text} as {list(x.shape)}"
    return f"n{x.number}" if isinstance(x, ARGUMENTS) else repr(x)


def _space(space: Shape) -> str:
    if not space:
        return "once"
    counters = variables(len(space))
    return "for " + ", ".join(f"{c} in {n}" for c, n in zip(counters, space, strict=True))


def why_on_host(call: HostCall) -> str:
    """Why an operation is done by its NumPy function."""
    value, op = call.value, call.value.op
    assert op is not None
    shapes = value.shape if value.dtype.__class__ is tuple else (value.shape,)
    buffers = [x.buffer for x in call.inputs if isinstance(x, Stored)]
    if any(0 in shape for shape in shapes) or any(0 in b.shape for b in buffers):
        return "there is nothing to compute: a size is 0"
    if op.host:
        return "it is a NumPy function in every tier"
    if value.dtype.__class__ is tuple:
        return "it has several results"
    if op.kind == "contraction":
        return "matrix products are compiled for floating-point numbers"
    if op.raises:
        return "some integers are an error"
    return f"there are no loops for its kind ('{op.kind}') with these arguments"


# Kernels ------------------------------------------------------------------------------------------


@render.register
def render_merged(merged: Merged) -> str:
    """What each kernel runs over and stores."""
    names = names_of(merged.lowered)
    lines = []
    for number, step in enumerate(merged.order):
        first, *rest = step_lines(step, names)
        lines += [f"{number}  {first}", *(f"   {line}" for line in rest)]
    return "\n".join(lines)


def loop_nest(call: NativeCall, names: Names) -> list[str]:
    """The loops of a kernel in the order in which they are run: pass after pass over what is
    reduced, with all that is kept fixed. What has no place in memory is in registers.
    """
    assert call.nest is not None and call.loops is not None
    return _Nest(call.nest, call.loops, call.writes, names).lines()


class _Nest:
    def __init__(self, kernel: Kernel, loops: Loops, stored: frozenset[int], names: Names) -> None:
        self.kernel = kernel
        self.loops = loops
        self.stored = stored
        self.names = names
        self.roots = {root.buffer.number: root for root in kernel.roots}
        self.stages: dict[int, int] = {}

    def lines(self) -> list[str]:
        lines = [f"{'  ' * depth}{self.loop(d)}" for depth, d in enumerate(self.loops.outer)]
        depth = len(self.loops.outer)
        last = max(self.stage(root.expression) for root in self.kernel.roots)
        for stage in range(last + 1):
            here = [r for r in self.kernel.roots if self.stage(r.expression) == stage]
            kept = [r for r in here if self.is_kept(r)]
            lines += self.body(kept, depth)
            full = [r for r in here if not self.is_kept(r)]
            if full:
                for inner, d in enumerate(self.loops.inner):
                    lines.append(f"{'  ' * (depth + inner)}{self.loop(d)}")
                lines += self.body(full, depth + len(self.loops.inner))
        return lines

    def loop(self, d: int) -> str:
        loops, n = self.loops, self.kernel.space[d]
        text = f"for {variables(len(self.kernel.space))[d]} in {n}"
        notes = []
        if d == loops.vector and loops.lanes > 1:
            notes.append(f"{loops.lanes} lanes")
        if d == loops.divided and loops.units > 1:
            notes.append(f"{loops.units} units of {loops.chunk}")
        return f"{text}  # {', '.join(notes)}" if notes else text

    def body(self, roots: list[Root], depth: int) -> list[str]:
        printer = _Printer(self.names, self.kernel.space, roots)
        lines = []
        for root in roots:
            text = printer.root(root)
            lines += printer.take()
            in_memory = root.buffer.number in self.stored
            lines.append(text if in_memory else f"{text}  # in registers")
        return [f"{'  ' * depth}{line}" for line in lines]

    def is_kept(self, root: Root) -> bool:
        """Whether a root is complete once for each iteration over what is kept."""
        inner = self.loops.inner
        return (
            bool(inner) and root.reduction is None and not any(root.store.strides[d] for d in inner)
        )

    def stage(self, x: Expression) -> int:
        """How many reductions of the kernel have to be complete before `x` is known."""
        found = self.stages.get(x.number)
        if found is None:
            found = max((self.stage(y) for y in x.inputs), default=0)
            root = self.roots.get(x.what[0]) if x.kind == LOAD else None
            if root is not None and root.scatter is None and not root.after:
                found = self.stage(root.expression) + (root.reduction is not None)
            self.stages[x.number] = found
        return found


# Programs -----------------------------------------------------------------------------------------


@render.register
def render_plan(plan: Plan) -> str:
    """Memory, and then the calls in order."""
    names = names_of(plan)
    lines = [*_memory(plan, names)]
    for number, call in enumerate(plan.calls):
        if isinstance(call, NativeCall) and call.barrier:
            lines.append("barrier")
        first, *rest = call_lines(call, names)
        lines += [f"{number}  {first}", *(f"   {line}" for line in rest)]
    return "\n".join([*lines, _outputs(names, plan.outputs)])


def _memory(plan: Plan, names: Names) -> Iterator[str]:
    for number in dict.fromkeys([*plan.leaves, *plan.constants, *plan.results()]):
        yield names.typed(number)
    lives = lifetimes(plan)
    for number in sorted(plan.offsets, key=lambda n: (plan.offsets[n], lives[n])):
        first, last = lives[number]
        when = f"call {first}" if first == last else f"calls {first} to {last}"
        yield f"{names.typed(number)} at byte {plan.offsets[number]}, {when}"
    yield f"arena of {plan.arena} bytes"


def call_lines(call: NativeCall | HostCall, names: Names) -> list[str]:
    """What one call of a program does."""
    if isinstance(call, HostCall):
        return [*step_lines(call, names), f"  because {why_on_host(call)}"]
    units = f"{call.units} unit{'s' if call.units > 1 else ''}"
    if isinstance(call.what, Kernel):
        return [f"kernel, {units}", *(f"  {line}" for line in loop_nest(call, names))]
    first, *rest = step_lines(call.what, names)
    return [f"{first}, {units}", *rest]


# Where it comes from ------------------------------------------------------------------------------


def source_lines(step: Kernel | Product | HostCall) -> list[str]:
    """The lines of the user's files that a step was made for, in the order of its operations."""
    found: dict[str, None] = {}
    for position in _positions(step):
        text = describe(position)
        if text:
            found[text] = None
    return list(found)


def _positions(step: Kernel | Product | HostCall) -> Iterator[Any]:
    if not isinstance(step, Kernel):
        if step.value is not None:
            yield step.value.position
        return
    for root in step.roots:
        for x in sorted(expressions(root), key=attrgetter("number")):
            if x.kind == COMPUTE:
                yield x.position
        if root.value is not None:
            yield root.value.position
