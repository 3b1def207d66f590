"""The graph that a region is compiled from: copies of its Values, with composites taken apart."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tidu.base import dtypes
from tidu.base.state import Pending, state
from tidu.base.strides import contiguous_strides
from tidu.compiler.signatures import has_several
from tidu.ir.argument import ARGUMENTS, NotConstantError, argument
from tidu.ir.op import Op, registry
from tidu.ir.value import Value

_ANY_NUMBER = 1 << 60


class Graph:
    """Values in an order in which each comes after its inputs.

    `leaves` have neither op nor buffer; `constants` have a buffer. `outputs` are wanted after a
    run: one entry for each held Value of the region, a tuple of Values for an op with several
    results. `numbers` tells of each Python number that a run is given whether it is float or int.
    """

    def __init__(
        self,
        values: list[Value],
        leaves: list[Value],
        outputs: list[Any],
        numbers: Sequence[type],
        constants: Sequence[Value] = (),
    ) -> None:
        self.values = values
        self.leaves = leaves
        self.outputs = outputs
        self.numbers = numbers
        self.constants = constants


def capture(region: Sequence[Value], leaves: Sequence[Value], held: Iterable[int]) -> Graph:
    """Copies of a region's Values, which are about to be run and to forget what they are."""
    copies: dict[int, Value] = {}
    for x in leaves:
        copies[id(x)] = Value(None, (), (), x.shape, x.dtype, None)
    leaf_copies = list(copies.values())
    made = []
    numbers: list[type] = []
    for value in region:
        inputs: list[Any] = []
        for x in value.inputs:
            if x.__class__ is Value:
                inputs.append(copies[id(x)])
            elif x.__class__ is float or x.__class__ is int:
                inputs.append(argument(x, len(numbers)))
                numbers.append(x.__class__)
            else:
                inputs.append(x)
        copy = Value(value.op, tuple(inputs), value.attrs, value.shape, value.dtype, value.position)
        copies[id(value)] = copy
        made.append(copy)
    return Graph(made, leaf_copies, [made[i] for i in held], numbers)


# What is merged if it is computed twice. Products and convolutions are not: who asks for one again
# may do so in order not to keep it.
_MERGED_KINDS = ("elementwise", "movement", "reduction")


def expand(graph: Graph, wanted: Any) -> Graph:
    """Take composites apart, and theirs, until only other kinds of operations are left, of which
    equal ones are one.

    `wanted(value)` says whether a Value shall be taken apart.
    """
    return _Expansion(graph, wanted).run()


