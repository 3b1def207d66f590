"""Movement: reshaping, reordering and slicing.

Most of these share memory with their input.

A view is declared with `layout`, how it reads the strides of its input, and `write`, how writing
through it changes its input: that is all that in-place operations on views rest on.
"""

from __future__ import annotations

import functools
from math import prod
from typing import Any

import numpy as np

from tidu.base.shapes import Shape, infer_size, reshaped
from tidu.base.strides import result_strides, strides_of_copy, view_strides
from tidu.ir.op import Array, Inferred, Op, Piece, Pieces, Sample, View, define
from tidu.ops.rules import ends_at, promote, same
from tidu.ops.sources import full

Strides = tuple[int, ...]
# One dimension of a slice: start, stop, step with step > 0 and 0 <= start <= stop <= size.
Ranges = tuple[tuple[int, int, int], ...]


def _reshape_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (shape,) = inputs, attrs
    return inputs, reshaped(x.shape, shape), x.dtype


def _reshape_layout(
    shape: Shape, strides: Strides, offset: int, new: Shape
) -> tuple[Strides, int] | None:
    found = view_strides(shape, strides, infer_size(new, prod(shape)))
    return None if found is None else (found, offset)


reshape: Op = define(
    "reshape",
    attrs="shape",
    kind="movement",
    infer=_reshape_infer,
    numpy=lambda x, shape: x.reshape(shape),
    vjp=(lambda g, out, x, shape: reshape(g, x.shape),),
    view=View(
        _reshape_layout,
        lambda base, part, shape: reshape(part, base.shape),
        lambda first, second: second,
    ),
    grad_name="ViewBackward0",
    samples=lambda: [
        Sample((Array((3, 4)), (2, 6))),
        Sample((Array((2, 3, 4)), (6, -1))),
        Sample((Array(()), (1, 1))),
        Sample((Array((0, 3)), (3, 0))),
        Sample((Array((1,)), ())),
    ],
)


def unsqueeze_dims(x: Any, dims: Shape) -> Any:
    """Insert dimensions of size 1 so that they stand at `dims` of the result."""
    shape = list(x.shape)
    for d in sorted(dims):
        shape.insert(d, 1)
    return reshape(x, tuple(shape))


def squeeze_dims(x: Any, dims: Shape) -> Any:
    """Drop the given dimensions, which have size 1."""
    return reshape(x, tuple(n for i, n in enumerate(x.shape) if i not in dims))


def inverse_order(dims: Shape) -> Shape:
    """The order that undoes another."""
    return tuple(sorted(range(len(dims)), key=dims.__getitem__))


def _permute_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (dims,) = inputs, attrs
    shape = x.shape
    return inputs, tuple([shape[d] for d in dims]), x.dtype


permute: Op = define(
    "permute",
    attrs="dims",
    kind="movement",
    infer=_permute_infer,
    numpy=lambda x, dims: x.transpose(dims),
    vjp=(lambda g, out, x, dims: permute(g, inverse_order(dims)),),
    view=View(
        lambda shape, strides, offset, dims: (tuple(strides[d] for d in dims), offset),
        lambda base, part, dims: permute(part, inverse_order(dims)),
        lambda first, second: (tuple([first[0][d] for d in second[0]]),),
    ),
    samples=lambda: [
        Sample((Array((3, 4)), (1, 0))),
        Sample((Array((2, 3, 4)), (2, 0, 1))),
        Sample((Array(()), ())),
        Sample((Array((0, 3)), (1, 0))),
    ],
)


def swap(x: Any, a: int, b: int) -> Any:
    """`x` with two dimensions exchanged."""
    dims = list(range(len(x.shape)))
    dims[a], dims[b] = dims[b], dims[a]
    return permute(x, tuple(dims))


