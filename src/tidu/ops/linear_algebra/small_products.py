"""Products of small matrices in the order in which PyTorch adds on AMD's processors, with two
threads. On Intel's, nearly all products are added up as large ones are.

Where a result has at least 4 rows and 12 columns, each of its elements is a chain of fused
multiplications and additions, as in any BLAS. Otherwise products are rounded before they are added.
If both operands have their elements along k side by side (x · weightᵀ), they are added in 4 lanes,
in the last columns of a number that 4 does not divide in 8; otherwise one by one. Two threads share
the rows in multiples of 4, and what is left for the second may be such a small product, too.

This is so where the rows of the operands are aligned to 16 bytes, that is of a multiple of 4
elements. Others, and what is no longer small, are left to BLAS.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.ir.product_order import on_intel
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import reshape, slice_along
from tidu.ops.reductions.reduce import in_order_numpy, sum_in_order
from tidu.ops.reductions.rows import sum_in_lanes, sum_in_lanes_numpy

# So many multiplications BLAS does hardly faster.
_MOST = 1 << 16
_ROWS, _COLUMNS = 4, 12  # from which on BLAS has its own way
_ALIGNED = 4
_LANES, _LANES_OF_LAST = 4, 8


def _is_small(rows: int, depth: int, columns: int) -> bool:
    few = rows < _ROWS or columns < _COLUMNS
    return not on_intel() and few and min(rows, columns) > 1 and rows * depth * columns <= _MOST


def in_lanes(rows: int, depth: int, columns: int) -> bool:
    """Whether x · weightᵀ is added up in lanes."""
    fits = depth % _ALIGNED == 0 and depth >= _LANES_OF_LAST
    return fits and _is_small(rows, depth, columns)


def rows_of_blas(rows: int, depth: int, columns: int) -> int:
    """How many rows of a product of other operands are not added up one by one."""
    if on_intel() or columns % _ALIGNED:
        return rows
    if rows < _ROWS or columns < _COLUMNS:
        return 0 if _is_small(rows, depth, columns) else rows
    shared = depth >= 17 or (columns > 16 and depth >= 5) or (columns > 100 and depth >= 2)
    first = min(rows, -(-rows // 8) * 4) if shared else rows
    others = rows - first
    return first if 0 < others < _ROWS and others * depth * columns <= _MOST else rows


def product_in_lanes(x: Any, weight: Any) -> Any:
    """x (rows, depth) times the transpose of `weight` (columns, depth)."""
    columns, depth = weight.shape
    last = columns % _LANES
    parts = []
    for start, stop, lanes in (
        (0, columns - last, _LANES),
        (columns - last, columns, _LANES_OF_LAST),
    ):
        if start < stop:
            some = slice_along(weight, 0, start, stop)
            products = reshape(x, (x.shape[0], 1, depth)) * reshape(some, (1, stop - start, depth))
            parts.append(_sum_in_lanes(products, lanes))
    return parts[0] if len(parts) == 1 else cat_(tuple(parts), 1)


def _sum_in_lanes(products: Any, lanes: int) -> Any:
    depth = products.shape[-1]
    left = depth % lanes
    total = sum_in_lanes(slice_along(products, 2, 0, depth - left), lanes)
    if left:
        total = cat_((total, slice_along(products, 2, depth - left, depth)), 2)
    return sum_in_order(total, (2,), False)


def product_in_lanes_numpy(x: Any, weight: Any) -> Any:
    """As `product_in_lanes`, of NumPy arrays."""
    products = x[:, None, :] * weight  # (rows, columns, depth)
    last = weight.shape[0] // _LANES * _LANES
    every = (products[:, :last], _LANES), (products[:, last:], _LANES_OF_LAST)
    return np.concatenate([_sum_in_lanes_numpy(part, lanes) for part, lanes in every], 1)


def _sum_in_lanes_numpy(products: Any, lanes: int) -> Any:
    begun = products.shape[-1] // lanes * lanes
    total = sum_in_lanes_numpy(products[..., :begun], lanes)
    return in_order_numpy(np.concatenate([total, products[..., begun:]], 2), (2,), False)


def product_one_by_one(a: Any, b: Any) -> Any:
    """a (rows, depth) times b (depth, columns)."""
    return sum_in_order(reshape(a, (*a.shape, 1)) * reshape(b, (1, *b.shape)), (1,), False)


def product_one_by_one_numpy(a: Any, b: Any) -> Any:
    """As `product_one_by_one`, of NumPy arrays."""
    return in_order_numpy(a[:, :, None] * b, (1,), False)
