"""Functions whose result's shape, or whose answer, depends on the numbers: run at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import broadcast, wrap_dim
from tidu.ir.op import function
from tidu.ops.elementwise import where
from tidu.ops.elementwise.one_operand import isclose
from tidu.ops.indexing.arrays import index, index_put
from tidu.ops.indexing.sorting import sortable
from tidu.ops.moving.movement import expand
from tidu.ops.rules import class_name
from tidu.tensor.indexing import parse
from tidu.tensor.tensor import Tensor, from_array

# Places -------------------------------------------------------------------------------------------


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


# Equality -----------------------------------------------------------------------------------------


@function("torch.equal Tensor.equal")
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and elements, as a bool."""
    for position, x in enumerate((input, other), 1):
        if not isinstance(x, Tensor):
            name = "input" if position == 1 else "other"
            raise TypeError(
                f"equal(): argument '{name}' (position {position}) must be Tensor, not"
                f" {type(x).__name__}"
            )
    if tuple(input.shape) != tuple(other.shape):
        return False
    return bool(np.all(input._array() == other._array()))


@function("torch.allclose Tensor.allclose")
def allclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, |input - other| <= atol + rtol · |other|, as a bool.

    >>> torch.allclose(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())


@function("torch.is_nonzero Tensor.is_nonzero")
def is_nonzero(input: Any) -> bool:
    """Whether the one element is not 0."""
    return bool(input)


# Distinct elements --------------------------------------------------------------------------------


def _distinct(array: Any, dim: int | None) -> tuple[Any, Any, Any]:
    """(sorted distinct elements or slices, where each came to, how often each occurs)."""
    if dim is not None and array.ndim and 0 in array.shape:
        return _distinct_of_empty(array, dim)
    found, inverse, counts = np.unique(
        sortable(array), return_inverse=True, return_counts=True, axis=dim, equal_nan=False
    )
    return found.astype(array.dtype), inverse.reshape(array.shape if dim is None else -1), counts


def _distinct_of_empty(array: Any, dim: int) -> tuple[Any, Any, Any]:
    if array.shape[dim]:
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied:"
            f" shape {list(array.shape)}"
        )
    none = np.zeros(0, np.int64)
    return array, none, none


def _neighbors_differ(rows: Any) -> Any:
    """For each slice along the first dimension, whether it differs from the one before."""
    fresh = np.ones(len(rows), bool)
    flat = rows.reshape(len(rows), -1)
    fresh[1:] = (flat[1:] != flat[:-1]).any(1)
    return fresh


def _requested(parts: tuple[Any, Any, Any], d: Any, inverse: bool, counts: bool) -> Any:
    found = from_array(np.ascontiguousarray(parts[0]), d)
    extra = [
        from_array(p.astype(np.int64))
        for p, wanted in zip(parts[1:], (inverse, counts), strict=True)
        if wanted
    ]
    return (found, *extra) if extra else found


@function("torch.unique Tensor.unique")
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in ascending order, or the distinct slices along `dim`.

    With `return_inverse` also where each element went, with `return_counts` how often each occurs.

    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    d = None if dim is None else wrap_dim(dim, len(input.shape))
    return _requested(_distinct(input._array(), d), input.dtype, return_inverse, return_counts)


@function("torch.unique_consecutive Tensor.unique_consecutive")
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Every run of equal elements (or slices along `dim`) as one."""
    array = sortable(input._array())
    if dim is None:
        rows = array.reshape(-1)
    else:
        d = wrap_dim(dim, array.ndim)
        rows = np.moveaxis(array, d, 0) if array.ndim else array.reshape(1)
        if array.ndim and 0 in array.shape and array.shape[d]:
            _distinct_of_empty(array, d)
    fresh = _neighbors_differ(rows)
    starts = np.flatnonzero(fresh)
    found = rows[starts]
    inverse = np.cumsum(fresh) - 1
    counts = np.diff(np.append(starts, len(rows)))
    if dim is None:
        inverse = inverse.reshape(array.shape)
    elif array.ndim:
        found = np.moveaxis(found, 0, wrap_dim(dim, array.ndim))
    return _requested(
        (found.astype(input._array().dtype), inverse, counts),
        input.dtype,
        return_inverse,
        return_counts,
    )


# Counting -----------------------------------------------------------------------------------------


@function("torch.bincount Tensor.bincount")
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number from 0 to the greatest occurs, or the sum of the weights there."""
    if input.dtype.is_floating_point or input.dtype is dtypes.bool_:
        raise NotImplementedError(
            f"\"bincount_cpu\" not implemented for '{class_name(input.dtype)}'; write x.long()"
        )
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    array = input._array()
    if array.ndim != 1 or (array.size and array.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and tuple(weights.shape) != array.shape:
        raise RuntimeError(
            "weights should be 1-d and have the same length as input, but got"
            f" {list(weights.shape)} and {list(array.shape)}"
        )
    if weights is None:
        return from_array(np.bincount(array, minlength=minlength).astype(np.int64))
    d = weights.dtype if weights.dtype in (dtypes.float32, dtypes.float64) else dtypes.float64
    counts = np.bincount(array, weights._array().astype(np.float64), minlength)
    return from_array(counts.astype(d.numpy), d)


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
