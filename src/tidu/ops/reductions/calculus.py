"""Differences of neighbors and areas under curves: numerical calculus on samples."""

from __future__ import annotations

from functools import partial
from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import wrap_dim
from tidu.ir.op import function
from tidu.ops.elementwise import div, mul, positive, sub
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import reshape, slice_, slice_along
from tidu.ops.reductions.reduce import sum_over
from tidu.ops.reductions.scan import cumsum
from tidu.ops.rules import is_number
from tidu.ops.sources import full


@function("torch.diff Tensor.diff")
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbors along `dim`, `n` times over;
    `prepend` and `append` are joined on first.

    >>> torch.diff(torch.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if not input.shape:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    d = wrap_dim(dim, len(input.shape))
    parts = tuple(x for x in (prepend, input, append) if x is not None)
    for x in parts:
        if len(x.shape) != len(input.shape):
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
    x = cat_(parts, d) if len(parts) > 1 else input
    if n == 0:
        return positive(input)
    for _ in range(min(n, x.shape[d] + 1)):
        size = x.shape[d]
        later, earlier = (
            slice_along(x, d, a, max(b, a)) for a, b in ((min(1, size), size), (0, size - 1))
        )
        x = later ^ earlier if x.dtype is dtypes.bool_ else sub(later, earlier)
    return x


def _spacing(x: Any, like: Any, d: int) -> Any:
    """The widths of the intervals between sample points,
    in a shape that broadcasts with `like`'s intervals.
    """
    if len(x.shape) == 1 and len(like.shape) > 1:
        if x.shape[0] != like.shape[d]:
            raise RuntimeError(
                f"There must be one `x` value for each sample point: x has {x.shape[0]}, y has"
                f" {like.shape[d]} along {d}"
            )
        x = reshape(x, tuple(x.shape[0] if i == d else 1 for i in range(len(like.shape))))
    axis = d - len(like.shape) + len(x.shape)
    return diff(x, dim=axis)


def _areas(y: Any, x: Any, dim: int) -> tuple[Any, int]:
    """Twice the area of each trapezoid along `dim` (or its mean height, without x),
    and `dim` itself.
    """
    d = wrap_dim(dim, len(y.shape))
    n = y.shape[d] if y.shape else 1
    if n < 2:
        return slice_along(y, d, 0, 0) if y.shape else full(0.0, (0,), y.dtype), d
    left, right = (slice_along(y, d, a, b) for a, b in ((0, n - 1), (1, n)))
    if x is None:
        return left + right, d
    areas = mul(left + right, _spacing(x, y, d))
    return areas, d - len(y.shape) + len(areas.shape)


def _halved(total: Any) -> Any:
    return div.named("DivBackward1", total, 2.0)


def _check_widths(x: Any, dx: Any) -> None:
    if x is None and not is_number(dx):
        raise TypeError(f"trapezoid(): dx has to be a number, but got {type(dx).__name__}")


@function("torch.trapezoid torch.trapz")
def trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Any:
    """The area under `y` along `dim` by the trapezoidal rule, at points `x` or spaced by `dx`."""
    _check_widths(x, dx)
    areas, d = _areas(y, x, dim)
    total = sum_over(areas, d)
    return mul.named("MulBackward1", total, dx / 2.0) if x is None else _halved(total)


@function("torch.cumulative_trapezoid")
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = 1, dim: int = -1) -> Any:
    """The areas under `y` up to each point after the first, by the trapezoidal rule."""
    _check_widths(x, dx)
    areas, d = _areas(y, x, dim)
    return cumsum(mul(areas, dx / 2.0), d) if x is None else _halved(cumsum(areas, d))


def _slopes(x: Any, d: int, spacing: Any, edge_order: int) -> Any:
    """Second-order differences inside, of order `edge_order` at both ends."""
    found = _even_slopes if is_number(spacing) else _uneven_slopes
    return found(x, d, spacing, edge_order)


