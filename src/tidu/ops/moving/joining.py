"""Joining: tensors one after another or stacked, and parts added up at places of their own.

First the operations, `assemble`, `cat_` and `stack_`, then the public functions made of them.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tidu.base.shapes import Shape, wrap_dim
from tidu.base.source import at, here
from tidu.base.strides import (
    CHANNELS_LAST,
    Operands,
    Strides,
    channels_are_last,
    strides_in_order,
    view_strides,
)
from tidu.ir.op import Array, Inferred, Op, Piece, Pieces, Sample, class_of, define, function
from tidu.ops.moving.movement import Ranges, as_slices, reshape, slice_
from tidu.ops.rules import PART, promote


def _cat_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (dim,) = attrs
    inputs, d = promote(inputs)
    shapes = [x.shape for x in inputs]
    first = shapes[0]
    before, after, count = first[:dim], first[dim + 1 :], len(first)
    if all([x[:dim] == before and x[dim + 1 :] == after and len(x) == count for x in shapes]):
        total = sum([shape[dim] for shape in shapes])
        return inputs, (*before, total, *after), d
    raise _misfit(inputs, dim)


def _misfit(inputs: tuple[Any, ...], dim: int) -> RuntimeError:
    """Which of the tensors to join has a size that does not fit, and what would help."""
    shapes = [list(x.shape) for x in inputs]
    first = shapes[0]
    for number, shape in enumerate(shapes):
        if len(shape) != len(first):
            return RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)} "
                f"(cat of shapes {shapes}): x.unsqueeze(i) adds a dimension of size 1"
            )
        unequal = [i for i, n in enumerate(shape) if n != first[i] and i != dim]
        if unequal:
            i = unequal[0]
            alike = {(len(x), *x[:i], *x[i + 1 :]) for x in shapes}
            elsewhere = f"join them along it (cat with dim={i}), or " if len(alike) == 1 else ""
            return RuntimeError(
                f"Sizes of tensors must match except in dimension {dim}. Expected size {first[i]} "
                f"but got size {shape[i]} for tensor number {number} in the list. (cat of shapes "
                f"{shapes}): dimension {i} differs; {elsewhere}make it equal by slicing or "
                "nn.functional.pad"
            )
    raise AssertionError("all sizes fit")


def _cat_pieces(shapes: tuple[Shape, ...], dim: int) -> Pieces:
    pieces, start = [], 0
    for number, shape in enumerate(shapes):
        ranges = [(0, n, 1) for n in shape]
        ranges[dim] = (start, start + shape[dim], 1)
        pieces.append(Piece(number, tuple(ranges)))
        start += shape[dim]
    return Pieces(False, tuple(pieces))


def _assemble_numpy(*arguments: Any) -> Any:
    *parts, shape, places = arguments
    out = np.zeros(shape, parts[0].dtype)
    for part, ranges in zip(parts, places, strict=True):
        out[as_slices(ranges)] += part
    return out


# Zeros, to which each part is added at a place of its own.
assemble = define(
    "assemble",
    inputs="*tensors",
    attrs="shape places",
    kind="movement",
    infer=lambda op, inputs, attrs: (inputs, attrs[0], inputs[0].dtype),
    numpy=_assemble_numpy,
    pieces=lambda shapes, shape, places: Pieces(
        True, tuple(Piece(i, ranges, adds=True) for i, ranges in enumerate(places))
    ),
    vjp=(lambda g, out, tensors, shape, places: [slice_(g, ranges) for ranges in places],),
    samples=lambda: [
        Sample(((Array((2,)), Array((3,))), (5,), (((0, 4, 2),), ((1, 4, 1),)))),
        Sample(((Array((2, 2)),), (3, 4), (((1, 3, 1), (0, 4, 2)),))),
    ],
    dtypes="number",
    reference=lambda torch, tensors, shape, places: sum(
        _torch_assembled(torch, x, shape, ranges) for x, ranges in zip(tensors, places, strict=True)
    ),
)


def _torch_assembled(torch: Any, x: Any, shape: Shape, ranges: Ranges) -> Any:
    whole = torch.zeros(shape, dtype=x.dtype)
    whole[as_slices(ranges)] = x
    return whole


def _cat_vjps(g: Any, out: Any, tensors: tuple[Any, ...], dim: int) -> list[Any]:
    ranges = [(0, n, 1) for n in g.shape]
    parts, start = [], 0
    for x in tensors:
        stop = start + x.shape[dim]
        ranges[dim] = (start, stop, 1)
        parts.append(slice_(g, tuple(ranges)))
        start = stop
    return parts


def _cat_strides(shape: Shape, operands: Operands, attrs: tuple[Any, ...]) -> Strides | None:
    images = all(channels_are_last(*operand) for operand in operands)
    return strides_in_order(shape, CHANNELS_LAST[len(shape)]) if images else None


cat_ = define(
    "cat",
    inputs="*tensors",
    attrs="dim",
    kind="movement",
    strides=_cat_strides,
    infer=_cat_infer,
    numpy=lambda *arguments: np.concatenate(arguments[:-1], arguments[-1]),
    pieces=_cat_pieces,
    vjp=(_cat_vjps,),
    # What is rolled is cut in two and joined the other way round: one tensor.
    ends=lambda name, ends: ends[:1] if name in (PART, "RollBackward0") else ends,
    samples=lambda: [
        Sample(((Array((2, 3)), Array((1, 3))), 0)),
        Sample(((Array((2, 3)), Array((2, 1)), Array((2, 0))), 1)),
        Sample(((Array((4,)),), 0)),
    ],
)


def _stack_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (dim,) = attrs
    inputs, d = promote(inputs)
    shape = inputs[0].shape
    return inputs, (*shape[:dim], len(inputs), *shape[dim:]), d


def _stacked(tensors: tuple[Any, ...], dim: int) -> Any:
    shape = tensors[0].shape
    part = (*shape[:dim], 1, *shape[dim:])
    return cat_(tuple([reshape(x, part) for x in tensors]), dim)


def _stack_vjps(g: Any, out: Any, tensors: tuple[Any, ...], dim: int) -> list[Any]:
    shape, ranges, parts = tensors[0].shape, [(0, n, 1) for n in g.shape], []
    for i in range(len(tensors)):
        ranges[dim] = (i, i + 1, 1)
        parts.append(reshape(slice_(g, tuple(ranges)), shape))
    return parts


def _stack_strides(shape: Shape, operands: Operands, attrs: tuple[Any, ...]) -> Strides | None:
    (dim,) = attrs
    if dim == len(shape) - 1:
        parts = tuple([((*n, 1), (*s, 1)) for n, s in operands])
        return _cat_strides(shape, parts, attrs)
    # As if they were joined along the dimension that comes to lie behind the new one, which is then
    # split in two.
    joined = (*shape[:dim], shape[dim] * shape[dim + 1], *shape[dim + 2 :])
    strides = _cat_strides(joined, operands, attrs)
    return strides and view_strides(joined, strides, shape)


stack_ = define(
    "stack",
    inputs="*tensors",
    attrs="dim",
    kind="composite",
    strides=_stack_strides,
    infer=_stack_infer,
    numpy=lambda *arguments: np.stack(arguments[:-1], arguments[-1]),
    decompose=_stacked,
    vjp=(_stack_vjps,),
    samples=lambda: [
        Sample(((Array((2, 3)), Array((2, 3))), 0)),
        Sample(((Array((2, 3)), Array((2, 3)), Array((2, 3))), 1)),
        Sample(((Array((2,)), Array((2,))), 1)),
        Sample(((Array(()), Array(())), 0)),
    ],
)


def _join(operation: str, tensors: Any) -> tuple[Any, ...]:
    if hasattr(tensors, "shape"):
        raise TypeError(
            f"{operation}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
            f"{type(tensors).__name__}{at(here())}"
        )
    items = tuple(tensors)
    if not items:
        if operation == "stack":
            raise RuntimeError("stack expects a non-empty TensorList, but the list is empty")
        raise ValueError(
            f"torch.{operation}(): expected a non-empty list of Tensors, but it is empty"
        )
    for number, item in enumerate(items):
        if not hasattr(type(item), "numel"):  # NumPy's arrays have a shape, too
            raise TypeError(
                f"expected Tensor as element {number} in argument 0, but got {class_of(item)}: "
                f"torch.as_tensor(x) makes one of it{at(here())}"
            )
    return items


@function("torch.cat torch.concat torch.concatenate")
def cat(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Tensors joined along a dimension that they have; all other sizes agree.

    Raises RuntimeError for sizes that do not fit, ValueError for an empty list.

    >>> torch.cat([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    items = _join("cat", tensors)
    # An empty vector fits whatever the others' shapes are; its dtype counts, and its history.
    shapes = [tuple(x.shape) for x in items]
    if () in shapes:
        raise RuntimeError(
            f"zero-dimensional tensor (at position {shapes.index(())}) cannot be concatenated: "
            f"torch.stack joins such tensors{at(here())}"
        )
    dim = dim if axis is None else axis
    like = next((n for n in shapes if n != (0,)), None)
    if like is None:
        return cat_(items, 0)  # whatever dimension is asked for
    place = wrap_dim(dim, len(like))
    if (0,) in shapes and len(like) > 1:
        none = (*like[:place], 0, *like[place + 1 :])
        items = tuple(
            reshape(x, none) if n == (0,) else x for x, n in zip(items, shapes, strict=True)
        )
    return cat_(items, place)


@function("torch.stack")
def stack(tensors: Any, dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension.

    >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    items = _join("stack", tensors)
    shapes = [tuple(x.shape) for x in items]
    first = shapes[0]
    for number, shape in enumerate(shapes):
        if shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                f"{list(shape)} at entry {number}: cut or pad them to one shape (sequences: "
                f"nn.utils.rnn.pad_sequence){at(here())}"
            )
    return stack_(items, wrap_dim(dim, len(first) + 1))


@function("torch.hstack")
def hstack(tensors: Any) -> Any:
    """Joined along the second dimension (the first, for vectors).

    >>> torch.hstack((torch.tensor([1]), torch.tensor([2])))
    tensor([1, 2])
    """
    items = tuple(atleast_1d(x) for x in tensors)
    return cat(items, 0 if len(items[0].shape) == 1 else 1)


@function("torch.vstack torch.row_stack")
def vstack(tensors: Any) -> Any:
    """Joined along the first dimension; vectors become rows."""
    return cat(tuple(atleast_2d(x) for x in tensors), 0)


def _at_least(rank: int, tensors: tuple[Any, ...]) -> Any:
    if len(tensors) != 1 or isinstance(tensors[0], (tuple, list)):
        items = tensors[0] if len(tensors) == 1 else tensors
        return tuple(_at_least(rank, (x,)) for x in items)
    (x,) = tensors
    if len(x.shape) >= rank:
        return x
    shape = tuple(x.shape)
    if rank == 3 and len(shape) > 0:
        shape = (1, *shape, 1) if len(shape) == 1 else (*shape, 1)
    else:
        shape = (1,) * (rank - len(shape)) + shape
    return reshape.named("UnsqueezeBackward0" if x.shape else "ViewBackward0", x, shape)


@function("torch.atleast_1d")
def atleast_1d(*tensors: Any) -> Any:
    """0-d tensors get a dimension."""
    return _at_least(1, tensors)


@function("torch.atleast_2d")
def atleast_2d(*tensors: Any) -> Any:
    """Tensors of fewer than two dimensions get new ones in front."""
    return _at_least(2, tensors)


@function("torch.atleast_3d")
def atleast_3d(*tensors: Any) -> Any:
    """Tensors of fewer than three dimensions get new ones."""
    return _at_least(3, tensors)


def _non_empty(operation: str, tensors: Any) -> tuple[Any, ...]:
    items = tuple(tensors)
    if not items:
        raise RuntimeError(f"{operation} expects a non-empty TensorList")
    return items


@function("torch.dstack")
def dstack(tensors: Any) -> Any:
    """Joined along the third dimension; fewer dimensions are filled up."""
    return cat(tuple(atleast_3d(x) for x in _non_empty("dstack", tensors)), 2)


@function("torch.column_stack")
def column_stack(tensors: Any) -> Any:
    """Joined side by side; vectors become columns."""
    items = _non_empty("column_stack", tensors)
    return cat(tuple(reshape(x, (prod(x.shape), 1)) if len(x.shape) <= 1 else x for x in items), 1)
