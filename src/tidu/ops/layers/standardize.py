"""What the norms compute: the statistics of groups of numbers, and the numbers on that scale.

All of batch, layer, group and instance norm are one operation, `standardize`, on one reshaped view
of the input; they differ in the dimensions of that view over which a group extends.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape, reduced
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ir.value import Value
from tidu.ops.cast import as_dtype
from tidu.ops.elementwise import rsqrt
from tidu.ops.moving.movement import reshape
from tidu.ops.pick import several
from tidu.ops.reductions.reduce import mean_, sum_
from tidu.ops.rules import not_implemented
from tidu.ops.updates import weighted_sum

Dims = tuple[int, ...]


def widened(d: dtype) -> dtype:
    """What statistics are computed in: halves are for storage."""
    return dtypes.float32 if d.is_half else d


def _keep_first(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, inputs[0].shape, inputs[0].dtype


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
    reference=lambda torch, x, view, dims: _torch_wide(torch, x).reshape(view).mean(dims, True),
)


def _at_least_single(x: Any) -> Any:
    return np.float32 if x.dtype.itemsize == 2 else x.dtype


def _torch_wide(torch: Any, x: Any) -> Any:
    return x.double() if x.dtype == torch.float64 else x.float()


def _variance_numpy(x: Any, mean: Any, view: Shape, dims: Dims) -> Any:
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
    numpy=_variance_numpy,
    decompose=_variance,
    samples=lambda: [
        Sample((Array((4, 3, 2)), Array((1, 3, 1), dtype="float32"), (4, 3, 2), (0, 2))),
        Sample((Array((4, 3)), Array((4, 1), dtype="float32"), (4, 3), (1,))),
    ],
    dtypes="float",
    reference=lambda torch, x, mean, view, dims: (
        (_torch_wide(torch, x).reshape(view) - mean).square().mean(dims, True)
    ),
)


inverse_deviation = define(
    "inverse_deviation",
    inputs="variance",
    attrs="eps",
    kind="composite",
    infer=_keep_first,
    numpy=lambda variance, eps: 1 / np.sqrt(variance + eps),
    decompose=lambda variance, eps: rsqrt(variance + eps),
    samples=lambda: [Sample((Array((1, 3, 1), 0, 2), 1e-5)), Sample((Array((2, 1), 0, 2), 1e-3))],
    dtypes="wide",
    reference=lambda torch, variance, eps: torch.rsqrt(variance + eps),
)


def _running(running: Any, statistic: Any, keep: Any, weight: Any, scale: float) -> Any:
    statistic = reshape(statistic, running.shape)
    return weighted_sum(running, statistic if scale == 1.0 else statistic * scale, keep, weight)


# keep · running + weight · scale · statistic, with the statistic of each group along dimension 1.
running_statistic = define(
    "running_statistic",
    inputs="running statistic keep weight",
    attrs="scale",
    kind="composite",
    infer=_keep_first,
    numpy=lambda running, statistic, keep, weight, scale: (
        running * keep + (statistic.reshape(running.shape) * scale) * weight
    ),
    decompose=_running,
    samples=lambda: [
        Sample((Array((3,)), Array((1, 3, 1)), 0.9, 0.1, 1.0)),
        Sample((Array((3,)), Array((1, 3, 1)), 0.75, 0.25, 1.5)),
    ],
    dtypes="float",
    reference=lambda torch, running, statistic, keep, weight, scale: (
        running * keep + statistic.reshape(running.shape) * scale * weight
    ),
)
mean_square = define(
    "mean_square",
    attrs="view dims",
    kind="composite",
    infer=_statistic_infer,
    numpy=lambda x, view, dims: np.mean(
        np.square(x.reshape(view), dtype=_at_least_single(x)), dims, keepdims=True
    ),
    decompose=lambda x, view, dims: _mean_square(
        as_dtype(reshape(x, view), widened(x.dtype)), dims
    ),
    samples=_statistic_samples,
    dtypes="float",
    reference=lambda torch, x, view, dims: (
        _torch_wide(torch, x).reshape(view).square().mean(dims, True)
    ),
)


def _mean_square(x: Any, dims: Dims) -> Any:
    return mean_(x * x, dims, True)


def _standardize_numpy(
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    rstd: Any,
    view: Shape,
    affine: Shape,
    dims: Dims,
    eps: float,
) -> Any:
    flat = x.reshape(view)
    if mean is None:
        mean = np.mean(flat, dims, keepdims=True)
        rstd = 1 / np.sqrt(_variance_numpy(flat, mean, view, dims) + eps)
    out = flat - mean
    if weight is not None and _is_constant(affine, dims):
        out *= rstd * weight.reshape(affine)
    else:
        out *= rstd
        if weight is not None:
            out *= weight.reshape(affine)
    if bias is not None:
        out += bias.reshape(affine)
    return out.reshape(x.shape)


def _standardize(
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    rstd: Any,
    view: Shape,
    affine: Shape,
    dims: Dims,
    eps: float,
) -> Any:
    flat = as_dtype(reshape(x, view), widened(x.dtype))
    if mean is None:
        mean, rstd = statistics_within(flat, dims, eps)
    out = (flat - mean) * rstd
    if weight is not None:
        out = out * reshape(weight, affine)
    if bias is not None:
        out = out + reshape(bias, affine)
    return as_dtype(reshape(out, x.shape), x.dtype)


def statistics_within(x: Any, dims: Dims, eps: float) -> tuple[Any, Any]:
    """Mean and 1/deviation in terms of other ops, so that they can be differentiated."""
    mean = mean_(x, dims, True)
    return mean, rsqrt(_mean_square(x - mean, dims) + eps)


def _is_constant(affine: Shape, dims: Dims) -> bool:
    """Whether the weight is the same for all elements of a group."""
    return all(affine[d] == 1 for d in dims)


def _back(
    g: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    view: Shape,
    affine: Shape,
    dims: Dims,
    eps: float,
    shape: Shape,
) -> tuple[Any, ...]:
    """The cotangents of input, weight and bias;
    the last two, of `shape`, also where there are none.
    """
    of_input, wide = x.shape, widened(x.dtype)
    x, g = as_dtype(reshape(x, view), wide), as_dtype(reshape(g, view), wide)
    if mean is None or (dims and x.__class__ is not Value):
        # A derivative of this one has to see that the statistics depend on the input.
        mean, rstd = statistics_within(x, dims, eps)
    normal = (x - mean) * rstd
    product = g * normal
    rest = tuple(i for i, n in enumerate(affine) if n == 1)
    g_sum, product_sum = sum_(g, rest, True), sum_(product, rest, True)
    scale = rstd
    if weight is not None and _is_constant(affine, dims):
        scale = scale * reshape(weight, affine)
    elif weight is not None:
        g = g * reshape(weight, affine)
        product = g * normal
    if rest == dims:  # batch norm: the sums for weight and bias are those over each group
        count = float(prod(view[d] for d in dims))
        g_input = (g - g_sum / count - normal * (product_sum / count)) * scale
    elif dims:
        g_input = (g - mean_(g, dims, True) - normal * mean_(product, dims, True)) * scale
    else:
        g_input = g * scale
    return reshape(g_input, of_input), reshape(product_sum, shape), reshape(g_sum, shape)


def _back_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, shape = inputs[1], attrs[-1]
    return inputs, (x.shape, shape, shape), (widened(x.dtype),) * 3  # type: ignore[return-value]


def _torch_back(torch: Any, g: Any, x: Any, weight: Any, *rest: Any) -> tuple[Any, ...]:
    """What PyTorch's own derivative of the formula gives."""
    mean, rstd, *attrs, shape = rest
    x = _torch_wide(torch, x).detach().requires_grad_()
    scale = x.new_ones(shape) if weight is None else _torch_wide(torch, weight).detach()
    shift = x.new_zeros(shape).requires_grad_()
    out = _torch_standardize(torch, x, scale.requires_grad_(), shift, mean, rstd, *attrs)
    return torch.autograd.grad(out, (x, scale, shift), g)  # type: ignore[no-any-return]


