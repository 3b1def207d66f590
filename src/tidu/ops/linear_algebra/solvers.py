"""Inverses, linear systems, determinants, Cholesky factors, the pseudo-inverse and the exponential.

NumPy's LAPACK does the work; derivatives are in terms of other ops. They follow Giles, "Collected
matrix derivative results" (2008), Murray, "Differentiation of the Cholesky decomposition" (2016),
and Golub and Pereyra (1973) for the pseudo-inverse.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu.base import dtypes
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops.linear_algebra import kernels
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.linear_algebra.matrices import (
    columns,
    identity,
    infer_with_info,
    rows,
    solution_shape,
    square_samples,
    transposed,
)
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import expand, reshape
from tidu.ops.moving.triangles import tril_, triu_
from tidu.ops.pick import several
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import same
from tidu.ops.sources import full

_SINGULAR = (
    "The diagonal element {place} is zero, the inversion could not be completed because the input"
    " matrix is singular."
)


def _checked(kernel: Callable[..., Any], message: str) -> Callable[..., Any]:
    """`kernel`, which raises where it broke down if its last argument names an operation."""

    def run(*arguments: Any) -> Any:
        *matrices, check = arguments
        result, info = kernel(*matrices)
        if check and info.any():
            raise kernels.broken(check, info, message)
        return result, info

    return run


def _inverse_vjp(g: Any, out: Any, a: Any, check: str) -> Any:
    across = transposed(out[0])
    return -matmul(matmul(across, g[0]), across)


# (A⁻¹, info). `check` names the operation that raises for a singular matrix, "" does not raise.
inverse_ = define(
    "inverse",
    attrs="check",
    kind="host",
    outputs=2,
    infer=infer_with_info,
    numpy=_checked(kernels.inverse, _SINGULAR),
    vjp=(_inverse_vjp,),
    grad_name="LinalgInvExBackward0",
    samples=lambda: [Sample((Array((3, 3)), "inv")), Sample((Array((2, 2, 2)), ""))],
    dtypes="wide",
    reference=lambda torch, a, check: torch.linalg.inv_ex(a),
    tolerance=100.0,
)


def _solve_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    a, b = inputs
    return inputs, (solution_shape("linalg.solve", a, b), a.shape[:-2]), (a.dtype, dtypes.int32)


def _solve_vjp_b(g: Any, out: Any, a: Any, b: Any, check: str) -> Any:
    return several(solve_(transposed(a), g[0], "linalg.solve"))[0]


def _solve_vjp_a(g: Any, out: Any, a: Any, b: Any, check: str) -> Any:
    return -matmul(several(solve_(transposed(a), g[0], "linalg.solve"))[0], transposed(out[0]))


# (X, info) with A X = B, both batches of matrices.
solve_ = define(
    "solve",
    inputs="A B",
    attrs="check",
    kind="host",
    outputs=2,
    infer=_solve_infer,
    numpy=_checked(kernels.solve, "The solver failed because the input matrix is singular."),
    vjp=(_solve_vjp_a, _solve_vjp_b),
    grad_name="LinalgSolveExBackward0",
    samples=lambda: [
        Sample((Array((3, 3)), Array((3, 2)), "solve")),
        Sample((Array((2, 3, 3)), Array((3, 1)), "")),
    ],
    dtypes="wide",
    reference=lambda torch, a, b, check: torch.linalg.solve_ex(a, b),
    tolerance=100.0,
)


def _triangle(x: Any, upper: bool, unitriangular: bool) -> Any:
    shift = 1 if unitriangular else 0
    return triu_(x, shift) if upper else tril_(x, -shift)


def _triangular_vjp_b(g: Any, out: Any, a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
    return solve_triangular_(transposed(a), g, not upper, unitriangular)


def _triangular_vjp_a(g: Any, out: Any, a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
    solved = solve_triangular_(transposed(a), g, not upper, unitriangular)
    return _triangle(-matmul(solved, transposed(out)), upper, unitriangular)


# X with A X = B, reading one triangle of A.
solve_triangular_ = define(
    "solve_triangular",
    inputs="A B",
    attrs="upper unitriangular",
    kind="host",
    infer=lambda op, inputs, attrs: (
        inputs,
        solution_shape("linalg.solve_triangular", *inputs),
        inputs[0].dtype,
    ),
    numpy=kernels.solve_triangular,
    vjp=(_triangular_vjp_a, _triangular_vjp_b),
    grad_name="LinalgSolveTriangularBackward0",
    samples=lambda: [
        Sample((Array((3, 3), 1, 2), Array((3, 2)), True, False)),
        Sample((Array((2, 3, 3), 1, 2), Array((3, 2)), False, True)),
    ],
    dtypes="wide",
    reference=lambda torch, a, b, upper, unit: torch.linalg.solve_triangular(
        a, b, upper=upper, unitriangular=unit
    ),
    tolerance=100.0,
)


def _infer_batch(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, inputs[0].shape[:-2], inputs[0].dtype


def _outer_scale(g: Any, matrix: Any) -> Any:
    return matrix * reshape(g, (*g.shape, 1, 1))


def _cofactors_vjp(g: Any, out: Any, a: Any) -> Any:
    """Of det(A) · A⁻ᵀ, through the determinant and through the inverse; for invertible matrices."""
    across = transposed(several(inverse_(a, "linalg.det"))[0])
    last = (len(a.shape) - 2, len(a.shape) - 1)
    through_det = sum_(g * across, last, False)
    return _outer_scale(through_det, out) - matmul(across, matmul(transposed(g), out))


cofactors = define(
    "cofactors",
    kind="host",
    infer=same,
    numpy=kernels.cofactors,
    vjp=(_cofactors_vjp,),
    samples=square_samples,
    dtypes="wide",
    reference=lambda torch, a: torch.linalg.det(a)[..., None, None] * torch.linalg.inv(a).mT,
    tolerance=100.0,
)
det_ = define(
    "det",
    kind="host",
    infer=_infer_batch,
    numpy=kernels.det,
    vjp=(lambda g, out, a: _outer_scale(g, cofactors(a)),),
    grad_name="LinalgDetBackward0",
    samples=square_samples,
    dtypes="wide",
    reference="linalg.det",
    tolerance=10.0,
)


def _slogdet_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    batch, d = inputs[0].shape[:-2], inputs[0].dtype
    return inputs, (batch, batch), (d, d)


slogdet_ = define(
    "slogdet",
    kind="host",
    outputs=2,
    infer=_slogdet_infer,
    numpy=kernels.slogdet,
    vjp=(
        lambda g, out, a: (
            None if g[1] is None else _outer_scale(g[1], transposed(several(inverse_(a, ""))[0]))
        ),
    ),
    grad_name="LinalgSlogdetBackward0",
    samples=square_samples,
    dtypes="wide",
    reference="linalg.slogdet",
    tolerance=10.0,
)


_NOT_DEFINITE = (
    "The factorization could not be completed because the input is not positive-definite (the"
    " leading minor of order {place} is not positive-definite)."
)


def _symmetric(x: Any) -> Any:
    """½ (tril + trilᵀ): a symmetric matrix from the lower triangle
    of what a symmetric input was given.
    """
    return (tril_(x, 0) + transposed(tril_(x, -1))) * 0.5


def _cholesky_vjp(g: Any, out: Any, a: Any, check: str) -> Any:
    across = transposed(out[0])
    middle = _symmetric(matmul(across, g[0]))
    left = solve_triangular_(across, middle, True, False)
    return transposed(solve_triangular_(across, transposed(left), True, False))


# (L, info) with A = L Lᵀ.
cholesky_ = define(
    "cholesky",
    attrs="check",
    kind="host",
    outputs=2,
    infer=infer_with_info,
    numpy=_checked(kernels.cholesky, _NOT_DEFINITE),
    vjp=(_cholesky_vjp,),
    grad_name="LinalgCholeskyExBackward0",
    # Larger matrices have to be symmetric, which samples are not; tests/ops/test_linalg.py has
    # them.
    samples=lambda: [
        Sample((Array((1, 1), 1, 2), "cholesky")),
        Sample((Array((3, 1, 1), 1, 2), "")),
    ],
    dtypes="wide",
    reference=lambda torch, a, check: torch.linalg.cholesky_ex(a),
)


def _cholesky_solve(b: Any, factor: Any, upper: bool) -> Any:
    lower = transposed(factor) if upper else factor
    half = solve_triangular_(lower, b, False, False)
    return solve_triangular_(transposed(lower), half, True, False)


def _factor_gradient(common: Any, factor: Any, upper: bool) -> Any:
    """Of A⁻¹ with A = L Lᵀ: the factor counts as a whole matrix, as in PyTorch."""
    common = common + transposed(common)
    return -matmul(factor, common) if upper else -matmul(common, factor)


# X with L Lᵀ X = B.
cholesky_solve_: Op = define(
    "cholesky_solve",
    inputs="B L",
    attrs="upper",
    kind="composite",
    infer=same,
    decompose=_cholesky_solve,
    vjp=(
        lambda g, out, b, factor, upper: cholesky_solve_(g, factor, upper),
        lambda g, out, b, factor, upper: _factor_gradient(
            matmul(cholesky_solve_(g, factor, upper), transposed(out)), factor, upper
        ),
    ),
    samples=lambda: [Sample((Array((1, 2)), Array((1, 1), 1, 2), False))],
    dtypes="wide",
)
# (L Lᵀ)⁻¹
cholesky_inverse_ = define(
    "cholesky_inverse",
    inputs="L",
    attrs="upper",
    kind="composite",
    infer=same,
    decompose=lambda factor, upper: _cholesky_solve(
        expand(identity(factor, factor.shape[-1]), factor.shape), factor, upper
    ),
    vjp=(
        lambda g, out, factor, upper: _factor_gradient(matmul(matmul(out, g), out), factor, upper),
    ),
    samples=lambda: [Sample((Array((1, 1), 1, 2), False)), Sample((Array((3, 1, 1), 1, 2), True))],
    dtypes="wide",
)


def _pinv_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    *batch, m, n = inputs[0].shape
    return inputs, (*batch, n, m), inputs[0].dtype


def _pinv_vjp(g: Any, out: Any, a: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
    m, n = a.shape[-2:]
    across, p = transposed(g), transposed(out)
    if m <= n:
        k = matmul(across, out)
        k_p = matmul(k, p)
        return (
            k_p
            - transposed(matmul(out, k))
            - matmul(matmul(a, out), k_p)
            + matmul(matmul(p, out), across - matmul(k, a))
        )
    k = matmul(out, across)
    p_k = matmul(p, k)
    return (
        matmul(matmul(across - matmul(a, k), out), p)
        - transposed(matmul(k, out))
        + p_k
        - matmul(matmul(p_k, out), a)
    )


pinv_ = define(
    "pinv",
    inputs="A atol rtol",
    attrs="hermitian",
    kind="host",
    infer=_pinv_infer,
    numpy=lambda a, atol, rtol, hermitian: kernels.pinv(a, atol, rtol, hermitian),
    vjp=(_pinv_vjp, None, None),
    grad_name="LinalgPinvBackward0",
    samples=lambda: [
        Sample((Array((3, 3)), 0.0, 1e-9, False)),
        Sample((Array((4, 2)), 0.0, 1e-9, False)),
        Sample((Array((2, 2, 4)), 0.0, 1e-9, False)),
    ],
    dtypes="wide",
    reference=lambda torch, a, atol, rtol, hermitian: torch.linalg.pinv(
        a, atol=atol, rtol=rtol, hermitian=hermitian
    ),
    tolerance=100.0,
)


def _matrix_exp_vjp(g: Any, out: Any, a: Any) -> Any:
    """The corner of exp([[Aᵀ, g], [0, Aᵀ]])."""
    n = a.shape[-1]
    across = transposed(a)
    last = len(a.shape) - 1
    upper = cat_((across, g), last)
    lower = cat_((full(0.0, a.shape, a.dtype), across), last)
    return columns(rows(matrix_exp_(cat_((upper, lower), last - 1)), 0, n), n, 2 * n)


matrix_exp_ = define(
    "matrix_exp",
    kind="host",
    infer=same,
    numpy=kernels.matrix_exp,
    vjp=(_matrix_exp_vjp,),
    grad_name="LinalgMatrixExpBackward0",
    samples=square_samples,
    dtypes="wide",
    reference="linalg.matrix_exp",
    tolerance=10.0,
)
