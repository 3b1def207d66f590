"""The correlation of planes with weights: y[n, q, p] = Σ over c, t of a[q, c, t] · x[n, c, p + t].

A tile of y is some rows of q times some vectors of neighboring p; it stays in registers while the
sum runs over k = (c, t). The weights of a block of k are packed first, so that those of one k are
neighbors, and speed does not depend on how they are stored.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidu.compiler.correlation.text import (
    BYTES,
    Vector,
    fill,
    indented,
    loads,
    piece_work,
    pieces_together,
)
from tidu.compiler.gemm import ceiling, even_part

# The greatest block of k: what is packed of it lies on the stack.
MOST_DEPTH = 256
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
    depth: int  # the block of k
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
    def units(self) -> int:
        """What the workers share: pieces, `together` at a time."""
        return ceiling(self.pieces, self.cut.together)

    def array(self) -> npt.NDArray[np.int64]:
        """What the kernel gets as `params`: numbers, and then those of x and a for each tap."""
        assert len(self.x_taps) == len(self.a_taps) >= 1, self
        assert 1 <= self.cut.depth <= MOST_DEPTH, self
        numbers = [getattr(self, name) for name in _NUMBERS]
        numbers += [*self.cut, self.pieces, len(self.x_taps)]
        taps = [tap for both in zip(self.x_taps, self.a_taps, strict=True) for tap in both]
        return np.array(numbers + taps, np.int64)


_NUMBERS = [name for name in CorrelateParams._fields if name not in ("x_taps", "a_taps", "cut")]
_FIELDS = [*_NUMBERS, *Cut._fields, "pieces", "taps"]


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
    vector: Vector, images: int, groups: int, rows: int, channels: int, taps: int, positions: int
) -> Cut:
    """A good way to cut such a correlation. It depends on nothing but the arguments."""
    height = tile_rows(vector, rows)
    columns, k = ceiling(positions, vector.lanes), channels * taps
    depth = even_part(max(1, k), MOST_DEPTH, taps if taps <= MOST_DEPTH // 8 else 1)
    work = max(1, height * k * columns)  # of one row of tiles in one image
    total = groups * images * ceiling(rows, height) * work
    target = piece_work(total)
    # The planes that a block of k needs should be cached, and tiles should be whole.
    planes = ceiling(depth, taps) * BYTES[vector.element] * vector.lanes
    longest = max(_WORTH_PACKING, min(_CACHED // planes, target * columns // work))
    width = vector.lanes * tile_vectors(vector, height)
    length = even_part(positions, longest * vector.lanes, width)
    several = 1
    if length >= positions:
        several = max(ceiling(_WORTH_PACKING, columns), target // work)
        several = even_part(images, several, 1)
    pieces = groups * ceiling(rows, height) * ceiling(positions, length) * ceiling(images, several)
    return Cut(height, several, length, depth, pieces_together(pieces, total))


_KERNEL = """
define void @NAME(ptr %table, ptr %params, i64 %begin, i64 %end, i64 %worker) nounwind {
entry:
  %packed = alloca [PACKED x ELEMENT], align 64
  %offsets = alloca [DEPTH x i64], align 64
  %bias = alloca [ROWS x ELEMENT], align 64
LOADS
  %x.base = call ptr @operand(ptr %table, i64 %x_slot, i64 %x_offset)
  %a.base = call ptr @operand(ptr %table, i64 %a_slot, i64 %a_offset)
  %y.base = call ptr @operand(ptr %table, i64 %y_slot, i64 %y_offset)
  %k = mul i64 %channels, %taps
  %row.more = add i64 %rows, LAST_ROW
  %row.pieces = udiv i64 %row.more, ROWS
  %position.more = add i64 %positions, %piece_positions
  %position.last = sub i64 %position.more, 1
  %position.pieces = udiv i64 %position.last, %piece_positions
  %image.more = add i64 %images, %piece_images
  %image.last = sub i64 %image.more, 1
  %image.pieces = udiv i64 %image.last, %piece_images
  %accumulates = icmp ne i64 %accumulate, 0
  %piece.begin = mul i64 %begin, %together
  %piece.stop = mul i64 %end, %together
  %piece.end = call i64 @llvm.smin.i64(i64 %piece.stop, i64 %pieces)
  %some = icmp slt i64 %piece.begin, %piece.end
  br i1 %some, label %piece.loop, label %finish

piece.loop:
  %piece = phi i64 [%piece.begin, %entry], [%piece.next, %piece.done]
  %row.piece = urem i64 %piece, %row.pieces
  %over.rows = udiv i64 %piece, %row.pieces
  %position.piece = urem i64 %over.rows, %position.pieces
  %over.positions = udiv i64 %over.rows, %position.pieces
  %image.piece = urem i64 %over.positions, %image.pieces
  %group = udiv i64 %over.positions, %image.pieces
  %row = mul i64 %row.piece, ROWS
  %rows.left = sub i64 %rows, %row
  %height = call i64 @llvm.smin.i64(i64 %rows.left, i64 ROWS)
  %position.first = mul i64 %position.piece, %piece_positions
  %position.far = add i64 %position.first, %piece_positions
  %position.end = call i64 @llvm.smin.i64(i64 %position.far, i64 %positions)
  %image.first = mul i64 %image.piece, %piece_images
  %image.far = add i64 %image.first, %piece_images
  %image.end = call i64 @llvm.smin.i64(i64 %image.far, i64 %images)
  %a.first = call ptr @place(ptr %a.base, i64 %group, i64 %a_group, i64 %row, i64 %a_row)
  %x.first = call ptr @place(ptr %x.base, i64 %group, i64 %x_group, i64 0, i64 0)
  %y.first = call ptr @place(ptr %y.base, i64 %group, i64 %y_group, i64 %row, i64 %y_row)
  %bias.group = mul i64 %group, %rows
  %bias.row = add i64 %bias.group, %row
  %bias.place = add i64 %bias.row, %bias_offset
  call void @take_bias(ptr %table, i64 %bias_slot, i64 %bias.place, i64 %height, ptr %bias)
  br label %block.loop

; A sum over nothing is one block without elements.
block.loop:
  %from = phi i64 [0, %piece.loop], [%from.next, %block.done]
  %k.left = sub i64 %k, %from
  %count = call i64 @llvm.smin.i64(i64 %k.left, i64 %depth)
  %later = icmp ne i64 %from, 0
  %adds = or i1 %accumulates, %later
  call void @pack(ptr %params, ptr %a.first, i64 %from, i64 %count, i64 %height,
                  ptr %offsets, ptr %packed)
  br label %image.loop

image.loop:
  %image = phi i64 [%image.first, %block.loop], [%image.next, %image.done]
  %x.image = call ptr @place(ptr %x.first, i64 %image, i64 %x_image, i64 0, i64 0)
  %y.image = call ptr @place(ptr %y.first, i64 %image, i64 %y_image, i64 0, i64 0)
  br label %tile.loop

tile.loop:
  %position = phi i64 [%position.first, %image.loop], [%position.next, %tile.done]
  %x = getelementptr ELEMENT, ptr %x.image, i64 %position
  %y = getelementptr ELEMENT, ptr %y.image, i64 %position
  %position.next = add i64 %position, WIDTH
  %left = sub i64 %position.end, %position
  %width = call i64 @llvm.smin.i64(i64 %left, i64 WIDTH)
  %lanes.before = sub i64 %width, 1
  %vectors.before = udiv i64 %lanes.before, LANES
  %lanes.full = mul i64 %vectors.before, LANES
  %last = sub i64 %width, %lanes.full
  switch i64 %vectors.before, label %tile.VECTORS [CASES]

TILES

tile.done:
  %tiles.left = icmp slt i64 %position.next, %position.end
  br i1 %tiles.left, label %tile.loop, label %image.done

image.done:
  %image.next = add i64 %image, 1
  %images.left = icmp slt i64 %image.next, %image.end
  br i1 %images.left, label %image.loop, label %block.done

block.done:
  %from.next = add i64 %from, %depth
  %blocks.left = icmp slt i64 %from.next, %k
  br i1 %blocks.left, label %block.loop, label %piece.done

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

; What the rows of a tile start with: the bias, or zero if there is none or there is no such row.
define internal void @take_bias(ptr %table, i64 %slot, i64 %place, i64 %height, ptr %bias)
    nounwind {
entry:
  store [ROWS x ELEMENT] zeroinitializer, ptr %bias
  %none = icmp eq i64 %slot, 0
  br i1 %none, label %finish, label %start

start:
  %first = call ptr @operand(ptr %table, i64 %slot, i64 %place)
  br label %loop

loop:
  %row = phi i64 [0, %start], [%row.next, %loop]
  %from = getelementptr ELEMENT, ptr %first, i64 %row
  %to = getelementptr ELEMENT, ptr %bias, i64 %row
  %value = load ELEMENT, ptr %from
  store ELEMENT %value, ptr %to
  %row.next = add i64 %row, 1
  %more = icmp slt i64 %row.next, %height
  br i1 %more, label %loop, label %finish

finish:
  ret void
}

; For `count` of k: the offset in x, and the weights of all rows side by side. Rows that do not
; exist get the weights of the last.
define internal void @pack(ptr %params, ptr %a, i64 %from, i64 %count, i64 %height, ptr %offsets,
                           ptr %packed) noinline nounwind {
entry:
PACK_LOADS
  %table = getelementptr i64, ptr %params, i64 FIELDS
  %row.last = sub i64 %height, 1
ROW_PLACES
  %channel = udiv i64 %from, %taps
  %tap.first = urem i64 %from, %taps
  %x.first = mul i64 %channel, %x_channel
  %a.first = mul i64 %channel, %a_channel
  %none = icmp eq i64 %count, 0
  br i1 %none, label %finish, label %loop

loop:
  %k = phi i64 [0, %entry], [%k.next, %loop]
  %tap = phi i64 [%tap.first, %entry], [%tap.next, %loop]
  %x.channel = phi i64 [%x.first, %entry], [%x.next, %loop]
  %a.channel = phi i64 [%a.first, %entry], [%a.next, %loop]
  %tap.at = getelementptr [2 x i64], ptr %table, i64 %tap
  %a.tap.at = getelementptr i64, ptr %tap.at, i64 1
  %x.tap = load i64, ptr %tap.at
  %a.tap = load i64, ptr %a.tap.at
  %x.offset = add i64 %x.channel, %x.tap
  %a.offset = add i64 %a.channel, %a.tap
  %offset.at = getelementptr i64, ptr %offsets, i64 %k
  store i64 %x.offset, ptr %offset.at
  %a.at = getelementptr ELEMENT, ptr %a, i64 %a.offset
  %to = getelementptr [ROWS x ELEMENT], ptr %packed, i64 %k
COPIES
  %tap.after = add i64 %tap, 1
  %wraps = icmp eq i64 %tap.after, %taps
  %tap.next = select i1 %wraps, i64 0, i64 %tap.after
  %x.step = select i1 %wraps, i64 %x_channel, i64 0
  %a.step = select i1 %wraps, i64 %a_channel, i64 0
  %x.next = add i64 %x.channel, %x.step
  %a.next = add i64 %a.channel, %a.step
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %count
  br i1 %more, label %loop, label %finish

finish:
  ret void
}
"""

_TILE = """
; A tile of VECTORS vectors, of which the last has `last` elements: y = bias + Σ a·x, or y += Σ a·x.
define internal void @tile.VECTORS(ptr %x, ptr %offsets, ptr %packed, i64 %count, i64 %last, ptr %y,
                                   i64 %y_row, i64 %height, i1 %adds, ptr %bias) nounwind {
entry:
MASK
  %none = icmp eq i64 %count, 0
  br i1 %none, label %row.0, label %loop

loop:
  %k = phi i64 [0, %entry], [%k.next, %loop]
SUMS
  %offset.at = getelementptr i64, ptr %offsets, i64 %k
  %offset = load i64, ptr %offset.at
  %x.k = getelementptr ELEMENT, ptr %x, i64 %offset
  %a.k = getelementptr [ROWS x ELEMENT], ptr %packed, i64 %k
STEP
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %count
  br i1 %more, label %loop, label %row.0

STORES
finish:
  ret void
}
"""


def _step(tile: Tile, vectors: int) -> list[str]:
    """The products of one k."""
    vector, lines = tile.vector, []
    for j in range(vectors):
        mask = "%mask" if j == vectors - 1 else ""
        lines += [
            vector.at(f"x.{j}.at", "%x.k", j),
            vector.load(f"x.{j}", f"%x.{j}.at", mask),
        ]
    for i in range(tile.rows):
        lines += [
            f"%a.{i}.at = getelementptr {vector.element}, ptr %a.k, i64 {i}",
            f"%a.{i}.scalar = load {vector.element}, ptr %a.{i}.at",
            *vector.splat(f"a.{i}", f"%a.{i}.scalar"),
        ]
        for j in range(vectors):
            lines.append(vector.fma(f"next.{i}.{j}", f"%a.{i}", f"%x.{j}", f"%sum.{i}.{j}"))
    return lines


def _row_store(tile: Tile, vectors: int, i: int) -> str:
    """Row i of a tile into y, unless it does not exist."""
    vector = tile.vector
    following = f"row.{i + 1}" if i + 1 < tile.rows else "finish"
    masks = ["%mask" if j == vectors - 1 else "" for j in range(vectors)]
    blocks = [f"row.{i}:"]
    for j in range(vectors):
        kind = vector.type
        if i == 0:
            source = f"[zeroinitializer, %entry], [%next.{i}.{j}, %loop]"
            blocks.append(f"  %total.{i}.{j} = phi {kind} {source}")
    if i == 0:
        # All sums leave the loop here.
        for row in range(1, tile.rows):
            for j in range(vectors):
                source = f"[zeroinitializer, %entry], [%next.{row}.{j}, %loop]"
                blocks.append(f"  %total.{row}.{j} = phi {vector.type} {source}")
        blocks.append(f"  br label %row.{i}.start")
    else:
        blocks.append(f"  %exists.{i} = icmp sgt i64 %height, {i}")
        blocks.append(f"  br i1 %exists.{i}, label %row.{i}.start, label %finish")
    blocks += [
        f"row.{i}.start:",
        f"  %y.{i}.place = mul i64 %y_row, {i}",
        f"  %y.{i} = getelementptr {vector.element}, ptr %y, i64 %y.{i}.place",
        *("  " + vector.at(f"y.{i}.{j}.at", f"%y.{i}", j) for j in range(vectors)),
        f"  br i1 %adds, label %row.{i}.adds, label %row.{i}.begins",
        f"row.{i}.adds:",
        *("  " + vector.load(f"y.{i}.{j}", f"%y.{i}.{j}.at", masks[j]) for j in range(vectors)),
        f"  br label %row.{i}.stores",
        f"row.{i}.begins:",
        f"  %bias.{i}.at = getelementptr {vector.element}, ptr %bias, i64 {i}",
        f"  %bias.{i}.scalar = load {vector.element}, ptr %bias.{i}.at",
        *("  " + line for line in vector.splat(f"bias.{i}", f"%bias.{i}.scalar")),
        f"  br label %row.{i}.stores",
        f"row.{i}.stores:",
    ]
    for j in range(vectors):
        sources = f"[%y.{i}.{j}, %row.{i}.adds], [%bias.{i}, %row.{i}.begins]"
        blocks.append(f"  %before.{i}.{j} = phi {vector.type} {sources}")
    for j in range(vectors):
        blocks.append(f"  %result.{i}.{j} = fadd {vector.type} %before.{i}.{j}, %total.{i}.{j}")
        blocks.append("  " + vector.store(f"%result.{i}.{j}", f"%y.{i}.{j}.at", masks[j]))
    blocks.append(f"  br label %{following}")
    return "\n".join(blocks) + "\n"


def _tile(tile: Tile, vectors: int) -> str:
    vector = tile.vector
    sums = [
        f"%sum.{i}.{j} = phi {vector.type} [zeroinitializer, %entry], [%next.{i}.{j}, %loop]"
        for i in range(tile.rows)
        for j in range(vectors)
    ]
    return fill(
        _TILE,
        MASK=indented(vector.first_lanes("mask", "%last")),
        SUMS=indented(sums),
        STEP=indented(_step(tile, vectors)),
        STORES="\n".join(_row_store(tile, vectors, i) for i in range(tile.rows)),
        VECTORS=vectors,
        ROWS=tile.rows,
        ELEMENT=vector.element,
    )


def _call_of_tile(vectors: int) -> str:
    return f"""tile.{vectors}:
  call void @tile.{vectors}(ptr %x, ptr %offsets, ptr %packed, i64 %count, i64 %last, ptr %y,
                    i64 %y_row, i64 %height, i1 %adds, ptr %bias)
  br label %tile.done
"""


def correlate_text(tile: Tile) -> str:
    """The module with the kernel for tiles of this height."""
    places, copies = [], []
    for i in range(tile.rows):
        places += [
            f"%row.{i} = call i64 @llvm.smin.i64(i64 {i}, i64 %row.last)",
            f"%row.{i}.place = mul i64 %row.{i}, %a_row",
        ]
        copies += [
            f"%from.{i} = getelementptr ELEMENT, ptr %a.at, i64 %row.{i}.place",
            f"%to.{i} = getelementptr ELEMENT, ptr %to, i64 {i}",
            f"%value.{i} = load ELEMENT, ptr %from.{i}",
            f"store ELEMENT %value.{i}, ptr %to.{i}",
        ]
    sizes = range(1, tile.vectors + 1)
    unused = {"tile_rows", "x_channel", "a_channel", "bias_slot"}
    kernel = fill(
        _KERNEL,
        PACK_LOADS=loads(_FIELDS, ["taps", "x_channel", "a_channel", "a_row"]),
        LOADS=loads(_FIELDS, [f for f in _FIELDS if f not in unused] + ["bias_slot"]),
        ROW_PLACES=indented(places),
        COPIES=indented(copies),
        CASES=" ".join(f"i64 {v - 1}, label %tile.{v}" for v in sizes[:-1]),
        TILES="\n".join(_call_of_tile(v) for v in sizes),
        NAME=tile.name,
        PACKED=MOST_DEPTH * tile.rows,
        DEPTH=MOST_DEPTH,
        LAST_ROW=tile.rows - 1,
        ROWS=tile.rows,
        FIELDS=len(_FIELDS),
        WIDTH=tile.vectors * tile.vector.lanes,
        LANES=tile.vector.lanes,
        VECTORS=tile.vectors,
        ELEMENT=tile.vector.element,
    )
    return kernel + "".join(_tile(tile, v) for v in sizes) + tile.vector.declarations()
