"""The nodes of operations: what their derivatives read is kept, and their vjp does the work."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from operator import methodcaller
from typing import Any

from tidu.autograd.saved import Packed, PackedTuple, tensor_at
from tidu.autograd.tape import GradFn, Tape, Watchers, freed_message, sequence, without_parts
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.source import at, here
from tidu.base.state import ThreadState
from tidu.ir.op import Op, Spec
from tidu.ir.value import Value
from tidu.ops.pick import pick
from tidu.ops.sources import full

_new_tuple = tuple.__new__


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
            if op.joined:
                return self._joined(cotangents[0], saved)
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

    def _joined(self, g: Any, saved: tuple[Any, ...]) -> Sequence[Any]:
        """The cotangents that an op sends on whose derivatives are one function to PyTorch."""
        vjps, arguments = self.op.vjps, (g, *saved, *self.attrs)
        if vjps.__class__ is tuple:
            every = [
                None if node is None or vjp is None else vjp(*arguments)
                for node, vjp in zip(self.nodes, vjps, strict=True)
            ]
        else:
            every = vjps(*arguments)
        return [
            None if node is None or c is None else self._depending(c)
            for node, c in zip(self.nodes, every, strict=True)
        ]

    def _depending(self, c: Any) -> Any:
        """`c` if it requires a gradient, else the same as a result that does."""
        if c.__class__ is not Value:
            if c.requires_grad:
                return c
            c = Tape.value_of(c)
        kind = _constant_class(self.name())
        return Tape.wrap(c, (kind(c.shape, c.dtype, self.edges, c.position), 0))

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
    def next_functions(self) -> tuple[tuple[GradFn | None, int], ...]:
        """As PyTorch's, which has no entry for what there is no derivative for: indices, masks."""
        every, vjps = self.ends(), self.op.vjps
        if self.op.ends is not None:
            every = self._with_passages(self.op.ends(self.name(), every))
        elif not self.op.variadic and vjps.__class__ is tuple:
            every = [end for end, vjp in zip(every, vjps, strict=True) if vjp is not None]
        return without_parts(every)

    def _with_passages(self, ends: Sequence[Any]) -> tuple[tuple[GradFn | None, int], ...]:
        """Ends, with nodes for what is a pair of a name and ends."""
        return tuple(
            [
                (self._passage(first, self._with_passages(second)), 0)
                if isinstance(first, str)
                else (first, second)
                for first, second in ends
            ]
        )

    def _passage(self, name: str, ends: tuple[tuple[GradFn | None, int], ...]) -> GradFn:
        edges = tuple([None if node is None else (node, place) for node, place in ends])
        return _passage_class(name)(self.shape, self.dtype, edges, self.position)

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


class Constant(GradFn):
    """The node of a derivative that does not depend on the inputs that PyTorch takes it to."""

    def backward(self, cotangents: list[Any], create_graph: bool) -> Sequence[Any]:
        zeros: list[Any] = []
        for edge in self.edges:
            zero = None if edge is None else full.value((0.0,), edge[0].spec(edge[1]))
            zeros.append(Tape.fresh(zero) if create_graph and zero is not None else zero)
        return zeros


@functools.cache
def _constant_class(name: str) -> type[Constant]:
    """Under PyTorch's name, which is that of the node whose derivative it is with another
    "Backward".
    """
    return type(name.replace("Backward", "BackwardBackward"), (Constant,), {"__slots__": ()})


class Passage(GradFn):
    """A node that PyTorch records on the way, where one node here does what several do there.

    It is for looking at the tape: no backward pass comes by it.
    """

    def watch(self) -> Watchers:
        raise RuntimeError(
            f"{self.name()} is part of the operation that leads to it, and never runs by itself: "
            f"register hooks with tensors or with the grad_fn of one{at(here())}"
        )


@functools.cache
def _passage_class(name: str) -> type[Passage]:
    return type(name, (Passage,), {"__slots__": (), "__module__": "builtins"})


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
    node = OpNode.__new__(OpNode)  # what `GradFn(...)` does, at a lower price
    node.op = op
    node.grad_name = grad_name
    node.shape = out.shape
    node.dtype = out.dtype
    node.nodes = nodes
    node.places = places
    node.position = out.position
    node.number = next(sequence)
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
