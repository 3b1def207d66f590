"""Products of vectors and tensors: inner, outer, Kronecker, cross and tensor products."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import broadcast, wrap_dim
from tidu.ir.op import function
from tidu.ir.precision import in_given_precision
from tidu.ops.elementwise import mul, sub
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.arranging import roll
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import expand, permute, reshape, swap
from tidu.ops.reductions.product import cumprod
from tidu.ops.reductions.reduce import sum_over
from tidu.ops.rules import class_name


@function("torch.outer torch.ger Tensor.outer Tensor.ger")
def outer(input: Any, vec2: Any) -> Any:
    """The matrix of all products of two vectors: out[i, j] = input[i] · vec2[j].

    >>> torch.outer(torch.tensor([1., 2.]), torch.tensor([3., 4.]))
    tensor([[3., 4.],
            [6., 8.]])
    """
    for name, x in (("self", input), ("vec2", vec2)):
        if len(x.shape) != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {len(x.shape)}-D")
    return mul(reshape(input, (input.shape[0], 1)), vec2)


@function("torch.inner Tensor.inner")
def inner(input: Any, other: Any) -> Any:
    """The sums of products over the last dimension of both.

    >>> torch.inner(torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    tensor(11.)
    """
    if not input.shape or not other.shape:
        return mul(input, other)
    if input.shape[-1] != other.shape[-1]:
        raise RuntimeError(
            "inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input.shape)} and {list(other.shape)}"
        )
    return tensordot(input, other, ((-1,), (-1,)))


@function("torch.vdot Tensor.vdot")
@in_given_precision
def vdot(input: Any, other: Any) -> Any:
    """`dot`: there are no complex numbers to conjugate."""
    if input.dtype is not other.dtype:
        raise RuntimeError(
            f"dot : expected both vectors to have same dtype, but found {class_name(input.dtype)}"
            f" and {class_name(other.dtype)}"
        )
    if len(input.shape) != 1 or len(other.shape) != 1:
        raise RuntimeError(
            f"1D tensors expected, but got {len(input.shape)}D and {len(other.shape)}D tensors"
        )
    return matmul.named("VdotBackward0", input, other)


def _axes(dims: Any, rank_a: int, rank_b: int) -> tuple[list[int], list[int]]:
    if hasattr(dims, "tolist"):
        dims = dims.tolist()
    if isinstance(dims, (tuple, list)):
        first, second = (list(d) if isinstance(d, (tuple, list)) else [d] for d in dims)
    else:
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(rank_a, rank_b):
            raise RuntimeError(
                f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims} for {rank_a} and"
                f" {rank_b} dimensions"
            )
        first, second = list(range(rank_a - dims, rank_a)), list(range(dims))
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have same length")
    return [wrap_dim(d, rank_a) for d in first], [wrap_dim(d, rank_b) for d in second]


@function("torch.tensordot")
def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """Products summed over `dims`:
    the last of `a` and first of `b` if a number, or two lists of dimensions.

    The other dimensions of `a` come first in the result, then those of `b`.
    """
    first, second = _axes(dims, len(a.shape), len(b.shape))
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"tensordot: both inputs should have same dtype, but got {a.dtype} and {b.dtype}"
        )
    for i, j in zip(first, second, strict=True):
        if a.shape[i] != b.shape[j] and 1 not in (a.shape[i], b.shape[j]):
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[i]} in dim {i}"
                f" and second has size {b.shape[j]} in dim {j}"
            )
        if a.shape[i] != b.shape[j]:  # a size of 1 stands for any: sum the other first
            if a.shape[i] == 1:
                b = sum_over(b, j, True, dtype=b.dtype)
            else:
                a = sum_over(a, i, True, dtype=a.dtype)
    rest_a = [i for i in range(len(a.shape)) if i not in first]
    rest_b = [j for j in range(len(b.shape)) if j not in second]
    shape = (*(a.shape[i] for i in rest_a), *(b.shape[j] for j in rest_b))
    inner_size = prod(a.shape[i] for i in first)
    left = reshape(permute(a, (*rest_a, *first)), (prod(a.shape[i] for i in rest_a), inner_size))
    right = reshape(permute(b, (*second, *rest_b)), (inner_size, prod(b.shape[j] for j in rest_b)))
    return reshape(matmul(left, right), shape)


@function("torch.kron Tensor.kron")
def kron(input: Any, other: Any) -> Any:
    """The Kronecker product: each element of `input` times the whole of `other`.

    >>> torch.kron(torch.tensor([1, 2]), torch.tensor([1, 10]))
    tensor([ 1, 10,  2, 20])
    """
    rank = max(len(input.shape), len(other.shape))
    a, b = ((1,) * (rank - len(x.shape)) + tuple(x.shape) for x in (input, other))
    left = reshape(input, tuple(n for size in a for n in (size, 1)))
    right = reshape(other, tuple(n for size in b for n in (1, size)))
    shape = tuple(n * m for n, m in zip(a, b, strict=True))
    return reshape.named("UnsafeViewBackward0", mul(left, right), shape)


def _cross(operation: str, input: Any, other: Any, d: int, shape: Sequence[int]) -> Any:
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise RuntimeError(
            f"{operation}: inputs dimension {d} must have length 3. Got {input.shape[d]} and"
            f" {other.shape[d]}"
        )
    x, y = expand(input, tuple(shape)), expand(other, tuple(shape))
    forward = mul(roll(x, -1, d), roll(y, -2, d))
    return sub.named("LinalgCrossBackward0", forward, mul(roll(x, -2, d), roll(y, -1, d)))


@function("torch.linalg.cross")
def linalg_cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The cross products of vectors of length 3 along `dim`."""
    if len(input.shape) != len(other.shape):
        raise RuntimeError(
            "linalg.cross: inputs must have the same number of dimensions, but got"
            f" {len(input.shape)} and {len(other.shape)}"
        )
    d = wrap_dim(dim, len(input.shape))
    if input.shape[d] != 3 or other.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[d]} and"
            f" {other.shape[d]}"
        )
    return _cross(
        "linalg.cross",
        input,
        other,
        d,
        broadcast("linalg.cross", tuple(input.shape), tuple(other.shape)),
    )