class _Expansion:
    def __init__(self, graph: Graph, wanted: Any) -> None:
        self.graph = graph
        self.wanted = wanted
        self.made: list[Value] = []
        self.now: dict[int, Any] = {}  # by id of a Value: what it has become
        self.alive: list[Any] = []  # so that no id is used twice
        self.constants: list[Value] = []
        self.known: dict[Any, Value] = {}  # by what it is: the first of equal Values
        # What the program returns: memory of its own each, whatever else is equal.
        self.returned = {id(x) for x in graph.outputs if x.__class__ is Value}

    def run(self) -> Graph:
        graph = self.graph
        for leaf in graph.leaves:
            self.now[id(leaf)] = leaf
        own = state.own
        outer, own.pending = own.pending, Pending(limit=_ANY_NUMBER)
        position = own.position
        try:
            for value in graph.values:
                self._visit(value)
        finally:
            own.pending = outer
            own.position = position
        outputs = [self.now[id(value)] for value in graph.outputs]
        values = reachable(self.made, outputs)
        return Graph(values, graph.leaves, outputs, graph.numbers, self.constants)

    def _visit(self, value: Value) -> None:
        op = value.op
        assert op is not None
        inputs = tuple(self._now(x) if x.__class__ is Value else x for x in value.inputs)
        if op.kind == "pick" and inputs[0].__class__ is tuple:
            self.now[id(value)] = inputs[0][value.attrs[0]]
            return
        if any(a is not b for a, b in zip(inputs, value.inputs, strict=True)):
            copy = Value(op, inputs, value.attrs, value.shape, value.dtype, value.position)
        else:
            copy = value
        if self.wanted(copy):
            parts = _decomposed(copy, op)
            if parts is not None:
                inner, result = parts
                self.alive.append(inner)
                results = result if result.__class__ is tuple else (result,)
                if id(value) in self.returned or len(results) > 1:
                    self.returned.update(map(id, results))
                for x in inner:
                    self._visit(x)
                self.now[id(value)] = (
                    tuple(self._become(r) for r in result)
                    if result.__class__ is tuple
                    else self._become(result)
                )
                return
        first = self._first(copy, op)
        if first is copy or id(value) in self.returned:
            self.made.append(copy)
            first = copy
        self.now[id(value)] = self.now[id(copy)] = first
        self.alive.append(copy)

    def _first(self, value: Value, op: Op) -> Value:
        """The first Value that is the same."""
        if op.kind not in _MERGED_KINDS or has_several(value):
            return value
        if _changes_nothing(value, op):
            unchanged: Value = value.inputs[0]
            return unchanged
        inputs = tuple(
            id(x) if x.__class__ is Value or x.__class__ in ARGUMENTS else repr(x)
            for x in value.inputs
        )
        key = (op.name, repr(value.attrs), inputs, value.dtype, tuple(value.shape))
        return self.known.setdefault(key, value)

    def _now(self, x: Value) -> Any:
        found = self.now.get(id(x))
        if found is None:
            assert x.buffer is not None, f"{x} comes from nowhere"
            self.constants.append(x)
            found = self.now[id(x)] = x
        return found

    def _become(self, x: Any) -> Any:
        return self.now.get(id(x), x)


def _changes_nothing(value: Value, op: Op) -> bool:
    """Whether a Value is its input: moved to where it was, or cast to the dtype that it has."""
    x = value.inputs[0] if value.inputs else None
    if x.__class__ is not Value or has_several(x) or x.shape != value.shape:
        return False
    if op is registry["cast"]:
        return x.dtype is value.dtype
    if op.layout is None:
        return False
    shape = tuple(x.shape)
    strides = contiguous_strides(shape)
    moved = op.layout(shape, strides, 0, *value.attrs)
    return moved is not None and (tuple(moved[0]), moved[1]) == (strides, 0)


def _decomposed(value: Value, op: Op) -> tuple[list[Value], Any] | None:
    """The Values that a composite is made of, and the result among them; None if that depends on a
    number of the program.

    Half precision is for storage: what lies between the inputs and a result is float32.
    """
    assert op.decompose is not None
    own = state.own
    inner: list[Value] = []
    own.pending.values = inner
    own.position = value.position
    narrow = op.outputs == 1 and value.dtype.is_half
    inputs = tuple(map(_widened, value.inputs)) if narrow else value.inputs
    try:
        arguments = (inputs,) if op.variadic else inputs
        result = op.decompose(*arguments, *value.attrs)
    except NotConstantError:
        return None
    if narrow and result.dtype is not value.dtype:
        result = registry["cast"].value((result,), (value.dtype,))
    own.pending.values = []  # what a signal handler makes from now on is none of these
    if Pending.scattered:  # and it may have made some before
        inner = reachable(inner, [result])
    return inner, result


def _widened(x: Any) -> Any:
    if x.__class__ is Value and not has_several(x) and x.dtype.is_half:
        return registry["cast"].value((x,), (dtypes.float32,))
    return x


def reachable(values: list[Value], outputs: list[Any]) -> list[Value]:
    """Those of `values` that an output is made of, in the same order."""
    needed: set[int] = set()
    for output in outputs:
        needed.update(map(id, output if output.__class__ is tuple else (output,)))
    kept = []
    for value in reversed(values):
        if id(value) in needed:
            kept.append(value)
            needed.update(id(x) for x in value.inputs if x.__class__ is Value)
    kept.reverse()
    return kept
