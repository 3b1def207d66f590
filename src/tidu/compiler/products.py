"""Lowering of matrix products: operands that BLAS can read, and batches with few dimensions."""

from __future__ import annotations

from dataclasses import dataclass

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape, broadcast
from tidu.compiler.expressions import LOAD, Expression
from tidu.compiler.layouts import broadcast_to, contiguous, reshaped
from tidu.compiler.lowering import Lowering
from tidu.compiler.steps import Operand, Product
from tidu.ir.op import Op
from tidu.ir.value import Value


def lower_product(lowering: Lowering, value: Value, op: Op) -> Expression | None:
    """The product of a contraction, None if there is no such of BLAS."""
    x, y = value.inputs
    d = value.dtype
    if not d.is_floating_point or x.shape[-1] == 0:
        return None
    wide = dtypes.float32 if d.is_half else d
    a_shape = (1, *x.shape) if len(x.shape) == 1 else tuple(x.shape)
    b_shape = (*y.shape, 1) if len(y.shape) == 1 else tuple(y.shape)
    batch = broadcast("matmul", a_shape[:-2], b_shape[:-2])
    m, k, n = a_shape[-2], a_shape[-1], b_shape[-1]
    a = _matrix(lowering, x, a_shape, batch, wide)
    b = _matrix(lowering, y, b_shape, batch, wide)
    buffer = lowering.buffer((*batch, m, n), wide)
    shape = _Batches([*batch], m, n, k, *(
        _Strides(list(layout.strides[:-2]), *layout.strides[-2:])
        for layout in (a.what[1], b.what[1], contiguous(buffer.shape))
    )).joined()  # fmt: skip
    if len(shape.batch) > 2:
        return None
    lowering.steps.steps.append(
        Product(
            shape.m, n, k, tuple(shape.batch),
            _operand(lowering, a, shape.a, shape.m, k), _operand(lowering, b, shape.b, k, n),
            Operand(buffer, 0, False, n, tuple(shape.c.batch)), wide, value,
        )
    )  # fmt: skip
    whole = lowering.whole(buffer)
    result = lowering.make.relaid(whole, reshaped(buffer.shape, tuple(value.shape)))
    return result if wide is d else lowering.cast(result, d)


def _matrix(lowering: Lowering, x: Value, shape: Shape, batch: Shape, d: dtype) -> Expression:
    """A load whose last two strides BLAS can read, in the shape (*batch, rows, columns)."""
    make, found = lowering.make, lowering.found[id(x)]
    if x.dtype is not d:
        found = lowering.whole(lowering.root(lowering.cast(found, d), x.shape, d, x))
    found = make.relaid(found, reshaped(tuple(x.shape), shape))
    if not _is_matrix(found, shape):
        plain = lowering.store(x, lowering.found[id(x)])
        found = make.relaid(plain, reshaped(tuple(x.shape), shape))
    return make.relaid(found, broadcast_to(shape, (*batch, *shape[-2:])))


def _operand(
    lowering: Lowering, x: Expression, strides: _Strides, rows: int, columns: int
) -> Operand:
    buffer, layout, _ = x.what
    found = _leading(strides.row, strides.column, rows, columns)
    assert found is not None
    return Operand(lowering.steps.buffers[buffer], layout.offset, *found, tuple(strides.batch))


def _leading(row: int, column: int, rows: int, columns: int) -> tuple[bool, int] | None:
    """(transposed, leading dimension) of a matrix for BLAS, None where neither stride is 1."""
    if (column == 1 or columns == 1) and (row >= columns or rows == 1):
        return False, max(row if rows > 1 else columns, columns, 1)
    if (row == 1 or rows == 1) and (column >= rows or columns == 1):
        return True, max(column if columns > 1 else rows, rows, 1)
    return None


def _is_matrix(x: Expression, shape: Shape) -> bool:
    if x.kind != LOAD or x.what[2]:
        return False
    row, column = x.what[1].strides[-2:]
    return _leading(row, column, shape[-2], shape[-1]) is not None


@dataclass(slots=True)
class _Strides:
    batch: list[int]
    row: int
    column: int


@dataclass(slots=True)
class _Batches:
    """A batch of products, of which dimensions are joined where the strides allow it."""

    batch: list[int]
    m: int
    n: int
    k: int
    a: _Strides
    b: _Strides
    c: _Strides

    def joined(self) -> _Batches:
        for d in reversed(range(len(self.batch))):
            if self.batch[d] == 1:
                self._drop(d)
        for d in reversed(range(len(self.batch) - 1)):
            if all(x.batch[d] == x.batch[d + 1] * self.batch[d + 1] for x in self._all()):
                self.batch[d + 1] *= self.batch[d]
                self._drop(d)
        while self.batch and self.b.batch[-1] == 0 and self._rows_continue():
            if self.m == 1:
                self.a.row, self.c.row = self.a.batch[-1], self.c.batch[-1]
            self.m *= self.batch[-1]
            self._drop(len(self.batch) - 1)
        return self

    def _all(self) -> tuple[_Strides, ...]:
        return self.a, self.b, self.c

    def _rows_continue(self) -> bool:
        """Whether the rows of the next product follow those of the last at the same distance."""
        if self.m == 1:
            return self.a.column == 1 and self.a.batch[-1] >= self.k and self.c.batch[-1] == self.n
        return all(x.batch[-1] == self.m * x.row for x in (self.a, self.c))

    def _drop(self, d: int) -> None:
        del self.batch[d]
        for x in self._all():
            del x.batch[d]
