"""Images in other sizes: torch.nn.functional.interpolate and its old names.

Every mode is separable: one table of places and weights for each dimension. They are computed
in the precision in which PyTorch computes them, since rounding decides between neighbors.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.op import function
from tidu.ops.cast import cast
from tidu.ops.images.resampling import Table, apply_table
from tidu.ops.rules import PART, class_name
from tidu.ops.windows.adaptive import adaptive_avg_pool

Floats = np.ndarray[Any, Any]
_SPATIAL = {"linear": 1, "bilinear": 2, "bicubic": 2, "trilinear": 3, "lanczos": 2}
_MODES = (
    "nearest",
    "linear",
    "bilinear",
    "bicubic",
    "trilinear",
    "lanczos",
    "area",
    "nearest-exact",
)


def _ratio(size: int, outs: int, factor: float | None, corners: bool, kind: Any) -> Any:
    """How far apart neighbors of the result are in the input."""
    if corners:
        return kind(size - 1) / kind(outs - 1) if outs > 1 else kind(0)
    return kind(1.0 / factor) if factor else kind(size) / kind(outs)


@lru_cache(maxsize=256)
def nearest_table(size: int, outs: int, factor: float | None, exact: bool, whole: bool) -> Table:
    """The one element that each of the result repeats.

    With `whole` a result that is one or two times as large repeats evenly whatever the factor was,
    which is what PyTorch does for images but not for sequences and volumes.
    """
    ratio = _ratio(size, outs, factor, False, np.float32)
    steps = np.arange(outs, dtype=np.float32)
    if exact:
        places = np.floor((steps + np.float32(0.5)) * ratio)
    elif whole and outs in (size, 2 * size):
        places = np.arange(outs) // (outs // size)
    else:
        places = np.floor(steps * ratio)
    return Table(np.minimum(places.astype(np.int64), size - 1)[:, None], None)


def _centers(size: int, outs: int, factor: float | None, corners: bool, kind: Any) -> Floats:
    """Where the elements of the result lie among those of the input."""
    ratio = _ratio(size, outs, factor, corners, kind)
    steps = np.arange(outs, dtype=kind)
    centers: Floats = steps * ratio if corners else (steps + kind(0.5)) * ratio - kind(0.5)
    return centers


@lru_cache(maxsize=256)
def linear_table(size: int, outs: int, factor: float | None, corners: bool, kind: Any) -> Table:
    """Two neighbors, weighted by how near they are."""
    if size == outs:
        places = np.arange(outs)
        weights = np.stack([np.ones(outs, kind), np.zeros(outs, kind)], 1)
        return Table(np.stack([places, places], 1), weights)
    centers = np.maximum(_centers(size, outs, factor, corners, kind), 0)
    below = np.minimum(centers.astype(np.int64), size - 1)
    above = np.minimum(below + 1, size - 1)
    weight = np.clip(centers - below.astype(kind), 0, 1).astype(kind)
    return Table(np.stack([below, above], 1), np.stack([1 - weight, weight], 1))


def _cubic(x: Floats, a: float) -> Floats:
    """The cubic convolution kernel of R. Keys (1981)."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    kernel: Floats = np.where(x <= 1, near, np.where(x < 2, far, 0)).astype(x.dtype)
    return kernel


@lru_cache(maxsize=256)
def cubic_table(size: int, outs: int, factor: float | None, corners: bool, kind: Any) -> Table:
    """Four neighbors on a cubic; those outside are the border's."""
    centers = _centers(size, outs, factor, corners, kind)
    below = np.floor(centers)
    offsets = np.arange(-1, 3)
    places = np.clip(below.astype(np.int64)[:, None] + offsets, 0, size - 1)
    weights = _cubic((centers - below)[:, None] - offsets.astype(kind), -0.75)
    return Table(places, weights)


def _triangle(x: Floats) -> Floats:
    kernel: Floats = np.maximum(1 - np.abs(x), 0)
    return kernel


def _lanczos(x: Floats) -> Floats:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


