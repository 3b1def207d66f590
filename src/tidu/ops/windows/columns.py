"""Convolution on NumPy: matrix products with columns of windows, which lie as `Geometry` says.

They add in the order of `ir.convolution_order`: one product makes one chain of each result. Batch
and space share the last dimension of the columns, so products are large ones, and what comes out
has the channels outermost in memory, where the next layer's columns and a batch norm's sums want
them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tidu.base.shapes import Shape
from tidu.ir.convolution_order import (
    Convolved,
    Share,
    input_block,
    input_columns,
    result_block,
    weight_shares,
)
from tidu.ops.windows.chains import Sums, in_chains, room
from tidu.ops.windows.phases import Phase, phases
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

    def convolved(self, x: Shape, y: Shape, kernel: Shape) -> Convolved:
        """The sizes on which the order of additions depends; `x` and `y` are the two sides."""
        inputs, outputs = x[1] // self.groups, y[1] // self.groups
        return Convolved(
            x[0], inputs, outputs, x[2:], kernel, y[2:], self.stride, self.pads, self.groups
        )


def grouped(groups: int, channels: int, rest: int) -> Shape:
    """The shape of a matrix with one row a channel, as a batch of matrices if there are groups."""
    return (channels, rest) if groups == 1 else (groups, channels // groups, rest)


def columns_order(n: int) -> Shape:
    """From (N, C, *windows, *kernel) to (C, *kernel, N, *windows), for n dimensions."""
    return (1, *range(2 + n, 2 + 2 * n), 0, *range(2, 2 + n))


_weight_shares = lru_cache(maxsize=256)(weight_shares)

# Elements of columns made at once: they stay in cache, and memory stays bounded.
_COLUMNS = 1 << 18


def _batches(images: range, elements: int) -> Iterator[slice]:
    """Parts of the batch whose columns, `elements` for each item, are not too many at once."""
    step = max(1, _COLUMNS // max(elements, 1))
    return (slice(start, min(start + step, images.stop)) for start in images[::step])


def _by_groups(weight: Any, groups: int) -> Any:
    """(Q, C/groups, *kernel) as (groups, Q/groups, C/groups, *kernel)."""
    return weight.reshape(groups, len(weight) // groups, *weight.shape[1:])


def _make_rows(weight: Any) -> Any:
    """(groups, channels, results, *taps) as (groups, results, taps · channels)."""
    groups, channels, results, *taps = weight.shape
    of_taps, count = range(3, weight.ndim), prod(taps) * channels
    # What is outer in memory stays so, for the sake of speed.
    if weight.strides[1] > weight.strides[2]:
        return weight.transpose(0, *of_taps, 1, 2).reshape(groups, count, results).swapaxes(1, 2)
    return weight.transpose(0, 2, *of_taps, 1).reshape(groups, results, count)


class _Chains:
    """Sums over channels and taps: a chain for each block of channels, of each range of columns.

    The weight is (groups, channels, results, *taps).
    """

    def __init__(
        self,
        weight: Any,
        block: int,
        columns: list[slice],
        bias: Any = None,
        bias_first: bool = False,
    ) -> None:
        self.groups, self.channels, self.results, *self.taps = weight.shape
        self.bias = None if bias is None else bias.reshape(self.groups, -1, 1)
        self.bias_first = bias_first and bias is not None
        channels = [slice(c, c + block) for c in range(0, self.channels, block)]
        self.terms = list(product(columns, channels))
        self.rows = [_make_rows(weight[:, c, ..., taps]) for taps, c in self.terms]
        if self.bias_first and self.rows:
            # It is the weight of a column of ones.
            self.rows[0] = np.concatenate([self.bias, self.rows[0]], 2)
        self.longest = min(block, self.channels) * prod(self.taps)

    def over(self, found: Any, sums: Sums) -> Any:
        """The sums over windows (N, C, *places, *taps), as (results, N, *places)."""
        places = found.shape[2 : found.ndim - len(self.taps)]
        shape = (self.groups, self.results, len(found) * prod(places))
        total = np.empty(shape, found.dtype) if self.terms else np.zeros(shape, found.dtype)
        for number, rows in enumerate(self.rows):
            made = np.empty_like(total) if number else total
            sums.start(rows, self._columns(found, number), made)
            if number:
                np.add(total, made, out=total)
            elif self.bias is not None and not self.bias_first:
                total += self.bias
        return total.reshape(self.groups * self.results, len(found), *places)

    def _columns(self, found: Any, number: int) -> Any:
        """What a chain's weight is to be multiplied with: (groups, taps · channels, N · places)."""
        taps, channels = self.terms[number]
        rank, ones = len(self.taps), int(self.bias_first and number == 0)
        seen = found.reshape(len(found), self.groups, self.channels, *found.shape[2:])
        seen = seen[:, :, channels, ..., taps]
        seen = seen.transpose(1, *range(3 + rank, 3 + 2 * rank), 2, 0, *range(3, 3 + rank))
        positions = prod(seen.shape[-1 - rank :])
        columns = np.empty((self.groups, self.rows[number].shape[2], positions), found.dtype)
        columns[:, :ones] = 1
        columns[:, ones:].reshape(seen.shape)[...] = seen
        return columns


