"""Batch norm as operations: statistics of channels, and numbers on the scale of their channel.

The input is reshaped to `view`, (samples, channels, elements of a plane); `channel_order` has what
is computed. Statistics have the shape (1, channels, 1), those of halves are float32. Only the norms
themselves have a derivative: they know how the statistics depend on the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu.base.shapes import Shape
from tidu.base.strides import strides_of_images
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ir.value import Value
from tidu.ops.cast import as_dtype
from tidu.ops.elementwise import rsqrt
from tidu.ops.layers import channel_order
from tidu.ops.layers.group_statistics import torch_wide, widened
from tidu.ops.moving.movement import reshape
from tidu.ops.pick import several
from tidu.ops.rules import ends_at, not_implemented, same


def _of_channels(view: Shape) -> Shape:
    return (1, view[1], 1)


def _seen(x: Any, view: Shape) -> Any:
    return as_dtype(reshape(x, view), widened(x.dtype))


def _statistic_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    d = inputs[0].dtype
    if not d.is_floating_point:
        raise not_implemented(op.name, d)
    return inputs, _of_channels(attrs[0]), widened(d)


channel_mean = define(
    "channel_mean",
    attrs="view",
    kind="composite",
    infer=_statistic_infer,
    decompose=lambda x, view: channel_order.mean_of(_seen(x, view)),
    samples=lambda: [
        Sample((Array((4, 3, 2)), (4, 3, 2))),
        Sample((Array((3, 2, 2, 5)), (3, 2, 10))),
        Sample((Array((5, 3)), (5, 3, 1))),
    ],
    dtypes="float",
    reference=lambda torch, x, view: torch_wide(torch, x).reshape(view).mean((0, 2), True),
)

channel_squares = define(
    "channel_squares",
    inputs="input mean",
    attrs="view",
    kind="composite",
    infer=_statistic_infer,
    decompose=lambda x, mean, view: channel_order.squares_of(_seen(x, view), mean),
    samples=lambda: [
        Sample((Array((4, 3, 2)), Array((1, 3, 1), dtype="float32"), (4, 3, 2))),
        Sample((Array((5, 3)), Array((1, 3, 1), dtype="float32"), (5, 3, 1))),
    ],
    dtypes="float",
    reference=lambda torch, x, mean, view: (
        (torch_wide(torch, x).reshape(view) - mean).square().sum((0, 2), True)
    ),
)

channel_inverse_deviation = define(
    "channel_inverse_deviation",
    inputs="squares",
    attrs="count eps",
    kind="composite",
    infer=same,
    decompose=channel_order.inverse_deviation,
    samples=lambda: [Sample((Array((1, 3, 1), 0, 20), 10, 1e-5))],
    dtypes="wide",
    reference=lambda torch, squares, count, eps: torch.rsqrt(squares / count + eps),
)

# keep · running + weight · mean
moved_mean = define(
    "moved_mean",
    inputs="running mean keep weight",
    kind="composite",
    infer=same,
    decompose=channel_order.moved_mean,
    samples=lambda: [Sample((Array((3,)), Array((1, 3, 1)), 0.75, 0.25))],
    dtypes="wide",
    reference=lambda torch, running, mean, keep, weight: (
        running * keep + mean.reshape(running.shape) * weight
    ),
)

# keep · running + weight · squares / (count - 1)
moved_variance = define(
    "moved_variance",
    inputs="running squares keep weight",
    attrs="count",
    kind="composite",
    infer=same,
    decompose=channel_order.moved_variance,
    samples=lambda: [
        Sample((Array((3,)), Array((1, 3, 1)), 0.75, 0.25, 5)),
        Sample((Array((3,)), Array((1, 3, 1)), 0.75, 0.25, 1)),
    ],
    dtypes="wide",
    reference=lambda torch, running, squares, keep, weight, count: (
        running * keep + squares.reshape(running.shape) / max(count - 1, 1) * weight
    ),
)


def _along_channels(view: Shape, *numbers: Any) -> tuple[Any, ...]:
    """One number for each channel, in the shape of statistics."""
    return tuple(None if x is None else reshape(x, _of_channels(view)) for x in numbers)


def _statistics(x: Any, view: Shape, eps: float) -> tuple[Any, Any]:
    mean = channel_order.mean_of(x)
    squares = channel_order.squares_of(x, mean)
    return mean, channel_order.inverse_deviation(squares, channel_order.count_of(view), eps)


def _norm(x: Any, weight: Any, bias: Any, mean: Any, inverse: Any, view: Shape, eps: float) -> Any:
    seen = _seen(x, view)
    if mean is None:
        mean, inverse = _statistics(seen, view, eps)
    weight, bias = _along_channels(view, weight, bias)
    out = channel_order.normalized(seen, weight, bias, mean, inverse)
    return as_dtype(reshape(out, x.shape), x.dtype)


def _fixed_norm(
    x: Any, weight: Any, bias: Any, mean: Any, variance: Any, view: Shape, eps: float
) -> Any:
    weight, bias, mean, variance = _along_channels(view, weight, bias, mean, variance)
    wide = widened(x.dtype)
    inverse = rsqrt(as_dtype(variance, wide) + eps)
    out = channel_order.normalized(_seen(x, view), weight, bias, as_dtype(mean, wide), inverse)
    return as_dtype(reshape(out, x.shape), x.dtype)


def _back(
    g: Any, x: Any, weight: Any, mean: Any, inverse: Any, view: Shape, eps: float
) -> tuple[Any, ...]:
    seen = _seen(x, view)
    if mean is None or x.__class__ is not Value:
        # A derivative of this one has to see that the statistics depend on the input.
        mean, inverse = _statistics(seen, view, eps)
    (weight,) = _along_channels(view, weight)
    found = channel_order.gradients(_seen(g, view), seen, weight, mean, inverse, training=True)
    return _shaped(found, x.shape)


def _fixed_back(
    g: Any, x: Any, weight: Any, mean: Any, variance: Any, view: Shape, eps: float
) -> tuple[Any, ...]:
    weight, mean, variance = _along_channels(view, weight, mean, variance)
    inverse = channel_order.inverse_deviation(as_dtype(variance, widened(x.dtype)), 1, eps)
    seen = _seen(x, view)
    found = channel_order.gradients(_seen(g, view), seen, weight, mean, inverse, training=False)
    return _shaped(found, x.shape)


def _shaped(found: tuple[Any, Any, Any], shape: Shape) -> tuple[Any, ...]:
    of_x, of_weight, of_bias = found
    return reshape(of_x, shape), reshape(of_weight, (-1,)), reshape(of_bias, (-1,))


def _back_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, channels = inputs[1], (attrs[0][1],)
    shapes = (x.shape, channels, channels)
    return inputs, shapes, (widened(x.dtype),) * 3  # type: ignore[return-value]


def _torch_norm(
    torch: Any, x: Any, weight: Any, bias: Any, mean: Any, inverse: Any, view: Shape, eps: float
) -> Any:
    """For samples that leave the statistics to the operation."""
    planes = torch_wide(torch, x).reshape(view)
    variance, mean = torch.var_mean(planes, (0, 2), correction=0)
    return _torch_fixed_norm(torch, x, weight, bias, mean, variance, view, eps)


def _torch_fixed_norm(
    torch: Any, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, view: Shape, eps: float
) -> Any:
    planes = torch_wide(torch, x).reshape(view)
    mean, inverse = mean.to(planes.dtype), torch.rsqrt(variance.to(planes.dtype) + eps)
    along = _of_channels(view)
    out = (planes - mean.reshape(along)) * inverse.reshape(along)
    out = out if weight is None else out * weight.reshape(along)
    out = out if bias is None else out + bias.reshape(along)
    return out.reshape(x.shape).to(x.dtype)


def _torch_back(norm: Callable[..., Any]) -> Callable[..., tuple[Any, ...]]:
    """What PyTorch's own derivative gives, for weight and bias also where there are none."""

    def back(torch: Any, g: Any, x: Any, weight: Any, *rest: Any) -> tuple[Any, ...]:
        x = x.detach().requires_grad_()
        channels = (rest[2][1],)
        scale = x.new_ones(channels) if weight is None else weight.detach()
        shift = x.new_zeros(channels).requires_grad_()
        out = norm(torch, x, scale.requires_grad_(), shift, *rest)
        return torch.autograd.grad(out, (x, scale, shift), g)  # type: ignore[no-any-return]

    return back


