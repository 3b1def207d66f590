"""Arranging: elements rolled, turned, tiled and repeated."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import flatten_sizes, wrap_dim
from tidu.ir.op import function
from tidu.ir.value import leaf
from tidu.ops.elementwise import positive
from tidu.ops.indexing.arrays import index
from tidu.ops.moving import shaping
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import (
    expand,
    flip,
    permute,
    ranges_along,
    reshape,
    slice_,
)
from tidu.ops.rules import PART, class_name, laid_as


@function("torch.roll Tensor.roll")
def roll(input: Any, shifts: Any, dims: Any = ()) -> Any:
    """Elements moved `shifts` places on along `dims`; what leaves at the end comes in at the start.

    Without `dims`, of the flattened tensor.

    >>> torch.roll(torch.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    steps = flatten_sizes((shifts,))
    if dims is None:
        raise TypeError("roll(): argument 'dims' must be tuple of ints, not NoneType")
    axes = flatten_sizes((dims,))
    if not steps:
        raise RuntimeError("`shifts` required")
    if not axes and len(steps) == 1:
        flat = _rolled(reshape.named(PART, input, (prod(input.shape),)), steps[0], 0, PART)
        return reshape.named("RollBackward0", flat, tuple(input.shape))
    if len(axes) != len(steps):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(axes)}"
        )
    rank = len(input.shape)
    if not rank:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    for step, axis in zip(steps, axes, strict=True):
        input = _rolled(input, step, wrap_dim(axis, rank))
    return input


def _rolled(x: Any, step: int, d: int, name: str = "RollBackward0") -> Any:
    n = x.shape[d]
    cut = n - step % n if n else 0
    pieces = (ranges_along(x.shape, d, a, b) for a, b in ((cut, n), (0, cut)))
    return cat_.named(name, tuple(slice_.named(PART, x, p) for p in pieces), d)


@function("torch.rot90 Tensor.rot90")
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """The plane of two dimensions turned by k · 90°, from the first towards the second."""
    rank = len(input.shape)
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if rank < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {rank}")
    if dims[0] == dims[1] or abs(dims[0] - dims[1]) == rank:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    for d in dims:
        if not -rank <= d < rank:
            raise RuntimeError(
                f"Rotation dim{list(dims).index(d)} out of range, dim{list(dims).index(d)} = {d}"
            )
    a, b = (d % rank for d in dims)
    turns = k % 4
    if turns == 0:
        return positive.named("Rot90Backward0", input)
    if turns == 2:
        return flip.named("Rot90Backward0", input, (a, b))
    order = list(range(rank))
    order[a], order[b] = b, a
    return permute.named(
        "Rot90Backward0", flip.named(PART, input, (b if turns == 1 else a,)), tuple(order)
    )


@function("torch.tile Tensor.tile")
def tile(input: Any, *dims: Any, **named: Any) -> Any:
    """`repeat` that takes fewer numbers than there are dimensions, for the last of them."""
    counts = flatten_sizes((named["dims"],) if "dims" in named else dims)
    return shaping.repeat(input, (1,) * (len(input.shape) - len(counts)) + counts)


@function("torch.repeat_interleave Tensor.repeat_interleave")
def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Each element (or each slice along `dim`) repeated:
    `repeats` times, or its own number of times.

    With one argument, the index of each element of `input` repeated as often as that element says.

    >>> torch.repeat_interleave(torch.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:
        _check_repeats(input, None)
        return _positions(input)
    if dim is None:
        input, dim = reshape(input, (prod(input.shape),)), 0
    if not input.shape:
        input = reshape(input, (1,))
    d = wrap_dim(dim, len(input.shape))
    n = input.shape[d]
    if isinstance(repeats, int):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        _check_output_size(output_size, n * repeats)
        shape = tuple(input.shape)
        wide = expand(
            reshape(input, (*shape[: d + 1], 1, *shape[d + 1 :])),
            (*shape[: d + 1], repeats, *shape[d + 1 :]),
        )
        return reshape(laid_as(positive(wide), None), (*shape[:d], n * repeats, *shape[d + 1 :]))
    _check_repeats(repeats, n)
    counts = repeats.tolist() if repeats.shape else [repeats.item()] * n
    counts = counts * n if len(counts) == 1 else counts
    _check_output_size(output_size, sum(counts))
    return index.named("IndexSelectBackward0", (input, _places(counts)), (d,))


def _check_output_size(given: int | None, size: int) -> None:
    if given is not None and given != size:
        raise RuntimeError(
            f"repeat_interleave: Invalid output_size, expected {size} but got {given}"
        )


def _check_repeats(repeats: Any, size: int | None) -> None:
    if repeats.dtype not in (dtypes.int64, dtypes.int32):
        raise NotImplementedError(
            f"\"repeat_interleave_cpu\" not implemented for '{class_name(repeats.dtype)}'; write"
            " repeats.long()"
        )
    if len(repeats.shape) > 1 or (size is None and len(repeats.shape) != 1):
        raise RuntimeError(
            "repeat_interleave only accept 1D vector as repeat"
            if size is None
            else "repeats must be 0-dim or 1-dim tensor"
        )
    if size is not None and repeats.shape and repeats.shape[0] not in (1, size):
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) ="
            f" {repeats.shape[0]} and input.size(dim) = {size}"
        )
    if any(n < 0 for n in (repeats.tolist() if repeats.shape else [repeats.item()])):
        raise RuntimeError("repeats can not be negative")


def _places(counts: Sequence[int]) -> Any:
    return leaf(np.repeat(np.arange(len(counts)), np.asarray(counts, np.int64)), dtypes.int64)


def _positions(counts: Any) -> Any:
    places = counts.tolist()
    return counts.new_tensor(np.repeat(np.arange(len(places)), np.asarray(places, np.int64)))
