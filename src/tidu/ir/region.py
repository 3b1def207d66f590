"""Which of the pending Values are run: those that somebody holds, and what they are made of.

CPython counts every handle on a Value when it is made and dropped: a Tensor, the tape and a later
Value's inputs each hold one reference. A region is therefore cut without any search: the pending
list holds one reference of its own, and a Value on which nothing else does is dead.
"""

from __future__ import annotations

import sys

from tidu.base.state import Pending
from tidu.ir.value import Value

# A region is large if it makes or reads a Value of so many elements.
_MANY_ELEMENTS = 1 << 15


def _baseline() -> int:
    """What sys.getrefcount says of an object that one local variable and nothing else refers to."""
    value = object()
    return sys.getrefcount(value)


_UNHELD = _baseline()


def cut(batch: list[Value]) -> list[Value]:
    """The Values of `batch` (in order of making) that somebody holds or that such a Value is made
    of.
    """
    region = alive(batch)
    if Pending.scattered:
        return complete(region)
    return region


def cut_after(batch: list[Value], count: int) -> tuple[list[Value], list[int]]:
    """As `cut`; and which of the first `count` Values are among those."""
    late = batch[count:]
    del batch[count:]
    after = alive(late)
    region: list[Value] = []
    kept: list[int] = []
    while batch:
        value = batch.pop()
        if sys.getrefcount(value) > _UNHELD and value.buffer is None:
            region.append(value)
            kept.append(len(batch))
    region.reverse()
    kept.reverse()
    region += after
    if not Pending.scattered:
        return region, kept
    value = None  # type: ignore[assignment]
    whole = complete(region)
    return whole, kept if len(whole) == len(region) else []


def alive(batch: list[Value]) -> list[Value]:
    """Empty a list from its end, and return what is left of it."""
    found = []
    while batch:
        value = batch.pop()
        # Another thread that needed it may have run it meanwhile.
        if sys.getrefcount(value) > _UNHELD and value.buffer is None:
            found.append(value)
    found.reverse()
    return found


def complete(region: list[Value]) -> list[Value]:
    """`region`, and before its Values what they are made of that waits outside this list."""
    done: set[int] = set()
    order: list[Value] = []
    for wanted in region:
        stack = [wanted]
        while stack:
            top = stack[-1]
            waiting = [
                x
                for x in top.inputs
                if x.__class__ is Value and x.buffer is None and id(x) not in done
            ]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            if id(top) not in done:
                done.add(id(top))
                order.append(top)
    return order


def is_large(region: list[Value]) -> bool:
    """Whether a few Values have much to do, judged by the first and the last of them."""
    return has_many_elements(region[0]) or has_many_elements(region[-1])


def has_many_elements(value: Value) -> bool:
    """Whether it, or something that it is made of, has many elements."""
    op = value.op
    # What a pick reads is several arrays, each with a shape of its own.
    if op is None or op.outputs != 1 or op.kind == "pick":
        return False
    if value.numel() >= _MANY_ELEMENTS:
        return True
    if op.kind == "elementwise":  # what it is made of has no more elements than itself
        return False
    for x in value.inputs:  # noqa: SIM110, a generator would take as long as all of this
        if x.__class__ is Value and x.numel() >= _MANY_ELEMENTS:
            return True
    return False