_VIEWS = (((4, 3, 2), (4, 3, 2)), ((2, 3, 5, 5), (2, 3, 25)), ((5, 3), (5, 3, 1)))
_EVERY = (Array((3,)), Array((3,)))
# Integers, so that no derivative is asked for.
_CONSTANTS = (Array((3,), -2, 2, "int64"), Array((3,), 1, 3, "int64"))


def _samples(statistics: tuple[Any, Any]) -> Callable[[], list[Sample]]:
    return lambda: [
        Sample((Array(shape), *channels, *statistics, view, 1e-3))
        for shape, view in _VIEWS
        for channels in (_EVERY, (None, None), (_EVERY[0], None), (None, _EVERY[0]))
    ]


def _back_samples(statistics: tuple[Any, Any]) -> Callable[[], list[Sample]]:
    return lambda: [
        Sample((Array(shape), Array(shape), weight, *statistics, view, 1e-3))
        for shape, view in _VIEWS
        for weight in (_EVERY[0], None)
    ]


# All cotangents as one operation: most of what they are made of is shared.
channel_norm_back = define(
    "channel_norm_back",
    inputs="cotangent input weight mean inverse",
    attrs="view eps",
    kind="composite",
    infer=_back_infer,
    decompose=_back,
    samples=_back_samples((None, None)),
    outputs=3,
    dtypes="wide",
    reference=_torch_back(_torch_norm),
    tolerance=20.0,
)
fixed_norm_back = define(
    "fixed_norm_back",
    inputs="cotangent input weight mean variance",
    attrs="view eps",
    kind="composite",
    infer=_back_infer,
    decompose=_fixed_back,
    samples=_back_samples(_CONSTANTS),
    outputs=3,
    dtypes="wide",
    reference=_torch_back(_torch_fixed_norm),
    tolerance=20.0,
)


