"""torch.linalg and its older names: factors, solutions and their derivatives, against PyTorch.

Where a factorization is unique only up to signs, what is compared does not depend on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.ops.agreement import Call, agree, array, definite, same_error, symmetric

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
pytestmark = [
    pytest.mark.filterwarnings("ignore:torch.(cholesky|qr|triangular_solve|lu|svd|chain_matmul)"),
]

A = array(2, 3, 3) + 2 * np.eye(3)
B = array(2, 3, 2)
S, D = symmetric(4, 2), definite(3, 2)
TALL, WIDE = array(5, 3), array(3, 5)
SINGULAR = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])


def _symmetric(x: Any) -> Any:
    return (x + x.mT) / 2


def _projections(vectors: Any) -> Any:
    """v vᵀ of each column: what does not change with a vector's sign."""
    return vectors[..., :, None, :] * vectors[..., None, :, :]


def _eigh(T: Any, x: Any) -> Any:
    values, vectors = T.linalg.eigh(_symmetric(x))
    return values, _projections(vectors)


def _svd(T: Any, x: Any) -> Any:
    u, s, vh = T.linalg.svd(x, full_matrices=False)
    return s, u[..., :, None, :] * vh.mT[..., None, :, :]


CALLS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "inv": (lambda T, a: T.linalg.inv(a), (A,)),
    "inverse": (lambda T, a: a.inverse(), (A,)),
    "inv_ex": (lambda T, a: tuple(T.linalg.inv_ex(a)), (A,)),
    "solve": (lambda T, a, b: T.linalg.solve(a, b), (A, B)),
    "solve of a vector": (lambda T, a, b: T.linalg.solve(a, b[..., 0]), (A, B)),
    "solve from the right": (lambda T, a, b: T.linalg.solve(a, b.mT, left=False), (A, B)),
    "solve_triangular": (lambda T, a, b: T.linalg.solve_triangular(a, b, upper=False), (A, B)),
    "solve_triangular of ones": (
        lambda T, a, b: T.linalg.solve_triangular(
            a, b.mT, upper=True, left=False, unitriangular=True
        ),
        (A, B),
    ),
    "triangular_solve": (lambda T, a, b: T.triangular_solve(b, a)[0], (A, B)),
    "solve_triangular of many": (
        lambda T, a, b: T.linalg.solve_triangular(a, b, upper=True),
        (array(40, 40, low=0.1, high=0.2) + 2 * np.eye(40), array(40, 2)),
    ),
    "tensorinv": (lambda T, x: T.linalg.tensorinv(x, 1), (array(6, 2, 3),)),
    "tensorsolve": (lambda T, x, b: T.linalg.tensorsolve(x, b), (array(2, 3, 6), array(2, 3))),
    "det": (lambda T, a: T.linalg.det(a), (A,)),
    "slogdet": (lambda T, a: a.slogdet()[1], (A,)),
    "logdet": (lambda T, a: a.logdet(), (D,)),
    "logdet of a negative": (lambda T, a: (-a).detach().logdet(), (D,)),
    "cholesky": (lambda T, a: T.linalg.cholesky(_symmetric(a)), (D,)),
    "cholesky upper": (lambda T, a: T.linalg.cholesky(_symmetric(a), upper=True), (D,)),
    "old cholesky": (lambda T, a: _symmetric(a).cholesky(), (D,)),
    "cholesky_solve": (lambda T, b, a: T.cholesky_solve(b, T.linalg.cholesky(a)), (B, D)),
    "cholesky_inverse": (lambda T, a: T.cholesky_inverse(T.linalg.cholesky(a)), (D,)),
    "qr": (lambda T, a: tuple(T.linalg.qr(a)), (A,)),
    "qr tall": (lambda T, x: tuple(T.linalg.qr(x)), (TALL,)),
    "qr wide": (lambda T, x: tuple(T.linalg.qr(x)), (WIDE,)),
    "qr r": (lambda T, x: T.linalg.qr(x.detach(), "r")[1], (WIDE,)),
    "qr complete": (lambda T, x: tuple(T.linalg.qr(x.detach(), "complete")), (TALL,)),
    "lu": (lambda T, a: tuple(T.linalg.lu(a)), (A,)),
    "lu tall": (lambda T, x: tuple(T.linalg.lu(x)), (TALL,)),
    "lu wide": (lambda T, x: tuple(T.linalg.lu(x)), (WIDE,)),
    "lu_factor": (lambda T, a: tuple(T.linalg.lu_factor(a)), (A,)),
    "lu_unpack": (lambda T, a: tuple(T.lu_unpack(*T.linalg.lu_factor(a))), (A,)),
    "lu_solve": (lambda T, a, b: T.lu_solve(b, *T.linalg.lu_factor(a)), (A, B)),
    "lu_solve adjoint": (
        lambda T, a, b: T.linalg.lu_solve(*T.linalg.lu_factor(a), b, adjoint=True),
        (A, B),
    ),
    "ldl_factor": (lambda T, s: tuple(T.linalg.ldl_factor(s.detach())), (S - 5 * np.eye(4),)),
    "ldl_solve": (
        lambda T, s, b: T.linalg.ldl_solve(*T.linalg.ldl_factor(s.detach()), b.detach()),
        (S - 5 * np.eye(4), array(4, 2)),
    ),
    "householder_product": (
        lambda T, x, tau: T.linalg.householder_product(x, tau),
        (TALL, array(3, low=0.1, high=1)),
    ),
    "ormqr": (
        lambda T, x, tau, c: T.ormqr(x, tau, c, left=False, transpose=True),
        (TALL, array(3, low=0.1, high=1), array(2, 5)),
    ),
    "eigh": (_eigh, (S,)),
    "eigvalsh": (lambda T, s: T.linalg.eigvalsh(_symmetric(s), UPLO="U"), (S,)),
    "svd": (_svd, (A,)),
    "svd tall": (_svd, (TALL,)),
    "svd wide": (_svd, (WIDE,)),
    "svdvals": (lambda T, x: T.linalg.svdvals(x), (TALL,)),
    "matrix_rank": (lambda T, a: T.linalg.matrix_rank(a.detach()), (SINGULAR,)),
    "matrix_rank hermitian": (lambda T, s: T.linalg.matrix_rank(s, hermitian=True), (S,)),
    "pinv": (lambda T, a: T.linalg.pinv(a), (A,)),
    "pinv tall": (lambda T, x: T.linalg.pinv(x), (TALL,)),
    "pinv wide": (lambda T, x: x.pinverse(), (WIDE,)),
    "pinv of a singular": (lambda T, a: T.linalg.pinv(a.detach()), (SINGULAR,)),
    "lstsq": (lambda T, x, b: T.linalg.lstsq(x, b)[0], (TALL, array(5, 2))),
    "cond": (lambda T, a: T.linalg.cond(a), (A,)),
    "cond of other norms": (lambda T, a: [T.linalg.cond(a.detach(), p) for p in (1, "fro")], (A,)),
    "matrix_power": (lambda T, a: [T.linalg.matrix_power(a, n) for n in (0, 1, 5, -2)], (A,)),
    "matrix_exp": (lambda T, a: a.matrix_exp(), (A,)),
    "matrix_exp of large": (lambda T, a: T.linalg.matrix_exp(a), (A * 4,)),
    "multi_dot": (
        lambda T, x, y, v: T.linalg.multi_dot((v, x, y, x)),
        (TALL, WIDE, array(5, seed=3)),
    ),
}
# Second derivatives that PyTorch lacks.
ONCE = {"householder_product", "ormqr", "lu_unpack", "cond"}


