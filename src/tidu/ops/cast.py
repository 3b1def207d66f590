"""Conversion between dtypes, which every other rule of promotion rests on."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.op import Array, Inferred, Op, Sample, define


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, inputs[0].shape, attrs[0]


def _numpy(x: Any, d: dtypes.dtype) -> Any:
    if x.dtype.kind == "f" and d.category == dtypes.INTEGER and d.itemsize < 8:
        return x.astype(np.int64).astype(d.numpy)  # out of range wraps, as in C and PyTorch
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
)
