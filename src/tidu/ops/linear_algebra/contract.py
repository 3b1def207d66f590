"""Contractions: the matrix product and what is said in terms of it."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base.shapes import broadcast
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_given_precision, in_lower_precision
from tidu.ir.product_order import chain_length, least_in_chains
from tidu.ops.cast import cast
from tidu.ops.moving.movement import permute, reshape, swap
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import class_name

# Elements that may be laid by columns for the sake of the order in which they are added up.
_WORTH_A_COPY = 1 << 20


def _matmul_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, y = inputs
    if x.dtype is y.dtype and len(x.shape) == len(y.shape) == 2 and x.shape[1] == y.shape[0]:
        return inputs, (x.shape[0], y.shape[1]), x.dtype
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {_c_name(x)} != {_c_name(y)} "
            f"(matmul of {x.dtype} and {y.dtype}); convert one of them, for example with "
            f".to({(x if x.dtype.is_floating_point else y).dtype})"
        )
    if not x.shape or not y.shape:
        raise RuntimeError(
            "both arguments to matmul need to be at least 1D, but they are "
            f"{len(x.shape)}D and {len(y.shape)}D; multiply by a scalar with *"
        )
    rows = x.shape[-2:-1]
    columns = y.shape[-1:] if len(y.shape) > 1 else ()
    inner_x, inner_y = x.shape[-1], y.shape[-2] if len(y.shape) > 1 else y.shape[0]
    if inner_x != inner_y:
        raise RuntimeError(_mismatch(x.shape, y.shape))
    batch = broadcast("matmul", x.shape[:-2], y.shape[:-2])
    return inputs, (*batch, *rows, *columns), x.dtype


def _c_name(x: Any) -> str:
    """What PyTorch's message calls a dtype: the name of the type in C."""
    names = {"float32": "float", "float64": "double", "bool": "bool"}
    return names.get(x.dtype.name) or class_name(x.dtype)


def _mismatch(a: tuple[int, ...], b: tuple[int, ...]) -> str:
    shapes = (
        f"matmul of shapes {list(a)} and {list(b)}: the last dimension of the first must equal the "
    )
    if len(b) == 1 and len(a) == 1:
        return (
            f"inconsistent tensor size, expected tensor {list(a)} and src {list(b)} to have the "
            f"same number of elements, but got {a[0]} and {b[0]} elements respectively"
        )
    if len(b) == 1:
        return (
            f"size mismatch, got input ({a[-2]}), mat ({a[-2]}x{a[-1]}), vec ({b[0]}); "
            f"{shapes}length of the second"
        )
    if len(a) > 2 and len(b) > 2:
        return (
            f"Expected size for first two dimensions of batch2 tensor to be: [{a[0]}, {a[-1]}] but "
            f"got: [{b[0]}, {b[-2]}]. {shapes}second to last of the second"
        )
    rows = 1
    for n in a[:-1]:
        rows *= n
    return (
        f"mat1 and mat2 shapes cannot be multiplied ({rows}x{a[-1]} and {b[-2]}x{b[-1]}); "
        f"{shapes}second to last of the second"
    )


def matmul_numpy(x: Any, y: Any) -> Any:
    if x.dtype.kind == "b":
        return np.matmul(x, y)
    if x.ndim == y.ndim == 2 and max(*x.shape, y.shape[1]) <= 4 and x.dtype.kind == "f":
        # Rounded product by product, as PyTorch does it: A @ A.inverse() prints the same.
        return np.add.reduce(x[:, :, None] * y, axis=1)
    if x.dtype == np.float32 and y.ndim > 1 and x.shape[-1] > chain_length(x.shape[-1]):
        return _sum_of_chains(x, y)
    if x.ndim > 2 and y.ndim == 2 and x.flags.c_contiguous:
        # One large product instead of a batch of small ones.
        rows = matmul_numpy(x.reshape(prod(x.shape[:-1]), x.shape[-1]), y)
        return rows.reshape(*x.shape[:-1], y.shape[-1])
    if x.dtype == np.float32 and x.ndim == y.ndim == 2 and _is_cut(x, y):
        x = np.asfortranarray(x)
    return np.matmul(x, y)


