"""Special functions: exact values, edges, and agreement with PyTorch over wide ranges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
from tests.ops import table
from tests.ops.agreement import same_error

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

EDGES = np.array(
    [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, 1e-300, 700.0, -700.0, np.inf, -np.inf, np.nan]
)
SPREAD = np.concatenate([np.linspace(-30, 30, 601), np.geomspace(1e-8, 1e3, 100)])
# Functions of one number that PyTorch works out to nearly the last place.
EXACT = (
    "lgamma", "digamma", "i0", "special.i0e", "special.i1", "special.i1e", "erfinv",
    "special.erfcx", "special.ndtri", "special.ndtr", "special.log_ndtr", "special.entr", "sinc",
    "logit", "special.spherical_bessel_j0",
)  # fmt: skip


def _find(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("path", EXACT)
def test_functions_agree_with_pytorch_over_their_whole_range(path: str, dtype: str) -> None:
    tolerance = {"float64": 1e-11, "float32": 2e-5, "bfloat16": 2e-2}[dtype]
    for numbers in (EDGES, SPREAD):
        numbers = np.concatenate([numbers, numbers / 31])
        try:
            want = _find(torch, path)(torch.from_numpy(numbers).to(getattr(torch, dtype)))
        except NotImplementedError:
            pytest.skip("PyTorch does not have this function for this dtype")
        got = _find(tidu, path)(tidu.from_numpy(numbers).to(getattr(tidu, dtype)))
        # PyTorch has NaN for I0 and I1 of infinity, which are infinite.
        known = np.isnan(numbers) | ~table.numbers(want.isnan()) | np.isfinite(numbers)
        table.assert_same(got[known], want[known], tolerance, f"{path} {dtype}")


# To 15 digits, from the tables of Abramowitz and Stegun and of the DLMF.
VALUES = {
    ("bessel_j0", 1.0): 0.765197686557966551,
    ("bessel_j0", 20.0): 0.167024664340583155,
    ("bessel_j1", 1.0): 0.440050585744933516,
    ("bessel_j1", -5.0): 0.327579137591465222,
    ("bessel_y0", 1.0): 0.0882569642156769580,
    ("bessel_y1", 10.0): 0.249015424206953884,
    ("modified_bessel_i0", 5.0): 27.2398718236044468,
    ("modified_bessel_i1", 5.0): 24.3356421424505274,
    ("modified_bessel_k0", 1.0): 0.421024438240708333,
    ("modified_bessel_k1", 1.0): 0.601907230197234575,
    ("airy_ai", 0.0): 0.355028053887817239,
    ("airy_ai", 1.0): 0.135292416312881415,
    ("airy_ai", -2.0): 0.227407428201685576,
    ("erfcx", 10.0): 0.0561409927438225854,
}


@pytest.mark.parametrize("case", VALUES, ids=lambda case: f"{case[0]}({case[1]})")
def test_bessel_and_airy_functions_have_their_tabulated_values(case: tuple[str, float]) -> None:
    name, x = case
    got = getattr(tidu.special, name)(tidu.tensor(x, dtype=tidu.float64)).item()
    assert got == pytest.approx(VALUES[case], rel=1e-14)


def test_inverses_undo_their_functions_far_into_the_tails() -> None:
    x = tidu.linspace(-5.0, 5.0, 101, dtype=tidu.float64)
    assert tidu.allclose(tidu.erfinv(tidu.erf(x)), x, atol=1e-4)
    tail = tidu.linspace(-37.0, -6.0, 50, dtype=tidu.float64)
    assert tidu.allclose(tidu.special.ndtri(tidu.special.ndtr(tail)), tail, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_inverse_of_erf_keeps_its_digits_close_to_zero(dtype: str) -> None:
    numbers = np.geomspace(1e-36, 1e-6, 200).astype(dtype)
    found = tidu.erfinv(tidu.tensor(numbers)).numpy().astype(np.float64)
    # √π/2 (x + π/12 x³), and nothing else in double precision.
    x = numbers.astype(np.float64)
    want = np.sqrt(np.pi) / 2 * x * (1 + np.pi / 12 * x * x)
    np.testing.assert_allclose(found, want, rtol=3 * np.finfo(dtype).eps)


@pytest.mark.parametrize("n", range(5))
def test_polygamma_is_that_of_pytorch(n: int) -> None:
    x = np.array([0.3, 1.0, 2.5, 40.0, -0.7, -3.4])
    got, want = (T.polygamma(n, T.from_numpy(x.copy())) for T in (tidu, torch))
    table.assert_same(got, want, 1e-10, f"polygamma {n}")


def test_incomplete_gamma_functions_are_those_of_pytorch() -> None:
    a, x = (
        g.reshape(-1) for g in np.meshgrid([0.1, 0.5, 1, 3, 20, 150], [0, 0.2, 1, 4, 30, 160.0])
    )
    for name in ("igamma", "igammac"):
        got, want = (
            getattr(T, name)(T.from_numpy(a.copy()), T.from_numpy(x.copy())) for T in (tidu, torch)
        )
        table.assert_same(got, want, 1e-9, name)


def test_what_has_no_derivative_says_so() -> None:
    a, x = tidu.tensor(2.0, requires_grad=True), tidu.tensor(1.0)
    with pytest.raises(NotImplementedError, match="igamma"):
        tidu.igamma(a, x).backward()


def test_errors_are_those_of_pytorch() -> None:
    x = np.array([1.0, 2.0])
    same_error(torch, lambda T, x: T.polygamma(-1, x), x)
    same_error(torch, lambda T, x: T.igamma(x, 1.0), x)
    same_error(torch, lambda T, x: T.mvlgamma(x, 0), x)
    same_error(torch, lambda T, x: T.hypot(x.int(), x.int()), x)
    same_error(torch, lambda T, x: T.gcd(x, x), x)
    same_error(torch, lambda T, x: T.heaviside(x, x.float()), x)
