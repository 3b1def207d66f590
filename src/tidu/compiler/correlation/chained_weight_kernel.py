"""The text of the kernel that `ChainedWeightParams` describes, for tiles of a given size."""

from __future__ import annotations

from tidu.compiler.correlation.chained_weight import (
    FIELDS,
    MOST_LINES,
    MOST_POSITIONS,
    ChainTile,
)
from tidu.compiler.correlation.packing import line_places, packing_text
from tidu.compiler.correlation.vectors import ADDRESSES, fill, loads

_KERNEL = """
define void @NAME(ptr %table, ptr %params, i64 %begin, i64 %end, i64 %worker) nounwind {
entry:
  %packed = alloca [PACKED x ELEMENT], align 64
  %sums = alloca [SUMS x ELEMENT], align 64
  %segments = alloca [POSITIONS x [2 x i64]], align 64
  %a.offsets = alloca [LANES x i64], align 64
  %b.offsets = alloca [PLACES x i64], align 64
ALL_LOADS
  %a.tap.table = getelementptr i64, ptr %params, i64 FIELDS
  %a.row.table = getelementptr i64, ptr %a.tap.table, i64 %a_taps
  %b.tap.table = getelementptr i64, ptr %a.row.table, i64 %a_rows
  %b.row.table = getelementptr i64, ptr %b.tap.table, i64 %b_taps
  %share.table = getelementptr i64, ptr %b.row.table, i64 %b_rows
  %share.ends = getelementptr i64, ptr %share.table, i64 1
  %block.table = getelementptr i64, ptr %share.ends, i64 %shares
  %a.base = call ptr @operand(ptr %table, i64 %a_slot, i64 %a_offset)
  %b.base = call ptr @operand(ptr %table, i64 %b_slot, i64 %b_offset)
  %w.base = call ptr @operand(ptr %table, i64 %w_slot, i64 %w_offset)
  %are.apart = icmp ne i64 %apart, 0
  %nothing = select i1 %are.apart, ELEMENT -0.0, ELEMENT 0.0
  %a.more = add i64 %a_lines, LAST_LANE
  %a.vectors = udiv i64 %a.more, LANES
  %b.more = add i64 %b_lines, %piece_lines
  %b.last = sub i64 %b.more, 1
  %b.pieces = udiv i64 %b.last, %piece_lines
  %group.size = mul i64 %a_lines, %b_lines
  %piece.begin = mul i64 %begin, %together
  %piece.stop = mul i64 %end, %together
  %piece.end = call i64 @llvm.smin.i64(i64 %piece.stop, i64 %pieces)
  %some = icmp slt i64 %piece.begin, %piece.end
  br i1 %some, label %piece.loop, label %finish

piece.loop:
  %piece = phi i64 [%piece.begin, %entry], [%piece.next, %piece.done]
  %b.piece = urem i64 %piece, %b.pieces
  %over.pieces = udiv i64 %piece, %b.pieces
  %a.vector = urem i64 %over.pieces, %a.vectors
  %over.vectors = udiv i64 %over.pieces, %a.vectors
  %group = urem i64 %over.vectors, %groups
  %share = udiv i64 %over.vectors, %groups
  %a.first = mul i64 %a.vector, LANES
  %a.left = sub i64 %a_lines, %a.first
  %a.count = call i64 @llvm.smin.i64(i64 %a.left, i64 LANES)
  %b.first = mul i64 %b.piece, %piece_lines
  %b.left = sub i64 %b_lines, %b.first
  %b.count = call i64 @llvm.smin.i64(i64 %b.left, i64 %piece_lines)
  %whole.tiles = add i64 %b.count, TILE
  call void @find(ptr %a.tap.table, i64 %a_taps, i64 %a_channel, i64 %a.first, i64 %a.count,
                  i64 LANES, ptr %a.offsets)
  call void @find(ptr %b.tap.table, i64 %b_taps, i64 %b_channel, i64 %b.first, i64 %b.count,
                  i64 %whole.tiles, ptr %b.offsets)
  %a.group = call ptr @place(ptr %a.base, i64 %group, i64 %a_group, i64 0, i64 0)
  %b.group = call ptr @place(ptr %b.base, i64 %group, i64 %b_group, i64 0, i64 0)
  call void @clear(ptr %sums, i64 %whole.tiles, ELEMENT %nothing)
  %block.first.at = getelementptr i64, ptr %share.table, i64 %share
  %block.end.at = getelementptr i64, ptr %share.ends, i64 %share
  %block.first = load i64, ptr %block.first.at
  %block.end = load i64, ptr %block.end.at
  %some.blocks = icmp slt i64 %block.first, %block.end
  br i1 %some.blocks, label %block.loop, label %piece.done

block.loop:
  %block = phi i64 [%block.first, %piece.loop], [%block.next, %block.done]
  %block.at = getelementptr [2 x i64], ptr %block.table, i64 %block
  %block.count.at = getelementptr i64, ptr %block.at, i64 1
  %position = load i64, ptr %block.at
  %count = load i64, ptr %block.count.at
  %a.segments = call i64 @divide(ptr %a.row.table, i64 %a_rows, i64 %a_width, i64 %a_image,
                                 i64 %position, i64 %count, ptr %segments)
  call void @pack(ptr %a.group, ptr %a.offsets, ptr %segments, i64 %a.segments, ptr %packed)
  %b.segments = call i64 @divide(ptr %b.row.table, i64 %b_rows, i64 %b_width, i64 %b_image,
                                 i64 %position, i64 %count, ptr %segments)
  br label %tile.loop

tile.loop:
  %line = phi i64 [0, %block.loop], [%line.next, %tile.loop]
  %line.next = add i64 %line, TILE
  %offsets = getelementptr i64, ptr %b.offsets, i64 %line
  %sums.at = getelementptr [LANES x ELEMENT], ptr %sums, i64 %line
  call void @tile(ptr %packed, ptr %b.group, ptr %offsets, ptr %segments, i64 %b.segments,
                  i1 %are.apart, ptr %sums.at)
  %lines.left = icmp slt i64 %line.next, %b.count
  br i1 %lines.left, label %tile.loop, label %block.done

block.done:
  %block.next = add i64 %block, 1
  %blocks.left = icmp slt i64 %block.next, %block.end
  br i1 %blocks.left, label %block.loop, label %piece.done

piece.done:
  %w.group = mul i64 %over.vectors, %group.size
  %w.first = getelementptr ELEMENT, ptr %w.base, i64 %w.group
  %w = call ptr @place(ptr %w.first, i64 %a.first, i64 %a_step, i64 %b.first, i64 %b_step)
  call void @put(ptr %sums, i64 %a.count, i64 %b.count, ptr %w, i64 %a_step, i64 %b_step)
  %piece.next = add i64 %piece, 1
  %pieces.left = icmp slt i64 %piece.next, %piece.end
  br i1 %pieces.left, label %piece.loop, label %finish

finish:
  ret void
}

; Vectors of sums for as many lines.
define internal void @clear(ptr %sums, i64 %count, ELEMENT %nothing) nounwind {
entry:
NOTHING
  br label %loop

loop:
  %i = phi i64 [0, %entry], [%i.next, %loop]
  %at = getelementptr [LANES x ELEMENT], ptr %sums, i64 %i
CLEARED
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %count
  br i1 %more, label %loop, label %finish

finish:
  ret void
}

; The sums of one tile over the positions of the segments: they go on with those that are stored,
; or begin anew and are added to them.
define internal void @tile(ptr %packed, ptr %b, ptr %offsets, ptr %segments, i64 %count, i1 %apart,
                           ptr %sums) nounwind {
entry:
LINE_PLACES
  br label %segment.loop

segment.loop:
  %segment = phi i64 [0, %entry], [%segment.next, %segment.done]
  %a.segment = phi ptr [%packed, %entry], [%a.next, %segment.done]
SEGMENT_SUMS
  %segment.at = getelementptr [2 x i64], ptr %segments, i64 %segment
  %length.at = getelementptr i64, ptr %segment.at, i64 1
  %first = load i64, ptr %segment.at
  %length = load i64, ptr %length.at
  %last = add i64 %first, %length
  br label %loop

loop:
  %i = phi i64 [%first, %segment.loop], [%i.next, %loop]
  %a.at = phi ptr [%a.segment, %segment.loop], [%a.next, %loop]
LOOP_SUMS
PRODUCTS
  %a.next = getelementptr [LANES x ELEMENT], ptr %a.at, i64 1
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %last
  br i1 %more, label %loop, label %segment.done

segment.done:
  %segment.next = add i64 %segment, 1
  %segments.left = icmp slt i64 %segment.next, %count
  br i1 %segments.left, label %segment.loop, label %finish

finish:
RESULTS
  ret void
}

; The sums of `a_count` lanes and `b_count` lines into w.
define internal void @put(ptr %sums, i64 %a_count, i64 %b_count, ptr %w, i64 %a_step, i64 %b_step)
    nounwind {
entry:
  br label %lines

lines:
  %line = phi i64 [0, %entry], [%line.next, %line.done]
  %from.line = getelementptr [LANES x ELEMENT], ptr %sums, i64 %line
  %to.line = mul i64 %line, %b_step
  br label %lanes

lanes:
  %lane = phi i64 [0, %lines], [%lane.next, %lanes]
  %to.lane = mul i64 %lane, %a_step
  %to.place = add i64 %to.line, %to.lane
  %from = getelementptr ELEMENT, ptr %from.line, i64 %lane
  %to = getelementptr ELEMENT, ptr %w, i64 %to.place
  %sum = load ELEMENT, ptr %from
  store ELEMENT %sum, ptr %to
  %lane.next = add i64 %lane, 1
  %lanes.left = icmp slt i64 %lane.next, %a_count
  br i1 %lanes.left, label %lanes, label %line.done

line.done:
  %line.next = add i64 %line, 1
  %lines.left = icmp slt i64 %line.next, %b_count
  br i1 %lines.left, label %lines, label %finish

finish:
  ret void
}
"""


