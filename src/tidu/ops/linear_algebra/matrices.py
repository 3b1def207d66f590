"""What the functions of linear algebra share: checks, and parts of batches of matrices."""

from __future__ import annotations

from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import Shape, broadcast
from tidu.ir.op import Array, Op, Sample
from tidu.ops.moving.movement import diagonal_write, expand, permute, reshape, slice_along
from tidu.ops.moving.triangles import diag_embed
from tidu.ops.rules import class_name
from tidu.ops.sources import full


def require_matrix(operation: str, x: Any, *, square: bool = False, name: str = "A") -> None:
    """RuntimeError unless `x` is a batch of (square) matrices of a dtype that LAPACK knows."""
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            f"{operation}: Expected a floating point or complex tensor as input. Got"
            f" {class_name(x.dtype)}; write x.float()"
        )
    if x.dtype.is_half:
        raise RuntimeError(
            f"{operation}: Low precision dtypes not supported. Got {class_name(x.dtype)}; write"
            " x.float()"
        )
    if len(x.shape) < 2:
        raise RuntimeError(
            f"{operation}: The input tensor {name} must have at least 2 dimensions, but has shape"
            f" {list(x.shape)}."
        )
    if square and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"{operation}: {name} must be batches of square matrices, but they are {x.shape[-2]} by"
            f" {x.shape[-1]} matrices"
        )


def solution_shape(operation: str, a: Any, b: Any) -> Shape:
    """The shape of X with A X = B, for batches of matrices A and B."""
    return (*broadcast(operation, a.shape[:-2], b.shape[:-2]), *b.shape[-2:])


def transposed(x: Any, grad_name: str | None = None) -> Any:
    """Each matrix transposed."""
    rank = len(x.shape)
    order = (*range(rank - 2), rank - 1, rank - 2)
    return permute.named(grad_name or "TransposeBackward0", x, order)


def identity(like: Any, size: int) -> Any:
    """The identity matrix of a size, in the dtype of `like`."""
    return diag_embed(full(1.0, (size,), like.dtype))


def columns(x: Any, start: int, stop: int) -> Any:
    """Columns start to stop of each matrix."""
    return slice_along(x, len(x.shape) - 1, start, stop)


def rows(x: Any, start: int, stop: int) -> Any:
    """Rows start to stop of each matrix."""
    return slice_along(x, len(x.shape) - 2, start, stop)


def with_diagonal(x: Any, part: Any) -> Any:
    """Each matrix with another diagonal."""
    return diagonal_write(x, part, 0, len(x.shape) - 2, len(x.shape) - 1)


def column_scaled(x: Any, s: Any) -> Any:
    """x · diag(s)."""
    return x * reshape(s, (*s.shape[:-1], 1, s.shape[-1]))


def row_scaled(s: Any, x: Any) -> Any:
    """diag(s) · x."""
    return x * reshape(s, (*s.shape, 1))


def total(parts: list[Any]) -> Any:
    """The sum of tensors, of which there is at least one."""
    result = None
    for part in parts:
        result = part if result is None else result + part
    return result


def square_samples() -> list[Sample]:
    """A square matrix, and a batch of two."""
    return [Sample((Array((3, 3)),)), Sample((Array((2, 3, 3)),))]


def infer_with_info(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    """A result of the input's shape, and an int32 for each matrix that tells of failure."""
    shape = inputs[0].shape
    return inputs, (shape, shape[:-2]), (inputs[0].dtype, dtypes.int32)


def same_dtype(operation: str, **tensors: Any) -> None:
    """RuntimeError unless all tensors have one dtype."""
    kinds = {name: x.dtype for name, x in tensors.items()}
    if len(set(kinds.values())) > 1:
        listed = " and ".join(f"{name} of type {class_name(d)}" for name, d in kinds.items())
        raise RuntimeError(
            f"{operation}: Expected all inputs to have the same dtype, but got {listed}"
        )


def matrix_of(x: Any, vector: bool) -> Any:
    """A vector as a matrix of one column."""
    return reshape(x, (*x.shape, 1)) if vector else x


def spread_batch(operation: str, *tensors: Any) -> tuple[Any, ...]:
    """Batches of matrices in their common batch shape."""
    batch = broadcast(operation, *(tuple(x.shape[:-2]) for x in tensors))
    return tuple(expand(x, (*batch, *x.shape[-2:])) for x in tensors)
