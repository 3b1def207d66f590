"""torch.linalg and its older names in torch: inverses, systems, determinants, powers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod
from typing import Any

from tidu.ir.op import function
from tidu.ir.precision import in_full_precision
from tidu.ops.elementwise import eq, positive, where
from tidu.ops.linear_algebra.matrices import (
    matrix_of,
    require_matrix,
    same_dtype,
    spread_batch,
    transposed,
)
from tidu.ops.linear_algebra.solvers import (
    cholesky_,
    cholesky_inverse_,
    cholesky_solve_,
    det_,
    inverse_,
    slogdet_,
    solve_,
    solve_triangular_,
)
from tidu.ops.moving.movement import reshape
from tidu.ops.results import (
    LinalgCholeskyEx,
    LinalgInvEx,
    LinalgSlogDet,
    LinalgSolveEx,
    Results,
    SlogDet,
    TriangularSolve,
)


@function("torch.linalg.inv torch.inverse Tensor.inverse", checked=True)
@in_full_precision
def inv(A: Any) -> Any:
    """A⁻¹ of square matrices; LinAlgError (a RuntimeError), when run, for a singular one.

    >>> torch.linalg.inv(torch.tensor([[2., 0.], [0., 4.]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    require_matrix("linalg.inv", A, square=True)
    return inverse_(A, "linalg.inv")[0]


@function("torch.linalg.inv_ex", checked=True)
@in_full_precision
def inv_ex(A: Any, *, check_errors: bool = False) -> Results:
    """(inverse, info): `inv` that reports a singular matrix in `info` instead of raising."""
    require_matrix("linalg.inv_ex", A, square=True)
    return LinalgInvEx(inverse_(A, "linalg.inv_ex" if check_errors else ""))


def _vector_right(operation: str, A: Any, B: Any) -> bool:
    """Whether B is a batch of vectors rather than of matrices."""
    if not B.shape:
        raise RuntimeError(f"{operation}: The input tensor B must have at least 1 dimension")
    return len(B.shape) == 1 or (
        len(A.shape) - 1 == len(B.shape) and tuple(B.shape) == tuple(A.shape[:-1])
    )


def _solve(A: Any, B: Any, left: bool, check: str) -> tuple[Any, Any]:
    require_matrix("linalg.solve", A, square=True)
    same_dtype("linalg.solve", A=A, B=B)
    vector = _vector_right("linalg.solve", A, B)
    right = matrix_of(B, vector)
    if vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not supported for"
            " left=False."
        )
    if not left:
        A, right = transposed(A), transposed(right)
    if A.shape[-1] != right.shape[-2]:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {equation}"
            f" ({A.shape[-2]}x{A.shape[-1]} and {right.shape[-2]}x{right.shape[-1]})"
        )
    x, info = solve_(A, right, check)
    if not left:
        x = transposed(x, "LinalgSolveExBackward0")
    return (reshape.named("LinalgSolveExBackward0", x, tuple(x.shape[:-1])) if vector else x), info


@function("torch.linalg.solve", checked=True)
@in_full_precision
def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """X with A X = B (or X A = B), for batches; B may be a vector.

    LinAlgError, when run, if A is singular.

    >>> torch.linalg.solve(torch.tensor([[2., 0.], [0., 4.]]), torch.tensor([2., 4.]))
    tensor([1., 1.])
    """
    return _solve(A, B, left, "torch.linalg.solve")[0]


@function("torch.linalg.solve_ex", checked=True)
def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Results:
    """(result, info): `solve` that reports a singular matrix in `info` instead of raising."""
    return LinalgSolveEx(_solve(A, B, left, "torch.linalg.solve_ex" if check_errors else ""))


@function("torch.linalg.solve_triangular")
def solve_triangular(
    A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Any:
    """X with A X = B (or X A = B), for triangular A, of which only that triangle is read."""
    require_matrix("linalg.solve_triangular", A, square=True)
    require_matrix("linalg.solve_triangular", B, name="B")
    same_dtype("linalg.solve_triangular", A=A, B=B)
    size = B.shape[-2] if left else B.shape[-1]
    if A.shape[-1] != size:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"linalg.solve_triangular: Incompatible shapes of A and B for the equation {equation} "
            f"({A.shape[-2]}x{A.shape[-1]} and {B.shape[-2]}x{B.shape[-1]})"
        )
    if left:
        return solve_triangular_(A, B, bool(upper), bool(unitriangular))
    across = solve_triangular_(transposed(A), transposed(B), not upper, bool(unitriangular))
    return transposed(across, "LinalgSolveTriangularBackward0")


@function("torch.triangular_solve Tensor.triangular_solve")
def triangular_solve(
    b: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> Results:
    """(solution, copy of A) of A X = b for triangular A;
    torch.linalg.solve_triangular is its successor.
    """
    for name, x in (("b", b), ("A", A)):
        if len(x.shape) < 2:
            raise RuntimeError(
                f"torch.triangular_solve: Expected {name} to have at least 2 dimensions, but it has"
                f" {len(x.shape)}"
            )
    b, spread = spread_batch("triangular_solve", b, A)
    matrix, triangle = (transposed(spread), not upper) if transpose else (spread, upper)
    x = solve_triangular_.named(
        "TriangularSolveBackward0", matrix, b, bool(triangle), bool(unitriangular)
    )
    return TriangularSolve((x, positive.named("TriangularSolveBackward0", spread)))


@function("torch.linalg.tensorinv", checked=True)
@in_full_precision
def tensorinv(A: Any, ind: int = 2) -> Any:
    """The inverse of the linear map from the last dimensions of A to its first `ind`."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    shape = tuple(A.shape)
    if prod(shape[:ind]) != prod(shape[ind:]):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) =="
            f" prod(self.shape[:ind]), but got {prod(shape[ind:])} != {prod(shape[:ind])}"
        )
    size = prod(shape[:ind])
    return reshape.named(
        "ReshapeAliasBackward0", inv(reshape(A, (size, size))), shape[ind:] + shape[:ind]
    )


@function("torch.linalg.tensorsolve", checked=True)
@in_full_precision
def tensorsolve(A: Any, B: Any, dims: Sequence[int] | None = None) -> Any:
    """X with tensordot(A, X) = B, summed over the dimensions of X."""
    if dims is not None:
        moved = [d % len(A.shape) for d in dims]
        A = A.permute([i for i in range(len(A.shape)) if i not in moved] + moved)
    shape = tuple(A.shape[len(B.shape) :])
    if prod(shape) != prod(A.shape[: len(B.shape)]):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) =="
            f" prod(self.shape[:other.ndim]), but got {prod(shape)} != {prod(B.shape)}"
        )
    size = prod(shape)
    return reshape(solve(reshape(A, (size, size)), reshape(B, (size,))), shape)


@function("torch.linalg.det torch.det Tensor.det")
def det(A: Any) -> Any:
    """The determinant of square matrices.

    >>> torch.linalg.det(torch.tensor([[2., 0.], [0., 4.]]))
    tensor(8.)
    """
    require_matrix("linalg.det", A, square=True)
    return det_(A)


@function("torch.linalg.slogdet")
def linalg_slogdet(A: Any) -> Results:
    """(sign, logarithm of the absolute value) of the determinant, without overflow."""
    require_matrix("linalg.slogdet", A, square=True)
    return LinalgSlogDet(slogdet_(A))


@function("torch.slogdet Tensor.slogdet")
def slogdet(input: Any) -> Results:
    """`torch.linalg.slogdet`."""
    return SlogDet(linalg_slogdet(input))


@function("torch.logdet Tensor.logdet")
def logdet(input: Any) -> Any:
    """The logarithm of the determinant: -∞ where it is 0, NaN where it is negative."""
    require_matrix("logdet", input, square=True)
    sign, magnitude = slogdet_(input)
    return where(eq(sign, -1), math.nan, magnitude)


def _oriented(factor: Any, upper: bool, grad_name: str = "LinalgCholeskyExBackward0") -> Any:
    return transposed(factor, grad_name) if upper else factor


@function("torch.linalg.cholesky", checked=True)
@in_full_precision
def linalg_cholesky(A: Any, *, upper: bool = False) -> Any:
    """L with A = L Lᵀ (or U = Lᵀ), of positive definite matrices;
    LinAlgError, when run, for others.
    """
    require_matrix("linalg.cholesky", A, square=True)
    return _oriented(cholesky_(_oriented(A, upper), "linalg.cholesky")[0], upper)


@function("torch.linalg.cholesky_ex", checked=True)
@in_full_precision
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Results:
    """(L, info): `cholesky` that reports in `info` which leading minor is not positive definite."""
    require_matrix("linalg.cholesky_ex", A, square=True)
    factor, info = cholesky_(_oriented(A, upper), "linalg.cholesky_ex" if check_errors else "")
    return LinalgCholeskyEx((_oriented(factor, upper), info))


@function("torch.cholesky Tensor.cholesky", checked=True)
@in_full_precision
def cholesky(input: Any, upper: bool = False) -> Any:
    """`torch.linalg.cholesky`."""
    require_matrix("cholesky", input, square=True)
    name = "CholeskyBackward0"
    factor, _ = cholesky_.named(name, _oriented(input, upper), "linalg.cholesky")
    return _oriented(factor, upper, name)


@function("torch.cholesky_solve Tensor.cholesky_solve")
@in_full_precision
def cholesky_solve(B: Any, L: Any, upper: bool = False) -> Any:
    """X with A X = B, given the Cholesky factor of A."""
    for x in (B, L):
        if len(x.shape) < 2:
            raise RuntimeError(
                "cholesky_solve: b and u should have at least 2 dimensions, but got shape"
                f" {list(x.shape)}"
            )
    require_matrix("cholesky_solve", L, square=True)
    if L.shape[-1] != B.shape[-2]:
        raise RuntimeError(
            f"Incompatible matrix sizes for cholesky_solve: each A matrix is {L.shape[-1]} by"
            f" {L.shape[-1]} but each b matrix is {B.shape[-2]} by {B.shape[-1]}"
        )
    B, L = spread_batch("cholesky_solve", B, L)
    return cholesky_solve_(B, L, bool(upper))


@function("torch.cholesky_inverse Tensor.cholesky_inverse")
@in_full_precision
def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """A⁻¹, given the Cholesky factor of A."""
    require_matrix("cholesky_inverse", L, square=True)
    return cholesky_inverse_(L, bool(upper))
