"""The text of the kernel that `CorrelateWeightParams` describes, for tiles of a given size."""

from __future__ import annotations

from tidu.compiler.correlation.correlate_weight import FIELDS, WeightTile
from tidu.compiler.correlation.packing import FIND
from tidu.compiler.correlation.vectors import ADDRESSES, Vector, fill, loads
from tidu.compiler.gemm import ceiling

_KERNEL = """
define void @NAME(ptr %table, ptr %params, i64 %begin, i64 %end, i64 %worker) nounwind {
entry:
  %results = alloca [RESULTS x ELEMENT], align 64
  %offsets = alloca [COLUMNS x i64], align 64
ALL_LOADS
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
  call void @find(ptr %tap.table, i64 %taps, i64 %x_channel, i64 %column, i64 %width, i64 COLUMNS,
                  ptr %offsets)
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
FIRSTS
  br label %image.loop

image.loop:
  %image = phi i64 [0, %entry], [%image.next, %image.done]
IMAGE_SUMS
  %x.step = mul i64 %image, %x_image
  %g.step = mul i64 %image, %g_image
IMAGES
  br label %loop

loop:
  %p = phi i64 [0, %image.loop], [%p.next, %loop]
  %mask.at = phi ptr [%masks, %image.loop], [%mask.next, %loop]
LOOP_SUMS
  %mask.bits = load MASK_TYPE, ptr %mask.at
  %mask.next = getelementptr MASK_TYPE, ptr %mask.at, i64 1
MASK
PRODUCTS
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


def _products(tile: WeightTile) -> list[str]:
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
    """Adds the lanes of each sum, for as many sums at a time as there are lanes."""
    vector = tile.vector
    lines: list[str] = []
    sums = [f"%next.{i}.{j}" for i in range(tile.rows) for j in range(tile.columns)]
    for start in range(0, len(sums), vector.lanes):
        names, level = sums[start : start + vector.lanes], 0
        names += ["zeroinitializer"] * (vector.lanes - len(names))
        while len(names) > 1:
            pairs = zip(names[::2], names[1::2], strict=True)
            prefix = f"add.{start}.{level}"
            names = [_folded(vector, f"{prefix}.{i}", *pair, lines) for i, pair in enumerate(pairs)]
            level += 1
        place = f"ptr %results, i64 {start}"
        lines.append(f"%results.{start} = getelementptr {vector.element}, {place}")
        lines.append(vector.store(names[0], f"%results.{start}"))
    return lines


def _folded(vector: Vector, name: str, low: str, high: str, lines: list[str]) -> str:
    """A vector with the sums of neighboring lanes of one vector and then of another."""
    if low == "zeroinitializer":
        return low
    for part, first in (("even", 0), ("odd", 1)):
        order = ", ".join(f"i32 {lane}" for lane in range(first, 2 * vector.lanes, 2))
        operands = f"{vector.type} {low}, {vector.type} {high}"
        order = f"<{vector.lanes} x i32> <{order}>"
        lines.append(f"%{name}.{part} = shufflevector {operands}, {order}")
    lines.append(f"%{name} = fadd {vector.type} %{name}.even, %{name}.odd")
    return f"%{name}"


def _mask(vector: Vector) -> list[str]:
    """From one bit for each lane, in a byte at least."""
    lanes = vector.lanes
    if lanes >= 8:
        return [f"%mask = bitcast i{lanes} %mask.bits to <{lanes} x i1>"]
    return [
        f"%mask.lanes = trunc i8 %mask.bits to i{lanes}",
        f"%mask = bitcast i{lanes} %mask.lanes to <{lanes} x i1>",
    ]


def _lines(tile: WeightTile) -> tuple[list[str], list[str]]:
    """Where the lines of x and g begin, for the first image and for another."""
    firsts, images = [], []
    for j in range(tile.columns):
        firsts += [
            f"%offset.{j}.at = getelementptr i64, ptr %offsets, i64 {j}",
            f"%offset.{j} = load i64, ptr %offset.{j}.at",
            f"%x.{j}.first = getelementptr ELEMENT, ptr %x, i64 %offset.{j}",
        ]
        images.append(f"%x.{j}.image = getelementptr ELEMENT, ptr %x.{j}.first, i64 %x.step")
    for i in range(tile.rows):
        firsts += [
            f"%row.{i} = call i64 @llvm.smin.i64(i64 {i}, i64 %row.last)",
            f"%row.{i}.place = mul i64 %row.{i}, %g_row",
            f"%g.{i}.first = getelementptr ELEMENT, ptr %g, i64 %row.{i}.place",
        ]
        images.append(f"%g.{i}.image = getelementptr ELEMENT, ptr %g.{i}.first, i64 %g.step")
    return firsts, images


def _sums(tile: WeightTile, name: str, before: str, entry: str, loop: str) -> list[str]:
    """The sums at the head of a loop: those of `before`, and then what the loop has made."""
    pairs = [f"{i}.{j}" for i in range(tile.rows) for j in range(tile.columns)]
    kind = tile.vector.type
    starts = [before if before == "zeroinitializer" else f"{before}.{pair}" for pair in pairs]
    return [
        f"%{name}.{pair} = phi {kind} [{start}, %{entry}], [%next.{pair}, %{loop}]"
        for pair, start in zip(pairs, starts, strict=True)
    ]


def correlate_weight_text(tile: WeightTile) -> str:
    """The module with the kernel for tiles of this size."""
    vector = tile.vector
    firsts, images = _lines(tile)
    kernel = fill(
        _KERNEL + FIND + ADDRESSES,
        ALL_LOADS=loads(FIELDS, FIELDS),
        FIRSTS=firsts,
        IMAGES=images,
        IMAGE_SUMS=_sums(tile, "start", "zeroinitializer", "entry", "image.done"),
        LOOP_SUMS=_sums(tile, "sum", "%start", "image.loop", "loop"),
        MASK_TYPE=f"i{max(8, vector.lanes)}",
        MASK=_mask(vector),
        PRODUCTS=_products(tile),
        ADDITIONS=_additions(tile),
        NAME=tile.name,
        RESULTS=ceiling(tile.rows * tile.columns, vector.lanes) * vector.lanes,
        LAST_ROW=tile.rows - 1,
        ROWS=tile.rows,
        COLUMNS=tile.columns,
        FIELDS=len(FIELDS),
        LANES=vector.lanes,
        ELEMENT=vector.element,
    )
    return kernel + vector.declarations()
