"""The tape: nodes with edges to those of their inputs, down to the leaves. `op_node` has those of
operations, and records them; `slices` those of writes through views.
"""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tidu.autograd.hooks import Handle
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.source import at
from tidu.base.state import Position
from tidu.ir.value import Value
from tidu.ops.rules import PART

Edge = tuple["GradFn", int]
FIRST = itertools.repeat(0)  # the places of edges that all lead to the first result of their node
sequence = itertools.count()  # numbers nodes in the order in which they are made


class Tape:
    """How the tape makes tensors of Values; the tensor layer fills these in.

    That is all that this package knows of tensors, so it stands below the layer that defines them.
    """

    # The class of tensors, for isinstance()
    tensor: type[Any]
    # value -> a Tensor without history
    fresh: Callable[[Value], Any]
    # (value, edge or None) -> a Tensor that continues the tape at that edge
    wrap: Callable[[Value, Edge | None], Any]
    # Tensor -> its current Value
    value_of: Callable[[Any], Value]
    # Tensor -> its edge, or None where it needs no gradient
    edge_of: Callable[[Any], Edge | None]
    # (Tensor, edge) -> None: it was written to in place, and now holds what that edge made
    rewrite: Callable[[Any, Edge], None]
    # (Tensor, edge, whether there are more like it): it is a result of a custom Function
    adopt: Callable[[Any, Edge, bool], None]


class Watchers:
    """The hooks at a node, and the tensors that keep their gradient. Most nodes have none."""

    __slots__ = ("after", "before", "metadata", "retained", "tensors")

    def __init__(self) -> None:
        self.tensors: dict[int, OrderedDict[int, Any]] = {}  # hook(gradient), for each output
        self.retained: dict[int, weakref.ref[Any]] = {}  # by output: who called retain_grad()
        self.before: OrderedDict[int, Any] = OrderedDict()  # hook(grad_outputs)
        self.after: OrderedDict[int, Any] = OrderedDict()  # hook(grad_inputs, grad_outputs)
        self.metadata: dict[Any, Any] = {}


class GradFn:
    """One node of the tape.

    `nodes` has one entry for each input that may need a gradient: the node that made it, or None
    where it needs none. `places` tells which of that node's results it was. `shape` and `dtype` are
    those of the result, to which every arriving cotangent is brought. A graph is made of very many
    nodes: they have few slots and no dictionary, and are not told apart by objects of their own.
    """

    __slots__ = (
        "__weakref__",
        "dtype",
        "nodes",
        "number",
        "places",
        "position",
        "shape",
        "watchers",
    )

    shape: Any
    dtype: Any
    nodes: tuple[GradFn | None, ...]
    places: Iterable[int]
    position: Position | None
    number: int
    watchers: Watchers | None
    outputs = 1

    def __init__(
        self, shape: Any, dtype: Any, edges: tuple[Edge | None, ...], position: Position | None
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.nodes, self.places = ends_of(edges)
        self.position = position
        self.number = next(sequence)
        self.watchers = None

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        """Cotangents of the inputs, one for each edge, None where there is none."""
        raise NotImplementedError

    def release(self) -> None:
        """Free what was saved for the backward pass; a second one here is then an error."""

    def spec(self, output: int) -> tuple[Shape, dtype]:
        """Shape and dtype of one result."""
        return self.shape, self.dtype

    def shown(self) -> GradFn:
        """The node as users get to see it."""
        return self

    def name(self) -> str:
        return type(self).__name__

    def watch(self) -> Watchers:
        """Where to register hooks."""
        if self.watchers is None:
            self.watchers = Watchers()
        return self.watchers

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for whatever somebody wants to remember about the node."""
        return self.watch().metadata

    def _sequence_nr(self) -> int:
        """The nodes of one thread in the order in which they were made."""
        return self.number

    @property
    def edges(self) -> tuple[Edge | None, ...]:
        """Where the cotangents of the inputs go, None for an input that needs none."""
        return tuple(
            [None if n is None else (n, place) for n, place in zip(self.nodes, self.places)]
        )

    @property
    def next_functions(self) -> tuple[tuple[GradFn | None, int], ...]:
        return without_parts(self.ends())

    def ends(self) -> Sequence[tuple[GradFn | None, int]]:
        """The nodes of all inputs, None where one needs no gradient, and which result it is."""
        return [
            (None, 0) if node is None else (node, place)
            for node, place in zip(self.nodes, self.places)
        ]

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(grad_inputs, grad_outputs)`` after this node; it may return new inputs'."""
        return Handle(self.watch().after, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(grad_outputs)`` before this node; it may return new grad_outputs."""
        return Handle(self.watch().before, hook)

    def __repr__(self) -> str:
        return f"<{type(self.shown()).__name__} object at {hex(id(self))}>"


def without_parts(
    ends: Sequence[tuple[GradFn | None, int]],
) -> tuple[tuple[GradFn | None, int], ...]:
    """Ends as users get to see them: in the place of a part of an operation, those of that part."""
    seen: list[tuple[GradFn | None, int]] = []
    for node, place in ends:
        if node is not None and node.name() == PART:
            seen += node.next_functions
        else:
            seen.append((node and node.shown(), place))
    return tuple(seen)


def ends_of(edges: Sequence[Edge | None]) -> tuple[tuple[GradFn | None, ...], Iterable[int]]:
    """What a node keeps of its edges: `nodes` and `places`."""
    nodes = tuple([None if edge is None else edge[0] for edge in edges])
    places = tuple([0 if edge is None else edge[1] for edge in edges])
    return nodes, places if any(places) else FIRST


class AccumulateGrad(GradFn):
    """The end of the tape at a leaf: adds what arrives to its `grad`. Holds the leaf weakly."""

    __slots__ = ("post_hooks", "reference")

    def __init__(self, leaf: Any, shape: Shape, dtype: dtype) -> None:
        super().__init__(shape, dtype, (), None)
        self.reference = weakref.ref(leaf)
        self.post_hooks: OrderedDict[int, Any] = OrderedDict()

    @property
    def variable(self) -> Any:
        return self.reference()

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"


def freed_message(node: GradFn) -> str:
    """What to tell somebody who goes through a graph that was freed."""
    return (
        "Trying to backward through the graph a second time (or directly access saved tensors "
        "after they have already been freed). Saved intermediate values of the graph are freed "
        "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to "
        "backward through the graph a second time or if you need to access saved tensors after "
        f"calling backward. The node is {node.name()}{at(node.position)}; if you meant two "
        "separate steps, compute the loss anew for each, and detach() what is carried over from "
        "the step before."
    )
