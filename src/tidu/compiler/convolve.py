"""Lowering of convolutions and their derivatives to the kernels in `correlation`.

With stride 1 a convolution over padded planes is one over flat planes: a tap is an offset. Results
lie in planes of the padded width, which the next operation reads through strides. A stride s is
brought to 1 by cutting planes into phases, of every s-th element each. Where images are so small
that vectors would often be left half empty, the images of a batch are rows of a single one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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
from tidu.compiler.expressions import LOAD, Expression, Layout, Strides, contiguous
from tidu.compiler.images import (
    Around,
    Images,
    Pads,
    Planes,
    as_it_is,
    joined_batch,
    joined_shape,
    parted_batch,
    planes_of,
)
from tidu.compiler.steps import Buffer, Correlate
from tidu.ir.op import Correlation, Op, registry
from tidu.ir.value import Value

if TYPE_CHECKING:
    from tidu.compiler.lower import Lowering

_ELEMENTS = {dtypes.float32: "float", dtypes.float64: "double"}
# The batch is joined where that leaves no more than this share of the vectors.
_CLEARLY = 0.95


def supports(value: Value) -> bool:
    """Whether a Value is a convolution that is done by these kernels."""
    op = value.op
    assert op is not None
    if op.correlation is None or value.dtype not in _ELEMENTS:
        return False
    shapes = [x.shape for x in value.inputs if x.__class__ is Value]
    return 0 not in value.shape and all(0 not in shape for shape in shapes)


def lower_correlation(lowering: Lowering, value: Value, op: Op) -> Expression:
    task = _task(lowering, value)
    rule = {"result": _result, "input": _input, "weight": _weight}[task.said.wanted]
    return rule(lowering, task)


@dataclass(slots=True)
class _Task:
    """What is to be computed. If it is `joined`, the batch is one image whose rows are images.

    Then vectors run from one image into the next, and none is left half empty at its end.
    """

    value: Value
    said: Correlation
    kernel: Shape
    outs: Shape  # sizes of the convolution's result
    joined: bool

    def images(self, lowering: Lowering, x: Value) -> Images:
        expression: Expression = lowering.found[id(x)]
        shape = tuple(x.shape)
        if self.joined:
            shape = joined_shape(shape)
            expression = lowering.make.relaid(expression, joined_batch)
        return Images(x, expression, shape, self.joined)

    def shape(self, x: Value) -> Shape:
        return joined_shape(tuple(x.shape)) if self.joined else tuple(x.shape)

    def read(self, lowering: Lowering, buffer: Buffer, layout: Layout) -> Expression:
        """The result, which lies in a buffer as `layout` says."""
        if self.joined:
            layout = parted_batch(layout)
        return lowering.make.load(buffer.number, layout, buffer.dtype)


def _task(lowering: Lowering, value: Value) -> _Task:
    assert value.op is not None and value.op.correlation is not None
    said: Correlation = value.op.correlation(*value.attrs)
    x, other = value.inputs[:2]
    of_weight, y = (value, other) if said.wanted == "weight" else (other, x)
    kernel = tuple(of_weight.shape[2:])
    outs = tuple((value if said.wanted == "result" else y).shape[2:])
    apart = _Task(value, said, kernel, outs, joined=False)
    together = _Task(
        value,
        Correlation(
            said.wanted, (1, *said.stride), ((0, 0), *said.pads), (1, *said.dilation), said.groups
        ),
        (1, *kernel),
        (x.shape[0], *outs),
        joined=True,
    )
    if any(s != 1 for s in said.stride) or not _pays(lowering, apart, together):
        return apart
    # What lies in planes of separate images needs no copy as it is, and would need one now.
    ready = all(p == (0, 0) for p in _pads_around(apart)) and lowering.found[id(x)].kind == LOAD
    if ready and as_it_is(lowering, together.images(lowering, x)) is None:
        return apart
    return together


def _pads_around(task: _Task) -> Pads:
    """The zeros that the first operand needs around it."""
    if task.said.wanted != "input":
        return task.said.pads
    return _of_cotangent(task, tuple(task.value.shape[2:])).pads


def _pays(lowering: Lowering, apart: _Task, together: _Task) -> bool:
    """Whether there are clearly fewer vectors of positions if the batch is joined."""
    batch = together.outs[0]
    lanes = _vector(lowering, apart.value.dtype).lanes
    counts = []
    for task in (apart, together):
        # The planes of an input of stride 1; those of a cotangent are much the same.
        taps = _taps(task.kernel, task.said.dilation)
        whole = tuple(o + seen[-1] for o, seen in zip(task.outs, taps, strict=True))
        sizes = tuple(n - low - high for n, (low, high) in zip(whole, task.said.pads, strict=True))
        around = Around(task.said.pads, (1,) * len(whole), whole, taps)
        pitches = contiguous_strides(around.shared(sizes)[0])
        counts.append(-(-positions(task.outs, pitches) // lanes))
    return batch > 1 and counts[1] <= _CLEARLY * batch * counts[0]


def place(lowering: Lowering, value: Value, readers: list[Value]) -> bool:
    """Store a Value where one of the convolutions that read it wants it; others can read it there.

    Whether that was possible: there must be a way without phases and without cutting off anything.
    """
    firsts = [reader for reader in readers if reader.inputs[0] is value]
    tasks = [_task(lowering, reader) for reader in firsts]
    for task in sorted(tasks, key=lambda task: task.said.wanted != "input"):
        x = task.images(lowering, value)
        if task.said.wanted == "input":
            around = _of_cotangent(task, task.shape(task.value)[2:])
        else:
            around = _of_input(task)
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


def _of_input(task: _Task) -> Around:
    """What a convolution sees of its input."""
    said = task.said
    taps = _taps(task.kernel, said.dilation)
    whole = tuple(
        (o - 1) * s + seen[-1] + 1 for o, s, seen in zip(task.outs, said.stride, taps, strict=True)
    )
    return Around(said.pads, said.stride, whole, taps)


def _of_cotangent(task: _Task, sizes: Shape) -> Around:
    """What the derivative in the input, of these sizes, sees of the cotangent.

    Place p of the padded input is that of phase p % stride at p // stride. Before the cotangent
    come as many zeros as the farthest tap reaches back, if the pads do not make up for it.
    """
    back, first, counts = _phase_places(task, sizes)
    pads = tuple(
        (b - f, c + f - o) for b, f, c, o in zip(back, first, counts, task.outs, strict=True)
    )
    whole = tuple(b + c for b, c in zip(back, counts, strict=True))
    return Around(pads, (1,) * len(sizes), whole, tuple(tuple(range(b + 1)) for b in back))


def _phase_places(task: _Task, sizes: Shape) -> tuple[Shape, Shape, Shape]:
    """How far taps reach back, the first place in each phase that is in the input, and how many
    from there on.
    """
    said = task.said
    dims = zip(said.pads, sizes, said.stride, strict=True)
    first = tuple(low // s for (low, _), s in zip(said.pads, said.stride, strict=True))
    ends = tuple(-(-(low + size) // s) for (low, _), size, s in dims)
    back = tuple(
        d * (k - 1) // s for d, k, s in zip(said.dilation, task.kernel, said.stride, strict=True)
    )
    return back, first, tuple(end - f for end, f in zip(ends, first, strict=True))


def _taps(kernel: Shape, dilation: Shape) -> tuple[Shape, ...]:
    """The places that are seen from the first one, along each dimension."""
    return tuple(tuple(range(0, k * d, d)) for k, d in zip(kernel, dilation, strict=True))


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


def _result(lowering: Lowering, task: _Task) -> Expression:
    value, said = task.value, task.said
    x, weight, bias = value.inputs
    planes = planes_of(lowering, task.images(lowering, x), _of_input(task))
    (batch, outputs), outs = task.shape(value)[:2], task.outs
    groups, taps = said.groups, prod(task.kernel)
    rows, channels = outputs // groups, weight.shape[1]
    weights = lowering.stored(weight)
    size = outs[0] * planes.pitches[0]
    buffer = lowering.buffer((batch, outputs, size), value.dtype)
    reads = [planes.buffer, weights]
    slot = 0
    if bias is not None:
        reads.append(lowering.stored(bias))
        slot = reads[2].number
    params = CorrelateParams(
        planes.buffer.number, weights.number, buffer.number,
        batch, groups, rows, channels, positions(outs, planes.pitches),
        tuple(
            planes.tap(tuple(i * d for i, d in zip(tap, said.dilation, strict=True)))
            for tap in product(*map(range, task.kernel))
        ),
        tuple(range(taps)), None,  # type: ignore[arg-type]
        planes.batch, channels * planes.channel, planes.channel,
        rows * channels * taps, channels * taps, taps,
        outputs * size, rows * size, size,
        planes.offset, bias_slot=slot,
    )  # fmt: skip
    _correlate(lowering, value, params, tuple(reads), buffer)
    layout = Layout((outputs * size, size, *planes.pitches), 0)
    return task.read(lowering, buffer, layout)


def _input(lowering: Lowering, task: _Task) -> Expression:
    """Each phase of the input is a correlation of the cotangent with the taps that reach it."""
    value, said, kernel = task.value, task.said, task.kernel
    y, weight, bias = value.inputs
    (batch, inputs), sizes = task.shape(value)[:2], task.shape(value)[2:]
    stride, dilation = said.stride, said.dilation
    groups, taps = said.groups, prod(kernel)
    rows, channels = weight.shape[1], y.shape[1] // groups
    back, _, counts = _phase_places(task, sizes)
    planes = planes_of(lowering, task.images(lowering, y), _of_cotangent(task, sizes))
    weights = lowering.stored(weight)
    size = counts[0] * planes.pitches[0]
    phases = tuple(product(*map(range, stride)))
    buffer = lowering.buffer((batch, inputs, len(phases), size), value.dtype)
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
            batch, groups, rows, some, positions(counts, planes.pitches),
            places, tuple(flat for flat, _ in reached), None,  # type: ignore[arg-type]
            planes.batch, channels * planes.channel, planes.channel,
            channels * rows * taps, taps, rows * taps,
            inputs * len(phases) * size, rows * len(phases) * size, len(phases) * size,
            planes.offset, y_offset=number * size, bias_slot=slot,
        )  # fmt: skip
        _correlate(lowering, value, params, tuple(reads), buffer)
    if len(phases) == 1:
        layout = Layout((inputs * size, size, *planes.pitches), 0)
        return task.read(lowering, buffer, layout)
    return _interleaved(lowering, task, buffer, size, planes.pitches)


def _interleaved(
    lowering: Lowering, task: _Task, buffer: Buffer, size: int, pitches: Strides
) -> Expression:
    """The phases of a result put together, without the pads. Each has `size` places."""
    value, stride = task.value, task.said.stride
    (batch, channels), sizes = tuple(value.shape[:2]), tuple(value.shape[2:])
    steps = prod(stride)
    _, first, _ = _phase_places(task, sizes)
    whole = lowering.buffer(value.shape, value.dtype)
    outer = contiguous(value.shape).strides
    for number, phase in enumerate(product(*map(range, stride))):
        # Place m of this phase is element (first + m) · stride + phase - low.
        begins = tuple(
            f * s + p - low
            for f, s, p, (low, _) in zip(first, stride, phase, task.said.pads, strict=True)
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


def _weight(lowering: Lowering, task: _Task) -> Expression:
    value, said, kernel, outs = task.value, task.said, task.kernel, task.outs
    x, y = value.inputs
    planes = planes_of(lowering, task.images(lowering, x), _of_input(task))
    given = _beside(lowering, task.images(lowering, y), planes, task)
    batch = task.shape(x)[0]
    groups, taps = said.groups, prod(kernel)
    rows, channels = value.shape[0] // groups, value.shape[1]
    vector = _vector(lowering, value.dtype)
    extent = positions(outs, planes.pitches)
    chosen = weight_cut(vector, batch, groups, rows, channels, taps, extent)
    params = CorrelateWeightParams(
        planes.buffer.number, given.buffer.number, 0,
        batch, groups, rows, channels, outs, planes.pitches,
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
    work = 2 * batch * extent * value.shape[0] * channels * taps
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


def _beside(lowering: Lowering, y: Images, planes: Planes, task: _Task) -> Planes:
    """The cotangent in planes of the same pitches as the input's.

    If its own derivative needs it padded in just that way, the padded planes serve for both.
    """
    found = as_it_is(lowering, y)
    if found is not None and found.pitches == planes.pitches:
        return found
    around = _of_cotangent(task, task.shape(task.value.inputs[0])[2:])
    fits = contiguous_strides(around.shared(task.outs)[0]) == planes.pitches
    whole = all(s == 1 for s in task.said.stride) and all(min(pad) >= 0 for pad in around.pads)
    if fits and whole:
        padded = planes_of(lowering, y, around)
        inside = sum(low * p for (low, _), p in zip(around.pads, padded.pitches, strict=True))
        if padded.pitches == planes.pitches:
            return replace(padded, offset=padded.offset + inside)
    (batch, channels), size = y.shape[:2], task.outs[0] * planes.pitches[0]
    buffer = lowering.buffer((batch, channels, size), y.value.dtype)
    layout = Layout((channels * size, size, *planes.pitches), 0)
    lowering.write(buffer, y.expression, y.shape, layout, y.value)
    return Planes(buffer, 0, channels * size, size, planes.phases, planes.pitches, 0)
