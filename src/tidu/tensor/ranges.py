"""Evenly spaced numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import refuse_unknown
from tidu.base.source import at, here, warn
from tidu.ir.op import function
from tidu.ops.sources import arange_
from tidu.tensor.creation import takes_out
from tidu.tensor.from_data import finish
from tidu.tensor.tensor import Tensor, from_array, from_value

__all__ = ["arange", "linspace", "logspace"]


@takes_out
def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """start, start + step, ... up to but without `end`;
    int64 if all three are ints, else the default dtype.

    Raises RuntimeError for a step of 0 or of the wrong sign.

    >>> torch.arange(1, 10, 3)
    tensor([1, 4, 7])
    >>> torch.arange(0, 1, 0.25)
    tensor([0.0000, 0.2500, 0.5000, 0.7500])
    """
    devices.check(device)
    refuse_unknown("arange", rest)
    if end is None:
        start, end = 0, start
    start, end, step = (
        x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end, step)
    )
    _check_range(start, end, step)
    integral = all(isinstance(x, int) for x in (start, end, step))
    d = dtypes.given(dtype) or (dtypes.int64 if integral else dtypes.get_default_dtype())
    size = -((start - end) // step) if integral else math.ceil((end - start) / step)
    if d.category != dtypes.FLOAT:
        start, step = int(start), int(step)
    return finish(from_value(arange_(start, step, size, d)), requires_grad)


def _check_range(start: Any, end: Any, step: Any) -> None:
    for name, x in (("start", start), ("end", end), ("step", step)):
        if not isinstance(x, (int, float)):
            raise TypeError(
                f"arange(): argument '{name}' must be Number, not {type(x).__name__}{at(here())}"
            )
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}{at(here())}")
    if step == 0:
        raise RuntimeError(f"step must be nonzero{at(here())}")
    if (end - start) * step < 0:
        raise RuntimeError(
            "upper bound and lower bound inconsistent with step sign: arange from "
            f"{start} to {end} by {step}{at(here())}"
        )


@takes_out
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, evenly spaced.

    >>> torch.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    devices.check(device)
    refuse_unknown("linspace", rest)
    start, end = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
    if isinstance(steps, float):
        raise TypeError(f"linspace(): argument 'steps' must be int, not float{at(here())}")
    if steps < 0:
        raise RuntimeError(f"number of steps must be non-negative{at(here())}")
    d = dtypes.given(dtype) or dtypes.get_default_dtype()
    return finish(from_array(_spaced(start, end, steps, d), d), requires_grad)


def _spaced(start: float, end: float, steps: int, d: dtype) -> Any:
    """From both ends towards the middle, in the arithmetic of the dtype,
    so that both ends are exact.
    """
    if d.category != dtypes.FLOAT:
        step = (end - start) / (steps - 1) if steps > 1 else 0.0
        i = np.arange(steps)
        values = np.where(i < steps // 2, start + step * i, end - step * (steps - 1 - i))
        return np.trunc(values).astype(d.numpy)
    kind = np.float64 if d is dtypes.float64 else np.float32
    step_ = kind((kind(end) - kind(start)) / kind(max(steps - 1, 1)))
    i = np.arange(steps).astype(kind)
    up, down = kind(start) + step_ * i, kind(end) - step_ * (kind(steps - 1) - i)
    return np.where(np.arange(steps) < steps // 2 if steps > 1 else True, up, down).astype(d.numpy)


@takes_out
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """base ** x for x in linspace(start, end, steps)."""
    devices.check(device)
    refuse_unknown("logspace", rest)
    d = dtypes.given(dtype) or dtypes.get_default_dtype()
    exponents = _spaced(float(start), float(end), steps, dtypes.float64)
    return finish(from_array((float(base) ** exponents).astype(d.numpy), d), requires_grad)


@function("torch.range")
def range_closed(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """start, start + step, ... up to and including `end`; `torch.arange` is its successor."""
    devices.check(device)
    warn(
        "torch.range is deprecated and will be removed in a future release because its behavior "
        "is inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values in [start, end).",
    )
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    d = dtype or dtypes.get_default_dtype()
    numbers = start + step * np.arange(int((end - start) / step) + 1)
    return finish(from_array(np.asarray(numbers).astype(d.numpy), d), requires_grad)
