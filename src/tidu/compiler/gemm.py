"""Matrix products: a kernel that cuts C = A·B (+ C) into panels and calls BLAS for each.

All sizes are parameters, so there is one function for float32 and one for float64. Matrices are
stored by rows, with any distance between rows; a transposed operand is stored by columns. Panels
follow from the shape alone, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tidu.ir import product_order
from tidu.ir.product_order import chain_length

# The kernel for each dtype, by the name that LLVM has for its elements.
NAMES = {"float": "tidu_gemm_float32", "double": "tidu_gemm_float64"}

_BYTES = {"float": 4, "double": 8}

# OpenBLAS multiplies straight from the operands, without packing them, where m*n*k is no more than
# this, and m*n no more than that if only B is transposed. For flat or small matrices that is up to
# twice as fast as with packing.
_UNPACKED = 1_000_000
_UNPACKED_BESIDE_TRANSPOSE = 1024
# Bytes of B beyond which reading it once for every 48 rows costs more than packing it.
_CACHED = 3 << 20
# Rows from which on `strips.py` multiplies with a B that is not transposed: on Intel's processors,
# and elsewhere with a large one.
_ROWS_TO_COPY, _ROWS_TO_COPY_LARGE = 16, 256
# The most rows of a panel that `strips.py` multiplies.
STRIP_ROWS = 384
# Floating-point operations for which it pays to tell one worker from another.
_WORTH_A_UNIT = 1_200_000
# And for which a panel is made smaller than would be best for one worker.
_WORTH_SPLITTING = 2_000_000


class Panels(NamedTuple):
    """How a product is cut: each BLAS call makes `rows` × `columns` of C from `depth` of k."""

    rows: int
    columns: int
    depth: int
    together: int  # how many panels one unit makes


class GemmParams(NamedTuple):
    """The parameters of the kernel. Offsets, distances and strides are in elements."""

    gemm: int  # addresses of cblas_?gemm and cblas_?gemv, with 64-bit integers
    gemv: int
    a_slot: int  # where the table has the address of each matrix
    b_slot: int
    c_slot: int
    m: int  # rows of C
    n: int  # columns of C
    k: int
    lda: int  # distances between rows as they are stored
    ldb: int
    ldc: int
    rows: int  # of `Panels`
    columns: int
    depth: int
    together: int = 1
    a_offset: int = 0
    b_offset: int = 0
    c_offset: int = 0
    trans_a: int = 0  # A is stored with k rows of m elements
    trans_b: int = 0  # B is stored with n rows of k elements
    accumulate: int = 0  # C += A·B instead of C = A·B
    batch0: int = 1  # the outer batch dimension
    batch1: int = 1  # the inner one
    a_stride0: int = 0
    a_stride1: int = 0
    b_stride0: int = 0
    b_stride1: int = 0
    c_stride0: int = 0
    c_stride1: int = 0

    @property
    def units(self) -> int:
        """Panels of all products, `together` at a time; columns are numbered fastest, then rows."""
        panels_of_one = ceiling(self.m, self.rows) * ceiling(self.n, self.columns)
        return ceiling(self.batch0 * self.batch1 * panels_of_one, self.together)

    def array(self) -> npt.NDArray[np.int64]:
        """What the kernel gets as `params`."""
        # BLAS would print a line and compute nothing.
        assert self.lda >= max(1, self.m if self.trans_a else self.k), self
        assert self.ldb >= max(1, self.k if self.trans_b else self.n), self
        assert self.ldc >= max(1, self.n), self
        return np.array(self, np.int64)


def ceiling(dividend: int, divisor: int) -> int:
    """The quotient, rounded up."""
    return -(-dividend // divisor)


def even_part(whole: int, most: int, step: int) -> int:
    """The size of equal parts of `whole`, each a multiple of `step` and about `most` at most."""
    return min(whole, ceiling(ceiling(whole, ceiling(whole, most)), step) * step)


def panels(
    m: int, n: int, k: int, batch: int = 1, trans_a: bool = False, trans_b: bool = False
) -> Panels:
    """A good way to cut products of such a shape. It depends on nothing but the arguments.

    Units take some 5 to 50 µs, more in large products. Those have at least 8, of BLAS 16.
    """
    if m == 0 or n == 0 or k == 0 or m == 1 or n == 1:
        cut = _vector_panels(m, n, k)
    elif is_in_strips(m, n, k, trans_a, trans_b):
        cut = _strip_panels(m, n, k)
    elif m > 256 and 4 * n * k > _CACHED:
        cut = _packed_panels(m, n, k)
    elif not trans_b or trans_a:
        cut = _unpacked_panels(m, n, k)
    elif k >= 128 or m <= 32:
        cut = _transposed_panels(m, n, k)
    else:
        cut = _packed_panels(m, n, k)
    # Smaller panels in strips would lay out the same again and again, or not fill their tiles.
    least_rows, enough = (48, 8) if is_in_strips(m, n, k, trans_a, trans_b) else (16, 16)
    rows, columns, depth = _for_several_workers(m, n, k, batch, *cut, least_rows, enough)
    count = batch * ceiling(m, rows) * ceiling(n, columns)
    together = _WORTH_A_UNIT * count // max(1, 2 * batch * m * n * k)
    together = max(1, min(together, count))
    wanted = _power_of_two(ceiling(count, together))
    if wanted != ceiling(count, together):
        columns, together = _shared_evenly(wanted, batch * ceiling(m, rows), n, columns, together)
    return Panels(rows, columns, depth, together)


def is_in_strips(m: int, n: int, k: int, trans_a: bool, trans_b: bool) -> bool:
    """Whether the function in `strips.py` multiplies, and not BLAS."""
    rows, columns = product_order.least_in_chains()
    chained = m >= rows and n >= columns
    if trans_a:
        return chained and product_order.on_intel()  # where it is faster than OpenBLAS
    if trans_b:
        return chained
    # OpenBLAS adds up in another order in up to 8 columns beside whole vectors.
    if chained and 1 <= n % 16 <= 8:
        return True
    if product_order.on_intel():
        return m >= _ROWS_TO_COPY
    return m > _ROWS_TO_COPY_LARGE and 4 * n * k > _CACHED


def _power_of_two(units: int) -> int:
    """So many units, or a few more if they are few: workers are 2, 4 or 8 more often than 3."""
    return 1 << (units - 1).bit_length() if 1 < units < 16 else units


def _shared_evenly(
    wanted: int, rows_of_panels: int, n: int, columns: int, together: int
) -> tuple[int, int]:
    """Columns of a panel and panels of a unit that make so many units, if there are such."""
    count = rows_of_panels * ceiling(n, columns)
    if count % wanted == 0:
        return columns, count // wanted
    narrower = even_part(n, ceiling(n * rows_of_panels, wanted), 16)
    if narrower >= 32 and rows_of_panels * ceiling(n, narrower) == wanted:
        return narrower, 1
    return columns, together


def _for_several_workers(
    m: int, n: int, k: int, batch: int,
    rows: int, columns: int, depth: int, least_rows: int, enough: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Smaller panels, down to 16 × 32, where there are few of them because only k is large. Those
    in strips lose rows first, as long as there are many.
    """
    wanted = min(enough, 2 * batch * m * n * k // _WORTH_SPLITTING)
    while batch * ceiling(m, rows) * ceiling(n, columns) < wanted:
        if least_rows > 16 and rows >= 2 * least_rows:
            rows = even_part(rows, rows // 2, 4)
        elif columns > 32:
            columns = even_part(columns, max(32, columns // 2), 16)
        elif rows > 16:
            rows = even_part(rows, max(16, rows // 2), 4)
        else:
            break
    return rows, columns, depth


def _vector_panels(m: int, n: int, k: int) -> tuple[int, int, int]:
    """A matrix times a vector: the matrix is read once, 256 KiB of it or more in one unit."""
    length = max(256, 65536 // max(1, k))
    return even_part(max(1, m), length, 16), even_part(max(1, n), length, 16), max(1, k)


def _unpacked_panels(m: int, n: int, k: int) -> tuple[int, int, int]:
    """48 × 64 for large sizes, with as much of k as a chain takes; where one is smaller, the
    next is greater."""
    depth = chain_length(k)
    rows = even_part(m, max(48, min(2048, 3072 // n)), 4)
    columns = _UNPACKED // (rows * depth)
    columns = min(512, columns // 64 * 64 if columns >= 64 else max(16, columns // 16 * 16))
    return rows, min(n, columns), depth


def _transposed_panels(m: int, n: int, k: int) -> tuple[int, int, int]:
    """16 × 64 with all of k, as long as that is not packed."""
    depth = even_part(k, 1280, 16)
    area = min(_UNPACKED_BESIDE_TRANSPOSE, _UNPACKED // depth)
    rows = even_part(m, max(16, area // 16 * 16 // n), 4)
    return rows, min(n, max(16, area // rows // 16 * 16)), depth


def _strip_panels(m: int, n: int, k: int) -> tuple[int, int, int]:
    """384 × 64 with a chain of k: many rows for what is laid out once."""
    return even_part(m, STRIP_ROWS, 4), min(n, 64), chain_length(k)


def _packed_panels(m: int, n: int, k: int) -> tuple[int, int, int]:
    """Nearly square, so that little is packed for much that is computed."""
    work = min(max(2 * m * n * k // 16, 20_000_000), 600_000_000)
    area = work // (2 * k)
    side = max(64, math.isqrt(area))
    rows = even_part(m, side, 16)
    return rows, even_part(n, max(64, area // rows), 16), k


_BODY = """
define void @NAME(ptr %table, ptr %params, i64 %begin, i64 %end, i64 %worker) nounwind {
entry:
LOADS
  %a.base = call ptr @operand.ELEMENT(ptr %table, i64 %a_slot, i64 %a_offset)
  %b.base = call ptr @operand.ELEMENT(ptr %table, i64 %b_slot, i64 %b_offset)
  %c.base = call ptr @operand.ELEMENT(ptr %table, i64 %c_slot, i64 %c_offset)
  %a.straight = icmp eq i64 %trans_a, 0
  %b.straight = icmp eq i64 %trans_b, 0
  %overwrite = icmp eq i64 %accumulate, 0
  %beta = select i1 %overwrite, ELEMENT 0.0, ELEMENT 1.0
  ; Between neighbors along m or n, and along k.
  %a.row = select i1 %a.straight, i64 %lda, i64 1
  %b.column = select i1 %b.straight, i64 1, i64 %ldb
  %a.step = select i1 %a.straight, i64 1, i64 %lda
  %b.step = select i1 %b.straight, i64 %ldb, i64 1
  ; CBLAS says 111 for a matrix as it is and 112 for its transpose.
  %a.order = select i1 %a.straight, i32 111, i32 112
  %b.order = select i1 %b.straight, i32 111, i32 112
  %b.opposite = select i1 %b.straight, i32 112, i32 111
  %is.column = icmp eq i64 %n, 1
  %is.row = icmp eq i64 %m, 1
  %is.empty = icmp eq i64 %k, 0
  %m.more = add i64 %m, %rows
  %m.last = sub i64 %m.more, 1
  %m.panels = udiv i64 %m.last, %rows
  %n.more = add i64 %n, %columns
  %n.last = sub i64 %n.more, 1
  %n.panels = udiv i64 %n.last, %columns
  %product.panels = mul i64 %m.panels, %n.panels
  %batch = mul i64 %batch0, %batch1
  %panels = mul i64 %batch, %product.panels
  %panel.begin = mul i64 %begin, %together
  %panel.stop = mul i64 %end, %together
  %panel.end = call i64 @llvm.smin.i64(i64 %panel.stop, i64 %panels)
  %some = icmp slt i64 %panel.begin, %panel.end
  br i1 %some, label %loop, label %finish

loop:
  %panel = phi i64 [%panel.begin, %entry], [%panel.next, %done]
  %over.n = udiv i64 %panel, %n.panels
  %n.panel = urem i64 %panel, %n.panels
  %over.m = udiv i64 %over.n, %m.panels
  %m.panel = urem i64 %over.n, %m.panels
  %index0 = udiv i64 %over.m, %batch1
  %index1 = urem i64 %over.m, %batch1
  %row = mul i64 %m.panel, %rows
  %column = mul i64 %n.panel, %columns
  %m.left = sub i64 %m, %row
  %n.left = sub i64 %n, %column
  %height = call i64 @llvm.smin.i64(i64 %m.left, i64 %rows)
  %width = call i64 @llvm.smin.i64(i64 %n.left, i64 %columns)
  %a.panel = mul i64 %row, %a.row
  %b.panel = mul i64 %column, %b.column
  %c.rows = mul i64 %row, %ldc
  %c.panel = add i64 %c.rows, %column
  %a = call ptr @place.ELEMENT(ptr %a.base, i64 %a.panel, i64 %index0, i64 %a_stride0,
                               i64 %index1, i64 %a_stride1)
  %b = call ptr @place.ELEMENT(ptr %b.base, i64 %b.panel, i64 %index0, i64 %b_stride0,
                               i64 %index1, i64 %b_stride1)
  %c = call ptr @place.ELEMENT(ptr %c.base, i64 %c.panel, i64 %index0, i64 %c_stride0,
                               i64 %index1, i64 %c_stride1)
  br i1 %is.empty, label %empty, label %nonempty

empty:
  br i1 %overwrite, label %clear, label %done

clear:
  call void @clear.ELEMENT(ptr %c, i64 %height, i64 %width, i64 %ldc)
  br label %done

nonempty:
  br i1 %is.column, label %column.product, label %not.column

; A·b, with b a column of B
column.product:
  %stored.rows = select i1 %a.straight, i64 %height, i64 %k
  %stored.columns = select i1 %a.straight, i64 %k, i64 %height
  call void %gemv(i32 101, i32 %a.order, i64 %stored.rows, i64 %stored.columns,
                  ELEMENT 1.0, ptr %a, i64 %lda, ptr %b, i64 %b.step,
                  ELEMENT %beta, ptr %c, i64 %ldc)
  br label %done

not.column:
  br i1 %is.row, label %row.product, label %matrix.product

; Bᵀ·a, with a a row of A
row.product:
  %b.stored.rows = select i1 %b.straight, i64 %k, i64 %width
  %b.stored.columns = select i1 %b.straight, i64 %width, i64 %k
  call void %gemv(i32 101, i32 %b.opposite, i64 %b.stored.rows, i64 %b.stored.columns,
                  ELEMENT 1.0, ptr %b, i64 %ldb, ptr %a, i64 %a.step,
                  ELEMENT %beta, ptr %c, i64 1)
  br label %done

matrix.product:
  %from = phi i64 [0, %not.column], [%from.next, %matrix.product]
  %factor = phi ELEMENT [%beta, %not.column], [1.0, %matrix.product]
  %k.left = sub i64 %k, %from
  %deep = call i64 @llvm.smin.i64(i64 %k.left, i64 %depth)
  %a.along = mul i64 %from, %a.step
  %b.along = mul i64 %from, %b.step
  %a.part = getelementptr ELEMENT, ptr %a, i64 %a.along
  %b.part = getelementptr ELEMENT, ptr %b, i64 %b.along
  call void %gemm(i32 101, i32 %a.order, i32 %b.order, i64 %height, i64 %width, i64 %deep,
                  ELEMENT 1.0, ptr %a.part, i64 %lda, ptr %b.part, i64 %ldb,
                  ELEMENT %factor, ptr %c, i64 %ldc)
  %from.next = add i64 %from, %depth
  %deeper = icmp slt i64 %from.next, %k
  br i1 %deeper, label %matrix.product, label %done

done:
  %panel.next = add i64 %panel, 1
  %more = icmp slt i64 %panel.next, %panel.end
  br i1 %more, label %loop, label %finish

finish:
  ret void
}

define internal ptr @operand.ELEMENT(ptr %table, i64 %slot, i64 %offset) nounwind {
  %at = getelementptr i64, ptr %table, i64 %slot
  %base = load ptr, ptr %at
  %first = getelementptr ELEMENT, ptr %base, i64 %offset
  ret ptr %first
}

define internal ptr @place.ELEMENT(ptr %base, i64 %panel, i64 %index0, i64 %stride0,
                                   i64 %index1, i64 %stride1) nounwind {
  %outer = mul i64 %index0, %stride0
  %inner = mul i64 %index1, %stride1
  %batch = add i64 %outer, %inner
  %offset = add i64 %batch, %panel
  %first = getelementptr ELEMENT, ptr %base, i64 %offset
  ret ptr %first
}

define internal void @clear.ELEMENT(ptr %c, i64 %height, i64 %width, i64 %ldc) nounwind {
entry:
  %bytes = mul i64 %width, BYTES
  br label %loop

loop:
  %row = phi i64 [0, %entry], [%row.next, %loop]
  %offset = mul i64 %row, %ldc
  %first = getelementptr ELEMENT, ptr %c, i64 %offset
  call void @llvm.memset.p0.i64(ptr %first, i8 0, i64 %bytes, i1 false)
  %row.next = add i64 %row, 1
  %more = icmp slt i64 %row.next, %height
  br i1 %more, label %loop, label %finish

finish:
  ret void
}
"""

_DECLARATIONS = """
declare i64 @llvm.smin.i64(i64, i64)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""


def _loads() -> str:
    """Every parameter into a register of its own name."""
    lines = []
    for position, field in enumerate(GemmParams._fields):
        kind = "ptr" if field in ("gemm", "gemv") else "i64"
        lines.append(f"  %{field}.at = getelementptr i64, ptr %params, i64 {position}")
        lines.append(f"  %{field} = load {kind}, ptr %{field}.at")
    return "\n".join(lines)


def text() -> str:
    """The module with the kernel for each dtype."""
    kernels = [
        _BODY.replace("NAME", name)
        .replace("LOADS", _loads())
        .replace("ELEMENT", element)
        .replace("BYTES", str(_BYTES[element]))
        for element, name in NAMES.items()
    ]
    return "".join((*kernels, _DECLARATIONS))
