"""The backward pass: a loop over the tape, latest node first, never a recursion."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any

from tidu.autograd.tape import AccumulateGrad, Edge, GradFn, Tape
from tidu.base.shapes import Shape
from tidu.base.source import at
from tidu.base.state import state
from tidu.ir.value import Value
from tidu.ops.cast import cast
from tidu.ops.elementwise import add
from tidu.ops.movement import reshape
from tidu.ops.reduce import sum_


_FIRST = -(1 << 62)  # leaves accumulate as soon as everything has arrived


def run_backward(
    roots: Sequence[tuple[Edge, Any]],
    *,
    wanted: Sequence[Edge] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    accumulate: bool = True,
) -> list[Any]:
    """Send cotangents from the roots along the tape.

    roots       edges to start from, each with its cotangent (a Value, or a Tensor with `create_graph`)
    wanted      edges at which to capture what arrives; only the part of the tape that leads to them runs.
                None runs all of it.
    accumulate  add to the `.grad` of the leaves reached (of those in `wanted`, if given)

    Returns the captured cotangents, None where nothing arrived. Cost is linear in the number of nodes and edges.
    """
    starts = [node for (node, _), _ in roots]
    captured: dict[tuple[int, int], Any] = {}
    needed: set[int] | None = None
    waiting = _count_dependencies(starts)
    if wanted is not None:
        captured = {(id(node), output): None for node, output in wanted}
        needed = _leading_to(starts, {id(node) for node, _ in wanted})

    arrived: dict[int, list[Any]] = {}
    for (node, output), g in roots:
        _deliver(arrived, node, output, g)
    # Latest node first, as in PyTorch; a heap because several can be ready at once.
    ready = [(-node.number, id(node), node) for node in {id(n): n for n in starts}.values() if not waiting[id(node)]]
    heapq.heapify(ready)
    outer_position, outer_mode = state.position, state.grad_enabled
    state.grad_enabled = create_graph
    try:
        while ready:
            node = heapq.heappop(ready)[2]
            cotangents = arrived.pop(id(node), None)
            if node.pre_hooks is not None and cotangents is not None:
                _run_pre_hooks(node, cotangents, create_graph)
            if captured:
                for output in range(node.outputs if cotangents is None else len(cotangents)):
                    if (id(node), output) in captured and cotangents is not None:
                        captured[id(node), output] = cotangents[output]
            if node.retained is not None and cotangents is not None:
                _retain(node, cotangents)
            if node.__class__ is AccumulateGrad:
                if accumulate and cotangents is not None and (needed is None or (id(node), 0) in captured):
                    accumulate_grad(node, cotangents[0], create_graph)  # type: ignore[arg-type]
                continue
            run = cotangents is not None and (needed is None or _has_needed(node, needed))
            results: Sequence[Any] = ()
            if run:
                state.position = node.position
                results = node.backward(cotangents, create_graph)  # type: ignore[arg-type]
                if node.hooks is not None:
                    results = _run_hooks(node, results, cotangents, create_graph)  # type: ignore[arg-type]
                if not retain_graph:
                    node.release()
            for i, edge in enumerate(node.edges):
                if edge is None:
                    continue
                target, output = edge
                if run:
                    g = results[i]
                    if g is not None and (needed is None or id(target) in needed):
                        _deliver(arrived, target, output, g)
                left = waiting[id(target)] - 1
                waiting[id(target)] = left
                if not left:
                    number = _FIRST if target.__class__ is AccumulateGrad else -target.number
                    heapq.heappush(ready, (number, id(target), target))
    finally:
        state.position, state.grad_enabled = outer_position, outer_mode
    if wanted is None:
        return []
    return [captured[id(node), output] for node, output in wanted]


def _count_dependencies(starts: Sequence[GradFn]) -> dict[int, int]:
    """How many edges lead to each node reachable from the starts."""
    waiting = dict.fromkeys(map(id, starts), 0)
    stack = list({id(n): n for n in starts}.values())
    while stack:
        for edge in stack.pop().edges:
            if edge is not None:
                target = edge[0]
                key = id(target)
                if key in waiting:
                    waiting[key] += 1
                else:
                    waiting[key] = 1
                    stack.append(target)
    return waiting


def _leading_to(starts: Sequence[GradFn], targets: set[int]) -> set[int]:
    """The nodes from which some target can be reached, targets included: children before parents, no recursion."""
    needed: set[int] = set()
    visited: set[int] = set()
    stack: list[tuple[GradFn, bool]] = [(node, False) for node in starts]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            if id(node) in targets or any(e is not None and id(e[0]) in needed for e in node.edges):
                needed.add(id(node))
            continue
        if id(node) in visited:
            continue
        visited.add(id(node))
        stack.append((node, True))
        stack.extend((edge[0], False) for edge in node.edges if edge is not None)
    return needed


def _has_needed(node: GradFn, needed: set[int]) -> bool:
    return any(edge is not None and id(edge[0]) in needed for edge in node.edges)


def _deliver(arrived: dict[int, list[Any]], node: GradFn, output: int, g: Any) -> None:
    """Add a cotangent to what has arrived at one result of a node, brought to its shape and dtype."""
    if node.outputs == 1:
        shape, d = node.shape, node.dtype
    else:
        shape, d = node.spec(output)
    if g.shape != shape:
        g = sum_to(g, shape)
    if g.dtype is not d:
        g = cast(g, d)
    slots = arrived.get(id(node))
    if slots is None:
        slots = arrived[id(node)] = [None] * node.outputs
    before = slots[output]
    slots[output] = g if before is None else add(before, g)


def sum_to(g: Any, shape: Shape) -> Any:
    """Sum over the dimensions along which something of `shape` was repeated."""
    extra = len(g.shape) - len(shape)
    dims = tuple(
        i for i, n in enumerate(g.shape) if i < extra or (shape[i - extra] == 1 and n != 1)
    )
    if dims:
        g = sum_(g, dims, False)
    return g if g.shape == shape else reshape(g, shape)


def accumulate_grad(node: AccumulateGrad, g: Any, create_graph: bool) -> None:
    """Add to the gradient of a leaf. The first one becomes its gradient, later ones are added in place."""
    leaf = node.variable
    if leaf is None:
        return
    before = leaf._grad
    if before is None:
        leaf._grad = g if create_graph else Tape.wrap(g, None)
    elif create_graph:
        leaf._grad = before + g
    else:
        before.accumulate_(g)
    if node.post_hooks:
        for hook in list(node.post_hooks.values()):
            hook(leaf)


def _as_tensor(g: Any) -> Any:
    return Tape.wrap(g, None) if g.__class__ is Value else g


def _from_hook(answer: Any, create_graph: bool) -> Any:
    return answer if create_graph else Tape.value_of(answer)


def _run_pre_hooks(node: GradFn, cotangents: list[Any], create_graph: bool) -> None:
    """Hooks on tensors: each sees the whole gradient of its tensor and may replace it."""
    assert node.pre_hooks is not None
    for output, hooks in node.pre_hooks:
        for hook in list(hooks.values()):
            if cotangents[output] is None:
                continue
            answer = hook(_as_tensor(cotangents[output]))
            if answer is not None:
                check_replacement(node, cotangents[output], answer)
                cotangents[output] = _from_hook(answer, create_graph)


def check_replacement(node: GradFn, g: Any, answer: Any) -> None:
    if tuple(answer.shape) != tuple(g.shape):
        raise RuntimeError(
            f"hook has changed the size of value: the gradient has shape {list(g.shape)}, the hook returned {list(answer.shape)}"
            f"{at(node.position)}"
        )


def _run_hooks(node: GradFn, results: Sequence[Any], cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
    assert node.hooks is not None
    for hook in list(node.hooks.values()):
        grad_inputs = tuple(None if r is None else _as_tensor(r) for r in results)
        grad_outputs = tuple(None if g is None else _as_tensor(g) for g in cotangents)
        answer = hook(grad_inputs, grad_outputs)
        if answer is not None:
            answer = answer if isinstance(answer, tuple) else (answer,)
            results = [None if a is None else _from_hook(a, create_graph) for a in answer]
    return results


def _retain(node: GradFn, cotangents: list[Any]) -> None:
    """Keep the gradient of tensors that asked for it with retain_grad()."""
    assert node.retained is not None
    for output, reference in node.retained.items():
        tensor = reference()
        if tensor is not None and cotangents[output] is not None:
            g = _as_tensor(cotangents[output])
            tensor._grad = g if tensor._grad is None else tensor._grad + g


__all__ = ["Edge", "run_backward", "sum_to"]
