"""Batch norm in evaluation, multiplied into the weights of the layer before it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, TypeVar

from tidu.nn.channel_norms import _BatchNorm
from tidu.nn.convolution import _ConvNd
from tidu.nn.linear import Linear
from tidu.nn.parameter import Parameter
from tidu.ops.elementwise import rsqrt
from tidu.tensor import Tensor, ones_like, zeros_like

Layer = TypeVar("Layer", bound=Any)


def fuse_conv_bn_eval(conv: _ConvNd, bn: _BatchNorm, transpose: bool = False) -> _ConvNd:
    """A convolution that gives what `bn` makes of the results of `conv`.

    AssertionError unless both are in evaluation mode and `bn` has running statistics.

    >>> conv, norm = torch.nn.Conv2d(3, 4, 3).eval(), torch.nn.BatchNorm2d(4).eval()
    >>> fused = torch.nn.utils.fuse_conv_bn_eval(conv, norm)
    """
    return _fused(conv, bn, fuse_conv_bn_weights, transpose)


def fuse_linear_bn_eval(linear: Linear, bn: _BatchNorm) -> Linear:
    """A linear layer that gives what `bn` makes of the results of `linear`.

    AssertionError as for `fuse_conv_bn_eval`, and for another number of features.
    """
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    return _fused(linear, bn, fuse_linear_bn_weights)


def _fused(layer: Layer, bn: _BatchNorm, fuse: Any, *options: Any) -> Layer:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    made = deepcopy(layer)
    norm = (bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    made.weight, made.bias = fuse(made.weight, made.bias, *norm, *options)
    return made


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a convolution with a batch norm in them: w·s and (b - mean)·s + bias, with
    s = weight / √(variance + eps) for each output channel.
    """
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    return _fused_weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, shape)


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:
    """Weight and bias of a linear layer with a batch norm in them."""
    return _fused_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, [-1, 1])


def _fused_weights(
    weight: Tensor,
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    norm_weight: Tensor | None,
    norm_bias: Tensor | None,
    shape: list[int],
) -> tuple[Parameter, Parameter]:
    bias = zeros_like(mean) if bias is None else bias
    norm_weight = ones_like(mean) if norm_weight is None else norm_weight
    norm_bias = zeros_like(mean) if norm_bias is None else norm_bias
    scale = norm_weight * rsqrt(variance + eps)
    fused_weight = (weight * scale.reshape(shape)).to(weight.dtype)
    fused_bias = ((bias - mean) * scale + norm_bias).to(bias.dtype)
    return Parameter(fused_weight, weight.requires_grad), Parameter(fused_bias, bias.requires_grad)
