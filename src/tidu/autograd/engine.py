"""The backward pass: a loop over the tape, latest node first, never a recursion."""

from __future__ import annotations

import heapq
import sys
import threading
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from tidu.autograd.anomaly import Anomaly, run_checked
from tidu.autograd.tape import AccumulateGrad, Edge, GradFn, Tape, Watchers
from tidu.base.shapes import Shape
from tidu.base.source import at
from tidu.base.state import state
from tidu.execute import head_start
from tidu.ir.value import Value
from tidu.ops.cast import cast
from tidu.ops.elementwise import add, positive
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.reduce import sum_

_accumulating = threading.Lock()  # backward passes in several threads may reach one leaf

# What has arrived at nodes that have not run yet: a cotangent for each result of a node.
Arrived = dict[GradFn, list[Any]]


def _baseline() -> int:
    """What sys.getrefcount says of a node that one tuple of edges and a loop over it refer to."""
    (count,) = [sys.getrefcount(node) for node in (object(),)]
    return count


_BY_ONE_EDGE = _baseline()


class Running:
    """One backward pass, for hooks that have to know in which they are."""

    __slots__ = ("_reached", "_starts", "_wanted", "notes")

    def __init__(self, starts: Sequence[GradFn], wanted: set[GradFn] | None) -> None:
        self._starts = starts
        self._wanted = wanted
        self._reached: set[GradFn] | None = None
        self.notes: dict[Any, Any] = {}

    @property
    def selective(self) -> bool:
        """Whether only some tensors get a gradient: autograd.grad(), backward() with `inputs`."""
        return self._wanted is not None

    def reaches(self, node: GradFn) -> bool:
        """Whether the pass comes by this node."""
        if self._wanted is not None:
            return node in self._wanted
        if self._reached is None:
            self._reached = _reachable(self._starts)
        return node in self._reached


