"""The text of the kernel that `CorrelateParams` describes, for tiles of a given height."""

from __future__ import annotations

from tidu.compiler.correlation.correlate import FIELDS, MOST_DEPTH, Tile
from tidu.compiler.correlation.correlate_tile import tile_text
from tidu.compiler.correlation.vectors import ADDRESSES, fill, loads

_KERNEL = """
define void @NAME(ptr %table, ptr %params, i64 %begin, i64 %end, i64 %worker) nounwind {
entry:
  %packed = alloca [PACKED x ELEMENT], align 64
  %offsets = alloca [DEPTH x i64], align 64
  %bias = alloca [ROWS x ELEMENT], align 64
  %zero = alloca [ROWS x ELEMENT], align 64
  %nothing = alloca [ROWS x ELEMENT], align 64
  store [ROWS x ELEMENT] zeroinitializer, ptr %zero
  store [ROWS x ELEMENT] [NOTHING], ptr %nothing
ALL_LOADS
  %x.base = call ptr @operand(ptr %table, i64 %x_slot, i64 %x_offset)
  %a.base = call ptr @operand(ptr %table, i64 %a_slot, i64 %a_offset)
  %y.base = call ptr @operand(ptr %table, i64 %y_slot, i64 %y_offset)
  %tap.table = getelementptr i64, ptr %params, i64 FIELDS
  %part.table = getelementptr [2 x i64], ptr %tap.table, i64 %taps
  %row.more = add i64 %rows, LAST_ROW
  %row.pieces = udiv i64 %row.more, ROWS
  %position.more = add i64 %positions, %piece_positions
  %position.last = sub i64 %position.more, 1
  %position.pieces = udiv i64 %position.last, %piece_positions
  %image.more = add i64 %images, %piece_images
  %image.last = sub i64 %image.more, 1
  %image.pieces = udiv i64 %image.last, %piece_images
  %accumulates = icmp ne i64 %accumulate, 0
  %begins = icmp ne i64 %bias_begins, 0
  %first.start = select i1 %begins, ptr %bias, ptr %zero
  %first.end = select i1 %begins, ptr %nothing, ptr %bias
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

; A block of k in a chain, of some channels and a part of the taps. A sum over nothing is blocks
; without elements.
block.loop:
  %part = phi i64 [0, %piece.loop], [%part.next, %block.done]
  %tap = phi i64 [0, %piece.loop], [%tap.next, %block.done]
  %channel = phi i64 [0, %piece.loop], [%channel.next, %block.done]
  %from = phi i64 [0, %piece.loop], [%from.next, %block.done]
  %channels.left = sub i64 %channels, %channel
  %chain.channels = call i64 @llvm.smin.i64(i64 %channels.left, i64 %chain)
  %part.at = getelementptr i64, ptr %part.table, i64 %part
  %part.taps = load i64, ptr %part.at
  %k = mul i64 %chain.channels, %part.taps
  %k.left = sub i64 %k, %from
  %count = call i64 @llvm.smin.i64(i64 %k.left, i64 %depth)
  %part.first = icmp eq i64 %part, 0
  %channel.first = icmp eq i64 %channel, 0
  %is.first = and i1 %part.first, %channel.first
  %is.later = icmp ne i64 %from, 0
  %resumes = and i1 %is.first, %is.later
  %sum.start = select i1 %is.first, ptr %first.start, ptr %zero
  %sum.end = select i1 %resumes, ptr %nothing, ptr %first.end
  %not.first = xor i1 %is.first, true
  %unresumed = xor i1 %is.later, true
  %accumulates.first = and i1 %accumulates, %unresumed
  %adds = or i1 %not.first, %accumulates.first
  %part.tap = getelementptr [2 x i64], ptr %tap.table, i64 %tap
  call void @pack(ptr %params, ptr %part.tap, ptr %a.first, i64 %channel, i64 %chain.channels,
                  i64 %from, i64 %count, i64 %height, ptr %offsets, ptr %packed)
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
CALLS
tile.done:
  %tiles.left = icmp slt i64 %position.next, %position.end
  br i1 %tiles.left, label %tile.loop, label %image.done

image.done:
  %image.next = add i64 %image, 1
  %images.left = icmp slt i64 %image.next, %image.end
  br i1 %images.left, label %image.loop, label %block.done

block.done:
  %from.after = add i64 %from, %depth
  %stays = icmp slt i64 %from.after, %k
  %from.next = select i1 %stays, i64 %from.after, i64 0
  %channel.after = add i64 %channel, %chain
  %channel.over = icmp slt i64 %channel.after, %channels
  %channel.following = select i1 %channel.over, i64 %channel.after, i64 0
  %channel.next = select i1 %stays, i64 %channel, i64 %channel.following
  %same.part = or i1 %stays, %channel.over
  %part.after = add i64 %part, 1
  %tap.after = add i64 %tap, %part.taps
  %part.next = select i1 %same.part, i64 %part, i64 %part.after
  %tap.next = select i1 %same.part, i64 %tap, i64 %tap.after
  %blocks.left = icmp slt i64 %part.next, %parts
  br i1 %blocks.left, label %block.loop, label %piece.done

piece.done:
  %piece.next = add i64 %piece, 1
  %pieces.left = icmp slt i64 %piece.next, %piece.end
  br i1 %pieces.left, label %piece.loop, label %finish

finish:
  ret void
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

; For `count` of k in a chain of `width` channels and the taps of a table: the offset in x, and the
; weights of all rows side by side. Rows that do not exist get the weights of the last.
define internal void @pack(ptr %params, ptr %table, ptr %a, i64 %channel, i64 %width, i64 %from,
                           i64 %count, i64 %height, ptr %offsets, ptr %packed) noinline nounwind {
entry:
PACK_LOADS
  %row.last = sub i64 %height, 1
ROW_PLACES
  %x.first = mul i64 %channel, %x_channel
  %a.first = mul i64 %channel, %a_channel
  %none = icmp eq i64 %count, 0
  br i1 %none, label %finish, label %start

start:
  %tap.first = udiv i64 %from, %width
  %c.first = urem i64 %from, %width
  br label %loop

loop:
  %k = phi i64 [0, %start], [%k.next, %loop]
  %tap = phi i64 [%tap.first, %start], [%tap.next, %loop]
  %c = phi i64 [%c.first, %start], [%c.next, %loop]
  %x.step = mul i64 %c, %x_channel
  %a.step = mul i64 %c, %a_channel
  %x.channel = add i64 %x.first, %x.step
  %a.channel = add i64 %a.first, %a.step
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
  %c.after = add i64 %c, 1
  %wraps = icmp eq i64 %c.after, %width
  %c.next = select i1 %wraps, i64 0, i64 %c.after
  %tap.after = add i64 %tap, 1
  %tap.next = select i1 %wraps, i64 %tap.after, i64 %tap
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %count
  br i1 %more, label %loop, label %finish

finish:
  ret void
}
"""