def _back_samples() -> list[Sample]:
    x, some, others = Array((4, 3, 2)), Array((1, 3, 1)), Array((1, 3, 1), 1, 2)
    views = ((4, 3, 2), (1, 3, 1))
    return [
        Sample((x, x, Array((3,)), None, None, *views, (0, 2), 1e-5, (3,))),
        Sample((x, x, Array((3,)), some, others, *views, (), 1e-5, (3,))),
        Sample((x, x, None, None, None, *views, (2,), 1e-5, (3,))),
        Sample((x, x, Array((2,)), None, None, (12, 2), (1, 2), (1,), 1e-3, (2,))),
    ]


# All cotangents of `standardize` as one operation: most of what they are made of is shared.
standardize_back = define(
    "standardize_back",
    inputs="cotangent input weight mean rstd",
    attrs="view affine dims eps shape",
    kind="composite",
    infer=_back_infer,
    decompose=_back,
    samples=_back_samples,
    outputs=3,
    dtypes="wide",
    reference=_torch_back,
    tolerance=20.0,
)


def _standardize_vjp(
    g: Any,
    out: Any,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    rstd: Any,
    view: Shape,
    affine: Shape,
    dims: Dims,
    eps: float,
) -> tuple[Any, ...]:
    shape = affine
    if weight is not None:
        shape = weight.shape
    elif bias is not None:
        shape = bias.shape
    if x.__class__ is not Value:  # on the tape: what follows is to be differentiated itself
        back = _back(g, x, weight, mean, rstd, view, affine, dims, eps, tuple(shape))
    else:
        attrs = (view, affine, dims, eps, shape)
        back = several(standardize_back.value((g, x, weight, mean, rstd), attrs))
    return (
        back[0],
        None if weight is None else back[1],
        None if bias is None else back[2],
        None,
        None,
    )