def _expand_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (shape,) = inputs, attrs
    if not x.shape:
        return inputs, shape, x.dtype
    extra = len(shape) - len(x.shape)
    if extra < 0:
        raise RuntimeError(
            f"expand(torch.{x.dtype.name}{list(x.shape)}, size={list(shape)}): the number of sizes "
            f"provided ({len(shape)}) must be greater or equal to the number of dimensions in the "
            f"tensor ({len(x.shape)})"
        )
    for i, (n, wanted) in enumerate(zip(x.shape, shape[extra:], strict=True)):
        if n not in (1, wanted):
            raise RuntimeError(
                f"The expanded size of the tensor ({wanted}) must match the existing size ({n}) at "
                f"non-singleton dimension {i + extra}.  Target sizes: {list(shape)}.  Tensor "
                f"sizes: {list(x.shape)}"
            )
    return inputs, shape, x.dtype


def _expand_layout(shape: Shape, strides: Strides, offset: int, new: Shape) -> tuple[Strides, int]:
    extra = len(new) - len(shape)
    kept = (s if n == m else 0 for n, m, s in zip(shape, new[extra:], strides, strict=True))
    return (0,) * extra + tuple(kept), offset


def _expand_numpy(x: Any, shape: Shape) -> Any:
    if prod(shape) > 4096:
        return np.broadcast_to(x, shape)
    out = np.empty(shape, x.dtype)  # for few elements a copy is cheaper than making the view
    out[...] = x
    return out


expand = define(
    "expand",
    attrs="shape",
    kind="movement",
    infer=_expand_infer,
    numpy=_expand_numpy,
    vjp=(lambda g, out, x, shape: g,),  # the engine sums over what was repeated
    view=View(_expand_layout, None, lambda first, second: second),
    samples=lambda: [
        Sample((Array((1, 4)), (3, 4))),
        Sample((Array((3,)), (2, 3))),
        Sample((Array(()), (2, 2))),
        Sample((Array((1, 1)), (0, 3))),
    ],
    reference="Tensor.expand",
)


def _slice_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (ranges,) = inputs, attrs
    return inputs, tuple([len(range(*r)) for r in ranges]), x.dtype


def as_slices(ranges: Ranges) -> tuple[slice, ...]:
    """Ranges as an index for NumPy."""
    return tuple(slice(*r) for r in ranges)


def _slice_layout(
    shape: Shape, strides: Strides, offset: int, ranges: Ranges
) -> tuple[Strides, int]:
    offset += sum(r[0] * s for r, s in zip(ranges, strides, strict=True))
    return tuple(r[2] * s for r, s in zip(ranges, strides, strict=True)), offset


@functools.lru_cache(4096)
def _slice_of_slice(first: tuple[Ranges], second: tuple[Ranges]) -> tuple[Ranges]:
    ranges = []
    for outer, inner in zip(first[0], second[0], strict=True):
        both = range(*outer)[slice(*inner)]
        end = outer[1]  # beyond which that of a range with steps may lie
        ranges.append((min(both.start, end), min(both.stop, end), both.step))
    return (tuple(ranges),)


slice_ = define(
    "slice",
    attrs="ranges",
    kind="movement",
    infer=_slice_infer,
    numpy=lambda x, ranges: x[as_slices(ranges)],
    vjp=(lambda g, out, x, ranges: _placed(g, x.shape, ranges),),
    view=View(
        _slice_layout, lambda base, part, ranges: slice_write(base, part, ranges), _slice_of_slice
    ),
    samples=lambda: [
        Sample((Array((4, 5)), ((1, 3, 1), (0, 5, 2)))),
        Sample((Array((6,)), ((5, 6, 1),))),
        Sample((Array((3, 2)), ((1, 1, 1), (0, 2, 1)))),
        Sample((Array(()), ())),
    ],
    reference=lambda torch, x, ranges: x[as_slices(ranges)] if ranges else x.clone(),
)


def whole_ranges(shape: Shape) -> Ranges:
    """The slice that is everything."""
    return tuple((0, n, 1) for n in shape)


