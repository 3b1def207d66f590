"""Memory read with any sizes and strides."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.ir.op import Array, Inferred, Op, Sample, View, define
from tidu.ops.elementwise import positive
from tidu.ops.indexing.arrays import index_put
from tidu.ops.moving.movement import reshape
from tidu.ops.sources import arange_, full


def last_place(size: Shape, stride: Shape, offset: int) -> int:
    """The place of the last element, counted from the start of the memory."""
    return offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))


def check_strides(shape: Shape, size: Shape, stride: Shape, offset: int) -> None:
    """RuntimeError for strides that fit no memory of this shape."""
    if len(size) != len(stride):
        raise RuntimeError(
            f"mismatch in length of strides and shape: {list(size)} and {list(stride)}"
        )
    if any(step < 0 for step in stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides:"
            f" {list(stride)}"
        )
    if any(n < 0 for n in size):
        raise RuntimeError(f"as_strided: size {list(size)} has a negative number")
    if 0 not in size and last_place(size, stride, offset) >= prod(shape):
        raise RuntimeError(
            f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}"
            f" requiring a storage size of {last_place(size, stride, offset) + 1} elements are out"
            f" of bounds for storage of size {prod(shape)}"
        )


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (size, stride, offset) = inputs, attrs
    check_strides(x.shape, size, stride, offset)
    return inputs, size, x.dtype


def _numpy(x: Any, size: Shape, stride: Shape, offset: int) -> Any:
    flat = np.ascontiguousarray(x).reshape(-1)[offset:]
    steps = tuple(step * x.itemsize for step in stride)
    return (
        np.lib.stride_tricks.as_strided(flat, size, steps, writeable=False)
        if 0 not in size
        else np.empty(size, x.dtype)
    )


def _places(size: Shape, stride: Shape, offset: int) -> Any:
    """The place in memory of each element."""
    total = full(offset, (1,) * len(size), dtypes.int64)
    for d, (n, step) in enumerate(zip(size, stride, strict=True)):
        along = reshape(
            arange_(0, step, n, dtypes.int64), tuple(n if i == d else 1 for i in range(len(size)))
        )
        total = total + along
    return reshape(total, (prod(size),))


def put_strided(
    base: Any, part: Any, size: Shape, stride: Shape, offset: int, accumulate: bool
) -> Any:
    """`base` with `part` in the places that the strides name, written or added."""
    if 0 in size:
        return positive(base)
    shape = tuple(base.shape)
    flat = index_put(
        (
            reshape(base, (prod(shape),)),
            reshape(part, (prod(size),)),
            _places(size, stride, offset),
        ),
        (0,),
        accumulate,
    )
    return reshape(flat, shape)


def _overlaps(size: Shape, stride: Shape) -> bool:
    if 0 in size:
        return False
    reach = 0
    for step, n in sorted((step, n) for n, step in zip(size, stride, strict=True) if n > 1):
        if step <= reach:
            return True
        reach += (n - 1) * step
    return False


def _write(base: Any, part: Any, size: Shape, stride: Shape, offset: int) -> Any:
    if _overlaps(size, stride):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a"
            " single memory location. Please clone() the tensor before performing the operation."
        )
    return put_strided(base, part, size, stride, offset, False)


def _vjp(g: Any, out: Any, x: Any, size: Shape, stride: Shape, offset: int) -> Any:
    return put_strided(full(0.0, x.shape, g.dtype), g, size, stride, offset, True)


# The memory of a contiguous tensor, read with other sizes and strides.
as_strided_ = define(
    "as_strided",
    attrs="size stride offset",
    kind="movement",
    infer=_infer,
    numpy=_numpy,
    vjp=(_vjp,),
    view=View(lambda shape, strides, start, size, stride, offset: (stride, offset), _write),
    samples=lambda: [
        Sample((Array((3, 4)), (2, 3), (1, 4), 0)),
        Sample((Array((9,)), (4, 3), (1, 2), 1)),
        Sample((Array((2, 2)), (), (), 3)),
    ],
)
# Its strides are those of memory, whatever the strides of the input: no other layout can follow.
as_strided_.layout = None
