"""Lowering of convolutions and their derivatives to the kernels in `correlation`.

With stride 1 a convolution over padded planes is one over flat planes: a tap is an offset. Results
lie in planes of the padded width, which the next operation reads through strides. A stride s is
brought to 1 by cutting planes into phases, of every s-th element each.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from math import prod
from typing import TYPE_CHECKING

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape, contiguous_strides
from tidu.compiler.correlation import (
    CorrelateParams,
    CorrelateWeightParams,
    Tile,
    Vector,
    WeightTile,
    correlate_text,
    correlate_weight_text,
    cut,
    positions,
    weight_cut,
)
from tidu.compiler.expressions import LOAD, Expression, Layout, contiguous
from tidu.compiler.steps import Buffer, Correlate
from tidu.ir.op import Correlation, Op, registry
from tidu.ir.value import Value

if TYPE_CHECKING:
    from tidu.compiler.lower import Lowering

_ELEMENTS = {dtypes.float32: "float", dtypes.float64: "double"}
Pads = tuple[tuple[int, int], ...]


def supports(value: Value) -> bool:
    """Whether a Value is a convolution that is done by these kernels."""
    op = value.op
    assert op is not None
    if op.correlation is None or value.dtype not in _ELEMENTS:
        return False
    shapes = [x.shape for x in value.inputs if x.__class__ is Value]
    return 0 not in value.shape and all(0 not in shape for shape in shapes)


def lower_correlation(lowering: Lowering, value: Value, op: Op) -> Expression:
    assert op.correlation is not None
    said = op.correlation(*value.attrs)
    rule = {"result": _result, "input": _input, "weight": _weight}[said.wanted]
    return rule(lowering, value, said)


@dataclass(slots=True)
class _Planes:
    """Padded planes in a buffer, (batch, channels, phases, rows…) each plane by itself."""

    buffer: Buffer
    offset: int
    batch: int  # strides
    channel: int
    phases: Shape
    pitches: tuple[int, ...]  # strides within a plane of one phase
    plane: int

    def tap(self, places: Shape) -> int:
        """The offset of the element at a place of the padded input."""
        phase = 0
        offset = 0
        for place, count, pitch in zip(places, self.phases, self.pitches, strict=True):
            phase = phase * count + place % count
            offset += place // count * pitch
        return phase * self.plane + offset


def _planes(
    lowering: Lowering, x: Value, pads: Pads, steps: Shape, whole: Shape, reach: Shape
) -> _Planes:
    """`x` with zeros around it (or without its border, where pads are negative), in phases.

    `whole` is how many elements of each dimension are wanted, pads counted; `reach` is how far the
    last tap is from the first.
    """
    n = len(pads)
    counts = _shared_zeros(
        tuple(-(-size // step) for size, step in zip(whole, steps, strict=True)),
        pads, steps, tuple(x.shape[2:]), reach,
    )  # fmt: skip
    padded = tuple(c * s for c, s in zip(counts, steps, strict=True))
    key = (lowering.found[id(x)].number, pads, steps, padded)
    found = lowering.planes.get(key)
    if found is None:
        found = _as_it_is(lowering, x, pads, steps, padded) or _copied(
            lowering, x, pads, steps, counts
        )
        lowering.planes[key] = found
    assert len(found.pitches) == n
    return found


def _shared_zeros(counts: Shape, pads: Pads, steps: Shape, sizes: Shape, reach: Shape) -> Shape:
    """Smaller planes, where the zeros behind a row are those before the next.

    One more row of zeros follows the last.
    """
    if any(step != 1 for step in steps) or len(counts) == 1:
        return counts
    shared = [0]
    for count, (low, _), size, far in zip(counts[1:], pads[1:], sizes[1:], reach[1:], strict=True):
        shared.append(max(0, min(low, count - low - size, far)))
    if not any(shared):
        return counts
    return (counts[0] + 1, *(c - s for c, s in zip(counts[1:], shared[1:], strict=True)))


def _as_it_is(
    lowering: Lowering, x: Value, pads: Pads, steps: Shape, padded: Shape
) -> _Planes | None:
    """The planes of a buffer that needs neither pads nor phases."""
    found = lowering.found[id(x)]
    if any(p != (0, 0) for p in pads) or any(s != 1 for s in steps) or found.kind != LOAD:
        return None
    buffer, layout, indices = found.what
    strides = layout.strides
    if indices or x.shape[2:] != padded or strides[-1] != 1:
        return None
    if any(s < 0 for s in strides) or any(
        a < b * n for a, b, n in zip(strides[2:], strides[3:], x.shape[3:], strict=False)
    ):
        return None
    return _Planes(
        lowering.steps.buffers[buffer], layout.offset, strides[0], strides[1],
        steps, strides[2:], 0,
    )  # fmt: skip


def _copied(lowering: Lowering, x: Value, pads: Pads, steps: Shape, counts: Shape) -> _Planes:
    lead = tuple(x.shape[:2])
    starts = tuple(low for low, _ in pads)
    padded = tuple(c * s for c, s in zip(counts, steps, strict=True))
    inner = tuple(x.shape[2:])
    # What lies outside on either side is cut off, and zeros are put around what is left.
    first = tuple(max(-low, 0) for low in starts)
    kept = tuple(
        min(size, total - low) - a
        for size, total, low, a in zip(inner, padded, starts, first, strict=True)
    )
    whole = ((0, lead[0], 1), (0, lead[1], 1))
    cropped = lowering.sliced(
        lowering.found[id(x)],
        (*whole, *((a, a + k, 1) for a, k in zip(first, kept, strict=True))),
    )
    ranges = (
        *whole,
        *((max(low, 0), max(low, 0) + k, 1) for low, k in zip(starts, kept, strict=True)),
    )
    placed = lowering.placed(cropped, (*lead, *kept), ranges, (*lead, *padded))
    if any(s != 1 for s in steps):
        # (N, C, rows · steps, …) as (N, C, steps, …, rows, …)
        def phased(layout: Layout) -> Layout:
            outer = layout.strides[2:]
            rows = tuple(a * s for a, s in zip(outer, steps, strict=True))
            return Layout((*layout.strides[:2], *outer, *rows), layout.offset)

        placed = lowering.make.relaid(placed, phased)
        shape = (*lead, *steps, *counts)
    else:
        shape = (*lead, *padded)
    buffer = lowering.root(placed, shape, x.dtype, x)
    strides = contiguous_strides(shape)
    pitches = contiguous_strides(counts)
    return _Planes(buffer, 0, strides[0], strides[1], steps, pitches, prod(counts))


def _spans(kernel: Shape, dilation: Shape) -> Shape:
    return tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))


def _reach(kernel: Shape, dilation: Shape) -> Shape:
    return tuple(span - 1 for span in _spans(kernel, dilation))


def _vector(lowering: Lowering, d: dtype) -> Vector:
    # The kernels are written with vectors; LLVM takes those apart that a processor lacks.
    return Vector(_ELEMENTS[d], lowering.vector_bytes or 16)


def _correlate(
    lowering: Lowering,
    value: Value,
    params: CorrelateParams,
    reads: tuple[Buffer, ...],
    written: Buffer,
) -> None:
    vector = _vector(lowering, value.dtype)
    chosen = cut(
        vector, params.images, params.groups, params.rows, params.channels,
        len(params.x_taps), params.positions,
    )  # fmt: skip
    params = params._replace(cut=chosen)
    tile = Tile(vector, chosen.tile_rows)
    work = 2 * params.images * params.groups * params.rows * params.channels
    work *= len(params.x_taps) * params.positions
    lowering.steps.steps.append(
        Correlate(tile.name, lambda: correlate_text(tile), params, reads, written, work, value)
    )


def _result(lowering: Lowering, value: Value, said: Correlation) -> Expression:
    x, weight, bias = value.inputs
    kernel, outs = tuple(weight.shape[2:]), tuple(value.shape[2:])
    whole = tuple(
        (o - 1) * s + k
        for o, s, k in zip(outs, said.stride, _spans(kernel, said.dilation), strict=True)
    )
    planes = _planes(lowering, x, said.pads, said.stride, whole, _reach(kernel, said.dilation))
    groups, taps = said.groups, prod(kernel)
    rows, channels = value.shape[1] // groups, weight.shape[1]
    weights = lowering.stored(weight)
    size = outs[0] * planes.pitches[0]
    buffer = lowering.buffer((value.shape[0], value.shape[1], size), value.dtype)
    reads = [planes.buffer, weights]
    slot = 0
    if bias is not None:
        reads.append(lowering.stored(bias))
        slot = reads[2].number
    params = CorrelateParams(
        planes.buffer.number, weights.number, buffer.number,
        value.shape[0], groups, rows, channels, positions(outs, planes.pitches),
        tuple(
            planes.tap(tuple(i * d for i, d in zip(tap, said.dilation, strict=True)))
            for tap in product(*map(range, kernel))
        ),
        tuple(range(taps)), None,  # type: ignore[arg-type]
        planes.batch, channels * planes.channel, planes.channel,
        rows * channels * taps, channels * taps, taps,
        value.shape[1] * size, rows * size, size,
        planes.offset, bias_slot=slot,
    )  # fmt: skip
    _correlate(lowering, value, params, tuple(reads), buffer)
    layout = Layout((value.shape[1] * size, size, *planes.pitches), 0)
    return lowering.make.load(buffer.number, layout, value.dtype)


def _input(lowering: Lowering, value: Value, said: Correlation) -> Expression:
    """Each phase of the input is a correlation of the cotangent with the taps that reach it."""
    y, weight, bias = value.inputs
    kernel, sizes = tuple(weight.shape[2:]), tuple(value.shape[2:])
    stride, dilation = said.stride, said.dilation
    groups, taps = said.groups, prod(kernel)
    rows, channels = weight.shape[1], y.shape[1] // groups
    lows = tuple(low for low, _ in said.pads)
    # Places of the padded input, in phases: place = stride · m + phase.
    counts = tuple(-(-(low + size) // s) for low, size, s in zip(lows, sizes, stride, strict=True))
    # Before the cotangent come as many zeros as the farthest tap reaches back.
    back = tuple(d * (k - 1) // s for d, k, s in zip(dilation, kernel, stride, strict=True))
    pads = tuple((b, c - o) for b, c, o in zip(back, counts, y.shape[2:], strict=True))
    whole = tuple(b + c for b, c in zip(back, counts, strict=True))
    planes = _planes(lowering, y, pads, (1,) * len(kernel), whole, back)
    weights = lowering.stored(weight)
    size = counts[0] * planes.pitches[0]
    phases = tuple(product(*map(range, stride)))
    buffer = lowering.buffer((*value.shape[:2], len(phases), size), value.dtype)
    reads = [planes.buffer, weights]
    slot = 0
    if bias is not None:
        reads.append(lowering.stored(bias))
        slot = reads[2].number
    for number, phase in enumerate(phases):
        reached = [
            (flat, tap)
            for flat, tap in enumerate(product(*map(range, kernel)))
            if all(
                (t * d - p) % s == 0
                for t, d, p, s in zip(tap, dilation, phase, stride, strict=True)
            )
        ]
        places = tuple(
            planes.tap(
                tuple(
                    b - (t * d - p) // s
                    for b, t, d, p, s in zip(back, tap, dilation, phase, stride, strict=True)
                )
            )
            for _, tap in reached
        )
        if not reached:  # no tap: nothing but the bias
            reached, places, some = [(0, ())], (0,), 0
        else:
            some = channels
        params = CorrelateParams(
            planes.buffer.number, weights.number, buffer.number,
            value.shape[0], groups, rows, some, positions(counts, planes.pitches),
            places, tuple(flat for flat, _ in reached), None,  # type: ignore[arg-type]
            planes.batch, channels * planes.channel, planes.channel,
            channels * rows * taps, taps, rows * taps,
            value.shape[1] * len(phases) * size, rows * len(phases) * size, len(phases) * size,
            planes.offset, y_offset=number * size, bias_slot=slot,
        )  # fmt: skip
        _correlate(lowering, value, params, tuple(reads), buffer)
    return _interleaved(lowering, value, buffer, stride, counts, planes.pitches, lows, size)


def _interleaved(
    lowering: Lowering,
    value: Value,
    buffer: Buffer,
    stride: Shape,
    counts: Shape,
    pitches: tuple[int, ...],
    lows: Shape,
    size: int,
) -> Expression:
    """The phases of a result put together, without the pads."""
    lead, sizes, d = tuple(value.shape[:2]), tuple(value.shape[2:]), value.dtype
    steps = prod(stride)
    outer = (lead[1] * steps * size, steps * size)
    if steps == 1:
        offset = sum(low * p for low, p in zip(lows, pitches, strict=True))
        return lowering.make.load(buffer.number, Layout((*outer, *pitches), offset), d)
    of_phase = tuple(s * size for s in contiguous_strides(stride))
    inner = tuple(p for pair in zip(pitches, of_phase, strict=True) for p in pair)
    finer = (*lead, *(n for pair in zip(counts, stride, strict=True) for n in pair))
    load = lowering.make.load(buffer.number, Layout((*outer, *inner), 0), d)
    padded = (*lead, *(c * s for c, s in zip(counts, stride, strict=True)))
    whole = lowering.root(load, finer, d, value)
    ranges = ((0, lead[0], 1), (0, lead[1], 1))
    within = tuple((low, low + n, 1) for low, n in zip(lows, sizes, strict=True))
    flat = lowering.make.load(whole.number, contiguous(padded), d)
    return lowering.sliced(flat, (*ranges, *within))


def _weight(lowering: Lowering, value: Value, said: Correlation) -> Expression:
    x, y = value.inputs
    kernel, outs = tuple(value.shape[2:]), tuple(y.shape[2:])
    whole = tuple(
        (o - 1) * s + k
        for o, s, k in zip(outs, said.stride, _spans(kernel, said.dilation), strict=True)
    )
    planes = _planes(lowering, x, said.pads, said.stride, whole, _reach(kernel, said.dilation))
    given = _beside(lowering, y, planes, kernel, said)
    groups, taps = said.groups, prod(kernel)
    rows, channels = value.shape[0] // groups, value.shape[1]
    vector = _vector(lowering, value.dtype)
    extent = positions(outs, planes.pitches)
    chosen = weight_cut(vector, x.shape[0], groups, rows, channels, taps, extent)
    params = CorrelateWeightParams(
        planes.buffer.number, given.buffer.number, 0,
        x.shape[0], groups, rows, channels, outs, planes.pitches,
        tuple(
            planes.tap(tuple(i * d for i, d in zip(tap, said.dilation, strict=True)))
            for tap in product(*map(range, kernel))
        ),
        chosen, vector.lanes,
        planes.batch, channels * planes.channel, planes.channel,
        given.batch, rows * given.channel, given.channel,
        planes.offset, given.offset,
    )  # fmt: skip
    shape = (params.chunks, *value.shape)
    buffer = lowering.buffer(shape, value.dtype)
    params = params._replace(w_slot=buffer.number)
    tile = WeightTile(vector, chosen.tile_rows, chosen.tile_columns)
    work = 2 * x.shape[0] * extent * value.shape[0] * channels * taps
    reads = (planes.buffer, given.buffer)
    lowering.steps.steps.append(
        Correlate(
            tile.name, lambda: correlate_weight_text(tile), params, reads, buffer, work, value
        )
    )
    parts = lowering.whole(buffer)
    if params.chunks == 1:
        return lowering.make.load(buffer.number, contiguous(value.shape), value.dtype)
    total = lowering.reduce(
        registry["sum"], parts, shape, frozenset({0}), value.shape, value.dtype, value
    )
    return lowering.whole(total)


def _beside(
    lowering: Lowering, y: Value, planes: _Planes, kernel: Shape, said: Correlation
) -> _Planes:
    """The cotangent in planes of the same pitches as the input's.

    If its own derivative needs it padded in just that way, the padded planes serve for both.
    """
    n, outs = len(kernel), tuple(y.shape[2:])
    found = _as_it_is(lowering, y, ((0, 0),) * n, (1,) * n, outs)
    if found is not None and found.pitches == planes.pitches:
        return found
    if all(s == 1 for s in said.stride):
        back = _reach(kernel, said.dilation)
        counts = tuple(
            low + size for (low, _), size in zip(said.pads, _sizes(outs, said, kernel), strict=True)
        )
        whole = tuple(b + c for b, c in zip(back, counts, strict=True))
        pads = tuple((b, c - o) for b, c, o in zip(back, counts, outs, strict=True))
        if contiguous_strides(_shared_zeros(whole, pads, (1,) * n, outs, back)) == planes.pitches:
            padded = _planes(lowering, y, pads, (1,) * n, whole, back)
            inside = sum(b * p for b, p in zip(back, padded.pitches, strict=True))
            return _Planes(
                padded.buffer, padded.offset + inside, padded.batch, padded.channel,
                padded.phases, padded.pitches, padded.plane,
            )  # fmt: skip
    size = outs[0] * planes.pitches[0]
    buffer = lowering.buffer((*y.shape[:2], size), y.dtype)
    layout = Layout((y.shape[1] * size, size, *planes.pitches), 0)
    lowering.write(buffer, lowering.found[id(y)], tuple(y.shape), layout, y)
    return _Planes(buffer, 0, y.shape[1] * size, size, (1,) * n, planes.pitches, 0)


def _sizes(outs: Shape, said: Correlation, kernel: Shape) -> Shape:
    """The sizes of the input that a convolution of stride 1 makes `outs` of."""
    spans = _spans(kernel, said.dilation)
    return tuple(
        o + k - 1 - low - high for o, k, (low, high) in zip(outs, spans, said.pads, strict=True)
    )
