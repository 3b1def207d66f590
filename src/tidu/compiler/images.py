"""Tensors as planes of numbers: what a convolution reads, with zeros around it and in phases.

A tensor is written to planes by whatever computes it, and the zeros beside it; others that read it
find it there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from math import prod
from typing import NamedTuple

from tidu.base.shapes import Shape
from tidu.base.strides import contiguous_strides
from tidu.compiler.expressions import LOAD, Expression
from tidu.compiler.layouts import Layout, Strides, sliced
from tidu.compiler.lowering import Lowering
from tidu.compiler.steps import Buffer
from tidu.ir.value import Value

Pads = tuple[tuple[int, int], ...]
# So much longer than the image may be what lies between the images of a joined batch.
_LOOSELY = 1.25


@dataclass(slots=True)
class Images:
    """A tensor that a convolution reads, (batch, channels, sizes…)."""

    value: Value
    expression: Expression
    shape: Shape
    joined: bool  # as (1, channels, batch, sizes…)


def joined_shape(shape: Shape) -> Shape:
    """(N, C, sizes…) as (1, C, N, sizes…)"""
    return (1, shape[1], shape[0], *shape[2:])


def joined_batch(layout: Layout) -> Layout:
    """A layout over (N, C, sizes…) as one over (1, C, N, sizes…)."""
    batch, channel, *inner = layout.strides
    return Layout((0, channel, batch, *inner), layout.offset)


def parted_batch(layout: Layout) -> Layout:
    """The other way round: from (1, C, N, sizes…) to (N, C, sizes…)."""
    _, channel, batch, *inner = layout.strides
    return Layout((batch, channel, *inner), layout.offset)


@dataclass(slots=True)
class Planes:
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


@dataclass(frozen=True, slots=True)
class Around:
    """What a convolution sees of a tensor: zeros around it, or without its border where pads are
    negative, in phases.

    `whole` is how many elements of each dimension are wanted, pads counted; `taps` are the places
    that are seen from the first one, along each dimension.
    """

    pads: Pads
    steps: Shape
    whole: Shape
    taps: tuple[Shape, ...]

    def reaches(self, phase: Shape) -> bool:
        """Whether a tap sees elements of a phase."""
        return all(
            any(tap % step == f for tap in taps)
            for taps, step, f in zip(self.taps, self.steps, phase, strict=True)
        )

    def shared(self, sizes: Shape) -> tuple[Shape, int]:
        """The sizes of the planes of one phase, and how many zeros follow each.

        The zeros behind a row are those before the next, so that rows can be shorter.
        """
        counts = tuple(-(-size // step) for size, step in zip(self.whole, self.steps, strict=True))
        if any(step != 1 for step in self.steps):
            return counts, 0
        shared = [0]
        for count, (low, _), size, taps in list(
            zip(counts, self.pads, sizes, self.taps, strict=True)
        )[1:]:
            shared.append(max(0, min(low, count - low - size, max(taps))))
        counts = tuple(c - s for c, s in zip(counts, shared, strict=True))
        pitches = contiguous_strides(counts)
        return counts, sum(s * pitch for s, pitch in zip(shared, pitches, strict=True))


def planes_of(lowering: Lowering, x: Images, around: Around) -> Planes:
    """The planes of `x`, made once for all that read them."""
    key = (x.expression.number, around)
    found = lowering.planes.get(key)
    if found is None:
        if all(p == (0, 0) for p in around.pads) and around.whole == x.shape[2:]:
            found = as_it_is(lowering, x) if all(s == 1 for s in around.steps) else None
        found = found or _copied(lowering, x, around)
        lowering.planes[key] = found
    assert len(found.pitches) == len(around.pads)
    return found


def as_it_is(lowering: Lowering, x: Images) -> Planes | None:
    """The planes of a tensor that is stored in planes and needs nothing around it."""
    if x.expression.kind != LOAD:
        return None
    buffer, layout, indices = x.expression.what
    strides = layout.strides
    if indices or strides[-1] != 1:
        return None
    rows = [*zip(strides[2:], strides[3:], x.shape[3:], strict=False)]
    if any(s < 0 for s in strides) or any(a < b * n for a, b, n in rows):
        return None
    if x.joined and rows[0][0] > _LOOSELY * rows[0][1] * rows[0][2]:
        return None
    return Planes(
        lowering.steps.buffers[buffer], layout.offset, strides[0], strides[1],
        (1,) * len(strides[2:]), strides[2:], 0,
    )  # fmt: skip


def _copied(lowering: Lowering, x: Images, around: Around) -> Planes:
    # What lies outside on either side is cut off, and zeros are put around what is left.
    counts, behind = around.shared(x.shape[2:])
    padded = tuple(c * s for c, s in zip(counts, around.steps, strict=True))
    starts = tuple(max(low, 0) for low, _ in around.pads)
    first = tuple(max(-low, 0) for low, _ in around.pads)
    kept = tuple(
        min(size - a, total - start)
        for size, total, start, a in zip(x.shape[2:], padded, starts, first, strict=True)
    )
    images = ((0, x.shape[0], 1), (0, x.shape[1], 1))
    inside = (*images, *((a, a + k, 1) for a, k in zip(first, kept, strict=True)))
    cropped = replace(
        x,
        expression=lowering.make.relaid(x.expression, sliced(inside)),
        shape=(*x.shape[:2], *kept),
    )
    if any(s != 1 for s in around.steps):
        return _in_phases(lowering, cropped, starts, around)
    return _surrounded(lowering, cropped, starts, counts, behind)


def _in_phases(lowering: Lowering, x: Images, starts: Shape, around: Around) -> Planes:
    """(N, C, rows · steps, …) as (N, C, steps, …, rows, …), but phases without taps."""
    (batch, channels), sizes = x.shape[:2], x.shape[2:]
    steps, (counts, _) = around.steps, around.shared(sizes)
    plane, pitches = prod(counts), contiguous_strides(counts)
    buffer = lowering.buffer((batch, channels, prod(steps), plane), x.value.dtype)
    lead = (channels * prod(steps) * plane, prod(steps) * plane)
    nothing = lowering.number(0, x.value.dtype)
    for number, phase in enumerate(product(*map(range, steps))):
        if not around.reaches(phase):
            continue
        # Place start + i of the padded dimension is that of this phase at (start + i) // step.
        first = tuple(
            -(-(start - f) // step) for start, f, step in zip(starts, phase, steps, strict=True)
        )
        taken = tuple(
            (a * step + f - start, size, step)
            for a, step, f, start, size in zip(first, steps, phase, starts, sizes, strict=True)
        )
        inner = tuple(len(range(*part)) for part in taken)
        for zeros in _surroundings(inner, first, counts, 0) if 0 not in inner else ():
            layout = Layout((*lead, *zeros.layout.strides), zeros.layout.offset + number * plane)
            shape = (batch, channels, *zeros.shape)
            lowering.write(buffer, nothing, shape, layout, x.value, around=True)
        if 0 in inner:
            shape, layout = (batch, channels, plane), Layout((*lead, 1), number * plane)
            lowering.write(buffer, nothing, shape, layout, x.value)
            continue
        images = ((0, batch, 1), (0, channels, 1))
        part = lowering.make.relaid(x.expression, sliced((*images, *taken)))
        offset = number * plane + sum(a * p for a, p in zip(first, pitches, strict=True))
        layout = Layout((*lead, *pitches), offset)
        lowering.write(buffer, part, (batch, channels, *inner), layout, x.value)
    return Planes(buffer, 0, *lead, steps, pitches, plane)


def _surrounded(lowering: Lowering, x: Images, starts: Shape, counts: Shape, behind: int) -> Planes:
    """The images written to where they belong in their planes, and the zeros around them."""
    (batch, channels), pitches = x.shape[:2], contiguous_strides(counts)
    plane = prod(counts) + behind
    buffer = lowering.buffer((batch, channels, plane), x.value.dtype)
    nothing = lowering.number(0, x.value.dtype)
    lead = (channels * plane, plane)
    for zeros in _surroundings(x.shape[2:], starts, counts, behind):
        layout = Layout((*lead, *zeros.layout.strides), zeros.layout.offset)
        shape = (batch, channels, *zeros.shape)
        lowering.write(buffer, nothing, shape, layout, x.value, around=True)
    offset = sum(a * p for a, p in zip(starts, pitches, strict=True))
    layout = Layout((*lead, *pitches), offset)
    shape, expression = x.shape, x.expression
    if x.joined:  # in the order in which other loops go through such tensors
        shape, layout = (shape[2], shape[1], *shape[3:]), parted_batch(layout)
        expression = lowering.make.relaid(expression, parted_batch)
    lowering.write(buffer, expression, shape, layout, x.value)
    return Planes(buffer, 0, *lead, (1,) * len(counts), pitches, plane)


class Zeros(NamedTuple):
    """Places of a plane that are not of the image."""

    shape: Shape
    layout: Layout


def _surroundings(sizes: Shape, starts: Shape, counts: Shape, behind: int) -> list[Zeros]:
    """All places of a plane around an image of the given sizes, each once."""
    pitches = contiguous_strides(counts)
    ends = tuple(a + n for a, n in zip(starts, sizes, strict=True))
    # Whole rows before the image, and whatever comes after its last one.
    first = starts[0] * pitches[0]
    last = (counts[0] - ends[0]) * pitches[0] + behind
    found = [
        Zeros((count,), Layout((1,), offset))
        for count, offset in ((first, 0), (last, ends[0] * pitches[0]))
    ]
    if first == last:
        found = [Zeros((2, first), Layout((ends[0] * pitches[0], 1), 0))]
    for d in range(1, len(counts)):
        outer = sum(a * p for a, p in zip(starts[:d], pitches[:d], strict=True))
        for low, high in ((0, starts[d]), (ends[d], counts[d])):
            shape = (*sizes[:d], (high - low) * pitches[d])
            found.append(Zeros(shape, Layout((*pitches[:d], 1), outer + low * pitches[d])))
    found = [zeros for zeros in found if 0 not in zeros.shape]
    return _as_rows(found, pitches)


def _as_rows(found: list[Zeros], pitches: Strides) -> list[Zeros]:
    """If there are zeros before each row and as many behind the last, they are those of one more
    row.
    """
    if len(found) == len(pitches) == 2:
        behind, before = found
        if behind.shape == before.shape[1:] and behind.layout.offset == (
            before.layout.offset + before.shape[0] * pitches[0]
        ):
            return [Zeros((before.shape[0] + 1, before.shape[1]), before.layout)]
    return found