def _even_slopes(x: Any, d: int, step: Any, edge_order: int) -> Any:
    n, at = x.shape[d], partial(slice_along, x, d)
    inside = (at(2, n) - at(0, n - 2)) / (2.0 * step)
    if edge_order == 1:
        first = (at(1, 2) - at(0, 1)) / step
        last = (at(n - 1, n) - at(n - 2, n - 1)) / step
    else:
        first = (at(0, 1) * -1.5 + at(1, 2) * 2.0 - at(2, 3) * 0.5) / step
        last = (at(n - 1, n) * 1.5 - at(n - 2, n - 1) * 2.0 + at(n - 3, n - 2) * 0.5) / step
    return cat_((first, inside, last), d)


def _uneven_slopes(x: Any, d: int, coordinates: Any, edge_order: int) -> Any:
    n, at = x.shape[d], partial(slice_along, x, d)
    widths = diff(coordinates)  # (n - 1,)

    def width(start: int, stop: int) -> Any:
        part = slice_(widths, ((start, stop, 1),))
        return reshape(part, tuple(-1 if i == d else 1 for i in range(len(x.shape))))

    before, after = width(0, n - 2), width(1, n - 1)
    inside = (
        at(0, n - 2) * (-after / (before * (before + after)))
        + at(1, n - 1) * ((after - before) / (before * after))
        + at(2, n) * (before / (after * (before + after)))
    )
    if edge_order == 1:
        first = (at(1, 2) - at(0, 1)) / width(0, 1)
        last = (at(n - 1, n) - at(n - 2, n - 1)) / width(n - 2, n - 1)
        return cat_((first, inside, last), d)
    near, far = width(0, 1), width(1, 2)
    first = (
        at(0, 1) * (-(near * 2.0 + far) / (near * (near + far)))
        + at(1, 2) * ((near + far) / (near * far))
        + at(2, 3) * (-near / (far * (near + far)))
    )
    far, near = width(n - 3, n - 2), width(n - 2, n - 1)
    last = (
        at(n - 3, n - 2) * (near / (far * (near + far)))
        + at(n - 2, n - 1) * (-(near + far) / (near * far))
        + at(n - 1, n) * ((near * 2.0 + far) / (near * (near + far)))
    )
    return cat_((first, inside, last), d)


@function("torch.gradient")
def gradient(
    input: Any, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1
) -> tuple[Any, ...]:
    """The derivatives of a sampled function along each of `dim`, by central differences.

    `spacing` is one number for all dimensions, one for each, or a tensor of coordinates for each.
    Raises RuntimeError for an edge order other than 1 or 2, or fewer than edge_order + 1 samples.
    """
    rank = len(input.shape)
    dims = tuple(range(rank)) if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    dims = tuple(wrap_dim(d, rank) for d in dims)
    if edge_order not in (1, 2):
        raise RuntimeError(
            f"torch.gradient only supports edge_order=1 and edge_order=2, but got {edge_order}"
        )
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {dims} appears multiple times in the list of dims")
    steps: list[Any]
    if spacing is None or is_number(spacing):
        steps = [1 if spacing is None else spacing] * len(dims)
    else:
        steps = list(spacing) if isinstance(spacing, (tuple, list)) else [spacing]
    if len(steps) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length"
            f" {len(dims)}, but got a list of length {len(steps)}"
        )
    for d, step in zip(dims, steps, strict=True):
        if input.shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1, but"
                f" dimension {d} has {input.shape[d]}"
            )
        if not is_number(step) and tuple(step.shape) != (input.shape[d],):
            raise RuntimeError(
                "torch.gradient expected each element of spacing to have one coordinate for each"
                f" sample along dimension {d} ({input.shape[d]}), but got shape {list(step.shape)}"
            )
    return tuple(_slopes(input, d, step, edge_order) for d, step in zip(dims, steps, strict=True))
