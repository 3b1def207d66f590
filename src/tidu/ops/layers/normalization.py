"""Batch, instance, group, layer and RMS norm."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.base.source import in_one_place
from tidu.ir.op import Op, function
from tidu.ir.value import Value
from tidu.ops.elementwise import rsqrt
from tidu.ops.layers import channel_order
from tidu.ops.layers.channel_norm import (
    channel_inverse_deviation,
    channel_mean,
    channel_norm,
    channel_squares,
    fixed_norm,
    moved_mean,
    moved_variance,
)
from tidu.ops.layers.group_statistics import (
    Dims,
    group_mean,
    group_variance,
    inverse_deviation,
    mean_square,
    widened,
)
from tidu.ops.layers.root_mean_square import rms_norm_
from tidu.ops.layers.standardize import standardize
from tidu.ops.moving.movement import reshape
from tidu.ops.moving.shaping import repeat
from tidu.ops.reductions.reduce import mean_
from tidu.ops.rules import class_name, not_implemented


def _content(x: Any) -> Any:
    """The Value that a Tensor holds now; a Value itself, or None."""
    return x if x is None or x.__class__ is Value else x._value


def _statistics(x: Any, view: Shape, dims: Dims, eps: float) -> tuple[Any, Any, Any]:
    """Mean, variance and 1/deviation of each group of a Value, which are Values, too: the tape does
    not follow them.
    """
    mean = group_mean.value((x,), (view, dims))
    variance = group_variance.value((x, mean), (view, dims))
    return mean, variance, inverse_deviation.value((variance,), (eps,))


def _fit(x: Any, shape: Shape, *parameters: Any) -> bool:
    """Whether all parameters have this shape and the float dtype of the Value `x`, as they mostly
    do.
    """
    d = x.dtype
    for parameter in parameters:
        if parameter is not None:
            content = parameter if parameter.__class__ is Value else parameter._value
            if content.shape != shape or content.dtype is not d:
                return False
    return bool(d.is_floating_point)


def _check_dtypes(operation: str, x: Any, *parameters: Any) -> None:
    """Parameters have the dtype of the input, or float32 beside a half."""
    if not x.dtype.is_floating_point:
        raise not_implemented(operation, x.dtype)
    for parameter in parameters:
        if parameter is None or parameter.dtype is x.dtype:
            continue
        if not x.dtype.is_half:
            hint = f"{operation}: the input is {x.dtype}, a parameter {parameter.dtype}"
            if parameter.dtype is dtypes.float64:
                raise RuntimeError(
                    "mixed dtype (CPU): expect parameter to have scalar type of "
                    f"{class_name(x.dtype)} ({hint})"
                )
            raise RuntimeError(f"mixed dtype (CPU): all inputs must share same datatype. ({hint})")
        if parameter.dtype is not dtypes.float32:
            raise RuntimeError(
                f"expected scalar type {class_name(x.dtype)} but found "
                f"{class_name(parameter.dtype)} ({operation})"
            )


def _channels(operation: str, x: Any, **parameters: Any) -> int:
    """The size of dimension 1; RuntimeError for parameters of another length."""
    if (
        len(x.shape) < 2
        and prod(x.shape) > 0
        and not any(p is not None for p in parameters.values())
    ):
        raise RuntimeError(
            f"{operation} expects an input of at least 2 dimensions, (batch, channels, ...), but "
            f"got shape {list(x.shape)}"
        )
    channels: int = x.shape[1] if len(x.shape) > 1 else 0
    for name, parameter in parameters.items():
        if parameter is not None and prod(parameter.shape) != channels:
            raise RuntimeError(
                f"{name} should contain {channels} elements not {prod(parameter.shape)} "
                f"({operation} of an input of shape {list(x.shape)}: dimension 1 holds the "
                f"channels, and the layer was made for {prod(parameter.shape)})"
            )
    return channels


def _move(op: Op, running: Any, statistic: Any, momentum: Any, *attrs: int) -> None:
    """running ← (1 - momentum) · running + momentum · statistic, in place."""
    if running is None:
        return
    content = _content(running)
    if momentum.__class__ is float and statistic.dtype is content.dtype:
        shares = channel_order.shares(momentum, content.dtype)
        running._assign(op.value((content, statistic, *shares), attrs))
    else:
        assert op.decompose is not None
        running._assign(op.decompose(running, statistic, 1.0 - momentum, momentum, *attrs))


@in_one_place
def normalize_channels(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Any, Any, Any]:
    """Batch norm: the result, and in training the mean and 1/deviation of each channel."""
    if not training:
        for name, running in (("running_mean", running_mean), ("running_var", running_var)):
            if running is None:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
    x = _content(input)
    shape = x.shape
    channels = shape[1] if len(shape) > 1 else 0
    if not channels or not _fit(x, (channels,), running_mean, running_var, weight, bias):
        parameters = {
            "running_mean": running_mean,
            "running_var": running_var,
            "weight": weight,
            "bias": bias,
        }
        channels = _channels("batch_norm", input, **parameters)
        _check_dtypes("batch_norm", input, *parameters.values())
    view = (shape[0], channels, prod(shape[2:]))
    if not training:
        statistics = running_mean, running_var
        return fixed_norm.named(_BATCH, input, weight, bias, *statistics, view, eps), None, None
    count = channel_order.count_of(view)
    mean = channel_mean.value((x,), (view,))
    squares = channel_squares.value((x, mean), (view,))
    inverse = channel_inverse_deviation.value((squares,), (count, eps))
    if count:
        _move(moved_mean, running_mean, mean, momentum)
        _move(moved_variance, running_var, squares, momentum, count)
    out = channel_norm.named(_BATCH, input, weight, bias, mean, inverse, view, eps)
    return out, mean, inverse


_BATCH = "NativeBatchNormBackward0"


@function("torch.nn.functional.batch_norm")
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """(input - mean) / √(variance + `eps`) · weight + bias, for each channel (dimension 1).

    In training, the statistics are those of the batch, and the running ones move towards them by
    `momentum`, with the unbiased variance; in evaluation the running ones are used. Raises
    ValueError for a single value per channel in training (Ioffe and Szegedy, 2015).
    """
    if training:
        _require_several(_content(input).shape, input)
    if eps < 0.0:
        raise ValueError(f"batch_norm eps must be non-negative, but got {eps}")
    return normalize_channels(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )[0]


def _require_several(shape: Shape, input: Any) -> None:
    if prod(shape[:1]) * prod(shape[2:]) == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{input.shape}: the variance of one value is 0. Use a larger batch (drop_last=True in "
            "the DataLoader drops a last one of 1), or model.eval() to use the running statistics"
        )


@function("torch.nn.functional.instance_norm")
def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """`batch_norm` with statistics of each channel of each element of the batch by itself (Ulyanov
    et al., 2016).

    Raises ValueError for a single element per channel.
    """
    if use_input_stats and prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    parameters = {
        "running_mean": running_mean,
        "running_var": running_var,
        "weight": weight,
        "bias": bias,
    }
    channels = _channels("instance_norm", input, **parameters)
    _check_dtypes("instance_norm", input, *parameters.values())
    # The samples as more channels of a single one.
    samples, shape = input.shape[0], tuple(input.shape)
    one = reshape(input, (1, samples * channels, *shape[2:]))
    mean, var, scale, shift = (
        None if p is None else repeat(p, samples) for p in (running_mean, running_var, weight, bias)
    )
    out, _, _ = normalize_channels(one, mean, var, scale, shift, use_input_stats, momentum, eps)
    for running, moved in ((running_mean, mean), (running_var, var)):
        if use_input_stats and running is not None:
            running._assign(mean_(reshape(moved, (samples, channels)), (0,), False))
    return reshape.named("ViewBackward0", out, shape)


@in_one_place
def normalize_groups(input: Any, num_groups: int, weight: Any, bias: Any, eps: float) -> Any:
    """Group norm of (batch, channels, ...)."""
    channels = input.shape[1]
    if num_groups <= 0 or channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input.shape)} and num_groups={num_groups}"
        )
    for name, parameter in (("weight", weight), ("bias", bias)):
        if parameter is not None and tuple(parameter.shape) != (channels,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(parameter.shape)} and input of shape "
                f"{list(input.shape)}"
            )
    _check_dtypes("group_norm", input, weight, bias)
    size = channels // num_groups
    view = (input.shape[0], num_groups, size, prod(input.shape[2:]))
    affine, dims = (1, num_groups, size, 1), (2, 3)
    mean, _, rstd = _statistics(_content(input), view, dims, eps)
    return standardize.named(
        "NativeGroupNormBackward0", input, weight, bias, mean, rstd, view, affine, dims, eps
    )


@function("torch.nn.functional.group_norm")
def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """The channels (dimension 1) in `num_groups` groups, each normalized over its elements,
    for each sample.

    `weight` and `bias` are per channel. Raises RuntimeError if the groups do not come out even (Wu
    and He, 2018).
    """
    if len(input.shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(input.shape)}"
        )
    size = [input.shape[0] * input.shape[1] // num_groups, num_groups, *input.shape[2:]]
    if size[0] * prod(size[2:]) == 1:
        raise ValueError(
            "Expected more than 1 value per channel when training, got input size "
            f"{list(input.shape)}"
        )
    return normalize_groups(input, num_groups, weight, bias, eps)


def _check_normalized_shape(
    operation: str, input: Any, normalized_shape: Any, star: str, **parameters: Any
) -> Shape:
    if isinstance(normalized_shape, int):
        raise TypeError(
            f"{operation}(): argument 'normalized_shape' (position 2) must be tuple of ints, not "
            f"int; write ({normalized_shape},)"
        )
    shape = tuple(normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            f"element, but got normalized_shape = {list(shape)}"
        )
    for name, parameter in parameters.items():
        if parameter is not None and _content(parameter).shape != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(parameter.shape)} and normalized_shape = {list(shape)}"
            )
    if _content(input).shape[-len(shape) :] != shape:
        wanted = ", ".join(map(str, shape))
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*{star}{wanted}], "
            f"but got input of size{list(input.shape)}"
        )
    return shape


@in_one_place
def normalize_trailing(
    input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> tuple[Any, Any, Any]:
    """Layer norm, with the mean and 1/deviation of each row."""
    shape = _check_normalized_shape(
        "layer_norm", input, normalized_shape, ", ", weight=weight, bias=bias
    )
    x = _content(input)
    if not _fit(x, shape, weight, bias):
        _check_dtypes("LayerNormKernelImpl", input, weight, bias)
    size = prod(shape)
    view, dims = (prod(x.shape[: -len(shape)]), size), (1,)
    mean, _, rstd = _statistics(x, view, dims, eps)
    out = standardize.named(
        "NativeLayerNormBackward0", input, weight, bias, mean, rstd, view, (1, size), dims, eps
    )
    return out, mean, rstd


@function("torch.nn.functional.layer_norm")
def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """(input - mean) / √(variance + `eps`) · weight + bias over the last dimensions,
    `normalized_shape`.

    `weight` and `bias` have that shape. Raises RuntimeError if the input does not end in it (Ba et
    al., 2016).

    >>> F.layer_norm(torch.tensor([[1., 3.]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    return normalize_trailing(input, normalized_shape, weight, bias, eps)[0]


@function("torch.nn.functional.rms_norm torch.rms_norm")
def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """input / √(mean(input²) + `eps`) · weight over the last dimensions, `normalized_shape`.

    `eps` is the machine epsilon unless given (Zhang and Sennrich, 2019).

    >>> F.rms_norm(torch.tensor([[3., 4.]]), (2,))
    tensor([[0.8485, 1.1314]])
    """
    shape = _check_normalized_shape("rms_norm", input, normalized_shape, "", weight=weight)
    if not input.dtype.is_floating_point:
        raise not_implemented("rms_norm", input.dtype)
    wide = widened(input.dtype)
    if eps is None:
        eps = float(np.finfo(wide.numpy).eps)
    view = (prod(input.shape[: -len(shape)]), prod(shape))
    inverse = rsqrt(mean_square(input, view, (1,)) + eps)
    return rms_norm_(input, weight, inverse, view, eps)
