"""The order in which PyTorch adds the products of a convolution and of its derivatives.

Both tiers keep to it, so that float32 results have PyTorch's bits. It is that of PyTorch on x86
with AVX-512 and two threads, whatever the number of our own, for most convolutions without dilation
and with many channels in a group; others follow the same functions, which make a good order of any.

A result is a list of chains. A chain starts at +0 and takes its products one by one, as
acc = fma(a, b, acc); the results of chains are added in order, as plain numbers. In the names below
n is an image, c and o are channels of the input and the result, h and w places in the result, and
r and q the row and the column of a tap:

- the result: a chain for each `result_block` of c, over (r, q, c). A bias is added to that of the
  first chain; if the convolution is `pointwise`, the first chain starts with it;
- the gradient of the input, with stride 1: a chain for each `input_block` of o, over (r, q, o);
  with a stride: for each phase a chain for each of the `input_columns`, over (r, q, o);
- the gradient of the weight: for each of the `weight_shares` a chain for each range of positions,
  over (n, h, w). Chains of a share are added first, then the shares.

Products with the zeros around an image change nothing, wherever they stand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import NamedTuple

from tidu.base.shapes import Shape

BLOCK = 16  # channels that PyTorch stores side by side
_SMALL_BLOCK = 8  # where it works with narrower vectors
_THREADS = 2
# Numbers in the first cache, and in one way of the second.
_CACHE, _WAY = 32 * 1024 // 4, 64 * 1024 // 4

Share = tuple[range, ...]  # the chains of a share: which of the batch's positions each takes


class Convolved(NamedTuple):
    """The sizes of a convolution, in one group of channels."""

    batch: int
    inputs: int
    outputs: int
    image: Shape
    kernel: Shape
    outs: Shape
    stride: Shape
    pads: tuple[tuple[int, int], ...]
    groups: int = 1

    @property
    def positions(self) -> int:
        """Of one image of the result."""
        return prod(self.outs)

    @property
    def rows(self) -> int:
        """Rows of one image of the result."""
        return prod(self.outs[:-1])

    @property
    def strided(self) -> bool:
        return any(s != 1 for s in self.stride)

    @property
    def pointwise(self) -> bool:
        """Whether it is one product of matrices, with all of an image or every stride-th place."""
        thinned = tuple(o * s for o, s in zip(self.outs, self.stride, strict=True))
        exact = thinned == tuple(self.image) and not _padded(self.pads)
        return self.groups == 1 and prod(self.kernel) == 1 and exact


def result_block(sizes: Convolved) -> int:
    """How many channels of the input a chain of the result takes; the last may take fewer."""
    if not sizes.pointwise:
        return BLOCK
    return _pointwise_block(sizes.inputs, sizes.outputs, sizes.rows, sizes.positions)


def input_block(sizes: Convolved) -> int:
    """How many channels of the result a chain of the input's gradient takes."""
    if sizes.strided:
        return max(1, sizes.outputs)
    if not sizes.pointwise:
        return BLOCK
    return _pointwise_block(sizes.outputs, sizes.inputs, sizes.rows, sizes.positions)