def _is_cut(x: Any, y: Any) -> bool:
    """Whether OpenBLAS would make several chains of each sum, as it does where the left operand
    lies by rows and the right one by columns, or where up to 8 columns are left beside vectors.
    """
    rows, columns = least_in_chains()
    if x.shape[0] < rows or y.shape[1] < columns or x.size > _WORTH_A_COPY:
        return False
    return bool(y.strides[0] < y.strides[1] or 1 <= y.shape[1] % 16 <= 8)


def _sum_of_chains(x: Any, y: Any) -> Any:
    k = x.shape[-1]
    length = chain_length(k)
    total = matmul_numpy(x[..., :length], y[..., :length, :])
    for start in range(length, k, length):
        part = slice(start, start + length)
        total += matmul_numpy(x[..., part], y[..., part, :])
    return total


def _as_sums(x: Any, y: Any) -> Any:
    """Σ over k of x[…, i, k] · y[…, k, j], for products so small that they are one loop of many."""
    rows, columns = len(x.shape) > 1, len(y.shape) > 1
    left = reshape(x, (*x.shape[:-1], 1, x.shape[-1])) if columns else x  # (…, i, 1, k)
    right = swap(y, -2, -1) if columns else y
    if rows and columns:
        right = reshape(right, (*right.shape[:-2], 1, *right.shape[-2:]))  # (…, 1, j, k)
    product = left * right
    total = sum_(product, (len(product.shape) - 1,), False)
    return total if total.dtype is x.dtype else cast(total, x.dtype)


def matmul_vjp_x(g: Any, out: Any, x: Any, y: Any) -> Any:
    """The cotangent of the left factor."""
    if len(y.shape) == 1:
        return reshape(g, (*g.shape, 1)) * y
    if len(x.shape) == 1:
        g = reshape(g, (*g.shape[:-1], 1, g.shape[-1]))
        product = matmul(g, swap(y, -2, -1))
        return reshape(product, (*product.shape[:-2], product.shape[-1]))
    if len(x.shape) == 2 and len(y.shape) == 2:
        return matmul(g, permute(y, (1, 0)))
    return matmul(g, swap(y, -2, -1))


def matmul_vjp_y(g: Any, out: Any, x: Any, y: Any) -> Any:
    """The cotangent of the right factor."""
    if len(x.shape) == 1:
        if len(y.shape) == 1:
            return g * x
        return reshape(x, (*x.shape, 1)) * reshape(g, (*g.shape[:-1], 1, g.shape[-1]))
    if len(y.shape) == 1:
        return column(x, g)
    if len(y.shape) == 2:
        # All leading dimensions are summed over: one product of two matrices.
        rows = rows_of(x) if len(x.shape) > 2 else x
        return matmul(permute(rows, (1, 0)), rows_of(g) if len(g.shape) > 2 else g)
    return matmul(swap(x, -2, -1), g)


def rows_of(x: Any) -> Any:
    """All leading dimensions as one."""
    return reshape(x, (prod(x.shape[:-1]), x.shape[-1]))


def column(x: Any, g: Any) -> Any:
    """Σ over all leading dimensions of x · g, for a vector on the right."""
    rows = rows_of(x)
    return matmul(permute(rows, (1, 0)), reshape(g, (prod(g.shape),)))


