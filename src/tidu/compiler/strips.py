"""Products by a function of our own, where BLAS is slow: with a transposed right operand, where B
is large, and on Intel's processors nearly everywhere.

It is called like cblas_?gemm, for matrices by rows, with alpha = 1 and with beta 0 or 1. As many
columns of C as a tile has are made at a time. What they need of B, a strip of it, is laid into rows
one behind the other, which a transposed B is turned around for, square by square in registers. A B
of which that many columns lie so already is read where it is. All rows of A are then multiplied
with that, a few at a time. Each element of C is one chain of fused multiplications and additions.

A strip is taken in parts that fit the fastest cache beside what is read of A. Between two parts,
the sums so far wait on the stack.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

from tidu.compiler.correlation.vectors import BYTES, Vector, fill
from tidu.compiler.gemm import STRIP_ROWS

# How many steps along k elements of A are fetched ahead, which in a transposed A are in lines far
# apart: those of a tile's last row, since the line of the first has been there for the tile before.
_AHEAD = 12
# What it takes of k at most. Of rows it takes STRIP_ROWS.
MOST_DEPTH = 384
# How much of k is in a part of a strip: 32 KiB of float32 in registers of 64 bytes.
_PART = 128
# For so few rows a strip is taken as a whole: a part would be read again too few times.
_FEW = 24
_ELEMENTS = ("float", "double")
_PREFETCH = "declare void @llvm.prefetch.p0(ptr, i32, i32, i32)"
_MEMCPY = "declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"
# Rows of a tile. With six, three of four registers hold sums, and what is read of a strip serves
# for most; four are for what six do not divide.
_TALL, _SHORT = 6, 4


class _Tile(NamedTuple):
    """The part of C that is kept in registers."""

    vector: Vector

    @property
    def vectors(self) -> int:
        return self.vector.registers // 8

    @property
    def width(self) -> int:
        return self.vectors * self.vector.lanes


def width(element: str, vector_bytes: int) -> int:
    """How many columns a strip has."""
    return _Tile(Vector(element, vector_bytes)).width


def name(element: str) -> str:
    """The function for LLVM's "float" or "double"."""
    return f"tidu_strips_{element}"


def text(vector_bytes: int) -> str:
    """The module with the function for each dtype, for registers of so many bytes."""
    tiles = [_Tile(Vector(element, vector_bytes)) for element in _ELEMENTS]
    declarations = dict.fromkeys(
        line for tile in tiles for line in tile.vector.declarations().splitlines()
    )
    declarations |= {_MEMCPY: None, _PREFETCH: None}
    return "".join(map(_module, tiles)) + "\n".join(declarations)


def _module(tile: _Tile) -> str:
    sizes = [(rows, v) for rows in (_TALL, _SHORT) for v in range(1, tile.vectors + 1)]
    main = fill(
        _FUNCTION,
        CASES=" ".join(f"i64 {i}, label %tile.{r}.{v}" for i, (r, v) in enumerate(sizes)),
        CALLS="".join(fill(_CALL, ROWS=r, VECTORS=v) for r, v in sizes),
        SCRATCH=(MOST_DEPTH + tile.vector.lanes) * tile.width,
        SUMS=(STRIP_ROWS + _TALL) * tile.width,
        DEPTH=MOST_DEPTH,
        PART=_PART,
        FEW=_FEW,
        LAST_LANE=tile.vector.lanes - 1,
        VECTORS=tile.vectors,
        TALL=_TALL,
        SHORT=_SHORT,
    )
    return fill(
        main + _COPY + _turn(tile) + "".join(_tile(tile, r, v) for r, v in sizes),
        FUNCTION=name(tile.vector.element),
        WIDTH=tile.width,
        LANES=tile.vector.lanes,
        ELEMENT=tile.vector.element,
        BYTES=BYTES[tile.vector.element],
    )


