"""The statistics of groups of numbers: means, variances, 1/deviations.

A group extends over dimensions `dims` of the input, reshaped to `view`. Statistics of halves are
computed in float32. None of these operations has a derivative: `standardize`, which uses them,
knows how they depend on its input.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape, reduced
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops.cast import as_dtype
from tidu.ops.elementwise import rsqrt
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.reduce import mean_
from tidu.ops.rules import not_implemented, same

Dims = tuple[int, ...]


def widened(d: dtype) -> dtype:
    """What statistics are computed in: halves are for storage."""
    return dtypes.float32 if d.is_half else d


def _statistic_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    view, dims = attrs
    d = inputs[0].dtype
    if not d.is_floating_point:
        raise not_implemented(op.name, d)
    return inputs, reduced(view, dims, True), widened(d)


def _statistic_samples() -> list[Sample]:
    return [
        Sample((Array((4, 3, 2)), (4, 3, 2), (0, 2))),
        Sample((Array((4, 3)), (4, 3), (1,))),
        Sample((Array((2, 6, 2)), (2, 3, 2, 2), (2, 3))),
    ]


# Neither of these has a derivative: `standardize` knows how they depend on its input.
group_mean = define(
    "group_mean",
    attrs="view dims",
    kind="composite",
    infer=_statistic_infer,
    numpy=lambda x, view, dims: np.mean(
        x.reshape(view), dims, keepdims=True, dtype=_at_least_single(x)
    ),
    decompose=lambda x, view, dims: mean_(as_dtype(reshape(x, view), widened(x.dtype)), dims, True),
    samples=_statistic_samples,
    dtypes="float",
    reference=lambda torch, x, view, dims: torch_wide(torch, x).reshape(view).mean(dims, True),
)


def _at_least_single(x: Any) -> Any:
    return np.float32 if x.dtype.itemsize == 2 else x.dtype


def torch_wide(torch: Any, x: Any) -> Any:
    """As `widened`, for a tensor of PyTorch."""
    return x.double() if x.dtype == torch.float64 else x.float()


def variance_numpy(x: Any, mean: Any, view: Shape, dims: Dims) -> Any:
    """The mean of (x - mean)² over each group."""
    centered = x.reshape(view) - mean
    np.multiply(centered, centered, out=centered)
    return np.mean(centered, dims, keepdims=True)


def _variance(x: Any, mean: Any, view: Shape, dims: Dims) -> Any:
    centered = reshape(x, view) - mean
    return mean_(centered * centered, dims, True)


group_variance = define(
    "group_variance",
    inputs="input mean",
    attrs="view dims",
    kind="composite",
    infer=_statistic_infer,
    numpy=variance_numpy,
    decompose=_variance,
    samples=lambda: [
        Sample((Array((4, 3, 2)), Array((1, 3, 1), dtype="float32"), (4, 3, 2), (0, 2))),
        Sample((Array((4, 3)), Array((4, 1), dtype="float32"), (4, 3), (1,))),
    ],
    dtypes="float",
    reference=lambda torch, x, mean, view, dims: (
        (torch_wide(torch, x).reshape(view) - mean).square().mean(dims, True)
    ),
)


inverse_deviation = define(
    "inverse_deviation",
    inputs="variance",
    attrs="eps",
    kind="composite",
    infer=same,
    numpy=lambda variance, eps: 1 / np.sqrt(variance + eps),
    decompose=lambda variance, eps: rsqrt(variance + eps),
    samples=lambda: [Sample((Array((1, 3, 1), 0, 2), 1e-5)), Sample((Array((2, 1), 0, 2), 1e-3))],
    dtypes="wide",
    reference=lambda torch, variance, eps: torch.rsqrt(variance + eps),
)


mean_square = define(
    "mean_square",
    attrs="view dims",
    kind="composite",
    infer=_statistic_infer,
    numpy=lambda x, view, dims: np.mean(
        np.square(x.reshape(view), dtype=_at_least_single(x)), dims, keepdims=True
    ),
    decompose=lambda x, view, dims: mean_of_squares(
        as_dtype(reshape(x, view), widened(x.dtype)), dims
    ),
    samples=_statistic_samples,
    dtypes="float",
    reference=lambda torch, x, view, dims: (
        torch_wide(torch, x).reshape(view).square().mean(dims, True)
    ),
)


def mean_of_squares(x: Any, dims: Dims) -> Any:
    """The mean of x² over `dims`, which are kept with size 1."""
    return mean_(x * x, dims, True)


def statistics_within(x: Any, dims: Dims, eps: float) -> tuple[Any, Any]:
    """Mean and 1/deviation in terms of other ops, so that they can be differentiated."""
    mean = mean_(x, dims, True)
    return mean, rsqrt(mean_of_squares(x - mean, dims) + eps)
