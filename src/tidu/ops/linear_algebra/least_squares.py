"""torch.linalg: ranks, the pseudo-inverse, least squares and condition numbers."""

from __future__ import annotations

import math
from typing import Any

from tidu.base import dtypes
from tidu.base.limits import finfo
from tidu.ir.op import function
from tidu.ir.precision import in_full_precision
from tidu.ops.cast import cast
from tidu.ops.elementwise import abs_, gt, logical_and, maximum, ne, where
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.linear_algebra.factorization import eigh_, svd_
from tidu.ops.linear_algebra.factors import svdvals
from tidu.ops.linear_algebra.matrices import (
    columns,
    matrix_of,
    require_matrix,
    same_dtype,
)
from tidu.ops.linear_algebra.solvers import (
    inverse_,
    pinv_,
)
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.norms import matrix_norm
from tidu.ops.reductions.reduce import amax, sum_
from tidu.ops.results import (
    LinalgLstsq,
    Results,
)
from tidu.ops.rules import is_number
from tidu.ops.sources import full


def _tolerances(A: Any, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """PyTorch's defaults: rtol is ε times the greater size, unless an atol is given."""
    if rtol is None:
        epsilon = finfo(A.dtype).eps * max(A.shape[-2:])
        if atol is None:
            rtol = epsilon
        else:
            rtol = (
                (0.0 if atol > 0 else epsilon)
                if is_number(atol)
                else where(atol > 0.0, 0.0, epsilon)
            )
    return (0.0 if atol is None else atol), rtol


@function("torch.linalg.matrix_rank")
@in_full_precision
def matrix_rank(
    A: Any, tol: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Any:
    """How many singular values exceed max(atol, rtol · the greatest)."""
    require_matrix("linalg.matrix_rank", A, square=hermitian)
    if tol is not None:
        atol, rtol = tol, 0.0
    atol, rtol = _tolerances(A, atol, rtol)
    values = abs_(eigh_(A, "L")[0]) if hermitian else svd_(A, False)[1]
    last = len(values.shape) - 1
    if values.shape[-1] == 0:
        return A.new_zeros(tuple(values.shape[:-1]), dtype=dtypes.int64)
    bound = amax(values, (last,), True) * _as_column(rtol)
    atol = _as_column(atol)
    bound = maximum(
        bound, cast(atol, bound.dtype) if not is_number(atol) else full(atol, (1,), bound.dtype)
    )
    return sum_(cast(gt(values, bound), dtypes.int64), (last,), False)


def _as_column(x: Any) -> Any:
    return x if is_number(x) else reshape(x, (*x.shape, 1))


@function("torch.linalg.pinv")
@in_full_precision
def linalg_pinv(
    A: Any, rcond: Any = None, *, atol: Any = None, rtol: Any = None, hermitian: bool = False
) -> Any:
    """The Moore-Penrose inverse; singular values up to max(atol, rtol · greatest) count as 0."""
    require_matrix("linalg.pinv", A, square=hermitian)
    if rcond is not None:
        rtol = rcond
    atol, rtol = _tolerances(A, atol, rtol)
    return pinv_(A, atol, rtol, bool(hermitian))


@function("torch.pinverse Tensor.pinverse")
@in_full_precision
def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """`torch.linalg.pinv`."""
    return linalg_pinv(input, rcond)


@function("torch.linalg.lstsq")
@in_full_precision
def lstsq(A: Any, B: Any, rcond: float | None = None, *, driver: str | None = None) -> Results:
    """(solution, residuals, rank, singular_values): the X of least norm that minimizes ‖A X - B‖.

    Residuals are given where A has full rank and more rows than columns, singular values by
    `driver` "gelsd" and "gelss". Raises RuntimeError for shapes that do not fit.
    """
    require_matrix("torch.linalg.lstsq", A)
    same_dtype("torch.linalg.lstsq", A=A, B=B)
    if driver not in (None, "gelsy", "gels", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss),"
            f" but got {driver}"
        )
    vector = len(A.shape) - 1 == len(B.shape) and tuple(A.shape[:-1]) == tuple(B.shape)
    right = matrix_of(B, vector)
    m, n = A.shape[-2:]
    if len(right.shape) < 2 or right.shape[-2] != m:
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size(-2), but got {m} and shape"
            f" {list(B.shape)}"
        )
    tolerance = finfo(A.dtype).eps * max(m, n) if rcond is None else float(rcond)
    x = matmul.named("LinalgLstsqBackward0", linalg_pinv(A, rtol=tolerance), right)
    residuals = reshape.named("LinalgLstsqBackward0", columns(x, 0, 0), (0,))
    if m > n and driver != "gelsy":
        difference = matmul(A, x) - right
        residuals = sum_.named(
            "LinalgLstsqBackward0", difference * difference, (len(difference.shape) - 2,), False
        )
    rank = (
        A.new_empty(0, dtype=dtypes.int64) if driver == "gels" else matrix_rank(A, rtol=tolerance)
    )
    values = svdvals(A).detach() if driver in ("gelsd", "gelss") else A.new_empty(0)
    solution = reshape(x, tuple(x.shape[:-1])) if vector else x
    return LinalgLstsq((solution, residuals, rank, values))


@function("torch.linalg.cond")
@in_full_precision
def cond(A: Any, p: Any = None) -> Any:
    """The condition number: ‖A‖ · ‖A⁻¹‖ in a matrix norm,
    by default the ratio of extreme singular values.
    """
    require_matrix("linalg.cond", A, square=p not in (None, 2, -2))
    if p in (None, 2, -2):
        values = svdvals(A)
        k = values.shape[-1]
        if k == 0:
            return A.new_zeros(tuple(A.shape[:-2]))
        greatest, least = values[..., 0], values[..., k - 1]
        return least / greatest if p == -2 else greatest / least
    if A.shape[-1] == 0:
        return A.new_zeros(tuple(A.shape[:-2]))
    inverse, info = inverse_(A, "")
    product = matrix_norm(A, p) * matrix_norm(inverse, p)
    return where(logical_and(ne(info, 0), ne(product, product)), math.inf, product)
