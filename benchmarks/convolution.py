"""Direct convolution against im2col and OpenBLAS, in GFLOP/s.

    python benchmarks/convolution.py [--rounds 20]

For each shape (images, channels, height, width, rows of the weight, its height and width; "same"
padding), on one core and on all of them:

- `y`: the convolution, and with other sizes its derivative in the input;
- `w`: its derivative in the weight;
- `product`: the matrix product of the weight and the windows, of each image, by OpenBLAS;
- `im2col`: the same with the copy of the windows, made by NumPy on one core.

Only what a convolution has to do is counted, twice the products. Each figure is the best of several
rounds, in which everything is measured in turn.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from harness import print_table

from tidu.backends import threads
from tidu.backends.blas import blas_address
from tidu.base.dtypes import float32
from tidu.compiler import cache, gemm, llvm
from tidu.compiler.correlation import (
    CorrelateParams,
    CorrelateWeightParams,
    Planes,
    Tile,
    Vector,
    WeightTile,
    correlate_text,
    correlate_weight_text,
    cut,
    planes,
    weight_cut,
)

Array = np.ndarray[Any, Any]
SECONDS = 0.003  # of one measurement, or one run


class Shape(NamedTuple):
    images: int
    channels: int
    height: int
    width: int
    rows: int
    kernel: tuple[int, int]

    def __str__(self) -> str:
        height, width = self.kernel
        sizes = (self.images, self.channels, self.height, self.width, self.rows)
        return f"{', '.join(map(str, sizes))}, {height}x{width}"

    @property
    def operations(self) -> int:
        """With "same" padding there are as many results as inputs."""
        results = self.images * self.rows * self.height * self.width
        return 2 * results * self.channels * math.prod(self.kernel)


SHAPES = (
    Shape(32, 16, 32, 32, 16, (3, 3)),
    Shape(32, 32, 16, 16, 32, (3, 3)),
    Shape(32, 64, 8, 8, 64, (3, 3)),
    Shape(64, 1, 28, 28, 16, (5, 5)),
    Shape(64, 16, 14, 14, 32, (5, 5)),
    Shape(32, 64, 1, 100, 12, (1, 3)),
    Shape(32, 160, 1, 100, 12, (1, 3)),
    Shape(32, 160, 1, 12, 12, (1, 3)),
    Shape(16, 128, 28, 28, 128, (3, 3)),
    Shape(1, 3, 224, 224, 16, (3, 3)),
    Shape(32, 64, 16, 16, 128, (1, 1)),
    Shape(16, 256, 14, 14, 256, (1, 1)),
)


class Program(NamedTuple):
    """One native kernel with its arrays."""

    native: threads.NativeProgram
    table: Array
    arrays: tuple[Array, ...]  # kept alive

    @classmethod
    def of(cls, text: str, name: str, params: Any, *arrays: Array) -> Program:
        address = llvm.load([cache.object_code(text)], [name])[name]
        group = threads.Group(params.units, False, [(address, params.array())])
        table = np.array([0, 0, *(array.ctypes.data for array in arrays)])
        return cls(threads.NativeProgram([group]), table, arrays)

    def __call__(self) -> None:
        threads.run(self.native, self.table.ctypes.data)


def correlation(shape: Shape, layout: Planes, x: Array, w: Array, g: Array) -> Program:
    vector = Vector("float", llvm.vector_bytes())
    sizes = shape.images, 1, shape.rows, shape.channels
    taps = len(layout.taps)
    how = cut(vector, *sizes, taps, layout.positions)
    params = CorrelateParams(
        2, 3, 4, *sizes, layout.positions, layout.taps, tuple(range(taps)), how,
        x_image=x[0].size, x_channel=x[0, 0].size, a_row=w[0].size, a_channel=taps,
        y_image=g[0].size, y_row=g[0, 0].size,
    )  # fmt: skip
    tile = Tile(vector, how.tile_rows)
    return Program.of(correlate_text(tile), tile.name, params, x, w, np.empty_like(g))


def weight_derivative(shape: Shape, layout: Planes, x: Array, w: Array, g: Array) -> Program:
    vector = Vector("float", llvm.vector_bytes())
    sizes = shape.images, 1, shape.rows, shape.channels
    how = weight_cut(vector, *sizes, len(layout.taps), layout.positions)
    params = CorrelateWeightParams(
        2, 3, 4, *sizes, layout.extents, layout.pitches, layout.taps, how, vector.lanes,
        x_image=x[0].size, x_channel=x[0, 0].size, g_image=g[0].size, g_row=g[0, 0].size,
    )  # fmt: skip
    tile = WeightTile(vector, how.tile_rows, how.tile_columns)
    partial = np.empty((params.chunks, *w.shape), np.float32)
    return Program.of(correlate_weight_text(tile), tile.name, params, x, g, partial)


def windows(x: Array, shape: Shape) -> Array:
    """The windows of padded images: a view (images, channels, kernel, kernel, height, width)."""
    pads = [((k - 1) // 2, k // 2) for k in shape.kernel]
    padded = np.pad(x, [(0, 0), (0, 0), *pads])
    view = np.lib.stride_tricks.sliding_window_view(padded, shape.kernel, (2, 3))
    return view.transpose(0, 1, 4, 5, 2, 3)


def product(shape: Shape, columns: Array, w: Array) -> Program:
    m, (k, n) = shape.rows, columns.shape[1:]
    params = gemm.GemmParams(
        *blas_address(float32), 2, 3, 4, m, n, k, k, n, n, *gemm.panels(m, n, k, shape.images),
        batch0=shape.images, b_stride0=k * n, c_stride0=m * n,
    )  # fmt: skip
    y = np.empty((shape.images, m, n), np.float32)
    return Program.of(gemm.text(), gemm.NAMES["float"], params, w, columns, y)


def contestants(shape: Shape) -> dict[str, Callable[[], object]]:
    rng = np.random.default_rng(0)
    pads = [((k - 1) // 2, k // 2) for k in shape.kernel]
    image = (shape.height, shape.width)
    layout = planes(image, shape.kernel, (1, 1), (1, 1), pads)
    x = rng.standard_normal((shape.images, shape.channels, *image), np.float32)
    behind = [s - low - n for s, (low, _), n in zip(layout.shape, pads, image, strict=True)]
    around = [(low, high) for (low, _), high in zip(pads, behind, strict=True)]
    lines = np.pad(x, [(0, 0), (0, 0), *around])
    w = rng.standard_normal((shape.rows, shape.channels, *shape.kernel), np.float32)
    g = rng.standard_normal((shape.images, shape.rows, layout.result_places), np.float32)
    seen = windows(x, shape)
    columns = seen.copy()
    by_blas = product(shape, columns.reshape(shape.images, -1, math.prod(image)), w)

    def with_copy() -> None:
        columns[...] = seen
        by_blas()

    return {
        "y": correlation(shape, layout, lines, w, g),
        "w": weight_derivative(shape, layout, lines, w, g),
        "product": by_blas,
        "im2col": with_copy,
    }


def seconds(work: Callable[[], object]) -> float:
    """What one of several runs takes, as many as fill the time of a measurement."""
    runs, start = 0, time.perf_counter()
    while True:
        work()
        runs += 1
        spent = time.perf_counter() - start
        if spent >= SECONDS:
            return spent / runs


def rates(shape: Shape, rounds: int) -> list[float]:
    """GFLOP/s of each contestant on one core, and then on all."""
    found = contestants(shape)
    cores = threads.get_num_threads()
    best = {}
    for count in (1, cores):
        threads.set_num_threads(count)
        for _ in range(rounds):
            for name, work in found.items():
                best[count, name] = min(best.get((count, name), math.inf), seconds(work))
    return [shape.operations / best[n, name] / 1e9 for n in (1, cores) for name in found]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    names = ("y", "w", "product", "im2col")
    cores = threads.get_num_threads()
    header = ["shape", *names, *(f"{name} ({cores} cores)" for name in names)]
    rows = [[str(s), *(f"{rate:.0f}" for rate in rates(s, rounds))] for s in SHAPES]
    print_table(header, rows)


if __name__ == "__main__":
    main()
