"""The text of a kernel: names, parameters, and loops with vectors in the innermost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tidu.compiler.fuse import Kernel
from tidu.compiler.instructions import Register
from tidu.compiler.loops import Loops
from tidu.compiler.scalars import VectorScalars

# A dimension of at most this size is a constant of the kernel, so that its loop can be unrolled.
SMALL = 8
Lines = list[Any]  # of str, and of Lines that are filled in later


class Level:
    """One loop: the text of its body so far, and what has been computed there."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.known: dict[Any, Register | str] = {}


class Blocks(NamedTuple):
    """A loop cut into blocks of so many iterations, with something to be done after each."""

    iterations: int
    after: Callable[[Lines], None]  # given the place for its text


class KernelText:
    """What is written down for one kernel, whatever it computes.

    `levels` are the loops around the place where text is added now, the function itself first.
    What the levels have computed is looked up there, so nothing is computed twice.
    """

    def __init__(self, kernel: Kernel, plan: Loops, vector_bytes: int) -> None:
        self.kernel = kernel
        self.plan = plan
        self.parameters: list[Any] = []
        self.roles: dict[Any, str] = {}
        self.entry: Lines = []
        self.top: Lines = []
        self.levels = [Level(self.top)]
        self.names = 0
        self.labels = 0
        self.scales = vector_bytes == 64
        self.declarations: set[str] = set()
        self.loops = [*plan.outer, *plan.inner]
        self.depth_of = {d: i + 1 for i, d in enumerate(self.loops)}
        self.counters: dict[int, str] = {}
        self.mask: str | None = None  # of the lanes in use, in the last part of a vector loop

    def body(self) -> str:
        """The text of the function: what is done once at its start, and the loops."""
        return "\n".join([*_flat(self.entry), *_flat(self.top), "ret void"])

    def fresh(self) -> str:
        """A name for another register."""
        self.names += 1
        return f"%v{self.names}"

    def line(self, lines: Lines, text: str) -> str:
        """Write an instruction; the register of its result."""
        name = self.fresh()
        lines.append(f"{name} = {text}")
        return name

    def parameter(self, role: Any, value: Any) -> str:
        """A number that this instance of the kernel is called with; one for each role."""
        found = self.roles.get(role)
        if found is None:
            place = len(self.parameters)
            self.parameters.append(value)
            address = self.line(self.entry, f"getelementptr inbounds i64, ptr %params, i64 {place}")
            found = self.roles[role] = self.line(
                self.entry, f"load i64, ptr {address}, !invariant.load !0"
            )
        return found

    def table(self, role: Any, value: Any) -> str:
        """The address of the slot of the table that a parameter names."""
        key = ("table", role)
        if key not in self.roles:
            slot = self.parameter(role, value)
            self.roles[key] = self.line(
                self.entry, f"getelementptr inbounds i64, ptr %table, i64 {slot}"
            )
        return self.roles[key]

    def pointer(self, buffer: int) -> str:
        """The address of a buffer in this run."""
        key = ("pointer", buffer)
        if key not in self.roles:
            slot = self.table(("slot", buffer), ("slot", buffer))
            self.roles[key] = self.line(self.entry, f"load ptr, ptr {slot}, !invariant.load !0")
        return self.roles[key]

    def size(self, d: int) -> str:
        """The size of a dimension: a number in the text if it is small, else a parameter."""
        n = self.kernel.space[d]
        if n <= SMALL:
            return str(n)
        return self.parameter(("size", d), n)

    def trips(self, d: int) -> int:
        """The iterations of a loop."""
        return -(-self.kernel.space[d] // (self.plan.lanes if d == self.plan.vector else 1))

    def scalars(self, lines: Lines, lanes: int) -> VectorScalars:
        """The builder that emissions of operations write with, to these lines."""
        scalars = VectorScalars(lines, lanes, self.fresh, self.scales)
        scalars.declarations = self.declarations
        return scalars

    def bounds(self, d: int) -> tuple[str, str]:
        """Where a loop begins and ends: of the divided dimension, that is what the units say."""
        if d != self.plan.divided:
            return "0", self.size(d)
        if "lower" not in self.roles:
            chunk = self.parameter("chunk", self.plan.chunk)
            size = self.parameter(("size", d), self.kernel.space[d])
            self.roles["lower"] = self.line(self.entry, f"mul i64 %begin, {chunk}")
            upper = self.line(self.entry, f"mul i64 %end, {chunk}")
            self.roles["upper"] = self.least(self.entry, upper, size)
        return self.roles["lower"], self.roles["upper"]

    def loop(self, d: int, body: Callable[[], None], blocks: Blocks | None = None) -> None:
        lower, upper = self.bounds(d)
        if d == self.plan.vector and self.plan.lanes > 1:
            self.vector_loop(d, lower, upper, body, blocks)
        else:
            self.counted(d, lower, upper, 1, body, blocks)

    def counted(
        self,
        d: int,
        lower: str,
        upper: str,
        step: int,
        body: Callable[[], None],
        blocks: Blocks | None = None,
    ) -> None:
        """for (i = lower; i < upper; i += step)"""
        lines = self.levels[-1].lines
        before: Lines = []
        lines.append(before)
        if blocks is None:
            counter, inside = self.iteration(lines, lower, upper, str(step))
            self.enter(before, inside, d, counter, body)
            return
        size = self.parameter(("block", d), blocks.iterations * step)
        start, block = self.iteration(lines, lower, upper, size)
        end = self.least(block, self.line(block, f"add nsw i64 {start}, {size}"), upper)
        counter, inside = self.iteration(block, start, end, str(step))
        self.enter(before, inside, d, counter, body)
        blocks.after(block)

    def iteration(self, lines: Lines, lower: str, upper: str, step: str) -> tuple[str, Lines]:
        """The frame of a loop: its counter, and where its body goes."""
        self.labels += 1
        label = f"L{self.labels}"
        inside: Lines = []
        counter = self.fresh()
        following = f"%n{self.labels}"
        lines += [
            f"br label %{label}p",
            f"{label}p:",
            f"br label %{label}h",
            f"{label}h:",
            f"{counter} = phi i64 [{lower}, %{label}p], [{following}, %{label}l]",
            f"%c{self.labels} = icmp slt i64 {counter}, {upper}",
            f"br i1 %c{self.labels}, label %{label}b, label %{label}x",
            f"{label}b:",
            inside,
            f"br label %{label}l",
            f"{label}l:",
            f"{following} = add nsw i64 {counter}, {step}",
            f"br label %{label}h",
            f"{label}x:",
        ]
        return counter, inside

    def least(self, lines: Lines, a: str, b: str) -> str:
        self.declarations.add("declare i64 @llvm.smin.i64(i64, i64)")
        return self.line(lines, f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def enter(
        self, before: Lines, inside: Lines, d: int, counter: str, body: Callable[[], None]
    ) -> None:
        """Have `body` write what is inside of a loop. What it finds not to depend on the loop it
        writes `before`, where the level around it is continued meanwhile.
        """
        outer = self.levels[-1]
        kept_lines = outer.lines
        outer.lines = before
        self.levels.append(Level(inside))
        self.counters[d] = counter
        body()
        self.levels.pop()
        outer.lines = kept_lines

    def vector_loop(
        self,
        d: int,
        lower: str,
        upper: str,
        body: Callable[[], None],
        blocks: Blocks | None = None,
    ) -> None:
        """Whole vectors, then what is left with a mask."""
        lanes, size = self.plan.lanes, self.kernel.space[d]
        divided = d == self.plan.divided
        if size % lanes == 0:
            self.counted(d, lower, upper, lanes, body, blocks)
            return
        lines = self.levels[-1].lines
        middle = lower
        if size > lanes:
            count = self.line(lines, f"sub i64 {upper}, {lower}")
            whole = self.line(lines, f"and i64 {count}, {-lanes}")
            middle = self.line(lines, f"add i64 {lower}, {whole}")
            self.counted(d, lower, middle, lanes, body, blocks)
        self.labels += 1
        label = f"T{self.labels}"
        before: Lines = []
        inside: Lines = []
        lines.append(before)
        if divided or size <= SMALL or size > lanes:
            some = self.line(lines, f"icmp slt i64 {middle}, {upper}")
            lines.append(f"br i1 {some}, label %{label}b, label %{label}x")
        else:
            lines.append(f"br label %{label}b")
        lines += [f"{label}b:", inside, f"br label %{label}x", f"{label}x:"]

        def masked() -> None:
            here = self.levels[-1].lines
            left = self.line(here, f"sub i64 {upper}, {middle}")
            self.mask = self.line(
                here,
                f"icmp ult <{lanes} x i64> {lane_numbers(lanes)}, "
                f"{self.splat_text(here, left, 'i64', lanes)}",
            )
            body()
            self.mask = None

        self.enter(before, inside, d, middle, masked)

    def splat_text(self, lines: Lines, name: str, kind: str, lanes: int) -> str:
        """A number in every lane."""
        one = self.line(lines, f"insertelement <{lanes} x {kind}> poison, {kind} {name}, i64 0")
        return self.line(
            lines,
            f"shufflevector <{lanes} x {kind}> {one}, <{lanes} x {kind}> poison, "
            f"<{lanes} x i32> zeroinitializer",
        )


def _flat(lines: Lines) -> Iterator[str]:
    for line in lines:
        if line.__class__ is str:
            yield line
        else:
            yield from _flat(line)


def lane_numbers(lanes: int) -> str:
    """The constant vector 0, 1, 2, … of as many lanes."""
    return "<" + ", ".join(f"i64 {i}" for i in range(lanes)) + ">"
