"""Backward passes that come again.

What a backward pass records follows from the tape alone: from its operations and how they hang
together, from shapes, dtypes and attributes, and from some of the Python numbers that were saved.
So where a tape looks like one before, nobody need ask the derivatives again: a `Recipe` lists what
they made, and the same is made of what this tape has saved.

Only what nobody can watch is done so: no hooks, no retained gradients, no functions of the user's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import gt
from typing import Any, NamedTuple

from tidu.autograd.anomaly import Anomaly
from tidu.autograd.engine import accumulate_grad
from tidu.autograd.op_node import OpNode
from tidu.autograd.rehearsal import Making, Script, rehearse
from tidu.autograd.tape import AccumulateGrad, Edge
from tidu.base.changes import changes
from tidu.base.dtypes import get_default_dtype
from tidu.base.state import ThreadState, state
from tidu.execute import head_start
from tidu.ir.op import Op
from tidu.ir.structure import Attributes, picker
from tidu.ir.value import Value

_MOST_NODES = 4096
# Recipes for what begins at one line; and how often none of them may fit before only one pass in so
# many is looked at.
_MOST_RECIPES, _MOST_MISSES, _RARELY = 4, 8, 64
_MOST_LINES = 64


def repeat_backward(roots: Sequence[tuple[Edge, Any]], *, retain_graph: bool) -> bool:
    """Do what `run_backward` does, if it has been done for a tape like this one. Whether it was."""
    if len(roots) != 1:
        return False
    ((root, _), g), own = roots[0], state.own
    if (
        not isinstance(root, OpNode)
        or root.position is None
        or g.__class__ is not Value
        or g.shape != root.shape
        or g.dtype is not root.dtype
        or own.autocast is not None
        or changes.recorder is not None
        or Anomaly.enabled
    ):
        return False
    code, offset = root.position
    line = (id(code), offset, root.shape, get_default_dtype())
    known = _known.get(line)
    if known is None:  # most lines are run once
        if len(_known) >= _MOST_LINES:
            _known.clear()
        _known[line] = _Known()
        return False
    if known.is_to_be_left():
        return False
    if known.recipes:
        head_start(roots)
        for recipe in known.recipes:
            tape = recipe.match(root)
            if tape is not None:
                known.misses = 0
                return recipe.follow(tape, g, own, retain_graph)
    known.learn(root, g)
    return False


class _Known:
    """What is known of the backward passes that begin at one line."""

    __slots__ = ("misses", "recipes")

    def __init__(self) -> None:
        self.recipes: list[Recipe] = []
        self.misses = 0  # since a recipe fitted

    def is_to_be_left(self) -> bool:
        """Whether not to look at a pass, as there has been another each time."""
        if self.misses < _MOST_MISSES:
            return False
        self.misses += 1
        return self.misses % _RARELY != 0

    def learn(self, root: OpNode, g: Value) -> None:
        """Find the recipe for a pass that none fits."""
        self.misses += 1
        recipe = _found_out(root, g)
        if recipe is not None:
            self.recipes = [recipe, *self.recipes[: _MOST_RECIPES - 1]]


# By the position of the root, the shape of the result and the default dtype.
_known: dict[tuple[Any, ...], _Known] = {}


class _Step(NamedTuple):
    """How to make one Value, on behalf of the node of that number. `inputs` picks them from the
    sources; a single one is at the place `alone`.
    """

    op: Op
    attrs: tuple[Any, ...]
    shape: Any
    dtype: Any
    node: int
    inputs: Callable[[list[Any]], tuple[Any, ...]]
    alone: int | None

    @classmethod
    def of(cls, x: Making) -> _Step:
        alone = x.inputs[0] if len(x.inputs) == 1 else None
        return cls(x.op, x.attrs, x.shape, x.dtype, x.node, picker(x.inputs), alone)


class _Stretch(NamedTuple):
    """What is made until a gradient arrives at a leaf: the operation it comes from and the leaf, by
    number, and which of the sources it is.
    """

    steps: list[_Step]
    operation: int
    leaf: int
    gradient: int


class _Tape(NamedTuple):
    """The operations that a root leads to, nearest first, the leaves, and what was saved, in one
    row.
    """

    operations: list[Any]
    leaves: list[Any]
    positions: list[Any]
    saved: list[Any]


class _Look(NamedTuple):
    """What an operation looks like, and where its edges lead: to operations and leaves by their
    numbers, in the order in which they are found.
    """

    op: Op
    shape: Any
    dtype: Any
    places: Any
    ends: list[int]


# Among `ends`, leaves are counted down from here, and this is where nothing needs a gradient.
_FIRST_LEAF, _NOWHERE = -2, -1
_LEAVES = {AccumulateGrad}


class Recipe:
    """What a tape looked like, and what its backward pass made."""

    __slots__ = (
        "attrs",
        "constants",
        "count",
        "kinds",
        "leaves",
        "looks",
        "order",
        "others",
        "pick_others",
        "pick_zeros",
        "released",
        "stretches",
        "values",
        "zeros",
    )

    def __init__(
        self, operations: Sequence[OpNode], leaves: Sequence[AccumulateGrad], script: Script
    ) -> None:
        ends: dict[Any, int] = {None: _NOWHERE}
        ends.update({node: number for number, node in enumerate(operations)})
        ends.update({leaf: _FIRST_LEAF - number for number, leaf in enumerate(leaves)})
        self.looks = [
            _Look(x.op, x.shape, x.dtype, x.places, [ends[target] for target in x.nodes])
            for x in operations
        ]
        self.leaves = [(leaf.shape, leaf.dtype) for leaf in leaves]
        self.attrs = Attributes(tuple([x.attrs for x in operations]))
        numbers = [x.number for x in operations]
        self.order = picker(sorted(range(len(numbers)), key=lambda n: -numbers[n]))
        self._describe([x.saved for x in operations], set(script.arguments))
        self.constants = script.constants
        self.released = picker(script.released)
        self.count = len(script.makings) + len(script.arrivals)
        self.stretches = []
        done = 0
        for after, node, leaf, gradient in script.arrivals:
            steps = list(map(_Step.of, script.makings[done:after]))
            self.stretches.append(_Stretch(steps, node, leaf - len(operations), gradient))
            done = after

    def _describe(self, saved: Sequence[Any], arguments: set[int]) -> None:
        """What the operations saved, without their Values."""
        row = list(chain.from_iterable(saved))
        self.kinds = list(map(type, row))
        self.values = [
            (place, x.shape, x.dtype) for place, x in enumerate(row) if x.__class__ is Value
        ]
        self.pick_others = picker(
            [n for n in range(len(row)) if row[n].__class__ is not Value and n not in arguments]
        )
        self.others = self.pick_others(row)
        zeros = [n for n, x in enumerate(self.others) if x.__class__ is float and x == 0]
        self.pick_zeros = picker(zeros)  # 0.0 and -0.0 are equal, and not the same
        self.zeros = list(map(repr, self.pick_zeros(self.others)))

    def match(self, root: OpNode) -> _Tape | None:
        """The tape that leads to `root`, if it looks like the one of this recipe."""
        operations: list[Any] = [root]
        leaves: list[Any] = []
        attrs: list[Any] = []
        positions: list[Any] = []
        numbers: list[Any] = []
        row: list[Any] = []
        node = root
        for number, (op, shape, dtype, places, ends) in enumerate(self.looks):
            if not isinstance(operations[number], OpNode):
                return None
            node = operations[number]
            nodes, saved = node.nodes, node.saved
            if (
                node.op is not op
                or node.dtype != dtype
                or node.watchers is not None
                or saved.__class__ is not tuple  # it has been freed, or packed
                or node.shape != shape
                or node.places != places
                or len(nodes) != len(ends)
            ):
                return None
            for target, end in zip(nodes, ends):
                if end >= 0:
                    if end == len(operations):
                        operations.append(target)
                    elif target is not operations[end]:
                        return None
                elif end == _NOWHERE:
                    if target is not None:
                        return None
                elif _FIRST_LEAF - end == len(leaves):
                    leaves.append(target)
                elif target is not leaves[_FIRST_LEAF - end]:
                    return None
            attrs.append(node.attrs)
            positions.append(node.position)
            numbers.append(node.number)
            row += saved
        # What is found once has a number of its own.
        newest = self.order(numbers)
        if (
            not all(map(gt, newest, newest[1:]))
            or not self.attrs.are(tuple(attrs))
            or not self._has_saved(row)
            or not self._has_leaves(leaves)
        ):
            return None
        return _Tape(operations, leaves, positions, row)

    def _has_saved(self, row: list[Any]) -> bool:
        """Whether what was saved is what it was, but for what is inside of Values and for numbers
        that derivatives only hand on.
        """
        others = self.pick_others(row)
        if (
            list(map(type, row)) != self.kinds
            or others != self.others
            or (self.zeros and list(map(repr, self.pick_zeros(others))) != self.zeros)
        ):
            return False
        for place, shape, dtype in self.values:
            value = row[place]
            if value.dtype != dtype or value.shape != shape:  # tuples for several results
                return False
        return True

    def _has_leaves(self, leaves: list[Any]) -> bool:
        """Whether these are different leaves like those there were, without hooks."""
        different = set(leaves)
        if len(different) != len(leaves) or set(map(type, different)) != _LEAVES:
            return False
        for leaf, (shape, dtype) in zip(leaves, self.leaves):
            if (
                leaf.dtype is not dtype
                or leaf.shape != shape
                or leaf.watchers is not None
                or leaf.post_hooks
            ):
                return False
        return True

    def follow(self, tape: _Tape, g: Value, own: ThreadState, retain_graph: bool) -> bool:
        """Make everything, and give the leaves their gradients, if there is room for so many Values
        before some have to be run. Whether there was.
        """
        operations, leaves, positions, row = tape
        recorded = own.pending
        values = recorded.values
        if len(values) + self.count > recorded.limit:
            return False
        sources = [*row, g, *self.constants]
        outer = own.position
        try:
            for steps, last, leaf, gradient in self.stretches:
                for op, attrs, shape, dtype, node, inputs, alone in steps:
                    made = Value.__new__(Value)
                    made.op = op
                    made.inputs = inputs(sources) if alone is None else (sources[alone],)
                    made.attrs = attrs
                    made.shape = shape
                    made.dtype = dtype
                    made.position = positions[node]
                    made.buffer = made.bounds = None
                    sources.append(made)
                    values.append(made)
                own.position = positions[last]
                accumulate_grad(leaves[leaf], sources[gradient], False)
        finally:
            own.position = outer
        if not retain_graph:
            for operation in self.released(operations):
                operation.saved = None
        return True


def _found_out(root: OpNode, g: Value) -> Recipe | None:
    """The recipe for the backward pass that begins at `root`; None if it cannot be repeated."""
    operations: list[Any] = [root]
    leaves: list[Any] = []
    seen: set[Any] = {root, None}
    for node in operations:
        for target in node.nodes:
            if target not in seen:
                seen.add(target)
                (leaves if target.__class__ is AccumulateGrad else operations).append(target)
        if len(seen) > _MOST_NODES:
            return None
    script = rehearse(operations, leaves, g)
    return None if script is None else Recipe(operations, leaves, script)
