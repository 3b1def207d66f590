"""``torch.masked``: reductions and normalizations of the elements where a mask holds.

What the mask leaves out counts as the neutral element of the operation, so a slice of which nothing
is left gives that element (0 for sums, -∞ for maxima), and NaN for means.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable
from typing import Any

from tidu.base import dtypes
from tidu.base.limits import range_of
from tidu.base.shapes import wrap_dim
from tidu.ops.activations import softmax as softmaxes
from tidu.ops.cast import as_dtype
from tidu.ops.elementwise import div, sqrt, where
from tidu.ops.elementwise.two_operands import logaddexp as log_add
from tidu.ops.indexing import order_statistics
from tidu.ops.reductions import norms, places, product, reduce, scan
from tidu.ops.rules import as_number
from tidu.tensor.creation import ones_like
from tidu.tensor.tensor import Tensor

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp",
    "logsumexp", "mean", "median", "norm", "normalize", "prod", "softmax", "softmin", "std",
    "sum", "var",
]  # fmt: skip


def _mask_for(input: Tensor, mask: Any) -> Any:
    """The mask in the shape of the input, as bools."""
    mask = mask if mask.dtype is dtypes.bool_ else mask.bool()
    return mask.expand(tuple(input.shape)) if tuple(mask.shape) != tuple(input.shape) else mask


def _filled(input: Tensor, mask: Any, value: float) -> Any:
    """`input` with a neutral element where the mask does not hold."""
    if mask is None:
        return input
    return where(_mask_for(input, mask), input, as_number(value, input.dtype))


def _typed(input: Tensor, dtype: Any, float_for_integers: bool = False) -> Any:
    if dtype is None and float_for_integers and not input.dtype.is_floating_point:
        dtype = dtypes.get_default_dtype()
    return as_dtype(input, dtype)


def _summed_dtype(input: Tensor, dtype: Any) -> Any:
    """Sums and products of integers and bools are int64 unless a dtype is given."""
    return dtypes.int64 if dtype is None and not input.dtype.is_floating_point else dtype


def _dims(dim: Any) -> Any:
    return None if dim is None or dim == () else dim


def _reduction(
    compute: Callable[[Any, Any, bool, Any, Any], Any],
) -> Callable[..., Any]:
    """Gives `compute(input, dim, keepdim, dtype, mask)` the signature that reductions share."""

    def reduction(
        input: Any,
        dim: Any = None,
        *,
        keepdim: bool | None = False,
        dtype: Any = None,
        mask: Any = None,
    ) -> Any:
        return compute(input, dim, bool(keepdim), dtype, mask)

    reduction.__name__ = reduction.__qualname__ = compute.__name__
    reduction.__doc__ = compute.__doc__
    return reduction


@_reduction
def sum(input: Any, dim: Any, keepdim: bool, dtype: Any, mask: Any) -> Any:
    """The sum of the elements where `mask` holds."""
    x = _typed(input, _summed_dtype(input, dtype))
    return reduce.sum_over(_filled(x, mask, 0), _dims(dim), keepdim, dtype=x.dtype)


@_reduction
def prod(input: Any, dim: Any, keepdim: bool, dtype: Any, mask: Any) -> Any:
    """The product of the elements where `mask` holds."""
    x = _filled(_typed(input, _summed_dtype(input, dtype)), mask, 1)
    rank = len(x.shape)
    axes = range(rank) if _dims(dim) is None else (dim,) if isinstance(dim, int) else dim
    for d in builtins.sorted((wrap_dim(d, rank) for d in axes), reverse=True):
        x = product.prod_over(x, d, keepdim, dtype=x.dtype)
    return x


def cumsum(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The sums up to each place of the elements where `mask` holds."""
    x = _typed(input, dtype)
    return scan.cumsum(_filled(x, mask, 0), dim, dtype=x.dtype)


