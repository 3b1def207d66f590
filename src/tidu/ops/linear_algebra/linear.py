"""The linear layer: x · weightᵀ + bias, and what its derivatives are made of."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tidu.base.dtypes import float32
from tidu.base.shapes import can_broadcast
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_lower_precision
from tidu.ops.linear_algebra.contract import column, matmul, matmul_numpy, rows_of
from tidu.ops.linear_algebra.small_products import (
    in_lanes,
    product_in_lanes,
    product_in_lanes_numpy,
    product_one_by_one,
    product_one_by_one_numpy,
    rows_of_blas,
)
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import permute, reshape, slice_along
from tidu.ops.reductions.runs import column_sums
from tidu.ops.rules import class_name


def _linear_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    bias, x, weight = inputs
    fits = x.dtype is weight.dtype and (
        bias is None or (x.dtype is bias.dtype and bias.shape == weight.shape[:1])
    )
    if fits and len(weight.shape) == 2 and x.shape[-1:] == weight.shape[1:]:
        return inputs, (*x.shape[:-1], weight.shape[0]), x.dtype
    for role, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype is not x.dtype:
            raise RuntimeError(
                f"mat1 and mat2 must have the same dtype, but got {class_name(x.dtype)} and "
                f"{class_name(tensor.dtype)} (linear: the input is {x.dtype}, the {role} "
                f"{tensor.dtype}); write x.to({tensor.dtype}) or convert the module"
            )
    if not x.shape or x.shape[-1] != weight.shape[-1]:
        rows = 1
        for n in x.shape[:-1]:
            rows *= n
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{x.shape[-1] if x.shape else 1} "
            f"and {weight.shape[-1]}x{weight.shape[0]}); linear: the input of shape "
            f"{list(x.shape)} has to end in in_features = {weight.shape[-1]}, the last dimension "
            f"of the weight {list(weight.shape)}"
        )
    shape = (*x.shape[:-1], *weight.shape[:-1])
    if bias is not None and not can_broadcast(bias.shape, shape[-1:]):
        raise RuntimeError(
            f"The expanded size of the tensor {list(shape)} must match the existing size "
            f"{list(bias.shape)}: linear of an input of shape {list(x.shape)} and a weight of "
            f"shape {list(weight.shape)} takes a bias of shape {list(shape[-1:])}"
        )
    return inputs, shape, x.dtype


def _linear(bias: Any, x: Any, weight: Any) -> Any:
    if _is_in_lanes(x, weight) and x.dtype is float32:
        product = product_in_lanes(rows_of(x), weight)
        if len(x.shape) > 2:
            product = reshape(product, (*x.shape[:-1], weight.shape[0]))
    else:
        product = matmul(x, permute(weight, (1, 0)) if len(weight.shape) == 2 else weight)
    return product if bias is None else product + bias


def _is_in_lanes(x: Any, weight: Any) -> bool:
    if len(x.shape) == 1 or len(weight.shape) == 1:
        return False
    return in_lanes(prod(x.shape[:-1]), x.shape[-1], weight.shape[0])


def _linear_numpy(bias: Any, x: Any, weight: Any) -> Any:
    if x.dtype == np.float32 and _is_in_lanes(x, weight):
        product = product_in_lanes_numpy(_rows_numpy(x), weight)
        product = product.reshape(*x.shape[:-1], weight.shape[0])
    else:
        product = matmul_numpy(x, weight.T)
    if bias is not None:
        product += bias
    return product


def _linear_vjp_weight(g: Any, out: Any, bias: Any, x: Any, weight: Any) -> Any:
    if len(weight.shape) == 1:
        return column(x, g) if len(x.shape) > 1 else g * x
    if len(x.shape) == 1:
        return reshape(g, (*g.shape, 1)) * x
    return linear_weight(x, g)


def _rows_numpy(x: Any) -> Any:
    return x.reshape(prod(x.shape[:-1]), x.shape[-1])


def _linear_weight(x: Any, g: Any) -> Any:
    if len(x.shape) > 2:
        x, g = rows_of(x), rows_of(g)
    (depth, rows), columns = g.shape, x.shape[1]
    left = permute(g, (1, 0))
    cut = rows_of_blas(rows, depth, columns) if x.dtype is float32 else rows
    if cut == rows:
        return matmul(left, x)
    others = product_one_by_one(slice_along(left, 0, cut, rows), x)
    return cat_((matmul(slice_along(left, 0, 0, cut), x), others), 0) if cut else others


def _linear_weight_numpy(x: Any, g: Any) -> Any:
    x, left = _rows_numpy(x), _rows_numpy(g).T
    rows = left.shape[0]
    depth, columns = x.shape
    cut = rows_of_blas(rows, depth, columns) if x.dtype == np.float32 else rows
    if cut == rows:
        return matmul_numpy(left, x)
    return np.concatenate([matmul_numpy(left[:cut], x), product_one_by_one_numpy(left[cut:], x)])


def _linear_vjp_bias(g: Any) -> Any:
    return column_sums(rows_of(g) if len(g.shape) > 2 else g) if len(g.shape) > 1 else g


# gᵀ @ x over all leading dimensions: the cotangent of the weight of `linear`.
linear_weight = define(
    "linear_weight",
    inputs="input cotangent",
    kind="composite",
    infer=lambda op, inputs, attrs: (
        inputs,
        (inputs[1].shape[-1], inputs[0].shape[-1]),
        inputs[0].dtype,
    ),
    numpy=_linear_weight_numpy,
    decompose=_linear_weight,
    vjp=(
        lambda h, out, x, g: matmul(g, h),
        lambda h, out, x, g: linear(None, x, h),
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 2)))),
        Sample((Array((2, 3, 4)), Array((2, 3, 5)))),
        Sample((Array((0, 4)), Array((0, 2)))),
    ],
    dtypes="float",
    reference=lambda torch, x, g: g.flatten(0, -2).mT @ x.flatten(0, -2),
    tolerance=4.0,
)


def _linear_ends(name: str, ends: Sequence[Any]) -> list[Any]:
    """As PyTorch records it: a product of matrices, after views that make them so."""
    bias, x, weight = ends
    if weight[0] is not None:
        weight = ("TBackward0", [weight])
    if name == "AddmmBackward0":
        return [bias, x, weight]
    if name in ("MmBackward0", "MvBackward0"):
        return [x, weight]
    if x[0] is not None:
        x = ("UnsqueezeBackward0" if name == "SqueezeBackward4" else "ViewBackward0", [x])
    if name == "ViewBackward0":
        return [("AddmmBackward0", [bias, x, weight])]
    return [("MmBackward0", [x, weight])]


# x @ weight.T + bias, the layer that most networks are made of. The bias comes first, as in
# `addmm`: so do its gradient and its end on the tape.
linear: Op = in_lower_precision(
    define(
        "linear",
        inputs="bias input weight",
        kind="composite",
        infer=_linear_infer,
        numpy=_linear_numpy,
        decompose=_linear,
        vjp=(
            lambda g, out, bias, x, weight: _linear_vjp_bias(g),
            lambda g, out, bias, x, weight: (
                matmul(g, weight) if len(weight.shape) == 2 else reshape(g, (*g.shape, 1)) * weight
            ),
            _linear_vjp_weight,
        ),
        grad_name="AddmmBackward0",
        ends=_linear_ends,
        samples=lambda: [
            Sample((Array((2,)), Array((3, 4)), Array((2, 4)))),
            Sample((None, Array((3, 4)), Array((2, 4)))),
            Sample((Array((5,)), Array((2, 3, 4)), Array((5, 4)))),
            Sample((Array((2,)), Array((4,)), Array((2, 4)))),
            Sample((Array((2,)), Array((0, 4)), Array((2, 4)))),
        ],
        dtypes="float",
        reference=lambda torch, bias, x, weight: torch.nn.functional.linear(x, weight, bias),
        tolerance=4.0,
    )
)


@function("torch.nn.functional.linear")
def linear_function(input: Any, weight: Any, bias: Any = None) -> Any:
    """input · weightᵀ + bias: (…, in_features) gives (…, out_features).

    `weight` has shape (out_features, in_features). Raises RuntimeError for sizes or dtypes that do
    not fit.

    >>> F.linear(torch.ones(1, 2), torch.tensor([[1.0, 2.0]]), torch.tensor([0.5]))
    tensor([[3.5000]])
    """
    rank = input.ndim
    if bias is not None and rank == 2:
        if bias.ndim == 2 and bias.shape[0] in (1, input.shape[0]):
            return linear.named("MmBackward0", None, input, weight) + bias
        return linear(bias, input, weight)
    if bias is None:
        names = {1: "SqueezeBackward4", 2: "MvBackward0" if weight.ndim == 1 else "MmBackward0"}
        return linear.named(names.get(rank, "UnsafeViewBackward0"), None, input, weight)
    return linear.named("ViewBackward0", bias, input, weight)
