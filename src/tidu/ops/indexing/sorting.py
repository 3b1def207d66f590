"""Order: sorting, the greatest few, order statistics, and finding a place in what is sorted.

The places are worked out by an op of their own and the values gathered from there, so that a
derivative of every order is that of `gather`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import reduced, wrap_dim
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.indexing.arrays import gather
from tidu.ops.moving.movement import reshape
from tidu.ops.results import KthValue, Median, Mode, NanMedian, Results, Sort, TopK
from tidu.ops.rules import class_name, is_number


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


def _infer_places(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    return inputs, inputs[0].shape, dtypes.int64


argsort_ = define(
    "argsort",
    attrs="dim descending",
    kind="host",
    host=True,
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
    n = x.shape[dim]
    if k * 8 > n or not k or sortable(x).dtype.kind != "f":
        return ordering(x, dim, largest).take(np.arange(k), dim)
    # A few of many: part them off first, then sort only those.
    keys = np.nan_to_num(
        -sortable(x) if largest else sortable(x),
        nan=-np.inf if largest else np.inf,
        posinf=np.inf,
        neginf=-np.inf,
    )
    few = np.argpartition(keys, max(k - 1, 0), dim).take(np.arange(k), dim)
    few.sort(dim)
    order = ordering(np.take_along_axis(x, few, dim), dim, largest)
    return np.take_along_axis(few, order, dim)


def _infer_topk(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (k, dim, _, _) = inputs, attrs
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
    host=True,
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


def _infer_place(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), dim = inputs, attrs[0]
    if x.shape and x.shape[dim] == 0:
        name = op.name.partition("_")[0]
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
    return inputs, reduced(x.shape, (dim,), True), dtypes.int64


def _at(order: Any, dim: int, k: int) -> Any:
    return order.take([k], dim)


def _kth_numpy(x: Any, dim: int, k: int) -> Any:
    return _at(ordering(x, dim), dim, k - 1) if x.ndim else np.zeros((), np.int64)


def _median_numpy(x: Any, dim: int, ignore_nan: bool) -> Any:
    if not x.ndim:
        return np.zeros((), np.int64)
    x = sortable(x)
    order = ordering(x, dim)
    unknown = np.isnan(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
    known = x.shape[dim] - unknown.sum(dim, keepdims=True)
    if ignore_nan:
        return np.take_along_axis(order, np.maximum(known - 1, 0) // 2, dim)
    middle = _at(order, dim, (x.shape[dim] - 1) // 2)
    return np.where(known < x.shape[dim], unknown.argmax(dim, keepdims=True), middle)


def _mode_numpy(x: Any, dim: int) -> Any:
    """The end of the longest run of equal elements after sorting;
    the least of several, its last place.
    """
    if not x.ndim:
        return np.zeros((), np.int64)
    x = np.moveaxis(sortable(x), dim, -1)
    order = ordering(x, -1)
    values = np.take_along_axis(x, order, -1)
    n = x.shape[-1]
    places = np.arange(n)
    fresh = np.ones(values.shape, bool)
    fresh[..., 1:] = values[..., 1:] != values[..., :-1]
    starts = np.maximum.accumulate(np.where(fresh, places, 0), -1)
    longest = np.argmax(places - starts, -1, keepdims=True)
    return np.moveaxis(np.take_along_axis(order, longest, -1), -1, dim)


def _place_op(name: str, attrs: str, run: Any, extra: tuple[Any, ...], reference: Any) -> Op:
    return define(
        name,
        attrs=f"dim {attrs}",
        kind="host",
        host=True,
        infer=_infer_place,
        numpy=run,
        samples=lambda: [
            Sample((Array((3, 5)), 1, *extra)),
            Sample((Array((4, 2, 3)), 0, *extra)),
            Sample((Array(()), 0, *(1 for _ in extra))),
        ],
        dtypes="float",
        reference=reference,
    )


kthvalue_place = _place_op(
    "kthvalue_place",
    "k",
    _kth_numpy,
    (2,),
    lambda torch, x, dim, k: torch.kthvalue(x, k, dim, True).indices,
)
median_place = _place_op(
    "median_place",
    "ignore_nan",
    _median_numpy,
    (False,),
    lambda torch, x, dim, _: torch.median(x, dim, True).indices,
)
mode_place = _place_op(
    "mode_place", "", _mode_numpy, (), lambda torch, x, dim: torch.mode(x, dim, True).indices
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
    """
    d = wrap_dim(dim, len(input.shape))
    places = argsort_(input, d, bool(descending))
    return Sort(
        (
            gather.named("SortBackward0" if stable is None else "SortBackward1", input, places, d),
            places,
        )
    )


