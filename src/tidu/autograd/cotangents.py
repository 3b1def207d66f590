"""Cotangents: as Values or as tensors, in the shape and dtype of what they belong to."""

from __future__ import annotations

from typing import Any

from tidu.autograd.tape import GradFn, Tape
from tidu.base.shapes import Shape
from tidu.ir.value import Value
from tidu.ops.cast import cast
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.reduce import sum_


def as_tensor(g: Any) -> Any:
    return Tape.wrap(g, None) if g.__class__ is Value else g


def as_value(g: Any, create_graph: bool) -> Any:
    return g if g is None or create_graph else Tape.value_of(g)


def fitted(g: Any, node: GradFn, output: int) -> Any:
    """A cotangent summed over what was broadcast, in the dtype of the result it belongs to."""
    if node.outputs == 1:
        shape, d = node.shape, node.dtype
    else:
        shape, d = node.spec(output)
    if g.shape != shape:
        g = sum_to(g, shape)
    return g if g.dtype is d else cast(g, d)


def sum_to(g: Any, shape: Shape) -> Any:
    """Sum over the dimensions along which something of `shape` was repeated."""
    have = g.shape
    extra = len(have) - len(shape)
    if have[extra:] == shape:
        dims = tuple(range(extra))
    else:
        dims = tuple(
            [i for i, n in enumerate(have) if i < extra or (shape[i - extra] == 1 and n != 1)]
        )
    if dims:
        g = sum_.value((g,), (dims, False)) if g.__class__ is Value else sum_(g, dims, False)
    return g if g.shape == shape else reshape(g, shape)
