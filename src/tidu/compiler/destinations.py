"""Products that write their results where copies would put them.

The heads of an attention layer are multiplied each for itself, and what comes out is laid side by
side: a copy with its dimensions in another order. BLAS leaves any distance between the rows of a
result, and each product of a batch may go anywhere, so it may as well write there at once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from math import prod
from typing import NamedTuple

from tidu.base.shapes import Shape
from tidu.compiler.expressions import LOAD, Expression, Expressions
from tidu.compiler.layouts import Layout
from tidu.compiler.steps import Buffer, Operand, Product, Root, Step, Steps, touched, written_by


class _UnmovableError(Exception):
    """What is read of a result cannot be said of its copy with strides."""


class _Digit(NamedTuple):
    """A dimension of a copy: its size, and how far apart neighbors are read and written."""

    size: int
    read: int
    written: int


class _Copy:
    """A copy of all elements of a buffer, in another order."""

    def __init__(self, root: Root) -> None:
        self.buffer: Buffer = root.buffer
        strides = zip(root.space, root.expression.what[1].strides, root.store.strides, strict=True)
        digits = sorted((_Digit(*x) for x in strides), key=lambda digit: -digit.read)
        self._digits: list[_Digit] = []  # from the outermost of what is read
        for size, read, written in digits:
            above = self._digits[-1] if self._digits else None
            if above is not None and above.written == written * size:
                self._digits[-1] = _Digit(above.size * size, read, written)
            else:
                self._digits.append(_Digit(size, read, written))

    def moved(self, layout: Layout, space: Shape) -> Layout:
        """A layout in the original as one in the copy. May raise _UnmovableError."""
        offset, rest = 0, layout.offset
        room: list[int] = []  # how far coordinates may still move each digit
        for size, read, written in self._digits:
            there, rest = divmod(rest, read)
            offset += there * written
            room.append(size - 1 - there)
        strides = []
        for stride, size in zip(layout.strides, space, strict=True):
            if stride == 0 or size == 1:
                strides.append(0)
                continue
            place = next((i for i, digit in enumerate(self._digits) if digit.read <= stride), None)
            if place is None or stride % self._digits[place].read:
                raise _UnmovableError
            times = stride // self._digits[place].read
            room[place] -= times * (size - 1)
            strides.append(times * self._digits[place].written)
        if min(room, default=0) < 0:
            raise _UnmovableError
        return Layout(tuple(strides), offset)

    def size_at(self, stride: int) -> int | None:
        """The size of the digit of which neighbors are so far apart in the original."""
        return next((digit.size for digit in self._digits if digit.read == stride), None)


def write_at_destinations(steps: Steps, make: Expressions) -> None:
    """Let products write to the copies of their results, and leave out what copied them."""
    outputs = steps.output_buffers()
    readers: dict[int, list[int]] = {}
    writers = Counter(buffer.number for step in steps.steps for buffer in written_by(step))
    for place, step in enumerate(steps.steps):
        for number in sorted(touched(step)):
            readers.setdefault(number, []).append(place)
    gone: set[int] = set()
    for place, product in enumerate(steps.steps):
        if not isinstance(product, Product) or product.c.buffer.number in outputs:
            continue
        using = readers.get(product.c.buffer.number, [])
        for copy_place in using:
            root = steps.steps[copy_place]
            others = [i for i in using if i != copy_place]
            if not isinstance(root, Root) or not _is_copy(root, product.c.buffer):
                continue
            if others and writers[root.buffer.number] > 1:
                continue  # they need it as it was before something else was written to the copy
            copy = _Copy(root)
            try:
                moved = _into(product, copy)
                changed = [_reading(steps.steps[i], product.c.buffer, copy, make) for i in others]
            except _UnmovableError:
                continue
            for i, step in zip((place, *others), (moved, *changed), strict=True):
                steps.steps[i] = step
            gone.add(copy_place)
            break
    steps.steps[:] = [step for place, step in enumerate(steps.steps) if place not in gone]


def _is_copy(root: Root, buffer: Buffer) -> bool:
    """Whether a root is nothing but all elements of a buffer in memory of their own."""
    x = root.expression
    if x.kind != LOAD or x.what[0] != buffer.number or x.what[1].offset or x.what[2]:
        return False
    plain = root.reduction is None and root.scatter is None and not root.adds
    if not plain or root.after or root.around or root.buffer.dtype is not buffer.dtype:
        return False
    return root.buffer.size == buffer.size == prod(root.space) and all(
        _is_dense(layout, root.space) for layout in (x.what[1], root.store)
    )


def _is_dense(layout: Layout, space: Shape) -> bool:
    """Whether a layout comes to each place from 0 on once."""
    expected = 1
    for stride, size in sorted(zip(layout.strides, space, strict=True)):
        if stride != expected:
            return False
        expected *= size
    return layout.offset == 0


def _into(product: Product, copy: _Copy) -> Product:
    """The product with its result where the copy has it."""
    product = _split(product, copy)
    c, sizes = product.c, (*product.batch, product.m, product.n)
    layout = copy.moved(Layout((*c.batch, c.leading, 1), c.offset), sizes)
    *strides, rows, columns = layout.strides
    if min(product.m, product.n) == 1 or columns != 1 or rows < product.n:
        raise _UnmovableError
    return replace(product, c=Operand(copy.buffer, layout.offset, False, rows, tuple(strides)))


def _split(product: Product, copy: _Copy) -> Product:
    """The product with its batch in two dimensions, if the copy takes it apart."""
    if len(product.batch) != 1:
        return product
    (batch,), (stride,) = product.batch, product.c.batch
    inner = copy.size_at(stride)
    if inner is None or inner >= batch or batch % inner:
        return product

    def split(x: Operand) -> Operand:
        return replace(x, batch=(x.batch[0] * inner, *x.batch))

    a, b, c = map(split, (product.a, product.b, product.c))
    return replace(product, batch=(batch // inner, inner), a=a, b=b, c=c)


def _reading(step: Step, buffer: Buffer, copy: _Copy, make: Expressions) -> Step:
    """A step that reads the copy instead of the buffer."""
    if not isinstance(step, Root) or step.scatter is not None or buffer in step.after:
        raise _UnmovableError

    def change(load: Expression) -> tuple[int, Layout]:
        if load.what[2]:
            raise _UnmovableError
        return copy.buffer.number, copy.moved(load.what[1], step.space)

    return replace(step, expression=make.redirected(step.expression, buffer.number, change))
