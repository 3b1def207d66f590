"""Lowering of convolutions and their derivatives to the kernels in `correlation`.

With stride 1 a convolution over padded planes is one over flat planes: a tap is an offset. Results
lie in planes of the padded width, which the next operation reads through strides. A stride s is
brought to 1 by cutting planes into phases, of every s-th element each. Where images are so small
that vectors would often be left half empty, the images of a batch are rows of a single one.
"""

from __future__ import annotations

from itertools import product
from math import prod

from tidu.base.shapes import Shape
from tidu.compiler.convolution_task import (
    ConvolutionTask,
    around_cotangent,
    around_input,
    phase_places,
    task_of,
    vector_of,
)
from tidu.compiler.convolve_weight import lower_weight
from tidu.compiler.correlation import (
    CorrelateParams,
    Tile,
    correlate_text,
    cut,
    positions,
)
from tidu.compiler.expressions import Expression
from tidu.compiler.images import Planes, planes_of
from tidu.compiler.layouts import Layout, Strides, broadcast_to, contiguous, reshaped
from tidu.compiler.lowering import Lowering
from tidu.compiler.steps import Buffer, Correlate
from tidu.ir.convolution_order import input_block, input_columns, result_block
from tidu.ir.op import Op, registry
from tidu.ir.value import Value


def lower_correlation(lowering: Lowering, value: Value, op: Op) -> Expression:
    """A convolution, or its derivative in the input or the weight."""
    task = task_of(lowering, value)
    rule = {"result": _result, "input": _biased_input, "weight": lower_weight}
    return rule[task.correlation.wanted](lowering, task)


def place(lowering: Lowering, value: Value, readers: list[Value]) -> bool:
    """Store a Value where one of the convolutions that read it wants it; others can read it there.

    Whether that was possible: there must be a way without phases and without cutting off anything.
    """
    firsts = [reader for reader in readers if reader.inputs[0] is value]
    tasks = [task_of(lowering, reader) for reader in firsts]
    for task in sorted(tasks, key=lambda task: task.correlation.wanted != "input"):
        x = task.images(lowering, value)
        if task.correlation.wanted == "input":
            around = around_cotangent(task, task.shape(task.value)[2:])
        else:
            around = around_input(task)
        if any(s != 1 for s in around.steps) or any(min(pad) < 0 for pad in around.pads):
            continue
        planes = planes_of(lowering, x, around)
        inside = sum(a * p for (a, _), p in zip(around.pads, planes.pitches, strict=True))
        batch = 0 if task.joined else planes.batch
        layout = Layout((batch, planes.channel, *planes.pitches), planes.offset + inside)
        stored = lowering.make.load(planes.buffer.number, layout, value.dtype)
        lowering.planes[stored.number, around] = planes
        lowering.found[id(value)] = task.read(lowering, planes.buffer, layout)
        return True
    return False


def _correlate(
    lowering: Lowering,
    value: Value,
    params: CorrelateParams,
    chain: int,
    reads: tuple[Buffer, ...],
    written: Buffer,
) -> None:
    """A step for a kernel of results, with chains of so many channels, its work cut into units."""
    vector = vector_of(lowering, value.dtype)
    chosen = cut(
        vector, params.images, params.groups, params.rows, params.channels,
        params.tap_parts, params.positions, chain,
    )  # fmt: skip
    params = params._replace(cut=chosen)
    tile = Tile(vector, chosen.tile_rows)
    work = 2 * params.images * params.groups * params.rows * params.channels
    work *= len(params.x_taps) * params.positions
    lowering.steps.steps.append(
        Correlate(tile.name, lambda: correlate_text(tile), params, reads, written, work, value)
    )


def _result(lowering: Lowering, task: ConvolutionTask) -> Expression:
    """A correlation of the padded input with the weight."""
    value, correlation = task.value, task.correlation
    x, weight, bias = value.inputs
    planes = planes_of(lowering, task.images(lowering, x), around_input(task))
    (batch, outputs), outs = task.shape(value)[:2], task.outs
    groups, taps = correlation.groups, prod(task.kernel)
    rows, channels = outputs // groups, weight.shape[1]
    reads: tuple[Buffer, ...] = (planes.buffer, lowering.stored(weight))
    bias_slot = 0
    if bias is not None:
        reads = (*reads, lowering.stored(bias))
        bias_slot = reads[2].number
    size = outs[0] * planes.pitches[0]
    buffer = lowering.buffer((batch, outputs, size), value.dtype)
    params = CorrelateParams(
        planes.buffer.number, reads[1].number, buffer.number,
        batch, groups, rows, channels, positions(outs, planes.pitches),
        tuple(
            planes.tap(tuple(i * d for i, d in zip(tap, correlation.dilation, strict=True)))
            for tap in product(*map(range, task.kernel))
        ),
        tuple(range(taps)), (taps,), None,  # type: ignore[arg-type]
        planes.batch, channels * planes.channel, planes.channel,
        rows * channels * taps, channels * taps, taps,
        outputs * size, rows * size, size,
        planes.offset, bias_slot=bias_slot, bias_begins=int(task.sizes.pointwise),
    )  # fmt: skip
    _correlate(lowering, value, params, result_block(task.sizes), reads, buffer)
    layout = Layout((outputs * size, size, *planes.pitches), 0)
    return task.read(lowering, buffer, layout)


