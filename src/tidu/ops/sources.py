"""Values that come from no tensor: constants and ranges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.ir.op import Inferred, Op, Sample, define


def _full_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    shape, d = attrs
    return inputs, shape, d


def _full_numpy(value: Any, shape: tuple[int, ...], d: dtype) -> Any:
    zero = value == 0 and math.copysign(1.0, value) > 0
    return np.zeros(shape, d.numpy) if zero else np.full(shape, value, d.numpy)


full = define(
    "full",
    inputs="value",
    attrs="shape dtype",
    kind="source",
    infer=_full_infer,
    numpy=_full_numpy,
    emit=lambda s, value, shape, d: s.cast(value, d),
    samples=lambda: [Sample((1.5, (2, 3), dtypes.float32)), Sample((3, (), dtypes.int64))],
    reference=lambda torch, value, shape, d: torch.full(shape, value, dtype=getattr(torch, d.name)),
)
# start + step * i for i in range(size), computed in float64 or int64 and then rounded.
arange_ = define(
    "arange",
    inputs="start step",
    attrs="size dtype",
    kind="range",
    infer=lambda op, inputs, attrs: (inputs, (attrs[0],), attrs[1]),
    numpy=lambda start, step, size, d: (start + step * np.arange(size)).astype(d.numpy),
    emit=lambda s, index, start, step, size, d: s.cast(s.fma(index, step, start), d),
    samples=lambda: [Sample((0, 1, 5, dtypes.int64)), Sample((0.5, 0.25, 4, dtypes.float32))],
    reference=lambda torch, start, step, size, d: (
        torch.arange(size, dtype=torch.float64) * step + start
    ).to(getattr(torch, d.name)),
)