@function("torch.msort Tensor.msort")
def msort(input: Any) -> Any:
    """The values sorted along the first dimension."""
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


def _taken(
    grad_name: str, kind: type[Results], input: Any, place: Any, d: int, keepdim: bool
) -> Results:
    values = gather.named(grad_name, input, place, d)
    if not keepdim and input.shape:
        shape = reduced(tuple(input.shape), (d,), False)
        values, place = reshape.named(grad_name, values, shape), reshape(place, shape)
    return kind((values, place))


@function("torch.kthvalue Tensor.kthvalue")
def kthvalue(input: Any, k: Any, dim: int = -1, keepdim: bool = False) -> Results:
    """(value, index) of the k-th least element along `dim`; k starts at 1."""
    d = wrap_dim(dim, len(input.shape))
    size = input.shape[d] if input.shape else 1
    if not 1 <= k <= size:
        raise RuntimeError(
            f"kthvalue(): selected number k out of range for dimension {d}: {k} of {size}"
        )
    return _taken(
        "KthvalueBackward0", KthValue, input, kthvalue_place(input, d, int(k)), d, keepdim
    )


def _median(
    name: str, kind: type[Results], ignore_nan: bool, input: Any, dim: int | None, keepdim: bool
) -> Any:
    if input.dtype is dtypes.bool_:
        raise NotImplementedError("\"median_cpu\" not implemented for 'Bool'; write x.long()")
    if dim is None:
        flat = reshape(input, (-1,)) if 0 not in input.shape else reshape(input, (0,))
        if not flat.shape[0]:
            # The median of nothing: NaN, or the least number of an integer dtype.
            empty = (
                float("nan")
                if input.dtype.is_floating_point
                else -(1 << (8 * input.dtype.itemsize - 1))
            )
            return input.new_full((), empty)
        place = median_place(flat, 0, ignore_nan)
        return reshape.named(f"{name}Backward0", gather(flat, place, 0), ())
    d = wrap_dim(dim, len(input.shape))
    return _taken(f"{name}Backward1", kind, input, median_place(input, d, ignore_nan), d, keepdim)


@function("torch.median Tensor.median")
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element (the lower of two); along `dim`, (values, indices). NaN if any is."""
    return _median("Median", Median, False, input, dim, keepdim)


@function("torch.nanmedian Tensor.nanmedian")
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN."""
    return _median("Nanmedian", NanMedian, True, input, dim, keepdim)


@function("torch.mode Tensor.mode")
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Results:
    """(value, last index) of the most frequent element along `dim`, the least of several."""
    d = wrap_dim(dim, len(input.shape))
    return _taken("ModeBackward0", Mode, input, mode_place(input, d), d, keepdim)


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
    host=True,
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
    """The number of the bucket between `boundaries` (1-d, sorted) that each element falls into."""
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
    host=True,
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
    """
    if is_number(elements):
        elements = test_elements.new_full((), elements, dtype=dtypes.of_number(elements))
    if is_number(test_elements):
        test_elements = elements.new_full((), test_elements, dtype=dtypes.of_number(test_elements))
    return isin_(elements, test_elements, bool(invert))
