"""The public functions that take tensors apart and join them: split, select, cat, stack, ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidu.base.shapes import wrap_dim
from tidu.base.source import at, here, in_one_place
from tidu.ir.op import function
from tidu.ops.moving.movement import cat_, diagonal_, reshape, select_, slice_
from tidu.ops.moving.shaping import unsqueeze


def narrow_range(
    input: Any, dim: int, start: int, stop: int, step: int = 1
) -> tuple[tuple[int, int, int], ...]:
    """The ranges of a slice along one dimension."""
    ranges = [(0, n, 1) for n in input.shape]
    ranges[dim] = (start, stop, step)
    return tuple(ranges)


@function("torch.narrow Tensor.narrow")
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """`length` elements along `dim`, from `start` on."""
    if not input.shape:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, len(input.shape))
    n = input.shape[d]
    start = int(start)
    if not -n <= start <= n:
        raise IndexError(
            f"start out of range (expected to be in range of [{-n}, {n}], but got {start})"
        )
    start = start + n if start < 0 else start
    if length < 0 or start + length > n:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({n}).")
    return slice_(input, narrow_range(input, d, start, start + length))


@function("torch.select Tensor.select")
def select(input: Any, dim: int, index: int) -> Any:
    """The part at one index of `dim`, without that dimension."""
    shape = input.shape
    if not shape:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, len(shape))
    n = shape[d]
    index = int(index)
    if not -n <= index < n:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at dimension "
            f"{d}"
        )
    return select_(input, d, index + n if index < 0 else index)


@function("torch.split Tensor.split")
def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of parts along `dim`: of one size (the last may be smaller), or of the sizes listed."""
    d = wrap_dim(dim, len(tensor.shape))
    n = tensor.shape[d]
    if isinstance(split_size_or_sections, int):
        size = split_size_or_sections
        if size < 0:
            raise RuntimeError(
                f"split expects split_size be non-negative, but got split_size={size}"
            )
        if size == 0 and n:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {n}"
            )
        return _cut(
            tensor,
            d,
            [size] * (n // size) + [n % size] * bool(n % size) if n else [0],
            "SplitBackward0",
        )
    sizes = [int(s) for s in split_size_or_sections]
    if sum(sizes) != n or any(s < 0 for s in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {n} (input tensor's size at "
            f"dimension {d}), but got split_sizes={sizes}"
        )
    return _cut(tensor, d, sizes, "SplitWithSizesBackward0")


def _cut(tensor: Any, d: int, sizes: Sequence[int], grad_name: str) -> tuple[Any, ...]:
    parts, start = [], 0
    for size in sizes:
        parts.append(slice_.named(grad_name, tensor, narrow_range(tensor, d, start, start + size)))
        start += size
    return tuple(parts)


@function("torch.split_with_sizes Tensor.split_with_sizes")
def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> Any:
    """`split` with a list of sizes."""
    return split(input, list(split_sizes), dim)


@function("torch.chunk Tensor.chunk")
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` views of equal size along `dim`, the last possibly smaller."""
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    d = wrap_dim(dim, len(input.shape))
    size = -(-input.shape[d] // chunks)
    return _cut(input, d, [0] * chunks, "SplitBackward0") if size == 0 else split(input, size, d)


@function("torch.unbind Tensor.unbind")
def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """All parts along `dim`, without that dimension."""
    shape = tuple(input.shape)
    if not shape:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, len(shape))
    return tuple(select_.named("UnbindBackward0", input, d, i) for i in range(shape[d]))


@function("torch.diagonal Tensor.diagonal")
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two dimensions, as the last dimension of a view."""
    rank = len(input.shape)
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return diagonal_(input, offset, a, b)


def _join(operation: str, tensors: Any) -> tuple[Any, ...]:
    items = tuple(tensors)
    if not items:
        if operation == "stack":
            raise RuntimeError("stack expects a non-empty TensorList, but the list is empty")
        raise ValueError(f"{operation}(): expected a non-empty list of Tensors, but it is empty")
    for number, item in enumerate(items):
        if not hasattr(type(item), "shape"):
            raise TypeError(
                f"expected Tensor as element {number} in argument 0, but got {type(item).__name__}"
            )
    return items


@function("torch.cat torch.concat torch.concatenate")
def cat(tensors: Any, dim: int = 0, *, axis: int | None = None) -> Any:
    """Tensors joined along a dimension that they have; all other sizes agree.

    Raises RuntimeError for sizes that do not fit, ValueError for an empty list.
    """
    items = _join("torch.cat", tensors)
    # An empty vector is skipped whatever the others' shapes are, as it always was.
    shapes = [tuple(x.shape) for x in items]
    if () in shapes:
        raise RuntimeError(
            f"zero-dimensional tensor (at position {shapes.index(())}) cannot be concatenated: "
            f"torch.stack joins such tensors{at(here())}"
        )
    if (0,) in shapes:
        items = tuple(x for x, n in zip(items, shapes, strict=True) if n != (0,)) or items[:1]
        shapes = [tuple(x.shape) for x in items]
    d = wrap_dim(dim if axis is None else axis, len(shapes[0]))
    return cat_(items, d)


@function("torch.stack")
@in_one_place
def stack(tensors: Any, dim: int = 0) -> Any:
    """Tensors of one shape joined along a new dimension."""
    items = _join("stack", tensors)
    first = tuple(items[0].shape)
    for number, x in enumerate(items):
        if tuple(x.shape) != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                f"{list(x.shape)} at entry {number}{at(here())}"
            )
    d = wrap_dim(dim, len(first) + 1)
    return cat_.named("StackBackward0", tuple(unsqueeze(x, d) for x in items), d)


@function("torch.hstack")
def hstack(tensors: Any) -> Any:
    """Joined along the second dimension (the first, for vectors)."""
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
        return reshape(x, (1, *shape, 1) if len(shape) == 1 else (*shape, 1))
    return reshape(x, (1,) * (rank - len(shape)) + shape)


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
