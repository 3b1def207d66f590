"""Accumulators: what a reduction has come to so far, one number for each lane.

A long sum is cut into blocks, whose results are added to a total of their own: the error of a sum
grows with the number of its terms, and that of pairwise sums hardly does.
"""

from __future__ import annotations

from tidu.base import dtypes
from tidu.compiler.expressions import Expression
from tidu.compiler.instructions import Register
from tidu.compiler.steps import Root
from tidu.compiler.text import Lines
from tidu.compiler.values import KernelValues


class Accumulator:
    """The text of one reduction: a place on the stack, and the total of its blocks if it has any.

    LLVM keeps these in registers where they fit. Where the loop along the lanes is the innermost,
    the place is a row of them, one for each of its iterations.
    """

    def __init__(self, values: KernelValues, root: Root, *, in_blocks: bool) -> None:
        op = root.reduction
        assert op is not None and op.emit is not None and op.identity is not None
        self.values = values
        self.root = root
        self.combine, self.identity = op.emit, op.identity
        plan, d = values.plan, root.expression.dtype
        self.dtype = dtypes.float32 if d.is_half else d
        self.operand_lanes = self.lanes = plan.lanes if plan.vector is not None else 1
        # Whether the lanes hold parts of one result, and not results of their own.
        self.reduces_lanes = plan.lanes > 1 and plan.vector in values.kernel.reduced
        self.halved = op.lanes is None or op.lanes.halved
        if op.lanes is not None:
            self.lanes = min(self.lanes, op.lanes.number)
        self.type = values.scalars(values.entry, self.lanes).type_of(self.dtype)
        row = ""
        if plan.swept and plan.vector is not None:
            # A power of two, so that rows of other lengths have the same text.
            row = f", i64 {1 << (values.trips(plan.vector) - 1).bit_length()}"
        self.name = values.line(values.entry, f"alloca {self.type}{row}")
        self.total: str | None = None
        if in_blocks and self.dtype.is_floating_point:
            self.total = values.line(values.entry, f"alloca {self.type}")

    def start(self) -> None:
        """Set it to the number that changes nothing."""
        lines = self.values.levels[-1].lines
        for place in (self._place(lines), self.total):
            if place is not None:
                self._put(lines, self._neutral(lines), place)

    def accumulate(self) -> None:
        """Take in the elements of this iteration."""
        values, lines = self.values, self.values.levels[-1].lines
        x = self._operand(self.root.expression)
        scalars = values.scalars(lines, self.lanes)
        place = self._place(lines)
        before = self._get(lines, place)
        if self.lanes < self.operand_lanes:
            self._put(lines, self._in_turn(lines, before, x), place)
            return
        after: Register = self.combine(scalars, before, x)
        if values.mask is not None and self.reduces_lanes:
            after = scalars.select(Register(values.mask, dtypes.bool_), after, before)
        self._put(lines, after, place)

    def _in_turn(self, lines: Lines, total: Register, x: Register) -> Register:
        """One part of the operand after the other, each with a lane for each of the accumulator."""
        values, count = self.values, self.operand_lanes
        wide = values.scalars(lines, count)
        if values.mask is not None:
            neutral = wide.constant(self.identity(self.dtype), self.dtype)
            x = wide.select(Register(values.mask, dtypes.bool_), x, neutral)
        for start in range(0, count, self.lanes):
            part = self._lanes_of(lines, x, count, range(start, start + self.lanes))
            total = self.combine(values.scalars(lines, self.lanes), total, part)
        return total

    def _operand(self, x: Expression) -> Register:
        values = self.values
        found = values.value(x)
        if found.dtype.is_half:
            found = values.converted(found, x, self.dtype)
        if self.operand_lanes > 1 and not values.varies(x):
            return values.splat(found, x, values.levels[-1])
        return found

    def end_block(self, lines: Lines) -> Register:
        """Put what has been accumulated to the total, and begin anew."""
        assert self.total is not None
        sums = [self._get(lines, self.total), self._get(lines, self.name)]
        made: Register = self.combine(self.values.scalars(lines, self.lanes), *sums)
        self._put(lines, made, self.total)
        self._put(lines, self._neutral(lines), self.name)
        return made

    def result(self) -> Register:
        """What the reduction has come to, in the dtype of its buffer."""
        lines = self.values.levels[-1].lines
        x = self._get(lines, self._place(lines)) if self.total is None else self.end_block(lines)
        lanes = self.lanes
        if self.reduces_lanes and not self.halved:
            x = self._one_after_the_other(lines, x, lanes)
            lanes = 1
        while self.reduces_lanes and lanes > 1:
            x = self._halved(lines, x, lanes)
            lanes //= 2
        if self.dtype is not self.root.buffer.dtype:
            x = self.values.scalars(lines, lanes).cast(x, self.root.buffer.dtype)
        return x

    def _halved(self, lines: Lines, x: Register, lanes: int) -> Register:
        """The lower half of the lanes combined with the upper one."""
        half = lanes // 2
        halves = [self._lanes_of(lines, x, lanes, range(s, s + half)) for s in (0, half)]
        made: Register = self.combine(self.values.scalars(lines, half), *halves)
        return made

    def _one_after_the_other(self, lines: Lines, x: Register, lanes: int) -> Register:
        """The first lane combined with the second, that with the third, and so on."""
        first, *others = (self._lanes_of(lines, x, lanes, range(i, i + 1)) for i in range(lanes))
        for other in others:
            first = self.combine(self.values.scalars(lines, 1), first, other)
        return first

    def _lanes_of(self, lines: Lines, x: Register, lanes: int, wanted: range) -> Register:
        """Some neighboring lanes; a single one as a plain scalar."""
        of = self.values.scalars(lines, lanes).type_of(self.dtype)
        if len(wanted) == 1:
            name = self.values.line(lines, f"extractelement {of} {x.name}, i64 {wanted[0]}")
            return Register(name, self.dtype)
        order = ", ".join(f"i32 {i}" for i in wanted)
        shuffle = f"shufflevector {of} {x.name}, {of} poison, <{len(wanted)} x i32> <{order}>"
        return Register(self.values.line(lines, shuffle), self.dtype)

    def _place(self, lines: Lines) -> str:
        """Where the accumulator of this iteration is."""
        values, d = self.values, self.values.plan.vector
        if not values.plan.swept or d is None:
            return self.name
        number = values.line(lines, f"udiv exact i64 {values.counters[d]}, {self.lanes}")
        return values.line(lines, f"getelementptr {self.type}, ptr {self.name}, i64 {number}")

    def _neutral(self, lines: Lines) -> Register:
        scalars = self.values.scalars(lines, self.lanes)
        return scalars.constant(self.identity(self.dtype), self.dtype)

    def _get(self, lines: Lines, place: str) -> Register:
        return Register(self.values.line(lines, f"load {self.type}, ptr {place}"), self.dtype)

    def _put(self, lines: Lines, x: Register, place: str) -> None:
        lines.append(f"store {self.type} {x.name}, ptr {place}")
