"""Pooling to a given size: windows as even as the sizes allow, each from ⌊i·n/m⌋ to ⌈(i+1)·n/m⌉."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import leaf
from tidu.ops.elementwise import eq, isnan, where
from tidu.ops.images.resampling import Table, apply_table
from tidu.ops.indexing.along import gather
from tidu.ops.indexing.arrays import index
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.reduce import amax, amin
from tidu.ops.rules import PART, class_name
from tidu.ops.windows.max_pooling import max_pool
from tidu.ops.windows.max_positions import flat_index, max_pool_position
from tidu.ops.windows.mean_pooling import avg_pool, plane_mean


def _output_size(operation: str, n: int, output_size: Any, sizes: Shape) -> Shape:
    """The size asked for; None keeps a dimension as it is."""
    wanted = output_size if isinstance(output_size, (tuple, list)) else (output_size,)
    if len(wanted) not in (1, n) or (n == 1 and len(wanted) != 1):
        raise RuntimeError(
            f"{operation}: output_size must be {n} numbers or a single one, but got {output_size!r}"
        )
    if n == 1 and wanted[0] is None:
        raise TypeError(
            f"{operation}(): argument 'output_size' must be tuple of ints, but found None"
        )
    if len(wanted) == 1:
        wanted = tuple(wanted) * n
    for m in wanted:
        if m is not None and not hasattr(m, "__index__"):
            raise TypeError(
                f"{operation}(): argument 'output_size' must be tuple of ints, but found element of"
                f" type {type(m).__name__}"
            )
    outs = tuple(
        size if m is None else m.__index__() for m, size in zip(wanted, sizes, strict=True)
    )
    if any(m < 0 for m in outs):
        raise RuntimeError(
            f"{operation}: elements of output_size must be greater than or equal to 0 but received"
            f" {list(outs)}"
        )
    return outs


def _check(operation: str, n: int, x: Any) -> None:
    shape = tuple(x.shape)
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(
            f"{operation}(): Expected {n + 1}D or {n + 2}D tensor, but got {list(shape)}: it takes"
            " a batch (or none), channels, and the dimensions to pool"
        )
    if 0 in shape[-n:]:
        raise RuntimeError(
            f"{operation}(): Expected input to have non-zero size for non-batch dimensions, but"
            f" input has sizes {list(shape)}"
        )
    if not x.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"{operation}\" not implemented for '{class_name(x.dtype)}'; write x.float()"
        )


def _bounds(size: int, outs: int) -> tuple[Any, Any]:
    i, m = np.arange(outs), max(outs, 1)
    return i * size // m, -(-(i + 1) * size // m)


def _even(sizes: Shape, outs: Shape) -> bool:
    """Whether all windows are of one size and apart, so that this is pooling with a kernel."""
    return all(m and n % m == 0 for n, m in zip(sizes, outs, strict=True))


@lru_cache(maxsize=256)
def _mean_table(size: int, outs: int, kind: type[Any]) -> Table:
    start, stop = _bounds(size, outs)
    taps = np.arange(max((stop - start).max(initial=1), 1))
    inside = start[:, None] + taps < stop[:, None]
    weights = inside / np.maximum(stop - start, 1)[:, None]
    places = np.minimum(start[:, None] + taps, size - 1)
    return Table(places, weights.astype(kind), sparse=True)


def adaptive_avg_pool(operation: str, n: int, input: Any, output_size: Any) -> Any:
    """The mean of each of `output_size` windows over the last n dimensions."""
    _check(operation, n, input)
    sizes = tuple(input.shape[-n:])
    outs = _output_size(operation, n, output_size, sizes)
    rank = len(input.shape)
    if all(m == 1 for m in outs):
        name = "SqueezeBackward1" if n == 1 else "MeanBackward1"
        return plane_mean.named(name, input, n)
    name = "SqueezeBackward1" if n == 1 else f"AdaptiveAvgPool{n}DBackward0"
    if _even(sizes, outs):
        kernel = tuple(size // m for size, m in zip(sizes, outs, strict=True))
        return avg_pool.named(name, input, float(prod(kernel)), kernel, kernel, ((0, 0),) * n)
    kind = np.float64 if input.dtype is dtypes.float64 else np.float32
    x = input
    for dim, size, m in zip(range(rank - n, rank), sizes, outs, strict=True):
        grad_name = name if dim == rank - 1 else PART
        x = apply_table(x, dim, _mean_table(size, m, kind), grad_name)
    return x


@function("torch.adaptive_avg_pool1d torch.nn.functional.adaptive_avg_pool1d")
def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """The means of `output_size` windows: (N, C, L) gives (N, C, output_size).

    See `adaptive_avg_pool2d`.
    """
    return adaptive_avg_pool("adaptive_avg_pool1d", 1, input, output_size)


@function("torch.nn.functional.adaptive_avg_pool2d")
def adaptive_avg_pool2d(input: Any, output_size: Any) -> Any:
    """The mean of each window of an image cut into `output_size`.

    (N, C, H, W) gives (N, C, H', W').

    Window i of m goes from ⌊i·n/m⌋ to ⌈(i + 1)·n/m⌉. A number stands for a square, None keeps a
    size.

    >>> torch.nn.functional.adaptive_avg_pool2d(torch.arange(4.).view(1, 2, 2), 1)
    tensor([[[1.5000]]])
    """
    return adaptive_avg_pool("adaptive_avg_pool2d", 2, input, output_size)


@function("torch.nn.functional.adaptive_avg_pool3d")
def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """The mean of each window of a volume cut into `output_size`. See `adaptive_avg_pool2d`."""
    return adaptive_avg_pool("adaptive_avg_pool3d", 3, input, output_size)


@lru_cache(maxsize=64)
def _window_table(sizes: Shape, outs: Shape) -> Any:
    """For each window the places of its elements in the flattened plane; some stand there twice."""
    table: Any = np.zeros((1, 1), np.int64)
    for n, m in zip(sizes, outs, strict=True):
        start, stop = _bounds(n, m)
        taps = np.arange((stop - start).max(initial=1))
        places = np.minimum(start[:, None] + taps, stop[:, None] - 1)
        # (windows so far, taps so far) with (windows, taps) of this dimension, all by all
        table = table[:, None, :, None] * n + places[None, :, None, :]
        table = table.reshape(table.shape[0] * m, table.shape[2] * len(taps))
    return table


def _places_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x, table), (n,) = inputs, attrs
    return inputs, (*x.shape[: len(x.shape) - n], table.shape[0]), dtypes.int64


def _places(x: Any, table: Any, n: int) -> Any:
    lead = tuple(x.shape[: len(x.shape) - n])
    plane = prod(x.shape[len(lead) :])
    taps = index((reshape(x, (*lead, plane)), table), (len(lead),))  # (…, windows, taps)
    last = (len(lead) + 1,)
    first = amin(where(eq(taps, amax(taps, last, True)), table, plane), last, False)
    latest = amax(where(isnan(taps), table, -1), last, False)  # the last of several NaNs
    return where(latest >= 0, latest, first)


def _torch_places(torch: Any, x: Any, table: Any, n: int) -> Any:
    return torch.nn.functional.adaptive_max_pool2d(x, (2, 3), True)[1].flatten(-2)


# Where in the flattened last n dimensions the greatest of the elements is that `table` lists for
# each window.
adaptive_max_places = define(
    "adaptive_max_places",
    inputs="input table",
    attrs="n",
    kind="composite",
    infer=_places_infer,
    decompose=_places,
    samples=lambda: [
        Sample((Array((2, 2, 3, 4)), leaf(_window_table((3, 4), (2, 3)), dtypes.int64), 2)),
        Sample((Array((1, 5, 5)), leaf(_window_table((5, 5), (2, 3)), dtypes.int64), 2)),
        Sample((Array((0, 2, 3, 4)), leaf(_window_table((3, 4), (2, 3)), dtypes.int64), 2)),
    ],
    dtypes="float",
    reference=_torch_places,
)


def _adaptive_max_pool(n: int, input: Any, output_size: Any, return_indices: bool) -> Any:
    operation = f"adaptive_max_pool{n}d"
    _check(operation, n, input)
    sizes = tuple(input.shape[-n:])
    outs = _output_size(operation, n, output_size, sizes)
    name = "SqueezeBackward1" if n == 1 else f"AdaptiveMaxPool{n}DBackward0"
    if _even(sizes, outs):
        kernel = tuple(size // m for size, m in zip(sizes, outs, strict=True))
        attrs = (kernel, kernel, ((0, 0),) * n, (1,) * n)
        values = max_pool.named(name, input, *attrs)
        if not return_indices:
            return values
        return values, flat_index(max_pool_position(input, *attrs), sizes, *attrs)
    lead = tuple(input.shape[:-n])
    places = adaptive_max_places(input, leaf(_window_table(sizes, outs), dtypes.int64), n)
    flat = reshape(input, (*lead, prod(sizes)))
    values = reshape.named(name, gather(flat, places, len(lead)), (*lead, *outs))
    return (values, reshape(places, (*lead, *outs))) if return_indices else values


@function("torch.nn.functional.adaptive_max_pool1d")
def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The greatest elements of `output_size` windows: (N, C, L) gives (N, C, output_size).

    See `adaptive_max_pool2d`.
    """
    return _adaptive_max_pool(1, input, output_size, return_indices)


@function("torch.nn.functional.adaptive_max_pool2d")
def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The greatest element of each window of an image cut into `output_size`.

    (N, C, H, W) gives (N, C, H', W').

    Windows as in `adaptive_avg_pool2d`; with `return_indices` also their places in the flattened H
    × W.
    """
    return _adaptive_max_pool(2, input, output_size, return_indices)


@function("torch.nn.functional.adaptive_max_pool3d")
def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """The greatest element of each window of a volume cut into `output_size`.

    See `adaptive_max_pool2d`.
    """
    return _adaptive_max_pool(3, input, output_size, return_indices)


@function("torch.adaptive_max_pool1d")
def adaptive_max_pool1d_with_indices(input: Any, output_size: Any) -> Any:
    """`torch.nn.functional.adaptive_max_pool1d` with indices."""
    return _adaptive_max_pool(1, input, output_size, True)


def _with_indices(n: int) -> None:
    name = f"torch.nn.functional.adaptive_max_pool{n}d"

    @function(f"{name}_with_indices", doc=f"`{name}` with indices.")
    def pool(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        return _adaptive_max_pool(n, input, output_size, True)


for _n in (1, 2, 3):
    _with_indices(_n)
