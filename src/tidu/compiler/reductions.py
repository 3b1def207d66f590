"""Lowering of reductions: one pass, or two where there is too little to share among workers."""

from __future__ import annotations

from math import prod

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.compiler.expressions import Expression, usual_order
from tidu.compiler.layouts import (
    Layout,
    UnviewableError,
    contiguous,
    lifted,
    reshaped,
    without_ones,
)
from tidu.compiler.lowering import Lowering
from tidu.compiler.steps import Root
from tidu.ir.op import Op
from tidu.ir.value import Value

# A reduction of so many elements to so few results is done in two steps, so that it can be shared
# among workers; the partial results are of chunks of this size.
_LONG, _FEW, _CHUNK = 1 << 15, 64, 1 << 13
# The outermost dimension is cut, unless that gives less than so many parts.
_FEW_PARTS = 8
# Into more parts than this no dimension is cut.
_MOST_PARTS = 4096


def lower_reduction(lowering: Lowering, value: Value, op: Op) -> Expression | None:
    """The reduction of an input over `value.attrs[0]`, None if only NumPy can do it."""
    (x,) = value.inputs
    dims = frozenset(value.attrs[0])
    shape, expression = tuple(x.shape), lowering.found[id(x)]
    if not dims or all(shape[d] == 1 for d in dims):
        if x.dtype is not value.dtype:
            return None
        return lowering.make.relaid(expression, reshaped(shape, tuple(value.shape)))
    kept_size = prod(n for d, n in enumerate(shape) if d not in dims)
    if not (op.ordered or op.lanes) and kept_size <= _FEW and prod(shape) // kept_size >= _LONG:
        found = _in_two_steps(lowering, value, op, expression, dims)
        if found is not None:
            return found
    return reduce(lowering, op, expression, shape, dims, value.shape, value.dtype, value)


def reduce(
    lowering: Lowering,
    op: Op,
    x: Expression,
    shape: Shape,
    dims: frozenset[int],
    result: Shape,
    d: dtype,
    value: Value,
) -> Expression:
    """The elements, in the space `result`, of `x`, over `shape`, reduced over `dims`: stored in the
    order of what `x` is made of, unless the Value has to be by rows.
    """
    space, squeeze = without_ones(shape)
    left = [i for i, n in enumerate(shape) if n != 1]
    reduced = frozenset(i for i, d in enumerate(left) if d in dims)
    x = lowering.make.relaid(x, squeeze)
    kept = order = [i for i in range(len(space)) if i not in reduced]
    if not lowering.joins.demands.is_by_rows(value):
        order = [i for i in usual_order(x, space) if i not in reduced]
    sizes = tuple(space[i] for i in order)
    buffer = lowering.buffer(result if order == kept else sizes, d)
    strides = dict(zip(order, contiguous(sizes).strides, strict=True))
    stored = Layout(tuple(strides[i] for i in kept), 0)
    store = lifted(tuple(kept), len(space))(stored)
    lowering.steps.steps.append(Root(buffer, space, x, store, reduced, op, value=value))
    wide = tuple(i for i, n in enumerate(result) if n != 1)
    return lowering.make.load(buffer.number, lifted(wide, len(result))(stored), d)


def _in_two_steps(
    lowering: Lowering, value: Value, op: Op, x: Expression, dims: frozenset[int]
) -> Expression | None:
    """Partial results of chunks of one reduced dimension, then those of the others."""
    shape = tuple(value.inputs[0].shape)
    cut = next(d for d in sorted(dims) if shape[d] != 1)
    if shape[cut] < _FEW_PARTS:
        cut = max(dims, key=lambda d: shape[d])
    parts = _parts(shape[cut], prod(shape) // shape[cut])
    if parts == 1:
        return None
    finer = (*shape[:cut], parts, shape[cut] // parts, *shape[cut + 1 :])
    try:
        x = lowering.make.relaid(x, reshaped(shape, finer))
    except UnviewableError:
        return None
    inner = frozenset(d + (d >= cut) for d in dims)
    inner = (inner - {cut}) | {cut + 1}
    partial = tuple(1 if i in inner else n for i, n in enumerate(finer))
    wide = dtypes.float32 if value.dtype.is_half else value.dtype
    chunks = reduce(lowering, op, x, finer, inner, partial, wide, value)
    last = frozenset({cut})
    return reduce(lowering, op, chunks, partial, last, value.shape, value.dtype, value)


def _parts(size: int, others: int) -> int:
    """Into how many equal parts a long dimension is cut: chunks of about `_CHUNK` elements."""
    best = 1
    for parts in range(2, min(size, _MOST_PARTS) + 1):
        if size % parts == 0 and size // parts * others >= _CHUNK // 2:
            best = parts
            if size // parts * others <= _CHUNK * 2:
                break
    return best
