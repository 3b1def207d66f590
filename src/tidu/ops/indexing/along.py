"""Reading and writing along one dimension, at an index for each element: gather and scatter."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.ir.op import Array, Indexed, Inferred, Op, Sample, define
from tidu.ir.value import Value
from tidu.ops.indexing.bounds import OutOfRangeError, check_index, in_range
from tidu.ops.moving.movement import place, reshape, whole_ranges
from tidu.ops.rules import ends_at, promote
from tidu.ops.sources import full


def _read_along(shapes: tuple[Shape, ...], dim: int) -> Indexed | None:
    data, space = shapes
    if not data or not space:
        return None
    every = tuple(range(len(space)))
    along = tuple((1, every) if d == dim else d for d in every)
    return Indexed(space, along)


def _write_along(adds: bool) -> Any:
    def access(shapes: tuple[Shape, ...], dim: int) -> Indexed | None:
        read = _read_along(shapes[:2], dim)
        if read is None:
            return None
        return read._replace(value=2, adds=adds, crops=bool(shapes[2]))

    return access


def check_along(operation: str, x: Any, dim: int, index: Any, source: Any = None) -> None:
    """RuntimeError for an index that does not fit `x`, by its rank, dtype, sizes or numbers, or for
    a `source` that has nothing for some of its elements.
    """
    if max(len(index.shape), 1) != max(len(x.shape), 1) and 0 not in index.shape:
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as "
            f"{'input' if operation == 'gather' else 'self'} tensor ({operation}: "
            f"{list(index.shape)} and {list(x.shape)})"
        )
    if index.dtype.category != dtypes.INTEGER:
        raise RuntimeError(
            f"{operation}(): Expected dtype int32/int64 for index, but got "
            f"{index.dtype}; convert it with .long()"
        )
    for i, (n, m) in enumerate(zip(index.shape, x.shape, strict=False)):
        if i != dim and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {i} expected index {list(index.shape)} to be no "
                f"larger than self {list(x.shape)} apart from dimension {dim}"
            )
    if source is not None and any(n > m for n, m in zip(index.shape, source.shape, strict=False)):
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart "
            f"from dimension {dim} and to be no larger size than src {list(source.shape)}"
        )
    size = x.shape[dim] if x.shape else 1
    check_index(operation, index, size, dim, negative=False, error=OutOfRangeError)


def _gather_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, index = inputs
    check_along("gather", x, attrs[0], index)
    return inputs, index.shape, x.dtype


def _along(index: Any, dim: int) -> tuple[Any, ...]:
    """The full index of each element: its own place, but `index` along `dim`."""
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return tuple(grid)


def _gather_numpy(x: Any, index: Any, dim: int) -> Any:
    if not index.size:
        return np.empty(index.shape, x.dtype)
    if not x.ndim or not index.ndim:
        return x.reshape(-1)[index.reshape(-1)].reshape(index.shape)
    in_range(index, x.shape[dim], dim)
    return x[_along(index, dim)]


gather = define(
    "gather",
    inputs="input index",
    attrs="dim",
    kind="indexing",
    infer=_gather_infer,
    numpy=_gather_numpy,
    indexed=_read_along,
    vjp=(
        lambda g, out, x, index, dim: scatter_add(full(0.0, x.shape, g.dtype), index, g, dim),
        None,
    ),
    samples=lambda: [
        Sample((Array((4, 3)), Array((2, 3), 0, 4, "int64"), 0)),
        Sample((Array((4, 3)), Array((4, 5), 0, 3, "int64"), 1)),
        Sample((Array((4,)), Array((0,), 0, 4, "int64"), 0)),
    ],
    reference=lambda torch, x, index, dim: torch.gather(x, dim, index),
)


def _scatter_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, index, source = inputs
    check_along("scatter", x, attrs[0], index, source if isinstance(source, Value) else None)
    return (x, index, promote((source,), x.dtype)[0][0]), x.shape, x.dtype


def _scatter_numpy(accumulate: bool) -> Any:
    def run(x: Any, index: Any, source: Any, dim: int) -> Any:
        out = x.copy()
        if not index.size:
            return out
        if not x.ndim:
            return (
                out + np.sum(source)
                if accumulate
                else np.array(np.reshape(source, (-1,))[-1], x.dtype)
            )
        if not index.ndim:  # that of the gradient of a `gather` with a 0-d index
            index = index.reshape(1)
        in_range(index, x.shape[dim], dim)
        key = _along(index, dim)
        part = source[tuple(slice(n) for n in index.shape)] if np.ndim(source) else source
        if accumulate:
            np.add.at(out, key, part)
        else:
            out[key] = part
        return out

    return run


scatter_add: Op = define(
    "scatter_add",
    inputs="input index source",
    attrs="dim",
    kind="indexing",
    infer=_scatter_infer,
    numpy=_scatter_numpy(True),
    indexed=_write_along(True),
    vjp=(
        lambda g, out, x, index, source, dim: g,
        None,
        lambda g, out, x, index, source, dim: into(gather(g, index, dim), source),
    ),
    samples=lambda: [
        Sample((Array((4, 3)), Array((2, 3), 0, 4, "int64"), Array((2, 3)), 0)),
        Sample((Array((4, 3)), Array((4, 2), 0, 3, "int64"), Array((4, 2)), 1)),
    ],
    reference=lambda torch, x, index, source, dim: torch.scatter_add(x, dim, index, source),
)


scatter: Op = define(
    "scatter",
    inputs="input index source",
    attrs="dim",
    kind="indexing",
    infer=_scatter_infer,
    numpy=_scatter_numpy(False),
    indexed=_write_along(False),
    vjp=(
        lambda g, out, x, index, source, dim: scatter(g, index, 0.0, dim),
        None,
        lambda g, out, x, index, source, dim: into(gather(g, index, dim), source),
    ),
    ends=ends_at(0, 2, ScatterBackward1=(0,)),
    samples=lambda: [
        Sample((Array((9, 3)), Array((1, 3), 0, 4, "int64"), Array((1, 3)), 0)),
        Sample((Array((4, 3)), Array((4, 1), 0, 3, "int64"), 0.5, 1)),
    ],
    reference=lambda torch, x, index, source, dim: torch.scatter(x, dim, index, source),
)


def into(part: Any, like: Any) -> Any:
    """A cotangent of the part that was read, in the shape of the whole source."""
    if part.shape == like.shape or not like.shape:
        return part
    if len(part.shape) != len(like.shape):
        return (
            reshape(part, like.shape) if 0 not in part.shape else full(0.0, like.shape, part.dtype)
        )
    return place(part, like.shape, whole_ranges(part.shape))
