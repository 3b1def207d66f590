"""The specification of the graph, as a program: what must hold of every region before it is run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tidu.base.dtypes import dtype
from tidu.ir.op import NUMBERS, registry
from tidu.ir.render import render_value
from tidu.ir.value import Value


class InvalidGraphError(AssertionError):
    """A region breaks a rule of the intermediate representation:
    a bug in tidu, never in a user's program.
    """


def verify_region(region: Sequence[Value]) -> None:
    """Check a region in the order in which it will run; raises InvalidGraphError.

    Every input is a leaf, stands earlier in the region, or is a number; every Value has a
    registered op, and shape and dtype are those that the op's own rule gives.
    """
    defined: set[int] = set()
    for value in region:
        for complaint in value_complaints(value, defined):
            raise InvalidGraphError(f"{complaint}: {render_value(value)}")
        defined.add(id(value))


def value_complaints(value: Value, defined: set[int]) -> Iterator[str]:
    """What is wrong with a Value, given the ids of those that stand before it."""
    op = value.op
    if op is None:
        yield "a leaf is not run"
        return
    if registry.get(op.name) is not op:
        yield f"op '{op.name}' is not registered"
    for x in value.inputs:
        if isinstance(x, Value):
            if x.buffer is None and id(x) not in defined:
                yield "an input is neither a leaf nor defined earlier"
        elif x is not None and not isinstance(x, NUMBERS):
            yield f"an input of type {type(x).__name__}"
    try:
        hash(value.attrs)
    except TypeError:
        yield "attributes that cannot be part of a key"
    inputs, shape, result = op.infer(op, value.inputs, value.attrs)
    if any(
        a is not b for a, b in zip(inputs, value.inputs, strict=True) if not isinstance(b, NUMBERS)
    ):
        yield "inputs that the op would still cast"
    if not _same(shape, value.shape) or result != value.dtype:
        yield f"its rule gives {result}{list(shape)}"
    if op.outputs == 1 and not isinstance(value.dtype, dtype):
        yield "several results from an op that declares one"


def _same(a: Any, b: Any) -> bool:
    return tuple(a) == tuple(b)
