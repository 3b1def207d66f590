"""Approximate singular values and principal components of large matrices, by random projections
(Halko, Martinsson and Tropp, 2009).
"""

from __future__ import annotations

from typing import Any

from tidu.ir.op import function
from tidu.ops.linear_algebra.factors import linalg_qr, svd
from tidu.tensor.random import randn


def _basis(a: Any, q: int, niter: int, subtracted: Any) -> Any:
    """Orthonormal columns whose span is close to that of the columns of a - subtracted."""

    def times(matrix: Any, other: Any, columns: Any) -> Any:
        product = matrix @ columns
        return product if other is None else product - other @ columns

    across = None if subtracted is None else subtracted.mT
    found = linalg_qr(times(a, subtracted, randn(a.shape[-1], q, dtype=a.dtype)))[0]
    for _ in range(niter):
        found = linalg_qr(times(a.mT, across, found))[0]
        found = linalg_qr(times(a, subtracted, found))[0]
    return found


@function("torch.svd_lowrank")
def svd_lowrank(
    A: Any,
    q: int | None = 6,
    niter: int | None = 2,
    M: Any = None,
) -> tuple[Any, Any, Any]:
    """(U, S, V) with A - M ≈ U diag(S) Vᵀ, of rank `q`; `niter` steps of subspace iteration.

    >>> U, S, V = torch.svd_lowrank(torch.ones(4, 3), q=1)
    >>> torch.allclose(U * S @ V.T, torch.ones(4, 3))
    True
    """
    rows, columns = A.shape[-2:]
    subtracted = None if M is None else M.broadcast_to(A.shape)
    if rows < columns:
        A = A.mT
        subtracted = None if subtracted is None else subtracted.mT
    basis = _basis(A, 6 if q is None else q, 2 if niter is None else niter, subtracted)
    small = basis.mT @ A
    if subtracted is not None:
        small = small - basis.mT @ subtracted
    u, s, v = svd(small)
    u = basis @ u
    return (v, s, u) if rows < columns else (u, s, v)


@function("torch.pca_lowrank")
def pca_lowrank(
    A: Any,
    q: int | None = None,
    center: bool = True,
    niter: int = 2,
) -> tuple[Any, Any, Any]:
    """(U, S, V): the columns of V are the `q` principal directions of the rows of A.

    S²/(rows − 1) are the variances along them, A @ V the rows in their coordinates. Raises
    ValueError for a `q` beyond the sizes of A.
    """
    least = min(A.shape[-2:])
    if q is None:
        q = min(6, least)
    elif not 0 <= q <= least:
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={least}"
        )
    if niter < 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    found: tuple[Any, Any, Any] = svd_lowrank(
        A - A.mean(dim=-2, keepdim=True) if center else A, q, niter
    )
    return found
