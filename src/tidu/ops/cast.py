"""Conversion between dtypes, which every other rule of promotion rests on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.strides import strides_of_copy
from tidu.ir.op import Array, Inferred, Op, Sample, define


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, inputs[0].shape, attrs[0]


def _numpy(x: Any, d: dtypes.dtype) -> Any:
    if d.is_half and x.dtype != np.float32:
        return x.astype(np.float32).astype(d.numpy)  # rounded twice, as in PyTorch
    if x.dtype.kind in "fV" and d.category == dtypes.INTEGER and d.itemsize < 8:
        # What an int32 lacks becomes the least of them; a narrower one keeps its low bits.
        wide = x.astype(np.float32) if x.dtype.itemsize == 2 else x
        return wide.astype(np.int32).astype(d.numpy)
    return x.astype(d.numpy)


cast = define(
    "cast",
    attrs="dtype",
    infer=_infer,
    numpy=_numpy,
    emit=lambda s, x, d: s.cast(x, d),
    vjp=(lambda g, out, x, d: g,),
    grad_name="ToCopyBackward0",
    samples=lambda: [
        Sample((Array(shape), d))
        for shape in ((3, 4), (), (0, 2))
        for d in (dtypes.float64, dtypes.int32, dtypes.bool_)
    ],
    reference=lambda torch, x, d: x.to(getattr(torch, d.name)),
    strides=strides_of_copy,
)


def as_dtype(x: Any, d: dtypes.dtype | None) -> Any:
    """`x` in dtype `d`; as it is where it has that already, or where none is asked for."""
    return x if d is None or x.dtype is d else cast(x, d)


def all_as_dtype(d: dtypes.dtype, *inputs: Any) -> tuple[Any, ...]:
    """The inputs of an operation in one dtype; None stays what it is."""
    return tuple(None if x is None else as_dtype(x, d) for x in inputs)
