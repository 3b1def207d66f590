"""Activations that are linear in pieces: relu and its kin, clipping, shrinking, thresholds."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.limits import finfo
from tidu.base.random.generator import default_generator
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_lower_precision
from tidu.ir.value import Value, leaf
from tidu.ops.activations.slope import away_from, in_place, lies_in, slope, with_attributes
from tidu.ops.elementwise import abs_, mul, relu, where
from tidu.ops.moving.movement import reshape
from tidu.ops.rules import arithmetic, class_name, floats, laid_as, not_implemented


def _hardtanh_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (low, _) = inputs, attrs
    if x.dtype is dtypes.bool_:
        raise RuntimeError(
            "Bool inputs not supported for hardtanh; convert the tensor first, for example with "
            ".float()"
        )
    if not x.dtype.is_signed and low < 0:
        raise RuntimeError(
            f"cannot do hardtanh on an unsigned type with negative limits: {x.dtype} and "
            f"min_val={low}"
        )
    return inputs, x.shape, x.dtype


hardtanh_ = define(
    "hardtanh",
    attrs="min_val max_val",
    infer=_hardtanh_infer,
    numpy=lambda x, low, high: np.minimum(
        np.asarray(high, x.dtype), np.maximum(np.asarray(low, x.dtype), x)
    ),
    emit=lambda s, x, low, high: s.min(s.const(high, x), s.max(s.const(low, x), x)),
    vjp=(lambda g, out, x, low, high: slope(g, x, "outside", low, high, 0.0, 1.0),),
    samples=with_attributes(away_from(-1.0, 1.0), -1.0, 1.0),
    dtypes="float",
    reference="nn.functional.hardtanh",
)
hardsigmoid_ = define(
    "hardsigmoid",
    infer=floats("hardsigmoid_cpu"),
    numpy=lambda x: np.minimum(np.maximum(x + 3, 0), 6) / 6,
    emit=lambda s, x: s.div(
        s.min(s.max(s.add(x, s.const(3, x)), s.const(0, x)), s.const(6, x)), s.const(6, x)
    ),
    vjp=(lambda g, out, x: slope(g, x, "open", -3.0, 3.0, 1 / 6, 0.0),),
    samples=away_from(-3.0, 3.0),
    dtypes="float",
    # PyTorch cannot differentiate its own twice.
    reference=lambda torch, x: torch.clamp(x + 3, 0, 6) / 6,
)


# The first `where` keeps infinities out of the products that a second derivative makes.
def _hardswish_vjp(g: Any, out: Any, x: Any) -> Any:
    return where(x <= -3.0, 0.0, g * where(abs_(x) < 3.0, x / 3.0 + 0.5, 1.0))


hardswish_ = define(
    "hardswish",
    infer=floats("hardswish_cpu"),
    numpy=lambda x: x * np.minimum(np.maximum(x + 3, 0), 6) / 6,
    emit=lambda s, x: s.div(
        s.mul(x, s.min(s.max(s.add(x, s.const(3, x)), s.const(0, x)), s.const(6, x))), s.const(6, x)
    ),
    vjp=(_hardswish_vjp,),
    samples=away_from(-3.0, 3.0),
    dtypes="float",
    reference="nn.functional.hardswish",
)


def _leaky_numpy(x: Any, negative_slope: float) -> Any:
    if 0.0 < negative_slope <= 1.0:
        return np.maximum(x, x * negative_slope)
    return np.where(x > 0, x, x * negative_slope)


leaky_relu_ = define(
    "leaky_relu",
    attrs="negative_slope",
    infer=floats("leaky_relu_cpu"),
    numpy=_leaky_numpy,
    emit=lambda s, x, k: s.select(s.lt(s.const(0, x), x), x, s.mul(x, s.const(k, x))),
    vjp=(lambda g, out, x, k: slope(g, x, "open", 0.0, None, 1.0, k),),
    samples=lambda: [
        *with_attributes(away_from(0.0), 0.01)(),
        *with_attributes(away_from(0.0), -0.5)(),
    ],
    dtypes="float",
    reference="nn.functional.leaky_relu",
)


def _prelu_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, weight = inputs
    if x.dtype is not weight.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {class_name(x.dtype)} and "
            f"{class_name(weight.dtype)}; convert the input or the module so that both have one "
            "dtype"
        )
    if not x.dtype.is_floating_point:
        raise not_implemented("prelu_cpu", x.dtype)
    return arithmetic(op, inputs, attrs)


prelu_kernel = define(
    "prelu_kernel",
    inputs="input weight",
    infer=_prelu_infer,
    emit=lambda s, x, weight: s.select(s.lt(s.const(0, x), x), x, s.mul(x, weight)),
    vjp=(
        lambda g, out, x, weight: where(x > 0.0, g, g * weight),
        lambda g, out, x, weight: where(x > 0.0, 0.0, g * x),
    ),
    joined=True,
    samples=lambda: [
        Sample((Array((2, 3, 4), 0.1, 2.0), Array((1, 3, 1), 0.1, 0.5))),
        Sample((Array((2, 3), -2.0, -0.1), Array((1, 3), 0.1, 0.5))),
        Sample((Array((), -2.0, -0.1), Array((), 0.1, 0.5))),
    ],
    dtypes="float",
    reference=lambda torch, x, weight: torch.where(x > 0, x, x * weight),
)


hardshrink_ = define(
    "hardshrink",
    attrs="lambd",
    infer=floats("hardshrink_cpu"),
    emit=lambda s, x, k: s.select(lies_in(s, x, "closed", -k, k), s.const(0, x), x),
    vjp=(lambda g, out, x, k: slope(g, x, "closed", -k, k, 0.0, 1.0),),
    samples=with_attributes(away_from(-0.5, 0.5), 0.5),
    dtypes="float",
)


def _softshrink_emit(s: Any, x: Any, k: float) -> Any:
    bound = s.const(k, x)
    inner = s.mul(x, s.const(0, x))  # a zero with the sign of x
    low = s.select(s.lt(x, s.neg(bound)), s.add(x, bound), inner)
    return s.select(s.lt(bound, x), s.sub(x, bound), low)


softshrink_ = define(
    "softshrink",
    attrs="lambd",
    infer=floats("softshrink_check"),
    emit=_softshrink_emit,
    vjp=(lambda g, out, x, k: slope(g, x, "closed", -k, k, 0.0, 1.0),),
    samples=with_attributes(away_from(-0.5, 0.5), 0.5),
    dtypes="float",
    reference="nn.functional.softshrink",
)


def _threshold_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    if inputs[0].dtype is dtypes.bool_:
        raise not_implemented("threshold_cpu", dtypes.bool_)
    return inputs, inputs[0].shape, inputs[0].dtype


threshold_op = define(
    "threshold",
    attrs="threshold value",
    infer=_threshold_infer,
    emit=lambda s, x, limit, value: s.select(s.le(x, s.const(limit, x)), s.const(value, x), x),
    vjp=(lambda g, out, x, limit, value: slope(g, x, "closed", None, limit, 0.0, 1.0),),
    samples=with_attributes(away_from(0.5), 0.5, 3.0),
    dtypes="number",
)


@function("torch.nn.functional.relu")
def relu_function(input: Any, inplace: bool = False) -> Any:
    """max(input, 0); the gradient at 0 is 0.

    >>> F.relu(torch.tensor([-1., 2.]))
    tensor([0., 2.])
    """
    return in_place(input, relu(input), inplace)


@function("torch.nn.functional.relu_")
def relu_(input: Any) -> Any:
    """`relu`, in place."""
    return relu_function(input, True)


@function("torch.nn.functional.hardtanh")
def hardtanh(input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Any:
    """min(max(input, `min_val`), `max_val`); ValueError if the bounds are in the wrong order.

    >>> F.hardtanh(torch.tensor([-3., 0.5]))
    tensor([-1.0000,  0.5000])
    """
    if min_val > max_val:
        raise ValueError(f"min_val cannot be greater than max_val: got {min_val} and {max_val}")
    return in_place(input, hardtanh_(input, float(min_val), float(max_val)), inplace)


@function("torch.nn.functional.hardtanh_")
def hardtanh_in_place(input: Any, min_val: float = -1.0, max_val: float = 1.0) -> Any:
    """`hardtanh`, in place."""
    return hardtanh(input, min_val, max_val, True)


@function("torch.nn.functional.relu6")
def relu6(input: Any, inplace: bool = False) -> Any:
    """min(max(input, 0), 6)."""
    return hardtanh(input, 0.0, 6.0, inplace)


@function("torch.nn.functional.hardsigmoid")
def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """relu6(input + 3) / 6 (Courbariaux et al., 2015)."""
    return in_place(input, hardsigmoid_(input), inplace)


@function("torch.nn.functional.hardswish")
def hardswish(input: Any, inplace: bool = False) -> Any:
    """input · relu6(input + 3) / 6 (Howard et al., "Searching for MobileNetV3", 2019)."""
    return in_place(input, hardswish_(input), inplace)


@function("torch.nn.functional.leaky_relu")
def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """input where it is positive, else `negative_slope` · input.

    >>> F.leaky_relu(torch.tensor([-1., 2.]))
    tensor([-0.0100,  2.0000])
    """
    name = "LeakyReluBackward1" if inplace else "LeakyReluBackward0"
    return in_place(input, leaky_relu_.named(name, input, float(negative_slope)), inplace)


@function("torch.nn.functional.leaky_relu_")
def leaky_relu_in_place(input: Any, negative_slope: float = 0.01) -> Any:
    """`leaky_relu`, in place."""
    return leaky_relu(input, negative_slope, True)


@function("torch.nn.functional.prelu torch.prelu Tensor.prelu")
@in_lower_precision
def prelu(input: Any, weight: Any) -> Any:
    """input where it is positive, else weight · input,
    with one weight for all or one for each channel.

    The channel is dimension 1. Raises RuntimeError for a weight that does not fit (He et al.,
    2015).
    """
    if len(weight.shape) > 1:
        raise RuntimeError(
            "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = "
            f"{len(weight.shape)}"
        )
    if weight.shape and weight.shape[0] != 1:
        if not input.shape:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if len(input.shape) > 1 else 1
        if weight.shape[0] != channels:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{weight.shape[0]} and channel size = {channels}."
            )
        weight = reshape(weight, (-1,) + (1,) * (len(input.shape) - 2))
    elif weight.shape and not input.shape:
        weight = reshape(weight, ())
    return prelu_kernel(input, weight)


@function("torch.nn.functional.rrelu torch.rrelu")
def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    """input where it is positive, else a · input,
    with a drawn uniformly from [lower, upper] for each element.

    In evaluation a is the mean of the bounds. Raises RuntimeError if they are in the wrong order
    (Xu et al., 2015).
    """
    if lower > upper:
        raise RuntimeError(
            f"Lower bound should be less than or equal to the upper bound: got {lower} and {upper}"
        )
    name = "RreluWithNoiseBackward1" if inplace else "RreluWithNoiseBackward0"
    if not training:
        return in_place(input, leaky_relu_.named(name, input, (lower + upper) / 2), inplace)
    if not input.dtype.is_floating_point:
        raise not_implemented("rrelu_with_noise_out_cpu", input.dtype)
    result = mul.named(name, input, _rrelu_noise(input, lower, upper))
    return in_place(input, laid_as(result, None), inplace)


def _rrelu_noise(input: Any, lower: float, upper: float) -> Value:
    """1 for what is positive, a random slope for the rest. Only those are drawn for, so the input
    has to be known.
    """
    negative = (input <= 0).numpy()
    noise = np.ones(negative.shape)
    noise[negative] = default_generator.uniform((int(negative.sum()),), np.float64, lower, upper)
    return leaf(noise.astype(input.dtype.numpy), input.dtype)


@function("torch.nn.functional.rrelu_ torch.rrelu_")
def rrelu_(
    input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False
) -> Any:
    """`rrelu`, in place."""
    return rrelu(input, lower, upper, training, True)


@function("torch.nn.functional.hardshrink torch.hardshrink Tensor.hardshrink")
def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """input outside [-λ, λ], 0 inside."""
    return hardshrink_(input, float(lambd))


@function("torch.nn.functional.softshrink")
def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """input moved towards 0 by λ, and 0 where it is closer than that. RuntimeError for λ < 0."""
    if lambd < 0:
        raise RuntimeError(
            f"lambda must be in range [0, {finfo(input.dtype).max:.6g}] for input dtype "
            f"{class_name(input.dtype)}, but found {lambd:g}"
        )
    return softshrink_(input, float(lambd))


@function("torch.nn.functional.threshold torch.threshold")
def threshold_function(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """input where it is greater than `threshold`, else `value`."""
    name = "ThresholdBackward1" if inplace else "ThresholdBackward0"
    return in_place(input, threshold_op.named(name, input, float(threshold), float(value)), inplace)


@function("torch.nn.functional.threshold_ torch.threshold_")
def threshold_in_place(input: Any, threshold: float, value: float) -> Any:
    """`threshold`, in place."""
    return threshold_function(input, threshold, value, True)