def _placed(g: Any, shape: Shape, ranges: Ranges) -> Any:
    """Zeros of a shape with `g` in a part of it, which may be all."""
    return g if ranges == whole_ranges(shape) else place(g, shape, ranges)


def ranges_along(shape: Shape, dim: int, start: int, stop: int, step: int = 1) -> Ranges:
    """The slice start:stop:step along one dimension, and everything along the others."""
    ranges = [(0, n, 1) for n in shape]
    ranges[dim] = (start, stop, step)
    return tuple(ranges)


def slice_along(x: Any, dim: int, start: int, stop: int, step: int = 1) -> Any:
    """`x` cut to start:stop:step along one dimension."""
    return slice_(x, ranges_along(x.shape, dim, start, stop, step))


def _place_numpy(x: Any, shape: Shape, ranges: Ranges) -> Any:
    out = np.zeros(shape, x.dtype)
    out[as_slices(ranges)] = x
    return out


def _torch_place(torch: Any, x: Any, shape: Shape, ranges: Ranges) -> Any:
    out = torch.zeros(shape, dtype=x.dtype)
    return torch.slice_scatter(out, x, 0, *ranges[0])


# Zeros everywhere but in one slice: the adjoint of slice.
place: Op = define(
    "place",
    attrs="shape ranges",
    kind="movement",
    infer=lambda op, inputs, attrs: (inputs, attrs[0], inputs[0].dtype),
    numpy=_place_numpy,
    pieces=lambda shapes, shape, ranges: Pieces(True, (Piece(0, ranges),)),
    vjp=(lambda g, out, x, shape, ranges: slice_(g, ranges),),
    samples=lambda: [
        Sample((Array((2, 3)), (4, 3), ((1, 3, 1), (0, 3, 1)))),
        Sample((Array((2,)), (5,), ((0, 4, 2),))),
    ],
    reference=_torch_place,
)


def _slice_write_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    base, part = inputs
    return (base, promote((part,), base.dtype)[0][0]), base.shape, base.dtype


def _slice_write_pieces(shapes: tuple[Shape, ...], ranges: Ranges) -> Pieces:
    return Pieces(False, (Piece(0, whole_ranges(shapes[0])), Piece(1, ranges)))


def _slice_write_numpy(base: Any, part: Any, ranges: Ranges) -> Any:
    out = base.copy()
    out[as_slices(ranges)] = part
    return out


slice_write: Op = define(
    "slice_write",
    inputs="input part",
    attrs="ranges",
    kind="movement",
    strides=strides_of_copy,
    infer=_slice_write_infer,
    numpy=_slice_write_numpy,
    pieces=_slice_write_pieces,
    vjp=(
        lambda g, out, base, part, ranges: slice_write(g, 0.0, ranges),
        lambda g, out, base, part, ranges: slice_(g, ranges),
    ),
    samples=lambda: [
        Sample((Array((4, 3)), Array((2, 3)), ((1, 3, 1), (0, 3, 1)))),
        Sample((Array((5,)), Array((2,)), ((0, 4, 2),))),
    ],
    reference=lambda torch, base, part, ranges: torch.slice_scatter(base, part, 0, *ranges[0]),
)


def _at(dim: int, index: int) -> tuple[Any, ...]:
    # The Ellipsis makes NumPy give an array also where no dimension is left.
    return (*(slice(None),) * dim, index, ...)


def _without(dims: Shape, dim: int) -> Shape:
    return dims[:dim] + dims[dim + 1 :]


def _with_one(shape: Shape, dim: int) -> Shape:
    return (*shape[:dim], 1, *shape[dim + 1 :])


def _select_write(base: Any, part: Any, dim: int, index: int) -> Any:
    part = reshape(part, _with_one(base.shape, dim))
    return slice_write(base, part, ranges_along(base.shape, dim, index, index + 1))


def _select_vjp(g: Any, out: Any, x: Any, dim: int, index: int) -> Any:
    shape = x.shape
    return place(
        reshape(g, _with_one(shape, dim)), shape, ranges_along(shape, dim, index, index + 1)
    )


