"""Variance and standard deviation."""

from __future__ import annotations

import math
from typing import Any

from tidu.base.shapes import Shape, reduced, wrap_dims
from tidu.base.source import warn
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.elementwise import eq, sqrt, where
from tidu.ops.reductions.reduce import Dims, element_count, mean_, spread, sum_


def _divisor(shape: tuple[int, ...], dims: Dims, correction: float) -> float:
    return max(element_count(shape, dims) - correction, 0.0)


def _var_decompose(x: Any, dims: Dims, correction: float, keepdim: bool) -> Any:
    centered = x - mean_(x, dims, True)
    return sum_(centered * centered, dims, keepdim) / _divisor(x.shape, dims, correction)


def _var_vjp(g: Any, out: Any, x: Any, dims: Dims, correction: float, keepdim: bool) -> Any:
    divisor = _divisor(x.shape, dims, correction)
    scale = 2.0 / divisor if divisor else math.nan
    return spread(g, x.shape, dims, keepdim) * ((x - mean_(x, dims, True)) * scale)


def _var_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (dims, _, keepdim) = inputs, attrs
    if not x.dtype.is_floating_point:
        raise RuntimeError(f"{op.name}() only supports floating point dtypes, but got {x.dtype}")
    return inputs, reduced(x.shape, dims, keepdim), x.dtype


var_ = define(
    "var",
    attrs="dims correction keepdim",
    kind="composite",
    infer=_var_infer,
    decompose=_var_decompose,
    vjp=(_var_vjp,),
    samples=lambda: [
        Sample((Array((3, 4)), (0,), 1.0, False)),
        Sample((Array((2, 3, 4)), (0, 2), 0.0, True)),
        Sample((Array((5,)), (0,), 1.0, False)),
    ],
    dtypes="float",
    reference=lambda torch, x, dims, correction, keepdim: torch.var(
        x, dims, correction=correction, keepdim=keepdim
    ),
)


std_ = define(
    "std",
    attrs="dims correction keepdim",
    kind="composite",
    infer=_var_infer,
    decompose=lambda x, dims, correction, keepdim: sqrt(var_(x, dims, correction, keepdim)),
    vjp=(
        lambda g, out, x, dims, correction, keepdim: _var_vjp(
            where(eq(out, 0), 0.0, g / (out * 2.0)), out, x, dims, correction, keepdim
        ),
    ),
    samples=lambda: [
        Sample((Array((3, 4)), (0,), 1.0, False)),
        Sample((Array((2, 3, 4)), (0, 2), 0.0, True)),
        Sample((Array((5,)), (0,), 1.0, False)),
    ],
    dtypes="float",
    reference=lambda torch, x, dims, correction, keepdim: torch.std(
        x, dims, correction=correction, keepdim=keepdim
    ),
)


def _spread_arguments(dim: Any, unbiased: Any, correction: Any) -> tuple[Any, float]:
    """PyTorch's older signature has `unbiased`, also as the only positional argument."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is not None:
        return dim, 1.0 if unbiased else 0.0
    return dim, 1.0 if correction is None else float(correction)


def _warn_without_freedom(name: str, shape: Shape, dims: Dims, correction: float) -> None:
    count = element_count(shape, dims)
    if count <= correction:
        warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel). That is "
            f"{count} here, so the result is NaN; correction=0 divides by it."
        )


@function("torch.var Tensor.var")
def var(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """The variance: Σ(x - mean)² / (n - correction); `correction` is 1 unless given (Bessel's).

    >>> torch.tensor([1., 2., 3.]).var()
    tensor(1.)
    """
    dim, correction = _spread_arguments(dim, unbiased, correction)
    dims = wrap_dims(dim, len(input.shape))
    _warn_without_freedom("var", tuple(input.shape), dims, correction)
    return var_(input, dims, correction, keepdim)


@function("torch.std Tensor.std")
def std(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """The standard deviation, the square root of `var`.

    >>> torch.tensor([1., 2., 3.]).std(correction=0)
    tensor(0.8165)
    """
    dim, correction = _spread_arguments(dim, unbiased, correction)
    dims = wrap_dims(dim, len(input.shape))
    _warn_without_freedom("std", tuple(input.shape), dims, correction)
    return std_(input, dims, correction, keepdim)


def _with_mean(
    op: Op, name: str, input: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any
) -> tuple[Any, Any]:
    dim, correction = _spread_arguments(dim, unbiased, correction)
    dims = wrap_dims(dim, len(input.shape))
    _warn_without_freedom(name, tuple(input.shape), dims, correction)
    grad_name = "VarMeanBackward0" if op is var_ else "StdMeanBackward0"
    return (
        op.named(grad_name, input, dims, correction, keepdim),
        mean_.named(grad_name, input, dims, keepdim),
    )


@function("torch.var_mean")
def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Any, Any]:
    """(variance, mean) over `dim`."""
    return _with_mean(var_, "var_mean", input, dim, unbiased, keepdim, correction)


@function("torch.std_mean")
def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> tuple[Any, Any]:
    """(standard deviation, mean) over `dim`."""
    return _with_mean(std_, "std_mean", input, dim, unbiased, keepdim, correction)
