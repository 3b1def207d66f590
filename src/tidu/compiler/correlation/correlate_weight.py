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

from tidu.compiler.correlation.planes import positions
from tidu.compiler.correlation.text import (
    BYTES,
    Vector,
    enough_units,
    fill,
    indented,
    loads,
    piece_work,
    pieces_together,
)
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
_FIELDS = [*_NUMBERS, *_DERIVED, *WeightCut._fields, "taps"]


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
    columns = channels * taps
    height, width = weight_tile(vector, rows, columns)
    tiles = groups * ceiling(rows, height) * ceiling(columns, width)
    vectors = ceiling(positions, vector.lanes)
    total = max(1, tiles * images * vectors * height * width)
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


_KERNEL = """
define void @NAME(ptr %table, ptr %params, i64 %begin, i64 %end, i64 %worker) nounwind {
entry:
  %results = alloca [SUMS x ELEMENT], align 64
  %offsets = alloca [COLUMNS x i64], align 64
LOADS
  %tap.table = getelementptr i64, ptr %params, i64 FIELDS
  %masks.first = getelementptr i64, ptr %tap.table, i64 %taps
  %x.base = call ptr @operand(ptr %table, i64 %x_slot, i64 %x_offset)
  %g.base = call ptr @operand(ptr %table, i64 %g_slot, i64 %g_offset)
  %w.base = call ptr @operand(ptr %table, i64 %w_slot, i64 %w_offset)
  %column.more = add i64 %columns, %piece_columns
  %column.last = sub i64 %column.more, 1
  %column.pieces = udiv i64 %column.last, %piece_columns
  %row.more = add i64 %rows, LAST_ROW
  %row.pieces = udiv i64 %row.more, ROWS
  %piece.begin = mul i64 %begin, %together
  %piece.stop = mul i64 %end, %together
  %piece.end = call i64 @llvm.smin.i64(i64 %piece.stop, i64 %pieces)
  %some = icmp slt i64 %piece.begin, %piece.end
  br i1 %some, label %piece.loop, label %finish

piece.loop:
  %piece = phi i64 [%piece.begin, %entry], [%piece.next, %piece.done]
  %column.piece = urem i64 %piece, %column.pieces
  %over.columns = udiv i64 %piece, %column.pieces
  %row.piece = urem i64 %over.columns, %row.pieces
  %over.rows = udiv i64 %over.columns, %row.pieces
  %group = urem i64 %over.rows, %groups
  %chunk = udiv i64 %over.rows, %groups
  %position.chunk = urem i64 %chunk, %position_chunks
  %image.chunk = udiv i64 %chunk, %position_chunks
  %position = mul i64 %position.chunk, %chunk_positions
  %position.left = sub i64 %positions, %position
  %length = call i64 @llvm.smin.i64(i64 %position.left, i64 %chunk_positions)
  %image = mul i64 %image.chunk, %chunk_images
  %image.left = sub i64 %images, %image
  %count = call i64 @llvm.smin.i64(i64 %image.left, i64 %chunk_images)
  %row = mul i64 %row.piece, ROWS
  %rows.left = sub i64 %rows, %row
  %height = call i64 @llvm.smin.i64(i64 %rows.left, i64 ROWS)
  %vector = udiv i64 %position, LANES
  %masks = getelementptr MASK_TYPE, ptr %masks.first, i64 %vector
  %x.image = call ptr @place(ptr %x.base, i64 %image, i64 %x_image, i64 %group, i64 %x_group)
  %x = getelementptr ELEMENT, ptr %x.image, i64 %position
  %g.image = call ptr @place(ptr %g.base, i64 %image, i64 %g_image, i64 %group, i64 %g_group)
  %g.row = call ptr @place(ptr %g.image, i64 %row, i64 %g_row, i64 %position, i64 1)
  %over.groups = mul i64 %chunk, %groups
  %w.group = add i64 %over.groups, %group
  %w.group.rows = mul i64 %w.group, %rows
  %w.row = add i64 %w.group.rows, %row
  %w = call ptr @place(ptr %w.base, i64 %w.row, i64 %columns, i64 0, i64 0)
  %column.first = mul i64 %column.piece, %piece_columns
  %column.far = add i64 %column.first, %piece_columns
  %column.end = call i64 @llvm.smin.i64(i64 %column.far, i64 %columns)
  br label %tile.loop

tile.loop:
  %column = phi i64 [%column.first, %piece.loop], [%column.next, %tile.loop]
  %column.next = add i64 %column, COLUMNS
  %columns.left = sub i64 %column.end, %column
  %width = call i64 @llvm.smin.i64(i64 %columns.left, i64 COLUMNS)
  call void @find(ptr %tap.table, i64 %taps, i64 %x_channel, i64 %column, i64 %width, ptr %offsets)
  call void @tile(ptr %x, ptr %offsets, i64 %x_image, ptr %g.row, i64 %g_row, i64 %height,
                  i64 %g_image, i64 %count, i64 %length, ptr %masks, ptr %results)
  %w.first = getelementptr ELEMENT, ptr %w, i64 %column
  call void @put(ptr %results, i64 %height, i64 %width, ptr %w.first, i64 %columns)
  %tiles.left = icmp slt i64 %column.next, %column.end
  br i1 %tiles.left, label %tile.loop, label %piece.done

piece.done:
  %piece.next = add i64 %piece, 1
  %pieces.left = icmp slt i64 %piece.next, %piece.end
  br i1 %pieces.left, label %piece.loop, label %finish

finish:
  ret void
}

define internal ptr @operand(ptr %table, i64 %slot, i64 %offset) alwaysinline nounwind {
  %at = getelementptr i64, ptr %table, i64 %slot
  %base = load ptr, ptr %at
  %first = getelementptr ELEMENT, ptr %base, i64 %offset
  ret ptr %first
}

define internal ptr @place(ptr %base, i64 %index0, i64 %stride0, i64 %index1, i64 %stride1)
    alwaysinline nounwind {
  %outer = mul i64 %index0, %stride0
  %inner = mul i64 %index1, %stride1
  %offset = add i64 %outer, %inner
  %first = getelementptr ELEMENT, ptr %base, i64 %offset
  ret ptr %first
}

; The offsets in x of the columns of a tile. Columns that do not exist get that of the last.
define internal void @find(ptr %table, i64 %taps, i64 %x_channel, i64 %column, i64 %width,
                           ptr %offsets) nounwind {
entry:
  %last = sub i64 %width, 1
  br label %loop

loop:
  %i = phi i64 [0, %entry], [%i.next, %loop]
  %existing = call i64 @llvm.smin.i64(i64 %i, i64 %last)
  %k = add i64 %column, %existing
  %channel = udiv i64 %k, %taps
  %tap = urem i64 %k, %taps
  %tap.at = getelementptr i64, ptr %table, i64 %tap
  %x.tap = load i64, ptr %tap.at
  %x.channel = mul i64 %channel, %x_channel
  %offset = add i64 %x.channel, %x.tap
  %offset.at = getelementptr i64, ptr %offsets, i64 %i
  store i64 %offset, ptr %offset.at
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, COLUMNS
  br i1 %more, label %loop, label %finish

finish:
  ret void
}

; The results of a tile into w.
define internal void @put(ptr %results, i64 %height, i64 %width, ptr %w, i64 %w_row) nounwind {
entry:
  br label %rows

rows:
  %row = phi i64 [0, %entry], [%row.next, %row.done]
  %from.row = mul i64 %row, COLUMNS
  %to.row = mul i64 %row, %w_row
  br label %columns

columns:
  %column = phi i64 [0, %rows], [%column.next, %columns]
  %from.place = add i64 %from.row, %column
  %to.place = add i64 %to.row, %column
  %from = getelementptr ELEMENT, ptr %results, i64 %from.place
  %to = getelementptr ELEMENT, ptr %w, i64 %to.place
  %result = load ELEMENT, ptr %from
  store ELEMENT %result, ptr %to
  %column.next = add i64 %column, 1
  %columns.left = icmp slt i64 %column.next, %width
  br i1 %columns.left, label %columns, label %row.done

row.done:
  %row.next = add i64 %row, 1
  %rows.left = icmp slt i64 %row.next, %height
  br i1 %rows.left, label %rows, label %finish

finish:
  ret void
}

; The sums of one tile over `count` images.
define internal void @tile(ptr %x, ptr %offsets, i64 %x_image, ptr %g, i64 %g_row, i64 %height,
                           i64 %g_image, i64 %count, i64 %length, ptr %masks, ptr %results)
    nounwind {
entry:
  %row.last = sub i64 %height, 1
ADDRESSES
  br label %image.loop

image.loop:
  %image = phi i64 [0, %entry], [%image.next, %image.done]
STARTS
  %x.step = mul i64 %image, %x_image
  %g.step = mul i64 %image, %g_image
IMAGES
  br label %loop

loop:
  %p = phi i64 [0, %image.loop], [%p.next, %loop]
  %mask.at = phi ptr [%masks, %image.loop], [%mask.next, %loop]
SUM_PHIS
  %mask.bits = load MASK_TYPE, ptr %mask.at
  %mask.next = getelementptr MASK_TYPE, ptr %mask.at, i64 1
MASK
STEP
  %p.next = add i64 %p, LANES
  %more = icmp slt i64 %p.next, %length
  br i1 %more, label %loop, label %image.done

image.done:
  %image.next = add i64 %image, 1
  %images.left = icmp slt i64 %image.next, %count
  br i1 %images.left, label %image.loop, label %finish

finish:
ADDITIONS
  ret void
}
"""


