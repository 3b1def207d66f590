"""The norms under torch.*, which take their arguments in another order and some of
which return statistics.
"""

from __future__ import annotations

from typing import Any

from tidu.base.shapes import Shape
from tidu.ir.op import function
from tidu.ir.value import Value
from tidu.ops.cast import cast
from tidu.ops.elementwise import positive
from tidu.ops.layers.group_statistics import statistics_within, widened
from tidu.ops.layers.normalization import (
    group_norm,
    instance_norm,
    layer_norm,
    normalize_channels,
    normalize_groups,
    normalize_trailing,
)
from tidu.ops.moving.movement import reshape


@function("torch.batch_norm")
def torch_batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    """`torch.nn.functional.batch_norm`, with the argument order of torch.batch_norm."""
    return normalize_channels(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )[0]


@function("torch.layer_norm")
def torch_layer_norm(
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """`torch.nn.functional.layer_norm`; `cudnn_enable` has no effect."""
    return layer_norm(input, normalized_shape, weight, bias, eps)


@function("torch.group_norm")
def torch_group_norm(
    input: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    """`torch.nn.functional.group_norm`; `cudnn_enabled` has no effect."""
    return group_norm(input, num_groups, weight, bias, eps)


@function("torch.instance_norm")
def torch_instance_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    """`torch.nn.functional.instance_norm`, with the argument order of torch.instance_norm."""
    return instance_norm(
        input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps
    )


def _statistic(x: Any, shape: Shape, input: Any, weight: Any) -> Any:
    """A statistic, which is a Value, in the shape and dtype in which it is returned."""
    result = x if input.__class__ is Value else input.apply_op(positive, (x,))
    result = reshape(result, shape)
    right = result.dtype is input.dtype or (weight is not None and weight.dtype is result.dtype)
    return result if right else cast(result, input.dtype)


@function("torch.native_batch_norm")
def native_batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Any, Any, Any]:
    """(output, mean, 1/deviation) of batch norm; in evaluation the statistics are empty."""
    out, mean, rstd = normalize_channels(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )
    if not training:
        none = reshape(running_mean, (-1,))[:0]
        return out, none, none
    shape = (input.shape[1],)
    return out, _statistic(mean, shape, input, weight), _statistic(rstd, shape, input, weight)


@function("torch.native_layer_norm")
def native_layer_norm(
    input: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float
) -> tuple[Any, Any, Any]:
    """(output, mean, 1/deviation) of layer norm."""
    out, mean, rstd = normalize_trailing(input, normalized_shape, weight, bias, eps)
    rank = len(input.shape) - len(normalized_shape)
    shape = (*input.shape[:rank], *(1,) * len(normalized_shape))
    return out, _statistic(mean, shape, input, weight), _statistic(rstd, shape, input, weight)


@function("torch.native_group_norm")
def native_group_norm(
    input: Any, weight: Any, bias: Any, N: int, C: int, HxW: int, group: int, eps: float
) -> tuple[Any, Any, Any]:
    """(output, mean, 1/deviation) of group norm, for `N` samples of `C` channels of `HxW` elements.

    Here the statistics can be differentiated, too.
    """
    rows = input if tuple(input.shape[:2]) == (N, C) else reshape(input, (N, C, HxW))
    out = normalize_groups(rows, group, weight, bias, eps)
    groups = cast(reshape(input, (N, group, C // group * HxW)), widened(input.dtype))
    mean, rstd = statistics_within(groups, (2,), eps)
    shape = (N, group)
    return (
        out if rows is input else reshape(out, tuple(input.shape)),
        _statistic(mean, shape, input, weight),
        _statistic(rstd, shape, input, weight),
    )
