"""What a convolution computes, or a derivative of one: its sizes, what it sees of its inputs, and
whether the images of a batch are worked through as one.
"""

from __future__ import annotations

from dataclasses import dataclass

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.base.strides import contiguous_strides
from tidu.compiler.correlation import Vector, positions
from tidu.compiler.expressions import LOAD, Expression
from tidu.compiler.images import (
    Around,
    Images,
    Pads,
    as_it_is,
    joined_batch,
    joined_shape,
    parted_batch,
)
from tidu.compiler.layouts import Layout
from tidu.compiler.lowering import Lowering
from tidu.compiler.steps import Buffer
from tidu.ir.convolution_order import Convolved
from tidu.ir.op import Correlation
from tidu.ir.value import Value

_ELEMENTS = {dtypes.float32: "float", dtypes.float64: "double"}
# The batch is joined where that leaves no more than this share of the vectors.
_CLEARLY = 0.95


@dataclass(slots=True)
class ConvolutionTask:
    """What is to be computed. If it is `joined`, the batch is one image whose rows are images.

    Then vectors run from one image into the next, and none is left half empty at its end.
    """

    value: Value
    correlation: Correlation
    kernel: Shape
    outs: Shape  # sizes of the convolution's result
    joined: bool
    sizes: Convolved  # of the convolution, whose order of additions is followed

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


def task_of(lowering: Lowering, value: Value) -> ConvolutionTask:
    """The task of a Value; with the batch joined where that is clearly better."""
    assert value.op is not None and value.op.correlation is not None
    correlation: Correlation = value.op.correlation(*value.attrs)
    x, other = value.inputs[:2]
    of_weight, y = (value, other) if correlation.wanted == "weight" else (other, x)
    kernel = tuple(of_weight.shape[2:])
    outs = tuple((value if correlation.wanted == "result" else y).shape[2:])
    sizes = _convolved(value, of_weight, correlation, outs)
    apart = ConvolutionTask(value, correlation, kernel, outs, joined=False, sizes=sizes)
    together = ConvolutionTask(
        value,
        Correlation(
            correlation.wanted,
            (1, *correlation.stride),
            ((0, 0), *correlation.pads),
            (1, *correlation.dilation),
            correlation.groups,
        ),
        (1, *kernel),
        (x.shape[0], *outs),
        joined=True,
        sizes=sizes,
    )
    if any(s != 1 for s in correlation.stride) or not _pays(lowering, apart, together):
        return apart
    # What lies in planes of separate images needs no copy as it is, and would need one now.
    ready = all(p == (0, 0) for p in _pads_around(apart)) and lowering.found[id(x)].kind == LOAD
    if ready and as_it_is(lowering, together.images(lowering, x)) is None:
        return apart
    return together


def _convolved(value: Value, weight: Value, correlation: Correlation, outs: Shape) -> Convolved:
    image = value if correlation.wanted == "input" else value.inputs[0]
    return Convolved(
        image.shape[0], weight.shape[1], weight.shape[0] // correlation.groups,
        tuple(image.shape[2:]), tuple(weight.shape[2:]), outs, correlation.stride, correlation.pads,
        correlation.groups,
    )  # fmt: skip


def _pads_around(task: ConvolutionTask) -> Pads:
    """The zeros that the first operand needs around it."""
    if task.correlation.wanted != "input":
        return task.correlation.pads
    return around_cotangent(task, tuple(task.value.shape[2:])).pads


def _pays(lowering: Lowering, apart: ConvolutionTask, together: ConvolutionTask) -> bool:
    """Whether there are clearly fewer vectors of positions if the batch is joined."""
    batch = together.outs[0]
    lanes = vector_of(lowering, apart.value.dtype).lanes
    counts = []
    for task in (apart, together):
        # The planes of an input of stride 1; those of a cotangent are much the same.
        taps = _taps(task.kernel, task.correlation.dilation)
        whole = tuple(o + seen[-1] for o, seen in zip(task.outs, taps, strict=True))
        sizes = tuple(
            n - low - high for n, (low, high) in zip(whole, task.correlation.pads, strict=True)
        )
        around = Around(task.correlation.pads, (1,) * len(whole), whole, taps)
        pitches = contiguous_strides(around.shared(sizes)[0])
        counts.append(-(-positions(task.outs, pitches) // lanes))
    return batch > 1 and counts[1] <= _CLEARLY * batch * counts[0]


def around_input(task: ConvolutionTask) -> Around:
    """What a convolution sees of its input."""
    correlation = task.correlation
    taps = _taps(task.kernel, correlation.dilation)
    whole = tuple(
        (o - 1) * s + seen[-1] + 1
        for o, s, seen in zip(task.outs, correlation.stride, taps, strict=True)
    )
    return Around(correlation.pads, correlation.stride, whole, taps)


def around_cotangent(task: ConvolutionTask, sizes: Shape) -> Around:
    """What the derivative in the input, of these sizes, sees of the cotangent.

    Place p of the padded input is that of phase p % stride at p // stride. Before the cotangent
    come as many zeros as the farthest tap reaches back, if the pads do not make up for it.
    """
    back, first, counts = phase_places(task, sizes)
    pads = tuple(
        (b - f, c + f - o) for b, f, c, o in zip(back, first, counts, task.outs, strict=True)
    )
    whole = tuple(b + c for b, c in zip(back, counts, strict=True))
    return Around(pads, (1,) * len(sizes), whole, tuple(tuple(range(b + 1)) for b in back))


def phase_places(task: ConvolutionTask, sizes: Shape) -> tuple[Shape, Shape, Shape]:
    """How far taps reach back, the first place in each phase that is in the input, and how many
    from there on.
    """
    correlation = task.correlation
    dims = zip(correlation.pads, sizes, correlation.stride, strict=True)
    first = tuple(
        low // s for (low, _), s in zip(correlation.pads, correlation.stride, strict=True)
    )
    ends = tuple(-(-(low + size) // s) for (low, _), size, s in dims)
    back = tuple(
        d * (k - 1) // s
        for d, k, s in zip(correlation.dilation, task.kernel, correlation.stride, strict=True)
    )
    return back, first, tuple(end - f for end, f in zip(ends, first, strict=True))


def _taps(kernel: Shape, dilation: Shape) -> tuple[Shape, ...]:
    """The places that are seen from the first one, along each dimension."""
    return tuple(tuple(range(0, k * d, d)) for k, d in zip(kernel, dilation, strict=True))


def vector_of(lowering: Lowering, d: dtype) -> Vector:
    """The registers that the kernels use."""
    # They are written with vectors; LLVM takes those apart that a processor lacks.
    return Vector(_ELEMENTS[d], lowering.vector_bytes or 16)
