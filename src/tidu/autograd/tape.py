"""The tape: one node for each differentiable operation, with edges to those of its inputs."""

from __future__ import annotations

import functools
import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from math import prod
from operator import methodcaller
from typing import Any

from tidu.autograd.hooks import Handle
from tidu.base.dtypes import dtype, int64
from tidu.base.shapes import Shape
from tidu.base.source import at
from tidu.base.state import Position, ThreadState, state
from tidu.ir.op import Op, Spec
from tidu.ir.value import Value
from tidu.ops.elementwise import fill
from tidu.ops.indexing.arrays import index_put
from tidu.ops.moving.movement import reshape
from tidu.ops.pick import pick
from tidu.ops.sources import arange_

Edge = tuple["GradFn", int]
FIRST = itertools.repeat(0)  # the places of edges that all lead to the first result of their node
_numbers = itertools.count()


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
        self.number = next(_numbers)
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
        return tuple(
            [
                (None, 0) if node is None else (node.shown(), place)
                for node, place in zip(self.nodes, self.places)
            ]
        )

    def register_hook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(grad_inputs, grad_outputs)`` after this node; it may return new inputs'."""
        return Handle(self.watch().after, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> Handle:
        """Call ``hook(grad_outputs)`` before this node; it may return new grad_outputs."""
        return Handle(self.watch().before, hook)

    def __repr__(self) -> str:
        return f"<{type(self.shown()).__name__} object at {hex(id(self))}>"


def ends_of(edges: Sequence[Edge | None]) -> tuple[tuple[GradFn | None, ...], Iterable[int]]:
    """What a node keeps of its edges: `nodes` and `places`."""
    nodes = tuple([None if edge is None else edge[0] for edge in edges])
    places = tuple([0 if edge is None else edge[1] for edge in edges])
    return nodes, places if any(places) else FIRST


class OpNode(GradFn):
    """The node of an op from the registry: its vjp does the work.

    As long as nobody looks, all of them are of this one class: the interpreter is quicker with
    attributes where it meets the same class each time. A node that is `shown` is of a subclass with
    the name that PyTorch gives it.
    """

    __slots__ = ("attrs", "grad_name", "op", "saved")

    op: Op
    grad_name: str | None  # if it is not the op's own
    attrs: tuple[Any, ...]
    # (out, *inputs): a Value where its numbers are read, a Spec for its shape, or None
    saved: tuple[Any, ...] | None

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        saved = self.saved
        op, attrs = self.op, self.attrs
        vjps = op.vjps
        if saved is None:
            raise RuntimeError(freed_message(self))
        if saved.__class__ is not tuple:
            saved = tuple(x.unpack() if isinstance(x, Packed) else x for x in saved)
        if create_graph:
            saved = self._unpack(saved)
        elif op.outputs != 1 and saved[0].__class__ is Value:
            saved = (self._results(saved[0], create_graph), *saved[1:])
        g = cotangents[0] if op.outputs == 1 else tuple(cotangents)
        if op.variadic:
            return self._backward_of_list(g, saved[0], saved[1:])
        if vjps.__class__ is tuple:
            if attrs:
                saved = (*saved, *attrs)
            elif len(saved) == 3:  # two operands; calls without * are the quickest
                out, x, y = saved
                for_x, for_y = self.nodes
                return (
                    None if for_x is None or vjps[0] is None else vjps[0](g, out, x, y),
                    None if for_y is None or vjps[1] is None else vjps[1](g, out, x, y),
                )
            elif len(saved) == 2:  # one
                return (vjps[0](g, saved[0], saved[1]),)
            results = []
            for node, vjp in zip(self.nodes, vjps):
                results.append(None if node is None or vjp is None else vjp(g, *saved))
            return results
        # One function for all; what is not needed stays lazy, and is dropped.
        every = vjps(g, *saved, *attrs)
        return [None if node is None else c for node, c in zip(self.nodes, every, strict=True)]

    def _backward_of_list(self, g: Any, out: Any, inputs: tuple[Any, ...]) -> Sequence[Any]:
        vjps, attrs = self.op.vjps, self.attrs
        if vjps.__class__ is tuple:
            every = vjps[0](g, out, inputs, *attrs)
            return [None if node is None else c for node, c in zip(self.nodes, every, strict=True)]
        return [
            None if node is None else vjps(i, g, out, inputs, *attrs)
            for i, node in enumerate(self.nodes)
        ]

    def _unpack(self, saved: tuple[Any, ...]) -> tuple[Any, ...]:
        """The saved Values as Tensors on the tape, so that the derivative can be differentiated."""
        out = saved[0]
        if out.__class__ is Value:
            out = self._results(out, True) if self.op.outputs != 1 else Tape.wrap(out, (self, 0))
        inputs = [
            Tape.wrap(x, edge) if x.__class__ is Value else x
            for x, edge in zip(saved[1:], self.edges, strict=True)
        ]
        return (out, *inputs)

    def _results(self, out: Value, create_graph: bool) -> tuple[Any, ...]:
        """The results of an op with several, which its derivative gets as a tuple."""
        results = [pick.value((out,), (number,)) for number in range(self.op.outputs)]
        if not create_graph:
            return tuple(results)
        return tuple(
            Tape.wrap(x, (self, number) if x.dtype.is_floating_point else None)
            for number, x in enumerate(results)
        )

    def pack(self) -> None:
        """Let the innermost saved-tensor hooks put away what is saved."""
        assert self.saved is not None
        # The result goes without its history, which would be a cycle.
        self.saved = PackedTuple(
            Packed(x, edge) if x.__class__ is Value else x
            for x, edge in zip(self.saved, (None, *self.edges), strict=True)
        )

    def release(self) -> None:
        # A node that kept no numbers has nothing to lose and may run again, as in PyTorch.
        if self.op.lasts:
            return
        for x in self.saved or ():
            if x is not None and x.__class__ is not Spec:
                self.saved = None
                return

    @property
    def outputs(self) -> int:  # type: ignore[override]
        return self.op.outputs

    def name(self) -> str:
        return self.grad_name or self.op.grad_name

    def shown(self) -> GradFn:
        if self.__class__ is OpNode:
            self.__class__ = _shown_class(self.name(), self.op)
        return self

    def saved_at(self, place: int) -> Any:
        """What is saved of (out, *inputs) at this place, as users see it."""
        if self.saved is None:
            raise RuntimeError(freed_message(self))
        x = self.saved[place]
        x = x.unpack() if isinstance(x, Packed) else x
        edge = (self, 0) if place == 0 else self.edges[place - 1]
        return tensor_at(x, edge) if x.__class__ is Value else None if x.__class__ is Spec else x

    def attr_at(self, place: int) -> Any:
        return self.attrs[place]

    def spec(self, output: int) -> tuple[Shape, dtype]:
        if self.op.outputs == 1:
            return self.shape, self.dtype
        return self.shape[output], self.dtype[output]


_new = object.__new__
_new_tuple = tuple.__new__


@functools.cache
def _shown_class(name: str, op: Op) -> type[OpNode]:
    return type(name, (OpNode,), {"__slots__": (), **_views_of_saved(op)})


def _views_of_saved(op: Op) -> dict[str, property]:
    """What a node saves, under PyTorch's names: ``node._saved_self``, ``node._saved_result``, ...

    They are properties, since a class with a `__getattr__` has slower attributes throughout.
    """
    views: dict[str, property] = {}
    if not op.variadic:
        for place, name in enumerate(("result", *op.input_names)):
            views[f"_saved_{name}"] = property(methodcaller("saved_at", place))
        if op.arity:
            views["_saved_self"] = views[f"_saved_{op.input_names[0]}"]
    for place, name in enumerate(op.attr_names):
        views[f"_saved_{name}"] = property(methodcaller("attr_at", place))
    return views


def record(
    op: Op,
    values: tuple[Any, ...],
    attrs: tuple[Any, ...],
    out: Value,
    nodes: tuple[GradFn | None, ...],
    places: Iterable[int],
    grad_name: str | None,
    own: ThreadState,
) -> OpNode:
    """Put one operation on the tape. Only what its derivatives read is kept alive."""
    node: OpNode = _new(OpNode)  # what `GradFn(...)` does, at a lower price
    node.op = op
    node.grad_name = grad_name
    node.shape = out.shape
    node.dtype = out.dtype
    node.nodes = nodes
    node.places = places
    node.position = out.position
    node.number = next(_numbers)
    node.watchers = None
    node.attrs = attrs
    if op.variadic:
        node.saved = _saved_of_list(op, values, out)
    else:
        count = len(nodes)
        if count == 1:
            mask = 1
        elif count == 2:
            mask = 1 if nodes[1] is None else 2 if nodes[0] is None else 3
        else:
            mask = sum([1 << bit for bit, source in enumerate(nodes) if source is not None])
        keep = op.keepers.get(mask)
        if keep is None:
            keep = op.keepers[mask] = _keeper(op, mask, len(values))
        node.saved = keep(out, values)
    if own.saved_hooks:
        node.pack()
    return node


def _keeper(op: Op, mask: int, count: int) -> Callable[[Value, tuple[Any, ...]], tuple[Any, ...]]:
    """The function (out, inputs) -> what is saved, for inputs that need gradients as in `mask`.

    It is made as source text, since it runs for each operation: ``(None, None, inputs[1])``.
    """
    entries = ["None"] * (count + 1)
    for place, numbers in op.keeps(mask):
        name = f"inputs[{place - 1}]" if place else "out"
        entries[place] = name if numbers else f"spec_of({name})"
    text = f"lambda out, inputs: ({', '.join(entries)},)"
    return eval(text, {"__name__": __name__, "spec_of": _spec_of})  # type: ignore[no-any-return]


def _saved_of_list(op: Op, values: tuple[Any, ...], out: Value) -> tuple[Any, ...]:
    kept = range(*op.saved.indices(len(values)))
    return (
        _spec_of(out),
        *(x if i in kept else _spec_of(x) for i, x in enumerate(values)),
    )


def _spec_of(x: Any) -> Any:
    return _new_tuple(Spec, (x.shape, x.dtype)) if x.__class__ is Value else x


class PackedTuple(tuple[Any, ...]):
    """What a node saved, where entries may be `Packed`."""


class Packed:
    """A saved Value that saved-tensor hooks have put away; `unpack()` brings it back."""

    __slots__ = ("bring_back", "kept")

    def __init__(self, value: Value, edge: Edge | None) -> None:
        put_away, self.bring_back = state.own.saved_hooks[-1]
        hooks, state.own.saved_hooks = state.own.saved_hooks, ()
        try:
            self.kept = put_away(tensor_at(value, edge))
        finally:
            state.own.saved_hooks = hooks

    def unpack(self) -> Value:
        tensor = self.bring_back(self.kept)
        if not isinstance(tensor, Tape.tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got result of "
                f"type {type(tensor)}"
            )
        return Tape.value_of(tensor)


def tensor_at(value: Value, edge: Edge | None) -> Any:
    """A Tensor for a saved Value: the leaf itself where it still holds that, else one at `edge`."""
    if edge is not None and isinstance(edge[0], AccumulateGrad):
        leaf = edge[0].variable
        if leaf is not None and Tape.value_of(leaf) is value:
            return leaf
    return Tape.wrap(value, edge)


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


class CopySlices(GradFn):
    """History of a base after something was written through a view of it.

    The written part takes its own cotangent; the base's has a hole there. `chain` lists the view's
    movement ops from the base outwards. As in PyTorch it runs once, whatever was written.
    """

    __slots__ = ("chain",)

    chain: tuple[tuple[Op, tuple[Any, ...]], ...] | None

    def name(self) -> str:
        return "torch::autograd::CopySlices"

    def release(self) -> None:
        self.chain = None

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        if self.chain is None:
            raise RuntimeError(freed_message(self))
        g = cotangents[0]
        part = g
        for op, attrs in self.chain:
            part = op(part, *attrs)
        return (write_through(g, self.chain, fill(part, 0.0)), part)


def write_through(base: Any, chain: tuple[tuple[Op, tuple[Any, ...]], ...], part: Any) -> Any:
    """`base` with the part that `chain` looks at replaced."""
    if any(op.view is not None and op.view.write is None for op, _ in chain):
        return _write_at_positions(base, chain, part)
    seen = [base]
    for op, attrs in chain[:-1]:
        seen.append(op(seen[-1], *attrs))
    for (op, attrs), below in zip(reversed(chain), reversed(seen), strict=True):
        assert op.view is not None and op.view.write is not None
        part = op.view.write(below, part, *attrs)
    return part


def _write_at_positions(base: Any, chain: tuple[tuple[Op, tuple[Any, ...]], ...], part: Any) -> Any:
    """For movements that cannot be undone one by one: follow the places of all elements."""
    places: Any = arange_(0, 1, prod(base.shape), int64)
    places = reshape(places, tuple(base.shape))
    for op, attrs in chain:
        places = op.value((places,), attrs)
    flat = index_put((reshape(base, (-1,)), part, places), (0,), False)
    return reshape(flat, tuple(base.shape))


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