matmul = in_lower_precision(
    define(
        "matmul",
        inputs="input other",
        kind="contraction",
        infer=_matmul_infer,
        numpy=matmul_numpy,
        decompose=_as_sums,
        vjp=(matmul_vjp_x, matmul_vjp_y),
        grad_name="MmBackward0",
        samples=lambda: [
            Sample((Array((3, 4)), Array((4, 2)))),
            Sample((Array((4,)), Array((4, 2)))),
            Sample((Array((3, 4)), Array((4,)))),
            Sample((Array((4,)), Array((4,)))),
            Sample((Array((2, 3, 4)), Array((4, 2)))),
            Sample((Array((2, 3, 4)), Array((2, 4, 2)))),
            Sample((Array((2, 1, 3, 4)), Array((5, 4, 2)))),
            Sample((Array((2, 3, 4)), Array((4,)))),
            Sample((Array((4,)), Array((2, 4, 3)))),
            Sample((Array((0, 3)), Array((3, 2)))),
            Sample((Array((2, 0)), Array((0, 3)))),
        ],
        dtypes="number",
        tolerance=4.0,
    )
)


def _grad_name(x: Any, y: Any) -> str:
    a, b = len(x.shape), len(y.shape)
    if a == 1 and b == 1:
        return "DotBackward0"
    if a <= 2 and b <= 2:
        return "MmBackward0" if a == b else ("MvBackward0" if b == 1 else "SqueezeBackward4")
    return "UnsafeViewBackward0"


@function("torch.matmul Tensor.matmul Tensor.__matmul__")
def matmul_any(input: Any, other: Any) -> Any:
    """The matrix product over the last two dimensions; leading dimensions broadcast.

    (…, n, k) @ (…, k, m) gives (…, n, m); a vector on either side loses its dimension. Raises
    RuntimeError for sizes or dtypes that do not fit.

    >>> (torch.ones(2, 3) @ torch.ones(3, 2)).shape
    torch.Size([2, 2])
    """
    return matmul.named(_grad_name(input, other), input, other)


def _must_be(name: str, first_fits: bool) -> str:
    """PyTorch's words for the tensor that does not have the dimensions it must have."""
    if name == "bmm":
        return f"batch{2 if first_fits else 1} must be a 3D tensor"
    if name == "mm":
        return f"{'mat2' if first_fits else 'self'} must be a matrix"
    return "wrong number of dimensions"


def _exact(name: str, x: Any, y: Any, dims_x: int, dims_y: int) -> None:
    if len(x.shape) != dims_x or len(y.shape) != dims_y:
        raise RuntimeError(
            f"{_must_be(name, len(x.shape) == dims_x)}: {name} takes tensors of {dims_x} and "
            f"{dims_y} dimensions, but got shapes {list(x.shape)} and "
            f"{list(y.shape)}; torch.matmul takes any number of dimensions"
        )


@function("torch.mm Tensor.mm")
def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices, without broadcasting.

    >>> torch.mm(torch.ones(2, 3), torch.ones(3, 4)).shape
    torch.Size([2, 4])
    """
    _exact("mm", input, mat2, 2, 2)
    return matmul(input, mat2)


@function("torch.bmm Tensor.bmm")
def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices: (b, n, k) and (b, k, m) give (b, n, m).

    >>> torch.bmm(torch.ones(8, 2, 3), torch.ones(8, 3, 4)).shape
    torch.Size([8, 2, 4])
    """
    _exact("bmm", input, mat2, 3, 3)
    if input.shape[0] != mat2.shape[0]:
        raise RuntimeError(_mismatch(input.shape, mat2.shape))
    return matmul.named("BmmBackward0", input, mat2)


@function("torch.mv Tensor.mv")
@in_given_precision
def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix and a vector.

    >>> torch.mv(torch.ones(2, 3), torch.ones(3))
    tensor([3., 3.])
    """
    _exact("mv", input, vec, 2, 1)
    return matmul.named("MvBackward0", input, vec)


@function("torch.dot Tensor.dot")
@in_given_precision
def dot(input: Any, tensor: Any) -> Any:
    """Σ input · tensor, for two vectors of one length.

    >>> torch.dot(torch.tensor([1., 2.]), torch.tensor([3., 4.]))
    tensor(11.)
    """
    if len(input.shape) != 1 or len(tensor.shape) != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {len(input.shape)}D and {len(tensor.shape)}D tensors"
        )
    return matmul.named("DotBackward0", input, tensor)
