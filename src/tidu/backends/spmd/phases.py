"""A program as the runner reads it, and how a piece of it is done.

A program is an array of i64: its width (how many workers it has something for), the number of its
phases, and the phases. Workers meet between phases. A phase has

    the number of its words, and whether it is long
    the number of its shared calls, and of its tracks
    for each shared call:  units, address of the function, address of its parameters
    for each track:         number of calls, and for each the two addresses

The units of a shared call are independent of each other; the calls of a track, of one unit each,
follow each other. A phase is cut into pieces. Of n, piece i has the units of each shared call from
units*i/n up to units*(i+1)/n, both rounded up, and the tracks likewise, so that a single track
belongs to piece 0. What a call computes does not depend on n.
"""

from __future__ import annotations

TEXT = """
define internal void @call(ptr %call, ptr %table, i64 %begin, i64 %stop, i64 %worker)
    alwaysinline nounwind {
  %function = load ptr, ptr %call
  %params.at = getelementptr i64, ptr %call, i64 1
  %params = load ptr, ptr %params.at
  call void %function(ptr %table, ptr %params, i64 %begin, i64 %stop, i64 %worker)
  ret void
}

; Where a piece begins.
define internal i64 @mark(i64 %whole, i64 %piece, i64 %pieces) alwaysinline nounwind {
  %exact = mul i64 %whole, %piece
  %round = sub i64 %pieces, 1
  %up = add i64 %exact, %round
  %mark = udiv i64 %up, %pieces
  ret i64 %mark
}

; Pieces of a phase that follow each other.
define internal void @do(ptr %phase, ptr %table, i64 %from, i64 %to, i64 %pieces, i64 %worker)
    nounwind {
entry:
  %shared.at = getelementptr i64, ptr %phase, i64 2
  %shared = load i64, ptr %shared.at
  %tracks.at = getelementptr i64, ptr %phase, i64 3
  %tracks = load i64, ptr %tracks.at
  %first = getelementptr i64, ptr %phase, i64 4
  br label %shared.loop

shared.loop:
  %at = phi ptr [%first, %entry], [%at.next, %shared.done]
  %left = phi i64 [%shared, %entry], [%left.next, %shared.done]
  %no.more = icmp eq i64 %left, 0
  br i1 %no.more, label %tracks.start, label %shared.start

shared.start:
  %units = load i64, ptr %at
  %call = getelementptr i64, ptr %at, i64 1
  %at.next = getelementptr i64, ptr %at, i64 3
  %left.next = sub i64 %left, 1
  %begin = call i64 @mark(i64 %units, i64 %from, i64 %pieces)
  %stop = call i64 @mark(i64 %units, i64 %to, i64 %pieces)
  %some = icmp slt i64 %begin, %stop
  br i1 %some, label %shared.call, label %shared.done

shared.call:
  call void @call(ptr %call, ptr %table, i64 %begin, i64 %stop, i64 %worker)
  br label %shared.done

shared.done:
  br label %shared.loop

tracks.start:
  %track.begin = call i64 @mark(i64 %tracks, i64 %from, i64 %pieces)
  %track.stop = call i64 @mark(i64 %tracks, i64 %to, i64 %pieces)
  br label %tracks.loop

tracks.loop:
  %track = phi i64 [0, %tracks.start], [%track.next, %track.done]
  %track.at = phi ptr [%at, %tracks.start], [%track.end, %track.done]
  %over = icmp sge i64 %track, %track.stop
  br i1 %over, label %end, label %track.start

track.start:
  %calls = load i64, ptr %track.at
  %track.first = getelementptr i64, ptr %track.at, i64 1
  %track.words = mul i64 %calls, 2
  %track.end = getelementptr i64, ptr %track.first, i64 %track.words
  %track.next = add i64 %track, 1
  %ours = icmp sge i64 %track, %track.begin
  br i1 %ours, label %track.loop, label %track.done

track.loop:
  %single = phi ptr [%track.first, %track.start], [%single.next, %track.call]
  %empty = icmp eq ptr %single, %track.end
  br i1 %empty, label %track.done, label %track.call

track.call:
  call void @call(ptr %single, ptr %table, i64 0, i64 1, i64 %worker)
  %single.next = getelementptr i64, ptr %single, i64 2
  br label %track.loop

track.done:
  br label %tracks.loop

end:
  ret void
}

define internal i1 @is.long(ptr %phase) alwaysinline nounwind {
  %long.at = getelementptr i64, ptr %phase, i64 1
  %long.word = load i64, ptr %long.at
  %long = icmp ne i64 %long.word, 0
  ret i1 %long
}

define internal ptr @phase.after(ptr %phase) alwaysinline nounwind {
  %words = load i64, ptr %phase
  %next = getelementptr i64, ptr %phase, i64 %words
  ret ptr %next
}

define internal i64 @phases(ptr %program) alwaysinline nounwind {
  %phases.at = getelementptr i64, ptr %program, i64 1
  %phases = load i64, ptr %phases.at
  ret i64 %phases
}

; All of a program, by one worker.
define internal void @alone(ptr %program, ptr %table) nounwind {
entry:
  %phases = call i64 @phases(ptr %program)
  %first = getelementptr i64, ptr %program, i64 2
  br label %loop

loop:
  %number = phi i64 [0, %entry], [%number.next, %work]
  %phase = phi ptr [%first, %entry], [%next, %work]
  %finished = icmp eq i64 %number, %phases
  br i1 %finished, label %end, label %work

work:
  call void @do(ptr %phase, ptr %table, i64 0, i64 1, i64 1, i64 0)
  %next = call ptr @phase.after(ptr %phase)
  %number.next = add i64 %number, 1
  br label %loop

end:
  ret void
}
"""

ALONE = """
define void @tidu_run(ptr %program, ptr %table) nounwind {
  call void @alone(ptr %program, ptr %table)
  ret void
}
"""