# Kernel and its width, for every mode that smooths before it makes images smaller.
_FILTERS: dict[str, tuple[Callable[[Floats], Floats], int]] = {
    "bilinear": (_triangle, 2), "bicubic": (lambda x: _cubic(x, -0.5), 4), "lanczos": (_lanczos, 6)
}  # fmt: skip


@lru_cache(maxsize=256)
def smoothing_table(
    mode: str, size: int, outs: int, factor: float | None, corners: bool, kind: Any
) -> Table:
    """All elements under the kernel, which is as wide as the elements of the result are apart."""
    if size == outs:  # nothing is done whatever the factor was, as in PyTorch
        return Table(np.arange(outs)[:, None], None)
    kernel, width = _FILTERS[mode]
    ratio = _ratio(size, outs, factor, corners, kind)
    stretch = max(ratio, kind(1))
    support = kind(width / 2) * stretch
    centers = ratio * (np.arange(outs, dtype=kind) + kind(0.5))
    first = np.maximum((centers - support + kind(0.5)).astype(np.int64), 0)
    count = np.minimum((centers + support + kind(0.5)).astype(np.int64), size) - first
    taps = np.arange(max(count.max(initial=0), 1))
    places = first[:, None] + taps
    inside = taps < count[:, None]
    distance = (places.astype(kind) - centers[:, None] + kind(0.5)) / stretch
    weights = np.where(inside, kernel(distance), 0).astype(kind)
    total = weights.sum(1, keepdims=True)
    weights = np.divide(weights, total, out=weights, where=total != 0)
    return Table(np.minimum(places, size - 1), weights, sparse=True)


def _table(mode: str, n: int, smooth: bool, corners: bool, kind: Any) -> Callable[..., Table]:
    """(size, outs, factor) -> the table of one dimension."""
    if mode.startswith("nearest"):
        return lambda size, outs, factor: nearest_table(
            size, outs, factor, mode == "nearest-exact", n == 2
        )
    if smooth:
        return lambda size, outs, factor: smoothing_table(mode, size, outs, factor, corners, kind)
    make = cubic_table if mode == "bicubic" else linear_table
    return lambda size, outs, factor: make(size, outs, factor, corners, kind)


def _node_name(mode: str, n: int, smooth: bool) -> str:
    word = {"nearest-exact": "NearestExact"}.get(mode, mode.capitalize())
    return f"Upsample{word}{n}D{'Aa' if smooth else ''}Backward0"


def _numbers(operation: str, name: str, value: Any, shape: tuple[int, ...]) -> list[Any]:
    """One number for each spatial dimension, from one for all or a list."""
    n = len(shape) - 2
    if not isinstance(value, (tuple, list)):
        return [value] * n
    if len(value) != n:
        what, form = ("output", "output size in (o1, o2, ...,oK)")
        if name != "size":
            what, form = name, "scale_factor in (s1, s2, ...,sK)"
        raise ValueError(
            f"Input and {what} must have the same number of spatial dimensions, but got input with"
            f" spatial dimensions of {list(shape[2:])} and {name} of {value}. Please provide input"
            f" tensor in (N, C, d1, d2, ...,dK) format and {form} format ({operation})."
        )
    return list(value)


def _check_mode(shape: tuple[int, ...], mode: str, corners: Any, antialias: bool) -> None:
    rank = len(shape)
    if mode in ("nearest", "area", "nearest-exact"):
        if corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear |"
                f" bilinear | bicubic | trilinear, but the mode is {mode}"
            )
    elif mode in _SPATIAL and rank in (3, 4, 5) and rank != _SPATIAL[mode] + 2:
        raise NotImplementedError(
            f"Got {rank}D input, but {mode} mode needs {_SPATIAL[mode] + 2}D input: the shape"
            f" {list(shape)} should be (N, C) and {_SPATIAL[mode]} spatial dimensions"
        )
    if rank not in (3, 4, 5) or mode not in _MODES:
        raise NotImplementedError(
            f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {rank}D) for the modes: "
            f"{' | '.join(_MODES)} (got {mode})"
        )
    if antialias and (mode not in _FILTERS or rank != 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires"
            f" a 4-D tensor as input, but got {mode} and {rank}-D"
        )
    if mode == "lanczos" and not antialias:
        raise ValueError("Lanczos mode requires antialias=True")
    if mode == "lanczos" and corners:
        raise ValueError("Lanczos mode does not support align_corners=True")


