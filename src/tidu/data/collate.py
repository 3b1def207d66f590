"""Collation: a list of samples becomes a batch, keeping the structure of the samples."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any, TypeAlias

import numpy as np

from tidu.base.dtypes import float64
from tidu.base.source import located
from tidu.ops.moving.joining import stack
from tidu.tensor import Tensor, as_tensor, from_array, tensor

CollateMap: TypeAlias = dict[type | tuple[type, ...], Callable[..., Any]]

_NOT_NUMERIC = "SaUO"  # kinds of NumPy dtypes that are no tensors: bytes, strings, objects


def default_convert(data: Any) -> Any:
    """NumPy arrays and numbers inside `data` as tensors, in the same containers; all else as it is.

    What a DataLoader applies to each sample when batching is off. Tuples become lists. Follows
    torch.utils.data.default_convert.

    >>> default_convert({"x": np.zeros(2)})
    {'x': tensor([0., 0.], dtype=torch.float64)}
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)) and not isinstance(data, np.str_):
        return data if _is_not_numeric(data) else as_tensor(data)
    if isinstance(data, Mapping):
        return _mapping_like(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(entry) for entry in data))
    if isinstance(data, tuple):
        return [default_convert(entry) for entry in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _sequence_like(data, [default_convert(entry) for entry in data])
    return data


@located
def default_collate(batch: Sequence[Any]) -> Any:
    """A batch from a list of samples: tensors are stacked, numbers become tensors, strings a list.

    Dicts, lists and (named) tuples of those are taken apart, and each of their fields collated.
    Raises TypeError for samples of other types, RuntimeError for fields of different sizes. Follows
    torch.utils.data.default_collate.

    >>> default_collate([(0, 1.5), (1, 2.5)])
    [tensor([0, 1]), tensor([1.5000, 2.5000], dtype=torch.float64)]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """`default_collate` with the functions of `collate_fn_map`, which are given by type of sample.

    Each is called as `function(batch, collate_fn_map=collate_fn_map)`.
    """
    first = batch[0]
    kind = type(first)
    if collate_fn_map is not None:
        function = collate_fn_map.get(kind)
        if function is None:
            for kinds, candidate in collate_fn_map.items():
                if isinstance(first, kinds):
                    function = candidate
                    break
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)

    def of_fields(columns: Iterable[Any]) -> list[Any]:
        return [collate(column, collate_fn_map=collate_fn_map) for column in columns]

    if isinstance(first, Mapping):
        columns = of_fields([sample[key] for sample in batch] for key in first)
        return _mapping_like(first, dict(zip(first, columns, strict=True)))
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*of_fields(zip(*batch, strict=False)))
    if isinstance(first, Sequence):
        sizes = [len(sample) for sample in batch]
        if any(size != sizes[0] for size in sizes):
            raise RuntimeError(
                "each element in list of batch should be of equal size, but the sizes are "
                f"{sorted(set(sizes))}: pad the samples, or pass a collate_fn"
            )
        columns = of_fields(zip(*batch, strict=True))
        return columns if isinstance(first, tuple) else _sequence_like(first, columns)
    raise TypeError(_message(kind))


def collate_tensors(batch: Sequence[Tensor], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Tensors of one shape, (...) each, as one of shape (batch, ...)."""
    if any(sample.requires_grad for sample in batch):
        stacked: Tensor = stack(tuple(batch), 0)
        return stacked
    # The samples are run here: a batch is data to the training step, and which samples it is made
    # of must not become part of the structure of that step's program.
    return _stack_arrays([sample._array() for sample in batch], batch)


def collate_arrays(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """NumPy arrays of one shape, (...) each, as one tensor of shape (batch, ...)."""
    if _is_not_numeric(batch[0]):
        raise TypeError(_message(batch[0].dtype))
    return _stack_arrays([np.asarray(sample) for sample in batch], batch)


def _stack_arrays(arrays: list[Any], batch: Sequence[Any]) -> Tensor:
    first = arrays[0]
    if all(array.shape == first.shape and array.dtype == first.dtype for array in arrays):
        return from_array(np.array(arrays, first.dtype))  # a third of what np.stack() takes
    # Promotes dtypes, or says how the shapes differ.
    stacked: Tensor = stack([as_tensor(sample) for sample in batch], 0)
    return stacked


def collate_numpy_numbers(
    batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None
) -> Tensor:
    """NumPy numbers as a tensor of shape (batch,), in their dtype."""
    return as_tensor(np.asarray(batch))


def collate_floats(batch: Sequence[float], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Python floats as a float64 tensor of shape (batch,)."""
    return tensor(batch, dtype=float64)


def collate_integers(batch: Sequence[int], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Python integers as an int64 tensor of shape (batch,), booleans as a bool one."""
    return tensor(batch)


def collate_strings(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Strings and bytes stay a list."""
    return batch


# May be extended by users with types of their own; the first match counts.
default_collate_fn_map: CollateMap = {
    Tensor: collate_tensors,
    np.ndarray: collate_arrays,
    (np.bool_, np.number, np.object_): collate_numpy_numbers,
    float: collate_floats,
    int: collate_integers,
    str: collate_strings,
    bytes: collate_strings,
}


def _is_not_numeric(data: Any) -> bool:
    return data.dtype.kind in _NOT_NUMERIC


def _message(found: Any) -> str:
    return (
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {found}. Pass a collate_fn to the DataLoader for other types"
    )


def _mapping_like(original: Mapping[Any, Any], entries: dict[Any, Any]) -> Any:
    """A mapping of the same type, which may have attributes of its own; a dict where that fails."""
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)
            clone.update(entries)
            return clone
        return type(original)(entries)  # type: ignore[call-arg]
    except TypeError:
        return entries


def _sequence_like(original: Sequence[Any], entries: list[Any]) -> Any:
    """A sequence of the same type; a list where that fails, as for a range."""
    try:
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            for index, entry in enumerate(entries):
                clone[index] = entry
            return clone
        return type(original)(entries)  # type: ignore[call-arg]
    except TypeError:
        return entries