def _starts(tile: ChainTile) -> list[str]:
    """The sums that are stored, or zero if they begin anew."""
    vector, lines = tile.vector, []
    for j in range(tile.lines):
        lines += [
            vector.at(f"sum.{j}.at", "%sums", j),
            vector.load(f"sum.{j}", f"%sum.{j}.at"),
            f"%start.{j} = select i1 %apart, {vector.type} zeroinitializer, {vector.type} %sum.{j}",
        ]
    return lines


def _products(tile: ChainTile) -> list[str]:
    """The products of one position."""
    vector = tile.vector
    lines = [vector.load("a", "%a.at")]
    for j in range(tile.lines):
        lines += [
            f"%b.{j}.at = getelementptr {vector.element}, ptr %line.{j}, i64 %i",
            f"%b.{j}.scalar = load {vector.element}, ptr %b.{j}.at",
            *vector.splat(f"b.{j}", f"%b.{j}.scalar"),
            vector.fma(f"next.{j}", "%a", f"%b.{j}", f"%now.{j}"),
        ]
    return lines


def _results(tile: ChainTile) -> list[str]:
    """The sums to where they are stored."""
    vector = tile.vector
    lines = vector.splat("nothing", "-0.0")
    for j in range(tile.lines):
        lines += [
            f"%before.{j} = select i1 %apart, {vector.type} %sum.{j}, {vector.type} %nothing",
            f"%result.{j} = fadd {vector.type} %before.{j}, %next.{j}",
            vector.store(f"%result.{j}", f"%sum.{j}.at"),
        ]
    return lines