def _step(tile: WeightTile) -> list[str]:
    """The products of one vector of positions.

    The shorter side of the tile stays in registers while the other passes by.
    """
    vector = tile.vector

    def load(name: str) -> list[str]:
        return [
            f"%{name}.at = getelementptr {vector.element}, ptr %{name}.image, i64 %p",
            vector.load(name, f"%{name}.at", "%mask"),
        ]

    def product(i: int, j: int) -> str:
        return vector.fma(f"next.{i}.{j}", f"%g.{i}", f"%x.{j}", f"%sum.{i}.{j}")

    rows, columns = range(tile.rows), range(tile.columns)
    lines = []
    if tile.rows <= tile.columns:
        for i in rows:
            lines += load(f"g.{i}")
        for j in columns:
            lines += [*load(f"x.{j}"), *(product(i, j) for i in rows)]
    else:
        for j in columns:
            lines += load(f"x.{j}")
        for i in rows:
            lines += [*load(f"g.{i}"), *(product(i, j) for j in columns)]
    return lines


def _additions(tile: WeightTile) -> list[str]:
    """The sum of the lanes of each sum, as many at a time as there are lanes."""
    vector, lines = tile.vector, []
    sums = [f"%next.{i}.{j}" for i in range(tile.rows) for j in range(tile.columns)]
    lanes = vector.lanes
    for start in range(0, len(sums), lanes):
        names = sums[start : start + lanes]
        count = len(names)
        names += ["zeroinitializer"] * (lanes - count)
        level = 0
        while len(names) > 1:
            merged = []
            for pair in range(0, len(names), 2):
                if names[pair] == "zeroinitializer":
                    merged.append("zeroinitializer")
                    continue
                name = f"%add.{start}.{level}.{pair}"
                for part, first in (("even", 0), ("odd", 1)):
                    order = ", ".join(f"i32 {2 * lane + first}" for lane in range(lanes))
                    lines.append(
                        f"{name}.{part} = shufflevector {vector.type} {names[pair]}, {vector.type}"
                        f" {names[pair + 1]}, <{lanes} x i32> <{order}>"
                    )
                lines.append(f"{name} = fadd {vector.type} {name}.even, {name}.odd")
                merged.append(name)
            names, level = merged, level + 1
        place = f"ptr %results, i64 {start}"
        lines.append(f"%results.{start} = getelementptr {vector.element}, {place}")
        lines.append(vector.store(names[0], f"%results.{start}"))
    return lines


