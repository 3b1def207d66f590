"""Matrix algorithms on NumPy arrays, for batches: what NumPy's own linear algebra lacks or refuses.

`info` follows LAPACK: 0 for success, i > 0 for the place at which a factorization broke down.
References: Golub and Van Loan, Matrix Computations (LU, substitution, Cholesky); Higham, "The
scaling and squaring method for the matrix exponential revisited" (2005); Bunch and Kaufman (1977)
for LDLᵀ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = Any
_SMALL = 7  # rows of matrices for which the algorithms here round as PyTorch's LAPACK does


class _LinAlgError(RuntimeError):
    """A matrix that an algorithm cannot work with: singular, not positive definite, not finite."""


LinAlgError = _LinAlgError  # programs that print the name of an error's class see PyTorch's


def each(function: Callable[..., Any], *stacks: Any) -> list[Any]:
    """A function of matrices applied to every matrix of stacks of equal batch shape."""
    count = int(np.prod(stacks[0].shape[:-2]))
    flat = [x.reshape(count, *x.shape[-2:]) for x in stacks]
    return [function(*(x[i] for x in flat)) for i in range(count)]


def broken(
    operation: str, info: Any, what: str, kind: type[RuntimeError] = LinAlgError
) -> RuntimeError:
    """The error for the first matrix of a batch whose factorization broke down."""
    info = np.asarray(info)
    element = int(np.flatnonzero(info.reshape(-1))[0])
    place = int(info.reshape(-1)[element])
    batch = f"(Batch element {element}): " if info.ndim else ""
    return kind(f"{operation}: {batch}{what.format(place=place)}")


def finite(operation: str, a: Any) -> None:
    """LinAlgError for infinities and NaN, with which the iteration would not end."""
    if not np.isfinite(a).all():
        raise LinAlgError(
            f"{operation}: The algorithm failed to converge because the input matrix contained"
            " non-finite values."
        )


@np.errstate(all="ignore")
def lu(a: Any, pivot: bool = True) -> tuple[Any, Any, Any]:
    """Packed L and U, the row exchanges counted from 1, and info,
    by Gaussian elimination on the whole batch.

    It rounds as PyTorch's does for matrices of up to 16 rows: factors are products with the
    reciprocal of the pivot, but for the last one of a matrix of up to 4 rows.
    """
    m, n = a.shape[-2:]
    steps = min(m, n)
    work = np.array(a.reshape(-1, m, n))
    batch = np.arange(len(work))
    pivots = np.tile(np.arange(1, steps + 1, dtype=np.int32), (len(work), 1))
    info = np.zeros(len(work), np.int32)
    for j in range(steps):
        if pivot and len(work):
            chosen = j + np.argmax(np.abs(work[:, j:, j]), axis=1)
            pivots[:, j] = chosen + 1
            rows = work[batch, chosen].copy()
            work[batch, chosen] = work[:, j]
            work[:, j] = rows
        head = work[:, j, j]
        zero = head == 0
        info = np.where((info == 0) & zero, np.int32(j + 1), info)
        if j + 1 < m:
            head = np.where(zero, 1, head)[:, None]
            if m <= 4 and j == m - 2:
                work[:, j + 1 :, j] /= head
            else:
                work[:, j + 1 :, j] *= np.reciprocal(head)
            work[:, j + 1 :, j + 1 :] -= work[:, j + 1 :, j, None] * work[:, j, None, j + 1 :]
    batch_shape = a.shape[:-2]
    return work.reshape(a.shape), pivots.reshape(*batch_shape, steps), info.reshape(batch_shape)


def permutation(pivots: Any, size: int) -> Any:
    """The order of rows that a list of exchanges (counted from 1) leaves:
    row i comes from order[i].
    """
    flat = (
        pivots.reshape(-1, pivots.shape[-1])
        if pivots.size
        else np.zeros((int(np.prod(pivots.shape[:-1])), 0), np.int64)
    )
    order = np.tile(np.arange(size), (len(flat), 1))
    batch = np.arange(len(flat))
    for j in range(flat.shape[1]):
        other = flat[:, j] - 1
        kept = order[batch, other].copy()
        order[batch, other] = order[:, j]
        order[:, j] = kept
    return order.reshape(*pivots.shape[:-1], size)


def _substitute(a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
    """Solve one triangular system after another;
    halves first, so that most of the work is products.
    """
    n = a.shape[-1]
    if n > 16:
        half = n // 2
        first, second = slice(0, half), slice(half, n)
        if upper:
            first, second = second, first
        x = np.empty(b.shape, b.dtype)
        x[..., first, :] = _substitute(a[..., first, first], b[..., first, :], upper, unitriangular)
        rest = b[..., second, :] - a[..., second, first] @ x[..., first, :]
        x[..., second, :] = _substitute(a[..., second, second], rest, upper, unitriangular)
        return x
    x = b.copy()
    for i in range(n - 1, -1, -1) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(0, i)
        x[..., i, :] -= (a[..., i, None, known] @ x[..., known, :])[..., 0, :]
        if not unitriangular:
            x[..., i, :] /= a[..., i, i, None]
    return x


def solve_triangular(a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
    """X with A X = B, reading one triangle of A."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, batch + a.shape[-2:])
    b = np.broadcast_to(b, batch + b.shape[-2:])
    return _substitute(a, np.array(b), upper, unitriangular)


