"""Choosing elements: by condition, by mask, by index, and putting others in their place."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import broadcast, wrap_dim
from tidu.ir.op import function
from tidu.ops.cast import cast
from tidu.ops.elementwise import mul, positive, where
from tidu.ops.indexing.along import gather
from tidu.ops.indexing.arrays import index, index_put
from tidu.ops.indexing.bounds import OutOfRangeError, check_index
from tidu.ops.moving.movement import diagonal_write, expand, ranges_along, reshape, slice_write
from tidu.ops.reductions.scan import cumsum_
from tidu.ops.rules import PART, class_name, fitting, is_number, laid_as
from tidu.ops.sources import full


@function("torch.where")
def where_function(condition: Any, input: Any = None, other: Any = None) -> Any:
    """`input` where `condition` holds, `other` elsewhere, all three broadcast.

    With `condition` alone, the places where it holds: one index tensor for each dimension.

    >>> torch.where(torch.tensor([True, False]), 1.0, torch.tensor([5., 6.]))
    tensor([1., 6.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return where(condition, input, other)


@function("Tensor.where")
def where_method(self: Any, condition: Any, other: Any) -> Any:
    """The tensor where `condition` holds, `other` elsewhere."""
    return where(condition, self, other)


def _check_mask(operation: str, mask: Any) -> None:
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(
            f"{operation} only supports boolean masks, but got mask with dtype"
            f" {class_name(mask.dtype)}; write mask.bool()"
        )


@function("torch.masked_fill Tensor.masked_fill", inplace=True)
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """`input` with `value` (a number or 0-d tensor) wherever `mask` holds; the two broadcast.

    >>> torch.ones(3).masked_fill(torch.tensor([True, False, False]), -1.0)
    tensor([-1.,  1.,  1.])
    """
    _check_mask("masked_fill", mask)
    number = is_number(value)
    if number:
        value = fitting(value, input.dtype)
    elif value.shape:
        raise RuntimeError(
            "masked_fill only supports a 0-dimensional value tensor, but got tensor with"
            f" {len(value.shape)} dimension(s); torch.where takes any shape"
        )
    elif value.dtype is not input.dtype:
        value = cast(value, input.dtype)
    name = "MaskedFillBackward0" if number else "MaskedFillBackward1"
    return laid_as(where.named(name, mask, value, input), None)


@function("torch.masked_scatter Tensor.masked_scatter", inplace=True)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """`input` with the elements of `source`, in order, wherever `mask` holds.

    Raises IndexError, when run, if `source` has fewer elements than the mask has places.
    """
    if input.dtype is not source.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f" {class_name(input.dtype)} and {class_name(source.dtype)}"
        )
    _check_mask("masked_scatter_", mask)
    shape = broadcast("masked_scatter", tuple(input.shape), tuple(mask.shape))
    if prod(source.shape) == 0 or prod(shape) == 0:
        return expand(positive(input), shape)
    mask = expand(mask, shape)
    count = cumsum_(cast(reshape(mask, (-1,)), dtypes.int64), 0, False)
    # The first True takes element 0; before it the count is 0, and where() ignores what is read
    # there.
    places = where(reshape(mask, (-1,)), count - 1, 0)
    flat = reshape.named(PART, source, (-1,))
    taken = reshape.named(PART, index.named(PART, (flat, places), (0,)), shape)
    return laid_as(where.named("MaskedScatterBackward0", mask, taken, input), None)


def require_index(operation: str, x: Any) -> None:
    """RuntimeError unless the dtype of `x` is that of an index."""
    if x.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            f"{operation}(): Expected dtype int32 or int64 for index, but got {x.dtype}"
        )


