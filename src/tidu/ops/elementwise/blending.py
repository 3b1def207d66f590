"""Combinations in one step: products added to something, and interpolation;
what optimizers are made of. What is fused here is so in PyTorch, and rounded once.
"""

from __future__ import annotations

from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import broadcast, can_broadcast
from tidu.ir.op import Array, Inferred, Op, Sample, Spec, define, function
from tidu.ir.precision import in_given_precision, in_lower_precision
from tidu.ir.value import Value
from tidu.ops.cast import cast
from tidu.ops.elementwise import mul
from tidu.ops.linear_algebra.contract import matmul, matmul_vjp_x, matmul_vjp_y
from tidu.ops.moving.movement import permute, reshape
from tidu.ops.old_order import factor_last
from tidu.ops.rules import (
    PART,
    arithmetic,
    as_number,
    cast_to,
    class_name,
    ends_at,
    is_number,
    promote,
)


def _infer_blend(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """Broadcast and promote the tensors; the number does not take part in the dtype."""
    *tensors, value = inputs
    d = dtypes.result_type(tensors)
    if op.name == "addcdiv" and d.category != dtypes.FLOAT:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future release addcdiv"
            " will perform a true division of tensor1 and tensor2; write (input + value * tensor1 /"
            " tensor2)"
        )
    converted, d = promote(tuple(tensors), d)
    shape = broadcast(op.name, *(x.shape for x in converted if x.__class__ is Value))
    return (*converted, cast_to(value, d)), shape, d


addcmul_ = define(
    "addcmul",
    inputs="input tensor1 tensor2 value",
    infer=_infer_blend,
    emit=lambda s, x, a, b, value: s.fma(s.mul(a, value), b, x),
    vjp=(
        lambda g, out, x, a, b, value: g,
        lambda g, out, x, a, b, value: g * (b * value),
        lambda g, out, x, a, b, value: g * (a * value),
        None,
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), Array((4,)), 0.5)),
        Sample((Array((2, 3)), Array((2, 1)), Array((3,)), 2)),
        Sample((Array(()), Array(()), Array(()), 1)),
    ],
    dtypes="float",
    reference=lambda torch, x, a, b, value: torch.addcmul(x, a, b, value=value),
)
addcdiv_ = define(
    "addcdiv",
    inputs="input tensor1 tensor2 value",
    infer=_infer_blend,
    emit=lambda s, x, a, b, value: s.add(x, s.div(s.mul(a, value), b)),
    vjp=(
        lambda g, out, x, a, b, value: g,
        lambda g, out, x, a, b, value: g * (value / b),
        lambda g, out, x, a, b, value: -g * (a * value / (b * b)),
        None,
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), Array((4,), 0.5, 2), 0.5)),
        Sample((Array((2, 3)), Array((2, 1)), Array((3,), 0.5, 2), 2)),
        Sample((Array(()), Array(()), Array((), 0.5, 2), 1)),
    ],
    dtypes="float",
    reference=lambda torch, x, a, b, value: torch.addcdiv(x, a, b, value=value),
)


@function("torch.addcmul Tensor.addcmul", inplace=True)
def addcmul(input: Any, tensor1: Any, tensor2: Any, *old: Any, value: Any = 1) -> Any:
    """input + value · tensor1 · tensor2, broadcast.

    >>> torch.addcmul(torch.zeros(2), torch.ones(2), torch.full((2,), 3.0), value=0.5)
    tensor([1.5000, 1.5000])
    """
    if old:
        tensor1, tensor2, value = factor_last("addcmul", "value", 2, tensor1, tensor2, *old)
    return addcmul_(input, tensor1, tensor2, value)


@function("torch.addcdiv Tensor.addcdiv", inplace=True)
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *old: Any, value: Any = 1) -> Any:
    """input + value · tensor1 / tensor2, broadcast; RuntimeError for integers."""
    if old:
        tensor1, tensor2, value = factor_last("addcdiv", "value", 2, tensor1, tensor2, *old)
    return addcdiv_(input, tensor1, tensor2, value)


def _lerp_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    start = inputs[0]
    for name, x in zip(("end", "weight"), inputs[1:], strict=True):
        if x.__class__ is Value and x.dtype is not start.dtype:
            raise RuntimeError(
                f"expected dtype {start.dtype.name} for `{name}` but got dtype {x.dtype.name}: lerp"
                f" of {[y.dtype for y in inputs if y.__class__ is Value]}"
            )
    if not start.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"lerp_kernel\" not implemented for '{class_name(start.dtype)}'; write x.float()"
        )
    return arithmetic(op, inputs, attrs)


def interpolated(s: Any, start: Any, end: Any, weight: Any) -> Any:
    """start + weight · (end - start) by scalar instructions, from the nearer end, so that both ends
    are exact.
    """
    near = s.lt(s.abs(weight), s.const(0.5, weight))
    share = s.select(near, weight, s.sub(weight, s.const(1, weight)))
    return s.fma(s.sub(end, start), share, s.select(near, start, end))


lerp_ = define(
    "lerp",
    inputs="input end weight",
    infer=_lerp_infer,
    emit=interpolated,
    vjp=(
        lambda g, out, start, end, weight: g * (1.0 - weight),
        lambda g, out, start, end, weight: g * weight,
        lambda g, out, start, end, weight: g * (end - start),
    ),
    ends=ends_at(0, 1, 2, LerpBackward0=(0, 1)),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), 0.3)),
        Sample((Array((3, 4)), Array((4,)), 0.8)),
        Sample((Array((2, 3)), Array((2, 1)), Array((3,), 0, 1))),
        Sample((Array(()), Array(()), Array((), 0, 1))),
    ],
    dtypes="float",
)


