"""Packed sequences and what a walk over them needs:
the rows of each time step, states that come and go.

Sequences of several lengths lie packed: the rows of all sequences at time 0, then those at time 1,
... They are sorted by length, longest first; `batch_sizes` says how many there are at each time. N
is the number of all rows, B that of sequences. A walk in `reverse` goes from the last time to the
first.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.value import Value, leaf
from tidu.ops.indexing.arrays import index
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import slice_
from tidu.ops.sources import full

Sizes = tuple[int, ...]


def spans(batch_sizes: Sizes, reverse: bool) -> list[tuple[int, int]]:
    """(first row, number of rows) of each time, in the order in which they are walked."""
    spans, start = [], 0
    for n in batch_sizes:
        spans.append((start, n))
        start += n
    return spans[::-1] if reverse else spans


def rows(x: Any, start: int, stop: int) -> Any:
    """Rows start to stop."""
    if start == 0 and stop == x.shape[0]:
        return x
    return slice_(x, ((start, stop, 1), (0, x.shape[1], 1)))


def columns(x: Any, start: int, stop: int) -> Any:
    """Columns start to stop."""
    return slice_(x, ((0, x.shape[0], 1), (start, stop, 1)))


def blocks(x: Any, count: int) -> list[Any]:
    """The columns in `count` equal parts, one for each gate."""
    width = x.shape[1] // count
    return [columns(x, i * width, (i + 1) * width) for i in range(count)]


def in_order(parts: list[Any], reverse: bool) -> Any:
    """The rows of each step, in the order walked, as packed rows."""
    return parts[0] if len(parts) == 1 else cat_(tuple(parts[::-1] if reverse else parts), 0)


def entering(state: Any, start: Any, n: int) -> Any:
    """The states of the n sequences of a step:
    some have ended, or some begin here with their `start`.
    """
    have = state.shape[0]
    return rows(state, 0, n) if n <= have else cat_((state, rows(start, have, n)), 0)


class Returning:
    """The cotangent of a state on the way back;
    the rows of sequences that began later are put aside.
    """

    def __init__(self) -> None:
        self.now: Any = None
        self.aside: list[Any] = []

    def after(self, n: int, also: Any) -> Any:
        """What arrives at the state after a step of n sequences,
        with `also` added (None for nothing).
        """
        now = self.now
        if now is None:
            return also
        have = now.shape[0]
        if have > n:
            self.aside.append(rows(now, n, have))
            now = rows(now, 0, n)
        elif have < n:
            now = cat_((now, full(0.0, (n - have, now.shape[1]), now.dtype)), 0)
        return now if also is None else now + also

    def at_start(self) -> Any:
        """The cotangent of the state before the first step, for all sequences."""
        return cat_((self.now, *self.aside[::-1]), 0) if self.aside else self.now


@lru_cache(maxsize=64)
def _previous_rows(batch_sizes: Sizes, reverse: bool) -> Value:
    """For each row the row of the state before it, in (starting states, states after each step)."""
    starts = np.cumsum(
        (batch_sizes[0], *batch_sizes)
    )  # where each time begins, after the starting states
    rows = []
    for t, n in enumerate(batch_sizes):
        before = t + 1 if reverse else t - 1
        have = batch_sizes[before] if 0 <= before < len(batch_sizes) else 0
        sequences = np.arange(n)
        rows.append(
            np.where(
                sequences < have,
                starts[min(max(before, 0), len(batch_sizes))] + sequences,
                sequences,
            )
        )
    return leaf(np.concatenate(rows), dtypes.int64)


def previous(states: Any, start: Any, batch_sizes: Sizes, reverse: bool) -> Any:
    """The state before each step:
    (N, H) states after each step and (B, H) starting states give (N, H).
    """
    n, total = batch_sizes[0], states.shape[0]
    if total == n:
        return start
    if batch_sizes[-1] == n:
        return cat_(
            (rows(states, n, total), start) if reverse else (start, rows(states, 0, total - n)), 0
        )
    return index((cat_((start, states), 0), _previous_rows(batch_sizes, reverse)), (0,))
