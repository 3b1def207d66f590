"""The derivative of a correlation in its weights as chains: one sum of products over positions.

Of g and x, one is worked through in lanes: a vector has a number of each of its lines at one
position. The other's lines are taken one number at a time. A tile is a vector of sums for each of
some lines of the latter; it stays in registers over a block of positions. For that, the numbers of
a block are packed first, so that those of one position are neighbors.

All sums of a share of the positions are made by the same worker, in order. With groups there are
too few lines for lanes, and `correlate_weight` is better, which divides the positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidu.compiler.correlation.cutting import enough_units, pieces_together
from tidu.compiler.correlation.planes import positions
from tidu.compiler.correlation.vectors import BYTES, Vector
from tidu.compiler.gemm import ceiling, even_part

# The greatest block of positions: what is packed of it lies on the stack.
MOST_POSITIONS = 1536
# The most lines of a piece, of which all sums lie there, too.
MOST_LINES = 512
# Lines of a piece for which it pays to pack the others for them.
_WORTH_PACKING = 96
# Packing a position takes about as long as so many products of vectors.
_OF_PACKING = 6


class ChainTile(NamedTuple):
    """What distinguishes one kernel from another."""

    vector: Vector
    lines: int  # sums of one tile

    @property
    def name(self) -> str:
        kind = f"float{BYTES[self.vector.element] * 8}"
        return f"tidu_chained_weight_{kind}_{self.lines}x{self.vector.lanes}"


class ChainCut(NamedTuple):
    """How the derivative is cut. A piece is all tiles of some lines, for one share and one vector
    of the lines in lanes.
    """

    tile_lines: int
    piece_lines: int  # a multiple of the tile's, unless it is all
    together: int  # how many pieces one unit makes


class Lines(NamedTuple):
    """Lines of numbers in a buffer, for each group as many as channels times taps.

    At a position i[0], i[1], ... of an image, that of a channel and tap has the element
    offset + image * image_step + group * group_step + channel * channel_step + tap
    + Σ i[d] * pitches[d], and the last pitch is 1.
    """

    channels: int
    taps: tuple[int, ...]
    extents: tuple[int, ...]
    pitches: tuple[int, ...]
    image_step: int
    group_step: int
    channel_step: int
    offset: int = 0

    @property
    def size(self) -> int:
        """How many there are in a group."""
        return self.channels * len(self.taps)

    def rows(self) -> tuple[int, npt.NDArray[np.int64]]:
        """The length of the rows of an image that have no gaps, and where each begins."""
        width, inner = self.extents[-1], len(self.extents) - 1
        while inner and self.pitches[inner - 1] == width:
            inner -= 1
            width *= self.extents[inner]
        places = np.zeros(1, np.int64)
        for extent, pitch in zip(self.extents[:inner], self.pitches[:inner], strict=True):
            places = (places[:, None] + np.arange(extent) * pitch).ravel()
        return width, places


class ChainedWeightParams(NamedTuple):
    """The parameters of the kernel: a are the lines in lanes, b the others.

    In its buffer, the sum of a share, a group, line i of a and line j of b is the element

        w_offset + (share * groups + group) * a.size * b.size + i * a_step + j * b_step
    """

    a_slot: int  # where the table has the address of each array
    b_slot: int
    w_slot: int
    images: int
    groups: int
    a: Lines
    b: Lines
    a_step: int
    b_step: int
    # The chains of each share: where they begin and end among the positions of all images.
    shares: tuple[tuple[tuple[int, int], ...], ...]
    cut: ChainCut
    lanes: int
    w_offset: int = 0

    @property
    def positions(self) -> int:
        """From the first to the last one of an image, both counted."""
        return positions(self.b.extents, self.b.pitches)

    @property
    def apart(self) -> bool:
        """Whether blocks are chains, whose sums are added. Otherwise all of a share are one."""
        return any(len(share) > 1 for share in self.shares)

    @property
    def pieces(self) -> int:
        """Lines of b are numbered fastest, then vectors of a, then groups."""
        tiles = ceiling(self.a.size, self.lanes) * ceiling(self.b.size, self.cut.piece_lines)
        return len(self.shares) * self.groups * tiles

    @property
    def description(self) -> str:
        return (
            f"{self.images} images, {self.groups} groups, {self.a.size} lines in lanes,"
            f" {self.b.size} others, {self.positions} positions, {len(self.shares)} shares"
        )

    @property
    def units(self) -> int:
        """What the workers share: pieces, `together` at a time."""
        return ceiling(self.pieces, self.cut.together)

    def array(self) -> npt.NDArray[np.int64]:
        """What the kernel gets as `params`: numbers and tables."""
        tables = []
        numbers = {name: getattr(self, name) for name in _OWN}
        for side, lines in (("a", self.a), ("b", self.b)):
            width, rows = lines.rows()
            tables += [lines.taps, rows]
            of_side = (
                lines.size, len(lines.taps), len(rows), width,
                lines.image_step, lines.group_step, lines.channel_step, lines.offset,
            )  # fmt: skip
            numbers.update(zip(_fields_of(side), of_side, strict=True))
        blocks = [self._blocks(share) for share in self.shares]
        ends = np.cumsum([0, *map(len, blocks)])
        tables += [ends, np.array([*chain(*blocks)], np.int64).ravel()]
        numbers["shares"] = len(self.shares)
        head = [*(numbers[name] for name in FIELDS[: -len(ChainCut._fields)]), *self.cut]
        return np.concatenate([np.array(part, np.int64) for part in (head, *tables)])

    def _blocks(self, share: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
        """Blocks of positions: where each begins, and how many it has."""
        blocks = []
        for begin, end in share:
            size = even_part(end - begin, MOST_POSITIONS, 1)
            starts = range(begin, end, size)
            blocks += [(start, min(size, end - start)) for start in starts]
        return blocks


def _fields_of(side: str) -> list[str]:
    names = ("lines", "taps", "rows", "width", "image", "group", "channel", "offset")
    return [f"{side}_{name}" for name in names]


_OWN = ["a_slot", "b_slot", "w_slot", "w_offset", "groups", "a_step", "b_step", "apart", "pieces"]
FIELDS = [*_OWN, *_fields_of("a"), *_fields_of("b"), "shares", *ChainCut._fields]


def in_lanes(vector: Vector, rows: int, columns: int) -> str:
    """Which of g, with so many rows, and x, with so many columns, should be worked through in
    lanes.
    """

    def cost(lanes: int, others: int) -> int:
        return ceiling(lanes, vector.lanes) * (others + _OF_PACKING)

    return "g" if cost(rows, columns) <= cost(columns, rows) else "x"


def chain_cut(vector: Vector, shares: int, groups: int, a: int, b: int, positions: int) -> ChainCut:
    """A good way to cut such a derivative, of so many lines in lanes and others, and so many
    positions of all images. It depends on nothing but the arguments.
    """
    shares, a, b = max(1, shares), max(1, a), max(1, b)
    tile = _tile_lines(vector, b)
    vectors = shares * groups * ceiling(a, vector.lanes)
    total = vectors // shares * b * positions
    wanted = ceiling(enough_units(total), vectors)
    longest = min(MOST_LINES // tile * tile, max(_WORTH_PACKING, ceiling(b, wanted)))
    piece = even_part(b, longest, tile)
    pieces = vectors * ceiling(b, piece)
    return ChainCut(tile, piece, pieces_together(pieces, total))


def _tile_lines(vector: Vector, lines: int) -> int:
    """As many as there are registers for, or fewer if there is less left over.

    A position takes a product for each line of the tile, and a load.
    """
    most = min(lines, vector.registers - 4)
    return min(range(most, most // 2, -1), key=lambda tile: ceiling(lines, tile) * (tile + 1))
