"""Products of matrices whose elements are single chains of products, on NumPy.

A chain starts at +0 and takes its products one by one, as acc = fma(a, b, acc). With AVX-512 that
is how NumPy multiplies matrices of float32, if they are large or the left one lies in memory by
columns, up to `_LONGEST` products; elsewhere the same sums are made in another order. To go on with
a longer chain, what it has come to becomes its first product, with one.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

_LONGEST = 448
# Multiplications below which NumPy cares how the left matrix lies.
_SMALL = 1 << 21
# Rows that go on at once: each takes the place of a product in front of the others.
_ROWS = 64


class Sums(NamedTuple):
    """How sums of products are made.

    `start` makes the last argument a @ b. `go_on` adds to it a[..., start:] @ b[..., start:, :];
    there must be `room` in front of `start`. Either may overwrite b in front of products.
    """

    start: Callable[[Any, Any, Any], None]
    go_on: Callable[[Any, Any, int, Any], None]


def room(rows: int) -> int:
    """How many places must be free before the products with which chains go on."""
    return min(max(rows, 1), _ROWS)


def in_chains(dtype: Any, compute: Callable[[Sums], Any]) -> Any:
    """`compute` with sums that are chains, if they are of float32 and nothing overflows.

    Chains do not go on past what is not finite: that would be multiplied by zeros.
    """
    if dtype == np.float32:
        result = compute(_CHAINS)
        if np.isfinite(result).all():
            return result
    return compute(_PLAIN)


def _start(a: Any, b: Any, out: Any) -> None:
    _multiply(a[..., :_LONGEST], b[..., :_LONGEST, :], out)
    _go_on(a, b, _LONGEST, out)


def _go_on(a: Any, b: Any, start: int, out: Any) -> None:
    rows, end = a.shape[-2:]
    while start < end:
        stop = min(start + _LONGEST - room(rows), end)
        for first in range(0, rows, room(rows)):
            so_far = out[..., first : first + room(rows), :]
            before = start - so_far.shape[-2]
            b[..., before:start, :] = so_far
            _multiply(
                _after_ones(a[..., first : first + room(rows), start:stop]),
                b[..., before:stop, :],
                so_far,
            )
        start = stop


def _after_ones(a: Any) -> Any:
    """A unit matrix and then `a`, which lie in memory by columns."""
    *batch, rows, columns = a.shape
    joined = np.empty((*batch, rows + columns, rows), a.dtype).swapaxes(-1, -2)
    joined[..., :rows] = np.eye(rows, dtype=a.dtype)
    joined[..., rows:] = a
    return joined


def _multiply(a: Any, b: Any, out: Any) -> None:
    """out = a @ b, of at most `_LONGEST` products."""
    rows, columns = out.shape[-2:]
    # Of a vector NumPy makes another sum.
    a = np.repeat(a, 2, -2) if rows == 1 else a
    b = np.repeat(b, 2, -1) if columns == 1 else b
    if prod(a.shape) * b.shape[-1] < _SMALL and a.strides[-2] != a.itemsize:
        a = np.ascontiguousarray(a.swapaxes(-1, -2)).swapaxes(-1, -2)
    if 1 in (rows, columns):
        out[...] = np.matmul(a, b)[..., :rows, :columns]
    else:
        np.matmul(a, b, out=out)


def _add(a: Any, b: Any, start: int, out: Any) -> None:
    out += np.matmul(a[..., start:], b[..., start:, :])


_CHAINS = Sums(_start, _go_on)
_PLAIN = Sums(lambda a, b, out: np.matmul(a, b, out=out), _add)
