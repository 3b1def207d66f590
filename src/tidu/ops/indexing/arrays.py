"""Reading and writing by index arrays.

Where the indices are known already, they are checked at the call.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape, broadcast, can_broadcast
from tidu.base.strides import strides_of_copy
from tidu.ir.op import Array, Indexed, Inferred, Op, Sample, define
from tidu.ir.value import Value
from tidu.ops.indexing.bounds import check_index
from tidu.ops.rules import ends_at, fitting
from tidu.ops.sources import full


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
    ends=ends_at(0),
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
    value = fitting(value, x.dtype)
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
    strides=strides_of_copy,
    infer=_index_put_infer,
    numpy=_index_put_numpy,
    indexed=_write_at,
    vjp=_index_put_vjp,
    ends=ends_at(0, 1),
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
