"""What layer and group norm compute: numbers on the scale of their group.

They are one operation, `standardize`, on a reshaped view of the input; they differ in the
dimensions of that view over which a group extends. Batch norm has its own, see `channel_norm`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.shapes import Shape
from tidu.base.strides import Operands, Strides, strides_of_images
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ir.value import Value
from tidu.ops.cast import as_dtype
from tidu.ops.layers.group_statistics import (
    Dims,
    statistics_within,
    torch_wide,
    variance_numpy,
    widened,
)
from tidu.ops.moving.movement import reshape
from tidu.ops.pick import several
from tidu.ops.reductions.reduce import mean_, sum_
from tidu.ops.rules import ends_at, same


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
        rstd = 1 / np.sqrt(variance_numpy(flat, mean, view, dims) + eps)
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
    if mean is None or x.__class__ is not Value:
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
    g_input = (g - mean_(g, dims, True) - normal * mean_(product, dims, True)) * scale
    return reshape(g_input, of_input), reshape(product_sum, shape), reshape(g_sum, shape)


def _back_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, shape = inputs[1], attrs[-1]
    return inputs, (x.shape, shape, shape), (widened(x.dtype),) * 3  # type: ignore[return-value]


def _torch_back(torch: Any, g: Any, x: Any, weight: Any, *rest: Any) -> tuple[Any, ...]:
    """What PyTorch's own derivative of the formula gives."""
    mean, rstd, *attrs, shape = rest
    x = torch_wide(torch, x).detach().requires_grad_()
    scale = x.new_ones(shape) if weight is None else torch_wide(torch, weight).detach()
    shift = x.new_zeros(shape).requires_grad_()
    out = _torch_standardize(torch, x, scale.requires_grad_(), shift, mean, rstd, *attrs)
    return torch.autograd.grad(out, (x, scale, shift), g)  # type: ignore[no-any-return]


def _back_samples() -> list[Sample]:
    x, views = Array((4, 3, 2)), ((4, 3, 2), (1, 3, 1))
    return [
        Sample((x, x, Array((3,)), None, None, *views, (2,), 1e-5, (3,))),
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
    flat = torch_wide(torch, x).reshape(view)
    if mean is None:
        variance, mean = torch.var_mean(flat, dims, correction=0, keepdim=True)
        rstd = torch.rsqrt(variance + eps)
    out = (flat - mean) * rstd
    out = out if weight is None else out * weight.reshape(affine)
    out = out if bias is None else out + bias.reshape(affine)
    return out.reshape(x.shape).to(x.dtype)


def _standardize_samples() -> list[Sample]:
    channels = (Array((3,)), Array((3,)))
    return [
        Sample((Array((4, 3, 2)), *channels, None, None, (4, 3, 2), (1, 3, 1), (2,), 1e-3)),
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
def _strides(shape: Shape, operands: Operands, attrs: tuple[Any, ...]) -> Strides | None:
    """Normalized over groups, an image stays as it lies; over a row it is copied."""
    by_row = len(attrs[0]) == 2
    return None if by_row else strides_of_images(shape, operands, attrs)


standardize = define(
    "standardize",
    inputs="input weight bias mean rstd",
    attrs="view affine dims eps",
    kind="composite",
    strides=_strides,
    infer=same,
    numpy=_standardize_numpy,
    decompose=_standardize,
    vjp=_standardize_vjp,
    ends=ends_at(0, 1, 2),
    joined=True,
    samples=_standardize_samples,
    dtypes="float",
    reference=_torch_standardize,
    tolerance=10.0,
)