def _biased_input(lowering: Lowering, task: ConvolutionTask) -> Expression:
    """A transposed convolution, of which all chains are added before the bias."""
    value, bias = task.value, task.value.inputs[2]
    made = _input(lowering, task)
    if bias is None:
        return made
    channels = (bias.shape[0], *(1,) * len(value.shape[2:]))
    shaped = lowering.make.relaid(lowering.found[id(bias)], reshaped(tuple(bias.shape), channels))
    spread = lowering.make.relaid(shaped, broadcast_to(channels, tuple(value.shape)))
    return lowering.compute(registry["add"], (), (made, spread), value.dtype)


def _input(lowering: Lowering, task: ConvolutionTask) -> Expression:
    """Each phase of the input is a correlation of the cotangent with the taps that reach it."""
    value, correlation, kernel = task.value, task.correlation, task.kernel
    y, weight, _ = value.inputs
    (batch, inputs), sizes = task.shape(value)[:2], task.shape(value)[2:]
    stride, groups, taps = correlation.stride, correlation.groups, prod(kernel)
    rows, channels = weight.shape[1], y.shape[1] // groups
    back, _, counts = phase_places(task, sizes)
    planes = planes_of(lowering, task.images(lowering, y), around_cotangent(task, sizes))
    reads = (planes.buffer, lowering.stored(weight))
    size = counts[0] * planes.pitches[0]
    phases = tuple(product(*map(range, stride)))
    buffer = lowering.buffer((batch, inputs, len(phases), size), value.dtype)
    for number, phase in enumerate(phases):
        parts = _reached(task, planes, phase, back)
        reached = [tap for part in parts for tap in part]
        if reached:
            numbers, places = zip(*reached, strict=True)
        else:  # no tap: sums over no channel
            parts, numbers, places = [[(0, 0)]], (0,), (0,)
        params = CorrelateParams(
            planes.buffer.number, reads[1].number, buffer.number,
            batch, groups, rows, channels if reached else 0, positions(counts, planes.pitches),
            places, numbers, tuple(map(len, parts)), None,  # type: ignore[arg-type]
            planes.batch, channels * planes.channel, planes.channel,
            channels * rows * taps, taps, rows * taps,
            inputs * len(phases) * size, rows * len(phases) * size, len(phases) * size,
            planes.offset, y_offset=number * size,
        )  # fmt: skip
        _correlate(lowering, value, params, input_block(task.sizes), reads, buffer)
    if len(phases) == 1:
        layout = Layout((inputs * size, size, *planes.pitches), 0)
        return task.read(lowering, buffer, layout)
    return _interleaved(lowering, task, buffer, size, planes.pitches)


def _reached(
    task: ConvolutionTask, planes: Planes, phase: Shape, back: Shape
) -> list[list[tuple[int, int]]]:
    """The taps that reach a phase of the input: their numbers, and where in the planes they are.

    Those that share chains are together.
    """
    dilation, stride = task.correlation.dilation, task.correlation.stride
    found: dict[int, list[tuple[int, int]]] = {}  # by the column of the kernel
    for number, tap in enumerate(product(*map(range, task.kernel))):
        ways = tuple(t * d - p for t, d, p in zip(tap, dilation, phase, strict=True))
        if all(way % s == 0 for way, s in zip(ways, stride, strict=True)):
            place = tuple(b - way // s for b, way, s in zip(back, ways, stride, strict=True))
            found.setdefault(tap[-1], []).append((number, planes.tap(place)))
    shared = input_columns(task.sizes, sorted(found))
    return [sorted(tap for column in part for tap in found[column]) for part in shared]


def _interleaved(
    lowering: Lowering, task: ConvolutionTask, buffer: Buffer, size: int, pitches: Strides
) -> Expression:
    """The phases of a result put together, without the pads. Each has `size` places."""
    value, stride = task.value, task.correlation.stride
    (batch, channels), sizes = tuple(value.shape[:2]), tuple(value.shape[2:])
    steps = prod(stride)
    _, first, _ = phase_places(task, sizes)
    whole = lowering.buffer(value.shape, value.dtype)
    outer = contiguous(value.shape).strides
    for number, phase in enumerate(product(*map(range, stride))):
        # Place m of this phase is element (first + m) · stride + phase - low.
        begins = tuple(
            f * s + p - low
            for f, s, p, (low, _) in zip(first, stride, phase, task.correlation.pads, strict=True)
        )
        skipped = tuple(max(0, -(b // s)) for b, s in zip(begins, stride, strict=True))
        begins = tuple(b + k * s for b, k, s in zip(begins, skipped, stride, strict=True))
        inner = tuple(len(range(b, n, s)) for b, n, s in zip(begins, sizes, stride, strict=True))
        if 0 in inner:
            continue
        offset = number * size + sum(k * p for k, p in zip(skipped, pitches, strict=True))
        lead = (channels * steps * size, steps * size)
        part = lowering.make.load(buffer.number, Layout((*lead, *pitches), offset), value.dtype)
        layout = Layout(
            (*outer[:2], *(o * s for o, s in zip(outer[2:], stride, strict=True))),
            sum(b * o for b, o in zip(begins, outer[2:], strict=True)),
        )
        lowering.write(whole, part, (batch, channels, *inner), layout, value)
    return lowering.whole(whole)