def correlate_weight_text(tile: WeightTile) -> str:
    """The module with the kernel for tiles of this size."""
    vector, lanes = tile.vector, tile.vector.lanes
    pairs = [(i, j) for i in range(tile.rows) for j in range(tile.columns)]
    addresses, images = [], []
    for j in range(tile.columns):
        addresses += [
            f"%offset.{j}.at = getelementptr i64, ptr %offsets, i64 {j}",
            f"%offset.{j} = load i64, ptr %offset.{j}.at",
            f"%x.{j}.first = getelementptr ELEMENT, ptr %x, i64 %offset.{j}",
        ]
        images.append(f"%x.{j}.image = getelementptr ELEMENT, ptr %x.{j}.first, i64 %x.step")
    for i in range(tile.rows):
        addresses += [
            f"%row.{i} = call i64 @llvm.smin.i64(i64 {i}, i64 %row.last)",
            f"%row.{i}.place = mul i64 %row.{i}, %g_row",
            f"%g.{i}.first = getelementptr ELEMENT, ptr %g, i64 %row.{i}.place",
        ]
        images.append(f"%g.{i}.image = getelementptr ELEMENT, ptr %g.{i}.first, i64 %g.step")
    kind = vector.type
    starts = [
        f"%start.{i}.{j} = phi {kind} [zeroinitializer, %entry], [%next.{i}.{j}, %image.done]"
        for i, j in pairs
    ]
    sums = [
        f"%sum.{i}.{j} = phi {kind} [%start.{i}.{j}, %image.loop], [%next.{i}.{j}, %loop]"
        for i, j in pairs
    ]
    stored = max(8, lanes)
    mask = [f"%mask = bitcast i{lanes} %mask.bits to <{lanes} x i1>"]
    if lanes < 8:
        mask = [
            f"%mask.lanes = trunc i8 %mask.bits to i{lanes}",
            f"%mask = bitcast i{lanes} %mask.lanes to <{lanes} x i1>",
        ]
    unused = {"lanes", "tile_rows", "tile_columns"}
    kernel = fill(
        _KERNEL,
        SUM_PHIS=indented(sums),
        LOADS=loads(_FIELDS, [f for f in _FIELDS if f not in unused]),
        ADDRESSES=indented(addresses),
        STARTS=indented(starts),
        IMAGES=indented(images),
        STEP=indented(_step(tile)),
        MASK_TYPE=f"i{stored}",
        MASK=indented(mask),
        ADDITIONS=indented(_additions(tile)),
        NAME=tile.name,
        SUMS=ceiling(len(pairs), lanes) * lanes,
        LAST_ROW=tile.rows - 1,
        ROWS=tile.rows,
        COLUMNS=tile.columns,
        FIELDS=len(_FIELDS),
        LANES=lanes,
        ELEMENT=vector.element,
    )
    return kernel + vector.declarations()
