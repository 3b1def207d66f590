"""Order statistics: the k-th least element, the median and the mode, with their places."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import reduced, wrap_dim
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.indexing import unstable
from tidu.ops.indexing.along import gather
from tidu.ops.indexing.sorting import ordering, ranks, sortable, tied
from tidu.ops.moving.movement import reshape
from tidu.ops.reductions.extremes import shared_among_equals
from tidu.ops.results import KthValue, Median, Mode, NanMedian, Results
from tidu.ops.rules import PART


def _infer_place(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), dim = inputs, attrs[0]
    if x.shape and x.shape[dim] == 0:
        name = op.name.partition("_")[0]
        raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
    return inputs, reduced(x.shape, (dim,), True), dtypes.int64


def _at(order: Any, dim: int, k: int) -> Any:
    return order.take([k], dim)


def _kth_numpy(x: Any, dim: int, k: int) -> Any:
    """The place of the k-th least; among equals the one that PyTorch's algorithm finds."""
    if not x.ndim:
        return np.zeros((), np.int64)
    x = np.moveaxis(sortable(x), dim, -1)
    place = _at(ordering(x, -1), -1, k - 1)
    for row in unstable.followed(tied(x, place), x.shape[-1]):
        order = list(range(x.shape[-1]))
        unstable.quick_select(order, ranks(x[*row]).tolist(), k - 1)
        place[*row] = order[k - 1]
    return np.moveaxis(place, -1, dim)


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


def _mode_order(x: Any) -> Any:
    """The order of each row that `mode` goes by, in which short rows with NaN are not sorted."""
    short = x.shape[-1] <= unstable.SHORT
    order = ordering(x, -1)
    unknown = np.isnan(x).any(-1) if x.dtype.kind == "f" else np.zeros(x.shape[:-1], bool)
    marked = unknown if short else np.ones(x.shape[:-1], bool)
    for at in unstable.followed(marked, x.shape[-1]):
        row = list(range(x.shape[-1]))
        unstable.sort(row, (x[*at] if short else ranks(x[*at])).tolist(), len(row))
        order[*at] = row
    return order


def _mode_numpy(x: Any, dim: int) -> Any:
    """The end of the longest run of equal elements after sorting; the least of several, the place
    that is the last of its run by PyTorch's algorithm.
    """
    if not x.ndim:
        return np.zeros((), np.int64)
    x = np.moveaxis(sortable(x), dim, -1)
    order = _mode_order(x)
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


def _median_of_all(x: Any, ignore_nan: bool) -> Any:
    flat = reshape(x, (-1,))
    return reshape(gather(flat, median_place(flat, 0, ignore_nan), 0), ())


median_of_all = define(
    "median_of_all",
    attrs="ignore_nan",
    kind="composite",
    infer=lambda op, inputs, attrs: (inputs, (), inputs[0].dtype),
    decompose=_median_of_all,
    vjp=(shared_among_equals,),
    samples=lambda: [Sample((Array((3, 4)), False)), Sample((Array(()), True))],
    dtypes="float",
    reference=lambda torch, x, ignore_nan: torch.nanmedian(x) if ignore_nan else torch.median(x),
)


mode_place = _place_op(
    "mode_place", "", _mode_numpy, (), lambda torch, x, dim: torch.mode(x, dim, True).indices
)


def _taken(
    grad_name: str, kind: type[Results], input: Any, place: Any, d: int, keepdim: bool
) -> Results:
    drops = not keepdim and input.shape
    values = gather.named(PART if drops else grad_name, input, place, d)
    if drops:
        shape = reduced(tuple(input.shape), (d,), False)
        values, place = reshape.named(grad_name, values, shape), reshape(place, shape)
    return kind((values, place))


@function("torch.kthvalue Tensor.kthvalue")
def kthvalue(input: Any, k: Any, dim: int = -1, keepdim: bool = False) -> Results:
    """(value, index) of the k-th least element along `dim`; k starts at 1.

    >>> torch.tensor([5., 1., 3.]).kthvalue(2).values
    tensor(3.)
    """
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
        if 0 in input.shape:
            # The median of nothing: NaN, or what becomes of it in an integer dtype.
            return input.new_full((), math.nan, dtype=dtypes.float32).to(input.dtype)
        return median_of_all.named(f"{name}Backward0", input, ignore_nan)
    d = wrap_dim(dim, len(input.shape))
    return _taken(f"{name}Backward1", kind, input, median_place(input, d, ignore_nan), d, keepdim)


@function("torch.median Tensor.median")
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The middle element (the lower of two); along `dim`, (values, indices). NaN if any is.

    >>> torch.tensor([4., 1., 3., 2.]).median()
    tensor(2.)
    """
    return _median("Median", Median, False, input, dim, keepdim)


@function("torch.nanmedian Tensor.nanmedian")
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """`median` of the elements that are not NaN."""
    return _median("Nanmedian", NanMedian, True, input, dim, keepdim)


@function("torch.mode Tensor.mode")
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Results:
    """(value, last index) of the most frequent element along `dim`, the least of several.

    >>> torch.tensor([1, 2, 2]).mode().values
    tensor(2)
    """
    d = wrap_dim(dim, len(input.shape))
    return _taken("ModeBackward0", Mode, input, mode_place(input, d), d, keepdim)
