"""Factorizations of matrices: eigenvalues, singular values, QR, LU and LDLᵀ.

NumPy's LAPACK does the work; derivatives are in terms of other ops. They follow Giles, "Collected
matrix derivative results" (2008), Townsend, "Differentiating the singular value decomposition"
(2016), and Walter and Lehmann, "Algorithmic differentiation of linear algebra functions" (2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops.cast import cast
from tidu.ops.elementwise import eq
from tidu.ops.linear_algebra import kernels
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.linear_algebra.matrices import (
    column_scaled,
    columns,
    row_scaled,
    rows,
    solution_shape,
    total,
    transposed,
    with_diagonal,
)
from tidu.ops.linear_algebra.solvers import solve_triangular_
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import diagonal_write, reshape
from tidu.ops.moving.triangles import diag_embed, tril_, triu_
from tidu.ops.sources import arange_, full


def _eigh_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    shape, d = inputs[0].shape, inputs[0].dtype
    return inputs, (shape[:-1], shape), (d, d)


def _eigh_numpy(a: Any, uplo: Any) -> Any:
    kernels.finite("linalg.eigh", a)
    return np.linalg.eigh(a, uplo)


def _gaps(values: Any) -> Any:
    """λ_j - λ_i, with 1 on the diagonal."""
    gaps = reshape(values, (*values.shape[:-1], 1, values.shape[-1])) - reshape(
        values, (*values.shape, 1)
    )
    return with_diagonal(gaps, full(1.0, values.shape, values.dtype))


def _skew(x: Any) -> Any:
    return x - transposed(x)


def _eigh_vjp(g: Any, out: Any, a: Any, uplo: str) -> Any:
    g_values, g_vectors = g
    values, vectors = out
    across = transposed(vectors)
    if g_vectors is None:
        return matmul(column_scaled(vectors, g_values), across)
    # The part that a symmetric input can cause.
    middle = _skew(matmul(across, g_vectors)) * 0.5 / _gaps(values)
    diagonal = full(0.0, values.shape, values.dtype) if g_values is None else g_values
    return matmul(matmul(vectors, with_diagonal(middle, diagonal)), across)


# (eigenvalues in ascending order, eigenvectors as columns) of symmetric matrices.
eigh_ = define(
    "eigh",
    attrs="uplo",
    kind="host",
    outputs=2,
    infer=_eigh_infer,
    numpy=_eigh_numpy,
    vjp=(_eigh_vjp,),
    grad_name="LinalgEighBackward0",
    samples=lambda: [Sample((Array((1, 1)), "L")), Sample((Array((3, 1, 1)), "U"))],
    dtypes="wide",
    reference=lambda torch, a, uplo: torch.linalg.eigh(a, uplo),
)


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
        return matmul(column_scaled(u, g_s), vh)
    squares = _gaps(s * s)
    parts = []
    if g_u is not None:
        parts.append(column_scaled(_skew(matmul(transposed(u), g_u)) / squares, s))
    if g_vh is not None:
        parts.append(row_scaled(s, _skew(matmul(vh, transposed(g_vh))) / squares))
    if g_s is not None:
        parts.append(diag_embed(g_s))
    middle = total(parts)
    if m > k and g_u is not None:
        free = column_scaled(g_u - matmul(u, matmul(transposed(u), g_u)), 1.0 / s)
        return matmul(matmul(u, middle) + free, vh)
    if n > k and g_vh is not None:
        free = row_scaled(1.0 / s, g_vh - matmul(matmul(g_vh, transposed(vh)), vh))
        return matmul(u, matmul(middle, vh) + free)
    return matmul(matmul(u, middle), vh)


# (U, singular values in descending order, Vᵀ)
svd_ = define(
    "svd",
    attrs="full_matrices",
    kind="host",
    outputs=3,
    infer=_svd_infer,
    numpy=_svd_numpy,
    vjp=(_svd_vjp,),
    grad_name="LinalgSvdBackward0",
    samples=lambda: [
        Sample((Array((1, 1), 0.5, 2), False)),
        Sample((Array((3, 1, 1), 0.5, 2), True)),
    ],
    dtypes="wide",
    reference=lambda torch, a, full_matrices: torch.linalg.svd(a, full_matrices),
)


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


def _qr_numpy(a: Any, mode: Any) -> Any:
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
    middle = total(parts)
    mirrored = matmul(q, tril_(middle, 0) + transposed(tril_(middle, -1)))
    right = mirrored if g_q is None else g_q + mirrored
    return transposed(solve_triangular_(r, transposed(right), True, False))


def _qr_vjp(g: Any, out: Any, a: Any, mode: str) -> Any:
    g_q, g_r = g
    q, r = out
    m, n = a.shape[-2:]
    if mode == "r":
        raise RuntimeError(
            "linalg_qr_backward: The derivative of linalg.qr depends on Q, which is not computed"
            " when mode='r'. Please use linalg.qr(A, mode='reduced') if you are going to require"
            " gradients."
        )
    if mode == "complete" and m > n:
        raise RuntimeError(
            "linalg_qr_backward: The QR decomposition is not differentiable when mode='complete'"
            " and nrows > ncols."
        )
    if m >= n:
        return _qr_tall(g_q, g_r, q, r)
    # A = [X | Y], R = [U | V] with X = Q U and Y = Q V.
    y = columns(a, m, n)
    if g_r is None:
        return cat_(
            (_qr_tall(g_q, None, q, columns(r, 0, m)), full(0.0, y.shape, y.dtype)),
            len(a.shape) - 1,
        )
    g_u, g_v = columns(g_r, 0, m), columns(g_r, m, n)
    through = matmul(y, transposed(g_v))
    g_x = _qr_tall(through if g_q is None else g_q + through, g_u, q, columns(r, 0, m))
    return cat_((g_x, matmul(q, g_v)), len(a.shape) - 1)


qr_ = define(
    "qr",
    attrs="mode",
    kind="host",
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


def _lu_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    *batch, m, n = shape = inputs[0].shape
    return (
        inputs,
        (shape, (*batch, min(m, n)), tuple(batch)),
        (inputs[0].dtype, dtypes.int32, dtypes.int32),
    )


def _lu_numpy(a: Any, pivot: bool, check: str) -> Any:
    packed, pivots, info = kernels.lu(a, pivot)
    if check and info.any():
        raise kernels.broken(
            check,
            info,
            "U[{place},{place}] is zero and using it on lu_solve would result in a division by"
            " zero. If you still want to perform the factorization, consider calling linalg.lu(A,"
            " pivot) or linalg.lu_factor_ex(A, pivot)",
            RuntimeError,
        )
    return packed, pivots, info


def _permutation_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, (*inputs[0].shape[:-1], attrs[0]), dtypes.int64


# The order of rows that a list of exchanges leaves.
permutation = define(
    "permutation",
    attrs="size",
    kind="host",
    infer=_permutation_infer,
    numpy=kernels.permutation,
    samples=lambda: [
        Sample((Array((3,), 3, 4, "int32"), 4)),
        Sample((Array((2, 2), 2, 3, "int32"), 2)),
    ],
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


def lu_gradient(g_l: Any, g_u: Any, l: Any, u: Any, p: Any) -> Any:
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
        corner = cat_(
            (corner, solve_triangular_(transposed(l1), g_u2, True, True)), len(corner.shape) - 1
        )
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
    lower = diagonal_write.named(
        grad_name, lower, ones, 0, len(lower.shape) - 2, len(lower.shape) - 1
    )
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


def _ldl_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    shape = inputs[0].shape
    return inputs, (shape, shape[:-1], shape[:-2]), (inputs[0].dtype, dtypes.int32, dtypes.int32)


ldl_ = define(
    "ldl",
    kind="host",
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
    infer=lambda op, inputs, attrs: (
        inputs,
        solution_shape("linalg.ldl_solve", inputs[0], inputs[2]),
        inputs[2].dtype,
    ),
    numpy=kernels.ldl_solve,
    samples=lambda: [Sample((Array((1, 1), 1, 2), Array((1,), 1, 2, "int32"), Array((1, 3))))],
    dtypes="wide",
    reference="linalg.ldl_solve",
)
