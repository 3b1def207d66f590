"""``x[key]`` and ``x[key] = value``: views for ints, slices, None and Ellipsis;
index arrays for the rest.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import can_broadcast
from tidu.base.source import at, here, warn
from tidu.base.strides import Strides, result_strides
from tidu.execute import buffer_of
from tidu.ops.elementwise import fill, overwrite, where
from tidu.ops.indexing.arrays import index, index_put
from tidu.ops.moving.movement import reshape, slice_
from tidu.ops.moving.sections import select
from tidu.ops.moving.shaping import unsqueeze
from tidu.ops.rules import class_name
from tidu.tensor.applying import apply, row
from tidu.tensor.laying import lay
from tidu.tensor.tensor import Tensor, from_array


def getitem(x: Tensor, key: Any) -> Any:
    """Read ``x[key]``. Basic keys give views; index arrays and masks give copies."""
    if key.__class__ is int:  # the common case first
        shape = x._value.shape
        if not shape or not -shape[0] <= key < shape[0]:
            parse(x, (key,))  # raises
        at_once = row(x, key if key >= 0 else key + shape[0])
        return select(x, 0, key) if at_once is None else at_once
    view, indices, dims = parse(x, _as_tuple(key))
    if not dims:
        return view
    made = index((view, *indices), dims)
    if view._chain is not None or view._storage.strides is not None:
        lay(made, _strides_of_indexed(made, view, indices, dims))
    return made


def _strides_of_indexed(
    made: Tensor, view: Tensor, indices: list[Tensor], dims: tuple[int, ...]
) -> Strides | None:
    """PyTorch reads at indices element by element: a tensor that repeats along the dimensions of
    the indices, and indices that repeat along the others.
    """
    shape = tuple(made.shape)
    strides = list(view.stride())
    count = len(shape) - len(strides) + len(dims)  # of the dimensions that the indices make
    others = [s for d, s in enumerate(strides) if d not in dims]
    start = dims[0] if dims[-1] - dims[0] == len(dims) - 1 else 0
    after = len(shape) - start - count
    operands = [(shape, (*others[:start], *(0,) * count, *others[start:]))]
    for x in indices:
        operands.append(((*x.shape, *(1,) * after), (*x.stride(), *(0,) * after)))
    return result_strides(shape, tuple(operands))


def setitem(x: Tensor, key: Any, value: Any) -> None:
    """Write ``x[key] = value``; the value is broadcast and converted to the dtype of `x`."""
    keys = _as_tuple(key)
    if len(keys) == 1 and _is_mask(keys[0]) and _is_single(value):
        _fill_masked(x, keys[0], value)
        return
    view, indices, dims = _looked_at(x, keys)
    if not dims:
        # Where this is all of `x`, no view is written through: the tape sees a copy, as in PyTorch.
        view._assign(_spread(view, value))
        return
    value = value if isinstance(value, (Tensor, bool, int, float)) else _as_tensor(value, x)
    if isinstance(value, Tensor) and value.dtype is not x.dtype:
        masks = [key for key in keys if _is_mask(key)]
        if _is_single(value) and len(masks) == 1 and len(masks[0].shape) == len(dims):
            value = value.to(x.dtype)  # one number for one mask fits whatever its dtype
        else:
            raise _different_dtypes(x, value)
    value = _drop_leading(value, len(view.shape) + max(len(i.shape) for i in indices))
    view._assign(index_put((view, value, *indices), dims, False))


def _different_dtypes(x: Tensor, value: Tensor) -> RuntimeError:
    return RuntimeError(
        "Index put requires the source and destination dtypes match, got "
        f"{class_name(x.dtype)} for the destination and {class_name(value.dtype)} for the "
        f"source; write value.to(x.dtype){at(here())}"
    )


def _drop_leading(value: Any, rank: int) -> Any:
    """A value may have more dimensions than the place it goes to, if those are of size 1."""
    if not isinstance(value, Tensor):
        return value
    shape = value._value.shape
    while len(shape) > 1 and shape[0] == 1:
        shape = shape[1:]
    return value if shape == value._value.shape else reshape(value, shape)


def _spread(view: Tensor, value: Any) -> Any:
    """`value` in the shape of `view`, as something to assign."""
    if isinstance(value, (bool, int, float)) or (
        isinstance(value, Tensor) and not value._value.shape and view._value.shape
    ):
        return apply(fill, (view, value), (), "FillBackward3")
    value = value if isinstance(value, Tensor) else _as_tensor(value, view)
    shape, target = value._value.shape, view._value.shape
    while len(shape) > len(target) and shape[0] == 1:
        shape = shape[1:]
    if shape != value._value.shape:
        value = reshape(value, shape)
    if not can_broadcast(shape, target):
        raise RuntimeError(
            f"shape mismatch: a value of shape {list(shape)} does not fit into the part of shape "
            f"{list(target)} that it is assigned to; {_first_misfit(shape, target)}{at(here())}"
        )
    return apply(overwrite, (view, value))


def _first_misfit(shape: tuple[int, ...], target: tuple[int, ...]) -> str:
    if len(shape) > len(target):
        return f"it has {len(shape)} dimensions, the part {len(target)}"
    back = next(i for i in range(1, len(shape) + 1) if shape[-i] != 1 and shape[-i] != target[-i])
    return (
        f"The expanded size of the tensor ({target[-back]}) must match the existing size "
        f"({shape[-back]}) at non-singleton dimension {len(target) - back}"
    )


def _as_tensor(value: Any, like: Tensor) -> Tensor:
    if not isinstance(value, np.generic):
        raise TypeError(
            f"can't assign a {type(value).__name__} to a {like.type()}; torch.tensor(...) makes a "
            f"tensor of it{at(here())}"
        )
    return from_array(np.array(value, dtype=like.dtype.numpy))


def delitem(x: Tensor, key: Any) -> None:
    """``del x[key]``: TypeError."""
    raise TypeError(
        f"Tensor does not support deleting items; x[mask] keeps those of a mask{at(here())}"
    )


def _is_single(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value._value.numel() == 1
    return isinstance(value, (bool, int, float))


def _is_mask(key: Any) -> bool:
    if isinstance(key, Tensor):
        return key.dtype is dtypes.bool_ or key.dtype is dtypes.uint8
    return isinstance(key, np.ndarray) and key.dtype == np.bool_


def _warn_of_bytes(mask: Tensor) -> None:
    if mask.dtype is dtypes.uint8:
        warn(
            "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool "
            "instead."
        )


def _fill_masked(x: Tensor, mask: Any, value: Any) -> None:
    """``x[mask] = number`` needs no positions: it chooses between the number and what was there."""
    mask = mask if isinstance(mask, Tensor) else from_array(mask.copy())
    _warn_of_bytes(mask)
    mask = mask if mask.dtype is dtypes.bool_ else mask.bool()
    shape, full = mask._value.shape, x._value.shape
    _check_mask(shape, full, 0)
    if len(shape) < len(full):
        mask = reshape(mask, shape + (1,) * (len(full) - len(shape)))
    if isinstance(value, Tensor):
        value = reshape(value, ())
        value = value if value.dtype is x.dtype else value.to(x.dtype)
    x._assign(where.named("IndexPutBackward0", mask, value, x).to(x.dtype))


def _check_mask(mask: tuple[int, ...], shape: tuple[int, ...], start: int) -> None:
    for i, n in enumerate(mask):
        if start + i >= len(shape) or n != shape[start + i]:
            raise IndexError(
                f"The shape of the mask {list(mask)} at index {i} does not match the shape of the "
                f"indexed tensor {list(shape)} at index {start + i}{at(here())}"
            )


# From this length on a list is always one index array.
_LONGEST_TUPLE_AS_LIST = 32


def _as_tuple(key: Any) -> tuple[Any, ...]:
    """The entries of a key; a short list that holds more than numbers stands for a tuple."""
    if isinstance(key, tuple):
        return key
    if isinstance(key, list) and len(key) < _LONGEST_TUPLE_AS_LIST and any(map(_is_entry, key)):
        return tuple(key)
    return (key,)


def _is_entry(x: Any) -> bool:
    """Whether `x` in a list makes the list a tuple of keys."""
    return x is None or x is Ellipsis or isinstance(x, (Tensor, list, tuple, slice, np.ndarray))


def _consumed(key: Any) -> int:
    """How many dimensions of the tensor one entry of the key takes up."""
    if key.__class__ is int or key.__class__ is slice:
        return 1
    if key is None or key is Ellipsis or isinstance(key, bool):
        return 0
    if _is_mask(key):
        return len(key.shape)
    return 1


def parse(x: Tensor, keys: tuple[Any, ...]) -> tuple[Tensor, list[Any], tuple[int, ...]]:
    """As `_looked_at`; what is looked at is another tensor also if it is the whole of `x`."""
    view, indices, dims = _looked_at(x, keys)
    if view is x and not dims:
        whole = tuple((0, n, 1) for n in x._value.shape)
        sliced = len(keys) == 1 and isinstance(keys[0], slice)
        name = "SliceBackward0" if sliced else "AliasBackward0"
        view = slice_.named(name, x, whole)
    return view, indices, dims


def _looked_at(x: Tensor, keys: tuple[Any, ...]) -> tuple[Tensor, list[Any], tuple[int, ...]]:
    """Apply the basic entries as views;
    return index arrays and the dimensions of the view that they index.
    """
    used = sum([_consumed(key) for key in keys])
    rank = len(x._value.shape)
    if used > rank:
        if rank == 0:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python to convert a "
                f"0-dim tensor to a number{at(here())}"
            )
        raise IndexError(
            f"too many indices for tensor of dimension {rank}: its shape is "
            f"{list(x._value.shape)}, and the key takes up {used} dimensions{at(here())}"
        )
    if not any([key is Ellipsis for key in keys]):
        keys = (*keys, Ellipsis)
    view: Any = x
    dim = seen = 0  # the next dimension of the view, and of `x` itself for messages
    indices: list[Any] = []
    dims: list[int] = []
    for key in keys:
        if key is Ellipsis:  # further ones stand for no dimensions
            dim += rank - used
            seen += rank - used
            used = rank
        elif key is None:
            view = unsqueeze(view, dim)
            dim += 1
        elif key.__class__ is slice:
            view = _slice(view, dim, key)
            dim += 1
        elif key.__class__ is int:
            view = _select(view, dim, key, seen)
        elif isinstance(key, bool) or (_is_mask(key) and not key.shape):
            view = unsqueeze(view, dim)
            indices.append(from_array(np.zeros(1 if key else 0, np.int64)))
            dims.append(dim)
            dim += 1
        elif isinstance(key, (int, np.integer)) or _is_integer_scalar(key):
            view = _select(view, dim, int(key), seen)
        else:
            for array in _index_arrays(key, view._value.shape, dim):
                indices.append(array)
                dims.append(dim)
                dim += 1
        seen += 0 if key is Ellipsis else _consumed(key)
    return view, indices, tuple(dims)


def _is_integer_scalar(key: Any) -> bool:
    return (
        isinstance(key, Tensor)
        and not key._value.shape
        and key.dtype.category == dtypes.INTEGER
        and not _is_mask(key)
    )


def _select(view: Tensor, dim: int, number: int, named: int) -> Any:
    n = view._value.shape[dim]
    if not -n <= number < n:
        raise IndexError(
            f"index {number} is out of bounds for dimension {named} with size {n}: indices lie in "
            f"[{-n}, {n - 1}]{at(here())}"
        )
    return select(view, dim, number)


def _slice(view: Tensor, dim: int, key: slice) -> Any:
    first, last, step = key.start, key.stop, key.step
    first = first if first is None or first.__class__ is int else operator.index(first)
    last = last if last is None or last.__class__ is int else operator.index(last)
    step = 1 if step is None else operator.index(step)
    if step <= 0:
        raise ValueError(
            f"step must be greater than zero; x.flip(dim) reverses the order{at(here())}"
        )
    shape = view._value.shape
    start, stop, _ = slice(first, last, step).indices(shape[dim])
    if start == 0 and stop == shape[dim] and step == 1:
        return view
    ranges = [(0, n, 1) for n in shape]
    ranges[dim] = (start, max(start, stop), step)
    return slice_(view, tuple(ranges))


def _index_arrays(key: Any, shape: tuple[int, ...], dim: int) -> list[Tensor]:
    """Index arrays for one entry of a key: a list, an array, a tensor; a mask becomes the
    positions it marks.
    """
    if not isinstance(key, Tensor):
        if isinstance(key, str):
            raise TypeError(f"new(): invalid data type 'str' (in a key of a tensor){at(here())}")
        array = np.array(key)
        if array.dtype.kind == "f" and isinstance(key, (list, tuple)):
            array = array.astype(np.int64)
        if array.dtype.kind not in "iub" or (array.dtype.kind == "b" and not array.ndim):
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
                f"are valid indices (got {type(key).__name__}){at(here())}"
            )
        whole = array.dtype.kind in "iu" and array.dtype != np.uint8
        key = from_array(array.astype(np.int64) if whole else array)
    if _is_mask(key):
        _warn_of_bytes(key)
        mask = buffer_of(key._value)
        _check_mask(mask.shape, shape, dim)
        return [from_array(positions) for positions in np.nonzero(mask)]
    if key.dtype not in (dtypes.int64, dtypes.int32):
        raise IndexError(
            "tensors used as indices must be long, int, byte or bool tensors, but this one is "
            f"{key.dtype}; convert it with .long(){at(here())}"
        )
    return [key]
