"""Right operands of many small products are laid out once as the products want them.

A product with many rows lays its right operand into strips as it goes (`strips.py`), or turns it
around where it is transposed. For each of many products with few rows that takes as long as a part
of the product, or all of it; BLAS reads a transposed one with a fifth to a third less speed. So the
steps of a recurrent layer have a copy of their weights made once: by rows, or in strips where those
are multiplied with. Such products are also cut into blocks of rows, each for all columns: what one
worker made of some rows in one step is mostly what it needs of the step before.
"""

from __future__ import annotations

from dataclasses import replace

from tidu.compiler import strips
from tidu.compiler.expressions import Expressions
from tidu.compiler.gemm import is_in_strips
from tidu.compiler.instructions import ELEMENTS
from tidu.compiler.layouts import Layout, contiguous
from tidu.compiler.steps import Buffer, Operand, Product, Root, Step, Steps

# Rows multiplied with an operand from which on copying it costs less than it saves, and rows of one
# product from which on that does not need it.
_WORTH_COPYING, _MANY_ROWS = 256, 128
# Fewer columns than this BLAS reads as quickly either way.
_FEW_COLUMNS = 32
# Rows of a block.
_BLOCK = 16

# The same elements of the same buffer, as a matrix of k rows and n columns.
_Key = tuple[int, int, int, bool, int, int]


def lay_out(steps: Steps, make: Expressions, vector_bytes: int) -> None:
    """Give products a copy of their right operand, where that is worth it."""
    rows: dict[_Key, int] = {}
    for step in steps.steps:
        if isinstance(step, Product) and _has_few_rows(step):
            rows[_key(step)] = rows.get(_key(step), 0) + step.m
    copies: dict[tuple[_Key, bool], Buffer] = {}
    order: list[Step] = []
    for step in steps.steps:
        if isinstance(step, Product) and rows.get(_key(step), 0) >= _WORTH_COPYING:
            width = _strips_of(step, vector_bytes)
            if width or step.b.transposed:
                copy = copies.get((_key(step), width > 0))
                if copy is None:
                    root = _copy(steps, make, step, width or step.n)
                    order.append(root)
                    copy = copies[_key(step), width > 0] = root.buffer
                step = _in_blocks(step, copy, width) if width else _by_rows(step, copy)
        order.append(step)
    steps.steps[:] = order


def _has_few_rows(product: Product) -> bool:
    few = 1 < product.m < _MANY_ROWS and product.n >= _FEW_COLUMNS
    return few and not product.batch and not product.a.transposed


def _key(product: Product) -> _Key:
    b = product.b
    return b.buffer.number, b.offset, b.leading, b.transposed, product.k, product.n


def _strips_of(product: Product, vector_bytes: int) -> int:
    """The width of the strips that a product is better off with, 0 if it is not."""
    width = strips.width(ELEMENTS[product.dtype], vector_bytes) if vector_bytes else 0
    fitting = width and product.n % width == 0 and product.m % _BLOCK == 0
    return width if fitting and is_in_strips(_BLOCK, width, product.k, False, False) else 0


def _copy(steps: Steps, make: Expressions, product: Product, width: int) -> Root:
    """The operand in strips: of each the k rows one behind the other."""
    b, shape = product.b, (product.n // width, product.k, width)
    across, down = (b.leading, 1) if b.transposed else (1, b.leading)
    buffer = Buffer(len(steps.buffers), product.k * product.n, product.dtype, shape)
    steps.buffers.append(buffer)
    layout = Layout((width * across, down, across), b.offset)
    load = make.load(b.buffer.number, layout, product.dtype)
    return Root(buffer, shape, load, contiguous(shape), value=product.value)


def _by_rows(product: Product, copy: Buffer) -> Product:
    return replace(product, b=Operand(copy, 0, False, product.n, ()))


def _in_blocks(product: Product, copy: Buffer, width: int) -> Product:
    """A batch of products: blocks of rows, of each those with the strips."""
    a, c = product.a, product.c
    return replace(
        product,
        m=_BLOCK,
        n=width,
        batch=(product.m // _BLOCK, product.n // width),
        a=replace(a, batch=(_BLOCK * a.leading, 0)),
        b=Operand(copy, 0, False, width, (0, product.k * width)),
        c=replace(c, batch=(_BLOCK * c.leading, width)),
    )
