"""Convolution on NumPy: one matrix product with columns of windows, which lie as `Geometry` says.

Batch and space share the last dimension of the columns, so the product is one large one, and what
comes out has the channels outermost in memory, where the next layer's columns and a batch norm's
sums want them.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tidu.base.shapes import Shape
from tidu.ops.windows.sliding import (
    Pads,
    clipped_taps,
    count_windows,
    padded_sizes,
    span,
    window_view,
    zero_padded,
)


class Geometry(NamedTuple):
    """How windows lie in the input, and into how many groups the channels fall."""

    stride: Shape
    pads: Pads
    dilation: Shape
    groups: int = 1

    def windows(self, sizes: Shape, kernel: Shape) -> Shape:
        """The number of windows in each dimension."""
        return count_windows(padded_sizes(sizes, self.pads), kernel, self.stride, self.dilation)

    def mirrored(self, kernel: Shape) -> Geometry:
        """With stride 1 and the mirrored weight, convolution with this is the transposed one."""
        reach = [span(k, d) - 1 for k, d in zip(kernel, self.dilation, strict=True)]
        pads = tuple((r - low, r - high) for r, (low, high) in zip(reach, self.pads, strict=True))
        return self._replace(pads=pads)

    @property
    def either_side(self) -> bool:
        """Whether columns can be made of either side: with stride 1 each is windows of the other.

        They are made of the side with fewer channels; with equal ones reading beats adding up.
        """
        return all(s == 1 for s in self.stride)


def grouped(groups: int, channels: int, rest: int) -> Shape:
    """The shape of a matrix with one row a channel, as a batch of matrices if there are groups."""
    return (channels, rest) if groups == 1 else (groups, channels // groups, rest)


def columns_order(n: int) -> Shape:
    """From (N, C, *windows, *kernel) to (C, *kernel, N, *windows), for n dimensions."""
    return (1, *range(2 + n, 2 + 2 * n), 0, *range(2, 2 + n))


# Elements of columns made at once: they stay in cache, and memory stays bounded.
_COLUMNS = 1 << 20


def _batches(batch: int, elements: int) -> Iterator[slice]:
    """Parts of the batch whose columns, `elements` for each item, are not too many at once."""
    step = max(1, _COLUMNS // max(elements, 1))
    return (slice(start, min(start + step, batch)) for start in range(0, batch, step))


def _mirrored(weight: Any, groups: int) -> Any:
    """(Q, C/groups, *kernel) as (C, Q/groups, *kernel), every kernel reversed."""
    q, c, *kernel = weight.shape
    turned = weight.reshape(groups, q // groups, c, *kernel).swapaxes(1, 2)
    turned = turned.reshape(c * groups, q // groups, *kernel)
    return turned[(slice(None), slice(None), *(slice(None, None, -1) for _ in kernel))]


def _make_rows(x: Any, groups: int) -> Any:
    return x.reshape(groups, x.shape[0] // groups, prod(x.shape[1:]))


def _make_columns(x: Any, kernel: Shape, geometry: Geometry) -> Any:
    """Windows of (n, C, ...) as (groups, C/groups · kernel elements, n · windows)."""
    padded = zero_padded(x, geometry.pads)
    found = window_view(padded, kernel, geometry.stride, geometry.dilation)
    columns = found.transpose(columns_order(len(kernel)))
    positions = x.shape[0] * prod(found.shape[2 : 2 + len(kernel)])
    rows = x.shape[1] // geometry.groups * prod(kernel)
    return columns.reshape(geometry.groups, rows, positions)


def _gather(x: Any, weight: Any, bias: Any, outs: Shape, geometry: Geometry) -> Any:
    """Convolution: the weight times the columns of x."""
    batch, channels, kernel, groups = len(x), len(weight), weight.shape[2:], geometry.groups
    rows, positions = _make_rows(weight, groups), prod(outs)
    y = np.empty((groups, channels // groups, batch * positions), x.dtype)
    for part in _batches(batch, x.shape[1] * prod(kernel) * positions):
        into = y[:, :, part.start * positions : part.stop * positions]
        np.matmul(rows, _make_columns(x[part], kernel, geometry), out=into)
        if bias is not None:
            np.add(into, bias.reshape(groups, -1, 1), out=into)
    return y.reshape(channels, batch, *outs).swapaxes(0, 1)


def _scatter(y: Any, weight: Any, bias: Any, sizes: Shape, geometry: Geometry) -> Any:
    """Transposed convolution: columns from a product, added into the places where they belong."""
    groups = geometry.groups
    kernel, outs, channels = weight.shape[2:], y.shape[2:], weight.shape[1] * groups
    rows = _make_rows(weight, groups).swapaxes(1, 2)
    x = np.zeros((channels, len(y), *sizes), y.dtype)
    if bias is not None:
        x += bias.reshape(-1, *(1,) * (x.ndim - 1))
    taps = clipped_taps(sizes, outs, kernel, geometry.stride, geometry.pads, geometry.dilation)
    for part in _batches(len(y), channels * prod(kernel) * prod(outs)):
        columns = np.matmul(rows, _make_rows(y[part].swapaxes(0, 1), groups))
        columns = columns.reshape(channels, *kernel, part.stop - part.start, *outs)
        for tap, read, write in taps:
            target = x[(slice(None), part, *write)]
            np.add(target, columns[(slice(None), *tap, slice(None), *read)], out=target)
    return x.swapaxes(0, 1)


def convolution_numpy(x: Any, weight: Any, bias: Any, geometry: Geometry) -> Any:
    """`convolution`, by columns of the side that has fewer channels."""
    kernel = weight.shape[2:]
    outs = geometry.windows(x.shape[2:], kernel)
    if weight.shape[0] >= x.shape[1] or not geometry.either_side:
        return _gather(x, weight, bias, outs, geometry)
    return _scatter(x, _mirrored(weight, geometry.groups), bias, outs, geometry.mirrored(kernel))


def transpose_numpy(y: Any, weight: Any, bias: Any, sizes: Shape, geometry: Geometry) -> Any:
    """`convolution_transpose`, by columns of the side that has fewer channels."""
    groups = geometry.groups
    if y.shape[1] > weight.shape[1] * groups or not geometry.either_side:
        return _scatter(y, weight, bias, sizes, geometry)
    mirrored = geometry.mirrored(weight.shape[2:])
    return _gather(y, _mirrored(weight, groups), bias, sizes, mirrored)


def weight_numpy(x: Any, y: Any, kernel: Shape, geometry: Geometry) -> Any:
    """`convolution_weight`, by columns of the side that has fewer channels."""
    if y.shape[1] < x.shape[1] and geometry.either_side:
        # The same sum with the roles exchanged, and the result mirrored.
        return _mirrored(_sum_products(y, x, kernel, geometry.mirrored(kernel)), geometry.groups)
    return _sum_products(x, y, kernel, geometry)


def _sum_products(x: Any, y: Any, kernel: Shape, geometry: Geometry) -> Any:
    groups, columns = geometry.groups, x.shape[1] // geometry.groups * prod(kernel)
    result = np.zeros((groups, y.shape[1] // groups, columns), x.dtype)
    for part in _batches(len(x), groups * columns * prod(y.shape[2:])):
        values = _make_rows(y[part].swapaxes(0, 1), groups)
        result += np.matmul(values, _make_columns(x[part], kernel, geometry).swapaxes(1, 2))
    return result.reshape(y.shape[1], x.shape[1] // groups, *kernel)