def _output_sizes(
    shape: tuple[int, ...], size: Any, scale_factor: Any, recompute: bool | None
) -> tuple[list[int], list[float | None]]:
    """Sizes of the result, and the factors where those are not to follow from the sizes."""
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        if recompute:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        sizes = _numbers("interpolate", "size", size, shape)
        for outs in sizes:
            if not hasattr(outs, "__index__"):
                raise TypeError(
                    "interpolate(): argument 'size' must be ints, but found element of type"
                    f" {type(outs).__name__}"
                )
        return [outs.__index__() for outs in sizes], [None] * len(sizes)
    if scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    factors = [float(f) for f in _numbers("interpolate", "scale_factor", scale_factor, shape)]
    sizes = [math.floor(n * f) for n, f in zip(shape[2:], factors, strict=True)]
    return sizes, [None] * len(sizes) if recompute else factors  # type: ignore[return-value]


def _check_sizes(shape: tuple[int, ...], sizes: Sequence[int]) -> None:
    if min(sizes) < 1 or min(shape[2:]) < 1:
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input {list(shape[2:])} and "
            f"output {list(sizes)}"
        )
    if shape[1] == 0:
        raise RuntimeError(
            f"Non-empty {len(shape)}D data tensor expected but got a tensor with sizes"
            f" {list(shape)}"
        )


@function("torch.nn.functional.interpolate")
def interpolate(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """`input` with its spatial dimensions in another `size`, or `scale_factor` times as large.

    (N, C, d1, …, dK) gives the same with other d1, …, dK.

    `mode` is nearest (as in OpenCV), nearest-exact (as in Pillow), linear, bilinear or trilinear,
    bicubic, area (means), or lanczos. With `align_corners` the outermost elements stay where they
    are. `antialias` smooths before making smaller, as Pillow does. Raises ValueError or
    NotImplementedError for arguments that do not fit together.

    >>> torch.nn.functional.interpolate(torch.tensor([[[1., 3.]]]), scale_factor=2, mode="linear")
    tensor([[[1.0000, 1.5000, 2.5000, 3.0000]]])
    """
    shape = tuple(input.shape)
    _check_mode(shape, mode, align_corners, antialias)
    sizes, factors = _output_sizes(shape, size, scale_factor, recompute_scale_factor)
    n = len(sizes)
    if mode == "area":
        return adaptive_avg_pool("interpolate", n, input, sizes)
    _check_sizes(shape, sizes)
    if not input.dtype.is_floating_point and not (
        mode.startswith("nearest") and input.dtype is dtypes.uint8
    ):
        raise NotImplementedError(
            f"\"interpolate ({mode})\" not implemented for '{class_name(input.dtype)}'; write"
            " x.float()"
        )
    name = _node_name(mode, n, antialias)
    kind = np.float64 if input.dtype is dtypes.float64 else np.float32
    table = _table(mode, n, antialias, bool(align_corners), kind)
    x = input
    if x.dtype.is_half and not mode.startswith("nearest"):
        x = cast(x, dtypes.float32)
    for i, (outs, factor) in enumerate(zip(sizes, factors, strict=True)):
        ends = i == len(sizes) - 1 and x.dtype is input.dtype
        x = apply_table(x, 2 + i, table(shape[2 + i], outs, factor), name if ends else PART)
    return x if x.dtype is input.dtype else cast.named(name, x, input.dtype)


def _deprecated(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        UserWarning,
        stacklevel=4,
    )


@function("torch.nn.functional.upsample")
def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """The old name of `interpolate`."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


@function("torch.nn.functional.upsample_nearest")
def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` with the nearest element."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


@function("torch.nn.functional.upsample_bilinear")
def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """`interpolate` in bilinear mode with aligned corners."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
