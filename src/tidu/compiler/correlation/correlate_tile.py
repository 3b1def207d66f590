"""The text of the functions that `correlate_kernel` calls, one for each width of a tile."""

from __future__ import annotations

from tidu.compiler.correlation.correlate import Tile
from tidu.compiler.correlation.vectors import Vector, fill

_TILE = """
; A tile of VECTORS vectors, of which the last has `last` elements. The sums Σ a·x start with y if
; they resume, else with a number for each row; y is added in the end, or a number for each row.
define internal void @tile.VECTORS(ptr %x, ptr %offsets, ptr %packed, i64 %count, i64 %last, ptr %y,
                                   i64 %y_row, i64 %height, i1 %resumes, ptr %initial, i1 %adds,
                                   ptr %added) nounwind {
entry:
MASK
  br i1 %resumes, label %resume, label %begin

resume:
  %row.last = sub i64 %height, 1
RESUMED
  br label %ready

begin:
BEGUN
  br label %ready

ready:
FIRSTS
  %none = icmp eq i64 %count, 0
  br i1 %none, label %done, label %loop

loop:
  %k = phi i64 [0, %ready], [%k.next, %loop]
SUMS
  %offset.at = getelementptr i64, ptr %offsets, i64 %k
  %offset = load i64, ptr %offset.at
  %x.k = getelementptr ELEMENT, ptr %x, i64 %offset
  %a.k = getelementptr [ROWS x ELEMENT], ptr %packed, i64 %k
PRODUCTS
  %k.next = add i64 %k, 1
  %more = icmp slt i64 %k.next, %count
  br i1 %more, label %loop, label %done

done:
TOTALS
  br label %row.0
STORES
row.ROWS:
  ret void
}
"""

# One row of a tile into y, and on to the next if there is one.
_STORE = """
row.THIS:
  %exists.THIS = icmp sgt i64 %height, THIS
  br i1 %exists.THIS, label %start.THIS, label %row.ROWS

start.THIS:
  %y.THIS.place = mul i64 %y_row, THIS
  %y.THIS = getelementptr ELEMENT, ptr %y, i64 %y.THIS.place
PLACES
  br i1 %adds, label %adds.THIS, label %begins.THIS

adds.THIS:
LOADS
  br label %store.THIS

begins.THIS:
END
  br label %store.THIS

store.THIS:
BEFORE
RESULTS
  br label %row.NEXT
"""


def _products(tile: Tile, vectors: int) -> list[str]:
    """The products of one k."""
    vector, lines = tile.vector, []
    for j in range(vectors):
        lines.append(vector.at(f"x.{j}.at", "%x.k", j))
        lines.append(vector.load(f"x.{j}", f"%x.{j}.at", _mask(vectors, j)))
    for i in range(tile.rows):
        lines += [
            f"%a.{i}.at = getelementptr {vector.element}, ptr %a.k, i64 {i}",
            f"%a.{i}.scalar = load {vector.element}, ptr %a.{i}.at",
            *vector.splat(f"a.{i}", f"%a.{i}.scalar"),
        ]
        for j in range(vectors):
            lines.append(vector.fma(f"next.{i}.{j}", f"%a.{i}", f"%x.{j}", f"%sum.{i}.{j}"))
    return lines


def _mask(vectors: int, j: int) -> str:
    """Only the last vector of a tile may lack elements."""
    return "%mask" if j == vectors - 1 else ""


def _store(tile: Tile, vectors: int, i: int) -> str:
    vector, places, loads, before, results = tile.vector, [], [], [], []
    for j in range(vectors):
        place, mask = f"%y.{i}.{j}.at", _mask(vectors, j)
        sources = f"[%y.{i}.{j}, %adds.{i}], [%added.{i}, %begins.{i}]"
        places.append(vector.at(f"y.{i}.{j}.at", f"%y.{i}", j))
        loads.append(vector.load(f"y.{i}.{j}", place, mask))
        before.append(f"%before.{i}.{j} = phi {vector.type} {sources}")
        results += [
            f"%result.{i}.{j} = fadd {vector.type} %before.{i}.{j}, %total.{i}.{j}",
            vector.store(f"%result.{i}.{j}", place, mask),
        ]
    return fill(
        _STORE,
        PLACES=places,
        LOADS=loads,
        END=_number_of_row(vector, "added", i),
        BEFORE=before,
        RESULTS=results,
        THIS=i,
        NEXT=i + 1,
    )


def _number_of_row(vector: Vector, name: str, i: int) -> list[str]:
    """One of the numbers that there are for rows, in every lane."""
    return [
        f"%{name}.{i}.at = getelementptr {vector.element}, ptr %{name}, i64 {i}",
        f"%{name}.{i}.scalar = load {vector.element}, ptr %{name}.{i}.at",
        *vector.splat(f"{name}.{i}", f"%{name}.{i}.scalar"),
    ]


def _resumed(tile: Tile, vectors: int) -> list[str]:
    """The sums as they are in y; rows that do not exist get those of the last."""
    vector, lines = tile.vector, []
    for i in range(tile.rows):
        lines += [
            f"%resumed.{i} = call i64 @llvm.smin.i64(i64 {i}, i64 %row.last)",
            f"%resumed.{i}.place = mul i64 %resumed.{i}, %y_row",
            f"%resumed.{i}.row = getelementptr {vector.element}, ptr %y, i64 %resumed.{i}.place",
        ]
        for j in range(vectors):
            lines += [
                vector.at(f"resumed.{i}.{j}.at", f"%resumed.{i}.row", j),
                vector.load(f"resumed.{i}.{j}", f"%resumed.{i}.{j}.at", _mask(vectors, j)),
            ]
    return lines


def _firsts(tile: Tile, vectors: int) -> list[str]:
    """What the sums start with."""
    return [
        f"%first.{i}.{j} = phi {tile.vector.type}"
        f" [%resumed.{i}.{j}, %resume], [%initial.{i}, %begin]"
        for i in range(tile.rows)
        for j in range(vectors)
    ]


def tile_text(tile: Tile, vectors: int) -> str:
    """The function for tiles of so many vectors."""
    vector = tile.vector
    pairs = [f"{i}.{j}" for i in range(tile.rows) for j in range(vectors)]
    sources = {pair: f"[%first.{pair}, %ready], [%next.{pair}, %loop]" for pair in pairs}
    return fill(
        _TILE,
        MASK=vector.first_lanes("mask", "%last"),
        RESUMED=_resumed(tile, vectors),
        BEGUN=[line for i in range(tile.rows) for line in _number_of_row(vector, "initial", i)],
        FIRSTS=_firsts(tile, vectors),
        SUMS=[f"%sum.{pair} = phi {vector.type} {sources[pair]}" for pair in pairs],
        PRODUCTS=_products(tile, vectors),
        TOTALS=[f"%total.{pair} = phi {vector.type} {sources[pair]}" for pair in pairs],
        STORES="".join(_store(tile, vectors, i) for i in range(tile.rows)),
        VECTORS=vectors,
        ROWS=tile.rows,
        ELEMENT=vector.element,
    )
