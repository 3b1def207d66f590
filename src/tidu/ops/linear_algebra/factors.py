"""torch.linalg and its older names in torch: QR, LU, LDLᵀ, eigenvalues and singular values."""

from __future__ import annotations

from typing import Any

from tidu.base import dtypes
from tidu.ir.op import function
from tidu.ir.precision import in_full_precision
from tidu.ops.elementwise import positive
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.linear_algebra.factorization import (
    eigh_,
    ldl_,
    ldl_solve_,
    lu_,
    permutation_matrix,
    qr_,
    svd_,
    unpacked,
)
from tidu.ops.linear_algebra.matrices import (
    columns,
    identity,
    require_matrix,
    same_dtype,
    transposed,
)
from tidu.ops.linear_algebra.solvers import solve_triangular_
from tidu.ops.moving.movement import reshape
from tidu.ops.moving.triangles import tril_
from tidu.ops.results import (
    QR,
    SVD,
    LinalgEigh,
    LinalgLdlFactor,
    LinalgLdlFactorEx,
    LinalgLU,
    LinalgLUFactor,
    LinalgLUFactorEx,
    LinalgQR,
    LinalgSVD,
    LUUnpack,
    Results,
)


@function("torch.linalg.qr")
@in_full_precision
def linalg_qr(A: Any, mode: str = "reduced") -> Results:
    """(Q, R) with A = Q R, Q orthonormal, R upper triangular;
    `mode` "reduced", "complete" or "r" (R only).
    """
    require_matrix("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r',"
            " or 'complete'"
        )
    return LinalgQR(qr_(A, mode))


@function("torch.qr Tensor.qr")
@in_full_precision
def qr(input: Any, some: bool = True) -> Results:
    """`torch.linalg.qr`, complete unless `some`."""
    return QR(linalg_qr(input, "reduced" if some else "complete"))


@function("torch.linalg.lu_factor", checked=True)
def lu_factor(A: Any, *, pivot: bool = True) -> Results:
    """(LU, pivots): both triangles in one matrix, and the row exchanges counted from 1."""
    require_matrix("linalg.lu_factor", A)
    return LinalgLUFactor(lu_(A, bool(pivot), "torch.linalg.lu_factor")[:2])


@function("torch.linalg.lu_factor_ex")
def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Results:
    """(LU, pivots, info): `lu_factor` that reports a zero on the diagonal of U in `info`."""
    require_matrix("linalg.lu_factor_ex", A)
    return LinalgLUFactorEx(
        lu_(A, bool(pivot), "torch.linalg.lu_factor_ex" if check_errors else "")
    )


@function("torch.linalg.lu")
def lu(A: Any, *, pivot: bool = True) -> Results:
    """(P, L, U) with A = P L U; without `pivot` P is empty and A = L U."""
    require_matrix("linalg.lu", A)
    packed, pivots, _ = lu_.named("LinalgLuBackward0", A, bool(pivot), "")
    lower, upper = unpacked(packed, "LinalgLuBackward0")
    p = permutation_matrix(pivots, A.shape[-2], A.dtype) if pivot else A.new_empty(0)
    return LinalgLU((p, lower, upper))


@function("torch.lu Tensor.lu")
def lu_old(A: Any, pivot: bool = True, get_infos: bool = False) -> tuple[Any, ...]:
    """(LU, pivots) and, on request, info; torch.linalg.lu_factor is its successor."""
    require_matrix("torch.lu", A)
    made = lu_(A, bool(pivot), "" if get_infos else "torch.linalg.lu_factor")
    return tuple(made) if get_infos else tuple(made[:2])


@function("torch.lu_unpack")
def lu_unpack(
    LU_data: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True
) -> Results:
    """(P, L, U) from what `lu_factor` returns."""
    if LU_pivots.dtype is not dtypes.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32"
            " dtype.\nNote: this function is intended to be used with the output produced by"
            " torch.linalg.lu_factor"
        )
    empty = LU_data.new_empty(0)
    p = permutation_matrix(LU_pivots, LU_data.shape[-2], LU_data.dtype) if unpack_pivots else empty
    lower, upper = unpacked(LU_data) if unpack_data else (empty, empty)
    return LUUnpack((p, lower, upper))


@function("torch.linalg.lu_solve")
def linalg_lu_solve(
    LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False
) -> Any:
    """X with A X = B (X A = B, or with Aᵀ), from the factors that `lu_factor` returns."""
    require_matrix("linalg.lu_solve", LU, square=True, name="LU")
    if pivots.dtype is not dtypes.int32:
        raise RuntimeError("linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32")
    same_dtype("linalg.lu_solve", LU=LU, B=B)
    size = B.shape[-2] if left else B.shape[-1]
    if len(B.shape) < 2 or size != LU.shape[-1]:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"linalg.lu_solve: Incompatible shapes of A and B for the equation {equation}"
            f" ({LU.shape[-2]}x{LU.shape[-1]} and {list(B.shape)})"
        )
    p = permutation_matrix(pivots, LU.shape[-1], LU.dtype)
    right = B if left else transposed(B)
    name = "LinalgLuSolveBackward0"
    if left != adjoint:  # A X = B
        half = solve_triangular_(LU, matmul(transposed(p), right), False, True)
        x = solve_triangular_.named(name, LU, half, True, False)
    else:  # Aᵀ X = B
        across = transposed(LU)
        half = solve_triangular_(across, right, False, False)
        x = matmul.named(name, p, solve_triangular_(across, half, True, True))
    return x if left else transposed(x, name)


@function("torch.lu_solve Tensor.lu_solve")
def lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """`torch.linalg.lu_solve` with the right-hand side first."""
    return linalg_lu_solve(LU_data, LU_pivots, b)