def _torch_standardize(
    torch: Any,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    rstd: Any,
    view: Shape,
    affine: Shape,
    dims: Dims,
    eps: float,
) -> Any:
    flat = _torch_wide(torch, x).reshape(view)
    if mean is None:
        variance, mean = torch.var_mean(flat, dims, correction=0, keepdim=True)
        rstd = torch.rsqrt(variance + eps)
    out = (flat - mean) * rstd
    out = out if weight is None else out * weight.reshape(affine)
    out = out if bias is None else out + bias.reshape(affine)
    return out.reshape(x.shape).to(x.dtype)


def _standardize_samples() -> list[Sample]:
    some, others = Array((1, 3, 1), -2, 2, "int64"), Array((1, 3, 1), 1, 3, "int64")
    channels = (Array((3,)), Array((3,)))
    return [
        Sample((Array((4, 3, 2)), *channels, None, None, (4, 3, 2), (1, 3, 1), (0, 2), 1e-5)),
        Sample((Array((4, 3, 2)), *channels, None, None, (4, 3, 2), (1, 3, 1), (2,), 1e-3)),
        Sample((Array((4, 3, 2)), *channels, some, others, (4, 3, 2), (1, 3, 1), (), 1e-5)),
        Sample((Array((2, 3, 4)), Array((4,)), None, None, None, (6, 4), (1, 4), (1,), 1e-5)),
        Sample(
            (
                Array((2, 4, 3)),
                Array((4,)),
                Array((4,)),
                None,
                None,
                (2, 2, 2, 3),
                (1, 2, 2, 1),
                (2, 3),
                1e-5,
            )
        ),
        Sample((Array((4, 3)), None, None, None, None, (4, 3), (1, 3), (1,), 1e-5)),
    ]


# `mean` and `rstd` spare work where they are known; they have to be those of the input over `dims`.
# In evaluation they are constants, and `dims` is empty.
standardize = define(
    "standardize",
    inputs="input weight bias mean rstd",
    attrs="view affine dims eps",
    kind="composite",
    infer=_keep_first,
    numpy=_standardize_numpy,
    decompose=_standardize,
    vjp=_standardize_vjp,
    samples=_standardize_samples,
    dtypes="float",
    reference=_torch_standardize,
    tolerance=10.0,
)


def _rms_numpy(x: Any, weight: Any, inverse: Any, view: Shape, eps: float) -> Any:
    flat = x.reshape(view)
    if inverse is None:
        inverse = 1 / np.sqrt(np.mean(np.square(flat), 1, keepdims=True) + eps)
    out = flat * inverse
    if weight is not None:
        out *= weight.reshape(-1)
    return out.reshape(x.shape)


def _rms(x: Any, weight: Any, inverse: Any, view: Shape, eps: float) -> Any:
    flat = as_dtype(reshape(x, view), widened(x.dtype))
    if inverse is None:
        inverse = rsqrt(_mean_square(flat, (1,)) + eps)
    out = flat * inverse
    out = out if weight is None else out * reshape(weight, (-1,))
    return as_dtype(reshape(out, x.shape), x.dtype)


def _rms_vjp(
    g: Any, out: Any, x: Any, weight: Any, inverse: Any, view: Shape, eps: float
) -> tuple[Any, ...]:
    shape, wide = x.shape, widened(x.dtype)
    x, g = as_dtype(reshape(x, view), wide), as_dtype(reshape(g, view), wide)
    if inverse is None or x.__class__ is not Value:  # see standardize
        inverse = rsqrt(_mean_square(x, (1,)) + eps)
    normal = x * inverse
    g_weight = None
    if weight is not None:
        g_weight = reshape(sum_(g * normal, (0,), False), weight.shape)
        g = g * reshape(weight, (-1,))
    g_input = (g - normal * mean_(g * normal, (1,), True)) * inverse
    return reshape(g_input, shape), g_weight, None


def _torch_rms(torch: Any, x: Any, weight: Any, inverse: Any, view: Shape, eps: float) -> Any:
    flat = _torch_wide(torch, x).reshape(view)
    out = flat * torch.rsqrt(flat.square().mean(1, keepdim=True) + eps)
    out = out if weight is None else out * weight.reshape(-1)
    return out.reshape(x.shape).to(x.dtype)


rms_norm_ = define(
    "rms_norm",
    inputs="input weight inverse",
    attrs="view eps",
    kind="composite",
    infer=_keep_first,
    numpy=_rms_numpy,
    decompose=_rms,
    vjp=_rms_vjp,
    grad_name="MulBackward0",
    samples=lambda: [
        Sample((Array((4, 3)), Array((3,)), None, (4, 3), 1e-5)),
        Sample((Array((2, 3, 2)), Array((3, 2)), None, (2, 6), 1e-3)),
        Sample((Array((2, 3)), None, None, (2, 3), 1e-5)),
    ],
    dtypes="float",
    reference=_torch_rms,
    tolerance=4.0,
)