def _costs_too_much(summed: int, results: int, places: float, others: int) -> bool:
    """Whether PyTorch's order is given up, because columns of the other side are far fewer.

    To copy an element of a column takes as long as some 20 products. What a small kernel makes of
    many channels is within the limit, what a kernel as large as the image would need is not.
    """
    return summed * (20 + results) * places > 40 * results * (20 + summed) * others


def convolution_numpy(x: Any, weight: Any, bias: Any, geometry: Geometry) -> Any:
    """`convolution`: the weight times columns of x, for each block of its channels."""
    kernel, sizes = weight.shape[2:], x.shape[2:]
    outs = geometry.windows(sizes, kernel)
    convolved = geometry.convolved(x.shape, (len(x), len(weight), *outs), kernel)
    by_input = _by_groups(weight, geometry.groups).swapaxes(1, 2)
    chains = _Chains(by_input, result_block(convolved), [slice(None)], bias, convolved.pointwise)
    costs = chains.channels, chains.results, prod(outs), prod(sizes)
    if not convolved.strided and _costs_too_much(*costs):
        mirrored = _mirrored(weight, geometry.groups)
        return _scatter(x, mirrored, bias, outs, geometry.mirrored(kernel))

    def compute(sums: Sums) -> Any:
        y = np.empty((len(weight), len(x), *outs), x.dtype)
        for part in _batches(range(len(x)), chains.longest * prod(outs)):
            padded = zero_padded(x[part], geometry.pads)
            found = window_view(padded, kernel, geometry.stride, geometry.dilation)
            y[:, part] = chains.over(found, sums)
        return y.swapaxes(0, 1)

    return in_chains(x.dtype, compute)


def transpose_numpy(y: Any, weight: Any, bias: Any, sizes: Shape, geometry: Geometry) -> Any:
    """`convolution_transpose`: for each phase of the stride, the weight times columns of y."""
    channels, kernel, stride = weight.shape[1] * geometry.groups, weight.shape[2:], geometry.stride
    convolved = geometry.convolved((len(y), channels, *sizes), y.shape, kernel)
    by_result = _by_groups(weight, geometry.groups)
    apart = all(span(k, d) <= s for k, d, s in zip(kernel, geometry.dilation, stride, strict=True))
    costs = convolved.outputs, convolved.inputs, prod(sizes) / prod(stride), convolved.positions
    if (apart and convolved.strided) or _costs_too_much(*costs):
        return _scatter(y, weight, bias, sizes, geometry)
    low = [pad for pad, _ in geometry.pads]
    each = list(map(phases, sizes, kernel, stride, low, geometry.dilation))

    def compute(sums: Sums) -> Any:
        x: Any = np.empty((channels, len(y), *sizes), y.dtype)
        for chosen in product(*each):
            places = (slice(p.at, None, s) for p, s in zip(chosen, stride, strict=True))
            into = x[(..., *places)]
            if all(p.sees(n) for p, n in zip(chosen, y.shape[2:], strict=True)):
                taps = tuple(slice(p.first, None, p.step) for p in chosen)
                columns = _columns_of(chosen[-1], convolved)
                chains = _Chains(by_result[(..., *taps)], input_block(convolved), columns)
                _add_up(chains, y, chosen, into, sums)
            else:
                into[...] = 0
        if bias is not None:
            x += bias.reshape(-1, *(1,) * (x.ndim - 1))
        return x.swapaxes(0, 1)

    return in_chains(y.dtype, compute)


def _columns_of(phase: Phase, sizes: Convolved) -> list[slice]:
    """Which of the phase's taps share a chain."""
    columns = range(phase.first, sizes.kernel[-1], phase.step)
    together = input_columns(sizes, columns)
    return [slice(columns.index(q[0]), columns.index(q[-1]) + 1) for q in together]


def _add_up(chains: _Chains, y: Any, chosen: tuple[Phase, ...], into: Any, sums: Sums) -> None:
    """Writes what the places of a phase see of y."""
    pads = tuple(p.pads(n) for p, n in zip(chosen, y.shape[2:], strict=True))
    taps, back = tuple(p.taps for p in chosen), tuple(p.back for p in chosen)
    from_last = (slice(None, None, -1),) * len(chosen)
    for part in _batches(range(len(y)), chains.longest * prod(p.places for p in chosen)):
        found = window_view(zero_padded(y[part], pads), taps, (1,) * len(taps), back)
        into[:, part] = chains.over(found[(..., *from_last)], sums)


