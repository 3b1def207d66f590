"""Memory seen in other ways: arbitrary strides, other sizes, and sizes without contents."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import flatten_sizes, sizes_from
from tidu.base.strides import is_dense, memory_order, strides_like
from tidu.ir.op import function
from tidu.ops.elementwise import positive
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import permute, reshape, slice_
from tidu.ops.moving.strided import as_strided_, last_place
from tidu.ops.sources import full
from tidu.tensor import creation
from tidu.tensor.laying import lay
from tidu.tensor.tensor import Tensor, from_value


def _whole(x: Tensor) -> Any:
    """A contiguous tensor over all of the memory that `x` is part of,
    with its history where it has one.
    """
    if x._chain is None:
        return _in_order(x)
    base = x._base
    if base is not None and base._chain is None:
        return _in_order(base)
    whole = from_value(x._storage.value)
    whole._storage = x._storage
    return _in_order(whole)


def _in_order(whole: Tensor) -> Any:
    """All of some memory with its dimensions in the order in which they lie there."""
    strides = whole._storage.strides
    order = None if strides is None else memory_order(tuple(whole.shape), strides)
    return whole if order is None else permute(whole, order)


@function("torch.as_strided Tensor.as_strided")
def as_strided(
    input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Any:
    """A view of the memory of `input` with any sizes and strides,
    counted from the start of the memory.

    Raises RuntimeError where that would reach beyond the memory.
    """
    offset = input._strides()[1] if storage_offset is None else storage_offset
    return as_strided_(_whole(input), flatten_sizes((size,)), flatten_sizes((stride,)), int(offset))


@function("torch.as_strided_copy")
def as_strided_copy(
    input: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Any:
    """`as_strided`, copied."""
    return positive.named(
        "AsStridedBackward0_copy", as_strided(input, size, stride, storage_offset)
    )


@function("Tensor.as_strided_")
def as_strided_in_place(
    self: Any, size: Sequence[int], stride: Sequence[int], storage_offset: int | None = None
) -> Any:
    """The tensor itself becomes the view."""
    self.data = as_strided(self.detach(), size, stride, storage_offset)
    return self


@function("Tensor.resize_ torch.resize_")
def resize_(self: Any, *size: Any, memory_format: Any = None, **named: Any) -> Any:
    """Another size, in place: the elements in memory are kept in order, new ones are zeros.

    Raises RuntimeError on a tensor that requires a gradient.
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad; resize x.detach()")
    shape = sizes_from(size, named, "size")
    if any(n < 0 for n in shape):
        raise RuntimeError(f"resize_: sizes must not be negative, but got {list(shape)}")
    start = self._strides()[1]
    memory = self._storage.in_order()
    flat = slice_(reshape(memory, (memory.numel(),)), ((start, memory.numel(), 1),))
    count = prod(shape)
    if count <= flat.shape[0]:
        flat = slice_(flat, ((0, count, 1),))
    else:
        flat = cat_((flat, full(0, (count - flat.shape[0],), self.dtype)), 0)
    self.data = from_value(reshape(flat, shape))
    return self


@function("Tensor.resize_as_ torch.resize_as_")
def resize_as_(self: Any, the_template: Any, *, memory_format: Any = None) -> Any:
    """`resize_` to the shape of another tensor."""
    return resize_(self, tuple(the_template.shape))


@function("Tensor.resize")
def resize(self: Any, *sizes: Any) -> Any:
    """`reshape` to sizes with as many elements."""
    return self.reshape(*sizes)


@function("Tensor.resize_as")
def resize_as(self: Any, tensor: Any) -> Any:
    """`reshape` to the shape of another tensor."""
    return self.reshape(tuple(tensor.shape))


@function("Tensor.sum_to_size")
def sum_to_size(self: Any, *size: Any) -> Any:
    """Summed over the dimensions along which something of `size` is repeated to this shape."""
    wanted = flatten_sizes(size)
    shape = tuple(self.shape)
    extra = len(shape) - len(wanted)
    if extra < 0 or any(n not in (1, m) for n, m in zip(wanted, shape[extra:], strict=True)):
        raise RuntimeError(f"size {{{list(wanted)}}} is not expandable to size {{{list(shape)}}}.")
    dims = [i for i, n in enumerate(shape) if i < extra or (wanted[i - extra] == 1 and n != 1)]
    return self.sum(dims).reshape(wanted) if dims else self


def _strided(size: Any, stride: Any, d: Any, requires_grad: bool) -> Tensor:
    sizes, steps = flatten_sizes((size,)), flatten_sizes((stride,))
    if len(sizes) != len(steps):
        raise RuntimeError(
            f"dimensionality of sizes ({len(sizes)}) must match dimensionality of strides"
            f" ({len(steps)})"
        )
    if is_dense(sizes, steps):
        made: Tensor = lay(creation.empty(sizes, dtype=d), strides_like(sizes, steps))
        return made.requires_grad_() if requires_grad else made
    count = 0 if 0 in sizes else last_place(sizes, steps, 0) + 1
    made = as_strided_(creation.empty(count, dtype=d), sizes, steps, 0)
    made._base = None
    return made.requires_grad_() if requires_grad else made


@function("torch.empty_strided")
def empty_strided(
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """A tensor of the given sizes and strides whose contents are not specified."""
    return _strided(size, stride, dtype, requires_grad)


@function("torch.empty_permuted")
def empty_permuted(
    size: Any,
    physical_layout: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """A tensor that lies in memory in the given order of dimensions, with unspecified contents."""
    sizes, order = flatten_sizes((size,)), flatten_sizes((physical_layout,))
    if sorted(order) != list(range(len(sizes))):
        raise RuntimeError(
            f"physical_layout {list(order)} is not a permutation of the dimensions of {list(sizes)}"
        )
    steps, step = [0] * len(sizes), 1
    for d in reversed(order):
        steps[d] = step
        step *= max(sizes[d], 1)
    return _strided(sizes, tuple(steps), dtype, requires_grad)


@function("Tensor.new_empty_strided")
def new_empty_strided(
    self: Any,
    size: Any,
    stride: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """`empty_strided` in this dtype."""
    return _strided(size, stride, dtypes.given(dtype) or self.dtype, requires_grad)
