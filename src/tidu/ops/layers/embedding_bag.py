"""Bags: one vector for several numbers, as sum, mean or maximum of the rows that they stand for."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import pending
from tidu.ops.elementwise import clamp, ne, where
from tidu.ops.indexing.along import gather, scatter_add
from tidu.ops.indexing.arrays import index, index_put
from tidu.ops.indexing.bounds import bounds_of
from tidu.ops.layers.embedding import add_rows, renormalize, require_indices
from tidu.ops.moving.joining import cat_
from tidu.ops.moving.movement import reshape, slice_
from tidu.ops.reductions.reduce import sum_
from tidu.ops.sources import arange_, full

MODES = ("sum", "mean", "max")


def _check_offsets(offsets: Any, count: int) -> None:
    if not offsets.size:
        return
    if offsets[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {offsets[0]}"
        )
    if offsets[-1] > count:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {count} but got offsets[-1] of "
            f"{offsets[-1]}"
        )
    if np.any(offsets[1:] < offsets[:-1]):
        raise RuntimeError(
            f"embedding_bag: offsets have to be in ascending order, but they are {offsets.tolist()}"
        )


def _bag_numbers_numpy(offsets: Any, count: int, bags: int) -> Any:
    _check_offsets(offsets, count)
    numbers = np.searchsorted(offsets, np.arange(count), side="right") - 1
    return np.where((numbers < 0) | (numbers >= bags), bags, numbers)


# For each of `count` positions the bag in which it lies, or `bags` where it lies in none.
bag_numbers = define(
    "bag_numbers",
    inputs="offsets",
    attrs="count bags",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, (attrs[0],), dtypes.int64),
    numpy=_bag_numbers_numpy,
    samples=lambda: [
        Sample((Array((2,), 0, 1, "int64"), 3, 2)),
        Sample((Array((1,), 0, 1, "int64"), 0, 1)),
    ],
    dtypes="integer",
    reference=lambda torch, offsets, count, bags: torch.full((count,), bags - 1),
)


def _bag_maxima_numpy(rows: Any, bag: Any, bags: int) -> Any:
    greatest = np.full((bags + 1, rows.shape[1]), -np.inf, rows.dtype)
    np.maximum.at(greatest, bag, rows)
    count = len(rows)
    candidates = np.where(
        (rows == greatest[bag]) | (rows != rows), np.arange(count)[:, None], count
    )
    first = np.full((bags + 1, rows.shape[1]), count)
    np.minimum.at(first, bag, candidates)
    return first[:bags]


# Where in each bag the first maximum of each column stands; the number of rows for an empty bag.
bag_maxima = define(
    "bag_maxima",
    inputs="rows bag",
    attrs="bags",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, (attrs[0], inputs[0].shape[1]), dtypes.int64),
    numpy=_bag_maxima_numpy,
    samples=lambda: [Sample((Array((4, 3)), Array((4,), 0, 1, "int64"), 1))],
    dtypes="float",
    reference=lambda torch, rows, bag, bags: rows.argmax(0, keepdim=True),
)


class _Bags:
    """What the value and the derivatives of bags have in common:
    N indices in B bags, rows of D numbers.
    """

    def __init__(self, weight: Any, indices: Any, offsets: Any, attrs: tuple[Any, ...]) -> None:
        _, padding_idx, self.scale, self.count = attrs
        self.weight, self.indices = weight, indices
        self.bag = bag_numbers(offsets, indices.shape[0], self.count)
        if padding_idx >= 0:  # what is padding lies in no bag
            self.bag = where(ne(indices, padding_idx), self.bag, self.count)

    def rows(self) -> Any:
        """(N, D)"""
        return index((self.weight, self.indices), (0,))

    def total(self, rows: Any) -> Any:
        """The sum of the rows of each bag: (N, D) gives (B, D)."""
        shape = (self.count + 1, rows.shape[1])
        summed = index_put((full(0.0, shape, rows.dtype), rows, self.bag), (0,), True)
        return slice_(summed, ((0, self.count, 1), (0, shape[1], 1)))

    def sizes(self) -> Any:
        """How many indices each bag holds, at least 1: (B, 1)."""
        return clamp(
            self.total(full(1.0, (self.indices.shape[0], 1), self.weight.dtype)), 1.0, None
        )

    def each(self, g: Any) -> Any:
        """For each index the row of its bag, zeros outside of bags: (B, D) gives (N, D)."""
        return index((_with_zero_row(g), self.bag), (0,))

    def maxima(self) -> Any:
        """Where the maximum of each column of each bag stands: (B, D), N for an empty bag."""
        return bag_maxima(self.rows(), self.bag, self.count)

    def from_maxima(self, g: Any) -> Any:
        """Each number of (B, D) at the place of the maximum it belongs to: (N, D)."""
        n, d = self.indices.shape[0], g.shape[1]
        placed = scatter_add(full(0.0, (n + 1, d), g.dtype), self.maxima(), g, 0)
        return slice_(placed, ((0, n, 1), (0, d, 1)))


def _with_zero_row(x: Any) -> Any:
    return cat_((x, full(0.0, (1, x.shape[1]), x.dtype)), 0)


def _bag(weight: Any, indices: Any, offsets: Any, weights: Any, *attrs: Any) -> Any:
    bags, mode = _Bags(weight, indices, offsets, attrs), attrs[0]
    rows = bags.rows()
    if mode == "max":
        return gather(_with_zero_row(rows), bags.maxima(), 0)
    total = bags.total(rows if weights is None else rows * reshape(weights, (-1, 1)))
    return total if mode == "sum" else total / bags.sizes()


def _bag_vjp_weight(
    g: Any, out: Any, weight: Any, indices: Any, offsets: Any, weights: Any, *attrs: Any
) -> Any:
    bags, mode = _Bags(weight, indices, offsets, attrs), attrs[0]
    if mode == "max":
        rows = bags.from_maxima(g)
    else:
        rows = bags.each(g if mode == "sum" else g / bags.sizes())
        rows = rows if weights is None else rows * reshape(weights, (-1, 1))
    return add_rows(rows, weight, indices, -1, bags.scale)


def _bag_vjp_weights(
    g: Any, out: Any, weight: Any, indices: Any, offsets: Any, weights: Any, *attrs: Any
) -> Any:
    bags = _Bags(weight, indices, offsets, attrs)
    return sum_(bags.each(g) * bags.rows(), (1,), False)


def _bag_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    weight, indices, offsets, _ = inputs
    for x in (indices, offsets):
        require_indices("embedding_bag", x)
    bounds = bounds_of(indices)
    rows = weight.shape[0]
    if bounds is not None and (bounds[0] < 0 or bounds[1] >= rows):
        numbers = pending.peek(indices)
        wrong = int(np.flatnonzero((numbers < 0) | (numbers >= rows))[0])
        raise RuntimeError(
            f"Index {wrong} of input takes value {numbers[wrong]} which is not in the valid "
            f"range [0, {rows})"
        )
    if offsets.buffer is not None:
        _check_offsets(offsets.buffer, indices.shape[0])
    return inputs, (attrs[3], weight.shape[1]), weight.dtype


def _torch_bag(
    torch: Any, weight: Any, indices: Any, offsets: Any, weights: Any, *attrs: Any
) -> Any:
    mode, padding_idx, _, count = attrs
    if weights is not None:  # written out: PyTorch's has no second derivative
        bag = torch.searchsorted(offsets, torch.arange(len(indices)), right=True) - 1
        rows = weight[indices] * weights[:, None]
        return torch.zeros((count, weight.shape[1]), dtype=weight.dtype).index_add(0, bag, rows)
    padding = None if padding_idx < 0 else padding_idx
    return torch.nn.functional.embedding_bag(
        indices, weight, offsets, mode=mode, padding_idx=padding
    )


def _bag_samples() -> list[Sample]:
    weight, indices, offsets = Array((5, 3)), Array((4,), 0, 5, "int64"), Array((2,), 0, 1, "int64")
    return [
        Sample((weight, indices, offsets, None, "sum", -1, False, 2)),
        Sample((weight, indices, offsets, Array((4,)), "sum", -1, False, 2)),
        Sample((weight, indices, offsets, None, "mean", 1, False, 2)),
        Sample((weight, indices, offsets, None, "max", -1, False, 2)),
    ]


embedding_bag_ = define(
    "embedding_bag",
    inputs="weight indices offsets per_sample_weights",
    attrs="mode padding_idx scale_grad_by_freq bags",
    kind="composite",
    infer=_bag_infer,
    decompose=_bag,
    vjp=(_bag_vjp_weight, None, None, _bag_vjp_weights),
    samples=_bag_samples,
    dtypes="float",
    reference=_torch_bag,
)


def _check_bags(input: Any, offsets: Any) -> None:
    """Bags are the rows of a matrix, or parts of a vector that begin at `offsets`."""
    rank = len(input.shape)
    if rank not in (1, 2):
        raise ValueError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {rank}")
    if rank == 2 and offsets is not None:
        raise ValueError(
            "if input is 2D, then offsets has to be None, as input is treated is a mini-batch of "
            f"fixed length sequences. However, found offsets of type {type(offsets)}"
        )
    if rank == 1 and offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if rank == 1 and len(offsets.shape) != 1:
        raise ValueError("offsets has to be a 1D Tensor")


def _check_mode(mode: str, scale_grad_by_freq: bool, per_sample_weights: Any) -> None:
    if mode not in MODES:
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode != "sum" and per_sample_weights is not None:
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}')."
        )


@function("torch.nn.functional.embedding_bag")
def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum of the rows of `weight` that each bag of indices stands for.

    `input` is (B, N), a bag in each row, or (N,) with the starts of the bags in `offsets` (B,); the
    result is (B, embedding_dim). An empty bag gives zeros. `per_sample_weights` multiplies the rows
    (sum only). Indices equal to `padding_idx` do not count. Raises ValueError for shapes that do
    not fit, RuntimeError for wrong indices or offsets.

    >>> torch.nn.functional.embedding_bag(torch.tensor([[0, 1]]), torch.eye(2))
    tensor([[0.5000, 0.5000]])
    """
    if weight.dtype is dtypes.int64 and input.dtype.is_floating_point:
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage "
            "`embedding_bag(weight, input, ...)` is deprecated, and should now be "
            "`embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then "
            f"it must have the same shape as the input ({input.shape})"
        )
    _check_bags(input, offsets)
    if len(input.shape) == 2:
        rows, length = input.shape
        offsets = arange_(0, length, rows, dtypes.int64)
        input = reshape(input, (-1,))
        if per_sample_weights is not None:
            per_sample_weights = reshape(per_sample_weights, (-1,))
        include_last_offset = False
    _check_mode(mode, scale_grad_by_freq, per_sample_weights)
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise ValueError("padding_idx must be within the number of embeddings")
        padding_idx %= weight.shape[0]
    if max_norm is not None:
        renormalize(weight, input, max_norm, norm_type)
    bags = offsets.shape[0] - bool(include_last_offset)
    padding = -1 if padding_idx is None else padding_idx
    return embedding_bag_(
        weight, input, offsets, per_sample_weights, mode, padding, scale_grad_by_freq, bags
    )
