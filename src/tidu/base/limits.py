"""finfo and iinfo: what the numbers of a dtype can hold."""

from __future__ import annotations

import functools
import math
from typing import Any

import ml_dtypes
import numpy as np

from tidu.base.dtypes import BOOL, FLOAT, INTEGER, dtype, get_default_dtype
from tidu.base.source import at, here


def _checked(name: str, d: object) -> dtype:
    if not isinstance(d, dtype):
        raise TypeError(
            f"{name}(): argument 'type' (position 1) must be torch.dtype, not {type(d).__name__}"
        )
    return d


class finfo:  # noqa: N801 (the name users know it by: torch.finfo)
    """The limits of a float dtype: bits, eps, min, max, tiny, smallest_normal, resolution.

    >>> finfo(float32).eps
    1.1920928955078125e-07
    """

    __slots__ = ("bits", "dtype", "eps", "max", "min", "resolution", "smallest_normal", "tiny")

    def __init__(self, type: dtype | None = None) -> None:
        d = _checked("finfo", get_default_dtype() if type is None else type)
        if d.category != FLOAT:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                "'torch.finfo'"
            )
        limits: Any = (ml_dtypes if d.numpy.kind == "V" else np).finfo(d.numpy)
        self.dtype = d.name
        self.bits = 8 * d.itemsize
        self.eps = float(limits.eps)
        self.max, self.min = float(limits.max), float(limits.min)
        self.smallest_normal = self.tiny = float(limits.smallest_normal)
        self.resolution = 0.01 if d.numpy.kind == "V" else float(f"{limits.resolution:.0e}")

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, "
            f"smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("finfo", self.dtype))


class iinfo:  # noqa: N801 (the name users know it by: torch.iinfo)
    """The limits of an integer dtype: bits, min, max.

    >>> iinfo(int8).max
    127
    """

    __slots__ = ("bits", "dtype", "max", "min")

    def __init__(self, type: dtype) -> None:
        d = _checked("iinfo", type)
        if d.category == FLOAT:
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to handle "
                "'torch.iinfo'"
            )
        if d.category != INTEGER:
            raise TypeError(f"{d} is not supported by torch.iinfo")
        self.dtype = d.name
        self.bits = 8 * d.itemsize
        limits = np.iinfo(d.numpy)
        self.min, self.max = int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(("iinfo", self.dtype))


@functools.cache
def range_of(d: dtype) -> tuple[float, float]:
    """The least and the greatest finite number of a dtype."""
    limits = finfo(d) if d.category == FLOAT else iinfo(d)
    return limits.min, limits.max


# What PyTorch's messages call a dtype whose range a number exceeds.
_STORED_AS = {
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "float32": "float",
    "float64": "double",
    "int64": "int64_t",
    "int32": "int",
    "int16": "int16_t",
    "int8": "int8_t",
    "uint8": "uint8_t",
}


def require_in_range(x: float, d: dtype) -> None:
    """RuntimeError for a number that `d` cannot hold; in uint8, negative ones count from 256."""
    if d.category == BOOL:
        return
    least, greatest = range_of(d)
    if (least or -greatest) <= x <= greatest:
        return
    if d.category == FLOAT and not math.isfinite(x):
        return
    raise RuntimeError(
        f"value cannot be converted to type {_STORED_AS[d.name]} without overflow: {x} is beyond "
        f"the range of {d}, from {least} to {greatest}{at(here())}"
    )
