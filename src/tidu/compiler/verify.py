"""What must hold of each form of a program, as a program: run after every pass in tests, and
wherever TIDU_VERIFY=1 is set.

The rules are written down from what the forms mean, not from how the passes make them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import singledispatch
from typing import Any

from tidu.base.shapes import Shape
from tidu.compiler.bounds import correlation_ends, outside
from tidu.compiler.expressions import ARGUMENT, COMPUTE, GUARDED, IOTA, LOAD, Expression
from tidu.compiler.fuse import Kernel
from tidu.compiler.graph import Graph
from tidu.compiler.layouts import Layout
from tidu.compiler.notation import Names, expressions
from tidu.compiler.pipeline import Lowered, Merged
from tidu.compiler.program import Plan
from tidu.compiler.render import names_of
from tidu.compiler.steps import Buffer, Correlate, HostCall, Operand, Product, Root, Steps
from tidu.compiler.verify_order import guarded_parts, marked, marks, order_complaints
from tidu.compiler.verify_plan import plan_complaints, stored
from tidu.ir.argument import NotConstantError
from tidu.ir.render import render_value
from tidu.ir.verify import value_complaints


class InvalidFormError(AssertionError):
    """A pass has made something that breaks a rule: a bug in tidu, never in a user's program."""


def verify_form(name: str, form: Any) -> None:
    """Raise InvalidFormError if what the pass of this name has made breaks a rule."""
    for complaint in complaints(form):
        raise InvalidFormError(f"after pass '{name}': {complaint}")


@singledispatch
def complaints(form: Any) -> Iterator[str]:
    """Everything that is wrong with a form."""
    raise TypeError(f"no rules for {type(form).__name__}")


@complaints.register
def _graph(graph: Graph) -> Iterator[str]:
    """Each operation stands after its inputs and has the type that its rule gives."""
    defined = {id(x) for x in (*graph.leaves, *graph.constants)}
    for leaf in graph.leaves:
        if leaf.op is not None or leaf.buffer is not None:
            yield f"a leaf has an operation or numbers: {render_value(leaf)}"
    for value in graph.values:
        try:
            for complaint in value_complaints(value, defined):
                yield f"{complaint}: {render_value(value)}"
        except NotConstantError:
            pass  # the rule asks for a number that is known when the program runs
        defined.add(id(value))
    for output in graph.outputs:
        for x in output if output.__class__ is tuple else (output,):
            if id(x) not in defined:
                yield f"an output is nowhere computed: {render_value(x)}"


@complaints.register
def _lowered(lowered: Lowered) -> Iterator[str]:
    """Each step by itself, and then in the order in which they run."""
    names = names_of(lowered)
    found = [*_buffers(lowered.steps)]
    for step in lowered.steps.steps:
        found += _step(step, lowered, names)
    yield from found or order_complaints(lowered.steps, lowered.steps.steps, names)


def _buffers(steps: Steps) -> Iterator[str]:
    for place, buffer in enumerate(steps.buffers):
        if buffer.number != place:
            yield f"buffer {buffer.number} stands at place {place}"
        if buffer.size != math.prod(buffer.shape):
            yield f"buffer {buffer.number} of shape {list(buffer.shape)} has size {buffer.size}"


@singledispatch
def _step(step: Any, lowered: Lowered, names: Names) -> Iterator[str]:
    """What is wrong with a step by itself."""
    raise TypeError(f"no rules for {type(step).__name__}")


@_step.register
def _root(root: Root, lowered: Lowered, names: Names) -> Iterator[str]:
    where = f"the root of {names[root.buffer.number]}"
    rank = len(root.space)
    layouts = [("the store", root.store)]
    if root.scatter is not None:
        layouts.append(("the scatter", root.scatter.layout))
    for x in expressions(root):
        layouts += [(x.kind, layout) for layout in _layouts(x)]
        if x.kind == ARGUMENT and not 0 <= x.what[0] < len(lowered.numbers):
            yield f"{where} uses n{x.what[0]} of {len(lowered.numbers)} numbers"
    for what, layout in layouts:
        if len(layout.strides) != rank:
            yield f"{where}: {what} has {len(layout.strides)} strides in {rank} dimensions"
            return
    if not root.reduced <= set(range(rank)):
        yield f"{where} is reduced over dimensions {sorted(root.reduced)} of {rank}"
        return
    if bool(root.reduced) != (root.reduction is not None):
        yield f"{where} has dimensions to reduce, or a reduction, but not both"
    yield from _loads(root, lowered.steps.buffers, where, names)
    yield from _store(root, where)


