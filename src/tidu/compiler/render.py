"""The forms of a program as text: for people, for logs, and for tests that compare it.

The text is a function of the form alone; `tidu.compiler.notation` says how to read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import singledispatch
from typing import Any

from tidu.base.shapes import Shape
from tidu.compiler.fuse import Kernel
from tidu.compiler.graph import Graph
from tidu.compiler.loops import Loops
from tidu.compiler.notation import Names, Printer, attribute_text, variables
from tidu.compiler.pipeline import Lowered, Merged
from tidu.compiler.places import lifetimes
from tidu.compiler.program import NativeCall, Plan
from tidu.compiler.stages import Stages
from tidu.compiler.steps import Correlate, HostCall, Operand, Product, Root, Stored
from tidu.ir.argument import ARGUMENTS
from tidu.ir.render import render_value
from tidu.ir.value import Value


@singledispatch
def render(form: Any) -> str:
    """The text of what a pass has made."""
    raise TypeError(f"no text for {type(form).__name__}")


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


def names_of(form: Lowered | Plan) -> Names:
    """The names of the buffers of a form: in0, t0, out0 and so on."""
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
    printer = Printer(names, root.space, [root])
    last = printer.root(root)
    return [f"{_space(root.space)}:", *(f"  {line}" for line in [*printer.take(), last])]


@step_lines.register
def _kernel_lines(kernel: Kernel, names: Names) -> list[str]:
    """A kernel before the order of its loops is known: its space and its roots."""
    printer = Printer(names, kernel.space, kernel.roots)
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
def _correlate_lines(step: Correlate, names: Names) -> list[str]:
    """A convolution; what its result stands for is said by the load that reads it."""
    given = ", ".join(names[b.number] for b in step.reads)
    return [
        f"correlate: {names[step.written.number]} = {step.kernel}({given})",
        f"  {step.params.description}",
    ]


@step_lines.register
def _host_lines(call: HostCall, names: Names) -> list[str]:
    op = call.value.op
    assert op is not None
    given = [_host_input(x, names) for x in call.inputs]
    pairs = zip(op.attr_names, call.value.attrs, strict=False)
    given += [f"{name}={attribute_text(attribute)}" for name, attribute in pairs]
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
    several = op.outputs > 1
    shapes: Any = value.shape if several else (value.shape,)
    buffers = [x.buffer for x in call.inputs if isinstance(x, Stored)]
    if any(0 in shape for shape in shapes) or any(0 in b.shape for b in buffers):
        return "there is nothing to compute: a size is 0"
    if op.kind == "host":
        return "it is a NumPy function in every tier"
    if several:
        return "it has several results"
    if op.kind == "contraction":
        return "matrix products are compiled for floating-point numbers"
    if op.raises:
        return "some integers are an error"
    if op.kind == "reduction":
        return "it is a reduction that no single number can carry from element to element"
    return f"there are no loops for its kind ('{op.kind}') with these arguments"


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
        self.stages = Stages(kernel, loops)

    def lines(self) -> list[str]:
        lines = [f"{'  ' * depth}{self.loop(d)}" for depth, d in enumerate(self.loops.outer)]
        depth = len(self.loops.outer)
        for stage in range(self.stages.last + 1):
            here = [r for r in self.kernel.roots if self.stages.of(r) == stage]
            kept = [r for r in here if self.stages.is_kept(r)]
            lines += self.body(kept, depth)
            full = [r for r in here if not self.stages.is_kept(r)]
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
        printer = Printer(self.names, self.kernel.space, roots)
        lines = []
        for root in roots:
            text = printer.root(root)
            lines += printer.take()
            in_memory = root.buffer.number in self.stored
            lines.append(text if in_memory else f"{text}  # in registers")
        return [f"{'  ' * depth}{line}" for line in lines]


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
        over = " or ".join(names[leaf] for leaf in sorted(plan.over.get(number, ())))
        yield f"{names.typed(number)}{over and f', perhaps over {over}'}"
    lives = lifetimes(plan)
    for number in sorted(plan.offsets, key=lambda n: (plan.offsets[n], lives[n])):
        first, last, *_ = lives[number]
        when = f"call {first}" if first == last else f"calls {first} to {last}"
        yield f"{names.typed(number)} at byte {plan.offsets[number]}, {when}"
    yield f"arena of {plan.arena} bytes"


def call_lines(call: NativeCall | HostCall, names: Names) -> list[str]:
    """What one call of a program does."""
    if isinstance(call, HostCall):
        return [*step_lines(call, names), f"  because {why_on_host(call)}"]
    units = f"{call.units} unit{'s' if call.units > 1 else ''}"
    if call.track:
        units += f" on track {call.track}"
    if isinstance(call.what, Kernel):
        return [f"kernel, {units}", *(f"  {line}" for line in loop_nest(call, names))]
    first, *rest = step_lines(call.what, names)
    return [f"{first}, {units}", *rest]
