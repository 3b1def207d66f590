"""Random permutations from drawn positions, without a Python loop over the elements.

Every exchange of a shuffle reads what an earlier one wrote: step i reads position t[i], which the
last earlier step with the same target wrote. So values are found by following such references back
to a step that has none.
"""

from __future__ import annotations

import numpy as np

from tidu.base.random import Array

_FEW = 400  # below this a plain loop is faster


def shuffle_forward(offsets: Array) -> Array:
    """Fisher-Yates: for i = 0 .. n - 2 exchange elements i and i + offsets[i] of 0 .. n - 1.

    Returns int64 (n,) for `offsets` (n - 1,).
    """
    count = offsets.size + 1
    if count < _FEW:
        items = list(range(count))
        for i, offset in enumerate(offsets.tolist()):
            items[i], items[i + offset] = items[i + offset], items[i]
        return np.array(items, np.int64)
    steps = np.arange(count, dtype=np.int64)
    targets = steps.copy()  # the last element counts as exchanged with itself
    targets[:-1] += offsets
    previous = _previous_equal(targets)
    # What element i holds when step i begins came from the last earlier step that reached it.
    writer = np.full(count, -1, np.int64)
    writer[targets] = steps
    writer = np.where(writer == steps, previous, writer)
    held = _follow(np.where(writer < 0, steps, writer))
    return np.where(previous < 0, targets, held[previous])


def shuffle_inside_out(targets: Array) -> Array:
    """For i = 0 .. n - 1, move what lies at targets[i] (at most i) to place i, and put i there.

    Returns int64 (n,) for `targets` (n,).
    """
    count = targets.size
    steps = np.arange(count, dtype=np.int64)
    previous = _previous_equal(targets)
    # Place i receives the number of the last step that wrote to targets[i], or what that received.
    found = _follow(np.where((previous < 0) & (targets < steps), targets, steps))
    received = np.where(previous[found] < 0, found, previous[found])
    last = np.full(count, -1, np.int64)
    last[targets] = steps
    return np.where(last < 0, received, last)


def _previous_equal(targets: Array) -> Array:
    """For every index the largest smaller index with an equal target, or -1."""
    count = targets.size
    keys = targets.astype(np.int64) << 32
    keys |= np.arange(count)
    keys.sort()
    order = keys & 0xFFFFFFFF
    keys >>= 32
    repeated = keys[1:] == keys[:-1]
    previous = np.full(count, -1, np.int64)
    previous[order[1:][repeated]] = order[:-1][repeated]
    return previous


def _follow(parents: Array) -> Array:
    """The root of every index, where roots are their own parents, by halving all paths."""
    while True:
        grandparents = parents[parents]
        if np.array_equal(grandparents, parents):
            return parents
        parents = grandparents