def _ldl(operation: str, A: Any) -> tuple[Any, Any, Any]:
    require_matrix(operation, A, square=True)
    packed, pivots, info = ldl_(A)
    return packed, pivots, info


@function("torch.linalg.ldl_factor", checked=True)
def ldl_factor(A: Any, *, hermitian: bool = False) -> Results:
    """(LD, pivots) of A = L D Lᵀ for symmetric A, with 1×1 and 2×2 blocks in D; no derivative."""
    return LinalgLdlFactor(_ldl("torch.linalg.ldl_factor", A)[:2])


@function("torch.linalg.ldl_factor_ex")
def ldl_factor_ex(A: Any, *, hermitian: bool = False, check_errors: bool = False) -> Results:
    """(LD, pivots, info): `ldl_factor` with LAPACK's info."""
    return LinalgLdlFactorEx(_ldl("torch.linalg.ldl_factor_ex", A))


@function("torch.linalg.ldl_solve")
def ldl_solve(LD: Any, pivots: Any, B: Any, *, hermitian: bool = False) -> Any:
    """X with A X = B, from the factors that `ldl_factor` returns."""
    require_matrix("torch.linalg.ldl_solve", LD, square=True, name="LD")
    if len(B.shape) < 2:
        raise RuntimeError(
            "torch.linalg.ldl_solve: Expected B to have at least 2 dimensions, but it has"
            f" {len(B.shape)}"
        )
    if LD.shape[-1] != B.shape[-2]:
        raise RuntimeError(
            f"torch.linalg.ldl_solve: Incompatible matrix sizes: LD is {LD.shape[-1]} by"
            f" {LD.shape[-1]} but B is {B.shape[-2]} by {B.shape[-1]}"
        )
    return ldl_solve_(LD, pivots, B)


@function("torch.linalg.householder_product torch.orgqr Tensor.orgqr")
@in_full_precision
def householder_product(A: Any, tau: Any) -> Any:
    """The first columns of the product of the reflections I - τ v vᵀ, v the columns of A."""
    require_matrix("torch.linalg.householder_product", A, name="input")
    m, n = A.shape[-2:]
    if m < n:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to"
            " input.shape[-1]"
        )
    if tau.shape[-1] > n:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to"
            " tau.shape[-1]"
        )
    start = A.new_zeros(tuple(A.shape)) + columns(identity(A, m), 0, n)
    name = "LinalgHouseholderProductBackward0"
    return positive.named(name, _reflected(A, tau, start, reverse=True))


def _reflected(A: Any, tau: Any, x: Any, *, reverse: bool) -> Any:
    """x after the reflections, the last of them first with `reverse`."""
    k = tau.shape[-1]
    vectors = tril_(columns(A, 0, k), -1)
    for i in range(k - 1, -1, -1) if reverse else range(k):
        v = columns(vectors, i, i + 1)
        v = v + columns(identity(A, A.shape[-2]), i, i + 1)
        scale = reshape(tau[..., i], (*tau.shape[:-1], 1, 1))
        x = x - matmul(v * scale, matmul(transposed(v), x))
    return x


@function("torch.ormqr Tensor.ormqr")
@in_full_precision
def ormqr(input: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """`other` times the full orthogonal matrix of `householder_product`,
    from the left or the right.
    """
    require_matrix("torch.ormqr", input, name="input")
    size = other.shape[-2] if left else other.shape[-1]
    if input.shape[-2] != size:
        raise RuntimeError(
            f"torch.ormqr: other.shape[{-2 if left else -1}] must be equal to input.shape[-2], but"
            f" got {size} and {input.shape[-2]}"
        )
    x = other if left else transposed(other)
    # Q is symmetric reflections in order; Qᵀ has them in reverse, and C Q = (Qᵀ Cᵀ)ᵀ.
    x = _reflected(input, tau, x, reverse=transpose != left)
    return positive.named("OrmqrBackward0", x if left else transposed(x))


def _check_eigh(operation: str, A: Any, UPLO: str) -> str:
    require_matrix(operation, A, square=True)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    return UPLO.upper()


@function("torch.linalg.eigh")
@in_full_precision
def eigh(A: Any, UPLO: str = "L") -> Results:
    """(eigenvalues ascending, eigenvectors as columns) of symmetric matrices;
    `UPLO` is the triangle read.
    """
    return LinalgEigh(eigh_(A, _check_eigh("linalg.eigh", A, UPLO)))


@function("torch.linalg.eigvalsh")
@in_full_precision
def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of symmetric matrices, ascending."""
    return eigh_(A, _check_eigh("linalg.eigvalsh", A, UPLO))[0]


@function("torch.linalg.svd")
@in_full_precision
def linalg_svd(A: Any, full_matrices: bool = True, *, driver: str | None = None) -> Results:
    """(U, S, Vᵀ) with A = U diag(S) Vᵀ and S descending;
    U and V square unless `full_matrices` is False.
    """
    require_matrix("linalg.svd", A)
    return LinalgSVD(svd_(A, bool(full_matrices)))


@function("torch.svd Tensor.svd")
@in_full_precision
def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Results:
    """(U, S, V) with input = U diag(S) Vᵀ; torch.linalg.svd, which returns Vᵀ, is its successor."""
    require_matrix("torch.svd", input)
    u, s, vh = svd_(input, not some)
    if compute_uv:
        return SVD((u, s, transposed(vh)))
    batch, (m, n) = tuple(input.shape[:-2]), input.shape[-2:]
    return SVD((input.new_zeros(*batch, m, m), s, input.new_zeros(*batch, n, n)))


@function("torch.linalg.svdvals")
@in_full_precision
def svdvals(A: Any, *, driver: str | None = None) -> Any:
    """The singular values, descending."""
    require_matrix("linalg.svdvals", A)
    return svd_(A, False)[1]