@function("torch.lerp Tensor.lerp", inplace=True)
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """input + weight · (end - input), `weight` a number or a tensor; all of one dtype."""
    return lerp_.named(
        "LerpBackward0" if is_number(weight) else "LerpBackward1", input, end, weight
    )


def _add_product_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, a, b, beta, alpha = inputs
    if x.dtype is not b.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {class_name(x.dtype)} and"
            f" {class_name(b.dtype)}"
        )
    _, shape, d = matmul.infer(matmul, (a, b), ())
    if not can_broadcast(x.shape, shape):
        raise RuntimeError(
            f"The expanded size of the tensor {list(x.shape)} must match the size of the product"
            f" {list(shape)}: addmm of matrices {list(a.shape)} and {list(b.shape)} adds an input"
            " that broadcasts to it"
        )
    return (x, a, b, as_number(beta, d), as_number(alpha, d)), shape, d


add_product = define(
    "add_product",
    inputs="input mat1 mat2 beta alpha",
    kind="composite",
    infer=_add_product_infer,
    decompose=lambda x, a, b, beta, alpha: x * beta + matmul(a, b) * alpha,
    vjp=(
        lambda g, out, x, a, b, beta, alpha: g * beta,
        lambda g, out, x, a, b, beta, alpha: matmul_vjp_x(
            g * alpha, None, Spec(a.shape, a.dtype), b
        ),
        lambda g, out, x, a, b, beta, alpha: matmul_vjp_y(
            g * alpha, None, a, Spec(b.shape, b.dtype)
        ),
        None,
        None,
    ),
    grad_name="AddmmBackward0",
    samples=lambda: [
        Sample((Array((3, 2)), Array((3, 4)), Array((4, 2)), 1, 1)),
        Sample((Array((2,)), Array((3, 4)), Array((4, 2)), 0.5, 2.0)),
        Sample((Array((2, 3, 2)), Array((2, 3, 4)), Array((2, 4, 2)), 1, 1)),
        Sample((Array((3,)), Array((3, 4)), Array((4,)), 1, 0.5)),
    ],
    dtypes="float",
    reference=lambda torch, x, a, b, beta, alpha: beta * x + alpha * torch.matmul(a, b),
    tolerance=4.0,
)


def _combined(grad_name: str, input: Any, mat1: Any, mat2: Any, beta: Any, alpha: Any) -> Any:
    beta = as_number(beta, mat1.dtype)
    if beta == 0:  # the input is ignored, NaN and all
        product = matmul(mat1, mat2)
        return mul.named(grad_name, product, as_number(alpha, product.dtype))
    return add_product.named(grad_name, input, mat1, mat2, beta, alpha)


def _exactly(operation: str, ranks: tuple[int, int], mat1: Any, mat2: Any) -> None:
    if (len(mat1.shape), len(mat2.shape)) != ranks:
        raise RuntimeError(
            f"{operation}: expected tensors of {ranks[0]} and {ranks[1]} dimensions, but got shapes"
            f" {list(mat1.shape)} and {list(mat2.shape)}"
        )


@function("torch.addmm Tensor.addmm", inplace=True)
@in_lower_precision
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · (mat1 @ mat2), for two matrices.

    >>> torch.addmm(torch.ones(2, 2), torch.eye(2), torch.eye(2))
    tensor([[2., 1.],
            [1., 2.]])
    """
    _exactly("addmm", (2, 2), mat1, mat2)
    return _combined("AddmmBackward0", input, mat1, mat2, beta, alpha)


@function("torch.addmv Tensor.addmv", inplace=True)
@in_given_precision
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · (mat @ vec), for a matrix and a vector."""
    _exactly("addmv", (2, 1), mat, vec)
    return _combined("AddmvBackward0", input, mat, vec, beta, alpha)


@function("torch.addr Tensor.addr", inplace=True)
@in_given_precision
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · (vec1 ⊗ vec2), for two vectors."""
    for number, vector in enumerate((vec1, vec2), 1):
        if len(vector.shape) != 1:
            raise RuntimeError(
                f"addr: Expected 1-D argument vec{number}, but got {len(vector.shape)}-D"
            )
    d = dtypes.result_type((input, vec1, vec2))
    input, vec1, vec2 = (x if x.dtype is d else cast(x, d) for x in (input, vec1, vec2))
    column, row = reshape.named(PART, vec1, (-1, 1)), reshape.named(PART, vec2, (1, -1))
    return _combined("AddrBackward0", input, column, row, beta, alpha)


@function("torch.baddbmm Tensor.baddbmm", inplace=True)
@in_lower_precision
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · (batch1 @ batch2), for two batches of matrices."""
    _check_batches("baddbmm", batch1, batch2)
    return _combined("BaddbmmBackward0", input, batch1, batch2, beta, alpha)


def _check_batches(operation: str, batch1: Any, batch2: Any) -> None:
    _exactly(operation, (3, 3), batch1, batch2)
    if batch1.shape[0] != batch2.shape[0] or batch1.shape[2] != batch2.shape[1]:
        raise RuntimeError(
            f"Expected size for first two dimensions of batch2 tensor to be: [{batch1.shape[0]},"
            f" {batch1.shape[2]}] but got: [{batch2.shape[0]}, {batch2.shape[1]}]: {operation} of"
            " batches of different sizes."
        )


@function("torch.addbmm Tensor.addbmm", inplace=True)
@in_lower_precision
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta · input + alpha · Σ over the batch of batch1 @ batch2."""
    _check_batches("addbmm", batch1, batch2)
    b, n, k = batch1.shape
    m = batch2.shape[2]
    wide = reshape(
        permute(batch1, (1, 0, 2)), (n, b * k)
    )  # the batch becomes part of what is summed over
    return _combined("AddbmmBackward0", input, wide, reshape(batch2, (b * k, m)), beta, alpha)