def run_backward(
    roots: Sequence[tuple[Edge, Any]],
    *,
    wanted: Sequence[Edge] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
    accumulate: bool = True,
) -> list[Any]:
    """Send cotangents from the roots along the tape.

    roots       edges to start from, each with its cotangent (a Value, or a Tensor with
                `create_graph`)
    wanted      edges at which to capture what arrives; only the part of the tape that leads to them
                runs. None runs all of it.
    accumulate  add to the `.grad` of the leaves reached (of those in `wanted`, if given)

    At each node, in this order: hooks of its tensors, retain_grad(), hooks before the node, its
    derivative, hooks after it. What is captured at the end of the way has been through the hooks of
    its tensors; what is captured in passing has not, as in PyTorch.

    Returns the captured cotangents, None where nothing arrived. Cost is linear in the number of
    nodes and edges.
    """
    head_start(roots)  # the forward pass is run while the backward pass is recorded
    starts = [node for (node, _), _ in roots]
    captured: dict[tuple[int, int], Any] = {}
    needed: set[GradFn] | None = None
    waiting = _count_edges(starts)
    if wanted is not None:
        captured = {(id(node), output): None for node, output in wanted}
        needed = _leading_to(starts, {node for node, _ in wanted})

    arrived: Arrived = {}
    for (node, output), g in roots:
        _deliver(arrived, node, output, g)
    # Latest node first, as in PyTorch; a heap because several can be ready at once. While the tape
    # is a chain, the next node needs none.
    ready: list[tuple[int, int, GradFn]] = []
    only: GradFn | None = None
    if len(starts) == 1:
        only = starts[0]
    else:
        ready = [(-n.number, id(n), n) for n in dict.fromkeys(starts) if not waiting[n]]
        heapq.heapify(ready)
    own = state.own
    outer = own.position, own.grad_enabled, own.running
    own.grad_enabled, own.running = create_graph, Running(starts, needed)
    checked = Anomaly.enabled

    def reach(leaf: Any) -> None:
        cotangents = arrived.pop(leaf, None)
        if cotangents is not None:
            if leaf.watchers is None and needed is None and accumulate:
                accumulate_grad(leaf, cotangents[0], create_graph)
                return
            if leaf.watchers is not None:
                _run_tensor_hooks(leaf, leaf.watchers, cotangents, create_graph)
            if captured:
                _capture(captured, leaf, cotangents)
            if accumulate and (needed is None or (id(leaf), 0) in captured):
                _reach_leaf(leaf, cotangents, create_graph)

    leaves: list[GradFn] = []
    try:
        while ready or only is not None:
            if only is None:
                node = heapq.heappop(ready)[2]
            else:
                node, only = only, None
            if node.__class__ is AccumulateGrad:  # a leaf that is itself a root
                reach(node)
                continue
            cotangents = arrived.pop(node, None)
            results: Sequence[Any] | None = None
            if cotangents is not None:
                runs = needed is None or _has_needed(node, needed)
                watchers = node.watchers
                if captured and runs:
                    _capture(captured, node, cotangents)
                if watchers is not None:
                    _run_tensor_hooks(node, watchers, cotangents, create_graph)
                if captured and not runs:
                    _capture(captured, node, cotangents)
                if runs:
                    if watchers is not None and watchers.before:
                        cotangents = _run_node_pre_hooks(node, watchers, cotangents, create_graph)
                    own.position = node.position
                    if checked:
                        results = run_checked(node, cotangents, create_graph)
                    else:
                        results = node.backward(cotangents, create_graph)
                    if watchers is not None and watchers.after:
                        results = _run_node_hooks(node, watchers, results, cotangents, create_graph)
                    if not retain_graph:
                        node.release()
            for target, output, g in zip(
                node.nodes, node.places, repeat(None) if results is None else results
            ):
                if target is None:
                    continue
                if g is not None and (needed is None or target in needed):
                    if (
                        g.shape == target.shape
                        and g.dtype is target.dtype
                        and target not in arrived
                    ):
                        arrived[target] = [g]  # what `_deliver` does, where there is little to do
                    else:
                        _deliver(arrived, target, output, g)
                left = waiting.get(target, 1)
                if left > 1:
                    waiting[target] = left - 1
                    continue
                if target.__class__ is AccumulateGrad:
                    leaves.append(target)
                elif only is None and not ready:
                    only = target
                else:
                    for following in (target,) if only is None else (target, only):
                        heapq.heappush(ready, (-following.number, id(following), following))
                    only = None
            # Leaves accumulate as soon as everything has arrived.
            for leaf in leaves:
                reach(leaf)
            leaves.clear()
    finally:
        own.position, own.grad_enabled, own.running = outer
    if wanted is None:
        return []
    return [captured[id(node), output] for node, output in wanted]


def _count_edges(starts: Sequence[GradFn]) -> dict[GradFn, int]:
    """For each node reachable from the starts, how many edges lead to it. Those are left out to
    which nothing refers but the edge by which they are found: most nodes of a long chain.
    """
    counts = dict.fromkeys(starts, 0)
    stack = [*counts]
    references = sys.getrefcount
    while stack:
        for target in stack.pop().nodes:
            if target is None:
                continue
            if references(target) > _BY_ONE_EDGE:
                count = counts.get(target)
                counts[target] = 1 if count is None else count + 1
                if count is not None:
                    continue
            if target.nodes:
                stack.append(target)
    return counts


def _reachable(starts: Sequence[GradFn]) -> set[GradFn]:
    reached = set(starts)
    stack = [*reached]
    while stack:
        for target in stack.pop().nodes:
            if target is not None and target not in reached:
                reached.add(target)
                stack.append(target)
    return reached


