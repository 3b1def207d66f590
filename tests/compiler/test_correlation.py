"""Convolutions as correlations of lines: right for every geometry, and nothing else is touched."""

from __future__ import annotations

import ctypes
import itertools
import mmap
import operator
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from tidu.backends import threads
from tidu.compiler import llvm
from tidu.compiler.correlation import (
    ChainCut,
    ChainedWeightParams,
    ChainTile,
    CorrelateParams,
    CorrelateWeightParams,
    Cut,
    Lines,
    Planes,
    Tile,
    Vector,
    WeightCut,
    WeightTile,
    chain_cut,
    chained_weight_text,
    correlate_text,
    correlate_weight_text,
    cut,
    in_lanes,
    pitches,
    planes,
    weight_cut,
)

ROOT = Path(__file__).parents[2]
Array = np.ndarray[Any, Any]
Place = Callable[[Array], Array]  # puts an array somewhere in memory
ELEMENTS = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


AnyTile = Tile | WeightTile | ChainTile
TEXTS: dict[type, Callable[[Any], str]] = {
    Tile: correlate_text,
    WeightTile: correlate_weight_text,
    ChainTile: chained_weight_text,
}


def kernel(tile: AnyTile) -> int:
    return loaded(type(tile), tile)


@cache
def loaded(kind: type, tile: AnyTile) -> int:
    """With the kind, since tuples of different kinds may be equal."""
    return llvm.load([llvm.compile_module(TEXTS[kind](tile))], [tile.name])[tile.name]


class Geometry(NamedTuple):
    """A convolution of some images; channels are those of one group."""

    sizes: tuple[int, ...]
    kernel: tuple[int, ...]
    rows: int = 4
    channels: int = 3
    images: int = 2
    groups: int = 1
    stride: tuple[int, ...] = (1, 1, 1)
    dilation: tuple[int, ...] = (1, 1, 1)
    pads: tuple[tuple[int, int], ...] = ((0, 0), (0, 0), (0, 0))

    @property
    def window(self) -> tuple[Any, ...]:
        d = len(self.sizes)
        return self.kernel, self.stride[:d], self.dilation[:d], self.pads[:d]

    @property
    def planes(self) -> Planes:
        return planes(self.sizes, *self.window)


GEOMETRIES = {
    "1d": Geometry((37,), (3,), rows=12, channels=5, pads=((1, 1),)),
    "1d with less than a vector": Geometry((3,), (2,), rows=7, channels=2),
    "2d": Geometry((9, 11), (3, 3), rows=9, pads=((1, 1), (1, 1))),
    "2d without pads": Geometry((9, 31), (3, 3), rows=16),
    "one row": Geometry((8, 8), (3, 3), rows=1, channels=1, pads=((1, 1), (1, 1))),
    "one tap": Geometry((7, 8), (1, 1), rows=5, channels=7),
    "even kernel, uneven pads": Geometry((7, 6), (2, 4), pads=((0, 1), (2, 1))),
    "more pads than windows need": Geometry((5, 5), (2, 2), pads=((3, 3), (4, 2))),
    "cropped": Geometry((9, 9), (2, 2), pads=((-1, -2), (-2, 1))),
    "3d": Geometry((4, 5, 6), (2, 3, 3), rows=3, channels=2, pads=((1, 0), (1, 1), (1, 1))),
    "dilation": Geometry((9, 12), (3, 2), dilation=(2, 3), pads=((2, 2), (1, 2))),
    "stride": Geometry((10, 11), (3, 3), rows=5, stride=(2, 2), pads=((1, 1), (1, 1))),
    "stride beyond the kernel": Geometry((11, 14), (2, 1), stride=(3, 2)),
    "stride and dilation": Geometry((17,), (3,), stride=(2,), dilation=(3,), pads=((3, 2),)),
    "3d stride": Geometry((5, 6, 7), (2, 2, 3), images=1, stride=(2, 1, 2), pads=((1, 1),) * 3),
    "groups": Geometry((6, 7), (3, 3), rows=2, channels=2, groups=3, pads=((1, 1), (1, 1))),
    "depthwise": Geometry((9, 9), (3, 3), rows=1, channels=1, groups=5, pads=((1, 1), (1, 1))),
    "several blocks of channels": Geometry((5, 7), (3, 3), rows=10, channels=70),
    "many taps": Geometry((20, 21), (18, 17), rows=3, channels=2),
    "a large image": Geometry((70, 90), (3, 3), rows=20, images=1, pads=((1, 1), (1, 1))),
}
CHAIN = 16  # channels
WIDTHS = [width for width in (64, 32, 16) if width <= llvm.vector_bytes()]
KINDS = [np.float32, np.float64]
everywhere = pytest.mark.parametrize("geometry", GEOMETRIES.values(), ids=list(GEOMETRIES))
vectors = pytest.mark.parametrize("width, kind", list(itertools.product(WIDTHS, KINDS)))


