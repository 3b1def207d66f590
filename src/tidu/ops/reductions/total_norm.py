"""One norm over the numbers of several tensors: what clipping of gradients asks for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops.cast import cast
from tidu.ops.elementwise import abs_, logical_or, maximum, minimum, ne, where
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.reduce import amax, amin, any_, sum_
from tidu.ops.rules import class_name
from tidu.ops.sources import full


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    for x in inputs:
        if not x.dtype.is_floating_point:
            raise RuntimeError(
                f"linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
                f"{class_name(x.dtype)}"
            )
    d = inputs[0].dtype
    for x in inputs:
        if x.dtype is not d:
            d = dtypes.promote_types(d, x.dtype)
    return inputs, (), d


def _everything(x: Any) -> tuple[int, ...]:
    return tuple(range(len(x.shape)))


def _total_norm(tensors: tuple[Any, ...], p: float) -> Any:
    d = tensors[0].dtype
    for x in tensors[1:]:
        d = dtypes.promote_types(d, x.dtype)
    tensors = tuple(cast(x, dtypes.float64) for x in tensors if 0 not in x.shape or p == 0)
    if not tensors:
        return full(0.0, (), d)
    return cast(_norm(tensors, p, d is dtypes.float64), d)


def _norm(tensors: tuple[Any, ...], p: float, scaled: bool) -> Any:
    """The norm of float64 tensors. `scaled` divides by the greatest number first, so that no power
    overflows; what was float32 or shorter cannot overflow here.
    """
    if p == 0:
        return _sum(
            [cast(any_(ne(x, 0.0), _everything(x), False), dtypes.float64) for x in tensors]
        )
    magnitudes = [abs_(x) for x in tensors]
    if math.isinf(p):
        extreme, join = (amax, maximum) if p > 0 else (amin, minimum)
        result = extreme(magnitudes[0], _everything(magnitudes[0]), False)
        for x in magnitudes[1:]:
            result = join(result, extreme(x, _everything(x), False))
        return result
    if not scaled:
        return _sum([sum_(_power(x, p), _everything(x), False) for x in magnitudes]) ** (1.0 / p)
    top = _norm(tensors, math.inf, False)
    usable = where(logical_or(top == 0.0, top == math.inf), 1.0, top)
    return (
        _sum([sum_(_power(x / usable, p), _everything(x), False) for x in magnitudes]) ** (1.0 / p)
        * usable
    )


def _power(x: Any, p: float) -> Any:
    return x * x if p == 2 else x if p == 1 else x**p


def _sum(numbers: list[Any]) -> Any:
    return sum_(cat_(tuple(reshape(x, (1,)) for x in numbers), 0), (0,), False)


def _total_norm_numpy(*arguments: Any) -> Any:
    *arrays, p = arguments
    if p != 2:
        return _by_powers([a for a in arrays if a.size or p == 0], p)
    flat = [a.reshape(-1) for a in arrays]
    if any(a.dtype == np.float64 for a in flat):
        top = max((float(np.abs(a).max()) for a in flat if a.size), default=0.0)
        if 1e150 < top < math.inf or 0.0 < top < 1e-150:
            return top * math.sqrt(sum(float(np.square(a / top).sum()) for a in flat))
    return math.sqrt(
        sum(float(np.dot(wide, wide)) for wide in (a.astype(np.float64) for a in flat))
    )


def _by_powers(arrays: list[Any], p: float) -> Any:
    if p == 0:
        return float(sum(bool(np.any(a)) for a in arrays))
    magnitudes = [np.abs(a.astype(np.float64)) for a in arrays]
    if math.isinf(p):
        extremes = [a.max() if p > 0 else a.min() for a in magnitudes]
        return np.max(extremes) if p > 0 else np.min(extremes)
    top = max((float(a.max()) for a in magnitudes), default=0.0)
    usable = top if 0.0 < top < math.inf else 1.0
    return usable * float(sum(((a / usable) ** p).sum() for a in magnitudes)) ** (1.0 / p)


# (Σ |x|ᵖ)^(1/p) over all numbers of all tensors; for p = 0 how many tensors are not zero.
total_norm = define(
    "total_norm",
    inputs="*tensors",
    attrs="norm_type",
    kind="composite",
    infer=_infer,
    numpy=_total_norm_numpy,
    decompose=_total_norm,
    samples=lambda: [
        Sample(((Array((0, 3)),), 2.0)),
        *(
            Sample(((Array((3, 4)), Array((2,)), Array(())), p))
            for p in (2.0, 1.0, 3.0, 0.0, math.inf, -math.inf)
        ),
    ],
    dtypes="float",
    reference=lambda torch, tensors, p: torch.nn.utils.get_total_norm(tensors, p),
)