def _leading_to(starts: Sequence[GradFn], targets: set[GradFn]) -> set[GradFn]:
    """The nodes from which some target can be reached, targets included."""
    needed: set[GradFn] = set()
    visited: set[GradFn] = set()
    stack: list[tuple[GradFn, bool]] = [(node, False) for node in starts]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            if node in targets or _has_needed(node, needed):
                needed.add(node)
            continue
        if node in visited:
            continue
        visited.add(node)
        stack.append((node, True))
        stack.extend((target, False) for target in node.nodes if target is not None)
    return needed


def _has_needed(node: GradFn, needed: set[GradFn]) -> bool:
    return any(target in needed for target in node.nodes)


def _capture(captured: dict[tuple[int, int], Any], node: GradFn, cotangents: list[Any]) -> None:
    for output, g in enumerate(cotangents):
        if (id(node), output) in captured:
            captured[id(node), output] = g


def _deliver(arrived: Arrived, node: GradFn, output: int, g: Any) -> None:
    """Add a cotangent to what has arrived at one result of a node."""
    if g.shape != node.shape or g.dtype is not node.dtype:
        g = _fitted(g, node, output)
    cotangents = arrived.get(node)
    if cotangents is None:
        cotangents = arrived[node] = [None] * node.outputs
    before = cotangents[output]
    if before is None:
        cotangents[output] = g
    else:
        cotangents[output] = add.value((before, g)) if g.__class__ is Value else add(before, g)


def _fitted(g: Any, node: GradFn, output: int) -> Any:
    """A cotangent summed over what was broadcast, in the dtype of the result it belongs to."""
    if node.outputs == 1:
        shape, d = node.shape, node.dtype
    else:
        shape, d = node.spec(output)
    if g.shape != shape:
        g = sum_to(g, shape)
    return g if g.dtype is d else cast(g, d)


def sum_to(g: Any, shape: Shape) -> Any:
    """Sum over the dimensions along which something of `shape` was repeated."""
    have = g.shape
    extra = len(have) - len(shape)
    if have[extra:] == shape:
        dims = tuple(range(extra))
    else:
        dims = tuple(
            [i for i, n in enumerate(have) if i < extra or (shape[i - extra] == 1 and n != 1)]
        )
    if dims:
        g = sum_.value((g,), (dims, False)) if g.__class__ is Value else sum_(g, dims, False)
    return g if g.shape == shape else reshape(g, shape)


def _reach_leaf(node: AccumulateGrad, cotangents: list[Any], create_graph: bool) -> None:
    """A whole gradient has arrived at a leaf: add it, and run the hooks of the leaf's node."""
    watchers = node.watchers
    if watchers is None:
        accumulate_grad(node, cotangents[0], create_graph)
        return
    if watchers.before:
        cotangents = _run_node_pre_hooks(node, watchers, cotangents, create_graph)
    if cotangents[0] is not None:
        accumulate_grad(node, cotangents[0], create_graph)
    if watchers.after:
        _run_node_hooks(node, watchers, (), cotangents, create_graph)


def accumulate_grad(node: AccumulateGrad, g: Any, create_graph: bool) -> None:
    """Add to the gradient of a leaf: the first becomes it, later ones are added in place."""
    leaf = node.reference()
    if leaf is None:
        return
    with _accumulating:
        before = leaf._grad
        if before is None:
            # A tensor of its own also with create_graph, where another leaf may get the same
            # gradient.
            leaf._grad = positive.named("CopyBackwards", g) if create_graph else Tape.fresh(g)
        elif create_graph:
            leaf._grad = before + g
        else:
            before.accumulate_(g)
    if node.post_hooks:
        state.own.position = None
        for hook in list(node.post_hooks.values()):
            hook(leaf)


# Hooks are code of the user's: what they compute, and what goes wrong there, carries their own
# lines.


def _as_tensor(g: Any) -> Any:
    return Tape.wrap(g, None) if g.__class__ is Value else g


def _as_value(g: Any, create_graph: bool) -> Any:
    return g if g is None or create_graph else Tape.value_of(g)