def _scatter(y: Any, weight: Any, bias: Any, sizes: Shape, geometry: Geometry) -> Any:
    """Transposed convolution by columns that are added into the places where they belong.

    If windows are apart, each place has one chain, as in the order of PyTorch.
    """
    groups, kernel, outs = geometry.groups, weight.shape[2:], y.shape[2:]
    channels = weight.shape[1] * groups
    rows = _by_groups(weight, groups)
    rows = rows.reshape(groups, rows.shape[1], prod(rows.shape[2:])).swapaxes(1, 2)
    taps = clipped_taps(sizes, outs, kernel, geometry.stride, geometry.pads, geometry.dilation)

    def compute(sums: Sums) -> Any:
        x: Any = np.zeros((channels, len(y), *sizes), y.dtype)
        for part in _batches(range(len(y)), channels * prod(kernel) * prod(outs)):
            seen = _after_room(0, rows.shape[2], y[part].swapaxes(0, 1), geometry)
            made: Any = np.empty((groups, rows.shape[1], seen.shape[2]), y.dtype)
            sums.start(rows, seen, made)
            made = made.reshape(channels, *kernel, part.stop - part.start, *outs)
            for tap, read, write in taps:
                target = x[(slice(None), part, *write)]
                np.add(target, made[(slice(None), *tap, slice(None), *read)], out=target)
        if bias is not None:
            x += bias.reshape(-1, *(1,) * (x.ndim - 1))
        return x.swapaxes(0, 1)

    return in_chains(y.dtype, compute)


def _mirrored(weight: Any, groups: int) -> Any:
    """(Q, C/groups, *kernel) as (C, Q/groups, *kernel), every kernel reversed."""
    q, c, *kernel = weight.shape
    turned = weight.reshape(groups, q // groups, c, *kernel).swapaxes(1, 2)
    turned = turned.reshape(c * groups, q // groups, *kernel)
    return turned[(slice(None), slice(None), *(slice(None, None, -1) for _ in kernel))]


def weight_numpy(x: Any, y: Any, kernel: Shape, geometry: Geometry) -> Any:
    """`convolution_weight`, by columns of the side that has fewer channels, if either will do."""
    if 0 in y.shape:
        return np.zeros((y.shape[1], x.shape[1] // geometry.groups, *kernel), x.dtype)
    sizes = geometry.convolved(x.shape, y.shape, kernel)
    shares, positions = _weight_shares(sizes), prod(y.shape[2:])
    whole = all(p.start % positions == p.stop % positions == 0 for share in shares for p in share)
    if y.shape[1] < x.shape[1] and not sizes.strided and whole:
        # The same sum with the roles exchanged, and the result mirrored.
        of_x = prod(x.shape[2:])
        shares = tuple(
            tuple(range(p.start // positions * of_x, p.stop // positions * of_x) for p in share)
            for share in shares
        )
        return _mirrored(
            _sum_shares(y, x, kernel, geometry.mirrored(kernel), shares), geometry.groups
        )
    return _sum_shares(x, y, kernel, geometry, shares)


def _sum_shares(
    x: Any, y: Any, kernel: Shape, geometry: Geometry, shares: tuple[Share, ...]
) -> Any:
    def compute(sums: Sums) -> Any:
        result = _sum_chains(x, y, kernel, geometry, shares[0], sums)
        for share in shares[1:]:
            result += _sum_chains(x, y, kernel, geometry, share, sums)
        return result.reshape(y.shape[1], x.shape[1] // geometry.groups, *kernel)

    return in_chains(x.dtype, compute)


def _sum_chains(x: Any, y: Any, kernel: Shape, geometry: Geometry, share: Share, sums: Sums) -> Any:
    """The sum of chains over positions that follow each other."""
    positions = prod(y.shape[2:])
    rows, columns = y.shape[1] // geometry.groups, x.shape[1] // geometry.groups * prod(kernel)
    # More at once than elsewhere, for chains that go on take more time.
    images = range(share[0].start // positions, -(-share[-1].stop // positions))
    free = room(rows)
    total: Any = 0
    for part in _batches(images, geometry.groups * columns * positions // 4):
        a = _after_room(free, rows, y[part].swapaxes(0, 1), geometry)
        b = _after_room(free, columns, _columns(x[part], kernel, geometry), geometry)
        b, offset = b.swapaxes(1, 2), free - part.start * positions
        for places in share:
            start, stop = places.start + offset, min(places.stop + offset, a.shape[2])
            if stop <= max(start, free):
                continue  # in another part
            if start >= free:
                made = np.empty((geometry.groups, rows, columns), x.dtype)
                sums.start(a[..., start:stop], b[:, start:stop], made)
            else:
                sums.go_on(a[..., :stop], b[:, :stop], free, made)
            if places.stop + offset == stop:
                total = total + made
    return total


def _columns(x: Any, kernel: Shape, geometry: Geometry) -> Any:
    """A view of the windows of (N, C, ...) as (C, *kernel, N, *windows)."""
    padded = zero_padded(x, geometry.pads)
    found = window_view(padded, kernel, geometry.stride, geometry.dilation)
    return found.transpose(columns_order(len(kernel)))


def _after_room(free: int, rows: int, values: Any, geometry: Geometry) -> Any:
    """(groups, rows, free + positions), where values come after places that are free."""
    groups = geometry.groups
    positions = prod(values.shape[-1 - len(geometry.stride) :])
    made = np.empty((groups, rows, free + positions), values.dtype)
    made[..., free:].reshape(values.shape)[...] = values
    return made