def input_columns(sizes: Convolved, columns: Sequence[int]) -> list[tuple[int, ...]]:
    """Which columns of the kernel share a chain of the input's gradient.

    `columns` are those that reach one phase of the width, ascending. Columns that see nothing but
    the cotangent from all places of the phase share a chain; each of the others has its own.
    """
    width, stride, low = sizes.image[-1], sizes.stride[-1], sizes.pads[-1][0]
    if not sizes.strided or width % stride:
        return [tuple(columns)] if columns else []
    inside = []
    for q in columns:
        places = [at // stride for at in range(low - q, width + low - q) if at % stride == 0]
        if places and min(places) >= 0 and max(places) < sizes.outs[-1]:
            inside.append(q)
    if not inside:
        return [(q,) for q in columns]
    before = [(q,) for q in columns if q < inside[0]]
    return [*before, tuple(inside), *((q,) for q in columns if q > inside[-1])]


def weight_shares(sizes: Convolved) -> tuple[Share, ...]:
    """The chains of the weight's gradient, over the batch's positions in order of (n, h, w)."""
    if sizes.batch * sizes.positions == 0:
        return ()
    if sizes.groups > 1:  # threads take groups
        return ((range(sizes.batch * sizes.positions),),)
    if sizes.pointwise:
        return _pointwise_weight_shares(sizes)
    if BLOCK // 4 <= sizes.inputs < BLOCK or _far_padded(sizes):
        unit, shares = sizes.positions, _small_weight_shares(sizes)
    elif sizes.rows > 9:
        unit, shares = sizes.outs[-1], _weight_shares(sizes)
    else:
        unit, shares = sizes.positions, _weight_shares(sizes)
    units = sizes.batch * sizes.positions // unit
    return tuple(
        (range(part.start * unit, part.stop * unit),) for part in _parts(units, shares) if part
    )


def _padded(pads: Iterable[tuple[int, int]]) -> bool:
    return any(pad != (0, 0) for pad in pads)


def _far_padded(sizes: Convolved) -> bool:
    """Whether windows begin farther outside the image than their own half."""
    return any(low > k // 2 for (low, _), k in zip(sizes.pads, sizes.kernel, strict=True))


def _ceiling(a: int, b: int) -> int:
    return -(-a // b)


def _parts(total: int, parts: int) -> list[range]:
    """So many units of work in equal parts; the first ones take one more."""
    ends = [0]
    for part in range(parts):
        ends.append(ends[-1] + total // parts + (part < total % parts))
    return [range(begin, end) for begin, end in pairwise(ends)]


def _pointwise_block(summed: int, others: int, rows: int, positions: int) -> int:
    """How many channels of `summed` a chain of a product of matrices takes."""
    summed, others = (_ceiling(max(1, c), BLOCK) * BLOCK for c in (summed, others))
    if rows <= 10:
        block = min(summed, 256)
    else:
        block = min(summed, 80 if others <= 256 and rows < 28 else 512)
    return min(block, _unhindered(block, _tile_rows(others, rows, positions), positions))


def _unhindered(block: int, tile_rows: int, positions: int) -> int:
    """How many channels can be read without too many rows of a tile in one set of the cache."""
    ways, lines = 7, _WAY // BLOCK
    if positions * block <= ways * _WAY:
        return block
    least = block
    for first in range(tile_rows):
        places = range(first, positions * (block // BLOCK), lines)
        hits = [place for place in places if place % positions < tile_rows]
        if len(hits) >= ways:
            least = min(least, BLOCK * max(1, (hits[ways - 1] + lines) // positions))
    return least


def _tile_rows(others: int, rows: int, positions: int) -> int:
    """How many positions PyTorch's tile of such a product has."""
    high, low = (6, 5) if 128 < others < 256 and 10 < rows < 28 else (9, 6)
    heights = range(high, low - 1, -1)
    whole = [height for height in heights if (rows if rows >= 14 else positions) % height == 0]
    if whole:
        return whole[0]
    best, rest = min(high, positions), positions % high
    for height in heights:
        if positions % height > rest or positions % height == 0:
            best, rest = height, positions % height
            if rest == 0:
                break
    return best


Way = tuple[int, int, int]


def _ways(sizes: Convolved, most: int) -> Iterator[Way]:
    """Into how many parts threads may divide the batch, and the channels of result and input."""
    inputs, outputs = _blocks(sizes)
    for parts in range(1, most + 1):
        for of_outputs in range(1, min(_THREADS // parts, outputs) + 1):
            yield parts, of_outputs, min(_THREADS // parts // of_outputs, inputs)


def _blocks(sizes: Convolved) -> tuple[int, int]:
    """Blocks of the channels of the input and of the result. Up to three of an input are one."""
    inputs = 1 if sizes.inputs <= 3 and not sizes.pointwise else _ceiling(sizes.inputs, BLOCK)
    return max(1, inputs), max(1, _ceiling(sizes.outputs, BLOCK))


def _weight_shares(sizes: Convolved) -> int:
    """Into how many shares PyTorch's threads divide the batch for the gradient of a weight.

    Of the ways to divide the work, the one that moves least memory, or one that is faster.
    """
    by_rows = sizes.rows > 9
    inputs, outputs = _blocks(sizes)
    block = sizes.inputs if sizes.inputs <= 3 else BLOCK
    height = prod(sizes.image[:-1])
    # The units that are divided, rows or images, and the rows in one of them.
    seen, seen_rows = (height, 1) if by_rows else (1, height)
    made, made_rows = (sizes.rows, 1) if by_rows else (1, sizes.rows)

    def memory(way: Way) -> int:
        parts, of_outputs, of_inputs = way
        x = _ceiling(sizes.batch * seen, parts) * _ceiling(inputs, of_inputs) * block
        x = x * seen_rows * sizes.image[-1] // prod(sizes.stride)
        y = _ceiling(sizes.batch * made, parts) * _ceiling(outputs, of_outputs) * BLOCK
        w = 8 * _ceiling(outputs, of_outputs) * _ceiling(inputs, of_inputs) * prod(sizes.kernel)
        return x + y * made_rows * sizes.outs[-1] + w * block * BLOCK

    def work(way: Way) -> int:
        parts, of_outputs, of_inputs = way
        images = _ceiling(sizes.batch * made, parts)
        return images * _ceiling(outputs, of_outputs) * _ceiling(inputs, of_inputs)

    most = min(_THREADS, sizes.batch * max(1, made // 9))
    ways = list(_ways(sizes, most))
    best = _least(ways, memory)
    least = memory(best)
    for way in ways:
        faster = work(way) <= work(best) and memory(way) < 1.1 * least
        if faster or 4 * work(way) <= 3 * work(best):
            best = way
    return best[0]


def _small_weight_shares(sizes: Convolved) -> int:
    """The same where the work is blocks of a few channels, divided themselves if that is better."""
    blocks = _ceiling(sizes.inputs, _SMALL_BLOCK) * _ceiling(sizes.outputs, _SMALL_BLOCK)
    if blocks <= 1:
        return min(_THREADS, max(1, sizes.batch))
    divided = _ceiling(blocks, _THREADS) * sizes.batch
    shared = blocks * (_ceiling(sizes.batch, _THREADS) + 1)  # one more to add up the shares
    return _THREADS if sizes.batch > 1 and shared < divided else 1


def _pointwise_weight_shares(sizes: Convolved) -> tuple[Share, ...]:
    """A chain takes some of an image's positions, as many as PyTorch's cache holds of them."""
    unit, size = _pointwise_units(sizes)
    positions = sizes.positions
    number = _ceiling(positions, unit)  # of units in an image
    usual, most = size // unit, size * 3 // 2 // unit
    shares = []
    for part in _parts(sizes.batch * number, _pointwise_shares(sizes, unit, number)):
        chains, at = [], part.start
        while at < part.stop:
            image, inside = divmod(at, number)
            left = min(number - inside, part.stop - at)
            taken = left if left < most else usual
            end = min((inside + taken) * unit, positions)
            chains.append(range(image * positions + inside * unit, image * positions + end))
            at += taken
        if chains:
            shares.append(tuple(chains))
    return tuple(shares)


def _pointwise_units(sizes: Convolved) -> tuple[int, int]:
    """Into units of how many positions PyTorch divides an image, and how many a chain takes."""
    positions, width = sizes.positions, sizes.outs[-1]
    unit = _divider(range(min(16, positions), min(7, positions) - 1, -1), positions)
    if positions % unit:
        unit = _divider(range(min(4, width), width + 1), width)
    if unit > 256:
        unit = 1
    longest = _CACHE // (8 if unit <= 19 else 16)
    high = max(1, min(longest, positions))
    low = max(1, min(longest, max(sizes.rows, width), high))
    size = _divider(range(high, low - 1, -1), positions)
    return unit, max(size // unit * unit, unit)


def _divider(candidates: Iterable[int], whole: int) -> int:
    """The first of those that divide `whole` with the smallest part of the last piece missing."""

    def missing(size: int) -> float:
        padded = _ceiling(whole, size) * size
        return (padded - whole) / padded

    return min(candidates, key=missing)


def _pointwise_shares(sizes: Convolved, unit: int, number: int) -> int:
    """Into how many shares PyTorch's threads divide the units of all images."""
    inputs, outputs = _blocks(sizes)

    def memory(way: Way) -> int:
        parts, of_outputs, of_inputs = way
        x, y = _ceiling(inputs, of_inputs), _ceiling(outputs, of_outputs)
        return (
            _ceiling(sizes.batch * number, parts) * (x + y) * BLOCK * unit + 12 * x * y * BLOCK**2
        )

    return _least(_ways(sizes, min(_THREADS, sizes.batch * number)), memory)[0]


def _least(ways: Iterable[Way], memory: Callable[[Way], int]) -> Way:
    """The last of the ways that move least memory; not to divide is one, too."""
    best = (1, 1, 1)
    for way in ways:
        if memory(way) <= memory(best):
            best = way
    return best
