"""Dropout in its forms. Masks are drawn at the call, in the order in which PyTorch draws them."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tidu.base.dtypes import bool_, dtype
from tidu.base.random.generator import default_generator
from tidu.base.shapes import Shape, broadcast
from tidu.base.source import warn
from tidu.base.strides import memory_order
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import Value, leaf
from tidu.ops.activations.slope import in_place
from tidu.ops.elementwise import fill, logical_or, mul, ne, where
from tidu.ops.moving.movement import inverse_order, permute
from tidu.ops.rules import class_name
from tidu.ops.sources import full


def draw_mask(input: Any, shape: Shape, keep: float) -> Value:
    """Bools that are True with probability `keep`, drawn in the order of the memory of `input`."""
    if input.is_contiguous() or shape != tuple(input.shape):
        return leaf(default_generator.bernoulli(shape, keep), bool_)
    order = memory_order(shape, input.stride())
    if order is None:
        return leaf(default_generator.bernoulli(shape, keep), bool_)
    drawn = default_generator.bernoulli(tuple([shape[d] for d in order]), keep)
    return permute.value((leaf(drawn, bool_),), (inverse_order(order),))


def _dropout_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, mask, _ = inputs
    return inputs, broadcast("dropout", x.shape, mask.shape), x.dtype


def _dropout_numpy(x: Any, mask: Any, scale: float) -> Any:
    if mask.size < x.size:
        return x * (mask.astype(x.dtype) * scale)
    return x * mask * scale


# mask · scale · input, with the scale an argument, so that it may change from step to step.
dropout_: Op = define(
    "dropout",
    inputs="input mask scale",
    infer=_dropout_infer,
    numpy=_dropout_numpy,
    emit=lambda s, x, mask, scale: s.mul(x, s.select(mask, scale, s.const(0, x))),
    vjp=(lambda g, out, x, mask, scale: dropout_(g, mask, scale), None, None),
    ends=lambda name, ends: [ends[0], (None, 0)],
    grad_name="MulBackward0",
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4), dtype="bool"), 1.25)),
        Sample((Array((2, 3, 4)), Array((2, 3, 1), dtype="bool"), 2.0)),
        Sample((Array(()), Array((), dtype="bool"), 2.0)),
        Sample((Array((0, 3)), Array((0, 3), dtype="bool"), 2.0)),
    ],
    dtypes="float",
    reference=lambda torch, x, mask, scale: x * mask * scale,
)


@functools.lru_cache(256)
def _rounded(number: float, d: dtype) -> float:
    """A number as the dtype holds it."""
    return float(np.asarray(number, d.numpy))


def check_probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ValueError(
            f"dropout probability has to be between 0 and 1, but got {p}: it is the part of the "
            "elements that become zero, 0.2 for a fifth"
        )


def _check_dtype(input: Any) -> None:
    if not input.dtype.is_floating_point:
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{class_name(input.dtype)}: dropout scales what it keeps, so it needs a floating "
            "point input"
        )


def _drop(
    input: Any, shape: Shape, p: float, training: bool, inplace: bool, name: str = "MulBackward0"
) -> Any:
    """Dropout with one decision for each element of `shape`, which broadcasts to the input's."""
    check_probability(p)
    if p == 0.0 or not training or 0 in input.shape:
        return input
    if p == 1.0:
        return in_place(input, mul(input, 0.0), inplace)
    _check_dtype(input)
    scale = _rounded(1.0 / (1.0 - p), input.dtype)
    mask = draw_mask(input, shape, 1.0 - p)
    return in_place(input, dropout_.named(name, input, mask, scale), inplace)


def _feature_shape(input: Any) -> Shape:
    """One decision for each channel of each sample."""
    if len(input.shape) < 2:
        raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
    return (*input.shape[:2], *(1,) * (len(input.shape) - 2))


