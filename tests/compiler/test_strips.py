"""Products by our own function: right, within bounds, one chain."""

from __future__ import annotations

import ctypes
import itertools
from functools import cache
from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.tiers import tier
from tidu.compiler import gemm, llvm, strips

ELEMENTS = {"float": (np.float32, ctypes.c_float), "double": (np.float64, ctypes.c_double)}
ROWS, COLUMNS, DEPTHS = (
    (1, 3, 4, 5, 7, 8, 10, 49),
    (1, 7, 16, 33, 64, 65, 130),
    (1, 5, 16, 17, 50, 320),
)


@cache
def functions(vector_bytes: int) -> dict[str, Any]:
    """The functions for registers of so many bytes, which need not be those of this machine."""
    text, names = strips.text(vector_bytes), {}
    for element in ELEMENTS:
        names[element] = f"{strips.name(element)}_{vector_bytes}"
        text = text.replace(f"@{strips.name(element)}(", f"@{names[element]}(")
    found = llvm.load([llvm.compile_module(text)], names.values())
    size, order = ctypes.c_int64, ctypes.c_int32
    made = {}
    for element, (_, number) in ELEMENTS.items():
        operands = (number, ctypes.c_void_p, size, ctypes.c_void_p, size)
        result = (number, ctypes.c_void_p, size)
        prototype = ctypes.CFUNCTYPE(
            None, order, order, order, size, size, size, *operands, *result
        )
        made[element] = prototype(found[names[element]])
    return made


def multiply(
    vector_bytes: int, element: str, a: Any, b: Any, c: Any, beta: float, transposed: bool
) -> None:
    """c = a·b + beta·c, or a·bᵀ, for views of matrices by rows; a may be by columns."""
    by_columns = a.strides[0] == a.itemsize != a.strides[1]
    rows = [max(a.strides) // a.itemsize, *(x.strides[0] // x.itemsize for x in (b, c))]
    at = [x.ctypes.data for x in (a, b, c)]
    functions(vector_bytes)[element](
        101, 111 + by_columns, 111 + transposed, *c.shape, a.shape[1],
        1.0, at[0], rows[0], at[1], rows[1], beta, at[2], rows[2],
    )  # fmt: skip


def framed(rng: Any, kind: Any, rows: int, columns: int) -> tuple[Any, Any]:
    """A matrix, and it with what lies around, in which nothing may be read or written."""
    whole = np.full((rows + 1, columns + 3), np.nan, kind)
    matrix = whole[:rows, :columns]
    matrix[:] = rng.standard_normal((rows, columns))
    return matrix, whole


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("by_columns", [False, True])
def test_products_agree_with_numpy_and_stay_within_bounds(
    by_columns: bool, transposed: bool, element: str, vector_bytes: int
) -> None:
    rng, kind = np.random.default_rng(0), ELEMENTS[element][0]
    for m, n, k in itertools.product(ROWS, COLUMNS, DEPTHS):
        a = framed(rng, kind, k, m)[0].T if by_columns else framed(rng, kind, m, k)[0]
        b, _ = framed(rng, kind, *((n, k) if transposed else (k, n)))
        c, whole = framed(rng, kind, m, n)
        before = whole.copy()
        exact = a.astype(np.float64) @ (b.T if transposed else b).astype(np.float64)
        for beta, wanted in ((1.0, exact + c), (0.0, exact)):
            multiply(vector_bytes, element, a, b, c, beta, transposed)
            np.testing.assert_allclose(c, wanted, rtol=0, atol=2e3 * np.finfo(kind).eps)
        whole[:m, :n] = before[:m, :n]
        np.testing.assert_array_equal(whole, before)


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("m, k", [(1, 1), (7, 50), (16, 320), (30, 320)])
def test_an_operand_in_strips_is_read_where_it_is(
    m: int, k: int, element: str, vector_bytes: int
) -> None:
    """Rows as long as a strip's, without a gap, of which a last strip may have fewer columns."""
    rng, kind = np.random.default_rng(2), ELEMENTS[element][0]
    width = strips.width(element, vector_bytes)
    for n in (width, width - 1):
        a, _ = framed(rng, kind, m, k)
        lines = rng.standard_normal((k, width)).astype(kind)
        c, whole = framed(rng, kind, m, n)
        before = whole.copy()
        multiply(vector_bytes, element, a, lines[:, :n], c, 0.0, transposed=False)
        exact = a.astype(np.float64) @ lines[:, :n]
        np.testing.assert_allclose(c, exact, rtol=0, atol=2e3 * np.finfo(kind).eps)
        whole[:m, :n] = before[:m, :n]
        np.testing.assert_array_equal(whole, before)


def test_what_was_there_does_not_matter_without_beta() -> None:
    a, b, c = np.ones((5, 3), "f4"), np.ones((70, 3), "f4"), np.full((5, 70), np.nan, "f4")
    multiply(64, "float", a, b, c, 0.0, transposed=True)
    assert (c == 3).all()


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
@pytest.mark.parametrize("m, k", [(9, 50), (9, 300), (40, 300)])
@pytest.mark.parametrize("beta", [0.0, 1.0])
def test_an_element_is_one_chain_of_fused_steps(
    beta: float, m: int, k: int, vector_bytes: int
) -> None:
    if llvm.vector_bytes() < 32:
        pytest.skip("this processor has no fused multiplication and addition")
    rng = np.random.default_rng(1)
    a = rng.standard_normal((m, k)).astype(np.float32)
    b = rng.standard_normal((70, k)).astype(np.float32)
    c = rng.standard_normal((m, 70)).astype(np.float32)
    before = c * np.float32(beta)
    multiply(vector_bytes, "float", a, b, c, beta, transposed=True)
    chain = np.zeros((m, 70), np.float32)
    for i in range(k):
        exact = a[:, None, i].astype(np.float64) * b[None, :, i]
        chain = (chain + exact).astype(np.float32)
    np.testing.assert_array_equal(c, before + chain)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("m, n, k", [(48, 48, 5), (257, 784, 1128), (3000, 300, 7000)])
def test_panels_are_no_larger_than_it_takes(m: int, n: int, k: int, transposed: bool) -> None:
    if gemm.is_in_strips(m, n, k, trans_a=False, trans_b=transposed):
        panels = gemm.panels(m, n, k, 1, False, transposed)
        assert panels.depth <= strips.MOST_DEPTH
        assert panels.rows <= gemm.STRIP_ROWS
    else:
        assert (m, n, transposed) == (48, 48, False)


@pytest.mark.parametrize("m, n, k", [(32, 20, 7), (48, 64, 150), (100, 100, 301), (128, 256, 784)])
@pytest.mark.parametrize("trans_a", [False, True])
@pytest.mark.parametrize("trans_b", [False, True])
def test_products_have_the_bits_of_pytorch(
    m: int, n: int, k: int, trans_a: bool, trans_b: bool
) -> None:
    torch = pytest.importorskip("torch")
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        pytest.skip("PyTorch adds up in another order on other processors")
    rng = np.random.default_rng(2)
    a = rng.standard_normal((k, m) if trans_a else (m, k)).astype(np.float32)
    b = rng.standard_normal((n, k) if trans_b else (k, n)).astype(np.float32)
    results = []
    for library in (torch, tidu):
        x, y = library.from_numpy(a), library.from_numpy(b)
        with tier(1):
            product = (x.T if trans_a else x) @ (y.T if trans_b else y)
            results.append(product.numpy())
    np.testing.assert_array_equal(*results)