def _vjp(back: Callable[..., Any], back_of_values: Op) -> Callable[..., tuple[Any, ...]]:
    def vjp(
        g: Any,
        out: Any,
        x: Any,
        weight: Any,
        bias: Any,
        mean: Any,
        scale: Any,
        view: Shape,
        eps: float,
    ) -> tuple[Any, ...]:
        if x.__class__ is not Value:  # on the tape: what follows is to be differentiated itself
            made = back(g, x, weight, mean, scale, view, eps)
        else:
            made = several(back_of_values.value((g, x, weight, mean, scale), (view, eps)))
        of_weight, of_bias = None if weight is None else made[1], None if bias is None else made[2]
        return made[0], of_weight, of_bias, None, None

    return vjp


# `mean` and `inverse` spare work where they are known; they have to be those of the input.
channel_norm = define(
    "channel_norm",
    inputs="input weight bias mean inverse",
    attrs="view eps",
    kind="composite",
    strides=strides_of_images,
    infer=same,
    decompose=_norm,
    vjp=_vjp(_back, channel_norm_back),
    ends=ends_at(0, 1, 2),
    joined=True,
    samples=_samples((None, None)),
    dtypes="float",
    reference=_torch_norm,
    tolerance=10.0,
)
# With statistics that do not depend on the input, those of evaluation.
fixed_norm = define(
    "fixed_norm",
    inputs="input weight bias mean variance",
    attrs="view eps",
    kind="composite",
    strides=strides_of_images,
    infer=same,
    decompose=_fixed_norm,
    vjp=_vjp(_fixed_back, fixed_norm_back),
    ends=ends_at(0, 1, 2),
    joined=True,
    samples=_samples(_CONSTANTS),
    dtypes="float",
    reference=_torch_fixed_norm,
    tolerance=10.0,
)
