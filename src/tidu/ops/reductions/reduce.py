"""Reductions: sums, extremes, means and truth over some or all dimensions."""

from __future__ import annotations

import math
from math import prod as product
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.limits import iinfo
from tidu.base.shapes import reduced, wrap_dims
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.cast import as_dtype, cast
from tidu.ops.elementwise import eq, logical_not, ne
from tidu.ops.moving.movement import expand, unsqueeze_dims
from tidu.ops.rules import class_name

Dims = tuple[int, ...]


def reduction_samples(low: float = -2.0, high: float = 2.0, empty: bool = True) -> Any:
    def make() -> list[Sample]:
        cases = [
            Sample((Array((3, 4), low, high), (0,), False)),
            Sample((Array((3, 4), low, high), (1,), True)),
            Sample((Array((2, 3, 4), low, high), (0, 2), False)),
            Sample((Array((5,), low, high), (0,), True)),
            Sample((Array((), low, high), (), False)),
        ]
        return [*cases, Sample((Array((0, 3), low, high), (0,), False))] if empty else cases

    return make


def _infer_reduction(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (dims, keepdim) = inputs, attrs[:2]
    return inputs, reduced(x.shape, dims, keepdim), x.dtype


def infer_summed(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """Integers and bools are summed as int64."""
    (x,), (dims, keepdim) = inputs, attrs
    if x.dtype.category != dtypes.FLOAT and x.dtype is not dtypes.int64:
        inputs = (cast.value((x,), (dtypes.int64,)),)
        return inputs, reduced(x.shape, dims, keepdim), dtypes.int64
    return inputs, reduced(x.shape, dims, keepdim), x.dtype


def _infer_truth(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (dims, keepdim) = inputs, attrs
    result = dtypes.uint8 if x.dtype is dtypes.uint8 else dtypes.bool_
    return inputs, reduced(x.shape, dims, keepdim), result


def spread(g: Any, shape: tuple[int, ...], dims: Dims, keepdim: bool) -> Any:
    """A reduced tensor back in the shape it had before, by repetition."""
    if not keepdim and g.shape:
        g = unsqueeze_dims(g, dims)
    return expand(g, shape)


def _torch_sum(torch: Any, x: Any, dims: Dims, keepdim: bool) -> Any:
    return torch.sum(x, dims, keepdim) if dims else torch.sum(x)


sum_ = define(
    "sum",
    attrs="dims keepdim",
    kind="reduction",
    infer=infer_summed,
    numpy=lambda x, dims, keepdim: np.add.reduce(x, dims, keepdims=keepdim),
    emit=lambda s, accumulator, x: s.add(accumulator, x),
    identity=lambda d: 0,
    vjp=(lambda g, out, x, dims, keepdim: spread(g, x.shape, dims, keepdim),),
    samples=reduction_samples(),
    reference=_torch_sum,
)


# NumPy is better off with rows of at least so many sums, and with so few only, it is faster to have
# all that they come to on the way.
_SIDE_BY_SIDE, _ON_THE_WAY = 32, 3


def in_order_numpy(x: Any, dims: Dims, keepdim: bool) -> Any:
    """Rows added to each other: NumPy takes them one after the other. Where what is added up lies
    side by side, it does not, but sums up blocks.
    """
    shape = reduced(x.shape, dims, keepdim)
    side_by_side = x.flags.c_contiguous and x.ndim - 1 not in dims
    if not dims or 0 in x.shape or (side_by_side and x.shape[-1] >= _SIDE_BY_SIDE):
        add: Any = np.add.reduce  # its types know no dims that are a tuple
        return add(x, dims, keepdims=keepdim)
    kept = [d for d in range(x.ndim) if d not in dims]
    rows = np.ascontiguousarray(x.transpose(*sorted(dims), *kept))
    rows = rows.reshape(element_count(x.shape, dims), -1)
    if rows.shape[1] <= _ON_THE_WAY:
        return np.add.accumulate(rows, 0)[-1].reshape(shape)
    return np.add.reduce(rows, 0).reshape(shape)


# One accumulator for each result takes in the elements by the order of their indices, each sum
# rounded: where the bits of a sum matter. `sum` is faster, and nearer to the true sum.
sum_in_order = define(
    "sum_in_order",
    attrs="dims keepdim",
    kind="reduction",
    infer=infer_summed,
    numpy=in_order_numpy,
    emit=lambda s, accumulator, x: s.add(accumulator, x),
    identity=lambda d: 0,
    ordered=True,
    vjp=(lambda g, out, x, dims, keepdim: spread(g, x.shape, dims, keepdim),),
    samples=reduction_samples(),
    reference=_torch_sum,
)


def _extreme_vjp(g: Any, out: Any, x: Any, dims: Dims, keepdim: bool) -> Any:
    """The gradient is shared evenly among all places that hold the extreme value."""
    chosen = eq(x, spread(out, x.shape, dims, keepdim))
    shared = cast(chosen, g.dtype)
    return spread(g, x.shape, dims, keepdim) * (shared / sum_(shared, dims, True))


def _least(d: dtypes.dtype) -> float:
    """Less than or equal to every number of a dtype."""
    if d.is_floating_point:
        return -math.inf
    return 0 if d is dtypes.bool_ else iinfo(d).min


def _greatest(d: dtypes.dtype) -> float:
    if d.is_floating_point:
        return math.inf
    return 1 if d is dtypes.bool_ else iinfo(d).max


def _extreme(name: str, ufunc: Any, emit: Any, identity: Any) -> Op:
    def infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
        (x,), (dims, _) = inputs, attrs
        if any(x.shape[d] == 0 for d in dims):
            raise IndexError(
                f"{name}(): Expected reduction dim to have non-zero size, but the input has shape "
                f"{list(x.shape)}: the extreme of no elements is not defined."
            )
        return _infer_reduction(op, inputs, attrs)

    return define(
        name,
        attrs="dims keepdim",
        kind="reduction",
        infer=infer,
        numpy=lambda x, dims, keepdim: ufunc.reduce(x, dims, keepdims=keepdim),
        emit=emit,
        identity=identity,
        vjp=(_extreme_vjp,),
        samples=reduction_samples(empty=False),
        reference=lambda torch, x, dims, keepdim: getattr(torch, name)(x, dims, keepdim),
    )


amax = _extreme("amax", np.maximum, lambda s, accumulator, x: s.max(accumulator, x), _least)
amin = _extreme("amin", np.minimum, lambda s, accumulator, x: s.min(accumulator, x), _greatest)


def _truth(name: str, ufunc: Any, emit: Any, identity: bool) -> Op:
    return define(
        name,
        attrs="dims keepdim",
        kind="reduction",
        infer=_infer_truth,
        numpy=lambda x, dims, keepdim: ufunc.reduce(x.astype(bool), dims, keepdims=keepdim),
        emit=emit,
        identity=lambda d: identity,
        samples=reduction_samples(),
        reference=lambda torch, x, dims, keepdim: getattr(torch, name)(x, dims or None, keepdim),
    )


def _or(s: Any, accumulator: Any, x: Any) -> Any:
    """1 from the first element on that is not 0, in the dtype of the elements."""
    return s.select(s.ne(x, s.const(0, x)), s.const(1, x), accumulator)


def _and(s: Any, accumulator: Any, x: Any) -> Any:
    return s.select(s.eq(x, s.const(0, x)), s.const(0, x), accumulator)


any_ = _truth("any", np.logical_or, _or, False)
all_ = _truth("all", np.logical_and, _and, True)


@function("torch.sum Tensor.sum")
def sum_over(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over `dim` (an int, several, or None for all);
    integers and bools are summed as int64.

    >>> torch.ones(2, 3).sum(1)
    tensor([3., 3.])
    """
    name = "SumBackward0" if dim is None else "SumBackward1"
    if dtype is None:
        return sum_.named(name, input, wrap_dims(dim, input.ndim), keepdim)
    total = sum_.named(name, as_dtype(input, dtype), wrap_dims(dim, input.ndim), keepdim)
    return as_dtype(total, dtype)  # integers are summed as int64


def _mean_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    d = inputs[0].dtype
    if not d.is_floating_point:
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be either a floating point or "
            f"complex dtype. Got: {class_name(d)}. Use x.float().mean()."
        )
    return _infer_reduction(op, inputs, attrs)


def element_count(shape: tuple[int, ...], dims: Dims) -> int:
    """How many elements each result is made of."""
    return product(shape[d] for d in dims)


mean_ = define(
    "mean",
    attrs="dims keepdim",
    kind="composite",
    infer=_mean_infer,
    decompose=lambda x, dims, keepdim: sum_(x, dims, keepdim) / float(element_count(x.shape, dims)),
    vjp=(
        lambda g, out, x, dims, keepdim: (
            spread(g, x.shape, dims, keepdim) / float(element_count(x.shape, dims))
        ),
    ),
    samples=reduction_samples(),
    dtypes="float",
    reference=lambda torch, x, dims, keepdim: torch.mean(x, dims, keepdim),
)


@function("torch.mean Tensor.mean")
def mean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over `dim`, or over all elements; RuntimeError for integers.

    >>> torch.tensor([[1., 2.], [3., 6.]]).mean(0)
    tensor([2., 4.])
    """
    name = "MeanBackward0" if dim is None else "MeanBackward1"
    return mean_.named(name, as_dtype(input, dtype), wrap_dims(dim, len(input.shape)), keepdim)


def _require_elements(name: str, input: Any, dim: Any) -> None:
    if dim == () and 0 in input.shape:
        raise RuntimeError(
            f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the "
            "reduction dim with the 'dim' argument."
        )


@function("torch.amax Tensor.amax")
def amax_over(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The greatest element over `dim`; equal ones share the gradient.

    >>> torch.tensor([[1, 5], [7, 2]]).amax(1)
    tensor([5, 7])
    """
    _require_elements("amax", input, dim)
    return amax(input, wrap_dims(dim, len(input.shape)), keepdim)


@function("torch.amin Tensor.amin")
def amin_over(input: Any, dim: Any = (), keepdim: bool = False) -> Any:
    """The least element over `dim`; equal ones share the gradient."""
    _require_elements("amin", input, dim)
    return amin(input, wrap_dims(dim, len(input.shape)), keepdim)


def _dims_of_truth(dim: Any, rank: int) -> Dims:
    """Unlike sums, truth over the dimensions () is that of each element."""
    return () if dim == () else wrap_dims(dim, rank)


def _truth_over(op: Op, input: Any, dim: Any, keepdim: bool) -> Any:
    """`op` over some dimensions. What comes of uint8 is uint8, but 0 or 1, of a single element too:
    so it is made of bools.
    """
    dims = _dims_of_truth(dim, len(input.shape))
    if input.dtype is dtypes.uint8:
        return cast(op(ne(input, 0), dims, keepdim), dtypes.uint8)
    return op(input, dims, keepdim)


@function("torch.any Tensor.any")
def any_over(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether any element is true (not 0), over `dim` or over all.

    >>> torch.tensor([[False, True], [False, False]]).any(1)
    tensor([ True, False])
    """
    return _truth_over(any_, input, dim, keepdim)


@function("torch.all Tensor.all")
def all_over(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """Whether all elements are true (not 0).

    >>> torch.tensor([True, False]).all()
    tensor(False)
    """
    return _truth_over(all_, input, dim, keepdim)


@function("torch.count_nonzero Tensor.count_nonzero")
def count_nonzero(input: Any, dim: Any = None) -> Any:
    """The number of elements that are not 0.

    >>> torch.tensor([0, 3, 0, 4]).count_nonzero()
    tensor(2)
    """
    return sum_over(logical_not(eq(input, 0)), dim)
