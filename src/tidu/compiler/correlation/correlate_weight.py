"""The derivative of a correlation in its weights: w[q, c, t] = Σ g[n, q, p] · x[n, c, p + t].

A tile is some rows of q times some of k = (c, t), a vector of sums for each pair. They stay in
registers over all positions of all images of a piece, and are added up across their lanes at its
end. Positions between the rows of an image count for nothing, whatever is stored there.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidu.compiler.correlation.cutting import enough_units, piece_work, pieces_together
from tidu.compiler.correlation.planes import positions
from tidu.compiler.correlation.vectors import BYTES, Vector, sizes_text
from tidu.compiler.gemm import ceiling, even_part

_MOST = 8  # rows or columns of a tile
# Bytes of g that are read again and again from the second cache.
_CACHED = 256 << 10
# Vectors of positions for which it pays to add up the lanes of the sums.
_WORTH_ADDING = 64


class WeightTile(NamedTuple):
    """What distinguishes one kernel from another."""

    vector: Vector
    rows: int  # of q
    columns: int  # of k

    @property
    def name(self) -> str:
        kind = f"float{BYTES[self.vector.element] * 8}"
        return f"tidu_correlate_weight_{kind}_{self.rows}x{self.columns}x{self.vector.lanes}"


class WeightCut(NamedTuple):
    """How the derivative is cut. A chunk is some images; a piece is a row of tiles for a chunk."""

    tile_rows: int
    tile_columns: int
    chunk_images: int
    chunk_positions: int  # a multiple of the vector's lanes, unless it is all
    piece_columns: int  # of k; a multiple of the tile's, unless it is all
    together: int  # how many pieces one unit makes


class CorrelateWeightParams(NamedTuple):
    """The parameters of the kernel. Offsets and strides are in elements.

    In their buffers, x[image, group, channel, position + tap], g[image, group, row, position] and
    w[chunk, group, row, channel, tap] are the elements

        x_offset + image * x_image + group * x_group + channel * x_channel + position + x_taps[tap]
        g_offset + image * g_image + group * g_group + row * g_row + position
        w_offset + (((chunk * groups + group) * rows + row) * channels + channel) * taps + tap
    """

    x_slot: int  # where the table has the address of each array
    g_slot: int
    w_slot: int
    images: int
    groups: int
    rows: int  # channels of g in a group
    channels: int  # of x in a group
    extents: tuple[int, ...]  # positions are the sums of index * pitch for all indices below these
    pitches: tuple[int, ...]
    x_taps: tuple[int, ...]
    cut: WeightCut
    lanes: int
    x_image: int = 0
    x_group: int = 0
    x_channel: int = 0
    g_image: int = 0
    g_group: int = 0
    g_row: int = 0
    x_offset: int = 0
    g_offset: int = 0
    w_offset: int = 0

    @property
    def positions(self) -> int:
        return positions(self.extents, self.pitches)

    @property
    def position_chunks(self) -> int:
        return ceiling(self.positions, self.cut.chunk_positions)

    @property
    def chunks(self) -> int:
        """How many partial results there are. The caller adds them up."""
        return ceiling(self.images, self.cut.chunk_images) * self.position_chunks

    @property
    def columns(self) -> int:
        return self.channels * len(self.x_taps)

    @property
    def pieces(self) -> int:
        """Columns are numbered fastest, then rows, then groups."""
        return (
            self.chunks
            * self.groups
            * ceiling(self.rows, self.cut.tile_rows)
            * ceiling(self.columns, self.cut.piece_columns)
        )

    @property
    def description(self) -> str:
        return sizes_text(
            self.images, self.groups, self.rows, self.channels, self.positions, self.x_taps
        )

    @property
    def units(self) -> int:
        """What the workers share: pieces, `together` at a time."""
        return ceiling(self.pieces, self.cut.together)

    def array(self) -> npt.NDArray[np.int64]:
        """What the kernel gets as `params`: numbers, taps, and a mask for each vector of p."""
        numbers = [getattr(self, name) for name in (*_NUMBERS, *_DERIVED)]
        head = [*numbers, *self.cut, len(self.x_taps), *self.x_taps]
        masks = _masks(self.extents, self.pitches, self.lanes)
        return np.concatenate([np.array(head, np.int64), masks])


_TUPLES = ("extents", "pitches", "x_taps", "cut")
_NUMBERS = [name for name in CorrelateWeightParams._fields if name not in _TUPLES]
_DERIVED = ["positions", "position_chunks", "columns", "pieces"]
FIELDS = [*_NUMBERS, *_DERIVED, *WeightCut._fields, "taps"]


def _masks(extents: tuple[int, ...], pitches: tuple[int, ...], lanes: int) -> npt.NDArray[np.int64]:
    """One bit for each position that counts; a vector of few lanes has a byte of its own."""
    places = np.zeros(1, np.int64)
    for extent, pitch in zip(extents, pitches, strict=True):
        places = (places[:, None] + np.arange(extent) * pitch).ravel()
    vectors = ceiling(positions(extents, pitches), lanes)
    bits = np.zeros((vectors, lanes), np.bool_)
    bits.ravel()[places] = True
    packed = np.packbits(bits, axis=1, bitorder="little").ravel()
    masks = np.zeros(ceiling(packed.size, 8) * 8, np.uint8)
    masks[: packed.size] = packed
    return masks.view(np.int64)


def weight_cut(
    vector: Vector, images: int, groups: int, rows: int, channels: int, taps: int, positions: int
) -> WeightCut:
    """A good way to cut such a derivative. It depends on nothing but the arguments."""
    images, groups, rows, channels = (max(1, size) for size in (images, groups, rows, channels))
    columns = channels * taps
    height, width = weight_tile(vector, rows, columns)
    tiles = groups * ceiling(rows, height) * ceiling(columns, width)
    vectors = ceiling(positions, vector.lanes)
    total = tiles * images * vectors * height * width
    # The rows of g that a row of tiles needs should be cached, and there should be enough tiles.
    cached = _CACHED // (BYTES[vector.element] * vector.lanes * height)
    share = images * vectors * tiles // enough_units(total)
    longest = max(_WORTH_ADDING, min(cached, share))
    several, length = 1, even_part(positions, longest * vector.lanes, vector.lanes)
    if length >= positions:
        several = even_part(images, longest // vectors, 1)
    tile = height * width * several * ceiling(length, vector.lanes)
    piece = even_part(columns, width * max(1, piece_work(total) // tile), width)
    chunks = ceiling(images, several) * ceiling(positions, length)
    pieces = chunks * groups * ceiling(rows, height) * ceiling(columns, piece)
    return WeightCut(height, width, several, length, piece, pieces_together(pieces, total))


def weight_tile(vector: Vector, rows: int, columns: int) -> tuple[int, int]:
    """The rows and columns of tiles with which least time is spent.

    A vector of positions takes a product for each pair, and a load for each row and column.
    """

    def cost(tile: tuple[int, int]) -> int:
        height, width = tile
        return ceiling(rows, height) * ceiling(columns, width) * (height * width + height + width)

    def fits(tile: tuple[int, int]) -> bool:
        height, width = tile
        return height * width + min(tile) + 2 <= vector.registers

    sizes = range(1, _MOST + 1)
    return min(filter(fits, itertools.product(sizes, sizes)), key=cost)
