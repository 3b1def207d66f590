"""Arranging: rolling, turning, tiling, grids and combinations,
and parts cut or stacked in other ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations as choose
from itertools import combinations_with_replacement
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Size, broadcast, flatten_sizes, wrap_dim
from tidu.base.source import warn
from tidu.ir.op import function
from tidu.ir.value import leaf
from tidu.ops.elementwise import positive
from tidu.ops.indexing.arrays import index
from tidu.ops.moving import sections, shaping
from tidu.ops.moving.movement import cat_, expand, flip, permute, reshape, slice_
from tidu.ops.moving.sections import atleast_3d, cat, narrow_range, stack
from tidu.ops.rules import class_name


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
        flat = _rolled(reshape(input, (prod(input.shape),)), steps[0], 0)
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


def _rolled(x: Any, step: int, d: int) -> Any:
    n = x.shape[d]
    cut = n - step % n if n else 0
    parts = tuple(slice_(x, narrow_range(x, d, a, b)) for a, b in ((cut, n), (0, cut)))
    return cat_.named("RollBackward0", parts, d)


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
    return permute.named("Rot90Backward0", flip(input, (b if turns == 1 else a,)), tuple(order))


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
        shape = tuple(input.shape)
        wide = expand(
            reshape(input, (*shape[: d + 1], 1, *shape[d + 1 :])),
            (*shape[: d + 1], repeats, *shape[d + 1 :]),
        )
        return reshape(positive(wide), (*shape[:d], n * repeats, *shape[d + 1 :]))
    _check_repeats(repeats, n)
    counts = repeats.tolist() if repeats.shape else [repeats.item()] * n
    counts = counts * n if len(counts) == 1 else counts
    return index.named("IndexSelectBackward0", (input, _places(counts)), (d,))


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


@function("torch.broadcast_tensors")
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Views of all tensors in their common shape."""
    items = (
        tuple(tensors[0])
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list))
        else tensors
    )
    shape = broadcast("broadcast_tensors", *(tuple(x.shape) for x in items))
    return tuple(x if tuple(x.shape) == shape else expand(x, shape) for x in items)