def _cholesky_one(a: Any) -> tuple[Any, int]:
    """As far as it goes: LAPACK leaves the rest of the lower triangle as it was."""
    n = a.shape[-1]
    out = np.tril(a)
    for j in range(n):
        head = out[j, j] - out[j, :j] @ out[j, :j]
        if not head > 0:
            out[j, j] = head
            return out, j + 1
        out[j, j] = np.sqrt(head)
        out[j + 1 :, j] = (out[j + 1 :, j] - out[j + 1 :, :j] @ out[j, :j]) / out[j, j]
    return out, 0


def cholesky(a: Any) -> tuple[Any, Any]:
    """The lower factor, and info."""
    batch = a.shape[:-2]
    try:
        return np.linalg.cholesky(a), np.zeros(batch, np.int32)
    except np.linalg.LinAlgError:
        made = each(_cholesky_one, a)
        info = np.array([i for _, i in made], np.int32).reshape(batch)
        return np.stack([x for x, _ in made]).reshape(a.shape), info


@np.errstate(all="ignore")
def _solve_small(a: Any, b: Any, batch: tuple[int, ...]) -> tuple[Any, Any]:
    """`solve` that rounds as PyTorch does: the inverse of a small matrix of integers prints the
    same.
    """
    n = a.shape[-1]
    packed, pivots, info = lu(a)
    order = np.broadcast_to(permutation(pivots, n)[..., None], (*batch, *b.shape[-2:]))
    x = np.take_along_axis(np.broadcast_to(b, order.shape), order, -2)
    for i in range(1, n):
        x[..., i, :] -= (packed[..., i, :i, None] * x[..., :i, :]).sum(-2)
    for i in range(n - 1, -1, -1):
        known = packed[..., i, i + 1 :, None] * x[..., i + 1 :, :]
        x[..., i, :] -= known[..., ::-1, :].copy().sum(-2)  # the last comes first
        x[..., i, :] *= np.reciprocal(packed[..., i, i, None])
    return np.where((info != 0)[..., None, None], np.nan, x).astype(a.dtype), info


