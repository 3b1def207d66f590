"""The public functions that take tensors apart: narrow, select, split, chunk, unbind, ..."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import wrap_dim
from tidu.ir.op import function
from tidu.ops.elementwise import positive
from tidu.ops.moving.movement import diagonal_, ranges_along, select_, slice_, slice_along


@function("torch.narrow Tensor.narrow")
def narrow(input: Any, dim: int, start: Any, length: int) -> Any:
    """`length` elements along `dim`, from `start` on.

    >>> torch.arange(5).narrow(0, 1, 3)
    tensor([1, 2, 3])
    """
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
    return slice_along(input, d, start, start + length)


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


def _require_dims(name: str, tensor: Any) -> None:
    if not tensor.shape:
        raise RuntimeError(
            f"{name} expects at least a 1-dimensional tensor, but got one with 0 dimensions"
        )


@function("torch.split Tensor.split")
def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of parts along `dim`: of one size (the last may be smaller), or of the sizes listed.

    >>> torch.arange(5).split(2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    _require_dims("split", tensor)
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
        parts.append(
            slice_.named(grad_name, tensor, ranges_along(tensor.shape, d, start, start + size))
        )
        start += size
    return tuple(parts)


@function("torch.split_with_sizes Tensor.split_with_sizes")
def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> Any:
    """`split` with a list of sizes."""
    return split(input, list(split_sizes), dim)


@function("torch.chunk Tensor.chunk")
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` views of equal size along `dim`, the last possibly smaller.

    >>> torch.arange(5).chunk(2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    _require_dims("chunk", input)
    d = wrap_dim(dim, len(input.shape))
    size = -(-input.shape[d] // chunks)
    return (
        _cut(input, d, [0] * chunks, "SplitWithSizesBackward0")
        if size == 0
        else split(input, size, d)
    )


@function("torch.unbind Tensor.unbind")
def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """All parts along `dim`, without that dimension.

    >>> torch.tensor([[1, 2], [3, 4]]).unbind()
    (tensor([1, 2]), tensor([3, 4]))
    """
    shape = tuple(input.shape)
    if not shape:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    d = wrap_dim(dim, len(shape))
    return tuple(select_.named("UnbindBackward0", input, d, i) for i in range(shape[d]))


@function("torch.diagonal Tensor.diagonal")
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two dimensions, as the last dimension of a view.

    >>> torch.tensor([[1, 2], [3, 4]]).diagonal()
    tensor([1, 4])
    """
    rank = len(input.shape)
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return diagonal_(input, offset, a, b)


def _cuts(indices_or_sections: Any, named: dict[str, Any]) -> Any:
    """Where to cut, which may also be named `indices` or `sections`, after what it is."""
    return next(iter(named.values())) if indices_or_sections is None else indices_or_sections


@function("torch.tensor_split Tensor.tensor_split")
def tensor_split(
    input: Any, indices_or_sections: Any = None, dim: int = 0, **named: Any
) -> tuple[Any, ...]:
    """Views of parts along `dim`: `sections` of nearly equal size, or cut at the given indices.

    >>> torch.arange(5).tensor_split([1, 3])
    (tensor([0]), tensor([1, 2]), tensor([3, 4]))
    """
    cuts = _cuts(indices_or_sections, named)
    if not input.shape:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    d = wrap_dim(dim, len(input.shape))
    n = input.shape[d]
    if hasattr(cuts, "tolist"):
        if cuts.dtype is not dtypes.int64 or len(cuts.shape) > 1:
            raise RuntimeError(
                "tensor_split expected tensor_indices_or_sections to be a zero-dimensional or"
                f" one-dimensional tensor of int64, but got one of shape {list(cuts.shape)} and"
                f" {cuts.dtype}"
            )
        cuts = cuts.tolist() if cuts.shape else cuts.item()
    if isinstance(cuts, int):
        if cuts <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {cuts}")
        size, extra = divmod(n, cuts)
        ends = [(i + 1) * size + min(i + 1, extra) for i in range(cuts)]
        edges = list(zip([0, *ends[:-1]], ends, strict=True))
    else:
        starts = [0, *(slice(c, None).indices(n)[0] for c in cuts)]
        edges = [(a, max(a, b)) for a, b in zip(starts, [*starts[1:], n], strict=True)]
    return tuple(slice_along(input, d, a, b) for a, b in edges)


def _split_evenly(operation: str, input: Any, parts: Any, dim: int, least: int) -> tuple[Any, ...]:
    if len(input.shape) < least:
        raise RuntimeError(
            f"torch.{operation} requires a tensor with at least {least}"
            f" dimension{'s' * (least > 1)}, but got a tensor with {len(input.shape)} dimensions!"
        )
    if isinstance(parts, int) and (parts <= 0 or input.shape[dim] % parts):
        raise RuntimeError(
            f"torch.{operation} attempted to split along dimension {dim}, but the size of the"
            f" dimension {input.shape[dim]} is not divisible by the split_size {parts}!"
        )
    views: tuple[Any, ...] = tensor_split(input, parts, dim)
    return views


@function("torch.hsplit Tensor.hsplit")
def hsplit(input: Any, indices_or_sections: Any = None, **named: Any) -> tuple[Any, ...]:
    """`tensor_split` by columns (vectors: by elements) into equal parts or at indices."""
    parts = _cuts(indices_or_sections, named)
    return _split_evenly("hsplit", input, parts, 0 if len(input.shape) == 1 else 1, 1)


@function("torch.vsplit Tensor.vsplit")
def vsplit(input: Any, indices_or_sections: Any = None, **named: Any) -> tuple[Any, ...]:
    """`tensor_split` by rows into equal parts or at indices."""
    parts = _cuts(indices_or_sections, named)
    return _split_evenly("vsplit", input, parts, 0, 2)


@function("torch.dsplit Tensor.dsplit")
def dsplit(input: Any, indices_or_sections: Any = None, **named: Any) -> tuple[Any, ...]:
    """`tensor_split` along the third dimension into equal parts or at indices."""
    parts = _cuts(indices_or_sections, named)
    return _split_evenly("dsplit", input, parts, 2, 3)


@function("torch.unsafe_split Tensor.unsafe_split")
def unsafe_split(input: Any, split_size: int, dim: int = 0) -> tuple[Any, ...]:
    """`split` whose parts do not know of each other on the tape."""
    return tuple(positive.named("UnsafeSplitBackward0", x) for x in split(input, split_size, dim))


@function("torch.unsafe_chunk Tensor.unsafe_chunk")
def unsafe_chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """`chunk` whose parts do not know of each other on the tape."""
    return tuple(positive.named("UnsafeSplitBackward0", x) for x in chunk(input, chunks, dim))