_FUNCTION = """
define void @FUNCTION(i32 %layout, i32 %a.order, i32 %b.order, i64 %m, i64 %n, i64 %k,
                      ELEMENT %alpha, ptr %a, i64 %lda, ptr %b, i64 %ldb,
                      ELEMENT %beta, ptr %c, i64 %ldc) nounwind {
entry:
  %strip = alloca [SCRATCH x ELEMENT], align 64
  %sums = alloca [SUMS x ELEMENT], align 64
  %adds = fcmp une ELEMENT %beta, 0.0
  %straight = icmp eq i32 %b.order, 111
  %a.straight = icmp eq i32 %a.order, 111
  %a.down = select i1 %a.straight, i64 %lda, i64 1
  %a.along = select i1 %a.straight, i64 1, i64 %lda
  ; Equal parts of k, of whole vectors.
  %once = icmp sle i64 %m, FEW
  %most = select i1 %once, i64 DEPTH, i64 PART
  %most.last = sub i64 %most, 1
  %k.over = add i64 %k, %most.last
  %parts = udiv i64 %k.over, %most
  %parts.last = sub i64 %parts, 1
  %k.even = add i64 %k, %parts.last
  %even = udiv i64 %k.even, %parts
  %even.over = add i64 %even, LAST_LANE
  %vectors.of.part = udiv i64 %even.over, LANES
  %part = mul i64 %vectors.of.part, LANES
  br label %columns.loop

columns.loop:
  %column = phi i64 [0, %entry], [%column.next, %columns.done]
  %column.next = add i64 %column, WIDTH
  %columns.left = sub i64 %n, %column
  %width = call i64 @llvm.smin.i64(i64 %columns.left, i64 WIDTH)
  %lanes.before = sub i64 %width, 1
  %vectors.before = udiv i64 %lanes.before, LANES
  %lanes.full = mul i64 %vectors.before, LANES
  %last = sub i64 %width, %lanes.full
  %c.columns = getelementptr ELEMENT, ptr %c, i64 %column
  %b.columns = getelementptr ELEMENT, ptr %b, i64 %column
  br label %parts.loop

parts.loop:
  %done = phi i64 [0, %columns.loop], [%done.next, %parts.next]
  %k.left = sub i64 %k, %done
  %now = call i64 @llvm.smin.i64(i64 %k.left, i64 %part)
  %done.next = add i64 %done, %now
  %begins = icmp eq i64 %done, 0
  %goes.on = icmp slt i64 %done.next, %k
  %b.line = mul i64 %done, %ldb
  %b.straight = getelementptr ELEMENT, ptr %b.columns, i64 %b.line
  %a.line = mul i64 %done, %a.along
  %a.part = getelementptr ELEMENT, ptr %a, i64 %a.line
  br i1 %straight, label %by.rows, label %turn

by.rows:
  %lines = icmp eq i64 %ldb, WIDTH
  %all = icmp eq i64 %width, WIDTH
  %is.strip = and i1 %lines, %all
  br i1 %is.strip, label %rows, label %copy

copy:
  call void @copy.ELEMENT(ptr %b.straight, i64 %ldb, i64 %width, i64 %now, ptr %strip)
  br label %rows

turn:
  %b.column = mul i64 %column, %ldb
  %b.place = add i64 %b.column, %done
  %b.transposed = getelementptr ELEMENT, ptr %b, i64 %b.place
  call void @turn.ELEMENT(ptr %b.transposed, i64 %ldb, i64 %width, i64 %now, ptr %strip)
  br label %rows

rows:
  %from = phi ptr [%b.straight, %by.rows], [%strip, %copy], [%strip, %turn]
  br label %rows.loop

rows.loop:
  %row = phi i64 [0, %rows], [%row.next, %rows.done]
  %rows.left = sub i64 %m, %row
  %few = icmp sle i64 %rows.left, SHORT
  %more.than.tall = icmp sgt i64 %rows.left, TALL
  %for.two = icmp sle i64 %rows.left, 8
  %two.short = and i1 %more.than.tall, %for.two
  %short = or i1 %few, %two.short
  %height = select i1 %short, i64 SHORT, i64 TALL
  %row.next = add i64 %row, %height
  %a.place = mul i64 %row, %a.down
  %a.rows = getelementptr ELEMENT, ptr %a.part, i64 %a.place
  %c.place = mul i64 %row, %ldc
  %c.rows = getelementptr ELEMENT, ptr %c.columns, i64 %c.place
  %sums.place = mul i64 %row, WIDTH
  %sums.rows = getelementptr ELEMENT, ptr %sums, i64 %sums.place
  %first.of.short = select i1 %short, i64 VECTORS, i64 0
  %tile = add i64 %vectors.before, %first.of.short
  switch i64 %tile, label %rows.done [CASES]
CALLS
rows.done:
  %rows.more = icmp slt i64 %row.next, %m
  br i1 %rows.more, label %rows.loop, label %parts.next

parts.next:
  br i1 %goes.on, label %parts.loop, label %columns.done

columns.done:
  %columns.more = icmp slt i64 %column.next, %n
  br i1 %columns.more, label %columns.loop, label %finish

finish:
  ret void
}
"""

_CALL = """
tile.ROWS.VECTORS:
  call void @tile.ROWS.VECTORS.ELEMENT(ptr %a.rows, i64 %a.down, i64 %a.along, ptr %from, i64 %now,
                                       i64 %last, ptr %c.rows, i64 %ldc, i64 %rows.left, i1 %adds,
                                       ptr %sums.rows, i1 %begins, i1 %goes.on)
  br label %rows.done
"""