def _layouts(x: Expression) -> Iterator[Layout]:
    if x.kind == LOAD:
        yield x.what[1]
    elif x.kind == IOTA:
        yield x.what
    elif x.kind == GUARDED:
        for guard in x.what[0]:
            yield guard.layout


def _loads(root: Root, buffers: Sequence[Buffer], where: str, names: Names) -> Iterator[str]:
    """Every load stays inside its buffer where the guards around it hold."""
    for x, guards in guarded_parts(root):
        if x.kind == LOAD:
            number, layout, indices = x.what
            if len(indices) != len(x.inputs):
                yield f"{where}: {len(indices)} indices and {len(x.inputs)} expressions for them"
            if x.dtype is not buffers[number].dtype:
                yield f"{where} loads {x.dtype.short} from {names.typed(number)}"
            found = outside(root.space, layout, indices, guards, buffers[number].size)
            if found:
                yield f"{where} loads {names.typed(number)} {found}"
        if x.kind == COMPUTE and x.what[0].emit is None:
            yield f"{where} computes with '{x.what[0].name}', which has no scalar emission"


def _store(root: Root, where: str) -> Iterator[str]:
    """What is stored stays inside the buffer, and no two elements go to one place."""
    size = root.buffer.size
    if root.scatter is not None:
        scatter = root.scatter
        found = outside(root.space, scatter.layout, scatter.indices, (), size)
        if found:
            yield f"{where} scatters into {size} elements {found}"
        return
    found = outside(root.space, root.store, (), (), size)
    if found:
        yield f"{where} stores into {size} elements {found}"
    moving = [d for d in root.reduced if root.store.strides[d] and root.space[d] > 1]
    if moving:
        yield f"{where} stores its result elsewhere for each element of a reduced dimension"
    kept = [d for d in range(len(root.space)) if d not in root.reduced]
    if _meets(root, kept):
        yield f"{where} stores several elements in one place"


def _meets(root: Root, dims: Iterable[int]) -> bool:
    """Whether two elements along `dims` may be stored in one place."""
    steps = sorted((abs(root.store.strides[d]), root.space[d]) for d in dims if root.space[d] > 1)
    reach = 0
    for stride, n in steps:
        if stride <= reach:
            return True
        reach += stride * (n - 1)
    return False


@_step.register
def _product(product: Product, lowered: Lowered, names: Names) -> Iterator[str]:
    m, n, k = product.m, product.n, product.k
    for x, rows, columns in ((product.a, m, k), (product.b, k, n), (product.c, m, n)):
        where = f"the product into {names[product.c.buffer.number]}"
        name = names.typed(x.buffer.number)
        if x.transposed:
            rows, columns = columns, rows
        if x.leading < max(columns, 1):
            yield f"{where}: rows of {columns} elements of {name} are {x.leading} apart"
        if len(x.batch) != len(product.batch):
            yield f"{where}: {len(x.batch)} strides of {name} for {len(product.batch)} dimensions"
            continue
        low, high = _operand_ends(x, rows, columns, product.batch)
        if low < 0 or high >= x.buffer.size:
            yield f"{where} uses {name} at places {low} to {high}"
        if x.buffer.dtype is not product.dtype:
            yield f"{where} of {product.dtype.short} uses {name}"
    if product.c.transposed:
        yield f"{where} is stored by columns"


def _operand_ends(x: Operand, rows: int, columns: int, batch: Shape) -> tuple[int, int]:
    steps = [s * (n - 1) for s, n in zip(x.batch, batch, strict=True)]
    low = x.offset + sum(min(s, 0) for s in steps)
    high = x.offset + sum(max(s, 0) for s in steps)
    return low, high + (rows - 1) * x.leading + columns - 1


