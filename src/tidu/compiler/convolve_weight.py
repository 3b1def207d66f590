"""Lowering of the derivatives of convolutions in their weights.

Each element is a few chains, in PyTorch's order. But in small groups there are too few channels for
vectors to run along; then they run along positions, and chunks of those are summed.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod

from tidu.base.strides import contiguous_strides
from tidu.compiler.convolution_task import (
    ConvolutionTask,
    around_cotangent,
    around_input,
    vector_of,
)
from tidu.compiler.correlation import (
    ChainedWeightParams,
    ChainTile,
    CorrelateWeightParams,
    Lines,
    WeightTile,
    chain_cut,
    chained_weight_text,
    correlate_weight_text,
    in_lanes,
    positions,
    weight_cut,
)
from tidu.compiler.expressions import Expression
from tidu.compiler.images import Around, Images, Planes, as_it_is, planes_of
from tidu.compiler.layouts import Layout, contiguous
from tidu.compiler.lowering import Lowering
from tidu.compiler.reductions import reduce
from tidu.compiler.steps import Buffer, Correlate
from tidu.ir.convolution_order import weight_shares
from tidu.ir.op import registry


def lower_weight(lowering: Lowering, task: ConvolutionTask) -> Expression:
    """A correlation of input and cotangent; parts of the positions are summed afterwards."""
    planes = planes_of(lowering, task.images(lowering, task.value.inputs[0]), around_input(task))
    value, vector = task.value, vector_of(lowering, task.value.dtype)
    # With fewer rows, most lanes would be empty.
    fill_lanes = 2 * task.sizes.outputs >= vector.lanes
    by_chains = task.correlation.groups == 1 or fill_lanes
    parts = (_chained if by_chains else _divided)(lowering, task, planes)
    if parts.shape[0] == 1:
        return lowering.make.load(parts.number, contiguous(value.shape), value.dtype)
    return reduce(
        lowering, registry["sum"], lowering.whole(parts), parts.shape, frozenset({0}),
        value.shape, value.dtype, value,
    )  # fmt: skip


def _tap_places(task: ConvolutionTask, planes: Planes) -> tuple[int, ...]:
    return tuple(
        planes.tap(tuple(i * d for i, d in zip(tap, task.correlation.dilation, strict=True)))
        for tap in product(*map(range, task.kernel))
    )


def _chained(lowering: Lowering, task: ConvolutionTask, planes: Planes) -> Buffer:
    """The sums of each share of the positions."""
    value, outs = task.value, task.outs
    x, y = value.inputs
    given = _cotangent(lowering, task.images(lowering, y), task)
    vector, groups = vector_of(lowering, value.dtype), task.correlation.groups
    rows, channels = y.shape[1] // groups, x.shape[1] // groups
    of_x = Lines(
        channels, _tap_places(task, planes), outs, planes.pitches,
        planes.batch, channels * planes.channel, planes.channel, planes.offset,
    )  # fmt: skip
    of_g = Lines(
        rows, (0,), outs, given.pitches,
        given.batch, rows * given.channel, given.channel, given.offset,
    )  # fmt: skip
    # In the result, channels of g are rows.
    sides = [(given, of_g, of_x.size), (planes, of_x, 1)]
    if in_lanes(vector, of_g.size, of_x.size) == "x":
        sides.reverse()
    (a_planes, a, a_step), (b_planes, b, b_step) = sides
    shares = tuple(
        tuple((chain.start, chain.stop) for chain in share)
        for share in weight_shares(task.sizes) or ((),)
    )
    whole = task.sizes.batch * task.sizes.positions
    chosen = chain_cut(vector, len(shares), groups, a.size, b.size, whole)
    buffer = lowering.buffer((len(shares), *value.shape), value.dtype)
    params = ChainedWeightParams(
        a_planes.buffer.number, b_planes.buffer.number, buffer.number,
        task.shape(x)[0], groups, a, b, a_step, b_step, shares, chosen, vector.lanes,
    )  # fmt: skip
    tile = ChainTile(vector, chosen.tile_lines)
    reads, work = (planes.buffer, given.buffer), 2 * whole * groups * a.size * b.size
    lowering.steps.steps.append(
        Correlate(tile.name, lambda: chained_weight_text(tile), params, reads, buffer, work, value)
    )
    return buffer


def _cotangent(lowering: Lowering, y: Images, task: ConvolutionTask) -> Planes:
    """The cotangent in planes: as it is, or padded if its own derivative needs it so."""
    found = as_it_is(lowering, y)
    if found is not None:
        return found
    around = around_cotangent(task, task.shape(task.value.inputs[0])[2:])
    if any(s != 1 for s in task.correlation.stride) or any(min(pad) < 0 for pad in around.pads):
        none = (0,) * len(task.outs)
        around = Around(((0, 0),) * len(none), (1,) * len(none), task.outs, ((0,),) * len(none))
        return planes_of(lowering, y, around)
    padded = planes_of(lowering, y, around)
    inside = sum(low * p for (low, _), p in zip(around.pads, padded.pitches, strict=True))
    return replace(padded, offset=padded.offset + inside)


def _divided(lowering: Lowering, task: ConvolutionTask, planes: Planes) -> Buffer:
    """The sums of each chunk of the positions."""
    value, correlation, outs = task.value, task.correlation, task.outs
    x, y = value.inputs
    given = _beside(lowering, task.images(lowering, y), planes, task)
    batch = task.shape(x)[0]
    groups, taps = correlation.groups, prod(task.kernel)
    rows, channels = value.shape[0] // groups, value.shape[1]
    vector = vector_of(lowering, value.dtype)
    extent = positions(outs, planes.pitches)
    chosen = weight_cut(vector, batch, groups, rows, channels, taps, extent)
    params = CorrelateWeightParams(
        planes.buffer.number, given.buffer.number, 0,
        batch, groups, rows, channels, outs, planes.pitches, _tap_places(task, planes),
        chosen, vector.lanes,
        planes.batch, channels * planes.channel, planes.channel,
        given.batch, rows * given.channel, given.channel,
        planes.offset, given.offset,
    )  # fmt: skip
    buffer = lowering.buffer((params.chunks, *value.shape), value.dtype)
    params = params._replace(w_slot=buffer.number)
    tile = WeightTile(vector, chosen.tile_rows, chosen.tile_columns)
    work = 2 * batch * extent * value.shape[0] * channels * taps
    reads = (planes.buffer, given.buffer)
    lowering.steps.steps.append(
        Correlate(
            tile.name, lambda: correlate_weight_text(tile), params, reads, buffer, work, value
        )
    )
    return buffer


def _beside(lowering: Lowering, y: Images, planes: Planes, task: ConvolutionTask) -> Planes:
    """The cotangent in planes of the same pitches as the input's.

    If its own derivative needs it padded in just that way, the padded planes serve for both.
    """
    found = as_it_is(lowering, y)
    if found is not None and found.pitches == planes.pitches:
        return found
    around = around_cotangent(task, task.shape(task.value.inputs[0])[2:])
    fits = contiguous_strides(around.shared(task.outs)[0]) == planes.pitches
    strided = any(s != 1 for s in task.correlation.stride)
    if fits and not strided and all(min(pad) >= 0 for pad in around.pads):
        padded = planes_of(lowering, y, around)
        inside = sum(low * p for (low, _), p in zip(around.pads, padded.pitches, strict=True))
        if padded.pitches == planes.pitches:
            return replace(padded, offset=padded.offset + inside)
    (batch, channels), size = y.shape[:2], task.outs[0] * planes.pitches[0]
    buffer = lowering.buffer((batch, channels, size), y.value.dtype)
    layout = Layout((channels * size, size, *planes.pitches), 0)
    lowering.write(buffer, y.expression, y.shape, layout, y.value)
    return Planes(buffer, 0, channels * size, size, planes.phases, planes.pitches, 0)
