"""Where the greatest and the least element stands: argmax and argmin."""

from __future__ import annotations

from math import prod as product
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import reduced, wrap_dim
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.elementwise import eq, logical_or, ne, where
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.reduce import amax, amin
from tidu.ops.sources import arange_, full


def _arg_numpy(function: Any) -> Any:
    def run(x: Any, dim: int, keepdim: bool) -> Any:
        if x.dtype.kind == "V":
            x = x.astype(np.float32)
        return function(x, axis=dim, keepdims=keepdim) if x.ndim else np.zeros((), np.int64)

    return run


def _infer_arg(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (dim, keepdim) = inputs, attrs
    if x.shape and x.shape[dim] == 0:
        raise IndexError(f"{op.name}(): Expected reduction dim {dim} to have non-zero size.")
    return inputs, reduced(x.shape, (dim,), keepdim), dtypes.int64


def _arg(name: str, function_: Any, reduction: Op) -> Op:
    def decompose(x: Any, dim: int, keepdim: bool) -> Any:
        """The least of the places where the extreme stands, or of those of NaN if there are."""
        if not x.shape:
            return full(0, (), dtypes.int64)
        count = x.shape[dim]
        along = tuple(count if d == dim else 1 for d in range(len(x.shape)))
        place = reshape(arange_(0, 1, count, dtypes.int64), along)
        found = logical_or(eq(x, reduction(x, (dim,), True)), ne(x, x))
        return amin(where(found, place, count - 1), (dim,), keepdim)

    return define(
        name,
        attrs="dim keepdim",
        kind="composite",
        infer=_infer_arg,
        numpy=_arg_numpy(function_),
        decompose=decompose,
        samples=lambda: [
            Sample((Array((3, 4)), 0, False)),
            Sample((Array((2, 3, 4)), 2, True)),
            Sample((Array(()), 0, False)),
        ],
        dtypes="number",
    )


argmax_ = _arg("argmax", np.argmax, amax)
argmin_ = _arg("argmin", np.argmin, amin)


def _all_or_one(op: Op, input: Any, dim: int | None, keepdim: bool) -> Any:
    if input.dtype is dtypes.bool_:  # torch.max(x, dim) of bools asks the op itself
        raise RuntimeError(f"{op.name}(): does not support bool input; write x.long()")
    if dim is None:
        if product(input.shape) == 0:
            raise IndexError(
                f"{op.name}(): Expected reduction dim to be specified for input.numel() == 0."
            )
        flat = op(reshape(input, (-1,)), 0, False)
        return reshape(flat, (1,) * len(input.shape)) if keepdim else flat
    return op(input, wrap_dim(dim, len(input.shape)), keepdim)


@function("torch.argmax Tensor.argmax")
def argmax(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the greatest element (the first of equal ones),
    over `dim` or of the flattened input.

    >>> torch.tensor([[1, 5], [7, 2]]).argmax(1)
    tensor([1, 0])
    """
    return _all_or_one(argmax_, input, dim, keepdim)


@function("torch.argmin Tensor.argmin")
def argmin(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The index of the least element (the first of equal ones).

    >>> torch.argmin(torch.tensor([3.0, 1.0]))
    tensor(1)
    """
    return _all_or_one(argmin_, input, dim, keepdim)
