"""Chains of products: powers, the exponential, and several matrices in the cheapest order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tidu.ir.op import function
from tidu.ops.elementwise import overwrite
from tidu.ops.linear_algebra.contract import matmul_any
from tidu.ops.linear_algebra.inverses import inv
from tidu.ops.linear_algebra.matrices import identity, require_matrix
from tidu.ops.linear_algebra.solvers import matrix_exp_
from tidu.ops.moving.movement import reshape
from tidu.ops.rules import class_name, tensors_of


@function("torch.linalg.matrix_power torch.matrix_power Tensor.matrix_power")
def matrix_power(A: Any, n: int) -> Any:
    """A · A · … · A, n times; for negative n of the inverse.

    >>> torch.linalg.matrix_power(torch.tensor([[1., 1.], [0., 1.]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    if len(A.shape) < 2:
        raise RuntimeError(
            "linalg.matrix_power: The input tensor A must have at least 2 dimensions, but has"
            f" shape {list(A.shape)}."
        )
    if A.shape[-1] != A.shape[-2]:
        raise RuntimeError(
            f"linalg.matrix_power: A must be batches of square matrices, but they are {A.shape[-2]}"
            f" by {A.shape[-1]} matrices"
        )
    if n == 0:
        return overwrite(A, identity(A, A.shape[-1]))
    base, left = (inv(A), -n) if n < 0 else (A, n)
    result: Any = None
    while left:
        if left & 1:
            result = base if result is None else matmul_any(result, base)
        left >>= 1
        base = matmul_any(base, base) if left else base
    return result.clone() if n == 1 else result


@function("torch.linalg.matrix_exp torch.matrix_exp Tensor.matrix_exp")
def matrix_exp(A: Any) -> Any:
    """The exponential Σ Aᵏ / k! of square matrices."""
    require_matrix("linalg.matrix_exp", A, square=True)
    return matrix_exp_(A)


def _cheapest(sizes: Sequence[int]) -> list[list[int]]:
    """Where to split each product of a chain so that the fewest multiplications are done
    (dynamic programming).
    """
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            choices = [
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            ]
            cost[i][j], split[i][j] = min(choices)
    return split


@function("torch.linalg.multi_dot")
def multi_dot(tensors: Sequence[Any]) -> Any:
    """The product of a chain of matrices in the cheapest order; first and last may be vectors.

    >>> torch.linalg.multi_dot([torch.ones(2, 3), torch.ones(3, 4), torch.ones(4, 1)]).shape
    torch.Size([2, 1])
    """
    items = list(tensors)
    if len(items) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(items)}")
    for number, x in enumerate(items):
        ranks = (1, 2) if number in (0, len(items) - 1) else (2,)
        if len(x.shape) not in ranks:
            allowed = "1D or 2D" if len(ranks) == 2 else "2D"
            raise RuntimeError(
                f"multi_dot(): tensor {number} must be {allowed} but got {len(x.shape)}D"
            )
        if x.dtype is not items[0].dtype:
            raise RuntimeError(
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is"
                f" {class_name(items[0].dtype)} and tensor {number} {class_name(x.dtype)}"
            )
    first_vector, last_vector = len(items[0].shape) == 1, len(items[-1].shape) == 1
    shape = (items[0].shape[0],) if not first_vector else ()
    shape += (items[-1].shape[1],) if not last_vector else ()
    if first_vector:
        items[0] = reshape(items[0], (1, -1))
    if last_vector:
        items[-1] = reshape(items[-1], (-1, 1))
    for number, (x, y) in enumerate(pairwise(items)):
        if x.shape[1] != y.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {number} and {number + 1} with shapes {list(x.shape)} and"
                f" {list(y.shape)} cannot be multiplied"
            )
    split = _cheapest([x.shape[0] for x in items] + [items[-1].shape[1]])

    def product(i: int, j: int) -> Any:
        return (
            items[i] if i == j else matmul_any(product(i, split[i][j]), product(split[i][j] + 1, j))
        )

    return reshape(product(0, len(items) - 1), tuple(shape))


@function("torch.chain_matmul")
def chain_matmul(*matrices: Any) -> Any:
    """`torch.linalg.multi_dot` of its arguments."""
    items = tensors_of(matrices)
    return items[0] if len(items) == 1 else multi_dot(items)


@function("torch.linalg.matmul")
def linalg_matmul(input: Any, other: Any) -> Any:
    """`torch.matmul`."""
    return matmul_any(input, other)


@function("torch.linalg.diagonal")
def linalg_diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """`torch.diagonal` of the last two dimensions."""
    return A.diagonal(offset, dim1, dim2)


@function("Tensor.fill_diagonal_")
def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Write a number on the diagonal, in place;
    with `wrap`, again after every block of rows of a tall matrix.
    """
    rank = len(self.shape)
    if rank < 2:
        raise RuntimeError("dimensions must larger than 1")
    if rank > 2 and len(set(self.shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    n = self.shape[1]
    if rank == 2:
        starts = range(0, self.shape[0], n + 1) if wrap else (0,)
        for start in starts:
            self[start : start + n].diagonal().fill_(fill_value)
        return self
    places = tuple([*range(n)] for _ in range(rank))
    self[places] = fill_value
    return self
