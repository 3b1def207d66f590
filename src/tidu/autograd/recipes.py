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
from operator import attrgetter, gt, is_
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

_new = object.__new__


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
                return recipe.follow(tape, g, own, retain_graph=retain_graph)
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
    positions: tuple[Any, ...]
    saved: list[Any]


class _Found(NamedTuple):
    """The operations that a root leads to, and the leaves; and by which edges all but the root were
    found: the number of the operation, and which of its edges.
    """

    operations: list[Any]
    leaves: list[Any]
    reached: list[tuple[int, int]]
    leaf_places: list[tuple[int, int]]


_columns_of = attrgetter(
    "op", "nodes", "places", "shape", "dtype", "attrs", "watchers", "number", "position", "saved"
)
_USUAL = {OpNode}  # the class of nodes that nobody has looked at
_LEAVES = {AccumulateGrad}


class Recipe:
    """What a tape looked like, in columns, and what its backward pass made."""

    __slots__ = (
        "arities",
        "attrs",
        "constants",
        "count",
        "dtypes",
        "edges",
        "kinds",
        "leaf_dtypes",
        "leaf_places",
        "leaf_shapes",
        "ops",
        "order",
        "others",
        "pick_others",
        "pick_values",
        "pick_zeros",
        "places",
        "reached",
        "released",
        "shapes",
        "stretches",
        "value_dtypes",
        "value_shapes",
        "zeros",
    )

    def __init__(self, found: _Found, script: Script) -> None:
        operations, leaves, self.reached, self.leaf_places = found
        self.ops, nodes, self.places, self.shapes, self.dtypes, attrs, _, numbers, _, saved = zip(
            *map(_columns_of, operations), strict=True
        )
        self.attrs = Attributes(attrs)
        self.order = picker(sorted(range(len(numbers)), key=lambda n: -numbers[n]))
        self.arities = list(map(len, nodes))
        self.leaf_shapes = [leaf.shape for leaf in leaves]
        self.leaf_dtypes = [leaf.dtype for leaf in leaves]
        known = {node: place for place, node in enumerate((*operations, *leaves, None))}
        self.edges = picker(known[target] for target in chain.from_iterable(nodes))
        self._describe(saved, set(script.arguments))
        self.constants = script.constants
        self.released = picker(script.released)
        self.count = len(script.makings) + len(script.arrivals)
        self.stretches = []
        done = 0
        for after, node, leaf, gradient in script.arrivals:
            steps = list(map(_Step.of, script.makings[done:after]))
            self.stretches.append(_Stretch(steps, node, leaf - len(operations), gradient))
            done = after

    def _describe(self, saved: Sequence[tuple[Any, ...]], arguments: set[int]) -> None:
        """What the operations saved, without their Values."""
        row = list(chain.from_iterable(saved))
        self.kinds = list(map(type, row))
        values = [place for place, x in enumerate(row) if x.__class__ is Value]
        others = [
            n for n in range(len(row)) if row[n].__class__ is not Value and n not in arguments
        ]
        self.pick_values, self.pick_others = picker(values), picker(others)
        self.value_shapes = [row[place].shape for place in values]
        self.value_dtypes = [row[place].dtype for place in values]
        self.others = self.pick_others(row)
        zeros = [n for n, x in enumerate(self.others) if x.__class__ is float and x == 0]
        self.pick_zeros = picker(zeros)  # 0.0 and -0.0 are equal, and not the same
        self.zeros = list(map(repr, self.pick_zeros(self.others)))

    def match(self, root: OpNode) -> _Tape | None:
        """The tape that leads to `root`, if it looks like the one of this recipe."""
        operations: list[Any] = [root]
        try:
            for number, place in self.reached:
                operations.append(operations[number].nodes[place])
            leaves = [operations[number].nodes[place] for number, place in self.leaf_places]
        except (AttributeError, IndexError):
            return None
        if set(map(type, leaves)) != _LEAVES:  # mostly so where a tape goes on
            return None
        if set(map(type, operations)) != _USUAL and not all(
            [isinstance(node, OpNode) for node in operations]
        ):
            return None
        ops, nodes, places, shapes, dtypes, attrs, watchers, numbers, positions, saved = zip(
            *map(_columns_of, operations)
        )
        if (
            ops != self.ops
            or shapes != self.shapes
            or dtypes != self.dtypes
            or places != self.places
            or not self.attrs.are(attrs)
            or any(watchers)
            or list(map(len, nodes)) != self.arities
        ):
            return None
        newest = self.order(numbers)
        if not all(map(gt, newest, newest[1:])):
            return None
        targets = list(chain.from_iterable(nodes))
        if not all(map(is_, targets, self.edges((*operations, *leaves, None)))):
            return None
        row = self._matching_row(saved)
        if row is None or not self._matching_leaves(leaves):
            return None
        return _Tape(operations, leaves, positions, row)

    def _matching_row(self, saved: tuple[Any, ...]) -> list[Any] | None:
        """What was saved, if it is what it was but for what is inside of Values and for the numbers
        that derivatives only hand on.
        """
        try:
            row = list(chain.from_iterable(saved))
        except TypeError:  # it has been freed
            return None
        others = self.pick_others(row)
        if (
            list(map(type, row)) != self.kinds
            or others != self.others
            or (self.zeros and list(map(repr, self.pick_zeros(others))) != self.zeros)
        ):
            return None
        values = self.pick_values(row)
        if [x.shape for x in values] != self.value_shapes:
            return None
        return row if [x.dtype for x in values] == self.value_dtypes else None

    def _matching_leaves(self, leaves: list[Any]) -> bool:
        """Whether these are different leaves like those there were, without hooks."""
        different = set(leaves)
        return (
            len(different) == len(leaves)
            and [leaf.shape for leaf in leaves] == self.leaf_shapes
            and [leaf.dtype for leaf in leaves] == self.leaf_dtypes
            and not any([leaf.watchers or leaf.post_hooks for leaf in leaves])
        )

    def follow(self, tape: _Tape, g: Value, own: ThreadState, *, retain_graph: bool) -> bool:
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
                    made = _new(Value)
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
    found = _Found([root], [], [], [])
    operations, leaves, reached, leaf_places = found
    seen: set[Any] = {root}
    for number, node in enumerate(operations):
        for place, target in enumerate(node.nodes):
            if target is None or target in seen:
                continue
            seen.add(target)
            if target.__class__ is AccumulateGrad:
                leaves.append(target)
                leaf_places.append((number, place))
            else:
                operations.append(target)
                reached.append((number, place))
        if len(seen) > _MOST_NODES:
            return None
    script = rehearse(operations, leaves, g)
    return None if script is None else Recipe(found, script)