def cumprod(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The products up to each place of the elements where `mask` holds."""
    x = _typed(input, dtype)
    return product.cumprod(_filled(x, mask, 1), dim, dtype=x.dtype)


def _least(d: Any) -> float:
    return -math.inf if d.is_floating_point else range_of(d)[0]


def _greatest(d: Any) -> float:
    return math.inf if d.is_floating_point else range_of(d)[1]


@_reduction
def amax(input: Any, dim: Any, keepdim: bool, dtype: Any, mask: Any) -> Any:
    """The greatest element where `mask` holds, -∞ where there is none."""
    x = _typed(input, dtype)
    dims = () if dim is None else dim
    return reduce.amax_over(_filled(x, mask, _least(x.dtype)), dims, keepdim)


@_reduction
def amin(input: Any, dim: Any, keepdim: bool, dtype: Any, mask: Any) -> Any:
    """The least element where `mask` holds, +∞ where there is none."""
    x = _typed(input, dtype)
    dims = () if dim is None else dim
    return reduce.amin_over(_filled(x, mask, _greatest(x.dtype)), dims, keepdim)


@_reduction
def argmax(input: Any, dim: int | None, keepdim: bool, dtype: Any, mask: Any) -> Any:
    """The index of the greatest element where `mask` holds, in the dtype of the input."""
    x = _typed(input, dtype)
    return places.argmax(_filled(x, mask, _least(x.dtype)), dim, keepdim).to(x.dtype)


@_reduction
def argmin(input: Any, dim: int | None, keepdim: bool, dtype: Any, mask: Any) -> Any:
    """The index of the least element where `mask` holds, in the dtype of the input."""
    x = _typed(input, dtype)
    return places.argmin(_filled(x, mask, _greatest(x.dtype)), dim, keepdim).to(x.dtype)


def _count(input: Any, dim: Any, keepdim: bool | None, mask: Any) -> Any:
    ones = ones_like(input, dtype=dtypes.int64)
    return sum(ones, dim, keepdim=keepdim, mask=mask)


@_reduction
def mean(input: Any, dim: Any, keepdim: bool, dtype: Any, mask: Any) -> Any:
    """The mean of the elements where `mask` holds, NaN where there is none."""
    x = _typed(input, dtype)
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            f"mean(): could not infer output dtype of {x.dtype}; pass dtype=torch.float32"
        )
    return div(sum(x, dim, keepdim=keepdim, mask=mask), _count(x, dim, keepdim, mask))


def median(
    input: Any, dim: int = -1, *, keepdim: bool | None = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The middle one of the elements where `mask` holds."""
    x = _typed(input, dtype)
    if not x.dtype.is_floating_point:
        raise ValueError(f"masked median expects floating point input, got {x.dtype}")
    return order_statistics.nanmedian(_filled(x, mask, math.nan), dim, bool(keepdim))[0]


@_reduction
def logsumexp(input: Any, dim: Any, keepdim: bool, dtype: Any, mask: Any) -> Any:
    """log Σ exp of the elements where `mask` holds."""
    x = _typed(input, dtype, True)
    axes = tuple(range(len(x.shape))) if _dims(dim) is None else dim
    return softmaxes.logsumexp(_filled(x, mask, -math.inf), axes, keepdim).to(dtype or input.dtype)


def logaddexp(
    input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Any:
    """log(exp(input) + exp(other)), where a masked element counts as exp(-∞)."""
    x, y = _typed(input, dtype, True), _typed(other, dtype, True)
    return log_add(_filled(x, input_mask, -math.inf), _filled(y, other_mask, -math.inf))


def norm(
    input: Any,
    ord: Any = 2.0,
    dim: Any = None,
    *,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The vector norm of the elements where `mask` holds."""
    x = _typed(input, dtype, True)
    neutral = math.inf if ord == -math.inf else 0.0
    return norms.vector_norm(_filled(x, mask, neutral), ord, _dims(dim), bool(keepdim))


def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The variance of the elements where `mask` holds."""
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    x = _typed(input, dtype, True)
    center = div(sum(x, dim, keepdim=True, mask=mask), _count(x, dim, True, mask))
    distance = x - center
    total = sum(distance * distance, dim, keepdim=keepdim, mask=mask)
    count = _count(x, dim, keepdim, mask) - correction
    return div(total, count.clamp(min=0)).to(x.dtype)


def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    *,
    correction: float | None = None,
    keepdim: bool | None = False,
    dtype: Any = None,
    mask: Any = None,
) -> Any:
    """The standard deviation of the elements where `mask` holds."""
    options = {"correction": correction, "keepdim": keepdim, "dtype": dtype, "mask": mask}
    return sqrt(var(input, dim, unbiased, **options))


def softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The softmax over the elements where `mask` holds; 0 elsewhere."""
    x = _typed(input, dtype)
    return softmaxes.softmax(_filled(x, mask, -math.inf), dim)


def log_softmax(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The logarithm of `softmax`; -∞ elsewhere."""
    x = _typed(input, dtype)
    return softmaxes.log_softmax(_filled(x, mask, -math.inf), dim)


def softmin(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
    """The softmax of -input over the elements where `mask` holds; 0 elsewhere."""
    x = _typed(input, dtype)
    return softmaxes.softmax(-_filled(x, mask, math.inf), dim)


def normalize(
    input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Any:
    """The elements divided by the norm along `dim` of those where `mask` holds; 0 elsewhere."""
    x = _typed(input, dtype)
    length = norm(x, ord, dim, keepdim=True, mask=mask)
    return div(_filled(x, mask, 0), length.clamp(min=eps))