_COPY = """
; `width` columns of B, which is stored row by row: k rows of WIDTH elements.
define internal void @copy.ELEMENT(ptr %b, i64 %ldb, i64 %width, i64 %k, ptr %to) noinline nounwind
{
entry:
  %whole = icmp eq i64 %width, WIDTH
  %bytes = mul i64 %width, BYTES
  br label %loop

loop:
  %i = phi i64 [0, %entry], [%i.next, %next]
  %place = mul i64 %i, %ldb
  %from = getelementptr ELEMENT, ptr %b, i64 %place
  %line = mul i64 %i, WIDTH
  %target = getelementptr ELEMENT, ptr %to, i64 %line
  br i1 %whole, label %all, label %part

all:
  %row = load <WIDTH x ELEMENT>, ptr %from, align BYTES
  store <WIDTH x ELEMENT> %row, ptr %target, align 64
  br label %next

part:
  call void @llvm.memcpy.p0.p0.i64(ptr %target, ptr %from, i64 %bytes, i1 false)
  br label %next

next:
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %k
  br i1 %more, label %loop, label %finish

finish:
  ret void
}
"""

_TURN = """
; `width` columns of B, which are stored one behind the other: k rows of WIDTH elements. Beyond the
; last column and the last of k, they are something.
define internal void @turn.ELEMENT(ptr %b, i64 %ldb, i64 %width, i64 %k, ptr %to) noinline nounwind
{
entry:
  %last.column = sub i64 %width, 1
  br label %columns.loop

columns.loop:
  %column = phi i64 [0, %entry], [%column.next, %columns.done]
  br label %squares.loop

squares.loop:
  %from = phi i64 [0, %columns.loop], [%from.next, %squares.loop]
  %k.left = sub i64 %k, %from
MASK
LOADS
EXCHANGES
STORES
  %from.next = add i64 %from, LANES
  %squares.more = icmp slt i64 %from.next, %k
  br i1 %squares.more, label %squares.loop, label %columns.done

columns.done:
  %column.next = add i64 %column, LANES
  %columns.more = icmp slt i64 %column.next, %width
  br i1 %columns.more, label %columns.loop, label %finish

finish:
  ret void
}
"""


def _turn(tile: _Tile) -> str:
    """The function that turns squares around."""
    vector, loads, stores = tile.vector, [], []
    for i in range(vector.lanes):
        loads += [
            f"%number.{i} = add i64 %column, {i}",
            # A column that does not exist: the last one once more.
            f"%there.{i} = call i64 @llvm.smin.i64(i64 %number.{i}, i64 %last.column)",
            f"%place.{i} = mul i64 %there.{i}, %ldb",
            f"%first.{i} = add i64 %place.{i}, %from",
            f"%from.{i} = getelementptr {vector.element}, ptr %b, i64 %first.{i}",
            vector.load(f"loaded.{i}", f"%from.{i}", "%mask"),
        ]
    exchanges, columns = vector.turned([f"%loaded.{i}" for i in range(vector.lanes)])
    for i, turned in enumerate(columns):
        stores += [
            f"%k.{i} = add i64 %from, {i}",
            f"%line.{i} = mul i64 %k.{i}, WIDTH",
            f"%target.{i} = add i64 %line.{i}, %column",
            f"%to.{i} = getelementptr {vector.element}, ptr %to, i64 %target.{i}",
            vector.store(turned, f"%to.{i}"),
        ]
    return fill(
        _TURN,
        MASK=vector.first_lanes("mask", "%k.left"),
        LOADS=loads,
        EXCHANGES=exchanges,
        STORES=stores,
    )


_TILE = """
; A tile of up to HEIGHT rows and of VECTORS vectors, of which the last has `last` elements:
; c = Σ a·b, or c += Σ a·b. `down` and `along` are the distances between elements of A. A sum that
; does not begin here starts with what `sums` has; one that goes on is left there.
define internal void @tile.HEIGHT.VECTORS.ELEMENT(
    ptr %a, i64 %down, i64 %along, ptr %b, i64 %k, i64 %last, ptr %c, i64 %ldc, i64 %rows, i1 %adds,
    ptr %sums, i1 %begins, i1 %goes.on
) noinline nounwind {
entry:
  %row.last = sub i64 %rows, 1
  %far = mul i64 %along, AHEAD
MASK
STARTS
  br i1 %begins, label %ready, label %resume

resume:
RESUMED
  br label %ready

ready:
FIRSTS
  br label %loop

loop:
  %i = phi i64 [0, %ready], [%i.next, %loop]
  %a.i = phi i64 [0, %ready], [%a.i.next, %loop]
SUMS
  %b.line = mul i64 %i, WIDTH
  %b.i = getelementptr ELEMENT, ptr %b, i64 %b.line
  %a.soon = add i64 %a.i, %far
  %a.ahead = getelementptr ELEMENT, ptr %a.row.LAST, i64 %a.soon
  call void @llvm.prefetch.p0(ptr %a.ahead, i32 0, i32 3, i32 1)
PRODUCTS
  %i.next = add i64 %i, 1
  %a.i.next = add i64 %a.i, %along
  %more = icmp slt i64 %i.next, %k
  br i1 %more, label %loop, label %made

made:
  br i1 %goes.on, label %keep, label %store.0

keep:
KEPT
  br label %store.HEIGHT
STORES
store.HEIGHT:
  ret void
}
"""

