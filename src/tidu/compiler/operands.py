"""Transposed operands of many small products are stored the other way round.

A product with many rows turns its right operand around as it goes (`strips.py`). For each of many
products with few rows that takes as long as the product itself, or BLAS reads it with a fifth to a
third less speed: the steps of a recurrent layer have a copy of their weights made once.
"""

from __future__ import annotations

from dataclasses import replace

from tidu.compiler.expressions import Expressions
from tidu.compiler.layouts import Layout, contiguous
from tidu.compiler.steps import Buffer, Operand, Product, Root, Step, Steps

# Rows multiplied with an operand from which on copying it costs less than it saves, and rows of one
# product from which on that does not need it.
_WORTH_COPYING, _MANY_ROWS = 256, 128
# Fewer columns than this BLAS reads as quickly either way.
_FEW_COLUMNS = 32

# The same elements of the same buffer, as a matrix of k rows and n columns.
_Key = tuple[int, int, int, int, int]


def straighten(steps: Steps, make: Expressions) -> None:
    """Give products a copy of their right operand by rows, where that is worth it."""
    rows: dict[_Key, int] = {}
    for step in steps.steps:
        if isinstance(step, Product) and _may_change(step):
            rows[_key(step)] = rows.get(_key(step), 0) + step.m
    copies: dict[_Key, Buffer] = {}
    order: list[Step] = []
    for step in steps.steps:
        if isinstance(step, Product) and _may_change(step) and rows[_key(step)] >= _WORTH_COPYING:
            copy = copies.get(_key(step))
            if copy is None:
                root = _copy(steps, make, step)
                order.append(root)
                copy = copies[_key(step)] = root.buffer
            step = replace(step, b=Operand(copy, 0, False, step.n, ()))
        order.append(step)
    steps.steps[:] = order


def _may_change(product: Product) -> bool:
    b = product.b
    straight = not product.a.transposed and b.transposed
    few_rows = 1 < product.m < _MANY_ROWS
    return straight and not product.batch and few_rows and product.n >= _FEW_COLUMNS


def _key(product: Product) -> _Key:
    b = product.b
    return b.buffer.number, b.offset, b.leading, product.k, product.n


def _copy(steps: Steps, make: Expressions, product: Product) -> Root:
    """The operand with its k rows of n elements one behind the other."""
    b, shape = product.b, (product.k, product.n)
    buffer = Buffer(len(steps.buffers), product.k * product.n, product.dtype, shape)
    steps.buffers.append(buffer)
    load = make.load(b.buffer.number, Layout((1, b.leading), b.offset), product.dtype)
    return Root(buffer, shape, load, contiguous(shape), value=product.value)
