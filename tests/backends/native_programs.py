"""Small native kernels, and programs of them, to try the worker threads with."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from tidu.backends import threads
from tidu.compiler import llvm

Array = npt.NDArray[np.int64]

# Each kernel is a loop over its units; the lines given compute for `%unit`. `%x` and `%y` are the
# arrays in slots 2 and 3, `%p` and `%q` the first two parameters.
_KERNEL = """
define void @NAME(ptr %table, ptr %params, i64 %begin, i64 %end, i64 %worker) nounwind {
entry:
  %x.at = getelementptr i64, ptr %table, i64 2
  %x = load ptr, ptr %x.at
  %y.at = getelementptr i64, ptr %table, i64 3
  %y = load ptr, ptr %y.at
  %p = load i64, ptr %params
  %q.at = getelementptr i64, ptr %params, i64 1
  %q = load i64, ptr %q.at
  br label %loop

loop:
  %unit = phi i64 [%begin, %entry], [%unit.next, %next]
LINES
  br label %next

next:
  %unit.next = add i64 %unit, 1
  %more = icmp slt i64 %unit.next, %end
  br i1 %more, label %loop, label %finish

finish:
  ret void
}
"""

_LINES = {
    # x[unit] += 1
    "count": """
  %at = getelementptr i64, ptr %x, i64 %unit
  %old = load i64, ptr %at
  %new = add i64 %old, 1
  store i64 %new, ptr %at""",
    # x[unit] = worker
    "sign": """
  %at = getelementptr i64, ptr %x, i64 %unit
  store i64 %worker, ptr %at""",
    # The arrays take turns: to[unit] = from[unit] + 3 from[(unit + 1) mod q], from x to y if p is 0
    "mix": """
  %forth = icmp eq i64 %p, 0
  %from = select i1 %forth, ptr %x, ptr %y
  %to = select i1 %forth, ptr %y, ptr %x
  %after = add i64 %unit, 1
  %neighbor = urem i64 %after, %q
  %here.at = getelementptr i64, ptr %from, i64 %unit
  %there.at = getelementptr i64, ptr %from, i64 %neighbor
  %here = load i64, ptr %here.at
  %there = load i64, ptr %there.at
  %thrice = mul i64 %there, 3
  %sum = add i64 %here, %thrice
  %to.at = getelementptr i64, ptr %to, i64 %unit
  store i64 %sum, ptr %to.at""",
    # x[unit] = 1; unit p waits, for some seconds at most, until so many have come: x[unit] = 2
    "gather": """
  %at = getelementptr i64, ptr %x, i64 %unit
  store i64 1, ptr %at
  %others = atomicrmw add ptr %y, i64 1 seq_cst
  %patient = icmp eq i64 %unit, %p
  br i1 %patient, label %look, label %on
look:
  %tries = phi i64 [0, %loop], [%tries.next, %again]
  %come = load atomic i64, ptr %y seq_cst, align 8
  %all = icmp sge i64 %come, %q
  br i1 %all, label %happy, label %again
again:
  %yielded = call i32 @sched_yield()
  %tries.next = add i64 %tries, 1
  %enough = icmp sgt i64 %tries.next, 10000000
  br i1 %enough, label %on, label %look
happy:
  store i64 2, ptr %at
  br label %on
on:""",
    # x[p] = 3 x[p] + q, a single unit
    "append": """
  %at = getelementptr i64, ptr %x, i64 %p
  %old = load i64, ptr %at
  %thrice = mul i64 %old, 3
  %new = add i64 %thrice, %q
  store i64 %new, ptr %at""",
}


@cache
def kernels() -> dict[str, int]:
    """The address of each kernel."""
    texts = [_KERNEL.replace("NAME", n).replace("LINES", text) for n, text in _LINES.items()]
    text = "".join([*texts, "declare i32 @sched_yield()\n"])
    return llvm.load([llvm.compile_module(text)], _LINES)


def call(
    units: int,
    name: str,
    *,
    barrier: bool = True,
    track: int = 0,
    p: int = 0,
    q: int = 0,
    work: int = 0,
) -> threads.Call:
    return threads.Call(kernels()[name], np.array([p, q], np.int64), units, barrier, track, work)


def run(calls: Sequence[threads.Call], x: Array, y: Array | None = None) -> None:
    y = np.zeros(8 * 256, np.int64) if y is None else y
    table = np.array([0, 0, x.ctypes.data, y.ctypes.data])
    threads.run(threads.NativeProgram(calls), table.ctypes.data)


def mixing(rounds: int, units: int) -> list[threads.Call]:
    """Each call reads what other workers made in the call before."""
    return [call(units, "mix", p=r % 2, q=units) for r in range(rounds)]


def mixed(start: Array, rounds: int) -> Array:
    """What `mixing` makes of `start`."""
    with np.errstate(over="ignore"):
        for _ in range(rounds):
            start = start + 3 * np.roll(start, -1)
    return start


def check_mixing(rounds: int = 200, units: int = 24) -> None:
    """Run such a program, and raise AssertionError if anything of it is wrong."""
    x, y = np.arange(units), np.zeros(units, np.int64)
    want = mixed(x, rounds)
    run(mixing(rounds, units), x, y)
    assert np.array_equal(x if rounds % 2 == 0 else y, want), "the calls ran out of order"
