"""Selecting and sorting that do not keep the order of equal elements, as the C++ library and
PyTorch do it: which of several equal elements comes first is decided by the steps of an algorithm,
so the steps are followed here. Meant for rows in which equal elements are among those asked for.

A row is a list of places, its order given by `keys`, a number for each place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

Keys = Sequence[float]
SHORT = 16  # what std::sort leaves to insertion
# Following the steps takes a microsecond or so for each element. In more elements than this, any of
# several equal ones is taken.
_MOST_FOLLOWED = 1 << 16


def followed(marked: Any, length: int) -> Any:
    """The coordinates of the marked rows, of so many elements each; none if that is too much."""
    few = np.count_nonzero(marked) * length <= _MOST_FOLLOWED
    return np.argwhere(marked) if few else np.empty((0, marked.ndim), np.int64)


def _sift(row: list[int], keys: Keys, start: int, hole: int, size: int, value: int) -> None:
    """__adjust_heap: put `value` into the heap of `size` places from `start`, whose `hole` is free:
    the hole falls to the bottom, and the value rises from there.
    """
    top, child = hole, hole
    while child < (size - 1) // 2:
        child = 2 * (child + 1)
        if keys[row[start + child]] < keys[row[start + child - 1]]:
            child -= 1
        row[start + hole] = row[start + child]
        hole = child
    if size % 2 == 0 and child == (size - 2) // 2:
        child = 2 * (child + 1)
        row[start + hole] = row[start + child - 1]
        hole = child - 1
    parent = (hole - 1) // 2
    while hole > top and keys[row[start + parent]] < keys[value]:
        row[start + hole] = row[start + parent]
        hole = parent
        parent = (hole - 1) // 2
    row[start + hole] = value


def _heap_select(row: list[int], keys: Keys, first: int, middle: int, last: int) -> None:
    """__heap_select: the least of [first, last) as a heap in [first, middle)."""
    size = middle - first
    for parent in range((size - 2) // 2, -1, -1):
        _sift(row, keys, first, parent, size, row[first + parent])
    for i in range(middle, last):
        if keys[row[i]] < keys[row[first]]:
            value, row[i] = row[i], row[first]
            _sift(row, keys, first, 0, size, value)


def _sort_heap(row: list[int], keys: Keys, first: int, last: int) -> None:
    for end in range(last - 1, first, -1):
        value, row[end] = row[end], row[first]
        _sift(row, keys, first, 0, end - first, value)


def _partition(row: list[int], keys: Keys, first: int, last: int) -> int:
    """__unguarded_partition_pivot: around the median of three, which goes to the front."""
    a, b, c = first + 1, first + (last - first) // 2, last - 1
    x, y, z = keys[row[a]], keys[row[b]], keys[row[c]]
    if x < y:
        chosen = b if y < z else c if x < z else a
    else:
        chosen = a if x < z else c if y < z else b
    row[first], row[chosen] = row[chosen], row[first]
    pivot = keys[row[first]]
    left, right = first + 1, last
    while True:
        while keys[row[left]] < pivot:
            left += 1
        right -= 1
        while pivot < keys[row[right]]:
            right -= 1
        if left >= right:
            return left
        row[left], row[right] = row[right], row[left]
        left += 1


def _insert(row: list[int], keys: Keys, first: int, last: int) -> None:
    """__insertion_sort, which looks at the front first."""
    for i in range(first + 1, last):
        value = row[i]
        key = keys[value]
        if key < keys[row[first]]:
            row[first + 1 : i + 1] = row[first:i]
            row[first] = value
            continue
        while key < keys[row[i - 1]]:
            row[i] = row[i - 1]
            i -= 1
        row[i] = value


def nth_element(row: list[int], keys: Keys, nth: int) -> None:
    """std::nth_element: `row[nth]` is what would be there if the row were sorted, and nothing
    greater is before it.
    """
    first, last = 0, len(row)
    depth = 2 * (len(row).bit_length() - 1)
    while last - first > 3:
        if not depth:
            _heap_select(row, keys, first, nth + 1, last)
            row[first], row[nth] = row[nth], row[first]
            return
        depth -= 1
        cut = _partition(row, keys, first, last)
        first, last = (cut, last) if cut <= nth else (first, cut)
    _insert(row, keys, first, last)


def partial_sort(row: list[int], keys: Keys, middle: int) -> None:
    """std::partial_sort: the least of the row, sorted, before `middle`."""
    _heap_select(row, keys, 0, middle, len(row))
    _sort_heap(row, keys, 0, middle)


def sort(row: list[int], keys: Keys, last: int) -> None:
    """std::sort of what is before `last`."""
    parts = [(0, last, 2 * (last.bit_length() - 1))]
    while parts:
        first, end, depth = parts.pop()
        while end - first > SHORT:
            if not depth:
                _heap_select(row, keys, first, end, end)
                _sort_heap(row, keys, first, end)
                break
            depth -= 1
            cut = _partition(row, keys, first, end)
            parts.append((cut, end, depth))
            end = cut
    _insert(row, keys, 0, last)


def quick_select(row: list[int], keys: Keys, k: int) -> None:
    """What PyTorch's kthvalue does so that `row[k]` is what would be there after sorting."""
    left, right = 0, len(row) - 1

    def exchange(i: int, j: int) -> None:
        row[i], row[j] = row[j], row[i]

    def order(i: int, j: int) -> None:
        if keys[row[i]] > keys[row[j]]:
            exchange(i, j)

    while right > left + 1:
        exchange(left + (right - left) // 2, left + 1)
        order(left + 1, right)
        order(left, right)
        order(left + 1, left)
        i, j, pivot = left + 1, right, keys[row[left]]
        while True:
            i += 1
            while pivot > keys[row[i]]:
                i += 1
            j -= 1
            while keys[row[j]] > pivot:
                j -= 1
            if j < i:
                break
            exchange(i, j)
        exchange(left, j)
        if j <= k:
            left = i
        if j >= k:
            right = j - 1
    if right == left + 1:
        order(left, right)
