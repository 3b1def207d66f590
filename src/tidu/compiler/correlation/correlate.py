"""The correlation of planes with weights: y[n, q, p] = Σ over c, t of a[q, c, t] · x[n, c, p + t].

A tile of y is some rows of q times some vectors of neighboring p; it stays in registers while the
sum runs over k. The weights of a block of k are packed first, so that those of one k are neighbors,
and speed does not depend on how they are stored.

A sum is made of chains, each over k = (t, c) for some neighbors among the taps t and some channels
c. One that is longer than a block goes on where the block before it stopped, if it is the first;
else its blocks are chains.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidu.compiler.correlation.cutting import piece_work, pieces_together
from tidu.compiler.correlation.vectors import BYTES, Vector, sizes_text
from tidu.compiler.gemm import ceiling, even_part

# The greatest block of k: what is packed of it lies on the stack.
MOST_DEPTH = 1024
_MOST_ROWS = 8
_MOST_VECTORS = 6
# Bytes of the planes of x in a block of k, which are read once for every tile.
_CACHED = 384 << 10
# Vectors of p for which it pays to pack the weights.
_WORTH_PACKING = 64


class Cut(NamedTuple):
    """How a correlation is cut. A piece is one row of tiles, for some images and positions."""

    tile_rows: int
    piece_images: int
    piece_positions: int
    chain: int  # channels of x that a chain takes
    depth: int  # the greatest block of k in a chain
    together: int  # how many pieces one unit makes


class CorrelateParams(NamedTuple):
    """The parameters of the kernel. Offsets and strides are in elements.

    In their buffers, x[image, group, channel, position + tap], a[group, row, channel, tap],
    y[image, group, row, position] and bias[group, row] are the elements

        x_offset + image * x_image + group * x_group + channel * x_channel + position + x_taps[tap]
        a_offset + group * a_group + row * a_row + channel * a_channel + a_taps[tap]
        y_offset + image * y_image + group * y_group + row * y_row + position
        bias_offset + group * rows + row
    """

    x_slot: int  # where the table has the address of each array
    a_slot: int
    y_slot: int
    images: int
    groups: int
    rows: int  # channels of y in a group
    channels: int  # of x in a group
    positions: int
    x_taps: tuple[int, ...]
    a_taps: tuple[int, ...]
    tap_parts: tuple[int, ...]  # how many taps share chains; all taps are in one of the parts
    cut: Cut
    x_image: int = 0
    x_group: int = 0
    x_channel: int = 0
    a_group: int = 0
    a_row: int = 0
    a_channel: int = 0
    y_image: int = 0
    y_group: int = 0
    y_row: int = 0
    x_offset: int = 0
    a_offset: int = 0
    y_offset: int = 0
    bias_slot: int = 0  # 0: no bias
    bias_offset: int = 0
    bias_begins: int = 0  # the first chain starts with the bias, which is added to it otherwise
    accumulate: int = 0  # y += instead of y =

    @property
    def pieces(self) -> int:
        """Rows are numbered fastest, then positions, then images."""
        return (
            self.groups
            * ceiling(self.images, self.cut.piece_images)
            * ceiling(self.positions, self.cut.piece_positions)
            * ceiling(self.rows, self.cut.tile_rows)
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
        """What the kernel gets as `params`: numbers, those of x and a for each tap, and parts."""
        assert len(self.x_taps) == len(self.a_taps) >= 1, self
        assert sum(self.tap_parts) == len(self.x_taps), self
        assert 1 <= self.cut.depth <= MOST_DEPTH and self.cut.chain >= 1, self
        numbers = [getattr(self, name) for name in _NUMBERS]
        numbers += [*self.cut, self.pieces, len(self.x_taps), len(self.tap_parts)]
        taps = [tap for both in zip(self.x_taps, self.a_taps, strict=True) for tap in both]
        return np.array([*numbers, *taps, *self.tap_parts], np.int64)


_TUPLES = ("x_taps", "a_taps", "tap_parts", "cut")
_NUMBERS = [name for name in CorrelateParams._fields if name not in _TUPLES]
FIELDS = [*_NUMBERS, *Cut._fields, "pieces", "taps", "parts"]


class Tile(NamedTuple):
    """What distinguishes one kernel from another."""

    vector: Vector
    rows: int

    @property
    def vectors(self) -> int:
        """Of the greatest tile; the kernel has smaller ones for the rest of a row."""
        return tile_vectors(self.vector, self.rows)

    @property
    def name(self) -> str:
        kind = f"float{BYTES[self.vector.element] * 8}"
        return f"tidu_correlate_{kind}_{self.rows}x{self.vectors}x{self.vector.lanes}"


def tile_vectors(vector: Vector, rows: int) -> int:
    """As many as there are registers for, beside those of x, one of the weights, and a mask."""
    return min(_MOST_VECTORS, (vector.registers - 2) // (rows + 1))


def tile_rows(vector: Vector, rows: int) -> int:
    """The height of tiles with which least time is spent, or the greatest of several such.

    Each k of a tile takes as long as its multiplications, or as its loads: of the weights, and of
    the vectors of x, which count twice since most cross a cache line.
    """

    def cost(height: int) -> float:
        wide = tile_vectors(vector, height)
        return ceiling(rows, height) * max(height * wide, 2 * wide + height) / wide

    return min(range(_MOST_ROWS, 0, -1), key=cost)


def cut(
    vector: Vector,
    images: int,
    groups: int,
    rows: int,
    channels: int,
    tap_parts: tuple[int, ...],
    positions: int,
    chain: int,
) -> Cut:
    """A good way to cut such a correlation into chains of so many channels and parts of the taps.

    It depends on nothing but the arguments.
    """
    images, groups, rows, channels = (max(1, size) for size in (images, groups, rows, channels))
    chain = min(chain, channels)
    height = tile_rows(vector, rows)
    columns, k = ceiling(positions, vector.lanes), channels * sum(tap_parts)
    depth = even_part(chain * max(tap_parts), MOST_DEPTH, 1)
    work = height * k * columns  # of one row of tiles in one image
    total = groups * images * ceiling(rows, height) * work
    target = piece_work(total)
    # The planes that a block of k needs should be cached, and tiles should be whole.
    planes = chain * BYTES[vector.element] * vector.lanes
    longest = max(_WORTH_PACKING, min(_CACHED // planes, target * columns // work))
    width = vector.lanes * tile_vectors(vector, height)
    length = even_part(positions, longest * vector.lanes, width)
    several = 1
    if length >= positions:
        several = max(ceiling(_WORTH_PACKING, columns), target // work)
        several = even_part(images, several, 1)
    pieces = groups * ceiling(rows, height) * ceiling(positions, length) * ceiling(images, several)
    return Cut(height, several, length, chain, depth, pieces_together(pieces, total))
