"""Elements at places that numbers tell: nonzero, masks, index_put. Tensors are run at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import broadcast
from tidu.ir.op import function
from tidu.ops.elementwise import where
from tidu.ops.indexing.arrays import index, index_put
from tidu.ops.moving.movement import expand
from tidu.ops.rules import class_name
from tidu.tensor.indexing import parse
from tidu.tensor.tensor import Tensor, from_array


def _found(input: Tensor) -> Any:
    array = input._array()
    return np.nonzero(array) if array.ndim else (np.zeros(int(bool(array)), np.int64),)


@function("torch.nonzero Tensor.nonzero")
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The places of the elements that are not 0: one row for each, or with `as_tuple` one tensor
    for each dimension.

    >>> torch.nonzero(torch.tensor([0, 3, 0, 1]))
    tensor([[1],
            [3]])
    """
    places = _found(input)
    if as_tuple:
        return tuple(from_array(p) for p in places)
    count, rank = len(places[0]), len(input.shape)
    return from_array(np.stack(places, 1) if rank else np.zeros((count, 0), np.int64))


@function("torch.argwhere Tensor.argwhere")
def argwhere(input: Any) -> Any:
    """`nonzero` as rows."""
    return nonzero(input)


@function("torch.nonzero_static Tensor.nonzero_static")
def nonzero_static(input: Any, *, size: int, fill_value: int = -1) -> Any:
    """The first `size` rows of `nonzero`, filled up with `fill_value`."""
    if size < 0:
        raise RuntimeError(
            f"nonzero_static: 'size' must be an non-negative integer, but got {size}"
        )
    rows = nonzero(input)._array()[:size]
    made = np.full((size, len(input.shape)), fill_value, np.int64)
    made[: len(rows)] = rows
    return from_array(made)


@function("torch.masked_select Tensor.masked_select")
def masked_select(input: Any, mask: Any) -> Any:
    """The elements where `mask` holds, in one dimension; the two broadcast."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask; write mask.bool()")
    shape = broadcast("masked_select", tuple(input.shape), tuple(mask.shape))
    places = _found(expand(mask, shape))
    x = expand(input, shape) if tuple(input.shape) != shape else input
    if not shape:
        x, places = x.reshape(1), places[:1]
    positions = tuple(from_array(p) for p in places)
    return index.named("MaskedSelectBackward0", (x, *positions), tuple(range(len(positions))))


def _at_least_1d(one: Tensor) -> Any:
    return one if one.shape or one.dtype is dtypes.bool_ else one.reshape(1)


@function("torch.index_put Tensor.index_put")
def index_put_at(input: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """`input` with `values` at ``input[indices]``, or with `accumulate` added there, repeated
    places adding up.

    >>> torch.index_put(torch.zeros(3), (torch.tensor([1]),), torch.tensor(5.0))
    tensor([0., 5., 0.])
    """
    for number, one in enumerate(indices):
        if not isinstance(one, Tensor) and one is not None:
            raise TypeError(
                f"expected Tensor as element {number} in argument 1, but got {type(one).__name__}"
            )
    keys = tuple(slice(None) if one is None else _at_least_1d(one) for one in indices)
    view, positions, dims = parse(input, keys)
    if values.dtype is not input.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got"
            f" {class_name(input.dtype)} for the destination and {class_name(values.dtype)} for the"
            " source."
        )
    return index_put.named("IndexPutBackward0", (view, values, *positions), dims, bool(accumulate))


@function("Tensor.index_put_ torch.index_put_")
def index_put_(self: Any, indices: Sequence[Any], values: Any, accumulate: bool = False) -> Any:
    """`index_put`, in place."""
    return self._assign(index_put_at(self, indices, values, accumulate))


@function("torch._unsafe_masked_index")
def unsafe_masked_index(self: Any, mask: Any, indices: Sequence[Any], fill: Any) -> Any:
    """``self[indices]`` where `mask` holds, `fill` elsewhere;
    indices outside the mask may be out of range.
    """
    clamped = []
    for d, one in enumerate(indices):
        clamped.append(slice(None) if one is None else one.clamp(-self.shape[d], self.shape[d] - 1))
    if 0 in self.shape:
        return where(mask, fill, fill)
    return self[tuple(clamped)].masked_fill(~mask, fill)


def _positive_sizes(shape: Any) -> tuple[int, ...]:
    sizes = (
        (int(shape),)
        if isinstance(shape, int) or not hasattr(shape, "__iter__")
        else tuple(int(n) for n in shape)
    )
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    return sizes


@function("torch.unravel_index")
def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """The coordinates, one tensor for each dimension, of flat indices into a tensor of `shape`."""
    if indices.dtype.is_floating_point or indices.dtype is dtypes.bool_:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    steps, step = [], 1
    sizes = _positive_sizes(shape)
    for n in reversed(sizes):
        steps.append(step)
        step *= n
    indices = indices.to(dtypes.int64)
    if 0 in sizes and indices.numel():
        raise RuntimeError(f"unravel_index: indices into an empty tensor of shape {sizes}")
    return tuple((indices // step) % n for n, step in zip(sizes, reversed(steps), strict=True))