def solve(a: Any, b: Any) -> tuple[Any, Any]:
    """X with A X = B, and info; NaN where A is singular."""
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    if 0 < a.shape[-1] <= _SMALL:
        return _solve_small(a, b, batch)
    try:
        return np.linalg.solve(a, b), np.zeros(a.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        _, _, info = lu(a)
        safe = np.where((info != 0)[..., None, None], np.eye(a.shape[-1], dtype=a.dtype), a)
        failed = np.broadcast_to((info != 0)[..., None, None], (*batch, *b.shape[-2:]))
        return np.where(failed, np.nan, np.linalg.solve(safe, b)).astype(a.dtype), info


def inverse(a: Any) -> tuple[Any, Any]:
    """The inverse, and info; NaN where there is none."""
    if 0 < a.shape[-1] <= _SMALL:
        return solve(a, np.eye(a.shape[-1], dtype=a.dtype))
    try:
        return np.linalg.inv(a), np.zeros(a.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        return solve(a, np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape))


def _pivots(a: Any) -> tuple[Any, Any]:
    """Pivots of the elimination of Aᵀ, and the sign of its row exchanges, as PyTorch has them."""
    packed, exchanges, _ = lu(np.swapaxes(a, -1, -2))
    moved = np.count_nonzero(exchanges != np.arange(1, a.shape[-1] + 1), axis=-1)
    return np.diagonal(packed, axis1=-2, axis2=-1), np.where(moved % 2, -1, 1).astype(a.dtype)


@np.errstate(all="ignore")
def det(a: Any) -> Any:
    """The determinant: the product of the pivots."""
    if not 0 < a.shape[-1] <= _SMALL:
        return np.linalg.det(a)
    pivots, sign = _pivots(a)
    return pivots.prod(-1) * sign


@np.errstate(all="ignore")
def slogdet(a: Any) -> tuple[Any, Any]:
    """Sign and logarithm of the absolute value of the determinant."""
    if not 0 < a.shape[-1] <= _SMALL:
        return np.linalg.slogdet(a)
    pivots, sign = _pivots(a)
    return np.sign(pivots).prod(-1) * sign, np.log(np.abs(pivots)).sum(-1)


def cofactors(a: Any) -> Any:
    """The matrix of cofactors, det(A) A⁻ᵀ where that exists, from the singular values:
    right for every matrix.
    """
    if not a.size:
        return a
    u, s, v = np.linalg.svd(a)
    n = a.shape[-1]
    others = np.stack([np.delete(s, i, -1).prod(-1) for i in range(n)], -1)
    sign = np.linalg.det(u) * np.linalg.det(v)
    return ((u * (others * sign[..., None])[..., None, :]) @ v).astype(a.dtype)


def pinv(a: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
    """The pseudo-inverse; singular values up to max(atol, rtol · the greatest) count as 0."""
    if not a.size:
        return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    if hermitian:
        values, vectors = np.linalg.eigh(a)
        u, s, v = vectors, values, np.swapaxes(vectors, -1, -2)
    else:
        u, s, v = np.linalg.svd(a, full_matrices=False)
    size = np.abs(s)
    bound = np.maximum(atol, rtol * size.max(-1))[..., None]
    inverted = np.where(size > bound, 1 / np.where(s == 0, 1, s), 0)
    return (np.swapaxes(v, -1, -2) * inverted[..., None, :]) @ np.swapaxes(u, -1, -2)


_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0,
    129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0, 40840800.0,
    960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip


def matrix_exp(a: Any) -> Any:
    """exp(A): scaled until small, a Padé approximant of degree 13, squared back."""
    if not a.size:
        return a
    work = a.astype(np.float64)
    norm = np.abs(work).sum(-2).max()
    squarings = max(0, int(np.ceil(np.log2(norm / 5.37)))) if 5.37 < norm < np.inf else 0
    x = work / 2.0**squarings
    identity = np.broadcast_to(np.eye(a.shape[-1]), a.shape)
    b = _PADE
    x2 = x @ x
    x4 = x2 @ x2
    x6 = x4 @ x2
    odd = (
        x6 @ (b[13] * x6 + b[11] * x4 + b[9] * x2)
        + b[7] * x6
        + b[5] * x4
        + b[3] * x2
        + b[1] * identity
    )
    even = (
        x6 @ (b[12] * x6 + b[10] * x4 + b[8] * x2)
        + b[6] * x6
        + b[4] * x4
        + b[2] * x2
        + b[0] * identity
    )
    u = x @ odd
    result = np.linalg.solve(even - u, even + u)
    for _ in range(squarings):
        result = result @ result
    return result.astype(a.dtype)


_ALPHA = (1 + 17**0.5) / 8  # bounds the growth of elements when 1×1 and 2×2 pivots mix


def ldl(a: Any) -> tuple[Any, Any, Any]:
    """Packed L and block-diagonal D of a symmetric matrix, read from its lower triangle;
    pivots; info.
    """
    batch, n = a.shape[:-2], a.shape[-1]
    made = each(_ldl_one, a)
    packed = np.array([x for x, _, _ in made], a.dtype).reshape(a.shape)
    pivots = np.array([p for _, p, _ in made], np.int32).reshape(*batch, n)
    return packed, pivots, np.array([i for _, _, i in made], np.int32).reshape(batch)


def _exchange(a: Any, k: int, p: int) -> None:
    """Rows and columns k and p > k of the part that is still to do, in the lower triangle."""
    n = len(a)
    a[p + 1 : n, [k, p]] = a[p + 1 : n, [p, k]]
    middle = a[k + 1 : p, k].copy()
    a[k + 1 : p, k] = a[p, k + 1 : p]
    a[p, k + 1 : p] = middle
    a[k, k], a[p, p] = a[p, p], a[k, k]


def _ldl_one(matrix: Any) -> tuple[Any, Any, int]:
    a = np.tril(matrix)
    n = len(a)
    pivots = np.zeros(n, np.int32)
    info, k = 0, 0
    while k < n:
        size = 1
        diagonal = abs(a[k, k])
        below = np.abs(a[k + 1 :, k])
        row, greatest = (k + 1 + int(below.argmax()), below.max()) if k + 1 < n else (k, 0.0)
        chosen = k
        if max(diagonal, greatest) == 0:
            info = info or k + 1
        elif diagonal < _ALPHA * greatest:
            others = np.concatenate((np.abs(a[row, k:row]), np.abs(a[row + 1 :, row])))
            most = others.max()
            if diagonal < _ALPHA * greatest * (greatest / most):
                chosen = row
                if abs(a[row, row]) < _ALPHA * most:
                    size = 2
        last = k + size - 1
        if chosen != last:
            _exchange(a, last, chosen)
            if size == 2:
                a[k + 1, k], a[chosen, k] = a[chosen, k], a[k + 1, k]
        rest = slice(k + size, n)
        if size == 1:
            pivots[k] = chosen + 1
            if a[k, k] != 0:
                column = a[rest, k] / a[k, k]
                a[rest, rest] -= np.tril(np.outer(column, a[rest, k]))
                a[rest, k] = column
        else:
            pivots[k : k + 2] = -(chosen + 1)
            block = np.array([[a[k, k], a[k + 1, k]], [a[k + 1, k], a[k + 1, k + 1]]])
            columns = np.linalg.solve(block, a[rest, k : k + 2].T).T
            a[rest, rest] -= np.tril(columns @ a[rest, k : k + 2].T)
            a[rest, k : k + 2] = columns
        k += size
    return a, pivots, info


def ldl_solve(packed: Any, pivots: Any, b: Any) -> Any:
    """X with A X = B, from the factors of `ldl`."""
    batch = np.broadcast_shapes(packed.shape[:-2], b.shape[:-2])
    n = packed.shape[-1]
    made = each(
        lambda factors, exchanges, right: _ldl_solve_one(factors, exchanges[0], right),
        np.broadcast_to(packed, (*batch, n, n)),
        np.broadcast_to(pivots[..., None, :], (*batch, 1, n)),
        np.broadcast_to(b, (*batch, *b.shape[-2:])),
    )
    return np.array(made, b.dtype).reshape(*batch, *b.shape[-2:])


def _swap(x: Any, i: int, j: int) -> None:
    x[[i, j]] = x[[j, i]]


def _ldl_solve_one(a: Any, pivots: Any, b: Any) -> Any:
    x = b.copy()
    n, k = len(a), 0
    blocks = []
    while k < n:
        size = 1 if pivots[k] > 0 else 2
        blocks.append((k, size))
        last = k + size - 1
        _swap(x, last, abs(int(pivots[k])) - 1)
        x[k + size :] -= a[k + size :, k : k + size] @ x[k : k + size]
        if size == 1:
            x[k] /= a[k, k]
        else:
            block = np.array([[a[k, k], a[k + 1, k]], [a[k + 1, k], a[k + 1, k + 1]]])
            x[k : k + 2] = np.linalg.solve(block, x[k : k + 2])
        k += size
    for k, size in reversed(blocks):
        x[k : k + size] -= a[k + size :, k : k + size].T @ x[k + size :]
        _swap(x, k + size - 1, abs(int(pivots[k])) - 1)
    return x
