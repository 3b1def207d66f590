"""Factorizations and solvers of matrices, through NumPy's LAPACK, with their derivatives in terms of other ops.

Derivatives: Giles, "Collected matrix derivative results" (2008); Murray, "Differentiation of the Cholesky
decomposition" (2016); Walter and Lehmann (2018) for QR; Townsend (2016) for the singular values;
Golub and Pereyra (1973) for the pseudo-inverse.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import broadcast
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops import matrix_kernels as kernels
from tidu.ops.cast import cast
from tidu.ops.contract import matmul
from tidu.ops.elementwise import eq
from tidu.ops.movement import cat_, diagonal_, diagonal_write, expand, permute, reshape, slice_
from tidu.ops.pick import several
from tidu.ops.reduce import sum_
from tidu.ops.rules import class_name
from tidu.ops.sources import arange_, full
from tidu.ops.triangular import diag_embed, tril_, triu_

# Checks and small helpers -------------------------------------------------------------------------


def require_matrix(operation: str, x: Any, *, square: bool = False, name: str = "A") -> None:
    """RuntimeError unless `x` is a batch of (square) matrices of a float dtype that LAPACK knows."""
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            f"{operation}: Expected a floating point or complex tensor as input. Got {class_name(x.dtype)}; write x.float()"
        )
    if x.dtype.is_half:
        raise RuntimeError(f"{operation}: Low precision dtypes not supported. Got {class_name(x.dtype)}; write x.float()")
    if len(x.shape) < 2:
        raise RuntimeError(
            f"{operation}: The input tensor {name} must have at least 2 dimensions, but has shape {list(x.shape)}."
        )
    if square and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"{operation}: {name} must be batches of square matrices, but they are {x.shape[-2]} by {x.shape[-1]} matrices"
        )


def transposed(x: Any, grad_name: str | None = None) -> Any:
    rank = len(x.shape)
    order = (*range(rank - 2), rank - 1, rank - 2)
    return permute.named(grad_name or "TransposeBackward0", x, order)


def identity(like: Any, size: int) -> Any:
    return diag_embed(full(1.0, (size,), like.dtype))


def columns(x: Any, start: int, stop: int) -> Any:
    """Columns start to stop of each matrix."""
    last = len(x.shape) - 1
    return slice_(x, tuple((start, stop, 1) if i == last else (0, n, 1) for i, n in enumerate(x.shape)))


def rows(x: Any, start: int, stop: int) -> Any:
    """Rows start to stop of each matrix."""
    row = len(x.shape) - 2
    return slice_(x, tuple((start, stop, 1) if i == row else (0, n, 1) for i, n in enumerate(x.shape)))


def _diagonal(x: Any) -> Any:
    return diagonal_(x, 0, len(x.shape) - 2, len(x.shape) - 1)


def _with_diagonal(x: Any, part: Any) -> Any:
    return diagonal_write(x, part, 0, len(x.shape) - 2, len(x.shape) - 1)


def _column_scaled(x: Any, s: Any) -> Any:
    return x * reshape(s, (*s.shape[:-1], 1, s.shape[-1]))


def _row_scaled(s: Any, x: Any) -> Any:
    return x * reshape(s, (*s.shape, 1))


def _total(parts: list[Any]) -> Any:
    result = None
    for part in parts:
        result = part if result is None else result + part
    return result


def _infer_square(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, inputs[0].shape, inputs[0].dtype


def _square_samples() -> list[Sample]:
    return [Sample((Array((3, 3)),)), Sample((Array((2, 3, 3)),))]


def _infer_with_info(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    shape = inputs[0].shape
    return inputs, (shape, shape[:-2]), (inputs[0].dtype, dtypes.int32)


# Inverse and linear systems -----------------------------------------------------------------------

_SINGULAR = "The diagonal element {place} is zero, the inversion could not be completed because the input matrix is singular."


def _inverse_numpy(a: Any, check: str) -> Any:
    inverse, info = kernels.inverse(a)
    if check and info.any():
        raise kernels.broken(check, info, _SINGULAR)
    return inverse, info


def _inverse_vjp(g: Any, out: Any, a: Any, check: str) -> Any:
    across = transposed(out[0])
    return -matmul(matmul(across, g[0]), across)


# (A⁻¹, info). `check` names the operation that raises for a singular matrix, "" does not raise.
inverse_ = define(
    "inverse",
    attrs="check",
    kind="host",
    host=True,
    outputs=2,
    infer=_infer_with_info,
    numpy=_inverse_numpy,
    vjp=(_inverse_vjp,),
    grad_name="LinalgInvExBackward0",
    samples=lambda: [Sample((Array((3, 3)), "inv")), Sample((Array((2, 2, 2)), ""))],
    dtypes="wide",
    reference=lambda torch, a, check: torch.linalg.inv_ex(a),
    tolerance=100.0,
)


def _solve_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    a, b = inputs
    batch = broadcast("linalg.solve", a.shape[:-2], b.shape[:-2])
    return inputs, ((*batch, *b.shape[-2:]), a.shape[:-2]), (a.dtype, dtypes.int32)


def _solve_numpy(a: Any, b: Any, check: str) -> Any:
    x, info = kernels.solve(a, b)
    if check and info.any():
        raise kernels.broken(check, info, "The solver failed because the input matrix is singular.")
    return x, info


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
    host=True,
    outputs=2,
    infer=_solve_infer,
    numpy=_solve_numpy,
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
    host=True,
    infer=lambda op, inputs, attrs: (
        inputs,
        (*broadcast("linalg.solve_triangular", inputs[0].shape[:-2], inputs[1].shape[:-2]), *inputs[1].shape[-2:]),
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
    reference=lambda torch, a, b, upper, unit: torch.linalg.solve_triangular(a, b, upper=upper, unitriangular=unit),
    tolerance=100.0,
)

# Determinants -------------------------------------------------------------------------------------


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
    host=True,
    infer=_infer_square,
    numpy=kernels.cofactors,
    vjp=(_cofactors_vjp,),
    samples=_square_samples,
    dtypes="wide",
    reference=lambda torch, a: torch.linalg.det(a)[..., None, None] * torch.linalg.inv(a).mT,
    tolerance=100.0,
)
det_ = define(
    "det",
    kind="host",
    host=True,
    infer=_infer_batch,
    numpy=lambda a: np.linalg.det(a),
    vjp=(lambda g, out, a: _outer_scale(g, cofactors(a)),),
    grad_name="LinalgDetBackward0",
    samples=_square_samples,
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
    host=True,
    outputs=2,
    infer=_slogdet_infer,
    numpy=lambda a: np.linalg.slogdet(a),
    vjp=(
        lambda g, out, a: None if g[1] is None else _outer_scale(g[1], transposed(several(inverse_(a, ""))[0])),
    ),
    grad_name="LinalgSlogdetBackward0",
    samples=_square_samples,
    dtypes="wide",
    reference="linalg.slogdet",
    tolerance=10.0,
)

# Cholesky -----------------------------------------------------------------------------------------

_NOT_DEFINITE = (
    "The factorization could not be completed because the input is not positive-definite (the leading minor of order {place} "
    "is not positive-definite)."
)


def _cholesky_numpy(a: Any, check: str) -> Any:
    factor, info = kernels.cholesky(a)
    if check and info.any():
        raise kernels.broken(check, info, _NOT_DEFINITE)
    return factor, info


def _symmetric(x: Any) -> Any:
    """½ (tril + trilᵀ): a symmetric matrix from the lower triangle of what a symmetric input was given."""
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
    host=True,
    outputs=2,
    infer=_infer_with_info,
    numpy=_cholesky_numpy,
    vjp=(_cholesky_vjp,),
    grad_name="LinalgCholeskyExBackward0",
    # Larger matrices have to be symmetric, which samples are not; tests/ops/test_linalg.py has them.
    samples=lambda: [Sample((Array((1, 1), 1, 2), "cholesky")), Sample((Array((3, 1, 1), 1, 2), ""))],
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
cholesky_solve_ = define(
    "cholesky_solve",
    inputs="B L",
    attrs="upper",
    kind="composite",
    infer=lambda op, inputs, attrs: (inputs, inputs[0].shape, inputs[0].dtype),
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
    infer=_infer_square,
    decompose=lambda factor, upper: _cholesky_solve(
        expand(identity(factor, factor.shape[-1]), factor.shape), factor, upper
    ),
    vjp=(
        lambda g, out, factor, upper: _factor_gradient(matmul(matmul(out, g), out), factor, upper),
    ),
    samples=lambda: [Sample((Array((1, 1), 1, 2), False)), Sample((Array((3, 1, 1), 1, 2), True))],
    dtypes="wide",
)

# Symmetric eigenvalues ----------------------------------------------------------------------------


def _eigh_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    shape, d = inputs[0].shape, inputs[0].dtype
    return inputs, (shape[:-1], shape), (d, d)


def _eigh_numpy(a: Any, uplo: str) -> Any:
    kernels.finite("linalg.eigh", a)
    return np.linalg.eigh(a, uplo)


def _gaps(values: Any) -> Any:
    """λ_j - λ_i, with 1 on the diagonal."""
    gaps = reshape(values, (*values.shape[:-1], 1, values.shape[-1])) - reshape(values, (*values.shape, 1))
    return _with_diagonal(gaps, full(1.0, values.shape, values.dtype))


def _skew(x: Any) -> Any:
    return x - transposed(x)


def _eigh_vjp(g: Any, out: Any, a: Any, uplo: str) -> Any:
    g_values, g_vectors = g
    values, vectors = out
    across = transposed(vectors)
    if g_vectors is None:
        return matmul(_column_scaled(vectors, g_values), across)
    # The part that a symmetric input can cause.
    middle = _skew(matmul(across, g_vectors)) * 0.5 / _gaps(values)
    diagonal = full(0.0, values.shape, values.dtype) if g_values is None else g_values
    return matmul(matmul(vectors, _with_diagonal(middle, diagonal)), across)


# (eigenvalues in ascending order, eigenvectors as columns) of symmetric matrices.
eigh_ = define(
    "eigh",
    attrs="uplo",
    kind="host",
    host=True,
    outputs=2,
    infer=_eigh_infer,
    numpy=_eigh_numpy,
    vjp=(_eigh_vjp,),
    grad_name="LinalgEighBackward0",
    samples=lambda: [Sample((Array((1, 1)), "L")), Sample((Array((3, 1, 1)), "U"))],
    dtypes="wide",
    reference=lambda torch, a, uplo: torch.linalg.eigh(a, uplo),
)

# Singular values ----------------------------------------------------------------------------------


def _svd_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    *batch, m, n = inputs[0].shape
    k = min(m, n)
    u, v = (m, n) if attrs[0] else (k, k)
    d = inputs[0].dtype
    return inputs, ((*batch, m, u), (*batch, k), (*batch, v, n)), (d, d, d)


def _svd_numpy(a: Any, full_matrices: bool) -> Any:
    kernels.finite("linalg.svd", a)
    return np.linalg.svd(a, full_matrices)


def _svd_vjp(g: Any, out: Any, a: Any, full_matrices: bool) -> Any:
    g_u, g_s, g_vh = g
    u, s, vh = out
    m, n = a.shape[-2:]
    k = min(m, n)
    if full_matrices:  # the vectors beyond the k-th are arbitrary and carry no gradient
        u, vh = columns(u, 0, k), rows(vh, 0, k)
        g_u = None if g_u is None else columns(g_u, 0, k)
        g_vh = None if g_vh is None else rows(g_vh, 0, k)
    if g_u is None and g_vh is None:
        return matmul(_column_scaled(u, g_s), vh)
    squares = _gaps(s * s)
    parts = []
    if g_u is not None:
        parts.append(_column_scaled(_skew(matmul(transposed(u), g_u)) / squares, s))
    if g_vh is not None:
        parts.append(_row_scaled(s, _skew(matmul(vh, transposed(g_vh))) / squares))
    if g_s is not None:
        parts.append(diag_embed(g_s))
    middle = _total(parts)
    if m > k and g_u is not None:
        free = _column_scaled(g_u - matmul(u, matmul(transposed(u), g_u)), 1.0 / s)
        return matmul(matmul(u, middle) + free, vh)
    if n > k and g_vh is not None:
        free = _row_scaled(1.0 / s, g_vh - matmul(matmul(g_vh, transposed(vh)), vh))
        return matmul(u, matmul(middle, vh) + free)
    return matmul(matmul(u, middle), vh)


# (U, singular values in descending order, Vᵀ)
svd_ = define(
    "svd",
    attrs="full_matrices",
    kind="host",
    host=True,
    outputs=3,
    infer=_svd_infer,
    numpy=_svd_numpy,
    vjp=(_svd_vjp,),
    grad_name="LinalgSvdBackward0",
    samples=lambda: [Sample((Array((1, 1), 0.5, 2), False)), Sample((Array((3, 1, 1), 0.5, 2), True))],
    dtypes="wide",
    reference=lambda torch, a, full_matrices: torch.linalg.svd(a, full_matrices),
)

# QR -----------------------------------------------------------------------------------------------


def _qr_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    *batch, m, n = inputs[0].shape
    k = min(m, n)
    d = inputs[0].dtype
    shapes = {
        "reduced": ((*batch, m, k), (*batch, k, n)),
        "complete": ((*batch, m, m), (*batch, m, n)),
        "r": ((0,), (*batch, k, n)),
    }
    return inputs, shapes[attrs[0]], (d, d)


def _qr_numpy(a: Any, mode: str) -> Any:
    if mode == "r":
        return np.zeros(0, a.dtype), np.linalg.qr(a, "r")
    return tuple(np.linalg.qr(a, mode))


def _qr_tall(g_q: Any, g_r: Any, q: Any, r: Any) -> Any:
    """For matrices with at least as many rows as columns: (gQ + Q · sym(R gRᵀ - gQᵀ Q)) R⁻ᵀ."""
    parts = []
    if g_r is not None:
        parts.append(matmul(r, transposed(g_r)))
    if g_q is not None:
        parts.append(-matmul(transposed(g_q), q))
    middle = _total(parts)
    mirrored = matmul(q, tril_(middle, 0) + transposed(tril_(middle, -1)))
    right = mirrored if g_q is None else g_q + mirrored
    return transposed(solve_triangular_(r, transposed(right), True, False))


def _qr_vjp(g: Any, out: Any, a: Any, mode: str) -> Any:
    g_q, g_r = g
    q, r = out
    m, n = a.shape[-2:]
    if mode == "r":
        raise RuntimeError(
            "linalg_qr_backward: The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please use "
            "linalg.qr(A, mode='reduced') if you are going to require gradients."
        )
    if mode == "complete" and m > n:
        raise RuntimeError(
            "linalg_qr_backward: The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    if m >= n:
        return _qr_tall(g_q, g_r, q, r)
    # A = [X | Y], R = [U | V] with X = Q U and Y = Q V.
    y = columns(a, m, n)
    if g_r is None:
        return cat_((_qr_tall(g_q, None, q, columns(r, 0, m)), full(0.0, y.shape, y.dtype)), len(a.shape) - 1)
    g_u, g_v = columns(g_r, 0, m), columns(g_r, m, n)
    through = matmul(y, transposed(g_v))
    g_x = _qr_tall(through if g_q is None else g_q + through, g_u, q, columns(r, 0, m))
    return cat_((g_x, matmul(q, g_v)), len(a.shape) - 1)


qr_ = define(
    "qr",
    attrs="mode",
    kind="host",
    host=True,
    outputs=2,
    infer=_qr_infer,
    numpy=_qr_numpy,
    vjp=(_qr_vjp,),
    grad_name="LinalgQrBackward0",
    samples=lambda: [
        Sample((Array((3, 3)), "reduced")),
        Sample((Array((4, 2)), "reduced")),
        Sample((Array((2, 2, 4)), "complete")),
    ],
    dtypes="wide",
    reference=lambda torch, a, mode: torch.linalg.qr(a, mode),
    tolerance=100.0,
)

# LU -----------------------------------------------------------------------------------------------


def _lu_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    *batch, m, n = shape = inputs[0].shape
    return inputs, (shape, (*batch, min(m, n)), tuple(batch)), (inputs[0].dtype, dtypes.int32, dtypes.int32)


def _lu_numpy(a: Any, pivot: bool, check: str) -> Any:
    packed, pivots, info = kernels.lu(a, pivot)
    if check and info.any():
        raise kernels.broken(
            check,
            info,
            "U[{place},{place}] is zero and using it on lu_solve would result in a division by zero. If you still want to "
            "perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)",
        )
    return packed, pivots, info


def _permutation_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, (*inputs[0].shape[:-1], attrs[0]), dtypes.int64


# The order of rows that a list of exchanges leaves.
permutation = define(
    "permutation",
    attrs="size",
    kind="host",
    host=True,
    infer=_permutation_infer,
    numpy=kernels.permutation,
    samples=lambda: [Sample((Array((3,), 3, 4, "int32"), 4)), Sample((Array((2, 2), 2, 3, "int32"), 2))],
    dtypes="bool",
    reference=lambda torch, pivots, size: torch.lu_unpack(
        torch.zeros(*pivots.shape[:-1], size, pivots.shape[-1]), pivots
    )[0].argmax(-2),
)


def permutation_matrix(pivots: Any, size: int, d: Any) -> Any:
    """P with A = P L U."""
    order = permutation(pivots, size)
    place = arange_(0, 1, size, dtypes.int64)
    return cast(eq(reshape(place, (size, 1)), reshape(order, (*order.shape[:-1], 1, size))), d)


def lu_gradient(g_l: Any, g_u: Any, l: Any, u: Any, p: Any) -> Any:  # noqa: E741
    """The cotangent of A from those of L and U in A = P L U, for matrices of any shape."""
    m, k = l.shape[-2:]
    n = u.shape[-1]
    l1, u1 = rows(l, 0, k), columns(u, 0, k)
    g_l1 = tril_(rows(g_l, 0, k), -1)
    g_u1 = triu_(columns(g_u, 0, k), 0)
    lower, upper = matmul(transposed(l1), g_l1), matmul(g_u1, transposed(u1))
    if n > k:
        g_u2 = columns(g_u, k, n)
        lower = lower - matmul(g_u2, transposed(columns(u, k, n)))
    if m > k:
        g_l2 = rows(g_l, k, m)
        upper = upper - matmul(transposed(rows(l, k, m)), g_l2)
    middle = tril_(lower, -1) + triu_(upper, 0)
    from_right = transposed(solve_triangular_(u1, transposed(middle), True, False))
    corner = solve_triangular_(transposed(l1), from_right, True, True)
    if n > k:
        corner = cat_((corner, solve_triangular_(transposed(l1), g_u2, True, True)), len(corner.shape) - 1)
    if m > k:
        below = transposed(solve_triangular_(u1, transposed(g_l2), True, False))
        corner = cat_((corner, below), len(corner.shape) - 2)
    return corner if p is None else matmul(p, corner)


def unpacked(packed: Any, grad_name: str = "LuUnpackBackward0") -> tuple[Any, Any]:
    """L and U of a packed factorization."""
    m, n = packed.shape[-2:]
    k = min(m, n)
    lower = tril_(columns(packed, 0, k), -1)
    ones = full(1.0, (*packed.shape[:-2], k), packed.dtype)
    lower = diagonal_write.named(grad_name, lower, ones, 0, len(lower.shape) - 2, len(lower.shape) - 1)
    return lower, triu_.named(grad_name, rows(packed, 0, k), 0)


def _lu_vjp(g: Any, out: Any, a: Any, pivot: bool, check: str) -> Any:
    if g[0] is None:
        return None
    packed, pivots, _ = out
    lower, upper = unpacked(packed)
    m, n = packed.shape[-2:]
    k = min(m, n)
    p = permutation_matrix(pivots, m, packed.dtype) if pivot else None
    return lu_gradient(tril_(columns(g[0], 0, k), -1), triu_(rows(g[0], 0, k), 0), lower, upper, p)


# (L and U in one matrix, row exchanges counted from 1, info)
lu_ = define(
    "lu",
    attrs="pivot check",
    kind="host",
    host=True,
    outputs=3,
    infer=_lu_infer,
    numpy=_lu_numpy,
    vjp=(_lu_vjp,),
    grad_name="LinalgLuFactorExBackward0",
    samples=lambda: [
        Sample((Array((3, 3)), True, "lu_factor")),
        Sample((Array((2, 4, 2)), True, "")),
        Sample((Array((2, 4)), True, "")),
    ],
    dtypes="wide",
    reference=lambda torch, a, pivot, check: torch.linalg.lu_factor_ex(a, pivot=pivot),
    tolerance=100.0,
)

# LDLᵀ ---------------------------------------------------------------------------------------------


def _ldl_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    shape = inputs[0].shape
    return inputs, (shape, shape[:-1], shape[:-2]), (inputs[0].dtype, dtypes.int32, dtypes.int32)


ldl_ = define(
    "ldl",
    kind="host",
    host=True,
    outputs=3,
    infer=_ldl_infer,
    numpy=kernels.ldl,
    samples=lambda: [Sample((Array((1, 1)),)), Sample((Array((3, 1, 1)),))],
    dtypes="wide",
    reference=lambda torch, a: torch.linalg.ldl_factor_ex(a),
)
ldl_solve_ = define(
    "ldl_solve",
    inputs="LD pivots B",
    kind="host",
    host=True,
    infer=lambda op, inputs, attrs: (
        inputs,
        (*broadcast("linalg.ldl_solve", inputs[0].shape[:-2], inputs[2].shape[:-2]), *inputs[2].shape[-2:]),
        inputs[2].dtype,
    ),
    numpy=kernels.ldl_solve,
    samples=lambda: [Sample((Array((1, 1), 1, 2), Array((1,), 1, 2, "int32"), Array((1, 3))))],
    dtypes="wide",
    reference="linalg.ldl_solve",
)

# Pseudo-inverse and exponential -------------------------------------------------------------------


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
    host=True,
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
    reference=lambda torch, a, atol, rtol, hermitian: torch.linalg.pinv(a, atol=atol, rtol=rtol, hermitian=hermitian),
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
    host=True,
    infer=_infer_square,
    numpy=kernels.matrix_exp,
    vjp=(_matrix_exp_vjp,),
    grad_name="LinalgMatrixExpBackward0",
    samples=_square_samples,
    dtypes="wide",
    reference="linalg.matrix_exp",
    tolerance=10.0,
)


def same_dtype(operation: str, **tensors: Any) -> None:
    """RuntimeError unless all tensors have one dtype."""
    kinds = {name: x.dtype for name, x in tensors.items()}
    if len(set(kinds.values())) > 1:
        listed = " and ".join(f"{name} of type {class_name(d)}" for name, d in kinds.items())
        raise RuntimeError(f"{operation}: Expected all inputs to have the same dtype, but got {listed}")


def matrix_of(x: Any, vector: bool) -> Any:
    """A vector as a matrix of one column."""
    return reshape(x, (*x.shape, 1)) if vector else x


def spread_batch(operation: str, *tensors: Any) -> tuple[Any, ...]:
    """Batches of matrices in their common batch shape."""
    batch = broadcast(operation, *(tuple(x.shape[:-2]) for x in tensors))
    return tuple(expand(x, (*batch, *x.shape[-2:])) for x in tensors)

