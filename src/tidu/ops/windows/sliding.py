"""Sliding windows over the last dimensions of a tensor, and their adjoint, which adds them up.

Convolution, pooling and unfolding are all said in terms of these two.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tidu.base.shapes import Shape, wrap_dim
from tidu.ir.op import Array, Inferred, Op, Sample, View, define, function
from tidu.ops.moving.joining import assemble
from tidu.ops.moving.movement import permute, place, reshape, select_, slice_
from tidu.ops.sources import full

# For each windowed dimension, how many elements are put before and after it. Negative ones cut off.
Pads = tuple[tuple[int, int], ...]


def integers(operation: str, name: str, value: Any) -> Shape:
    """An integer or a sequence of them as a tuple; TypeError for anything else."""
    if value.__class__ is int:
        return (value,)
    numbers = (
        tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    )
    for number in numbers:
        if not hasattr(number, "__index__"):
            raise TypeError(
                f"{operation}(): argument '{name}' must be tuple of ints, but found element of type"
                f" {type(number).__name__} in {value!r}"
            )
    return tuple(number.__index__() for number in numbers)


def per_dimension(operation: str, name: str, value: Any, count: int) -> Shape:
    """One integer for each of `count` dimensions, from an integer or a sequence of 1 or `count`."""
    numbers = integers(operation, name, value)
    if len(numbers) not in (1, count):
        words = {2: "two", 3: "three"}
        raise RuntimeError(
            f"{operation}: {name} must either be a single int, or a tuple of"
            f" {words.get(count, count)} ints, but got {name}={list(numbers)}"
        )
    return numbers * count if len(numbers) == 1 else numbers


def span(kernel: int, dilation: int) -> int:
    """How many elements a window of `kernel` taps reaches over."""
    return dilation * (kernel - 1) + 1


def count_windows(sizes: Shape, kernel: Shape, stride: Shape, dilation: Shape) -> Shape:
    """How many whole windows fit into each dimension."""
    return tuple(
        (n - span(k, d)) // s + 1
        for n, k, s, d in zip(sizes, kernel, stride, dilation, strict=True)
    )


def padded_sizes(sizes: Shape, pads: Pads) -> Shape:
    """The sizes with their pads."""
    return tuple(n + low + high for n, (low, high) in zip(sizes, pads, strict=True))


def negated(pads: Pads) -> Pads:
    """The pads that undo others: zero padding with them is the adjoint of zero padding."""
    return tuple((-low, -high) for low, high in pads)


def crop(x: Any, pads: Pads) -> tuple[Any, Pads]:
    """`x` after the negative ones among `pads`, and the rest of them."""
    if not any(p < 0 for pair in pads for p in pair):
        return x, pads
    lead = len(x.shape) - len(pads)
    ranges = [(0, n, 1) for n in x.shape[:lead]]
    for n, (low, high) in zip(x.shape[lead:], pads, strict=True):
        ranges.append((max(-low, 0), n - max(-high, 0), 1))
    return slice_(x, tuple(ranges)), tuple((max(low, 0), max(high, 0)) for low, high in pads)


def inner_ranges(shape: Shape, pads: Pads) -> tuple[Shape, tuple[tuple[int, int, int], ...]]:
    """The padded shape, and where in it a tensor of `shape` comes to stand; no pad is negative."""
    lead = len(shape) - len(pads)
    sizes = shape[:lead] + padded_sizes(shape[lead:], pads)
    starts = (0,) * lead + tuple(low for low, _ in pads)
    return sizes, tuple((start, start + n, 1) for start, n in zip(starts, shape, strict=True))


def zero_pad(x: Any, pads: Pads) -> Any:
    """Zeros around the last dimensions; elements off where a pad is negative."""
    x, pads = crop(x, pads)
    if not any(p for pair in pads for p in pair):
        return x
    return place(x, *inner_ranges(tuple(x.shape), pads))


def in_layout_of(x: Any, shape: Shape, d: Any) -> Any:
    """An empty NumPy array of another shape, whose dimensions lie in memory in the order of x's.

    Results keep the order of what they are made of, so that passes over both run along memory.
    """
    order = sorted(range(x.ndim), key=lambda i: -x.strides[i])
    made = np.empty([shape[i] for i in order], d)
    return made.transpose(sorted(range(x.ndim), key=order.__getitem__))


def zero_padded(x: Any, pads: Pads) -> Any:
    """`zero_pad` of a NumPy array."""
    lead = x.ndim - len(pads)
    if any(p < 0 for pair in pads for p in pair):
        kept = (
            slice(max(-low, 0), n - max(-high, 0))
            for n, (low, high) in zip(x.shape[lead:], pads, strict=True)
        )
        x, pads = x[(..., *kept)], tuple((max(low, 0), max(high, 0)) for low, high in pads)
    if not any(p for pair in pads for p in pair):
        return x
    shape, ranges = inner_ranges(x.shape, pads)
    result = np.zeros(shape, x.dtype)
    result[tuple(slice(*r) for r in ranges)] = x
    return result


def _windows_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (kernel, stride, dilation) = inputs, attrs
    lead = len(x.shape) - len(kernel)
    outs = count_windows(x.shape[lead:], kernel, stride, dilation)
    if any(n < 0 for n in outs):
        raise RuntimeError(f"windows of {list(kernel)} do not fit into {list(x.shape[lead:])}")
    return inputs, (*x.shape[:lead], *outs, *kernel), x.dtype


def _windows_layout(
    shape: Shape, strides: Shape, offset: int, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[Shape, int]:
    lead = len(shape) - len(kernel)
    last = strides[lead:]
    steps = tuple(a * b for a, b in zip(last, stride, strict=True))
    taps = tuple(a * b for a, b in zip(last, dilation, strict=True))
    return (*strides[:lead], *steps, *taps), offset


def window_view(x: Any, kernel: Shape, stride: Shape, dilation: Shape) -> Any:
    """All windows over the last dimensions of a NumPy array, sharing its memory."""
    lead = x.ndim - len(kernel)
    outs = count_windows(x.shape[lead:], kernel, stride, dilation)
    strides, _ = _windows_layout(x.shape, x.strides, 0, kernel, stride, dilation)
    return as_strided(x, (*x.shape[:lead], *outs, *kernel), strides)


def _torch_windows(torch: Any, x: Any, kernel: Shape, stride: Shape, dilation: Shape) -> Any:
    lead = x.dim() - len(kernel)
    for i, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True)):
        x = x.unfold(lead + i, span(k, d), s)[..., ::d]
    return x.clone()


# windows(x)[..., o, ..., i] = x[..., o·stride + i·dilation], over the last dimensions, as a view.
windows: Op = define(
    "windows",
    attrs="kernel stride dilation",
    kind="movement",
    infer=_windows_infer,
    numpy=window_view,
    vjp=(
        lambda g, out, x, kernel, stride, dilation: fold_windows(
            g, x.shape[len(x.shape) - len(kernel) :], stride, dilation
        ),
    ),
    view=View(_windows_layout, None),
    grad_name="UnfoldBackward0",
    samples=lambda: [
        Sample((Array((7,)), (3,), (1,), (1,))),
        Sample((Array((2, 8)), (3,), (2,), (2,))),
        Sample((Array((2, 5, 4)), (2, 3), (2, 1), (1, 1))),
        Sample((Array((1, 3, 4, 3)), (1, 2, 2), (1, 2, 1), (1, 1, 2))),
        Sample((Array((0, 5)), (2,), (1,), (1,))),
    ],
    reference=_torch_windows,
)


Slices = tuple[slice, ...]
Taps = list[tuple[Shape, Slices, Slices]]


def clipped_taps(
    sizes: Shape, outs: Shape, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape
) -> Taps:
    """For each position in the kernel: the windows in which it lies inside, and where it lies then.

    Entries are (position, slices of the windows, slices of the windowed tensor without pads).
    """
    choices = []
    for n, count, k, s, (low, _), d in zip(
        sizes, outs, kernel, stride, pads, dilation, strict=True
    ):
        found = []
        for tap in range(k):
            place = tap * d - low  # of the first window
            first = max(0, -(place // s))
            last = min(count - 1, (n - 1 - place) // s)
            if first <= last:
                start = place + first * s
                stop = place + last * s + 1
                found.append((tap, slice(first, last + 1), slice(start, stop, s)))
        choices.append(found)
    return [
        (tuple(c[0] for c in chosen), tuple(c[1] for c in chosen), tuple(c[2] for c in chosen))
        for chosen in product(*choices)
    ]


def _fold_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (g,), (sizes, stride, dilation) = inputs, attrs
    n = len(sizes)
    lead, kernel = g.shape[: len(g.shape) - 2 * n], g.shape[len(g.shape) - n :]
    if count_windows(sizes, kernel, stride, dilation) != g.shape[len(lead) : len(lead) + n]:
        raise RuntimeError(
            f"windows of shape {list(g.shape)} do not add up to {list(sizes)} with stride"
            f" {list(stride)} and dilation {list(dilation)}"
        )
    return inputs, (*lead, *sizes), g.dtype


def _fold_numpy(g: Any, sizes: Shape, stride: Shape, dilation: Shape) -> Any:
    n = len(sizes)
    lead, outs = g.shape[: g.ndim - 2 * n], g.shape[g.ndim - 2 * n : g.ndim - n]
    kernel = g.shape[g.ndim - n :]
    if outs == sizes and prod(kernel) == 1:
        return g.reshape(g.shape[: g.ndim - n])
    result: Any = np.zeros((*lead, *sizes), g.dtype)
    for tap, read, write in clipped_taps(sizes, outs, kernel, stride, ((0, 0),) * n, dilation):
        target = result[(..., *write)]
        np.add(target, g[(..., *read, *tap)], out=target)
    return result


def tap_places(
    lead: Shape, outs: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> Iterator[tuple[Shape, tuple[tuple[int, int, int], ...]]]:
    """Each tap of the kernel, and the places that it sees in all windows, as a slice."""
    whole = tuple((0, n, 1) for n in lead)
    for tap in product(*map(range, kernel)):
        starts = (t * d for t, d in zip(tap, dilation, strict=True))
        inner = ((a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, outs, stride, strict=True))
        yield tap, (*whole, *inner)


def tap_of(taps: Any, tap: Shape) -> Any:
    """What one tap sees in all windows: the last dimensions of `taps` at one position."""
    lead = len(taps.shape) - len(tap)
    for i in reversed(range(len(tap))):
        taps = select_(taps, lead + i, tap[i])
    return taps


def _fold(g: Any, sizes: Shape, stride: Shape, dilation: Shape) -> Any:
    """Every tap as one part of the result; with stride 1 each element is a sum of some of them."""
    n = len(sizes)
    lead, kernel = g.shape[: len(g.shape) - 2 * n], g.shape[len(g.shape) - n :]
    shape = (*lead, *sizes)
    taps = tuple(tap_places(lead, g.shape[len(lead) : len(lead) + n], kernel, stride, dilation))
    parts = [tap_of(g, tap) for tap, _ in taps]
    if not parts:
        return full(0.0, shape, g.dtype)
    if any(s != 1 for s in stride) or 0 in g.shape:
        return assemble(parts, shape, tuple(ranges for _, ranges in taps))
    total: Any = None
    for part, (_, ranges) in zip(parts, taps, strict=True):
        placed = place(part, shape, ranges)
        total = placed if total is None else total + placed
    return total


def _torch_fold(torch: Any, g: Any, sizes: Shape, stride: Shape, dilation: Shape) -> Any:
    n = len(sizes)
    lead, kernel = g.shape[: g.dim() - 2 * n], tuple(g.shape[g.dim() - n :])
    numbers = torch.arange(prod((*lead, *sizes))).reshape(*lead, *sizes)
    places = _torch_windows(torch, numbers, kernel, stride, dilation).flatten()
    result = torch.zeros(prod((*lead, *sizes)), dtype=g.dtype)
    return result.index_add(0, places, g.flatten()).reshape(*lead, *sizes)


# The adjoint of windows: every window's elements added into the places that they were read from.
fold_windows: Op = define(
    "fold_windows",
    attrs="sizes stride dilation",
    kind="composite",
    infer=_fold_infer,
    numpy=_fold_numpy,
    decompose=_fold,
    vjp=(
        lambda g, out, x, sizes, stride, dilation: windows(
            g, x.shape[len(x.shape) - len(sizes) :], stride, dilation
        ),
    ),
    samples=lambda: [
        Sample((Array((5, 3)), (7,), (1,), (1,))),
        Sample((Array((2, 2, 3)), (8,), (2,), (2,))),
        Sample((Array((2, 2, 2, 2, 3)), (5, 4), (2, 1), (1, 1))),
        Sample((Array((2, 3, 1)), (3,), (1,), (1,))),
        Sample((Array((0, 4, 2)), (5,), (1,), (1,))),
    ],
    dtypes="number",
    reference=_torch_fold,
)


@function("Tensor.unfold")
def unfold_dimension(input: Any, dimension: int, size: int, step: int) -> Any:
    """All slices of `size` elements along `dimension`, `step` apart, as a view.

    (…, n, …) gives (…, windows, …, size).

    >>> torch.arange(5).unfold(0, 3, 2)
    tensor([[0, 1, 2],
            [2, 3, 4]])
    """
    shape = tuple(input.shape)
    d = wrap_dim(dimension, len(shape))
    if not shape:
        input, shape, scalar = reshape(input, (1,)), (1,), True
    else:
        scalar = False
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > shape[d]:
        raise RuntimeError(
            f"maximum size for tensor at dimension {d} is {shape[d]} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    rank = len(shape)
    last = tuple(i for i in range(rank) if i != d)
    moved = permute(input, (*last, d)) if d != rank - 1 else input
    result = windows(moved, (size,), (step,), (1,))
    if scalar:
        return reshape.named("UnfoldBackward0", result, (size,))
    if d == rank - 1:
        return result
    return permute.named(
        "UnfoldBackward0", result, (*range(d), rank - 1, *range(d, rank - 1), rank)
    )
