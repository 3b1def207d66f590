"""Shapes: broadcasting, dimension numbers, and sizes given in various ways."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from tidu.base.source import at, here

Shape = tuple[int, ...]


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple that prints as ``torch.Size([2, 3])``.

    >>> torch.ones(2, 3).shape
    torch.Size([2, 3])
    >>> torch.ones(2, 3).shape.numel()
    6
    """

    __slots__ = ()

    def numel(self) -> int:
        return prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, index: Any) -> Any:
        got = tuple.__getitem__(self, index)
        return Size(got) if isinstance(index, slice) else got

    def __add__(self, other: Any) -> Size:
        return Size(tuple(self) + tuple(other))

    def __radd__(self, other: Any) -> Size:
        return Size(tuple(other) + tuple(self))

    def __mul__(self, times: Any) -> Size:
        return Size(tuple(self) * times)

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return size_of, (tuple(self),)


def size_of(sizes: Shape) -> Size:
    """A `Size` from a pickle, which does not name the class: what it says it is from may change."""
    return Size(sizes)


def broadcast(operation: str, *shapes: Shape) -> Shape:
    """The common shape, matching dimensions from the right;
    RuntimeError naming the first that differs.
    """
    result = shapes[0]
    for shape in shapes[1:]:
        if shape != result and shape:  # everything is as large as a single number, or larger
            result = _broadcast_pair(operation, result, shape) if result else shape
    return result


@functools.lru_cache(4096)
def _broadcast_pair(operation: str, a: Shape, b: Shape) -> Shape:
    if b == a[len(a) - len(b) :] and len(b) < len(a):
        return tuple(a)
    rank = max(len(a), len(b))
    result = [1] * rank
    for back in range(1, rank + 1):
        size_a = a[-back] if back <= len(a) else 1
        size_b = b[-back] if back <= len(b) else 1
        if size_a != size_b and 1 not in (size_a, size_b):
            raise RuntimeError(
                f"The size of tensor a ({size_a}) must match the size of tensor b ({size_b}) at "
                f"non-singleton dimension {rank - back}: {operation} of shapes {list(a)} and "
                f"{list(b)} does not broadcast; dimension -{back} is the first from the right that "
                f"does not fit. Each pair of sizes must be equal, or one of them 1.{at(here())}"
            )
        result[-back] = size_b if size_a == 1 else size_a
    return tuple(result)


def can_broadcast(shape: Shape, target: Shape) -> bool:
    """Whether `shape` broadcasts to exactly `target`."""
    extra = len(target) - len(shape)
    return extra >= 0 and all(n in (1, m) for n, m in zip(shape, target[extra:], strict=True))


def wrap_dim(dim: int, rank: int) -> int:
    """A dimension number in [0, rank); IndexError as PyTorch words it.

    A 0-d tensor counts as 1-d.
    """
    if dim.__class__ is not int:
        dim = _as_dim(dim)
    bound = max(rank, 1)
    if not -bound <= dim < bound:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-bound}, {bound - 1}], but got "
            f"{dim}); negative numbers count from the last dimension{at(here())}"
        )
    return dim + bound if dim < 0 else dim


def _as_dim(dim: Any) -> int:
    """NumPy's integers and 0-d integer tensors are dimension numbers, True and 1.0 are none."""
    if not isinstance(dim, bool):
        try:
            return operator.index(dim)
        except TypeError:
            pass
    raise TypeError(
        f"argument 'dim' must be int, not {type(dim).__name__}: {dim!r} is no number of a dimension"
        f"{at(here())}"
    )


_ALL_DIMS = tuple(tuple(range(rank)) for rank in range(8))