def windows(x: Array, geometry: Geometry) -> Array:
    """x (n, g, c, ...), padded, as (n, g, c, ..., taps), the taps with as many dimensions."""
    kernel, stride, dilation, pads = geometry.window
    padded = np.pad(x, [(0, 0)] * 3 + [(max(low, 0), max(high, 0)) for low, high in pads])
    for d, (low, high) in enumerate(pads):
        size = padded.shape[3 + d]
        kept = slice(max(-low, 0), size - max(-high, 0))
        padded = padded[(slice(None),) * (3 + d) + (kept,)]
    span = [(k - 1) * e + 1 for k, e in zip(kernel, dilation, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(padded, span, tuple(range(3, 3 + len(span))))
    steps = tuple(slice(None, None, s) for s in stride)
    taps = tuple(slice(None, None, e) for e in dilation)
    return view[(slice(None),) * 3 + steps + taps]


LETTERS = "ijk", "uvw"


def convolved(x: Array, w: Array, geometry: Geometry) -> Array:
    out, taps = (letters[: len(geometry.sizes)] for letters in LETTERS)
    return np.einsum(f"ngc{out}{taps},gqc{taps}->ngq{out}", windows(x, geometry), w, optimize=True)


def weight_derivative(x: Array, g: Array, geometry: Geometry) -> Array:
    out, taps = (letters[: len(geometry.sizes)] for letters in LETTERS)
    return np.einsum(f"ngc{out}{taps},ngq{out}->gqc{taps}", windows(x, geometry), g, optimize=True)


def input_derivative(g: Array, w: Array, geometry: Geometry) -> Array:
    """The derivative of each element, found by giving each tap's cotangents to its windows."""
    kernel, stride, dilation, pads = geometry.window
    lows, highs = ([max(0, pad[side]) for pad in pads] for side in (0, 1))
    shape = [low + s + high for low, s, high in zip(lows, geometry.sizes, highs, strict=True)]
    result = np.zeros((*g.shape[:2], w.shape[2], *shape))
    for tap in itertools.product(*map(range, kernel)):
        part = np.einsum("ngq...,gqc->ngc...", g, w[(..., *tap)])
        places = []
        for d, k in enumerate(tap):
            start = k * dilation[d] + max(0, -pads[d][0])
            places.append(slice(start, start + stride[d] * (g.shape[3 + d] - 1) + 1, stride[d]))
        result[(..., *places)] += part
    inner = tuple(slice(low, low + s) for low, s in zip(lows, geometry.sizes, strict=True))
    return result[(..., *inner)]


def laid_out(x: Array, layout: Planes, stride: tuple[int, ...]) -> Array:
    """x (n, g, c, ...) in planes: (n, g, c, phases, places)."""
    made = []
    for phases in itertools.product(*layout.phases):
        plane = np.zeros((*x.shape[:3], *layout.shape), x.dtype)
        inside, taken = [], []
        for phase, step in zip(phases, stride, strict=False):
            inside.append(slice(phase.zeros, phase.zeros + phase.size))
            taken.append(slice(phase.first, phase.first + phase.size * step, step))
            if not phase.size:
                taken[-1] = slice(0)
        plane[(..., *inside)] = x[(..., *taken)]
        made.append(plane.reshape(*x.shape[:3], prod(layout.shape)))
    return np.stack(made, axis=3)


def line_shape(layout: Planes) -> tuple[int, ...]:
    return (layout.extents[0], *layout.shape[1:])


def results(lines: Array, layout: Planes) -> Array:
    """Lines of results (..., places) without what is between the rows."""
    shaped = lines.reshape(*lines.shape[:-1], *line_shape(layout))
    return shaped[(..., *(slice(e) for e in layout.extents))]


def strides(array: Array, *dimensions: int) -> list[int]:
    return [array.strides[d] // array.itemsize for d in dimensions]


Params = CorrelateParams | CorrelateWeightParams | ChainedWeightParams
Shares = tuple[tuple[range, ...], ...]


def run(params: Params, address: int, arrays: list[Array]) -> None:
    table = np.array([0, 0, *(array.ctypes.data for array in arrays)])
    call = threads.Call(address, params.array(), params.units, False)
    threads.run(threads.NativeProgram([call]), table.ctypes.data)


def correlate(
    x: Array,
    a: Array,
    y: Array,
    positions: int,
    taps: tuple[int, ...],
    width: int,
    *,
    tap_parts: tuple[int, ...] = (),
    a_axes: tuple[int, int] = (1, 2),
    a_taps: tuple[int, ...] = (),
    bias: Array | None = None,
    accumulate: bool = False,
    how: Cut | None = None,
    chain: int = CHAIN,
) -> None:
    """x (n, g, c, phases, places) and a (g, q, c, taps) into y (n, g, q, places)."""
    vector = Vector(ELEMENTS[x.dtype], width)
    a_row, a_channel = a_axes
    images, groups, channels = x.shape[:3]
    rows = a.shape[a_row]
    a_taps = a_taps or tuple(range(len(taps)))
    tap_parts = tap_parts or (len(taps),)
    how = how or cut(vector, images, groups, rows, channels, tap_parts, positions, chain)
    params = CorrelateParams(
        2, 3, 4, images, groups, rows, channels, positions, taps, a_taps, tap_parts, how,
        *strides(x, 0, 1, 2), *strides(a, 0, a_row, a_channel), *strides(y, 0, 1, 2),
        bias_slot=0 if bias is None else 5, accumulate=int(accumulate),
    )  # fmt: skip
    arrays = [x, a, y] if bias is None else [x, a, y, bias]
    run(params, kernel(Tile(vector, how.tile_rows)), arrays)


def correlate_weight(
    x: Array, g: Array, geometry: Geometry, width: int, place: Place, how: WeightCut | None = None
) -> Array:
    """x (n, g, c, phases, places) and g (n, g, q, places) to (chunks, g, q, c, ...)."""
    layout, vector = geometry.planes, Vector(ELEMENTS[x.dtype], width)
    images, groups, channels = x.shape[:3]
    sizes = images, groups, g.shape[2], channels
    how = how or weight_cut(vector, *sizes, len(layout.taps), layout.positions)
    params = CorrelateWeightParams(
        2, 3, 4, *sizes, layout.extents, layout.pitches, layout.taps, how, vector.lanes,
        *strides(x, 0, 1, 2), *strides(g, 0, 1, 2),
    )  # fmt: skip
    shape = (params.chunks, groups, g.shape[2], channels, *geometry.kernel)
    w = place(np.full(shape, np.nan, x.dtype))
    run(params, kernel(WeightTile(vector, how.tile_rows, how.tile_columns)), [x, g, w])
    return w


def halves(positions: int) -> Shares:
    """Two shares, of one chain each."""
    return (range(positions // 2),), (range(positions // 2, positions),)


def ends(shares: Shares) -> tuple[tuple[tuple[int, int], ...], ...]:
    return tuple(tuple((chain.start, chain.stop) for chain in share) for share in shares)


def chained_weight(
    x: Array,
    g: Array,
    geometry: Geometry,
    width: int,
    place: Place,
    shares: Shares | None = None,
    how: ChainCut | None = None,
    lanes: str = "",
) -> Array:
    """x (n, g, c, phases, places) and g (n, g, q, places) to (shares, g, q, c, ...)."""
    layout, vector = geometry.planes, Vector(ELEMENTS[x.dtype], width)
    images, groups, channels = x.shape[:3]
    total = images * prod(layout.extents)
    shares = halves(total) if shares is None else shares
    of_x = Lines(channels, layout.taps, layout.extents, layout.pitches, *strides(x, 0, 1, 2))
    of_g = Lines(g.shape[2], (0,), layout.extents, layout.pitches, *strides(g, 0, 1, 2))
    sides = [(3, of_g, of_x.size), (2, of_x, 1)]
    if (lanes or in_lanes(vector, of_g.size, of_x.size)) == "x":
        sides.reverse()
    (a_slot, a, a_step), (b_slot, b, b_step) = sides
    how = how or chain_cut(vector, len(shares), groups, a.size, b.size, total)
    params = ChainedWeightParams(
        a_slot, b_slot, 4, images, groups, a, b, a_step, b_step, ends(shares), how, vector.lanes
    )
    w = place(
        np.full((len(shares), groups, g.shape[2], channels, *geometry.kernel), np.nan, x.dtype)
    )
    run(params, kernel(ChainTile(vector, how.tile_lines)), [x, g, w])
    return w


class Case:
    """Numbers for a geometry, and the lines in which they are stored."""

    def __init__(self, geometry: Geometry, kind: Any = np.float32, place: Place = np.array) -> None:
        rng = np.random.default_rng(0)
        n, groups, rows, channels = (
            getattr(geometry, name) for name in ("images", "groups", "rows", "channels")
        )
        self.geometry, self.layout, self.place = geometry, geometry.planes, place
        self.x = rng.standard_normal((n, groups, channels, *geometry.sizes)).astype(kind)
        self.w = place(rng.standard_normal((groups, rows, channels, *geometry.kernel)).astype(kind))
        self.g = rng.standard_normal((n, groups, rows, *self.layout.extents)).astype(kind)
        self.bias = place(rng.standard_normal((groups, rows)).astype(kind))
        lines = laid_out(self.x, self.layout, geometry.stride)
        if lines.shape[3] == 1:  # without what is behind the last place that a window sees
            lines = lines[..., : self.layout.positions + max(self.layout.taps)]
        self.lines = place(lines)

    def filled(self, number: float) -> Array:
        """Lines of results that end with the last position."""
        shape = (*self.g.shape[:3], self.layout.positions)
        return self.place(np.full(shape, number, self.x.dtype))

    def check(self, got: Array, want: Array, terms: int) -> None:
        tolerance = np.finfo(self.x.dtype).eps * (terms + 4)
        assert np.abs(got - want).max(initial=0.0) <= tolerance * np.abs(want).max(initial=1.0)

    def forward(self, width: int, **options: Any) -> Array:
        y = options.pop("y") if "y" in options else self.filled(np.nan)
        correlate(self.lines, self.w, y, self.layout.positions, self.layout.taps, width, **options)
        places = self.layout.result_places
        padded = np.full((*y.shape[:3], places), np.nan, y.dtype)
        padded[..., : y.shape[3]] = y
        return results(padded, self.layout)

    def want(self) -> Array:
        return convolved(self.x.astype(np.float64), self.w.astype(np.float64), self.geometry)

    def check_forward(self, width: int) -> None:
        terms = self.w[0, 0].size
        self.check(self.forward(width), self.want(), terms)
        biased = self.forward(width, bias=self.bias)
        bias = self.bias.reshape(1, *self.bias.shape, *(1,) * len(self.geometry.sizes))
        self.check(biased, self.want() + bias, terms)
        added = self.forward(width, y=self.filled(1.0), accumulate=True)
        self.check(added, self.want() + 1, terms)

    def g_lines(self) -> Array:
        """The cotangent with NaN between its rows."""
        shape = (*self.g.shape[:3], *line_shape(self.layout))
        lines = np.full(shape, np.nan, self.g.dtype)
        lines[(..., *(slice(e) for e in self.layout.extents))] = self.g
        flat = lines.reshape(*self.g.shape[:3], self.layout.result_places)
        return self.place(flat[..., : self.layout.positions])

    def weight_derivative(self, width: int, how: WeightCut | None = None) -> Array:
        return correlate_weight(self.lines, self.g_lines(), self.geometry, width, self.place, how)

    def chained(self, width: int, **options: Any) -> Array:
        return chained_weight(
            self.lines, self.g_lines(), self.geometry, width, self.place, **options
        )

    def check_weight_derivative(self, width: int) -> None:
        want = weight_derivative(
            self.x.astype(np.float64), self.g.astype(np.float64), self.geometry
        )
        for got in (
            self.weight_derivative(width),
            self.chained(width, lanes="g"),
            self.chained(width, lanes="x"),
        ):
            self.check(got.sum(0), want, self.g[:, 0, 0].size)

    def check_input_derivative(self, width: int) -> None:
        """For each phase of the input, the taps that meet it, mirrored."""
        want = input_derivative(self.g.astype(np.float64), self.w.astype(np.float64), self.geometry)
        got = np.zeros_like(self.x)
        _, stride, _, _ = self.geometry.window
        for phases in itertools.product(*map(range, stride)):
            self._input_phase(phases, got, width)
        self.check(got, want, self.w[0, :, 0].size)

    def _input_phase(self, phases: tuple[int, ...], into: Array, width: int) -> None:
        kernel, stride, dilation, pads = self.geometry.window
        steps: list[list[tuple[int, int]]] = []  # for each dimension: tap, and how far it reaches
        for d, phase in enumerate(phases):
            reach = ((k, k * dilation[d]) for k in range(kernel[d]))
            steps.append([(k, at // stride[d]) for k, at in reach if at % stride[d] == phase])
        if not all(steps):
            return
        windows, sizes, spots = [], [], []
        for d, phase in enumerate(phases):
            zeros = max(0, -(-(pads[d][0] - phase) // stride[d]))
            first = zeros * stride[d] + phase - pads[d][0]
            size = max(0, -(-(self.x.shape[3 + d] - first) // stride[d]))
            far = max(step for _, step in steps[d])
            extent = self.g.shape[3 + d]
            # Element m of the phase is seen by results m - step, for m from `zeros` on.
            windows.append((far - zeros, size + zeros - extent, far))
            sizes.append(size)
            spots.append(slice(first, first + size * stride[d], stride[d]))
        if 0 in sizes:
            return
        ones = (1,) * len(phases)
        cotangents = planes(
            self.g.shape[3:],
            [far + 1 for _, _, far in windows],
            ones,
            ones,
            [(low, high) for low, high, _ in windows],
        )
        assert cotangents.extents == tuple(sizes)
        x_taps, a_taps = [], []
        for choice in itertools.product(*steps):
            back = [far - step for (_, _, far), (_, step) in zip(windows, choice, strict=True)]
            x_taps.append(sum(map(operator.mul, back, cotangents.pitches)))
            a_taps.append(sum(map(operator.mul, [k for k, _ in choice], pitches(kernel))))
        lines = self.place(laid_out(self.g, cotangents, ones))
        shape = (*self.x.shape[:3], cotangents.result_places)
        y = self.place(np.full(shape, np.nan, self.x.dtype))
        correlate(
            lines, self.w, y, cotangents.positions, tuple(x_taps), width,
            a_axes=(2, 1), a_taps=tuple(a_taps),
        )  # fmt: skip
        into[(..., *spots)] = results(y, cotangents)


@everywhere
@vectors
def test_convolutions_agree_with_numpy(geometry: Geometry, width: int, kind: Any) -> None:
    Case(geometry, kind).check_forward(width)


@everywhere
@vectors
def test_derivatives_in_the_weights_agree_with_numpy(
    geometry: Geometry, width: int, kind: Any
) -> None:
    Case(geometry, kind).check_weight_derivative(width)


@everywhere
def test_derivatives_in_the_input_are_correlations_too(geometry: Geometry) -> None:
    Case(geometry).check_input_derivative(WIDTHS[0])


LINES = Geometry((6, 7), (3, 3), rows=9, channels=5, images=3, groups=2, pads=((1, 1), (1, 1)))


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


def guarded(array: Array, at_end: bool) -> Array:
    """A copy that ends where a page begins that nobody may touch, or begins where one ends."""
    page = mmap.PAGESIZE
    size = max(1, -(-array.nbytes // page)) * page
    memory = mmap.mmap(-1, size + 2 * page)
    address = np.frombuffer(memory, np.uint8).ctypes.data
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for forbidden in (address, address + page + size):
        if protect(ctypes.c_void_p(forbidden), ctypes.c_size_t(page), 0):
            raise OSError(ctypes.get_errno(), "mprotect")
    start = page + (size - array.nbytes if at_end else 0)
    inside = np.frombuffer(memory, array.dtype, array.size, start).reshape(array.shape)
    inside[...] = array
    return inside


def touch_everything() -> None:
    """All kernels with forbidden pages beside each array: a kernel that leaves one is killed."""
    for geometry, width, at_end in itertools.product(GEOMETRIES.values(), WIDTHS, (True, False)):
        case = Case(geometry, place=lambda array: guarded(array, at_end))
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
    case = Case(GEOMETRIES["2d"], place=lambda array: guarded(array, True))
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
