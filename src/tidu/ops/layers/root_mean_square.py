"""RMS norm: rows divided by the root of their mean square."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.shapes import Shape
from tidu.ir.op import Array, Sample, define
from tidu.ir.value import Value
from tidu.ops.cast import as_dtype
from tidu.ops.elementwise import rsqrt
from tidu.ops.layers.group_statistics import mean_of_squares, torch_wide, widened
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.reduce import mean_, sum_
from tidu.ops.rules import same


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
        inverse = rsqrt(mean_of_squares(flat, (1,)) + eps)
    out = flat * inverse
    out = out if weight is None else out * reshape(weight, (-1,))
    return as_dtype(reshape(out, x.shape), x.dtype)


def _rms_vjp(
    g: Any, out: Any, x: Any, weight: Any, inverse: Any, view: Shape, eps: float
) -> tuple[Any, ...]:
    shape, wide = x.shape, widened(x.dtype)
    x, g = as_dtype(reshape(x, view), wide), as_dtype(reshape(g, view), wide)
    if inverse is None or x.__class__ is not Value:  # see standardize
        inverse = rsqrt(mean_of_squares(x, (1,)) + eps)
    normal = x * inverse
    g_weight = None
    if weight is not None:
        g_weight = reshape(sum_(g * normal, (0,), False), weight.shape)
        g = g * reshape(weight, (-1,))
    g_input = (g - normal * mean_(g * normal, (1,), True)) * inverse
    return reshape(g_input, shape), g_weight, None


def _torch_rms(torch: Any, x: Any, weight: Any, inverse: Any, view: Shape, eps: float) -> Any:
    flat = torch_wide(torch, x).reshape(view)
    out = flat * torch.rsqrt(flat.square().mean(1, keepdim=True) + eps)
    out = out if weight is None else out * weight.reshape(-1)
    return out.reshape(x.shape).to(x.dtype)


rms_norm_ = define(
    "rms_norm",
    inputs="input weight inverse",
    attrs="view eps",
    kind="composite",
    infer=same,
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