@_step.register
def _correlate(step: Correlate, lowered: Lowered, names: Names) -> Iterator[str]:
    """All places that the kernel touches are in the buffers that the step names."""
    buffers = {b.number: b for b in (*step.reads, step.written)}
    for number, low, high in correlation_ends(step.params):
        if number not in buffers:
            yield f"{step.kernel} uses {names[number]}, which its step does not name"
        elif low < 0 or high >= buffers[number].size:
            yield f"{step.kernel} uses {names.typed(number)} at places {low} to {high}"


@_step.register
def _host(call: HostCall, lowered: Lowered, names: Names) -> Iterator[str]:
    op = call.value.op
    assert op is not None
    for x in stored(call):
        if math.prod(x.shape) != x.buffer.size:
            name = names.typed(x.buffer.number)
            yield f"the host call '{op.name}' reads {name} as {list(x.shape)}"


@complaints.register
def _merged(merged: Merged) -> Iterator[str]:
    """Kernels keep the rules of their roots, run in an order that gives each what it reads, and
    use of their own results only what the same iteration makes.
    """
    lowered = merged.lowered
    names = names_of(lowered)
    found = [*_nothing_lost(merged, names)]
    for step in merged.order:
        found += _step(step, lowered, names)
    yield from found or order_complaints(lowered.steps, _single(merged.order), names)


def _single(steps: Iterable[Any]) -> Iterator[Any]:
    """Steps, with the roots of kernels one by one."""
    for step in steps:
        yield from step.roots if isinstance(step, Kernel) else (step,)


def _nothing_lost(merged: Merged, names: Names) -> Iterator[str]:
    def stored(steps: Iterable[Any]) -> list[int]:
        return sorted(s.buffer.number for s in _single(steps) if isinstance(s, Root))

    before, after = stored(merged.lowered.steps.steps), stored(merged.order)
    if before != after:
        numbers = sorted({n for n in {*before, *after} if before.count(n) != after.count(n)})
        yield f"roots lost or doubled: {', '.join(names[n] for n in numbers)}"


@_step.register
def _kernel(kernel: Kernel, lowered: Lowered, names: Names) -> Iterator[str]:
    done: dict[int, list[Root]] = {}
    for root in kernel.roots:
        where = f"the root of {names[root.buffer.number]}"
        if root.space != kernel.space:
            yield f"{where} runs over {list(root.space)} in a kernel over {list(kernel.space)}"
            return
        if root.reduced and root.reduced != kernel.reduced:
            yield f"{where} and its kernel are reduced over different dimensions"
        kept = _is_kept(root, kernel)
        yield from _kept(root, kernel, where) if kept else ()
        # To itself, a root that is kept runs over what the reductions keep, and no more.
        space = tuple(1 if kept and d in kernel.reduced else n for d, n in enumerate(root.space))
        yield from _root(replace(root, space=space), lowered, names)
        for x in expressions(root):
            others = done.get(x.what[0], []) if x.kind == LOAD else []
            if others and not _is_made(x, others, kernel.space):
                name = names[x.what[0]]
                yield f"{where} asks for another element of {name} than its iteration makes"
        done.setdefault(root.buffer.number, []).append(root)


def _is_made(load: Expression, others: list[Root], space: Shape) -> bool:
    """Whether a load asks for what one of the roots makes in the same iteration, or for elements
    that none of them makes.
    """
    _, layout, indices = load.what
    if indices:
        return False
    if any(layout == other.store for other in others):
        return True
    made = marks(others[0].buffer.size, ((other.store, space) for other in others))
    return not marked(made, (layout, space)).any()


def _is_kept(root: Root, kernel: Kernel) -> bool:
    """Whether a root has one element for each iteration over what the reductions keep."""
    return (
        bool(kernel.reduced)
        and root.reduction is None
        and not any(root.store.strides[d] for d in kernel.reduced)
    )


def _kept(root: Root, kernel: Kernel, where: str) -> Iterator[str]:
    for x in expressions(root):
        if any(layout.strides[d] for layout in _layouts(x) for d in kernel.reduced):
            yield f"{where} is stored once, but changes along a reduced dimension"
            return


complaints.register(Plan)(plan_complaints)