def _run_tensor_hooks(
    node: GradFn, watchers: Watchers, cotangents: list[Any], create_graph: bool
) -> None:
    """Hooks on tensors: each sees the whole gradient of its tensor and may replace it.

    After them it is kept for the tensors that asked for it with retain_grad().
    """
    state.own.position = None
    for output, hooks in watchers.tensors.items():
        if cotangents[output] is None:
            continue
        g = _as_tensor(cotangents[output])
        for hook in list(hooks.values()):
            g = _replacement(node, hook, g, hook(g))
        cotangents[output] = _as_value(g, create_graph)
    for output, reference in watchers.retained.items():
        tensor = reference()
        if tensor is not None and cotangents[output] is not None:
            g = _as_tensor(cotangents[output])
            tensor._grad = g if tensor._grad is None else tensor._grad + g


def _replacement(node: GradFn, hook: Any, g: Any, answer: Any) -> Any:
    """What a hook made of a gradient: another one like it, or the same if it returned None."""
    if answer is None:
        return g
    name = _name_of(hook)
    if not isinstance(answer, Tape.tensor):
        raise TypeError(
            f"expected Variable, but hook returned '{type(answer).__name__}': hook '{name}' must "
            f"return a tensor or None{at(node.position)}"
        )
    if g is None:
        return answer
    if tuple(answer.shape) != tuple(g.shape):
        raise RuntimeError(
            f"hook '{name}' has changed the size of value: the gradient has shape "
            f"{list(g.shape)}, the hook returned {list(answer.shape)}{at(node.position)}"
        )
    if answer.dtype is not g.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value: the gradient is {g.dtype}, the hook "
            f"returned {answer.dtype}{at(node.position)}"
        )
    return answer


def _name_of(hook: Any) -> str:
    name: str = getattr(hook, "__name__", type(hook).__name__)
    return name


def _run_node_pre_hooks(
    node: GradFn, watchers: Watchers, cotangents: list[Any], create_graph: bool
) -> list[Any]:
    """Hooks before a node: each sees the cotangents of its results and may replace them."""
    state.own.position = None
    grads = tuple(map(_as_tensor, cotangents))
    for hook in list(watchers.before.values()):
        grads = _replacements(node, hook, grads, hook(grads))
    return [_as_value(g, create_graph) for g in grads]


def _run_node_hooks(
    node: GradFn,
    watchers: Watchers,
    results: Sequence[Any],
    cotangents: list[Any],
    create_graph: bool,
) -> Sequence[Any]:
    """Hooks after a node: each sees both sides' cotangents and may replace those of the inputs."""
    fitted = (
        None if g is None or edge is None else _fitted(g, *edge)
        for g, edge in zip(results, node.edges, strict=False)
    )
    grad_inputs = tuple(map(_as_tensor, fitted))
    grad_outputs = tuple(map(_as_tensor, cotangents))
    state.own.position = None
    for hook in list(watchers.after.values()):
        grad_inputs = _replacements(node, hook, grad_inputs, hook(grad_inputs, grad_outputs))
    return [_as_value(g, create_graph) for g in grad_inputs]


def _replacements(node: GradFn, hook: Any, grads: tuple[Any, ...], answer: Any) -> tuple[Any, ...]:
    if answer is None:
        return grads
    answers: tuple[Any, ...] = answer if isinstance(answer, tuple) else (answer,)
    if len(answers) != len(grads):
        raise RuntimeError(
            f"hook '{_name_of(hook)}' has returned an incorrect number of values (got "
            f"{len(answers)}, but expected {len(grads)}): it is a hook of "
            f"{node.name()}{at(node.position)}"
        )
    # Here, and not for hooks of tensors, None takes a gradient away.
    return tuple(
        None if a is None else _replacement(node, hook, g, a)
        for g, a in zip(grads, answers, strict=True)
    )


__all__ = ["Edge", "run_backward", "sum_to"]
