"""Order: sorting, and the greatest few.

The places are worked out by an op of their own and the values gathered from there, so that a
derivative of every order is that of `gather`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import wrap_dim
from tidu.base.strides import strides_of_copy
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.indexing import unstable
from tidu.ops.indexing.along import gather
from tidu.ops.results import Results, Sort, TopK
from tidu.ops.rules import laid_as


def sortable(x: Any) -> Any:
    """bfloat16 as float32, of which NumPy knows the order."""
    return x.astype(np.float32) if x.dtype.kind == "V" else x


def ordering(x: Any, dim: int, descending: bool = False) -> Any:
    """The stable order along `dim`; NaN counts as greater than any number."""
    x = sortable(x)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    # The order of the mirrored array, mirrored back, keeps equal elements in their order.
    return x.shape[dim] - 1 - np.flip(np.argsort(np.flip(x, dim), axis=dim, kind="stable"), dim)


def ranks(row: Any) -> Any:
    """For each element of a row how many different ones are less; NaN counts as the greatest."""
    return np.unique(row, return_inverse=True)[1]


def _infer_places(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, inputs[0].shape, dtypes.int64


argsort_ = define(
    "argsort",
    attrs="dim descending",
    kind="host",
    strides=strides_of_copy,
    infer=_infer_places,
    numpy=lambda x, dim, descending: (
        ordering(x, dim, descending) if x.ndim else np.zeros((), np.int64)
    ),
    samples=lambda: [
        Sample((Array((3, 4)), 1, False)),
        Sample((Array((5, 2)), 0, True)),
        Sample((Array(()), 0, False)),
        Sample((Array((0, 3)), 0, True)),
    ],
    reference=lambda torch, x, dim, descending: torch.argsort(
        x, dim=dim, descending=descending, stable=True
    ),
)


def _topk_numpy(x: Any, k: int, dim: int, largest: bool, sorted_: bool) -> Any:
    if not x.ndim:
        return np.zeros((), np.int64)
    numbers = np.moveaxis(sortable(x), dim, -1)
    places = _greatest(numbers, k, largest)
    if k:
        for row in unstable.followed(tied(numbers, places), numbers.shape[-1]):
            places[*row] = _greatest_in_turn(ranks(numbers[*row]), k, largest)
    return np.moveaxis(places, -1, dim)


def _greatest(numbers: Any, k: int, largest: bool) -> Any:
    """Places of the k greatest (or least) of each row; whichever among equals."""
    n = numbers.shape[-1]
    if k * 8 > n or not k or numbers.dtype.kind != "f" or np.isnan(numbers).any():
        return ordering(numbers, -1, largest)[..., :k].copy()
    # A few of many: part them off first, then sort only those.
    few = np.argpartition(-numbers if largest else numbers, k - 1, -1)[..., :k]
    order = ordering(np.take_along_axis(numbers, few, -1), -1, largest)
    return np.take_along_axis(few, order, -1)


def tied(numbers: Any, places: Any) -> Any:
    """In which rows what is at `places`, in order, has equals, there or elsewhere."""
    found = np.take_along_axis(numbers, places, -1)
    last = found[..., -1:]
    return (_equal(numbers, last).sum(-1) > 1) | _equal(found[..., 1:], found[..., :-1]).any(-1)


def _equal(x: Any, y: Any) -> Any:
    equal = x == y
    return equal if x.dtype.kind != "f" else equal | (np.isnan(x) & np.isnan(y))


def _greatest_in_turn(rank: Any, k: int, largest: bool) -> list[int]:
    """Places of the k greatest, equals in the order that PyTorch's algorithms leave them in."""
    keys = (-rank if largest else rank).tolist()
    row = list(range(len(keys)))
    if k * 64 <= len(keys):
        unstable.partial_sort(row, keys, k)
    else:
        unstable.nth_element(row, keys, k - 1)
        unstable.sort(row, keys, k - 1)
    return row[:k]


def _infer_topk(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (k, dim, _, _) = inputs, attrs
    if x.dtype is dtypes.bool_:
        raise RuntimeError("topk does not support bool dtypes on CPU; write x.long()")
    size = x.shape[dim] if x.shape else 1
    if not 0 <= k <= size:
        raise RuntimeError(
            f"selected index k out of range: topk of {k} along dimension {dim} of size {size}"
        )
    shape = tuple(k if i == dim else n for i, n in enumerate(x.shape))
    return inputs, shape, dtypes.int64


topk_places = define(
    "topk_places",
    attrs="k dim largest sorted",
    kind="host",
    infer=_infer_topk,
    numpy=_topk_numpy,
    samples=lambda: [
        Sample((Array((3, 4)), 2, 1, True, True)),
        Sample((Array((40,)), 3, 0, False, True)),
        Sample((Array((60, 2)), 4, 0, True, True)),
        Sample((Array(()), 1, 0, True, True)),
    ],
    dtypes="float",
    reference=lambda torch, x, k, dim, largest, sorted_: (
        torch.topk(x, k, dim, largest, sorted_).indices
    ),
)


@function("torch.argsort Tensor.argsort")
def argsort(input: Any, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """The indices that sort along `dim`; equal elements keep their order.

    >>> torch.tensor([3, 1, 2]).argsort()
    tensor([1, 2, 0])
    """
    return argsort_(input, wrap_dim(dim, len(input.shape)), bool(descending))


@function("torch.sort Tensor.sort")
def sort(
    input: Any, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> Results:
    """(values, indices), sorted along `dim`;
    equal elements keep their order, NaN counts as the greatest.

    >>> torch.tensor([3, 1, 2]).sort().values
    tensor([1, 2, 3])
    """
    d = wrap_dim(dim, len(input.shape))
    places = argsort_(input, d, bool(descending))
    name = "SortBackward0" if stable is None else "SortBackward1"
    return Sort((laid_as(gather.named(name, input, places, d), input), places))


@function("torch.msort Tensor.msort")
def msort(input: Any) -> Any:
    """The values sorted along the first dimension.

    >>> torch.msort(torch.tensor([[2, 1], [0, 3]]))
    tensor([[0, 1],
            [2, 3]])
    """
    return sort(input, 0)[0]


@function("torch.topk Tensor.topk")
def topk(input: Any, k: Any, dim: int = -1, largest: bool = True, sorted: bool = True) -> Results:
    """(values, indices) of the `k` greatest (or least) elements along `dim`, in order.

    Raises RuntimeError if there are fewer than `k`.

    >>> torch.tensor([1., 4., 3.]).topk(2).values
    tensor([4., 3.])
    """
    d = wrap_dim(dim, len(input.shape))
    places = topk_places(input, int(k), d, bool(largest), bool(sorted))
    return TopK((gather.named("TopkBackward0", input, places, d), places))