def wrap_dims(dims: int | Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Several dimension numbers, each once; None or () stands for all of them."""
    if dims is None:
        return _ALL_DIMS[rank] if rank < len(_ALL_DIMS) else tuple(range(rank))
    if isinstance(dims, int) or not isinstance(dims, Sequence):
        dims = (dims,)
    if len(dims) == 0:
        return tuple(range(rank))
    wrapped = tuple(wrap_dim(d, rank) for d in dims)
    if len(set(wrapped)) != len(wrapped):
        repeated = next(d for d in wrapped if wrapped.count(d) > 1)
        raise RuntimeError(
            f"dim {repeated} appears multiple times in the list of dims {list(dims)}{at(here())}"
        )
    return wrapped if rank else ()


@functools.lru_cache(4096)
def reduced(shape: Shape, dims: Shape, keepdim: bool) -> Shape:
    """The shape after reducing `dims`."""
    if len(dims) == len(shape):
        return (1,) * len(shape) if keepdim else ()
    if keepdim:
        return tuple([1 if i in dims else n for i, n in enumerate(shape)])
    return tuple([n for i, n in enumerate(shape) if i not in dims])


def infer_size(shape: Sequence[int], numel: int) -> Shape:
    """`shape` with its one -1 worked out from the number of elements."""
    if prod(shape) == numel and shape.__class__ is tuple and (not shape or min(shape) >= 0):
        return shape
    return _inferred(tuple([int(n) for n in shape]), numel)


@functools.lru_cache(4096)
def reshaped(shape: Shape, sizes: Shape) -> Shape:
    """`sizes`, integers, for what has `shape` now, as in `infer_size`."""
    return infer_size(sizes, prod(shape))


@functools.lru_cache(4096)
def _inferred(sizes: Shape, numel: int) -> Shape:
    if any(n < -1 for n in sizes):
        raise RuntimeError(
            f"invalid shape dimension {next(n for n in sizes if n < -1)}{at(here())}"
        )
    unknown = sizes.count(-1)
    if unknown > 1:
        raise RuntimeError(
            f"only one dimension can be inferred, but {list(sizes)} has {unknown} sizes of -1"
            f"{at(here())}"
        )
    known = prod(n for n in sizes if n != -1)
    if unknown:
        if known == 0:
            raise RuntimeError(
                f"cannot reshape tensor of {numel} elements into shape {list(sizes)} because the "
                f"unspecified dimension size -1 can be any value and is ambiguous{at(here())}"
            )
        if numel % known == 0:
            return tuple(numel // known if n == -1 else n for n in sizes)
    elif known == numel:
        return sizes
    hint = f"a multiple of {known}" if unknown else f"{known}"
    raise RuntimeError(
        f"shape '{list(sizes)}' is invalid for input of size {numel}: it needs {hint} elements"
        f"{at(here())}"
    )


_INTEGERS = {int}


def flatten_sizes(sizes: tuple[Any, ...]) -> tuple[int, ...]:
    """``f(2, 3)`` and ``f((2, 3))`` mean the same; sizes may be ints or 0-d integer tensors."""
    if set(map(type, sizes)) == _INTEGERS:
        return sizes
    if len(sizes) == 1 and isinstance(sizes[0], Iterable) and not isinstance(sizes[0], int):
        shape = getattr(sizes[0], "shape", None)
        if shape is None or len(shape) > 0:
            sizes = tuple(sizes[0])
    return tuple(n if n.__class__ is int else _as_size(n) for n in sizes)


def _as_size(size: Any) -> int:
    try:
        return operator.index(size)
    except TypeError:
        raise TypeError(
            f"argument 'size' must be tuple of ints, not {type(size).__name__}: {size!r} is no "
            f"number of elements{at(here())}"
        ) from None


def sequence_of_sizes(operation: str, sizes: Any) -> tuple[int, ...]:
    """The sizes in an argument that has to be a sequence of them."""
    if isinstance(sizes, int):
        raise TypeError(
            f"{operation}(): argument 'size' must be tuple of ints, not int; write ({sizes},)"
            f"{at(here())}"
        )
    return flatten_sizes((sizes,))


# Options of functions that make tensors which make no difference here.
_WITHOUT_EFFECT = {"layout", "memory_format", "names", "pin_memory"}


def refuse_unknown(function: str, named: dict[str, Any], *known: str) -> None:
    """TypeError for a keyword argument that is neither known nor without effect."""
    for key in named:
        if key not in _WITHOUT_EFFECT and key not in known:
            raise TypeError(f"{function}() got an unexpected keyword argument {key!r}{at(here())}")


def sizes_from(sizes: tuple[Any, ...], named: dict[str, Any], name: str) -> tuple[int, ...]:
    """Sizes given one by one, as one sequence, or by keyword."""
    refuse_unknown("this function", named, name)
    return flatten_sizes((named[name],) if name in named else sizes)