@function("torch.gather Tensor.gather")
def gather_along(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """out[i][j] = input[index[i][j]][j] for `dim` 0, and so on:
    `index` gives the place along `dim`.

    Raises RuntimeError for shapes that do not fit and for indices out of range.

    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    return gather(input, index, wrap_dim(dim, len(input.shape)))


def _vector(operation: str, index: Any) -> Any:
    if len(index.shape) > 1:
        raise IndexError(
            f"{operation}(): Index is supposed to be a vector, but got shape {list(index.shape)}"
        )
    return index if index.shape else reshape(index, (1,))


def _value_of(x: Any) -> Any:
    return getattr(x, "_value", x)


def _check(operation: str, index: Any, x: Any, dim: int, error: Any, negative: bool) -> None:
    size = x.shape[dim] if x.shape else 1
    check_index(operation, _value_of(index), size, dim, negative=negative, error=error)


@function("torch.index_select Tensor.index_select")
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The slices of `input` along `dim` that a vector of indices names, copied.

    >>> torch.index_select(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([1]))
    tensor([[2],
            [4]])
    """
    require_index("index_select", index)
    d = wrap_dim(dim, len(input.shape))
    places = _vector("index_select", index)
    _check("index_select", places, input, d, IndexError, False)
    if not input.shape:
        return reshape.named(
            "IndexSelectBackward0", _index((reshape(input, (1,)), places), (0,)), ()
        )
    return _index.named("IndexSelectBackward0", (input, places), (d,))


_index = index


def _put_along(
    grad_name: str, input: Any, d: int, places: Any, source: Any, accumulate: bool
) -> Any:
    """Write (or add) slices along a dimension; a 0-d tensor counts as one of size 1."""
    if input.shape:
        return index_put.named(grad_name, (input, source, places), (d,), accumulate)
    flat = index_put((reshape(input, (1,)), source, places), (0,), accumulate)
    return reshape.named(grad_name, flat, ())


def _check_source(operation: str, input: Any, d: int, places: Any, source: Any) -> Any:
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{operation}_(): self ({class_name(input.dtype)}) and source"
            f" ({class_name(source.dtype)}) must have the same scalar type"
        )
    if not source.shape:
        source = reshape(source, (1,) * max(len(input.shape), 1))
    shape = tuple(input.shape) or (1,)
    wanted = (*shape[:d], places.shape[0], *shape[d + 1 :])
    if tuple(source.shape) != wanted:
        raise RuntimeError(
            f"{operation}_(): source of shape {list(source.shape)} must match input of shape"
            f" {list(shape)} in all dimensions but {d}, and the index, of length {places.shape[0]},"
            " there"
        )
    return source


@function("torch.index_add Tensor.index_add", inplace=True)
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """`input` plus alpha times the slices of `source`, added where `index` says;
    repeated places add up.

    >>> torch.index_add(torch.zeros(3), 0, torch.tensor([0, 0]), torch.ones(2))
    tensor([2., 0., 0.])
    """
    require_index("index_add", index)
    d = wrap_dim(dim, len(input.shape))
    places = _vector("index_add", index)
    source = _check_source("index_add", input, d, places, source)
    _check("index_add", places, input, d, OutOfRangeError, False)
    source = source if alpha == 1 else mul(source, alpha)
    return _put_along("IndexAddBackward0", input, d, places, source, True)


@function("torch.index_copy Tensor.index_copy", inplace=True)
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """`input` with the slices along `dim` that `index` names replaced by those of `source`."""
    if index.dtype is not dtypes.int64:
        raise IndexError(
            f"index_copy_(): Expected a long tensor for index, but got {class_name(index.dtype)}"
        )
    d = wrap_dim(dim, len(input.shape))
    places = _vector("index_copy", index)
    source = _check_source("index_copy", input, d, places, source)
    _check("index_copy", places, input, d, IndexError, False)
    return _put_along("IndexCopyBackward0", input, d, places, source, False)


@function("torch.index_fill Tensor.index_fill", inplace=True)
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """`input` with `value` (a number or 0-d tensor) in the slices along `dim` named by `index`."""
    if index.dtype is not dtypes.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    d = wrap_dim(dim, len(input.shape))
    number = is_number(value)
    if not number and value.shape:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with"
            f" {len(value.shape)} dimension(s)."
        )
    places = _vector("index_fill", index)
    _check("index_fill", places, input, d, IndexError, True)
    # A mask over the dimension: a place named twice is filled once, which the gradient of `value`
    # shows.
    size = input.shape[d] if input.shape else 1
    mask = index_put((full(False, (size,), dtypes.bool_), True, places), (0,), False)
    rank = len(input.shape)
    mask = reshape(mask, tuple(size if i == d else 1 for i in range(rank)))
    value = fitting(value, input.dtype) if number else cast(value, input.dtype)
    return where.named("IndexFillBackward0" if number else "IndexFillBackward1", mask, value, input)


