"""Triangles and diagonals of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import wrap_dim
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_full_precision
from tidu.ops.cast import cast
from tidu.ops.elementwise import le, positive, where
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import diagonal_, diagonal_write, reshape
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import PART, as_number
from tidu.ops.sources import arange_, full


def _infer_matrices(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,) = inputs
    if len(x.shape) < 2:
        raise RuntimeError(
            f"{op.name}: input tensor must have at least 2 dimensions, but got shape"
            f" {list(x.shape)}"
        )
    return inputs, x.shape, x.dtype


def triangle_mask(shape: tuple[int, ...], diagonal: int) -> Any:
    """Where column - row <= diagonal, as a matrix."""
    rows, columns = shape[-2:]
    row = reshape(arange_(diagonal, 1, rows, dtypes.int64), (rows, 1))
    return le(arange_(0, 1, columns, dtypes.int64), row)


def _triangle(name: str, run: Any, decompose: Any) -> Op:
    op = define(
        name,
        attrs="diagonal",
        kind="composite",
        infer=_infer_matrices,
        numpy=run,
        decompose=decompose,
        vjp=(_tril_vjp,) if name == "tril" else (_triu_vjp,),
        samples=lambda: [
            Sample((Array((3, 4)), 0)),
            Sample((Array((4, 3)), 1)),
            Sample((Array((2, 3, 3)), -1)),
            Sample((Array((0, 3)), 0)),
        ],
    )
    return op


def _tril_vjp(g: Any, out: Any, x: Any, diagonal: int) -> Any:
    return tril_(g, diagonal)


def _triu_vjp(g: Any, out: Any, x: Any, diagonal: int) -> Any:
    return triu_(g, diagonal)


tril_ = _triangle(
    "tril",
    np.tril,
    lambda x, diagonal: where(triangle_mask(x.shape, diagonal), x, as_number(0, x.dtype)),
)
triu_ = _triangle(
    "triu",
    np.triu,
    lambda x, diagonal: where(triangle_mask(x.shape, diagonal - 1), as_number(0, x.dtype), x),
)


@function("torch.tril Tensor.tril", inplace=True)
def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle of each matrix, up to and including `diagonal`; zeros above.

    >>> torch.tril(torch.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return tril_(input, int(diagonal))


@function("torch.triu Tensor.triu", inplace=True)
def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle of each matrix, from `diagonal` on; zeros below.

    >>> torch.ones(2, 2).triu(1)
    tensor([[0., 1.],
            [0., 0.]])
    """
    return triu_(input, int(diagonal))


@function("torch.diag_embed Tensor.diag_embed")
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices with the last dimension of `input` on their diagonal number `offset`,
    zeros elsewhere.

    >>> torch.diag_embed(torch.ones(4, 3)).shape
    torch.Size([4, 3, 3])
    """
    rank = len(input.shape) + 1
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    if not input.shape:
        raise RuntimeError("diag_embed(): input tensor must have at least 1 dimension")
    size = input.shape[-1] + abs(offset)
    shape = list(input.shape[:-1])
    for d in sorted((a, b)):
        shape.insert(d, size)
    return diagonal_write.named(
        "DiagEmbedBackward0",
        full(as_number(0, input.dtype), tuple(shape), input.dtype),
        input,
        offset,
        a,
        b,
    )


@function("torch.diag Tensor.diag")
def diag(input: Any, diagonal: int = 0) -> Any:
    """The matrix with a vector on its diagonal, or the diagonal of a matrix (a copy).

    >>> torch.diag(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    rank = len(input.shape)
    if rank == 1:
        return diag_embed(input, diagonal)
    if rank == 2:
        part = diagonal_.named(PART, input, diagonal, 0, 1)
        return positive.named("DiagonalBackward0_copy", part)
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {rank}D")


@function("torch.diagflat Tensor.diagflat")
def diagflat(input: Any, offset: int = 0) -> Any:
    """The matrix with all elements of `input` on its diagonal."""
    return diag_embed(reshape(input, (-1,) if 0 not in input.shape else (0,)), offset)


@function("torch.trace Tensor.trace")
@in_full_precision
def trace(input: Any) -> Any:
    """The sum of the diagonal of a matrix.

    >>> torch.trace(torch.tensor([[1, 2], [3, 4]]))
    tensor(5)
    """
    if len(input.shape) != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {len(input.shape)}")
    return sum_.named("TraceBackward0", diagonal_.named(PART, input, 0, 0, 1), (0,), False)


@function("torch.block_diag")
def block_diag(*tensors: Any) -> Any:
    """One matrix with the given ones along its diagonal; vectors count as rows."""
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if not tensors:
        return full(0.0, (1, 0), dtypes.get_default_dtype())
    for number, x in enumerate(tensors):
        if len(x.shape) > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {number}"
                f" has {len(x.shape)} dimensions"
            )
    d = dtypes.result_type(full(0.0, (1,), x.dtype) for x in tensors)
    blocks = [
        reshape(x if x.dtype is d else cast(x, d), (1,) * (2 - len(x.shape)) + tuple(x.shape))
        for x in tensors
    ]
    width = sum(x.shape[1] for x in blocks)
    rows, start = [], 0
    for x in blocks:
        n, m = x.shape
        left, right = (full(as_number(0, d), (n, k), d) for k in (start, width - start - m))
        rows.append(cat_((left, x, right), 1))
        start += m
    return cat_.named("BlockDiagBackward0", tuple(rows), 0)