# One row of a tile into C, and on to the next if there is one.
_STORE = """
store.THIS:
  %exists.THIS = icmp sgt i64 %rows, THIS
  br i1 %exists.THIS, label %start.THIS, label %store.HEIGHT

start.THIS:
  %c.place.THIS = mul i64 %ldc, THIS
  %c.row.THIS = getelementptr ELEMENT, ptr %c, i64 %c.place.THIS
PLACES
  br i1 %adds, label %adds.THIS, label %end.THIS

adds.THIS:
LOADS
  br label %end.THIS

end.THIS:
RESULTS
  br label %store.NEXT
"""


def _tile(tile: _Tile, height: int, vectors: int) -> str:
    """The function for tiles of so many rows and vectors."""
    vector, starts, products = tile.vector, [], []
    for i in range(height):
        starts += [
            # A row that does not exist: the last one once more.
            f"%row.{i} = call i64 @llvm.smin.i64(i64 {i}, i64 %row.last)",
            f"%a.place.{i} = mul i64 %row.{i}, %down",
            f"%a.row.{i} = getelementptr {vector.element}, ptr %a, i64 %a.place.{i}",
        ]
    for j in range(vectors):
        products += [vector.at(f"b.at.{j}", "%b.i", j), vector.load(f"b.{j}", f"%b.at.{j}")]
    for i in range(height):
        products += [
            f"%a.at.{i} = getelementptr {vector.element}, ptr %a.row.{i}, i64 %a.i",
            f"%a.scalar.{i} = load {vector.element}, ptr %a.at.{i}",
            *vector.splat(f"a.{i}", f"%a.scalar.{i}"),
            *(
                vector.fma(f"next.{i}.{j}", f"%a.{i}", f"%b.{j}", f"%sum.{i}.{j}")
                for j in range(vectors)
            ),
        ]
    firsts, sums, resumed, kept = [], [], [], []
    for i, j in product(range(height), range(vectors)):
        places = vector.at(f"{{}}.at.{i}.{j}", "%sums", i * tile.vectors + j)
        resumed += [
            places.format("resumed"),
            vector.load(f"resumed.{i}.{j}", f"%resumed.at.{i}.{j}"),
        ]
        kept += [places.format("kept"), vector.store(f"%next.{i}.{j}", f"%kept.at.{i}.{j}")]
        sources = f"[zeroinitializer, %entry], [%resumed.{i}.{j}, %resume]"
        firsts.append(f"%first.{i}.{j} = phi {vector.type} {sources}")
        sources = f"[%first.{i}.{j}, %ready], [%next.{i}.{j}, %loop]"
        sums.append(f"%sum.{i}.{j} = phi {vector.type} {sources}")
    return fill(
        _TILE,
        MASK=vector.first_lanes("mask", "%last"),
        STARTS=starts,
        RESUMED=resumed,
        FIRSTS=firsts,
        KEPT=kept,
        SUMS=sums,
        PRODUCTS=products,
        STORES="".join(_store(vector, vectors, i) for i in range(height)),
        HEIGHT=height,
        AHEAD=_AHEAD,
        LAST=height - 1,
        VECTORS=vectors,
    )


def _store(vector: Vector, vectors: int, i: int) -> str:
    places, loads, results, stores = [], [], [], []
    for j in range(vectors):
        mask = "%mask" if j == vectors - 1 else ""
        place, done = f"%c.at.{i}.{j}", f"%next.{i}.{j}"
        places.append(vector.at(place[1:], f"%c.row.{i}", j))
        loads += [
            vector.load(f"c.{i}.{j}", place, mask),
            f"%both.{i}.{j} = fadd {vector.type} %c.{i}.{j}, {done}",
        ]
        sources = f"[{done}, %start.{i}], [%both.{i}.{j}, %adds.{i}]"
        results.append(f"%result.{i}.{j} = phi {vector.type} {sources}")
        stores.append(vector.store(f"%result.{i}.{j}", place, mask))
    return fill(_STORE, PLACES=places, LOADS=loads, RESULTS=[*results, *stores], THIS=i, NEXT=i + 1)
