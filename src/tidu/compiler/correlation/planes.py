"""How images are stored so that a convolution becomes one-dimensional.

With zeros around its rows, an image is one line of numbers in which each tap of the kernel is at a
fixed distance. The zeros behind one row serve the next row as those before it. For strides, an
image is split into phases, planes of every s-th element: then each tap has a plane of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod
from typing import NamedTuple

from tidu.compiler.gemm import ceiling


class Phase(NamedTuple):
    """What a plane has of one dimension of the image: `size` elements from `first` on, every
    stride-th, behind `zeros` zeros."""

    zeros: int
    first: int
    size: int


class Planes(NamedTuple):
    """The planes of one channel of one image, one behind the other.

    The plane of the phases f[0], f[1], ... is an array of the given shape in which the element at
    f[d].zeros + i[d], for i[d] < f[d].size, is that of the image at f[d].first + i[d] * stride[d];
    all others are 0. With stride 1 that is an image, zero-padded to the shape.
    """

    phases: tuple[tuple[Phase, ...], ...]  # for each dimension; the last is numbered fastest
    shape: tuple[int, ...]  # of one plane
    extents: tuple[
        int, ...
    ]  # of the result, whose element i stands at position Σ i[d] * pitches[d]
    taps: tuple[int, ...]  # places that the window at position 0 sees, the last dimension fastest

    @property
    def pitches(self) -> tuple[int, ...]:
        return pitches(self.shape)

    @property
    def positions(self) -> int:
        return positions(self.extents, self.pitches)

    @property
    def places(self) -> int:
        """How many numbers all planes have."""
        return prod(self.shape) * prod(len(phases) for phases in self.phases)

    @property
    def result_places(self) -> int:
        """How many numbers a line of results has, whose shape is that of a plane but for the first
        dimension."""
        return self.extents[0] * self.pitches[0]


def pitches(shape: Sequence[int]) -> tuple[int, ...]:
    """The distances of neighbors along each dimension."""
    return tuple(prod(shape[d + 1 :]) for d in range(len(shape)))


def positions(extents: Sequence[int], pitches: Sequence[int]) -> int:
    """From the first to the last position of a result, both counted."""
    return 1 + sum((e - 1) * p for e, p in zip(extents, pitches, strict=True))


def planes(
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    pads: Sequence[tuple[int, int]],
) -> Planes:
    """The planes of images of these sizes. A negative pad leaves out so much of the image."""
    dimensions = range(len(sizes))
    extents = tuple(
        (sizes[d] + sum(pads[d]) - (kernel[d] - 1) * dilation[d] - 1) // stride[d] + 1
        for d in dimensions
    )
    reach = [[divmod(k * dilation[d], stride[d]) for k in range(kernel[d])] for d in dimensions]
    # How many elements of a plane the windows see.
    seen = [extents[d] + max(step for step, _ in reach[d]) for d in dimensions]
    phases = tuple(
        tuple(_phase(f, sizes[d], stride[d], pads[d][0], seen[d]) for f in range(stride[d]))
        for d in dimensions
    )
    rows = [max(extents[d], _row(phases[d], seen[d])) for d in dimensions[1:]]
    pitch = pitches((1, *rows))
    shape = (ceiling(positions(seen, pitch), pitch[0]), *rows)
    taps = []
    for choice in itertools.product(*reach):
        plane = 0
        for d in dimensions:
            plane = plane * stride[d] + choice[d][1]
        steps = (step * distance for (step, _), distance in zip(choice, pitch, strict=True))
        taps.append(plane * prod(shape) + sum(steps))
    return Planes(phases, shape, extents, tuple(taps))


def _phase(phase: int, size: int, stride: int, low: int, seen: int) -> Phase:
    zeros = min(seen, max(0, ceiling(low - phase, stride)))
    first = zeros * stride + phase - low
    return Phase(zeros, first, max(0, min(seen - zeros, ceiling(size - first, stride))))


def _row(phases: Sequence[Phase], seen: int) -> int:
    """The shortest row: behind the data are the zeros that windows see behind it, or those before
    the data of the next row, whichever are more."""
    return max(f.size + max(f.zeros, seen - f.zeros - f.size) for f in phases)
