"""The public functions of shape and order, in terms of the ops of `movement`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tidu.base.dtypes import bool_, dtype
from tidu.base.shapes import (
    flatten_sizes,
    infer_size,
    reshaped,
    sizes_from,
    wrap_dim,
    wrap_dims,
)
from tidu.base.source import at, here
from tidu.ir.op import function
from tidu.ops.cast import cast
from tidu.ops.elementwise import positive
from tidu.ops.moving.bits import view_as_dtype
from tidu.ops.moving.movement import expand, flip, permute, reshape
from tidu.ops.rules import PART, laid_as


@function("torch.reshape Tensor.reshape")
def reshape_to(input: Any, *shape: Any, **named: Any) -> Any:
    """The same elements in another shape; one size may be -1. A view where that is possible.

    Raises RuntimeError if the number of elements differs.

    >>> torch.arange(6).reshape(2, -1)
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    sizes = sizes_from(shape, named, "shape")
    return reshape(input, infer_size(sizes, prod(input.shape)))


@function("Tensor.view")
def view(input: Any, *shape: Any, **named: Any) -> Any:
    """`reshape`, but never a copy: RuntimeError where memory does not allow a view. Of a dtype: the
    same bits read as numbers of that dtype.

    >>> torch.arange(6).view(2, -1).shape
    torch.Size([2, 3])
    """
    if named:
        shape = (named["dtype"],) if "dtype" in named else sizes_from(shape, named, "size")
    if shape and isinstance(shape[0], dtype):
        return view_as_dtype(input, shape[0])
    sizes = reshaped(input.shape, flatten_sizes(shape))
    result = input.apply_op(reshape, (input,), (sizes,))  # only tensors have the method
    if getattr(result, "_storage", None) is not getattr(input, "_storage", None):
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead. (view of "
            f"shape {list(input.shape)} as {list(sizes)}){at(here())}"
        )
    return result


@function("Tensor.view_as")
def view_as(input: Any, other: Any) -> Any:
    """`view` in the shape of another tensor.

    >>> torch.arange(4).view_as(torch.ones(2, 2))
    tensor([[0, 1],
            [2, 3]])
    """
    return view(input, *other.shape)


@function("Tensor.reshape_as")
def reshape_as(input: Any, other: Any) -> Any:
    """`reshape` to the shape of another tensor."""
    return reshape_to(input, tuple(other.shape))


@function("torch.flatten Tensor.flatten")
def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """Dimensions `start_dim` to `end_dim` (inclusive) merged into one.

    >>> torch.ones(2, 3, 4).flatten(1).shape
    torch.Size([2, 12])
    """
    shape = tuple(input.shape)
    first, last = wrap_dim(start_dim, len(shape)), wrap_dim(end_dim, len(shape))
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not shape:
        return reshape(input, (1,))
    if first == last:
        return input
    return reshape(input, (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :]))


@function("torch.ravel Tensor.ravel")
def ravel(input: Any) -> Any:
    """All elements in one dimension.

    >>> torch.ones(2, 3).ravel().shape
    torch.Size([6])
    """
    return reshape(input, (prod(input.shape),))


@function("torch.unflatten Tensor.unflatten")
def unflatten(input: Any, dim: int, sizes: Sequence[int]) -> Any:
    """One dimension split into several; one of `sizes` may be -1.

    >>> torch.ones(6, 2).unflatten(0, (2, 3)).shape
    torch.Size([2, 3, 2])
    """
    shape = tuple(input.shape)
    if not shape:
        raise RuntimeError("unflatten(): a 0-d tensor has no dimension to split")
    d = wrap_dim(dim, len(shape))
    sizes = flatten_sizes((sizes,))
    known = prod(n for n in sizes if n != -1)
    if (shape[d] != known) if -1 not in sizes else (known == 0 or shape[d] % known):
        raise RuntimeError(
            f"unflatten: Provided sizes {list(sizes)} don't multiply up to the size of dim {d} "
            f"({shape[d]}) in the input tensor"
        )
    return reshape(input, (*shape[:d], *infer_size(sizes, shape[d]), *shape[d + 1 :]))


