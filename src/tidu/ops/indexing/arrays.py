"""Reading and writing by index arrays.

Where the indices are known already, they are checked at the call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape, broadcast, can_broadcast
from tidu.base.source import at, here
from tidu.ir.op import Array, Indexed, Inferred, Op, Sample, define
from tidu.ir.value import Value, pending
from tidu.ops.moving.movement import place, reshape
from tidu.ops.rules import promote
from tidu.ops.sources import full


def bounds_of(index: Value) -> tuple[int, int] | None:
    """Least and greatest element of an index whose numbers can be had, remembered on the Value."""
    if index.bounds is None:
        numbers = index.buffer
        if numbers is None:
            numbers = pending.peek(index)
        if numbers is None or numbers.size == 0:
            return None
        index.bounds = (int(numbers.min()), int(numbers.max()))
    return index.bounds


def are_within(index: Value, size: int) -> bool:
    """Whether all elements are known to lie in [0, size): those of which this shows a part do."""
    shown = index
    while shown.buffer is None:
        if shown.op is None or shown.op.view is None:
            return False
        shown = shown.inputs[0]
    if shown.buffer.__class__ is not np.ndarray:
        return False
    bounds = bounds_of(shown)
    return bounds is not None and bounds[0] >= 0 and bounds[1] < size


def check_index(
    operation: str,
    index: Any,
    size: int,
    dim: int,
    *,
    negative: bool = True,
    error: Any = IndexError,
) -> None:
    """Raise IndexError for an element outside [-size, size),
    if the numbers are there to look at.
    """
    if index.__class__ is not Value or are_within(index, size):
        return
    bounds = bounds_of(index)
    if bounds is None:
        return
    low, high = bounds
    wrong = high if high >= size else low
    if high >= size or low < (-size if negative else 0):
        words = "index out of range in self: " if operation == "index_select" else ""
        raise error(
            f"{words}index {wrong} is out of bounds for dimension {dim} with size {size}: "
            f"{operation} takes indices in [{-size if negative else 0}, {size - 1}]{at(here())}"
        )


def _require_integers(operation: str, index: Any) -> None:
    if index.dtype.category != dtypes.INTEGER:
        raise IndexError(
            f"tensors used as indices must be long, int, byte or bool tensors: {operation} got "
            f"{index.dtype}"
        )


def _key(indices: tuple[Any, ...], dims: Shape) -> tuple[Any, ...]:
    key: list[Any] = [slice(None)] * (dims[-1] + 1)
    for d, index in zip(dims, indices, strict=True):
        key[d] = index
    return tuple(key)


def indexed_shape(shape: Shape, index_shape: Shape, dims: Shape) -> Shape:
    """NumPy's rule: the index dimensions stand where the indexed ones stood,
    or first if those are apart.
    """
    rest = tuple(n for i, n in enumerate(shape) if i not in dims)
    adjacent = dims[-1] - dims[0] == len(dims) - 1
    start = dims[0] if adjacent else 0
    return rest[:start] + index_shape + rest[start:]


def _common_shape(operation: str, indices: tuple[Any, ...]) -> Shape:
    for index in indices:
        _require_integers(operation, index)
    try:
        return broadcast(operation, *(index.shape for index in indices))
    except RuntimeError as error:
        shapes = ", ".join(str(list(index.shape)) for index in indices)
        raise IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with shapes "
            f"{shapes}: {error}"
        ) from None


def _check_all(operation: str, x: Any, indices: tuple[Any, ...], dims: Shape) -> None:
    for d, index in zip(dims, indices, strict=True):
        check_index(operation, index, x.shape[d], d)


def _index_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, indices = inputs[0], inputs[1:]
    (dims,) = attrs
    shape = _common_shape("indexing", indices)
    _check_all("indexing", x, indices, dims)
    return inputs, indexed_shape(x.shape, shape, dims), x.dtype


def _along_indices(shape: Shape, index_shapes: tuple[Shape, ...], dims: Shape) -> Any:
    """The space of x[indices], and where each coordinate of x comes from in it."""
    common = broadcast("indexing", *index_shapes)
    space = indexed_shape(shape, common, dims)
    adjacent = dims[-1] - dims[0] == len(dims) - 1
    start = dims[0] if adjacent else 0
    of_indices = tuple(range(start, start + len(common)))
    others = iter(i for i in range(len(space)) if i not in of_indices)
    along = [None if d in dims else next(others) for d in range(len(shape))]
    return space, along, of_indices


def _read_at(shapes: tuple[Shape, ...], dims: Shape) -> Indexed:
    space, along, of_indices = _along_indices(shapes[0], shapes[1:], dims)
    for number, d in enumerate(dims, 1):
        along[d] = (number, of_indices)
    return Indexed(space, tuple(along), wraps=True)


def _write_at(shapes: tuple[Shape, ...], dims: Shape, accumulate: bool) -> Indexed:
    space, along, of_indices = _along_indices(shapes[0], shapes[2:], dims)
    for number, d in enumerate(dims, 2):
        along[d] = (number, of_indices)
    return Indexed(space, tuple(along), value=1, adds=accumulate, wraps=True)


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


def _index_numpy(x: Any, *arguments: Any) -> Any:
    indices, dims = arguments[:-1], arguments[-1]
    if len(dims) == 1 and indices[0].ndim:
        return x.take(indices[0], axis=dims[0]) if x.size else x[_key(indices, dims)]
    return x[_key(indices, dims)]


index = define(
    "index",
    inputs="*tensors",
    attrs="dims",
    kind="indexing",
    infer=_index_infer,
    numpy=_index_numpy,
    indexed=_read_at,
    vjp=lambda i, g, out, tensors, dims: index_put(
        (full(0.0, tensors[0].shape, g.dtype), g, *tensors[1:]), dims, True
    ),
    saved=slice(1, None),
    samples=lambda: [
        Sample(((Array((4, 3)), Array((5,), -4, 4, "int64")), (0,))),
        Sample(((Array((4, 3)), Array((2, 2), 0, 3, "int64")), (1,))),
        Sample(
            ((Array((4, 3, 5)), Array((2,), 0, 3, "int64"), Array((2,), 0, 5, "int64")), (0, 2))
        ),
        Sample(((Array((4, 3)), Array((2, 1), 0, 4, "int64"), Array((3,), 0, 3, "int64")), (0, 1))),
        Sample(((Array((4, 3)), Array((0,), 0, 4, "int64")), (0,))),
    ],
    reference=lambda torch, tensors, dims: tensors[0][_key(tensors[1:], dims)],
)


def _index_put_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, value, indices = inputs[0], inputs[1], inputs[2:]
    dims = attrs[0]
    shape = indexed_shape(x.shape, _common_shape("index assignment", indices), dims)
    value = promote((value,), x.dtype)[0][0]
    value_shape = value.shape if value.__class__ is Value else ()
    if not can_broadcast(value_shape, shape):
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value_shape)} cannot be broadcast to "
            f"indexing result of shape {list(shape)}"
        )
    _check_all("index assignment", x, indices, dims)
    return (x, value, *indices), x.shape, x.dtype


def _index_put_numpy(x: Any, value: Any, *arguments: Any) -> Any:
    *indices, dims, accumulate = arguments
    out = x.copy()
    key = _key(tuple(indices), dims)
    if not accumulate:
        out[key] = value
    elif len(dims) == 1 and dims[0] == 0 and x.ndim == 2 and indices[0].size > 64:
        _add_rows(out, value, indices[0])
    else:
        np.add.at(out, key, value)
    return out


def _add_rows(out: Any, value: Any, rows: Any) -> None:
    """out[rows] += value where rows repeat: sort, then add up each run of equal rows at once."""
    rows = rows.reshape(-1) % out.shape[0]
    value = np.broadcast_to(
        value, (*rows.shape, out.shape[1]) if np.ndim(value) < 2 else np.shape(value)
    )
    value = value.reshape(rows.size, out.shape[1])
    order = np.argsort(rows, kind="stable")
    rows = rows[order]
    starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
    out[rows[starts]] += np.add.reduceat(value[order], starts, axis=0)


def _index_put_vjp(
    i: int, g: Any, out: Any, tensors: tuple[Any, ...], dims: Shape, accumulate: bool
) -> Any:
    if i == 1:
        return index((g, *tensors[2:]), dims)
    return g if accumulate else index_put((g, 0.0, *tensors[2:]), dims, False)


index_put: Op = define(
    "index_put",
    inputs="*tensors",
    attrs="dims accumulate",
    kind="indexing",
    infer=_index_put_infer,
    numpy=_index_put_numpy,
    indexed=_write_at,
    vjp=_index_put_vjp,
    saved=slice(2, None),
    samples=lambda: [
        Sample(((Array((4, 3)), Array((5, 3)), Array((5,), 0, 4, "int64")), (0,), True)),
        # Where places repeat, every copy of the value gets the gradient, as in PyTorch.
        Sample(((Array((4, 3)), Array(()), Array((2,), 0, 4, "int64")), (0,), False), smooth=False),
        Sample(
            (
                (
                    Array((4, 3, 5)),
                    Array((2, 3)),
                    Array((2,), 0, 4, "int64"),
                    Array((2,), 0, 5, "int64"),
                ),
                (0, 2),
                True,
            )
        ),
    ],
    reference=lambda torch, tensors, dims, accumulate: torch.index_put(
        tensors[0].transpose(0, 1) if dims == (1,) else tensors[0],
        tuple(tensors[2:])
        if dims != (0, 2)
        else (tensors[2], torch.arange(3)[:, None], tensors[3]),
        tensors[1] if dims != (0, 2) else tensors[1].t(),
        accumulate,
    ),
)


def check_along(operation: str, x: Any, dim: int, index: Any, others: bool = True) -> None:
    if len(index.shape) != len(x.shape) and x.shape and index.shape and 0 not in index.shape:
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
        if others and i != dim and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {i} expected index {list(index.shape)} to be no "
                f"larger than self {list(x.shape)} apart from dimension {dim}"
            )
    size = x.shape[dim] if x.shape else 1
    check_index(operation, index, size, dim, negative=False, error=RuntimeError)


def _gather_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, index = inputs
    check_along("gather", x, attrs[0], index)
    return inputs, index.shape, x.dtype


def _along(index: Any, dim: int) -> tuple[Any, ...]:
    """The full index of each element: its own place, but `index` along `dim`."""
    grid = list(np.ogrid[tuple(slice(n) for n in index.shape)])
    grid[dim] = index
    return tuple(grid)


def in_range(index: Any, size: int, dim: int) -> None:
    if index.size and (index.min() < 0 or index.max() >= size):
        wrong = index.max() if index.max() >= size else index.min()
        raise RuntimeError(f"index {wrong} is out of bounds for dimension {dim} with size {size}")


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
    check_along("scatter", x, attrs[0], index)
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
    return place(part, like.shape, tuple((0, n, 1) for n in part.shape))
