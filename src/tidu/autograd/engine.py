"""The backward pass: a loop over the tape, latest node first, never a recursion."""

from __future__ import annotations

import heapq
import sys
from collections.abc import Sequence
from itertools import repeat
from typing import Any

from tidu.autograd.anomaly import Anomaly, run_checked
from tidu.autograd.cotangents import fitted, sum_to
from tidu.autograd.hook_calls import run_node_hooks, run_node_pre_hooks, run_tensor_hooks
from tidu.autograd.tape import AccumulateGrad, Edge, GradFn, Tape
from tidu.base.locks import new_lock
from tidu.base.state import state
from tidu.execute import head_start
from tidu.ir.value import Value
from tidu.ops.elementwise import add, positive

_accumulating = new_lock()  # backward passes in several threads may reach one leaf

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
    waiting = _count_edges(starts)
    going = _Pass(starts, wanted, retain_graph, create_graph, accumulate)
    for (node, output), g in roots:
        _deliver(going.arrived, node, output, g)
    own = state.own
    outer = own.position, own.grad_enabled, own.running
    own.grad_enabled, own.running = create_graph, Running(starts, going.needed)
    try:
        _walk(going, starts, waiting)
    finally:
        own.position, own.grad_enabled, own.running = outer
    if wanted is None:
        return []
    return [going.captured[id(node), output] for node, output in wanted]


class _Pass:
    """What one backward pass is asked for, and where it is: what has arrived, what is captured."""

    __slots__ = (
        "accumulate",
        "arrived",
        "captured",
        "checked",
        "create_graph",
        "needed",
        "retain_graph",
    )

    def __init__(
        self,
        starts: Sequence[GradFn],
        wanted: Sequence[Edge] | None,
        retain_graph: bool,
        create_graph: bool,
        accumulate: bool,
    ) -> None:
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.accumulate = accumulate
        self.checked = Anomaly.enabled
        self.arrived: Arrived = {}
        self.captured: dict[tuple[int, int], Any] = {}
        self.needed: set[GradFn] | None = None
        if wanted is not None:
            self.captured = {(id(node), output): None for node, output in wanted}
            self.needed = _leading_to(starts, {node for node, _ in wanted})

    def run(self, node: GradFn, cotangents: list[Any]) -> Sequence[Any] | None:
        """Run a node with all that may be attached to it, or pass it where nothing wanted lies
        behind it. The loop itself runs those with nothing attached.
        """
        create_graph, watchers = self.create_graph, node.watchers
        runs = self.needed is None or _has_needed(node, self.needed)
        if self.captured and runs:
            _capture(self.captured, node, cotangents)
        if watchers is not None:
            run_tensor_hooks(node, watchers, cotangents, create_graph)
        if not runs:
            if self.captured:
                _capture(self.captured, node, cotangents)
            return None
        if watchers is not None and watchers.before:
            cotangents = run_node_pre_hooks(node, watchers, cotangents, create_graph)
        state.own.position = node.position
        results: Sequence[Any] | None
        if self.checked:
            results = run_checked(node, cotangents, create_graph)
        else:
            results = node.backward(cotangents, create_graph)
        if watchers is not None and watchers.after:
            results = run_node_hooks(node, watchers, results, cotangents, create_graph)
        if not self.retain_graph:
            node.release()
        return results

    def reach(self, leaf: Any) -> None:
        """Everything has arrived at a leaf."""
        cotangents = self.arrived.pop(leaf, None)
        if cotangents is None:
            return
        if leaf.watchers is None and self.needed is None and self.accumulate:
            accumulate_grad(leaf, cotangents[0], self.create_graph)
            return
        if leaf.watchers is not None:
            run_tensor_hooks(leaf, leaf.watchers, cotangents, self.create_graph)
        if self.captured:
            _capture(self.captured, leaf, cotangents)
        if self.accumulate and (self.needed is None or (id(leaf), 0) in self.captured):
            _reach_leaf(leaf, cotangents, self.create_graph)


def _walk(going: _Pass, starts: Sequence[GradFn], waiting: dict[GradFn, int]) -> None:
    """Run each node once all `waiting` edges to it have brought theirs, the latest node first as
    in PyTorch; a heap because several can be ready at once. While the tape is a chain, the next
    node needs none.
    """
    ready: list[tuple[int, int, GradFn]] = []
    only: GradFn | None = None
    if len(starts) == 1:
        only = starts[0]
    else:
        ready = [(-n.number, id(n), n) for n in dict.fromkeys(starts) if not waiting[n]]
        heapq.heapify(ready)
    own, arrived, needed = state.own, going.arrived, going.needed
    create_graph, retain_graph = going.create_graph, going.retain_graph
    plain = needed is None and not going.checked
    leaves: list[GradFn] = []
    while ready or only is not None:
        if only is None:
            node = heapq.heappop(ready)[2]
        else:
            node, only = only, None
        if node.__class__ is AccumulateGrad:  # a leaf that is itself a root
            going.reach(node)
            continue
        cotangents = arrived.pop(node, None)
        results: Sequence[Any] | None = None
        if cotangents is not None:
            if plain and node.watchers is None:
                own.position = node.position
                results = node.backward(cotangents, create_graph)
                if not retain_graph:
                    node.release()
            else:
                results = going.run(node, cotangents)
        for target, output, g in zip(
            node.nodes, node.places, repeat(None) if results is None else results
        ):
            if target is None:
                continue
            if g is not None and (needed is None or target in needed):
                if g.shape == target.shape and g.dtype is target.dtype and target not in arrived:
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
            going.reach(leaf)
        leaves.clear()


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
        g = fitted(g, node, output)
    cotangents = arrived.get(node)
    if cotangents is None:
        cotangents = arrived[node] = [None] * node.outputs
    before = cotangents[output]
    if before is None:
        cotangents[output] = g
    else:
        cotangents[output] = add.value((before, g)) if g.__class__ is Value else add(before, g)


def _reach_leaf(node: AccumulateGrad, cotangents: list[Any], create_graph: bool) -> None:
    """A whole gradient has arrived at a leaf: add it, and run the hooks of the leaf's node."""
    watchers = node.watchers
    if watchers is None:
        accumulate_grad(node, cotangents[0], create_graph)
        return
    if watchers.before:
        cotangents = run_node_pre_hooks(node, watchers, cotangents, create_graph)
    if cotangents[0] is not None:
        accumulate_grad(node, cotangents[0], create_graph)
    if watchers.after:
        run_node_hooks(node, watchers, (), cotangents, create_graph)


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
            first = positive.named("CopyBackwards", g) if create_graph else Tape.fresh(g)
            leaf.receive_grad(first)
        elif create_graph:
            leaf._grad = before + g
        else:
            before.accumulate_(g)
    if node.post_hooks:
        state.own.position = None
        for hook in list(node.post_hooks.values()):
            hook(leaf)


__all__ = ["Edge", "run_backward", "sum_to"]
