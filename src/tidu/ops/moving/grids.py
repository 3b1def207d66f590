"""Common shapes, grids, and all combinations of elements."""

from __future__ import annotations

from itertools import combinations as choose
from itertools import combinations_with_replacement
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Size, broadcast
from tidu.base.source import warn_once
from tidu.ir.op import function
from tidu.ir.value import leaf
from tidu.ops.indexing.arrays import index
from tidu.ops.moving.joining import stack
from tidu.ops.moving.movement import expand, ranges_along, reshape, slice_
from tidu.ops.rules import tensors_of


@function("torch.broadcast_tensors")
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Views of all tensors in their common shape."""
    items = tensors_of(tensors)
    shape = broadcast("broadcast_tensors", *(tuple(x.shape) for x in items))
    return tuple(x if tuple(x.shape) == shape else expand(x, shape) for x in items)


@function("torch.broadcast_shapes")
def broadcast_shapes(*shapes: Any) -> Size:
    """The common shape of several.

    >>> torch.broadcast_shapes((3, 1), (4,))
    torch.Size([3, 4])
    """
    items = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    for shape in items:
        if any(n < 0 for n in shape):
            raise RuntimeError(
                f"Trying to create tensor with negative dimension ({min(shape)}): ({min(shape)})"
            )
    return Size(broadcast("broadcast_shapes", *items) if items else ())


@function("torch.meshgrid")
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """For each vector a view that varies along its own dimension of the grid that they span.

    `indexing` "ij" (the default) has one dimension for each vector in order; "xy" swaps the first
    two.

    >>> rows, columns = torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")
    >>> columns
    tensor([[0, 1, 2],
            [0, 1, 2]])
    """
    items = tensors_of(tensors)
    if not items:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    if indexing is None:
        warn_once(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument.",
        )
    for x in items:
        if len(x.shape) > 1:
            raise RuntimeError(
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got:"
                f" {list(x.shape)}"
            )
        if x.dtype is not items[0].dtype:
            raise RuntimeError("torch.meshgrid expects all tensors to have the same dtype")
    swapped = indexing == "xy" and len(items) >= 2
    if swapped:
        items = (items[1], items[0], *items[2:])
    shape = tuple(prod(x.shape) for x in items)
    grids = [
        expand(reshape(x, tuple(shape[i] if i == d else 1 for i in range(len(shape)))), shape)
        for d, x in enumerate(items)
    ]
    if swapped:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@function("torch.cartesian_prod")
def cartesian_prod(*tensors: Any) -> Any:
    """All ways to take one element of each vector, as rows.

    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    items = tensors_of(tensors)
    for x in items:
        if len(x.shape) != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len(items) == 1:
        return slice_.named(
            "SelectBackward0", items[0], ranges_along(items[0].shape, 0, 0, items[0].shape[0])
        )
    return stack(tuple(reshape(g, (prod(g.shape),)) for g in meshgrid(*items, indexing="ij")), 1)


@function("torch.combinations")
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All ways to choose `r` elements of a vector in order, as rows."""
    if len(input.shape) != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty((0,))
    pick = combinations_with_replacement if with_replacement else choose
    rows = np.array(list(pick(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    columns = (leaf(np.ascontiguousarray(rows[:, i]), dtypes.int64) for i in range(r))
    return stack(tuple(index((input, column), (0,)) for column in columns), 1)
