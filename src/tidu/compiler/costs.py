"""What it costs to compute an element, so that one can tell what to store and what to repeat.

The unit is one simple instruction on a vector.
"""

from __future__ import annotations

import itertools
from functools import cache
from math import prod
from typing import Any, NamedTuple

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.compiler.expressions import (
    COMPUTE,
    CONSTANT,
    GUARDED,
    IOTA,
    LOAD,
    Expression,
    below,
)
from tidu.compiler.instructions import Register
from tidu.compiler.scalars import VectorScalars
from tidu.ir.op import Op

# A load or a store of 4 bytes for each element, from a cache that several buffers share; and where
# there are so many elements that other buffers take their place in the cache before they are read.
_CACHED, _UNCACHED, _MANY = 8.0, 16.0, 1 << 18
# A division or a square root.
_SLOW_INSTRUCTIONS = {"fdiv": 8.0, "sqrt": 10.0, "sdiv": 30.0, "udiv": 30.0, "srem": 30.0}
# Elements that are not neighbors, and those at places that are computed.
_GATHERED, _INDEXED = 4.0, 8.0
# What has so many times fewer elements is computed outside of the innermost loop.
_MUCH_LESS = 4


class Cost(NamedTuple):
    """What an element costs, in simple instructions on a vector."""

    instructions: float
    memory: float  # loads of 4 bytes for each element


def cost(x: Expression, space: Shape) -> Cost:
    """What computing one element of `x` costs in loops over `space`."""
    whole = prod(space)
    dims: dict[int, frozenset[int]] = {}
    instructions = memory = 0.0
    for node in below(x):
        depends = _own_dimensions(node).union(*(dims[y.number] for y in node.inputs))
        dims[node.number] = depends
        if prod(space[d] for d in depends) * _MUCH_LESS <= whole:
            continue
        if node.kind == LOAD:
            memory += _load(node, space)
        elif node.kind == COMPUTE:
            instructions += _operation(node)
        elif node.kind == GUARDED:
            instructions += 2 * len(node.what[0])
    return Cost(instructions, memory)


def is_cheap_to_repeat(x: Expression, space: Shape, uses: float) -> bool:
    """Whether computing `x` for each of its uses costs no more than storing and reading it."""
    once = cost(x, space)
    width = _width(x)
    if uses <= 1:  # by several, each of which needs a part
        return once.memory <= 2 * width
    price = _CACHED if prod(space) < _MANY else _UNCACHED
    total = once.instructions + price * once.memory
    return uses * total <= total + price * width * (1 + uses)


def _own_dimensions(x: Expression) -> frozenset[int]:
    if x.kind == LOAD:
        layouts = [x.what[1]]
    elif x.kind == IOTA:
        layouts = [x.what]
    elif x.kind == GUARDED:
        layouts = [guard.layout for guard in x.what[0]]
    else:
        return frozenset()
    return frozenset(d for layout in layouts for d, s in enumerate(layout.strides) if s)


def _width(x: Expression) -> float:
    size: int = x.dtype.itemsize
    return size / 4


def _load(x: Expression, space: Shape) -> float:
    _, layout, indices = x.what
    width = _width(x)
    if indices:
        return _INDEXED * width
    neighbors = any(abs(s) == 1 for s, n in zip(layout.strides, space, strict=True) if n > 1)
    return width if neighbors else _GATHERED * width


def _operation(x: Expression) -> float:
    op, attrs = x.what
    kinds = tuple(None if y.kind == CONSTANT and y.what is None else y.dtype for y in x.inputs)
    return _instructions(op, attrs, kinds)


@cache
def _instructions(op: Op, attrs: tuple[Any, ...], kinds: tuple[dtype | None, ...]) -> float:
    """What the text of an operation costs, for inputs of these dtypes."""
    assert op.emit is not None
    lines: list[str] = []
    numbers = itertools.count()
    scalars = VectorScalars(lines, 16, lambda: f"%v{next(numbers)}")
    given = [
        None if kind is None else Register(f"%x{place}", dtypes.float32 if kind.is_half else kind)
        for place, kind in enumerate(kinds)
    ]
    op.emit(scalars, *given, *attrs)
    return sum(_instruction(line) for line in lines)


def _instruction(line: str) -> float:
    for name, price in _SLOW_INSTRUCTIONS.items():
        if name in line:
            return price
    return 1.0
