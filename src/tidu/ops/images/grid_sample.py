"""Images read at arbitrary positions: grid_sample, and the grids of affine maps.

M. Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import reduce
from itertools import product
from math import prod
from operator import mul
from typing import Any, NamedTuple

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import leaf
from tidu.ops.cast import cast
from tidu.ops.elementwise import abs_, eq, floor, fmod, remainder, round_, where
from tidu.ops.indexing.along import gather, scatter_add
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import expand, permute, reshape, slice_
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import class_name
from tidu.ops.sources import full

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


class Tap(NamedTuple):
    """An element that is read along one dimension: its place, its weight, and d weight / d grid."""

    place: Any
    weight: Any
    slope: Any


def _clip(place: Any, size: int) -> tuple[Any, Any]:
    """Within [0, size − 1], and the derivative, which is 0 at the ends too."""
    low, high = place <= 0.0, place >= float(size - 1)
    return where(low, 0.0, where(high, float(size - 1), place)), where(low | high, 0.0, 1.0)


def _reflect(place: Any, size: int, corners: bool) -> tuple[Any, Any]:
    """Mirrored at the outermost elements (`corners`) or half an element further out."""
    low, high = (0.0, float(size - 1)) if corners else (-0.5, size - 0.5)
    if low == high:
        return place * 0.0, 0.0
    away = abs_(place - low)
    extra, flips = fmod(away, high - low), floor(away / (high - low))
    even = eq(remainder(flips, 2.0), 0.0)
    direction = where(place - low < 0.0, -1.0, 1.0)
    return where(even, extra + low, high - extra), where(even, direction, -direction)


def _bring_inside(place: Any, size: int, padding: str, corners: bool) -> tuple[Any, Any]:
    """Where to read instead of outside, and the derivative of that in `place`."""
    if padding == "zeros":
        return place, 1.0
    if padding == "border":
        return _clip(place, size)
    mirrored, direction = _reflect(place, size, corners)
    clipped, inside = _clip(mirrored, size)
    return clipped, inside * direction


# The cubic convolution kernel of R. Keys (1981) at a distance x, and its derivative.
_A = -0.75


def _near(x: Any) -> tuple[Any, Any]:
    return ((_A + 2) * x - (_A + 3)) * x * x + 1.0, (3 * (_A + 2) * x - 2 * (_A + 3)) * x


def _far(x: Any) -> tuple[Any, Any]:
    return ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A, (3 * _A * x - 10 * _A) * x + 8 * _A


def _taps(c: Any, size: int, mode: str, padding: str, corners: bool) -> list[Tap]:
    """What is read along a dimension of `size` elements at grid coordinates c in [-1, 1]."""
    scale = (size - 1 if corners else size) / 2
    place = (c + 1.0) * scale - (0.0 if corners else 0.5)
    if mode == "bicubic":
        below = floor(place)
        t = place - below
        kernel = ((_far, t + 1.0, 1), (_near, t, 1), (_near, 1.0 - t, -1), (_far, 2.0 - t, -1))
        taps = []
        for offset, (function_, distance, side) in enumerate(kernel, -1):
            weight, slope = function_(distance)
            inside, _ = _bring_inside(below + float(offset), size, padding, corners)
            taps.append(Tap(inside, weight, slope * (side * scale)))
        return taps
    place, slope = _bring_inside(place, size, padding, corners)
    if mode == "nearest":
        return [Tap(round_(place), 1.0, None)]
    below = floor(place)
    part = place - below
    return [Tap(below, 1.0 - part, slope * -scale), Tap(below + 1.0, part, slope * scale)]


class Read(NamedTuple):
    """One combination of taps: indices into the flattened image, and which of them are inside."""

    index: Any  # (N, 1, positions)
    inside: Any
    taps: tuple[Tap, ...]


def _flat_image(x: Any) -> Any:
    """(N, C, ...) as (N, C, pixels)."""
    return reshape(x, (*x.shape[:2], prod(x.shape[2:])))


def _reads(grid: Any, sizes: Shape, mode: str, padding: str, corners: bool) -> list[Read]:
    n = len(sizes)
    batch, positions = grid.shape[0], prod(grid.shape[1:-1])
    points = reshape(grid, (batch, 1, positions, n))
    choices = []
    for dim, size in enumerate(sizes):
        number = n - 1 - dim  # the grid counts from the last dimension
        ranges = (*((0, m, 1) for m in points.shape[:3]), (number, number + 1, 1))
        c = reshape(slice_(points, ranges), (batch, 1, positions))
        choices.append(_taps(c, size, mode, padding, corners))
    found = []
    for taps in product(*choices):
        inside, index = None, None
        for tap, size in zip(taps, sizes, strict=True):
            within = (tap.place >= 0.0) & (tap.place <= float(size - 1))
            inside = within if inside is None else inside & within
            step = cast(where(within, tap.place, 0.0), dtypes.int64)
            index = step if index is None else index * size + step
        found.append(Read(index, inside, taps))
    return found


def _weight(taps: tuple[Tap, ...], but: int | None = None) -> Any:
    """The product of the weights; of dimension `but` the derivative in place of the weight."""
    return reduce(mul, (tap.slope if i == but else tap.weight for i, tap in enumerate(taps)))


def _values(flat: Any, read: Read) -> Any:
    """What is read: (N, C, positions), zeros outside."""
    index = expand(read.index, (*flat.shape[:2], read.index.shape[2]))
    return where(read.inside, gather(flat, index, 2), 0.0)


def _grid_sample(x: Any, grid: Any, mode: str, padding: str, corners: bool) -> Any:
    flat, total = _flat_image(x), None
    for read in _reads(grid, tuple(x.shape[2:]), mode, padding, corners):
        part = _values(flat, read) * _weight(read.taps)
        total = part if total is None else total + part
    return reshape(total, (*x.shape[:2], *grid.shape[1:-1]))


def _vjp_image(g: Any, out: Any, x: Any, grid: Any, mode: str, padding: str, corners: bool) -> Any:
    g, shape = _flat_image(g), tuple(x.shape)
    total = full(0.0, (*shape[:2], prod(shape[2:])), g.dtype)
    for read in _reads(grid, shape[2:], mode, padding, corners):
        part = where(read.inside, g * _weight(read.taps), 0.0)
        total = scatter_add(total, expand(read.index, part.shape), part, 2)
    return reshape(total, shape)


def _vjp_grid(g: Any, out: Any, x: Any, grid: Any, mode: str, padding: str, corners: bool) -> Any:
    sizes = tuple(x.shape[2:])
    n, shape = len(sizes), tuple(grid.shape)
    if mode == "nearest":
        return full(0.0, shape, g.dtype)
    g, flat, totals = _flat_image(g), _flat_image(x), [None] * n
    for read in _reads(grid, sizes, mode, padding, corners):
        share = sum_(g * _values(flat, read), (1,), True)  # (N, 1, positions)
        for dim in range(n):
            part = share * _weight(read.taps, dim)
            totals[dim] = part if totals[dim] is None else totals[dim] + part
    parts = [reshape(total, (*shape[:-1], 1)) for total in reversed(totals)]
    return cat_(tuple(parts), len(shape) - 1)


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, grid = inputs
    mode = attrs[0]
    sizes = f"input with sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
    if x.shape[0] != grid.shape[0]:
        raise RuntimeError(
            f"grid_sampler(): expected grid and input to have same batch size, but got {sizes}"
        )
    if grid.shape[-1] != len(x.shape) - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {len(x.shape) - 2} in last dimension, but"
            f" got grid with sizes {list(grid.shape)}: one coordinate for each spatial dimension of"
            " the input"
        )
    if len(x.shape) not in (4, 5) or len(x.shape) != len(grid.shape):
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but"
            f" got {sizes}"
        )
    if 0 in x.shape[2:]:
        raise RuntimeError(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has"
            f" sizes {list(x.shape)}"
        )
    if len(x.shape) == 5 and mode == "bicubic":
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if not x.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"grid_sampler\" not implemented for '{class_name(x.dtype)}'; write x.float()"
        )
    if grid.dtype is not x.dtype:
        raise RuntimeError(
            f"expected scalar type {class_name(x.dtype)} but found {class_name(grid.dtype)}: "
            f"grid_sampler() got an input of {x.dtype} and a grid of {grid.dtype}"
        )
    return inputs, (*x.shape[:2], *grid.shape[1:-1]), x.dtype


def _samples() -> list[Sample]:
    image, volume = Array((2, 2, 3, 4)), Array((1, 1, 2, 3, 2))
    near, far = Array((2, 2, 3, 2), -0.9, 0.9), Array((2, 2, 2, 2), -2.2, 2.2)
    return [
        Sample((image, near, "bilinear", "zeros", False)),
        Sample((image, far, "bilinear", "border", True)),
        Sample((image, far, "bilinear", "reflection", False)),
        Sample((image, far, "nearest", "zeros", False)),
        Sample((image, near, "bicubic", "zeros", True)),
        Sample((image, far, "bicubic", "reflection", False)),
        Sample((volume, Array((1, 2, 1, 2, 3), -1.3, 1.3), "bilinear", "zeros", False)),
        Sample((Array((0, 1, 2, 2)), Array((0, 2, 2, 2)), "bilinear", "zeros", False)),
    ]


grid_sampler_op = define(
    "grid_sample",
    inputs="input grid",
    attrs="mode padding corners",
    kind="composite",
    infer=_infer,
    decompose=_grid_sample,
    vjp=(_vjp_image, _vjp_grid),
    joined=True,
    grad_name="GridSampler2DBackward0",
    samples=_samples,
    dtypes="float",
    reference="nn.functional.grid_sample",
    tolerance=20.0,
)


def _sample(input: Any, grid: Any, mode: str, padding: str, corners: bool) -> Any:
    name = f"GridSampler{max(len(input.shape) - 2, 2)}DBackward0"
    return grid_sampler_op.named(name, input, grid, mode, padding, corners)


def _warn_corners(operation: str) -> None:
    warnings.warn(
        "Default grid_sample and affine_grid behavior has changed to align_corners=False since"
        f" 1.3.0. Please specify align_corners=True if the old behavior is desired ({operation}).",
        UserWarning,
        stacklevel=4,
    )


@function("torch.nn.functional.grid_sample")
def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """`input` read at the positions in `grid`: (N, C, H, W) at (N, H', W', 2) gives (N, C, H', W').

    A position (x, y) is in [-1, 1] from edge to edge, or from the first to the last element with
    `align_corners`. `mode` is bilinear, nearest or bicubic; `padding_mode` says what is outside:
    zeros, the border, or a reflection. Volumes work the same with three coordinates. Raises
    RuntimeError for shapes that do not fit, ValueError for other modes.

    >>> grid = torch.tensor([[[[0., 0.]]]])
    >>> x = torch.arange(4.).view(1, 1, 2, 2)
    >>> torch.nn.functional.grid_sample(x, grid, align_corners=False)
    tensor([[[[1.5000]]]])
    """
    if mode not in MODES:
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic',"
            f" but got: '{mode}'"
        )
    if padding_mode not in PADDINGS:
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or"
            f" 'reflection', but got: '{padding_mode}'"
        )
    if align_corners is None:
        _warn_corners("grid_sample")
    return _sample(input, grid, mode, padding_mode, bool(align_corners))


@function("torch.grid_sampler torch.grid_sampler_2d torch.grid_sampler_3d")
def grid_sampler(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """`torch.nn.functional.grid_sample` with its modes as numbers, in the order listed there."""
    return _sample(input, grid, MODES[interpolation_mode], PADDINGS[padding_mode], align_corners)


def _base_grid(sizes: Shape, corners: bool, d: dtypes.dtype) -> Any:
    """Homogeneous coordinates of every element: (elements, n + 1), the last dimension first."""
    kind: Any = np.float64 if d is dtypes.float64 else np.float32
    axes = []
    for size in sizes:
        steps = np.linspace(-1, 1, size, dtype=kind) if size > 1 else np.zeros(1, kind)
        axes.append(steps if corners else steps * kind((size - 1) / size))
    mesh = np.meshgrid(*axes, indexing="ij")
    columns = [part.reshape(-1) for part in reversed(mesh)]
    return np.stack([*columns, np.ones_like(columns[0])], 1).astype(d.numpy)


@function("torch.nn.functional.affine_grid")
def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """The positions of affine maps, for `grid_sample`.

    `theta` (N, 2, 3) and size (N, C, H, W) give (N, H, W, 2).

    grid[n, y, x] = theta[n] · (x, y, 1), x and y going over [-1, 1]; (N, 3, 4) and (N, C, D, H, W)
    for volumes.

    >>> theta = torch.eye(2, 3)[None]
    >>> torch.nn.functional.affine_grid(theta, (1, 1, 2, 2), align_corners=True)[0, 0]
    tensor([[-1., -1.],
            [ 1., -1.]])
    """
    shape = tuple(int(n) for n in size)
    if not theta.dtype.is_floating_point:
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    n = len(shape) - 2
    if n not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms,"
            f" respectively. Got size {shape}."
        )
    if len(theta.shape) != 3 or tuple(theta.shape[1:]) != (n, n + 1):
        raise ValueError(
            f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {shape}. "
            f"Got {theta.shape}."
        )
    if min(shape) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {shape}")
    if theta.shape[0] != shape[0]:
        raise RuntimeError(
            f"Expected as many affine matrices as the size {shape} has items, but got"
            f" {theta.shape[0]}"
        )
    if align_corners is None:
        _warn_corners("affine_grid")
    return affine_grid_generator(theta, shape, bool(align_corners))


@function("torch.affine_grid_generator")
def affine_grid_generator(theta: Any, size: Sequence[int], align_corners: bool) -> Any:
    """`torch.nn.functional.affine_grid` without its checks."""
    sizes = tuple(size[2:])
    base = leaf(_base_grid(sizes, align_corners, theta.dtype), theta.dtype)
    grid = matmul(base, permute(theta, (0, 2, 1)))  # (N, elements, n)
    shape = (theta.shape[0], *sizes, len(sizes))
    return reshape.named("AffineGridGeneratorBackward0", grid, shape)