@pytest.mark.parametrize("name", CALLS)
def test_results_and_gradients_are_those_of_pytorch(name: str) -> None:
    call, arrays = CALLS[name]
    agree(torch, call, *arrays, order=1 if name in ONCE else 2, tolerance=1e-7)


def test_lu_without_pivots_multiplies_back() -> None:
    matrix = tidu.from_numpy(D)
    _, lower, upper = tidu.linalg.lu(matrix, pivot=False)
    assert tidu.allclose(lower @ upper, matrix)


def test_the_gradient_of_a_determinant_is_right_where_it_is_zero() -> None:
    # PyTorch has zeros here; the slopes of the determinant are its cofactors.
    a = tidu.tensor(SINGULAR).requires_grad_()
    tidu.det(a).backward()
    step = 1e-6
    for place in np.ndindex(3, 3):
        moved = SINGULAR.copy()
        moved[place] += step
        slope = (np.linalg.det(moved) - np.linalg.det(SINGULAR)) / step
        assert a.grad[place].item() == pytest.approx(slope, abs=1e-5)
    zero = tidu.zeros(3, 3, requires_grad=True)
    tidu.det(zero).backward()
    assert zero.grad.tolist() == [[0.0] * 3] * 3


ERRORS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "components beyond the sizes": (lambda T, x: T.pca_lowrank(x, 4), (A,)),
    "inv of a rectangle": (lambda T, x: T.linalg.inv(x), (TALL,)),
    "inv of a vector": (lambda T, x: T.linalg.inv(x), (array(3),)),
    "inv of integers": (lambda T, x: T.linalg.inv(x), (np.eye(2, dtype=np.int64),)),
    "inv of a singular": (lambda T, x: T.linalg.inv(x), (np.zeros((2, 2)),)),
    "solve of a singular": (lambda T, x: T.linalg.solve(x, x), (np.zeros((2, 2)),)),
    "solve of other sizes": (lambda T, a, b: T.linalg.solve(a, b), (A, array(2))),
    "cholesky of indefinite": (lambda T, s: T.linalg.cholesky(s), (-D,)),
    "lu_factor of a singular": (lambda T, x: T.linalg.lu_factor(x), (np.zeros((2, 2)),)),
    "eigh of a rectangle": (lambda T, x: T.linalg.eigh(x), (TALL,)),
    "svd of NaN": (lambda T, x: T.linalg.svd(x), (np.full((2, 2), np.nan),)),
    "qr in an unknown mode": (lambda T, x: T.linalg.qr(x, "half"), (TALL,)),
    "lstsq of other sizes": (lambda T, x, b: T.linalg.lstsq(x, b), (TALL, array(3, 2))),
    "multi_dot of one": (lambda T, x: T.linalg.multi_dot([x]), (TALL,)),
}


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: T.svd_lowrank(x, 3),
        lambda T, x: T.svd_lowrank(x.mT, q=2, niter=1, M=x.mT.mean(1, keepdim=True)),
        lambda T, x: T.pca_lowrank(x, q=2),
        lambda T, x: T.pca_lowrank(x, center=False, niter=0),
    ],
)
def test_approximate_singular_values_are_those_of_pytorch(call: Call) -> None:
    found = []
    for library in (torch, tidu):
        library.manual_seed(0)
        u, s, v = call(library, library.tensor(array(2, 7, 4), dtype=library.float64))
        found.append([x.numpy() for x in (s, abs(u), abs(v))])
    for got, want in zip(found[1], found[0], strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_pytorch(name: str) -> None:
    call, arrays = ERRORS[name]
    same_error(torch, call, *arrays)


def test_info_says_where_a_factorization_broke_down() -> None:
    a = [[1.0, 2.0], [2.0, 1.0]]
    ours, theirs = (
        tidu.linalg.cholesky_ex(tidu.tensor(a)),
        torch.linalg.cholesky_ex(torch.tensor(a)),
    )
    assert repr(ours) == repr(theirs)
    assert tidu.linalg.inv_ex(tidu.zeros(3, 2, 2)).info.tolist() == [1, 1, 1]
    assert tidu.linalg.lu_factor_ex(tidu.zeros(2, 2)).info.item() == 1


def test_a_singular_matrix_is_named_by_its_place_in_the_batch() -> None:
    stack = tidu.stack([tidu.eye(2), tidu.zeros(2, 2)])
    with pytest.raises(tidu.linalg.LinAlgError, match=r"Batch element 1.*singular.*test_linalg"):
        tidu.linalg.inv(stack).tolist()


def _rounds_products() -> bool:
    """Whether PyTorch's LAPACK rounds a product before it subtracts: MKL does so on AMD's
    processors, and fuses both on Intel's.
    """
    c = 1 - 2.0**-13  # c² needs more digits than float32 has
    packed, _ = torch.linalg.lu_factor(torch.tensor([[1, c], [c, c * c]]))
    return torch.backends.mkl.is_available() and packed[1, 1].item() == 0


@pytest.mark.skipif(not _rounds_products(), reason="PyTorch has another LAPACK")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", range(1, 8))
def test_small_systems_are_rounded_as_in_pytorch(size: int, dtype: str) -> None:
    random = np.random.default_rng(size)
    for scale in (1.0, 9.0):
        a = (random.standard_normal((6, size, size)) * scale).astype(dtype)
        a, b = (a if scale == 1.0 else a.round()), random.standard_normal((6, size, 2))
        a[np.abs(np.linalg.det(a)) < 0.5] += 20 * np.eye(size, dtype=dtype)
        found = []
        for library in (tidu, torch):
            x, y = library.from_numpy(a), library.from_numpy(b.astype(dtype))
            linalg = library.linalg
            found.append([linalg.det(x), linalg.inv(x), linalg.solve(x, y), linalg.lu_factor(x)[0]])
        for ours, theirs in zip(*found, strict=True):
            np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_determinants_and_inverses_of_small_integer_matrices_print_the_same() -> None:
    for rows in ([[4.0, 7], [2, 6]], [[1.0, 2, 3], [4, 5, 6], [7, 8, 9]], [[2.0, 1], [1, 3]]):
        ours, theirs = tidu.tensor(rows), torch.tensor(rows)
        assert repr(tidu.det(ours)) == repr(torch.det(theirs))
        assert repr(tidu.slogdet(ours)) == repr(torch.slogdet(theirs))
    assert repr(ours @ ours.inverse()) == repr(theirs @ theirs.inverse())


def test_the_class_of_errors_goes_by_the_name_of_pytorch() -> None:
    for library in (tidu, torch):
        with pytest.raises(library.linalg.LinAlgError) as caught:
            library.linalg.inv(library.zeros(2, 2)).tolist()
        assert type(caught.value).__name__ == "_LinAlgError"