select_ = define(
    "select",
    attrs="dim index",
    kind="movement",
    infer=lambda op, inputs, attrs: (inputs, _without(inputs[0].shape, attrs[0]), inputs[0].dtype),
    numpy=lambda x, dim, index: x[_at(dim, index)],
    vjp=(_select_vjp,),
    view=View(
        lambda shape, strides, offset, dim, index: (
            _without(strides, dim),
            offset + index * strides[dim],
        ),
        _select_write,
    ),
    samples=lambda: [
        Sample((Array((4, 5)), 0, 2)),
        Sample((Array((2, 3, 4)), 1, 0)),
        Sample((Array((3,)), 0, 2)),
        Sample((Array((2, 0)), 0, 1)),
    ],
)


def _diagonal_layout(
    shape: Shape, strides: Strides, offset: int, k: int, a: int, b: int
) -> tuple[Strides, int]:
    rest = tuple(s for i, s in enumerate(strides) if i not in (a, b))
    start = k * strides[b] if k >= 0 else -k * strides[a]
    return (*rest, strides[a] + strides[b]), offset + start


def _diagonal_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (k, a, b) = inputs, attrs
    rows, columns = x.shape[a], x.shape[b]
    size = max(min(rows, columns - k) if k >= 0 else min(rows + k, columns), 0)
    return inputs, (*(n for i, n in enumerate(x.shape) if i not in (a, b)), size), x.dtype


def _diagonal_write_numpy(base: Any, part: Any, k: int, a: int, b: int) -> Any:
    out = base.copy()
    view = np.diagonal(out, k, a, b)
    view.flags.writeable = True
    view[...] = part
    return out


diagonal_ = define(
    "diagonal",
    attrs="offset dim1 dim2",
    kind="movement",
    infer=_diagonal_infer,
    numpy=lambda x, k, a, b: np.diagonal(x, k, a, b),
    vjp=(lambda g, out, x, k, a, b: diagonal_write(full(0.0, x.shape, g.dtype), g, k, a, b),),
    view=View(_diagonal_layout, lambda base, part, k, a, b: diagonal_write(base, part, k, a, b)),
    samples=lambda: [
        Sample((Array((3, 4)), 0, 0, 1)),
        Sample((Array((3, 4)), 1, 0, 1)),
        Sample((Array((2, 3, 3)), -1, 1, 2)),
    ],
)
diagonal_write: Op = define(
    "diagonal_write",
    inputs="input part",
    attrs="offset dim1 dim2",
    kind="movement",
    strides=strides_of_copy,
    infer=_slice_write_infer,
    numpy=_diagonal_write_numpy,
    vjp=(
        lambda g, out, base, part, k, a, b: diagonal_write(g, 0.0, k, a, b),
        lambda g, out, base, part, k, a, b: diagonal_(g, k, a, b),
    ),
    ends=ends_at(0, 1, DiagEmbedBackward0=(1,)),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3,)), 0, 0, 1)),
        Sample((Array((2, 3, 3)), Array((2, 2)), 1, 1, 2)),
    ],
    reference=lambda torch, base, part, k, a, b: torch.diagonal_scatter(base, part, k, a, b),
)


def _flip_layout(shape: Shape, strides: Strides, offset: int, dims: Shape) -> tuple[Strides, int]:
    offset += sum((shape[d] - 1) * strides[d] for d in dims)
    return tuple(-s if d in dims else s for d, s in enumerate(strides)), offset


flip: Op = define(
    "flip",
    attrs="dims",
    kind="movement",
    strides=result_strides,
    infer=same,
    numpy=lambda x, dims: np.flip(x, dims),
    layout=_flip_layout,
    vjp=(lambda g, out, x, dims: flip(g, dims),),
    samples=lambda: [
        Sample((Array((3, 4)), (0,))),
        Sample((Array((2, 3, 2)), (0, 2))),
        Sample((Array((0, 2)), (1,))),
    ],
)
