"""Derivatives in the weights as chains: each adds its products in order, however it is cut."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from tests.compiler.correlations import (
    LINES,
    WIDTHS,
    Array,
    Case,
    Geometry,
    laid_out,
    windows,
)
from tidu.compiler.correlation import (
    ChainCut,
)


def one_chain(case: Case, parts: list[range]) -> Array:
    """The derivative in the weights as IEEE says: a chain for each part, chains added in order.

    A product of two floats is exact as a double, and so are the sums of small whole numbers.
    """
    seen = windows(case.x, case.geometry)
    n, groups, channels = seen.shape[:3]
    d = len(case.geometry.sizes)
    taps = seen.reshape(n, groups, channels, -1, prod(seen.shape[-d:]))
    g = case.g.reshape(n, groups, case.g.shape[2], -1)
    total = np.zeros((), np.float32)
    for number, part in enumerate(parts):
        acc = np.zeros((groups, g.shape[2], channels, taps.shape[-1]), np.float32)
        for image, position in (divmod(p, g.shape[3]) for p in part):
            a = g[image, :, :, position].astype(np.float64)[:, :, None, None]
            b = taps[image, :, :, position].astype(np.float64)[:, None]
            acc = (a * b + acc).astype(np.float32)
        total = acc if number == 0 else total + acc
    return total.reshape(*total.shape[:3], *case.geometry.kernel)


FEW_DIGITS = 2.0**-11  # products and sums of such numbers are exact as doubles


@pytest.mark.skipif(64 not in WIDTHS, reason="other processors may round products")
@pytest.mark.parametrize("lanes", ["g", "x"])
@pytest.mark.parametrize("tile_lines", [1, 7, 28])
def test_a_derivative_adds_products_in_order_of_positions(lanes: str, tile_lines: int) -> None:
    case = Case(LINES)
    # Of few digits, so that a double holds the sum of a product and a float.
    case.x, case.g = (np.round(array / FEW_DIGITS) * FEW_DIGITS for array in (case.x, case.g))
    case.x, case.g = case.x.astype(np.float32), case.g.astype(np.float32)
    case.lines = laid_out(case.x, case.layout, LINES.stride)
    positions = prod(case.layout.extents)
    total = 3 * positions
    whole = (range(total),)
    by_images = tuple(range(i * positions, (i + 1) * positions) for i in range(3))
    odd = (range(5), range(5, 60), range(60, total))
    for share in (whole, by_images, odd):
        how = ChainCut(tile_lines, 2 * tile_lines, 2)
        (got,) = case.chained(WIDTHS[0], lanes=lanes, shares=(share,), how=how)
        assert np.array_equal(got, one_chain(case, list(share)))
    first, second = case.chained(WIDTHS[0], lanes=lanes, shares=(odd[:2], odd[2:]))
    assert np.array_equal(first, one_chain(case, list(odd[:2])))
    assert np.array_equal(second, one_chain(case, list(odd[2:])))


def test_a_chain_longer_than_a_block_goes_on() -> None:
    case = Case(Geometry((41, 50), (1, 2), rows=3, channels=2, images=2))
    case.x, case.g = (np.round(array / FEW_DIGITS) * FEW_DIGITS for array in (case.x, case.g))
    case.x, case.g = case.x.astype(np.float32), case.g.astype(np.float32)
    case.lines = laid_out(case.x, case.layout, (1, 1))
    whole = range(2 * 41 * 49)
    (got,) = case.chained(WIDTHS[0], shares=((whole,),))
    assert np.array_equal(got, one_chain(case, [whole]))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("lanes", ["g", "x"])
def test_any_cut_of_a_chained_derivative_gives_the_same_bits(lanes: str, width: int) -> None:
    case = Case(LINES)
    want = case.chained(width, lanes=lanes)
    for how in (ChainCut(1, 1, 1), ChainCut(5, 5, 3), ChainCut(7, 14, 2), ChainCut(12, 48, 100)):
        assert np.array_equal(case.chained(width, lanes=lanes, how=how), want)
