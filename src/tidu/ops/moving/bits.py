"""The bits of a tensor read as numbers of another dtype, in the same memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.dtypes import dtype, int32, int64, uint8
from tidu.base.shapes import Shape
from tidu.base.source import at, here
from tidu.ir.op import Array, Inferred, Op, Sample, View, define
from tidu.ops.moving.movement import reshape
from tidu.ops.rules import class_name

Strides = tuple[int, ...]


def _resized(shape: Shape, size: int, d: dtype) -> Shape:
    """The shape of elements of `size` bytes that are read as `d`."""
    return shape if d.itemsize == size else (*shape[:-1], shape[-1] * size // d.itemsize)


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    size, d = attrs
    return inputs, _resized(inputs[0].shape, size, d), d


def _numpy(x: Any, size: int, d: dtype) -> Any:
    if d.itemsize != size and x.strides[-1] != size:
        x = np.ascontiguousarray(x)
    return x.view(d.numpy)


def _layout(
    shape: Shape, strides: Strides, offset: int, size: int, d: dtype
) -> tuple[Strides, int]:
    if d.itemsize == size:
        return strides, offset
    others = (step * size // d.itemsize for step in strides[:-1])
    return (*others, 1), offset * size // d.itemsize


# `size` is that of the elements before, in bytes.
bits: Op = define(
    "bits",
    attrs="size dtype",
    kind="movement",
    infer=_infer,
    numpy=_numpy,
    view=View(
        _layout,
        lambda base, part, size, d: bits(part, d.itemsize, base.dtype),
        lambda first, second: (first[0], second[1]),
    ),
    samples=lambda: [
        Sample((Array((2, 3), 0, 9, "int64"), 8, int32)),
        Sample((Array((2, 4), 0, 9, "int32"), 4, int64)),
        Sample((Array((), 0, 9, "int64"), 8, int64)),
        Sample((Array((2, 1), 0, 9, "int32"), 4, uint8)),
    ],
    dtypes="integer",
    reference=lambda torch, x, size, d: x.view(getattr(torch, d.name)),
)
# The compiler's strides are of elements of one size: to it this is a call of NumPy.
bits.layout = None


def view_as_dtype(input: Any, d: dtype) -> Any:
    """`input.view(d)`: the same memory, without history. RuntimeError where elements of `d` cannot
    lie where those of the input do.
    """
    before = input.dtype
    plain = input.detach()
    if before is d:
        return reshape(plain, tuple(input.shape))
    size, wanted = before.itemsize, d.itemsize
    if size != wanted:
        what = f"to view {class_name(before)} as {class_name(d)} (different element sizes), but got"
        if not input.shape:
            raise RuntimeError(f"self.dim() cannot be 0 {what.partition(', ')[0]}{at(here())}")
        if input.stride(-1) != 1:
            raise RuntimeError(
                f"self.stride(-1) must be 1 {what} {input.stride(-1)}; call .contiguous() first"
                f"{at(here())}"
            )
    if size < wanted:
        ratio = wanted // size
        _require_multiple("self.size(-1)", input.shape[-1], ratio, what)
        _require_multiple("self.storage_offset()", input._strides()[1], ratio, what)
        for dim, step in enumerate(input.stride()[:-1]):
            _require_multiple(f"self.stride({dim})", step, ratio, what)
    return bits(plain, size, d)


def _require_multiple(name: str, number: int, ratio: int, what: str) -> None:
    if number % ratio:
        raise RuntimeError(f"{name} must be divisible by {ratio} {what} {number}{at(here())}")