@function("torch.nn.functional.dropout")
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Each element is 0 with probability `p`, and divided by 1 - `p` otherwise;
    in evaluation the input itself.

    Raises ValueError for `p` outside [0, 1] (Hinton et al., 2012).

    >>> F.dropout(torch.ones(3), p=0.5, training=False)
    tensor([1., 1., 1.])
    """
    return _drop(input, tuple(input.shape), p, training, inplace)


@function("torch.dropout")
def torch_dropout(input: Any, p: float, train: bool) -> Any:
    """`torch.nn.functional.dropout`, with the argument names of torch.dropout."""
    return dropout(input, p, train)


@function("torch.dropout_")
def torch_dropout_in_place(input: Any, p: float, train: bool) -> Any:
    """`torch.dropout`, in place."""
    return dropout(input, p, train, True)


@function("torch.feature_dropout")
def feature_dropout(input: Any, p: float, train: bool) -> Any:
    """Dropout of whole channels: those of dimension 1 of each sample."""
    check_probability(p)
    if not train or p == 0.0:
        return input
    return _drop(input, _feature_shape(input), p, train, False)


@function("torch.feature_dropout_")
def feature_dropout_in_place(input: Any, p: float, train: bool) -> Any:
    """`torch.feature_dropout`, in place."""
    return in_place(input, feature_dropout(input, p, train), train and p > 0.0)


@function("torch.native_dropout")
def native_dropout(input: Any, p: float, train: bool | None) -> tuple[Any, Any]:
    """Dropout together with its mask: (output, mask). `train=False` keeps everything."""
    check_probability(p)
    if train is False or 0 in input.shape:
        return mul(input, 1.0), _wrapped(input, full(True, tuple(input.shape), bool_))
    mask = draw_mask(input, tuple(input.shape), 1.0 - p)
    scale = 0.0 if p == 1.0 else _rounded(1.0 / (1.0 - p), input.dtype)
    dropped = dropout_.named("NativeDropoutBackward0", input, mask, scale)
    return dropped, _wrapped(input, mask)


def _wrapped(input: Any, mask: Value) -> Any:
    """A mask as a tensor of the kind that `input` is."""
    return logical_or(fill(ne(input, input), False), mask)


_ADVICE = (
    "{name}: Received a {rank}-D input to {name}, which is deprecated and will result in an error "
    "in a future release. To retain the behavior and silence this warning, please use dropout "
    "instead. Note that {name} exists to provide channel-wise dropout on inputs with {n} spatial "
    "dimensions, a channel dimension, and an optional batch dimension (i.e. {a}D or {b}D inputs)."
)


@function("torch.nn.functional.dropout1d")
def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of a (batch, channels, length) or (channels, length) input (Tompson
    et al., 2015).

    Raises RuntimeError for another number of dimensions.
    """
    check_probability(p)
    rank = len(input.shape)
    if rank not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {rank}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _drop_channels(input, p, training, inplace, batched=rank == 3)


@function("torch.nn.functional.dropout2d")
def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of a (batch, channels, height, width) input."""
    check_probability(p)
    rank = len(input.shape)
    if rank not in (3, 4):
        warn(_ADVICE.format(name="dropout2d", rank=rank, n=2, a=3, b=4))
    if rank == 3:
        warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead."
        )
    return _drop_channels(input, p, training, inplace, batched=True)


@function("torch.nn.functional.dropout3d")
def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of a (batch, channels, depth, height, width) input,
    or one without batch.
    """
    check_probability(p)
    rank = len(input.shape)
    if rank not in (4, 5):
        warn(_ADVICE.format(name="dropout3d", rank=rank, n=3, a=4, b=5))
    return _drop_channels(input, p, training, inplace, batched=rank != 4)


def _drop_channels(input: Any, p: float, training: bool, inplace: bool, *, batched: bool) -> Any:
    if not training or p == 0.0:
        return input
    if batched:
        return _drop(input, _feature_shape(input), p, training, inplace)
    shape = (input.shape[0], *(1,) * (len(input.shape) - 1))
    return _drop(input, shape, p, training, inplace, "SqueezeBackward1")


# What SELU maps minus infinity to, negated: dropped elements take this value instead of 0.
_SATURATION = 1.7580993408473766


def _alpha_drop(input: Any, shape: Shape, p: float, training: bool, inplace: bool) -> Any:
    """Dropout that keeps mean and variance of what selu makes."""
    check_probability(p)
    if p == 0.0 or not training or 0 in input.shape:
        return input
    if p == 1.0:
        return in_place(input, mul(input, 0.0), inplace)
    _check_dtype(input)
    d = input.dtype
    scale = 1.0 / math.sqrt((_SATURATION * _SATURATION * p + 1.0) * (1.0 - p))
    kept = _rounded(_SATURATION * scale * p, d)
    dropped = _rounded(kept - _rounded(_SATURATION * scale, d), d)
    mask = draw_mask(input, shape, 1.0 - p)
    shift = where(mask, full(kept, (), d), full(dropped, (), d))
    return in_place(input, dropout_(input, mask, _rounded(scale, d)) + shift, inplace)


@function("torch.nn.functional.alpha_dropout")
def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout beside selu: dropped elements saturate,
    and mean and variance stay (Klambauer et al., 2017).
    """
    return _alpha_drop(input, tuple(input.shape), p, training, inplace)


@function("torch.nn.functional.feature_alpha_dropout")
def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """`alpha_dropout` of whole channels: those of dimension 1 of each sample."""
    check_probability(p)
    if not training or p == 0.0:
        return input
    return _alpha_drop(input, _feature_shape(input), p, training, inplace)


@function("torch.alpha_dropout")
def torch_alpha_dropout(input: Any, p: float, train: bool) -> Any:
    """`torch.nn.functional.alpha_dropout`, with the argument names of torch.alpha_dropout."""
    return alpha_dropout(input, p, train)


@function("torch.alpha_dropout_")
def torch_alpha_dropout_in_place(input: Any, p: float, train: bool) -> Any:
    """`torch.alpha_dropout`, in place."""
    return alpha_dropout(input, p, train, True)


@function("torch.feature_alpha_dropout")
def torch_feature_alpha_dropout(input: Any, p: float, train: bool) -> Any:
    """`torch.nn.functional.feature_alpha_dropout`,
    with the argument names of torch.feature_alpha_dropout.
    """
    return feature_alpha_dropout(input, p, train)


@function("torch.feature_alpha_dropout_")
def torch_feature_alpha_dropout_in_place(input: Any, p: float, train: bool) -> Any:
    """`torch.feature_alpha_dropout`, in place."""
    return feature_alpha_dropout(input, p, train, True)
