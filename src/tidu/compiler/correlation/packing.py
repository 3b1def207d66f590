"""Text of functions for lines of numbers in planes: where they are, and side by side as vectors."""

from __future__ import annotations

from tidu.compiler.correlation.vectors import Vector, fill

FIND = """
; The offsets of `count` lines from one on, and then that of the last line, `wanted` in all.
define internal void @find(ptr %table, i64 %taps, i64 %channel_step, i64 %first,
                           i64 %count, i64 %wanted, ptr %offsets) nounwind {
entry:
  %last = sub i64 %count, 1
  br label %loop

loop:
  %i = phi i64 [0, %entry], [%i.next, %loop]
  %existing = call i64 @llvm.smin.i64(i64 %i, i64 %last)
  %line = add i64 %first, %existing
  %channel = udiv i64 %line, %taps
  %tap = urem i64 %line, %taps
  %tap.at = getelementptr i64, ptr %table, i64 %tap
  %tap.place = load i64, ptr %tap.at
  %channel.place = mul i64 %channel, %channel_step
  %offset = add i64 %channel.place, %tap.place
  %offset.at = getelementptr i64, ptr %offsets, i64 %i
  store i64 %offset, ptr %offset.at
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %wanted
  br i1 %more, label %loop, label %finish

finish:
  ret void
}
"""

_FUNCTIONS = """
; `count` positions from one on as parts of rows: where each begins in the planes, and its length.
define internal i64 @divide(ptr %table, i64 %rows, i64 %width, i64 %image_step, i64 %position,
                            i64 %count, ptr %segments) nounwind {
entry:
  %row.first = udiv i64 %position, %width
  %column.first = urem i64 %position, %width
  %image.first = udiv i64 %row.first, %rows
  %in.image = urem i64 %row.first, %rows
  br label %loop

loop:
  %i = phi i64 [0, %entry], [%i.next, %loop]
  %image = phi i64 [%image.first, %entry], [%image.next, %loop]
  %row = phi i64 [%in.image, %entry], [%row.next, %loop]
  %column = phi i64 [%column.first, %entry], [0, %loop]
  %left = phi i64 [%count, %entry], [%left.next, %loop]
  %row.at = getelementptr i64, ptr %table, i64 %row
  %row.place = load i64, ptr %row.at
  %image.place = mul i64 %image, %image_step
  %place = add i64 %image.place, %row.place
  %first = add i64 %place, %column
  %in.row = sub i64 %width, %column
  %length = call i64 @llvm.smin.i64(i64 %left, i64 %in.row)
  %at = getelementptr [2 x i64], ptr %segments, i64 %i
  %length.at = getelementptr i64, ptr %at, i64 1
  store i64 %first, ptr %at
  store i64 %length, ptr %length.at
  %left.next = sub i64 %left, %length
  %i.next = add i64 %i, 1
  %row.after = add i64 %row, 1
  %wraps = icmp eq i64 %row.after, %rows
  %row.next = select i1 %wraps, i64 0, i64 %row.after
  %image.after = add i64 %image, 1
  %image.next = select i1 %wraps, i64 %image.after, i64 %image
  %more = icmp sgt i64 %left.next, 0
  br i1 %more, label %loop, label %finish

finish:
  ret i64 %i.next
}

; The numbers of all lanes at one position side by side, for each position of the segments. What is
; written after the last one means nothing.
define internal void @pack(ptr %a, ptr %offsets, ptr %segments, i64 %count, ptr %packed) nounwind {
entry:
LANE_PLACES
  br label %segment.loop

segment.loop:
  %segment = phi i64 [0, %entry], [%segment.next, %segment.done]
  %to.segment = phi ptr [%packed, %entry], [%to.next, %segment.done]
  %segment.at = getelementptr [2 x i64], ptr %segments, i64 %segment
  %length.at = getelementptr i64, ptr %segment.at, i64 1
  %first = load i64, ptr %segment.at
  %length = load i64, ptr %length.at
  br label %loop

loop:
  %i = phi i64 [0, %segment.loop], [%i.next, %stored]
  %to = phi ptr [%to.segment, %segment.loop], [%to.next, %stored]
  %from = add i64 %first, %i
  %left = sub i64 %length, %i
  %taken = call i64 @llvm.smin.i64(i64 %left, i64 LANES)
  %whole = icmp eq i64 %taken, LANES
  br i1 %whole, label %all, label %some

all:
WHOLE
  br label %stored

some:
PARTLY
  br label %stored

stored:
LOADED
EXCHANGED
  %to.next = getelementptr [LANES x ELEMENT], ptr %to, i64 %taken
  %i.next = add i64 %i, LANES
  %more = icmp slt i64 %i.next, %length
  br i1 %more, label %loop, label %segment.done

segment.done:
  %segment.next = add i64 %segment, 1
  %segments.left = icmp slt i64 %segment.next, %count
  br i1 %segments.left, label %segment.loop, label %finish

finish:
  ret void
}
"""


def line_places(vector: Vector, base: str, count: int) -> list[str]:
    """Where each of the lines begins, as `offsets` tells."""
    lines = []
    for i in range(count):
        lines += [
            f"%offset.{i}.at = getelementptr i64, ptr %offsets, i64 {i}",
            f"%offset.{i} = load i64, ptr %offset.{i}.at",
            f"%line.{i} = getelementptr {vector.element}, ptr {base}, i64 %offset.{i}",
        ]
    return lines


def _loads(vector: Vector, name: str, mask: str = "") -> list[str]:
    """A vector of neighboring positions of each line."""
    lines = []
    for i in range(vector.lanes):
        place = f"ptr %line.{i}, i64 %from"
        lines += [
            f"%{name}.{i}.at = getelementptr {vector.element}, {place}",
            vector.load(f"{name}.{i}", f"%{name}.{i}.at", mask),
        ]
    return lines


def packing_text(vector: Vector) -> str:
    """The functions `divide`, `find` and `pack`."""
    rows = [
        f"%row.{i} = phi {vector.type} [%whole.{i}, %all], [%part.{i}, %some]"
        for i in range(vector.lanes)
    ]
    exchanged, columns = vector.turned([f"%row.{i}" for i in range(vector.lanes)])
    for i, column in enumerate(columns):
        exchanged += [vector.at(f"to.{i}", "%to", i), vector.store(column, f"%to.{i}")]
    return fill(
        FIND + _FUNCTIONS,
        LANE_PLACES=line_places(vector, "%a", vector.lanes),
        WHOLE=_loads(vector, "whole"),
        PARTLY=[*vector.first_lanes("mask", "%taken"), *_loads(vector, "part", "%mask")],
        LOADED=rows,
        EXCHANGED=exchanged,
        LANES=vector.lanes,
        ELEMENT=vector.element,
    )