@function("torch.unsqueeze Tensor.unsqueeze", inplace=False)
def unsqueeze(input: Any, dim: int) -> Any:
    """A new dimension of size 1 at `dim`.

    >>> torch.ones(3).unsqueeze(0).shape
    torch.Size([1, 3])
    """
    shape = tuple(input.shape)
    d = wrap_dim(dim, len(shape) + 1)
    return reshape.named("UnsqueezeBackward0", input, (*shape[:d], 1, *shape[d:]))


@function("torch.squeeze Tensor.squeeze")
def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the dimensions of size 1, all of them or those named in `dim`.

    >>> torch.ones(1, 3, 1).squeeze().shape
    torch.Size([3])
    """
    shape = tuple(input.shape)
    if dim is None:
        return reshape.named("SqueezeBackward0", input, tuple(n for n in shape if n != 1))
    many = isinstance(dim, (tuple, list))
    dims = {wrap_dim(d, len(shape)) for d in (dim if many else (dim,))}
    kept = tuple(n for i, n in enumerate(shape) if n != 1 or i not in dims)
    return reshape.named("SqueezeBackward2" if many else "SqueezeBackward1", input, kept)


@function("torch.permute Tensor.permute")
def permute_to(input: Any, *dims: Any, **named: Any) -> Any:
    """The dimensions in another order.

    >>> torch.ones(2, 3, 4).permute(2, 0, 1).shape
    torch.Size([4, 2, 3])
    """
    order = sizes_from(dims, named, "dims")
    rank = len(input.shape)
    if len(order) != rank:
        raise RuntimeError(
            "permute(): number of dimensions in the tensor input does not match the length of the "
            f"desired ordering of dimensions i.e. input.dim() = {rank} is not equal to len(dims) = "
            f"{len(order)}: {list(order)} has to name each dimension once{at(here())}"
        )
    wrapped = tuple(wrap_dim(d, rank) for d in order)
    if len(set(wrapped)) != rank:
        raise RuntimeError(
            f"permute(): duplicate dims are not allowed: {list(order)} for a tensor of shape "
            f"{list(input.shape)}{at(here())}"
        )
    return permute(input, wrapped)


@function(
    "torch.transpose torch.swapaxes torch.swapdims Tensor.transpose Tensor.swapaxes Tensor.swapdims"
)
def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two dimensions exchanged.

    >>> torch.ones(2, 3, 4).transpose(0, 2).shape
    torch.Size([4, 3, 2])
    """
    rank = len(input.shape)
    a, b = wrap_dim(dim0, rank), wrap_dim(dim1, rank)
    dims = list(range(rank))
    if rank:
        dims[a], dims[b] = dims[b], dims[a]
    return permute.named("TransposeBackward0", input, tuple(dims))


@function("torch.t Tensor.t")
def t(input: Any) -> Any:
    """The transpose of a matrix; vectors and 0-d tensors as they are.

    >>> torch.ones(2, 3).t().shape
    torch.Size([3, 2])
    """
    rank = input.ndim
    if rank > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {rank}D")
    return permute.named("TBackward0", input, ((), (0,), (1, 0))[rank])