@function("torch.take Tensor.take")
def take(input: Any, index: Any) -> Any:
    """The elements of the flattened input at `index`, in the shape of `index`."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {class_name(index.dtype)}"
        )
    if prod(input.shape) == 0 and prod(index.shape):
        raise IndexError("take(): tried to take from an empty tensor")
    check_index("take", _value_of(index), prod(input.shape), 0)
    return _index.named(
        "TakeBackward0",
        (reshape.named(PART, input, (-1,) if prod(input.shape) else (0,)), index),
        (0,),
    )


@function("torch.put Tensor.put", inplace=True)
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """`input` with the elements of `source` at the flat places `index`, or added there."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"put_(): Expected a long tensor for index, but got {class_name(index.dtype)}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype ="
            f" {class_name(input.dtype)} and source.dtype = {class_name(source.dtype)}"
        )
    if prod(source.shape) != prod(index.shape):
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {prod(source.shape)}, index.numel() = {prod(index.shape)}"
        )
    if prod(input.shape) == 0 and prod(index.shape):
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    check_index("put", _value_of(index), prod(input.shape), 0)
    flat = index_put(
        (reshape(input, (-1,)), reshape(source, (-1,)), reshape(index, (-1,))), (0,), accumulate
    )
    return reshape.named("PutBackward0", flat, tuple(input.shape))


@function("torch.take_along_dim Tensor.take_along_dim")
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """`gather` that broadcasts the other dimensions; without `dim`, of the flattened input."""
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got"
            f" {class_name(indices.dtype)}"
        )
    if dim is None:
        return gather(
            reshape(input, (-1,)), _wrapped(reshape(indices, (-1,)), prod(input.shape)), 0
        )
    rank = len(input.shape)
    if rank != len(indices.shape):
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions,"
            f" but got {rank} dimensions for input, and {len(indices.shape)} dimensions for indices"
        )
    d = wrap_dim(dim, rank)

    def others(x: Any) -> tuple[int, ...]:
        return tuple(1 if i == d else n for i, n in enumerate(x.shape))

    shape = broadcast("take_along_dim", others(input), others(indices))

    def spread(x: Any) -> Any:
        return expand(x, tuple(x.shape[d] if i == d else n for i, n in enumerate(shape)))

    return gather(spread(input), _wrapped(spread(indices), input.shape[d]), d)


def _wrapped(indices: Any, size: int) -> Any:
    """Negative indices count from the end."""
    return where(indices < 0, indices + size, indices)


def _same_shape(operation: str, part: Sequence[int], source: Any) -> None:
    if tuple(source.shape) != tuple(part):
        raise RuntimeError(
            f"{operation}: expected src to have a size equal to the slice of self: src size ="
            f" {list(source.shape)}, slice size = {list(part)}"
        )


@function("torch.select_scatter Tensor.select_scatter")
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """`input` with `src` in place of select(dim, index)."""
    d = wrap_dim(dim, len(input.shape))
    n = input.shape[d]
    if not -n <= index < n:
        raise IndexError(
            f"select_scatter(): index {index} out of range for size {list(input.shape)} at"
            f" dimension {d}"
        )
    start = index % n
    _same_shape("select_scatter", (*input.shape[:d], *input.shape[d + 1 :]), src)
    part = reshape(src, (*input.shape[:d], 1, *input.shape[d + 1 :]))
    return slice_write.named(
        "SelectScatterBackward0", input, part, ranges_along(input.shape, d, start, start + 1)
    )


@function("torch.slice_scatter Tensor.slice_scatter")
def slice_scatter(
    input: Any,
    src: Any,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Any:
    """`input` with `src` in place of the slice start:end:step along `dim`."""
    d = wrap_dim(dim, len(input.shape))
    if step <= 0:
        raise RuntimeError(f"slice_scatter(): step must be positive, but got {step}")
    first, last, step = slice(start, end, step).indices(input.shape[d])
    ranges = ranges_along(input.shape, d, first, max(first, last), step)
    _same_shape("slice_scatter", [len(range(*r)) for r in ranges], src)
    return slice_write.named("SliceScatterBackward0", input, src, ranges)


@function("torch.diagonal_scatter Tensor.diagonal_scatter")
def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """`input` with `src` in place of diagonal(offset, dim1, dim2)."""
    rank = len(input.shape)
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    rows, columns = input.shape[a], input.shape[b]
    size = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    _same_shape(
        "diagonal_scatter", (*(n for i, n in enumerate(input.shape) if i not in (a, b)), size), src
    )
    return diagonal_write.named("DiagonalScatterBackward0", input, src, offset, a, b)
