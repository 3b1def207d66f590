"""Matrix products in panels: right for every layout, and the same bits on any number of threads."""

from __future__ import annotations

import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest

from tidu.backends import threads
from tidu.backends.cpu import multipliers
from tidu.base.dtypes import dtype, float32, float64
from tidu.compiler import gemm, llvm
from tidu.compiler.strips import MOST_DEPTH

SHAPES = [
    (1, 1, 1),
    (3, 5, 7),
    (1, 50, 20),
    (50, 1, 20),
    (1, 1, 300),
    (300, 1, 1),
    (1, 300, 1),
    (100, 90, 80),
    (17, 33, 700),
]


@cache
def kernels() -> dict[str, int]:
    return llvm.load([llvm.compile_module(gemm.text())], gemm.NAMES.values())


def kernel(kind: dtype) -> int:
    return kernels()[gemm.NAMES["float" if kind is float32 else "double"]]


def storage(rng: Any, kind: dtype, batch: tuple[int, ...], rows: int, columns: int) -> Any:
    """Random numbers with some columns more than are used, in which nothing may be read."""
    matrix = np.full((*batch, rows, columns + 3), np.nan, kind.numpy)
    matrix[..., :columns] = rng.standard_normal((*batch, rows, columns))
    return matrix


def elements(strides: tuple[int, ...], array: Any) -> list[int]:
    return [stride // array.itemsize for stride in strides]


class Case:
    """A batch of products of given shape and layout, with operands in memory."""

    def __init__(
        self,
        m: int,
        n: int,
        k: int,
        kind: dtype = float32,
        trans_a: bool = False,
        trans_b: bool = False,
        accumulate: bool = False,
        batch: tuple[int, int] = (1, 1),
    ) -> None:
        rng = np.random.default_rng(0)
        self.kind, self.shape, self.batch = kind, (m, n, k), batch
        self.trans_a, self.trans_b, self.accumulate = trans_a, trans_b, accumulate
        self.stored_a = storage(rng, kind, batch, *((k, m) if trans_a else (m, k)))
        # One B for each index of the inner batch dimension: its outer stride is 0.
        self.stored_b = storage(rng, kind, batch[1:], *((n, k) if trans_b else (k, n)))
        self.stored_c = storage(rng, kind, batch, m, n)
        if not accumulate:
            self.stored_c[:] = np.nan  # what was there before must not matter
        self.before = self.stored_c.copy()

    def want(self) -> Any:
        m, n, k = self.shape
        a = self.stored_a.astype(np.float64)[..., : m if self.trans_a else k]
        b = self.stored_b.astype(np.float64)[..., : k if self.trans_b else n]
        a = a.swapaxes(-1, -2) if self.trans_a else a
        b = b.swapaxes(-1, -2) if self.trans_b else b
        return a @ b + (self.before[..., :n] if self.accumulate else 0.0)

    def run(self, cut: gemm.Panels) -> Any:
        """C, computed anew."""
        m, n, k = self.shape
        self.stored_c[:] = self.before
        params = gemm.GemmParams(
            *multipliers(self.kind, m, n, k, self.trans_a, self.trans_b), 2, 3, 4, m, n, k,
            self.stored_a.shape[-1], self.stored_b.shape[-1], self.stored_c.shape[-1], *cut,
            trans_a=int(self.trans_a), trans_b=int(self.trans_b), accumulate=int(self.accumulate),
            batch0=self.batch[0], batch1=self.batch[1],
            **dict(zip(("a_stride0", "a_stride1"), elements(self.stored_a.strides, self.stored_a))),
            b_stride1=elements(self.stored_b.strides, self.stored_b)[0],
            **dict(zip(("c_stride0", "c_stride1"), elements(self.stored_c.strides, self.stored_c))),
        )  # fmt: skip
        arrays = (self.stored_a, self.stored_b, self.stored_c)
        table = np.array([0, 0, *(array.ctypes.data for array in arrays)])
        call = threads.Call(kernel(self.kind), params.array(), params.units, False)
        threads.run(threads.NativeProgram([call]), table.ctypes.data)
        return self.stored_c[..., :n].copy()

    def check(self, cut: gemm.Panels) -> None:
        _, n, k = self.shape
        got, want = self.run(cut), self.want()
        tolerance = np.finfo(self.kind.numpy).eps * (k + 2)
        scale = np.abs(want).max(initial=1.0)
        assert np.abs(got - want).max(initial=0.0) <= tolerance * scale, (self.shape, cut)
        outside = self.stored_c[..., n:]
        assert np.array_equal(outside, self.before[..., n:], equal_nan=True), "wrote beside C"


def cuts(m: int, n: int, k: int) -> list[gemm.Panels]:
    """All rows and columns, panels that fit, panels that leave a rest, and the usual choice."""
    return [
        gemm.Panels(m, n, min(max(k, 1), MOST_DEPTH), 1),
        gemm.Panels(2, 3, 5, 1),
        gemm.Panels(16, 7, 64, 3),
        gemm.panels(m, n, k, 6),
    ]


@pytest.mark.parametrize("kind", [float32, float64], ids=str)
@pytest.mark.parametrize("m, n, k", SHAPES)
def test_products_agree_with_numpy(m: int, n: int, k: int, kind: dtype) -> None:
    for trans_a, trans_b, accumulate in itertools.product((False, True), repeat=3):
        case = Case(m, n, k, kind, trans_a, trans_b, accumulate, batch=(2, 3))
        for cut in cuts(m, n, k):
            case.check(cut)


@pytest.mark.parametrize("m, n", [(4, 5), (1, 5), (4, 1)])
@pytest.mark.parametrize("accumulate", [False, True])
def test_a_sum_over_nothing_is_zero(m: int, n: int, accumulate: bool) -> None:
    for trans_a, trans_b in itertools.product((False, True), repeat=2):
        case = Case(m, n, 0, float32, trans_a, trans_b, accumulate, batch=(2, 3))
        for cut in cuts(m, n, 0):
            case.check(cut)


@pytest.mark.parametrize("m, n, k", [(0, 4, 3), (4, 0, 3), (0, 0, 0)])
def test_a_product_without_elements_has_no_units(m: int, n: int, k: int) -> None:
    Case(m, n, k).check(gemm.panels(m, n, k))


def test_an_empty_batch_has_no_units() -> None:
    Case(4, 5, 6, batch=(0, 3)).run(gemm.panels(4, 5, 6, 0))


@pytest.mark.parametrize("m, n, k", [(100, 784, 128), (300, 1, 500), (1, 300, 500), (64, 64, 700)])
@pytest.mark.parametrize("trans_b", [False, True])
def test_the_bits_are_the_same_on_any_number_of_threads(
    m: int, n: int, k: int, trans_b: bool
) -> None:
    before = threads.get_num_threads()
    case = Case(m, n, k, trans_b=trans_b, batch=(2, 2))
    results = []
    for workers in (1, 2, 3, 8, 1):
        threads.set_num_threads(workers)
        results.append(case.run(gemm.panels(m, n, k, 4, False, trans_b)))
    threads.set_num_threads(before)
    for result in results[1:]:
        assert result.tobytes() == results[0].tobytes()


@pytest.mark.parametrize("m, n, k", [(20, 30, 700), (1, 30, 40), (20, 1, 40)])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_reaches_its_row_and_no_other(
    m: int, n: int, k: int, wrong: float
) -> None:
    case = Case(m, n, k)
    case.stored_a[..., m // 2, k // 2] = wrong
    for cut in cuts(m, n, k):
        finite = np.isfinite(case.run(cut)[0, 0])
        assert not finite[m // 2].any()
        assert np.delete(finite, m // 2, axis=0).all()


SIZES = [1, 2, 3, 15, 16, 17, 48, 64, 100, 257, 1000, 3000]


@pytest.mark.parametrize("trans_a, trans_b", list(itertools.product((False, True), repeat=2)))
def test_panels_cover_the_product_in_useful_units(trans_a: bool, trans_b: bool) -> None:
    for m, n, k in itertools.product(SIZES, repeat=3):
        cut = gemm.panels(m, n, k, 1, trans_a, trans_b)
        assert 1 <= cut.rows <= m and 1 <= cut.columns <= n and 1 <= cut.depth <= k
        work = 2 * m * n * k
        units = gemm.GemmParams(0, 0, 0, 0, 0, m, n, k, k, n, n, *cut).units
        if work <= 1_000_000:
            assert units == 1, "waking a thread costs more than this product"
        if work >= 200_000_000:
            assert units >= 8, "too few units for eight workers"
        assert units == 1 or work / units >= 100_000, "units too small to be worth a call"


@pytest.mark.parametrize("m, n", [(16, 144), (64, 64), (10, 500), (500, 10)])
@pytest.mark.parametrize("trans_a, trans_b", [(True, False), (False, True), (False, False)])
def test_a_small_result_of_a_long_sum_is_shared_among_workers(
    m: int, n: int, trans_a: bool, trans_b: bool
) -> None:
    cut = gemm.panels(m, n, 100_000, 1, trans_a, trans_b)
    params = gemm.GemmParams(0, 0, 0, 0, 0, m, n, 100_000, m, n, n, *cut)
    assert params.units >= 4


def test_many_small_products_share_units() -> None:
    cut = gemm.panels(8, 8, 8, 1000)
    params = gemm.GemmParams(0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, *cut, batch0=1000)
    assert 1 <= params.units <= 4


def test_offsets_are_in_elements() -> None:
    case = Case(5, 6, 7)
    want = case.run(gemm.Panels(5, 6, 7, 1))[0, 0]
    flat = np.zeros(400, np.float32)
    places = {"a": (10, case.stored_a), "b": (100, case.stored_b), "c": (200, case.stored_c)}
    for start, stored in places.values():
        flat[start : start + stored.size] = stored.ravel()
    params = gemm.GemmParams(
        *multipliers(float32, 5, 6, 7, False, False), 2, 2, 2, 5, 6, 7, 10, 9, 9, 5, 6, 7,
        a_offset=10, b_offset=100, c_offset=200,
    )  # fmt: skip
    table = np.array([0, 0, flat.ctypes.data])
    call = threads.Call(kernel(float32), params.array(), params.units, False)
    threads.run(threads.NativeProgram([call]), table.ctypes.data)
    assert np.array_equal(flat[200 : 200 + 45].reshape(5, 9)[:, :6], want)
