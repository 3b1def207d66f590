"""Finding numbers among others: places in what is sorted, buckets, membership."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.op import Array, Sample, define, function
from tidu.ops.indexing.sorting import sortable
from tidu.ops.rules import class_name, is_number


def _rows(x: Any) -> Any:
    return x.reshape(-1, x.shape[-1])


def _search_numpy(sequence: Any, values: Any, sorter: Any, right: bool, d: dtypes.dtype) -> Any:
    side: Any = "right" if right else "left"
    sequence, values = sortable(sequence), sortable(values)
    if sorter is not None:
        sequence = np.take_along_axis(sequence, sorter, -1)
    if sequence.ndim == 1:
        return np.searchsorted(sequence, values, side)
    if not values.size:
        return np.zeros(values.shape, np.int64)
    found = [
        np.searchsorted(s, v, side) for s, v in zip(_rows(sequence), _rows(values), strict=True)
    ]
    return np.stack(found).reshape(values.shape)


searchsorted_ = define(
    "searchsorted",
    inputs="sorted_sequence input sorter",
    attrs="right dtype",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, inputs[1].shape, attrs[1]),
    numpy=_search_numpy,
    samples=lambda: [
        Sample((Array((5,), 0, 0), Array((2, 3)), None, False, dtypes.int64)),
        Sample((Array((2, 4), 1, 1), Array((2, 3)), None, True, dtypes.int32)),
    ],
    dtypes="number",
    reference=lambda torch, sequence, x, sorter, right, d: torch.searchsorted(
        sequence, x, right=right, out_int32=d is dtypes.int32
    ),
)


def _right(operation: str, right: bool, side: str | None) -> bool:
    if side not in (None, "left", "right"):
        raise RuntimeError(f"{operation}(): side can only be 'left' or 'right' but got {side}")
    if side == "left" and right:
        raise RuntimeError(
            f"{operation}(): side and right can't be set to opposites, got side of left while right"
            " was True"
        )
    return right or side == "right"


@function("torch.searchsorted")
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """Where each number of `input` would be inserted to keep the last dimension
    of `sorted_sequence` sorted.

    The first such place, or with `right` the last. Leading dimensions must agree, unless the
    sequence is 1-d.

    >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 6]))
    tensor([1, 3])
    """
    after = _right("torch.searchsorted", right, side)
    d = dtypes.int32 if out_int32 else dtypes.int64
    if is_number(input):
        if len(sorted_sequence.shape) != 1:
            raise RuntimeError(
                "torch.searchsorted(): input value can be a scalar only when sorted_sequence has 1"
                f" dimension, but got shape {list(sorted_sequence.shape)}"
            )
        input = sorted_sequence.new_full((), input, dtype=dtypes.of_number(input))
    if not sorted_sequence.shape:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should have at least 1 dimension, but got 0-d"
        )
    if len(sorted_sequence.shape) != 1 and tuple(sorted_sequence.shape[:-1]) != tuple(
        input.shape[:-1]
    ):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1"
            " dimensions of boundaries tensor and input value tensor must match, but we got"
            f" boundaries tensor {list(sorted_sequence.shape)} and input value tensor"
            f" {list(input.shape)}"
        )
    if sorter is not None:
        if tuple(sorter.shape) != tuple(sorted_sequence.shape):
            raise RuntimeError(
                "torch.searchsorted(): boundary and sorter must have the same size, but got"
                f" boundary tensor {list(sorted_sequence.shape)} and got sorter tensor"
                f" {list(sorter.shape)}"
            )
        if sorter.dtype is not dtypes.int64:
            raise RuntimeError(
                "torch.searchsorted(): sorter must be a tensor of long dtype but got"
                f" {class_name(sorter.dtype)}"
            )
    return searchsorted_(sorted_sequence, input, sorter, after, d)


@function("torch.bucketize")
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the bucket between `boundaries` (1-d, sorted) that each element falls into.

    >>> torch.bucketize(torch.tensor([0, 4]), torch.tensor([1, 3, 5]))
    tensor([0, 2])
    """
    if len(boundaries.shape) != 1:
        raise RuntimeError(
            "bucketize(): boundaries tensor must be 1 dimension, but got"
            f" dim({len(boundaries.shape)})"
        )
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


isin_ = define(
    "isin",
    inputs="elements test_elements",
    attrs="invert",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, inputs[0].shape, dtypes.bool_),
    numpy=lambda x, tested, invert: np.isin(sortable(x), sortable(tested), invert=invert),
    samples=lambda: [
        Sample((Array((3, 4), -3, 3), Array((5,), -3, 3), False)),
        Sample((Array((4,), -3, 3), Array((2, 2), -3, 3), True)),
    ],
    dtypes="number",
    reference=lambda torch, x, tested, invert: torch.isin(x, tested, invert=invert),
)


@function("torch.isin")
def isin(
    elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False
) -> Any:
    """Whether each element is among `test_elements` (or with `invert`, is not). One of the two may
    be a number.

    >>> torch.isin(torch.tensor([1, 2, 3]), torch.tensor([2]))
    tensor([False,  True, False])
    """
    if is_number(elements):
        elements = test_elements.new_full((), elements, dtype=dtypes.of_number(elements))
    if is_number(test_elements):
        test_elements = elements.new_full((), test_elements, dtype=dtypes.of_number(test_elements))
    return isin_(elements, test_elements, bool(invert))