@function("torch.movedim torch.moveaxis Tensor.movedim Tensor.moveaxis")
def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Dimensions moved to other places, the rest kept in order.

    >>> torch.ones(2, 3, 4).movedim(0, -1).shape
    torch.Size([3, 4, 2])
    """
    rank = len(input.shape)
    sources = [wrap_dim(d, rank) for d in ((source,) if isinstance(source, int) else source)]
    targets = [
        wrap_dim(d, rank) for d in ((destination,) if isinstance(destination, int) else destination)
    ]
    for name, dims in (("source", sources), ("destination", targets)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    if len(sources) != len(targets):
        raise RuntimeError(
            "movedim: Invalid source or destination dims: they should contain the same number of "
            "dims"
        )
    if not rank:
        return permute(input, ())
    order: list[int | None] = [None] * rank
    for a, b in zip(sources, targets, strict=True):
        order[b] = a
    rest = iter(d for d in range(rank) if d not in sources)
    return permute(input, tuple(next(rest) if d is None else d for d in order))


@function("torch.flip Tensor.flip")
def flip_dims(input: Any, *dims: Any, **named: Any) -> Any:
    """The order along `dims` reversed.

    >>> torch.tensor([1, 2, 3]).flip(0)
    tensor([3, 2, 1])
    """
    wanted = sizes_from(dims, named, "dims")
    rank = len(input.shape)
    return flip(input, wrap_dims(wanted, rank)) if wanted and rank else _unflipped(input, wanted)


def _unflipped(input: Any, dims: tuple[int, ...]) -> Any:
    for d in dims:
        wrap_dim(d, 0)
    return positive(input)


@function("torch.fliplr Tensor.fliplr")
def fliplr(input: Any) -> Any:
    """Columns reversed."""
    if len(input.shape) < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, (1,))


@function("torch.flipud Tensor.flipud")
def flipud(input: Any) -> Any:
    """Rows reversed."""
    if not input.shape:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, (0,))


@function("Tensor.expand")
def expand_to(input: Any, *size: Any, **named: Any) -> Any:
    """Dimensions of size 1 repeated without copying; -1 keeps a size;
    new ones may be added in front.

    >>> torch.tensor([[1], [2]]).expand(-1, 3)
    tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    sizes = sizes_from(size, named, "size")
    shape = tuple(input.shape)
    extra = len(sizes) - len(shape)
    if any(n == -1 for n in sizes[: max(extra, 0)]):
        raise RuntimeError(
            "expand(): The expanded size of the tensor (-1) isn't allowed in a leading, "
            f"non-existing dimension 0 (got {list(sizes)})"
        )
    return expand(input, tuple(shape[i - extra] if n == -1 else n for i, n in enumerate(sizes)))


@function("Tensor.expand_as")
def expand_as(input: Any, other: Any) -> Any:
    """`expand` to the shape of another tensor.

    >>> torch.ones(1).expand_as(torch.zeros(3))
    tensor([1., 1., 1.])
    """
    return expand(input, tuple(other.shape))


@function("torch.broadcast_to Tensor.broadcast_to")
def broadcast_to(input: Any, size: Any) -> Any:
    """`expand` under its NumPy name.

    >>> torch.broadcast_to(torch.tensor([1, 2]), (2, 2))
    tensor([[1, 2],
            [1, 2]])
    """
    return expand_to(input, size)


@function("Tensor.repeat")
def repeat(input: Any, *repeats: Any, **named: Any) -> Any:
    """The whole tensor repeated along each dimension, copied.

    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    counts = sizes_from(repeats, named, "repeats")
    shape = tuple(input.shape)
    if any(n < 0 for n in counts):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(counts)}: repeat counts "
            f"{list(counts)}{at(here())}"
        )
    if len(counts) < len(shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            f"tensor: {list(counts)} for shape {list(shape)}{at(here())}"
        )
    shape = (1,) * (len(counts) - len(shape)) + shape
    pairs = tuple(n for c, s in zip(counts, shape, strict=True) for n in (c, s))
    interleaved = reshape.named(PART, input, tuple(n for s in shape for n in (1, s)))
    whole = tuple(c * s for c, s in zip(counts, shape, strict=True))
    # No view of that copy either: what is repeated has memory of its own.
    repeated = laid_as(positive.named(PART, expand.named(PART, interleaved, pairs)), None)
    return positive.named("RepeatBackward0", reshape.named(PART, repeated, whole))


@function("torch.positive Tensor.positive")
def positive_of(input: Any) -> Any:
    """The tensor itself, as `+input` gives it; RuntimeError on bools."""
    if input.dtype is bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported; use input.int()")
    return input


def convert(input: Any, d: dtype) -> Any:
    """`input` in dtype `d`: itself if it has it already."""
    return input if input.dtype is d else cast(input, d)