def _sums(tile: ChainTile, name: str, before: str, entry: str, loop: str) -> list[str]:
    """The sums at the head of a loop: those from before it, and then what the loop has made."""
    return [
        f"%{name}.{j} = phi {tile.vector.type} [%{before}.{j}, %{entry}], [%next.{j}, %{loop}]"
        for j in range(tile.lines)
    ]


def chained_weight_text(tile: ChainTile) -> str:
    """The module with the kernel for tiles of this size."""
    vector = tile.vector
    kernel = fill(
        _KERNEL + ADDRESSES,
        ALL_LOADS=loads(FIELDS, FIELDS),
        NOTHING=vector.splat("all", "%nothing"),
        CLEARED=[vector.store("%all", "%at")],
        LINE_PLACES=[*line_places(vector, "%b", tile.lines), *_starts(tile)],
        SEGMENT_SUMS=_sums(tile, "kept", "start", "entry", "segment.done"),
        LOOP_SUMS=_sums(tile, "now", "kept", "segment.loop", "loop"),
        PRODUCTS=_products(tile),
        RESULTS=_results(tile),
        NAME=tile.name,
        PACKED=(MOST_POSITIONS + vector.lanes) * vector.lanes,
        SUMS=(MOST_LINES + tile.lines) * vector.lanes,
        PLACES=MOST_LINES + tile.lines,
        POSITIONS=MOST_POSITIONS,
        LAST_LANE=vector.lanes - 1,
        FIELDS=len(FIELDS),
        LANES=vector.lanes,
        TILE=tile.lines,
        ELEMENT=vector.element,
    )
    return kernel + packing_text(vector) + vector.declarations()
