"""Geometries of convolutions, what NumPy makes of them, and how the kernels are run."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable
from functools import cache
from math import prod
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
any_vector = pytest.mark.parametrize("width, kind", list(itertools.product(WIDTHS, KINDS)))


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


LINES = Geometry((6, 7), (3, 3), rows=9, channels=5, images=3, groups=2, pads=((1, 1), (1, 1)))
