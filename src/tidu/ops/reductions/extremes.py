"""max, min and their kind: over everything, along a dimension with the places, of two tensors."""

from __future__ import annotations

from math import prod
from typing import Any

from tidu.base.shapes import reduced, wrap_dim
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.cast import cast
from tidu.ops.elementwise import (
    eq,
    isnan,
    logical_and,
    logical_or,
    maximum,
    minimum,
    positive,
    where,
)
from tidu.ops.indexing.along import scatter
from tidu.ops.moving.movement import unsqueeze_dims
from tidu.ops.reductions.places import argmax_, argmin_
from tidu.ops.reductions.reduce import amax, amin, sum_
from tidu.ops.results import AMinMax, Max, Min, Results
from tidu.ops.sources import full


def _infer_along(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (dim, keepdim) = inputs, attrs
    if x.shape and x.shape[dim] == 0:
        raise IndexError(
            f"{op.name.partition('_')[0]}(): Expected reduction dim {dim} to have non-zero size,"
            f" but the input has shape {list(x.shape)}: the extreme of no elements is not defined."
        )
    return inputs, reduced(x.shape, (dim,), keepdim), x.dtype


def _along(name: str, reduction: Op, places: Op, grad_name: str) -> Op:
    """The extreme along one dimension;
    the gradient goes to the place that `places` names, as in PyTorch.
    """

    def decompose(x: Any, dim: int, keepdim: bool) -> Any:
        return reduction(x, (dim,), keepdim) if x.shape else positive(x)

    def vjp(g: Any, out: Any, x: Any, dim: int, keepdim: bool) -> Any:
        if not x.shape:
            return g
        g = g if keepdim else unsqueeze_dims(g, (dim,))
        return scatter(full(0.0, x.shape, g.dtype), places(x, dim, True), g, dim)

    return define(
        name,
        attrs="dim keepdim",
        kind="composite",
        infer=_infer_along,
        decompose=decompose,
        vjp=(vjp,),
        grad_name=grad_name,
        samples=lambda: [
            Sample((Array((3, 4)), 0, False)),
            Sample((Array((2, 3, 4)), 1, True)),
            Sample((Array((5,)), 0, False)),
            Sample((Array(()), 0, False)),
        ],
        reference=lambda torch, x, dim, keepdim: (
            getattr(torch, name.partition("_")[0])(x, dim, keepdim).values
        ),
    )


max_along = _along("max_along", amax, argmax_, "MaxBackward0")
min_along = _along("min_along", amin, argmin_, "MinBackward0")


def extreme_with_places(
    values: Op, places: Op, kind: type[Results], input: Any, dim: int, keepdim: bool
) -> Results:
    """(extremes, their places) along `dim`."""
    d = wrap_dim(dim, len(input.shape))
    return kind((values(input, d, keepdim), places(input, d, keepdim)))


def shared_among_equals(g: Any, out: Any, x: Any, *attrs: Any) -> Any:
    """The gradient of an extreme or a median of everything, which all that are equal to it share:
    where that is NaN, those that are NaN.
    """
    chosen = logical_or(eq(x, out), logical_and(isnan(x), isnan(out)))
    everything = tuple(range(len(x.shape)))
    return where(chosen, g / sum_(cast(chosen, g.dtype), everything, False), 0.0)


def _of_all(name: str, reduction: Op, grad_name: str) -> Op:
    return define(
        name,
        kind="composite",
        infer=lambda op, inputs, attrs: (inputs, (), inputs[0].dtype),
        decompose=lambda x: reduction(x, tuple(range(len(x.shape))), False),
        vjp=(shared_among_equals,),
        grad_name=grad_name,
        samples=lambda: [Sample((Array((3, 4)),)), Sample((Array(()),))],
        reference=lambda torch, x: getattr(torch, name.partition("_")[0])(x),
    )


max_of_all = _of_all("max_of_all", amax, "MaxBackward1")
min_of_all = _of_all("min_of_all", amin, "MinBackward1")


def _everything(extreme: Op, input: Any) -> Any:
    if prod(input.shape) == 0:
        raise RuntimeError(
            f"{extreme.name[:3]}(): Expected reduction dim to be specified for input.numel() == 0. "
            "Specify the reduction dim with the 'dim' argument."
        )
    return extreme(input)


def _refuse(name: str, argument: Any) -> TypeError:
    return TypeError(
        f"{name}() received an invalid combination of arguments: the second is a"
        f" {type(argument).__name__}, but has to be a dimension (int) or a Tensor. {name}imum(x,"
        " number) is torch.clamp."
    )


def _require_tensor(name: str, input: Any) -> None:
    if not hasattr(input, "shape"):
        raise TypeError(
            f"{name}() received an invalid combination of arguments: the first has to be a Tensor,"
            f" but is a {type(input).__name__}"
        )


@function("torch.max Tensor.max")
def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The greatest element; along `dim`, (values, indices);
    of two tensors, the greater of each pair.

    Equal elements share the gradient where everything is reduced; along a dimension the first gets
    it. Raises RuntimeError or IndexError for no elements.

    >>> torch.tensor([[1., 5.], [4., 2.]]).max(1).indices
    tensor([1, 0])
    """
    _require_tensor("max", input)
    other = dim if hasattr(dim, "shape") else other
    if other is not None:
        return maximum(input, other)
    if dim is None:
        return _everything(max_of_all, input)
    if not isinstance(dim, int):
        raise _refuse("max", dim)
    return extreme_with_places(max_along, argmax_, Max, input, dim, keepdim)


@function("torch.min Tensor.min")
def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The least element; along `dim`, (values, indices); of two tensors, the lesser of each.

    >>> torch.min(torch.tensor([3.0, 1.0, 2.0]))
    tensor(1.)
    >>> torch.tensor([[3.0, 1.0]]).min(dim=1).indices
    tensor([1])
    """
    _require_tensor("min", input)
    other = dim if hasattr(dim, "shape") else other
    if other is not None:
        return minimum(input, other)
    if dim is None:
        return _everything(min_of_all, input)
    if not isinstance(dim, int):
        raise _refuse("min", dim)
    return extreme_with_places(min_along, argmin_, Min, input, dim, keepdim)


@function("torch.aminmax Tensor.aminmax")
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Results:
    """(least, greatest) over everything or along `dim`; equal ones share the gradient."""
    if dim is None and prod(input.shape) == 0:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no"
            " identity."
        )
    rank = len(input.shape)
    dims = tuple(range(rank)) if dim is None else (wrap_dim(dim, rank),) if rank else ()
    return AMinMax(op.named("AminmaxBackward0", input, dims, keepdim) for op in (amin, amax))
