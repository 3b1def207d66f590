"""The k largest values of a row, equal values in the order that PyTorch gives them.

PyTorch selects with the C++ library's `partial_sort` (few of many) or `nth_element` and `sort`,
none of which is stable. Where no two of the values at stake are equal the order is unique and NumPy
finds it; otherwise the steps of libstdc++ are repeated: heap selection, introselect (Musser, 1997)
and introsort.
"""

from __future__ import annotations

import numpy as np

from tidu.base.random import Array

Item = tuple[int, int]  # (rank of the value, index in the row); a higher rank comes first
_INSERTION_LIMIT = 16


def largest(values: Array, k: int) -> Array:
    """Indices of the `k` largest of `values` (n,), largest first, int64 (k,); NaN is largest.

    >>> largest(np.array([3.0, 9.0, 5.0]), 2).tolist()
    [1, 2]
    """
    if k == 0:
        return np.empty(0, np.int64)
    if not np.isnan(values).any():
        chosen = np.argpartition(values, values.size - k)[values.size - k :]
        chosen = chosen[np.argsort(values[chosen])[::-1]]
        picked = values[chosen]
        if np.count_nonzero(values >= picked[-1]) == k and (picked[1:] < picked[:-1]).all():
            return chosen
    ranks = np.unique(values, return_inverse=True)[1]
    items = list(zip(ranks.tolist(), range(values.size)))
    if k * 64 <= len(items):
        _heap_select(items, 0, k, len(items))
        _sort_heap(items, 0, k)
    else:
        _nth_element(items, k - 1)
        _sort(items, 0, k - 1)
    return np.array([index for _, index in items[:k]], np.int64)


def _sift(items: list[Item], first: int, hole: int, length: int, value: Item) -> None:
    """Put `value` into the heap at `first`, whose node `hole` is free: down to a leaf, then up."""
    top = hole
    child = hole
    while child < (length - 1) // 2:
        child = 2 * (child + 1)
        if items[first + child][0] > items[first + child - 1][0]:
            child -= 1
        items[first + hole] = items[first + child]
        hole = child
    if length % 2 == 0 and child == (length - 2) // 2:
        child = 2 * child + 1
        items[first + hole] = items[first + child]
        hole = child
    while hole > top and items[first + (hole - 1) // 2][0] > value[0]:
        items[first + hole] = items[first + (hole - 1) // 2]
        hole = (hole - 1) // 2
    items[first + hole] = value


def _heap_select(items: list[Item], first: int, middle: int, last: int) -> None:
    """Bring the highest of [first, last) into [first, middle), a heap with their lowest on top."""
    length = middle - first
    for parent in range((length - 2) // 2, -1, -1):
        _sift(items, first, parent, length, items[first + parent])
    for index in range(middle, last):
        value = items[index]
        if value[0] > items[first][0]:
            items[index] = items[first]
            _sift(items, first, 0, length, value)


def _sort_heap(items: list[Item], first: int, last: int) -> None:
    while last - first > 1:
        last -= 1
        value = items[last]
        items[last] = items[first]
        _sift(items, first, 0, last - first, value)


def _partition(items: list[Item], first: int, last: int) -> int:
    """Split [first, last) by the median of three; from the returned index on all are lower."""
    a, b, c = first + 1, first + (last - first) // 2, last - 1
    rank_a, rank_b, rank_c = items[a][0], items[b][0], items[c][0]
    if rank_a > rank_b:
        middle = b if rank_b > rank_c else c if rank_a > rank_c else a
    else:
        middle = a if rank_a > rank_c else c if rank_b > rank_c else b
    items[first], items[middle] = items[middle], items[first]
    pivot = items[first][0]
    low, high = first + 1, last
    while True:
        while items[low][0] > pivot:
            low += 1
        high -= 1
        while pivot > items[high][0]:
            high -= 1
        if low >= high:
            return low
        items[low], items[high] = items[high], items[low]
        low += 1


def _insertion_sort(items: list[Item], first: int, last: int) -> None:
    items[first:last] = sorted(
        items[first:last], key=lambda item: -item[0]
    )  # stable, as insertion is


def _nth_element(items: list[Item], nth: int) -> None:
    first, last = 0, len(items)
    depth = 2 * (last.bit_length() - 1)
    while last - first > 3:
        if depth == 0:
            _heap_select(items, first, nth + 1, last)
            items[first], items[nth] = items[nth], items[first]
            return
        depth -= 1
        cut = _partition(items, first, last)
        if cut <= nth:
            first = cut
        else:
            last = cut
    _insertion_sort(items, first, last)


def _sort(items: list[Item], first: int, last: int) -> None:
    if last - first > 1:
        _quick_sort(items, first, last, 2 * ((last - first).bit_length() - 1))
        _insertion_sort(items, first, last)


def _quick_sort(items: list[Item], first: int, last: int, depth: int) -> None:
    """Sort but for runs of at most 16, which stay in their places."""
    while last - first > _INSERTION_LIMIT:
        if depth == 0:
            _heap_select(items, first, last, last)
            _sort_heap(items, first, last)
            return
        depth -= 1
        cut = _partition(items, first, last)
        _quick_sort(items, cut, last, depth)
        last = cut
