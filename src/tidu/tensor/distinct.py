"""Distinct elements, and how often there is each. Tensors are run at once: sizes depend on it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import wrap_dim
from tidu.ir.op import Array, Sample, define, function
from tidu.ops.indexing.sorting import sortable
from tidu.ops.rules import class_name
from tidu.tensor.tensor import from_array


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
    flat = rows.reshape(len(rows), prod(rows.shape[1:]))
    fresh[1:] = (flat[1:] != flat[:-1]).any(1)
    return fresh


def _refuse(g: Any, out: Any, input: Any, found: Any, function: str) -> Any:
    raise NotImplementedError(f"the derivative for '{function}' is not implemented.")


# `found`, which was worked out from the numbers of `input`, and has no derivative.
_found_in = define(
    "found_in",
    inputs="input found",
    attrs="function",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, inputs[1].shape, inputs[1].dtype),
    numpy=lambda input, found, function: found,
    vjp=(_refuse, None),
    samples=lambda: [Sample((Array((4,)), Array((3,)), "unique"))],
    dtypes="float",
    grad_name="NotImplemented",
    reference=lambda torch, input, found, function: found.clone(),
)


def _requested(
    input: Any, function: str, parts: tuple[Any, Any, Any], inverse: bool, counts: bool
) -> Any:
    found = from_array(np.ascontiguousarray(parts[0]), input.dtype)
    if input.requires_grad:
        words = "".join(word.capitalize() for word in function.split("_"))
        found = _found_in.named(f"{words}Backward0", input, found, function)
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
    function = "_unique2" if d is None else "unique_dim"
    parts = _distinct(input._array(), d)
    return _requested(input, function, parts, return_inverse, return_counts)


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
    parts = found.astype(input._array().dtype), inverse, counts
    return _requested(input, "unique_consecutive", parts, return_inverse, return_counts)


@function("torch.bincount Tensor.bincount")
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number from 0 to the greatest occurs, or the sum of the weights there.

    >>> torch.bincount(torch.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
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
