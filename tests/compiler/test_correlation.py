"""Convolutions as correlations of lines: right for every geometry, and nothing else is touched."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.compiler.correlations import (
    CHAIN,
    GEOMETRIES,
    LETTERS,
    LINES,
    WIDTHS,
    Array,
    Case,
    Geometry,
    any_vector,
    ends,
    everywhere,
    halves,
    kernel,
    laid_out,
    results,
    run,
    strides,
    weight_derivative,
    windows,
)
from tests.compiler.guarded import guarded
from tidu.backends import threads
from tidu.compiler.correlation import (
    ChainedWeightParams,
    ChainTile,
    CorrelateParams,
    CorrelateWeightParams,
    Cut,
    Lines,
    Tile,
    Vector,
    WeightCut,
    WeightTile,
    chain_cut,
    cut,
    planes,
    weight_cut,
)

ROOT = Path(__file__).parents[2]


@everywhere
@any_vector
def test_convolutions_agree_with_numpy(geometry: Geometry, width: int, kind: Any) -> None:
    Case(geometry, kind).check_forward(width)


@everywhere
@any_vector
def test_derivatives_in_the_weights_agree_with_numpy(
    geometry: Geometry, width: int, kind: Any
) -> None:
    Case(geometry, kind).check_weight_derivative(width)


@everywhere
def test_derivatives_in_the_input_are_correlations_too(geometry: Geometry) -> None:
    Case(geometry).check_input_derivative(WIDTHS[0])


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("tile_rows", range(1, 9))
def test_any_cut_of_a_correlation_gives_the_same(tile_rows: int, width: int) -> None:
    case = Case(LINES)
    for sizes in ((1, 5, 1, 1, 1), (2, 17, 3, 7, 3), (3, 46, 5, 46, 100), (2, 46, 5, 4, 2)):
        how = Cut(tile_rows, *sizes)
        case.check(case.forward(width, how=how), case.want(), 45)
        case.check(case.forward(width, how=how, tap_parts=(2, 6, 1)), case.want(), 45)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("tile", [(1, 1), (1, 8), (3, 3), (2, 5), (4, 6), (5, 2), (8, 3)])
def test_any_cut_of_a_derivative_gives_the_same(tile: tuple[int, int], width: int) -> None:
    case = Case(LINES)
    want = weight_derivative(case.x.astype(np.float64), case.g.astype(np.float64), LINES)
    for images, vectors, columns, together in ((1, 1, 1, 1), (2, 2, 2, 3), (3, 50, 50, 100)):
        lengths = vectors * width // 4, columns * tile[1]
        got = case.weight_derivative(width, WeightCut(*tile, images, *lengths, together))
        case.check(got.sum(0), want, 126)


@pytest.mark.parametrize("name", ["2d", "several blocks of channels", "a large image", "groups"])
def test_the_bits_are_the_same_on_any_number_of_threads(name: str) -> None:
    before = threads.get_num_threads()
    case = Case(GEOMETRIES[name]._replace(images=5))
    bits = set()
    for workers in (1, 2, 3, 8, 1):
        threads.set_num_threads(workers)
        arrays = (
            case.forward(WIDTHS[0]),
            case.weight_derivative(WIDTHS[0]),
            case.chained(WIDTHS[0]),
        )
        bits.add(tuple(array.tobytes() for array in arrays))
    threads.set_num_threads(before)
    assert len(bits) == 1


@everywhere
def test_only_positions_are_written(geometry: Geometry) -> None:
    case = Case(geometry)
    positions = case.layout.positions
    shape = (*case.g.shape[:3], positions + 5)
    for width in WIDTHS:
        whole = np.full(shape, np.nan, np.float32)
        case.check(case.forward(width, y=whole[..., :positions]), case.want(), case.w[0, 0].size)
        assert np.isfinite(whole[..., :positions]).all()
        assert np.isnan(whole[..., positions:]).all()


@pytest.mark.parametrize("name", ["2d", "2d without pads", "3d", "stride", "dilation"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_what_is_not_finite_reaches_what_sees_it_and_nothing_else(name: str, wrong: float) -> None:
    geometry = GEOMETRIES[name]
    for corner in (0, -1):
        case = Case(geometry)
        x = case.x.copy()
        x[(1, 0, 1) + (corner,) * len(geometry.sizes)] = wrong
        case.lines = laid_out(x, case.layout, geometry.stride)
        y = case.forward(WIDTHS[0])
        weights = [case.weight_derivative(WIDTHS[0]), case.chained(WIDTHS[0])]
        with np.errstate(invalid="ignore"):
            seen = windows(x, geometry)
            want_w = weight_derivative(x, case.g, geometry)
        letters = LETTERS[0][: len(geometry.sizes)]
        touched = ~np.isfinite(seen).all(axis=tuple(range(-len(geometry.sizes), 0)))
        assert np.array_equal(
            ~np.isfinite(y), np.broadcast_to(touched.any(2, keepdims=True), y.shape)
        ), letters
        for w in weights:
            assert np.array_equal(np.isfinite(w.sum(0)), np.isfinite(want_w))


def test_a_sum_over_no_channels_is_the_bias() -> None:
    case = Case(Geometry((5, 6), (3, 3), channels=0, rows=3))
    assert not case.forward(WIDTHS[0]).any()
    biased = case.forward(WIDTHS[0], bias=case.bias)
    assert np.array_equal(biased, np.broadcast_to(case.bias[:, :, None, None], biased.shape))
    assert case.weight_derivative(WIDTHS[0]).size == case.chained(WIDTHS[0]).size == 0


def test_no_images_are_no_units() -> None:
    case = Case(Geometry((5, 6), (3, 3), images=0))
    assert case.forward(WIDTHS[0]).size == 0
    assert not case.weight_derivative(WIDTHS[0]).sum(0).any()
    assert not case.chained(WIDTHS[0], shares=((),)).any()


def test_offsets_are_in_elements() -> None:
    case = Case(LINES)
    want = case.forward(WIDTHS[0], bias=case.bias)
    want_w = case.weight_derivative(WIDTHS[0])
    vector, layout = Vector("float", WIDTHS[0]), case.layout
    arrays = {"x": case.lines, "a": case.w, "y": case.filled(0), "bias": case.bias}
    flat = np.concatenate([np.full(7, np.nan, np.float32), *map(np.ravel, arrays.values())])
    ends = 7 + np.cumsum([array.size for array in arrays.values()])
    offsets = {f"{name}_offset": int(end) - arrays[name].size for name, end in zip(arrays, ends)}
    y_at = slice(offsets["y_offset"], offsets["y_offset"] + arrays["y"].size)
    flat[y_at] = np.nan
    how = cut(vector, 3, 2, 9, 5, (9,), layout.positions, CHAIN)
    params = CorrelateParams(
        2, 2, 2, 3, 2, 9, 5, layout.positions, layout.taps, tuple(range(9)), (9,), how,
        *strides(case.lines, 0, 1, 2), *strides(case.w, 0, 1, 2), *strides(arrays["y"], 0, 1, 2),
        bias_slot=2, **offsets,
    )  # fmt: skip
    run(params, kernel(Tile(vector, how.tile_rows)), [flat])
    y = np.zeros((3, 2, 9, layout.result_places), np.float32)
    y[..., : layout.positions] = flat[y_at].reshape(arrays["y"].shape)
    assert np.array_equal(results(y, layout), want)

    g, w_offset = case.g_lines(), 11
    flat = np.concatenate([case.lines.ravel(), g.ravel(), np.zeros(11 + case.w.size, np.float32)])
    weights = weight_cut(vector, 3, 2, 9, 5, 9, layout.positions)
    w_offset += case.lines.size + g.size
    derivative = CorrelateWeightParams(
        2, 2, 2, 3, 2, 9, 5, layout.extents, layout.pitches, layout.taps, weights, vector.lanes,
        *strides(case.lines, 0, 1, 2), *strides(g, 0, 1, 2),
        g_offset=case.lines.size, w_offset=w_offset,
    )  # fmt: skip
    assert derivative.chunks == 1
    tile = WeightTile(vector, weights.tile_rows, weights.tile_columns)
    run(derivative, kernel(tile), [flat])
    assert np.array_equal(flat[w_offset:].reshape(want_w.shape), want_w)

    flat[w_offset:] = 0
    want_w = case.chained(WIDTHS[0], lanes="g", shares=((range(126),),))
    rows = layout.extents, layout.pitches
    of_x = Lines(5, layout.taps, *rows, *strides(case.lines, 0, 1, 2))
    of_g = Lines(9, (0,), *rows, *strides(g, 0, 1, 2), case.lines.size)
    chosen = chain_cut(vector, 1, 2, 9, 45, 126)
    chained = ChainedWeightParams(
        2, 2, 2, 3, 2, of_g, of_x, 45, 1, (((0, 126),),), chosen, vector.lanes, w_offset
    )
    run(chained, kernel(ChainTile(vector, chosen.tile_lines)), [flat])
    assert np.array_equal(flat[w_offset:].reshape(want_w.shape), want_w)


def beside_forbidden(array: Array, at_end: bool) -> Array:
    """A copy that ends where a page begins that nobody may touch, or begins where one ends."""
    copy = guarded(array.shape, array.dtype, at_end=at_end)
    copy[...] = array
    return copy


def touch_everything() -> None:
    """All kernels with forbidden pages beside each array: a kernel that leaves one is killed."""
    for geometry, width, at_end in itertools.product(GEOMETRIES.values(), WIDTHS, (True, False)):
        case = Case(geometry, place=lambda array: beside_forbidden(array, at_end))
        case.check_forward(width)
        case.check_weight_derivative(width)
        case.check_input_derivative(width)


@pytest.mark.skipif(sys.platform != "linux", reason="protects pages as Linux does")
@pytest.mark.parametrize("outside", [False, True])
def test_nothing_outside_of_the_arrays_is_touched(outside: bool) -> None:
    name = "touch_everything() or print('done')" if not outside else "touch_outside()"
    script = f"from tests.compiler.test_correlation import *; {name}"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert (done.returncode < 0) == outside, done.stdout + done.stderr
    assert done.stdout == ("" if outside else "done\n"), done.stdout + done.stderr


def touch_outside() -> None:
    """Shows that the forbidden pages are forbidden: the windows see one number too many."""
    case = Case(GEOMETRIES["2d"], place=lambda array: beside_forbidden(array, True))
    taps = (*case.layout.taps[:-1], case.layout.taps[-1] + 1)
    case.layout = case.layout._replace(taps=taps)
    case.forward(WIDTHS[0])


SIZES = [1, 3, 12, 16, 64, 200]


def test_cuts_make_useful_units() -> None:
    vector = Vector("float", 64)
    for rows, channels, taps in itertools.product(SIZES, SIZES, (1, 9)):
        for images, positions in itertools.product((1, 7, 64), (1, 30, 1000, 60_000)):
            sizes = (images, 1, rows, channels)
            how = cut(vector, *sizes, (taps,), positions, CHAIN)
            places = tuple(range(taps))
            forward = CorrelateParams(0, 0, 0, *sizes, positions, places, places, (taps,), how)
            weights = weight_cut(vector, *sizes, taps, positions)
            line = (positions,), (1,)
            backward = CorrelateWeightParams(0, 0, 0, *sizes, *line, places, weights, 16)
            work = 2 * images * rows * channels * taps * positions
            chosen = chain_cut(vector, 2, 1, rows, channels * taps, images * positions)
            x, g = (Lines(n, (0,), *line, 0, 0, 0) for n in (channels * taps, rows))
            shares = ends(halves(images * positions))
            chained = ChainedWeightParams(
                0, 0, 0, images, 1, g, x, channels * taps, 1, shares, chosen, 16
            )
            for params in (forward, backward, chained):
                # With few lines in lanes, or few beside them, chains are slow, or cannot be shared.
                slow, few = (params is chained and n for n in (rows < 12, channels * taps <= 200))
                if work <= 500_000 and positions > 16 and not slow:
                    assert params.units == 1, "waking a thread costs more than this"
                if work >= 300_000_000 and not few:
                    assert params.units >= 8, ("too few units for eight workers", params)


def test_rows_share_the_zeros_between_them() -> None:
    layout = planes((8, 8), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)))
    assert layout.shape == (11, 9)
    assert layout.extents == (8, 8)
    assert layout.taps == (0, 1, 2, 9, 10, 11, 18, 19, 20)
    assert (layout.positions, layout.places, layout.result_places) == (71, 99, 72)


def test_phases_take_every_element_that_windows_see_once() -> None:
    layout = planes((7,), (3,), (2,), (1,), ((1, 1),))
    assert layout.phases == ((((1, 1, 3)), ((0, 0, 4))),)
    assert layout.taps == (0, layout.shape[0], 1)
