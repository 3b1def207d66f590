"""What a backward pass makes, found out without making it: on a copy of the tape, where stand-ins
take the place of all Values, and of the numbers that derivatives only hand on.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

from tidu.autograd.engine import run_backward
from tidu.autograd.op_node import OpNode
from tidu.autograd.tape import AccumulateGrad, Tape
from tidu.base.state import Pending, state
from tidu.ir.argument import FloatArgument, NotConstantError, argument
from tidu.ir.op import Op, Spec
from tidu.ir.value import Value

_ANY_NUMBER = 1 << 60
# What a derivative may be given, or give to an operation, besides Values that it has made.
_PLAIN = frozenset({Value, Spec, type(None), float, int, bool})
# Numbers among what operations save that some derivative has looked at, by place.
_looked_at: set[tuple[Op, int]] = set()


class Making(NamedTuple):
    """One Value to make, on behalf of the node of that number. `inputs` are places among the
    sources: what was saved, then the cotangent of the root, then constants, then what was made.
    """

    op: Op
    attrs: tuple[Any, ...]
    shape: Any
    dtype: Any
    node: int
    inputs: tuple[int, ...]


class Arrival(NamedTuple):
    """A gradient, by its place among the sources, arrives at a leaf after so many Values have been
    made; the node from which it comes, and the leaf, by number.
    """

    after: int
    node: int
    leaf: int
    gradient: int


class Script(NamedTuple):
    """All that a backward pass does; `arguments` are the places of the numbers, among what was
    saved, that it would do the same with if they were others. Nodes that are `released` cannot run
    again.
    """

    makings: list[Making]
    arrivals: list[Arrival]
    constants: list[Any]
    arguments: list[int]
    released: list[int]


def rehearse(operations: list[Any], leaves: list[Any], g: Value) -> Script | None:
    """What the pass does that begins with the cotangent `g` at the first of these nodes, which are
    all of its tape. None if another pass over a tape like this one may do something else.
    """
    nodes = [*operations, *leaves]
    for node in operations:
        # A tape that was packed is unpacked by functions of the user's.
        if not isinstance(node, OpNode) or node.saved.__class__ is not tuple:
            return None
        if not _PLAIN.issuperset(map(type, node.saved)):
            return None
    while True:
        copy = _Copy(nodes)
        try:
            script = copy.script(g)
            if not copy.arguments or _Copy(nodes, others=True).script(g) == script:
                return script
            _looked_at.update(copy.owners)
        except NotConstantError as error:
            _looked_at.add(copy.owners[error.args[0].number])
        except Exception:  # the pass itself raises it, if it is not the stand-ins' fault
            return None


class _Copy:
    """A copy of a tape, with other numbers if asked for, and what a pass over it did."""

    def __init__(self, nodes: Sequence[Any], *, others: bool = False) -> None:
        self.others = others
        self.row: list[Any] = []  # what stands for what was saved
        self.arguments: list[int] = []  # places in it
        self.owners: list[tuple[Op, int]] = []  # what the arguments are to their operations
        self.values: list[Value] = []
        self.arrived: list[_Arrived] = []
        self.nodes = [self._node(number, node) for number, node in enumerate(nodes)]
        copies = dict(zip(nodes, self.nodes, strict=True))
        for node, copy in copies.items():
            copy.nodes = tuple(
                [None if target is None else copies[target] for target in node.nodes]
            )

    def _node(self, number: int, node: Any) -> Any:
        copy = node.__class__.__new__(node.__class__)
        copy.shape, copy.dtype, copy.places = node.shape, node.dtype, node.places
        copy.number, copy.watchers = node.number, None
        copy.position = (_Copy.__init__.__code__, number)  # so that every Value tells whose it is
        if node.__class__ is AccumulateGrad:
            copy.post_hooks = OrderedDict()
            leaf = _Leaf(self, number)
            copy.reference = lambda: leaf
        else:
            copy.op, copy.attrs, copy.grad_name = node.op, node.attrs, node.grad_name
            copy.saved = tuple([self._stand_in(node.op, n, x) for n, x in enumerate(node.saved)])
        return copy

    def _stand_in(self, op: Op, place: int, x: Any) -> Any:
        if x.__class__ is Value:
            x = Value(None, (), (), x.shape, x.dtype, None)
        elif x.__class__ is float and (op, place) not in _looked_at:
            if self.others:
                x = 0.25 if x == 0.5 else 0.5
            x = argument(x, len(self.arguments))
            self.arguments.append(len(self.row))
            self.owners.append((op, place))
        self.row.append(x)
        return x

    def script(self, g: Value) -> Script:
        """Run it."""
        root = Value(None, (), (), g.shape, g.dtype, None)
        own = state.own
        outer, own.pending = own.pending, Pending(limit=_ANY_NUMBER)
        self.values = own.pending.values
        try:
            run_backward([((self.nodes[0], 0), root)])
        finally:
            own.pending = outer
        return self._written_down(root)

    def _written_down(self, root: Value) -> Script:
        needed = _needed(self.values, [arrival.gradient for arrival in self.arrived])
        inputs = list(chain.from_iterable([value.inputs for value in needed]))
        constants = [x for x in inputs if x.__class__ not in (Value, FloatArgument)]
        sources = [*self.row, root, *constants, *needed]
        places = {id(x): place for place, x in enumerate(sources) if x.__class__ is Value}
        constant_places = itertools.count(len(self.row) + 1)

        def place_of(x: Any) -> int:
            if x.__class__ is FloatArgument:
                return self.arguments[x.number]
            # What is not known came from elsewhere: a KeyError.
            return places[id(x)] if x.__class__ is Value else next(constant_places)

        makings = [_making(x, tuple(map(place_of, x.inputs))) for x in needed]
        kept = set(map(id, needed))
        before = [0, *itertools.accumulate([id(x) in kept for x in self.values])]
        arrivals = [
            Arrival(before[x.after], x.node, x.leaf, places[id(x.gradient)]) for x in self.arrived
        ]
        return Script(makings, arrivals, constants, self.arguments, self._released())

    def _released(self) -> list[int]:
        return [n for n, node in enumerate(self.nodes) if getattr(node, "saved", ()) is None]


def _making(x: Value, inputs: tuple[int, ...]) -> Making:
    assert x.op is not None and x.position is not None
    return Making(x.op, x.attrs, x.shape, x.dtype, x.position[1], inputs)


class _Arrived(NamedTuple):
    """A gradient has arrived at a leaf when so many Values were there."""

    after: int
    node: int
    leaf: int
    gradient: Value


class _Leaf:
    """Takes the place of a tensor, and notes that a gradient arrives."""

    def __init__(self, copy: _Copy, number: int) -> None:
        self._copy = copy
        self._number = number

    _grad = None

    def receive_grad(self, gradient: Any) -> None:
        copy, position = self._copy, state.own.position
        assert position is not None
        copy.arrived.append(
            _Arrived(len(copy.values), position[1], self._number, Tape.value_of(gradient))
        )


def _needed(values: list[Value], wanted: list[Value]) -> list[Value]:
    """Those of the Values, in order, that the wanted ones are made of."""
    needed = set(map(id, wanted))
    kept = []
    for value in reversed(values):
        if id(value) in needed:
            kept.append(value)
            needed.update(map(id, value.inputs))
    kept.reverse()
    return kept