@function("torch.broadcast_shapes")
def broadcast_shapes(*shapes: Any) -> Size:
    """The common shape of several."""
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
    """
    items = (
        tuple(tensors[0])
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list))
        else tensors
    )
    if not items:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    if indexing is None:
        warn(
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
    """All ways to take one element of each vector, as rows."""
    items = (
        tuple(tensors[0])
        if len(tensors) == 1 and isinstance(tensors[0], (tuple, list))
        else tensors
    )
    for x in items:
        if len(x.shape) != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")
    if len(items) == 1:
        return slice_.named(
            "SelectBackward0", items[0], narrow_range(items[0], 0, 0, items[0].shape[0])
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


@function("torch.tensor_split Tensor.tensor_split")
def tensor_split(
    input: Any, indices_or_sections: Any = None, dim: int = 0, **named: Any
) -> tuple[Any, ...]:
    """Views of parts along `dim`: `sections` of nearly equal size, or cut at the given indices."""
    cuts = next(iter(named.values())) if indices_or_sections is None else indices_or_sections
    if not input.shape:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    d = wrap_dim(dim, len(input.shape))
    n = input.shape[d]
    if hasattr(cuts, "tolist"):
        if cuts.dtype is not dtypes.int64 or len(cuts.shape) > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or"
                f" one-dimensional tensor of int64, but got one of shape {list(cuts.shape)} and"
                f" {cuts.dtype}"
            )
        cuts = cuts.tolist() if cuts.shape else cuts.item()
    if isinstance(cuts, int):
        if cuts <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {cuts}")
        size, extra = divmod(n, cuts)
        ends = [(i + 1) * size + min(i + 1, extra) for i in range(cuts)]
        edges = list(zip([0, *ends[:-1]], ends, strict=True))
    else:
        starts = [0, *(slice(c, None).indices(n)[0] for c in cuts)]
        edges = [(a, max(a, b)) for a, b in zip(starts, [*starts[1:], n], strict=True)]
    return tuple(slice_(input, narrow_range(input, d, a, b)) for a, b in edges)


def _split_evenly(operation: str, input: Any, parts: Any, dim: int, least: int) -> tuple[Any, ...]:
    if len(input.shape) < least:
        raise RuntimeError(
            f"torch.{operation} requires a tensor with at least {least}"
            f" dimension{'s' * (least > 1)}, but got a tensor with {len(input.shape)} dimensions!"
        )
    if isinstance(parts, int) and (parts <= 0 or input.shape[dim] % parts):
        raise RuntimeError(
            f"torch.{operation} attempted to split along dimension {dim}, but the size of the"
            f" dimension {input.shape[dim]} is not divisible by the split_size {parts}!"
        )
    views: tuple[Any, ...] = tensor_split(input, parts, dim)
    return views


@function("torch.hsplit Tensor.hsplit")
def hsplit(input: Any, indices_or_sections: Any = None, **named: Any) -> tuple[Any, ...]:
    """`tensor_split` by columns (vectors: by elements) into equal parts or at indices."""
    parts = next(iter(named.values())) if indices_or_sections is None else indices_or_sections
    return _split_evenly("hsplit", input, parts, 0 if len(input.shape) == 1 else 1, 1)


@function("torch.vsplit Tensor.vsplit")
def vsplit(input: Any, indices_or_sections: Any = None, **named: Any) -> tuple[Any, ...]:
    """`tensor_split` by rows into equal parts or at indices."""
    parts = next(iter(named.values())) if indices_or_sections is None else indices_or_sections
    return _split_evenly("vsplit", input, parts, 0, 2)


@function("torch.dsplit Tensor.dsplit")
def dsplit(input: Any, indices_or_sections: Any = None, **named: Any) -> tuple[Any, ...]:
    """`tensor_split` along the third dimension into equal parts or at indices."""
    parts = next(iter(named.values())) if indices_or_sections is None else indices_or_sections
    return _split_evenly("dsplit", input, parts, 2, 3)


@function("torch.unsafe_split Tensor.unsafe_split")
def unsafe_split(input: Any, split_size: int, dim: int = 0) -> tuple[Any, ...]:
    """`split` whose parts do not know of each other on the tape."""
    return tuple(
        positive.named("UnsafeSplitBackward0", x) for x in sections.split(input, split_size, dim)
    )


@function("torch.unsafe_chunk Tensor.unsafe_chunk")
def unsafe_chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """`chunk` whose parts do not know of each other on the tape."""
    return tuple(
        positive.named("UnsafeSplitBackward0", x) for x in sections.chunk(input, chunks, dim)
    )


def _non_empty(operation: str, tensors: Any) -> tuple[Any, ...]:
    items = tuple(tensors)
    if not items:
        raise RuntimeError(f"{operation} expects a non-empty TensorList")
    return items


@function("torch.dstack")
def dstack(tensors: Any) -> Any:
    """Joined along the third dimension; fewer dimensions are filled up."""
    return cat(tuple(atleast_3d(x) for x in _non_empty("dstack", tensors)), 2)


@function("torch.column_stack")
def column_stack(tensors: Any) -> Any:
    """Joined side by side; vectors become columns."""
    items = _non_empty("column_stack", tensors)
    return cat(tuple(reshape(x, (prod(x.shape), 1)) if len(x.shape) <= 1 else x for x in items), 1)


def _copying(name: str, view: Any, grad_name: str) -> None:
    """torch.<name>_copy: as the view, but memory of its own."""

    @function(f"torch.{name}_copy", doc=f"`{name}`, copied.")
    def copied(*args: Any, **kwargs: Any) -> Any:
        made = view(*args, **kwargs)
        if isinstance(made, tuple):
            return tuple(positive.named(grad_name, x) for x in made)
        return positive.named(grad_name, made)


for _name, _view, _grad in (
    ("alias", positive, "Alias"),
    ("detach", lambda input: input.detach(), "Detach"),
    ("diagonal", sections.diagonal, "Diagonal"),
    ("expand", shaping.expand_to, "Expand"),
    ("permute", shaping.permute_to, "Permute"),
    ("select", sections.select, "Select"),
    ("split", sections.split, "Split"),
    ("split_with_sizes", sections.split_with_sizes, "SplitWithSizes"),
    ("t", shaping.t, "T"),
    ("transpose", shaping.transpose, "Transpose"),
    ("unbind", sections.unbind, "Unbind"),
    ("unsqueeze", shaping.unsqueeze, "Unsqueeze"),
    ("view", shaping.view, "View"),
    ("unfold", lambda input, dimension, size, step: input.unfold(dimension, size, step), "Unfold"),
):
    _copying(_name, _view, f"{_grad}Backward0_copy")


@function("torch.squeeze_copy")
def squeeze_copy(input: Any, dim: Any = None) -> Any:
    """`squeeze`, copied."""
    kind = 0 if dim is None else 1 if isinstance(dim, int) else 2
    return positive.named(f"SqueezeBackward{kind}_copy", shaping.squeeze(input, dim))


@function("torch.slice_copy")
def slice_copy(
    input: Any, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> Any:
    """A copy of the slice start:end:step along `dim`."""
    d = wrap_dim(dim, len(input.shape))
    first, last, step = slice(start, end, step).indices(input.shape[d])
    part = slice_(input, narrow_range(input, d, first, max(first, last), step))
    return positive.named("SliceBackward0_copy", part)


@function("torch.narrow_copy Tensor.narrow_copy")
def narrow_copy(input: Any, dim: int, start: int, length: int) -> Any:
    """`narrow`, copied."""
    return positive.named("NarrowCopyBackward0", sections.narrow(input, dim, start, length))