_CALL = """
tile.VECTORS:
  call void @tile.VECTORS(ptr %x, ptr %offsets, ptr %packed, i64 %count, i64 %last, ptr %y,
                          i64 %y_row, i64 %height, i1 %resumes, ptr %sum.start, i1 %adds,
                          ptr %sum.end)
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
    kernel = fill(
        _KERNEL + ADDRESSES,
        PACK_LOADS=loads(FIELDS, ["x_channel", "a_channel", "a_row"]),
        ALL_LOADS=loads(FIELDS, FIELDS),
        ROW_PLACES=places,
        COPIES=copies,
        CASES=" ".join(f"i64 {v - 1}, label %tile.{v}" for v in sizes[:-1]),
        CALLS="".join(fill(_CALL, VECTORS=v) for v in sizes),
        NAME=tile.name,
        NOTHING=", ".join([f"{tile.vector.element} -0.0"] * tile.rows),
        PACKED=MOST_DEPTH * tile.rows,
        DEPTH=MOST_DEPTH,
        LAST_ROW=tile.rows - 1,
        ROWS=tile.rows,
        FIELDS=len(FIELDS),
        WIDTH=tile.vectors * tile.vector.lanes,
        LANES=tile.vector.lanes,
        VECTORS=tile.vectors,
        ELEMENT=tile.vector.element,
    )
    return kernel + "".join(tile_text(tile, v) for v in sizes) + tile.vector.declarations()
