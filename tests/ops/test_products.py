"""einsum, tensor products, norms, distances and blends, against PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import tidu
from tests.ops.agreement import Call, agree, array, same_error

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
pytestmark = pytest.mark.filterwarnings("ignore:Using torch.cross without specifying the dim")

EQUATIONS = [
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("...ij->...ji", (2, 3, 4)),
    ("bij,bjk->ik", (2, 3, 4), (2, 4, 5)),
    ("...ij,...jk->...ik", (2, 1, 3, 4), (5, 4, 2)),
    ("i,j->ij", (3,), (4,)),
    ("i,i->", (3,), (3,)),
    ("bn,anm,bm->ba", (2, 3), (4, 3, 5), (2, 5)),
    ("a...b,b...->a...", (2, 3, 4), (4, 3)),
    ("ab,cd,ef->fedcba", (2, 3), (1, 2), (2, 2)),
    ("ijk,jil,kl->ij", (2, 3, 4), (3, 2, 5), (4, 5)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    (" i j , j k -> i k ", (2, 3), (3, 4)),
    ("ij,j", (2, 1), (3,)),
    (",i->i", (), (3,)),
    ("ba,bc", (2, 3), (2, 4)),
    ("Ab,bC->CA", (2, 3), (3, 4)),
    ("iij,jk->ik", (2, 2, 3), (3, 4)),
    ("ij...,jk...->ik...", (2, 3, 5), (3, 4, 1)),
    ("ij,jk->ik", (2, 0), (0, 2)),
]


@pytest.mark.parametrize("case", EQUATIONS, ids=lambda case: case[0])
def test_einsum_is_that_of_pytorch(case: tuple[Any, ...]) -> None:
    equation, *shapes = case
    arrays = [np.asarray(array(*shape, seed=i)) for i, shape in enumerate(shapes)]
    agree(torch, lambda T, *xs: T.einsum(equation, *xs), *arrays, order=2)


WRONG_EQUATIONS = [
    ("ij,jk->il", (2, 3), (3, 4)),
    ("ij,jk->ii", (2, 3), (3, 4)),
    ("ij,jk", (2, 3)),
    ("ij,jk", (2, 3), (4, 5)),
    ("i1,j", (2, 3), (2,)),
    ("ij.", (2, 3)),
    ("ij", (2, 3, 4)),
    ("ii", (2, 3)),
]


@pytest.mark.parametrize("case", WRONG_EQUATIONS, ids=lambda case: f"{case[0]} of {case[1:]}")
def test_einsum_refuses_what_pytorch_refuses(case: tuple[Any, ...]) -> None:
    equation, *shapes = case
    arrays = [array(*shape) for shape in shapes]
    same_error(torch, lambda T, *xs: T.einsum(equation, *xs), *arrays)


def test_einsum_takes_sublists_and_a_list_of_operands() -> None:
    x, y = array(2, 3), array(3, 4)
    agree(torch, lambda T, x, y: T.einsum(x, [0, 1], y, [1, 2], [2, 0]), x, y)
    agree(torch, lambda T, x: T.einsum(x, [..., 0], x, [..., 0], [...]), x)
    agree(torch, lambda T, x, y: T.einsum("ij,jk", [x, y]), x, y)


X, Y = array(3, 4), array(3, 4, seed=1)
V, W = array(4), array(4, seed=1)
BATCH = array(2, 3, 4)
ZERO = np.zeros((2, 3))

CALLS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "outer": (lambda T, v, w: v.outer(w), (V, W)),
    "inner": (lambda T, x, y: T.inner(x, y), (X, Y)),
    "vdot": (lambda T, v, w: T.vdot(v, w), (V, W)),
    "tensordot": (lambda T, x, y: T.tensordot(x, y, 1), (BATCH, array(4, 2))),
    "tensordot of lists": (lambda T, x, y: T.tensordot(x, y, ([0, 1], [1, 0])), (X, array(4, 3))),
    "cross": (lambda T, x, y: T.cross(x, y), (X, Y)),
    "linalg.cross": (lambda T, x, y: T.linalg.cross(x, y), (array(2, 1, 3), array(1, 5, 3))),
    "vecdot": (lambda T, x, y: T.linalg.vecdot(x, y, dim=0), (X, Y)),
    "vander": (lambda T, v: T.vander(v.detach(), 3), (V,)),
    "linalg.vander": (lambda T, x: T.linalg.vander(x, N=5), (X,)),
    "addmm": (lambda T, x, y: T.addmm(x[0, :3], x, y.t(), beta=0.5, alpha=2), (X, Y)),
    "addmm without its input": (lambda T, x, y: T.addmm(x[0, :3], x, y.t(), beta=0), (X, Y)),
    "addmv": (lambda T, x, v: T.addmv(x[:, 0], x, v), (X, V)),
    "addr": (lambda T, v, w: T.addr(v, v, w, alpha=3), (V, W)),
    "baddbmm": (lambda T, b: T.baddbmm(b[:, :, :3], b, b.mT), (BATCH,)),
    "addbmm": (lambda T, b: T.addbmm(b[0, :, :3], b, b.mT, alpha=2), (BATCH,)),
    "addcmul": (lambda T, x, y: T.addcmul(x, x, y[0], value=0.3), (X, Y)),
    "addcdiv": (lambda T, x, y: x.addcdiv(x, y[0], value=2), (X, Y)),
    "lerp": (lambda T, x, y: T.lerp(x, y, 0.7), (X, Y)),
    "lerp by tensor": (lambda T, x, y, v: x.lerp(y, v), (X, Y, V)),
    "norm": (lambda T, x: x.norm(), (X,)),
    "norm of nothing but zeros": (lambda T, x: x.norm(), (ZERO,)),
    "norm along": (lambda T, x: x.norm(3, dim=1, keepdim=True), (X,)),
    "norm nuc": (lambda T, x: T.norm(x, "nuc"), (X,)),
    "linalg.norm": (lambda T, x: T.linalg.norm(x, math.inf, dim=0), (X,)),
    "vector_norm": (
        lambda T, x: [T.linalg.vector_norm(x, p, dim=1) for p in (0.5, 1, 1.5, 2, 3, math.inf)],
        (X,),
    ),
    "matrix_norm": (
        lambda T, b: [T.linalg.matrix_norm(b, p) for p in ("fro", "nuc", 1, -1, 2, math.inf)],
        (BATCH,),
    ),
    "dist": (lambda T, x, y: T.dist(x, y, 3), (X, Y)),
    "cdist": (lambda T, x, y: T.cdist(x, y), (X, Y)),
    "cdist p=1": (lambda T, b, x: T.cdist(b, x, p=1.0), (BATCH, X)),
    "renorm": (lambda T, x: x.renorm(2, 0, 1.0), (X,)),
}
# PyTorch has NaN for the second derivative of a norm at 0, and none for that of some distances.
ONCE = {"norm of nothing but zeros", "cdist", "cdist p=1", "renorm"}


@pytest.mark.parametrize("name", CALLS)
def test_results_and_gradients_are_those_of_pytorch(name: str) -> None:
    call, arrays = CALLS[name]
    agree(torch, call, *arrays, order=1 if name in ONCE else 2)


def test_distances_of_many_rows_come_from_one_product() -> None:
    x, y = array(40, 3), array(30, 3, seed=1)
    agree(torch, lambda T, x, y: T.cdist(x, y), x, y, tolerance=1e-7)


def test_optimizer_updates_are_one_operation_each() -> None:
    x = tidu.ones(3)
    x.addcmul_(tidu.ones(3), tidu.ones(3), value=2.0).addcdiv_(tidu.ones(3), tidu.full((3,), 4.0))
    x.lerp_(tidu.zeros(3), 0.5)
    assert x.tolist() == [1.625] * 3


ERRORS: dict[str, tuple[Call, tuple[Any, ...]]] = {
    "outer of matrices": (lambda T, x: T.outer(x, x), (X,)),
    "inner of other sizes": (lambda T, x, v: T.inner(x.t(), v), (X, V)),
    "tensordot that does not fit": (lambda T, x: T.tensordot(x, x, 1), (X,)),
    "cross without a 3": (lambda T, v: T.cross(v, v), (V,)),
    "addmm of another dtype": (lambda T, x: T.addmm(x.float(), x, x.t()), (X[:3, :3],)),
    "addcdiv of integers": (lambda T, i: i.addcdiv(i, i), (np.arange(3),)),
    "lerp of another dtype": (lambda T, x: x.lerp(x.float(), 0.5), (X,)),
    "norm of integers": (lambda T, i: T.linalg.norm(i), (np.arange(3),)),
    "matrix_norm of a vector": (lambda T, v: T.linalg.matrix_norm(v), (V,)),
    "cdist of other widths": (lambda T, x: T.cdist(x, x[:, :2]), (X,)),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_those_of_pytorch(name: str) -> None:
    call, arrays = ERRORS[name]
    same_error(torch, call, *arrays)