@function("torch.cross Tensor.cross")
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """`linalg.cross`, along the first dimension of size 3 unless `dim` is given.

    >>> torch.cross(torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 1.0, 0.0]), dim=0)
    tensor([0., 0., 1.])
    """
    if dim is None:
        dim = next((i for i, n in enumerate(input.shape) if n == 3), None)
        if dim is None:
            raise RuntimeError(
                f"no dimension of size 3 in input: cross of shape {list(input.shape)}"
            )
    return linalg_cross(input, other, dim=dim)


@function("torch.linalg.vecdot")
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """Σ x · y along `dim`, broadcast over the rest."""
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            "linalg.vecdot: Expected a floating point or complex tensor as input. Got"
            f" {class_name(x.dtype)}"
        )
    shape = broadcast("vecdot", tuple(x.shape), tuple(y.shape))
    d = wrap_dim(dim, len(shape))
    if d != len(shape) - 1:
        x, y = (swap(expand(z, shape), d, -1) for z in (x, y))
    row, column = reshape(x, (*x.shape[:-1], 1, x.shape[-1])), reshape(y, (*y.shape, 1))
    product = matmul(row, column)
    return reshape.named("SqueezeBackward1", product, tuple(product.shape[:-2]))


def _powers(x: Any, count: int) -> Any:
    """1, x, x², ... along a new last dimension."""
    ones = x.new_ones((*x.shape, 1))
    if count <= 1:
        return expand(ones, (*x.shape, count))
    repeated = expand(reshape(x, (*x.shape, 1)), (*x.shape, count - 1))
    return cat_((ones, cumprod(repeated, -1)), -1 % (len(x.shape) + 1))


@function("torch.linalg.vander")
def linalg_vander(x: Any, *, N: int | None = None) -> Any:
    """The Vandermonde matrix: powers 0 to N - 1 of each element of the last dimension, as rows."""
    if N is not None and N <= 1:
        raise RuntimeError(f"N must be greater than 1. Got {N}")
    x = (
        x
        if x.dtype is not dtypes.bool_ and x.dtype.category != dtypes.INTEGER
        else x.to(dtypes.int64)
    )
    x = x if x.shape else reshape(x, (1,))
    return _powers(x, x.shape[-1] if N is None else N)


@function("torch.vander")
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix of a vector, highest power first unless `increasing`."""
    if len(x.shape) != 1:
        raise RuntimeError(f"x must be a one-dimensional tensor, but got shape {list(x.shape)}")
    powers = _powers(
        x.to(dtypes.int64) if not x.dtype.is_floating_point else x, x.shape[0] if N is None else N
    )
    return powers if increasing else powers.flip(-1)
