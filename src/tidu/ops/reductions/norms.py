"""Norms and distances."""

from __future__ import annotations

import math
from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import broadcast, reduced, wrap_dim, wrap_dims
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.precision import in_full_precision
from tidu.ops.cast import as_dtype, cast
from tidu.ops.elementwise import abs_, clamp, eq, logical_or, mul, ne, pow_, sign, sqrt, sub, where
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.linear_algebra.factorization import svd_
from tidu.ops.moving.movement import reshape, swap
from tidu.ops.reductions.reduce import amax, amin, spread, sum_
from tidu.ops.rules import PART, class_name

Dims = tuple[int, ...]


def _infer_norm(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x,), (order, dims, keepdim) = inputs, attrs
    if not x.dtype.is_floating_point:
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got"
            f" {class_name(x.dtype)}; write x.float()"
        )
    if (order < 0 or math.isinf(order)) and any(x.shape[d] == 0 for d in dims):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {order} norm on the dimension {dims} because"
            " this dimension is empty and the operation does not have an identity"
        )
    return inputs, reduced(x.shape, dims, keepdim), x.dtype


def _norm_decompose(x: Any, order: float, dims: Dims, keepdim: bool) -> Any:
    if order == 0:
        return sum_(cast(ne(x, 0), x.dtype), dims, keepdim)
    if order == 1:
        return sum_(abs_(x), dims, keepdim)
    if order == 2:
        return sqrt(sum_(x * x, dims, keepdim)) if dims else abs_(x)
    if math.isinf(order):
        return (amax if order > 0 else amin)(abs_(x), dims, keepdim)
    return pow_(sum_(pow_(abs_(x), order), dims, keepdim), 1.0 / order)


def _over(g: Any, norm: Any, power: float) -> Any:
    """g / norm**power, and 0 where the norm is 0."""
    zero = eq(norm, 0)
    return where(zero, 0.0, g / pow_(where(zero, 1.0, norm), power))


def _norm_vjp(g: Any, out: Any, x: Any, order: float, dims: Dims, keepdim: bool) -> Any:
    """The subgradient that is 0 at 0, as PyTorch chooses; none for a count, of order 0."""
    g, norm = spread(g, x.shape, dims, keepdim), spread(out, x.shape, dims, keepdim)
    if order == 0:
        return None
    if order == 1:
        return g * sign(x)
    if order == 2:
        return g * _over(x, norm, 1.0)  # g / norm may be too large for a half type
    if math.isinf(order):
        reached = cast(logical_or(eq(abs_(x), norm), ne(x, x)), g.dtype)
        return g * (sign(x) * (reached / sum_(reached, dims, True)))
    if order < 1:
        zero = eq(x, 0)
        slope = where(zero, 0.0, sign(x) * pow_(abs_(where(zero, 1.0, x)), order - 1.0))
        return slope * (g * pow_(norm, 1.0 - order))
    if order < 2:
        zero = eq(x, 0)
        slope = where(zero, 0.0, sign(x) * pow_(abs_(where(zero, 1.0, x)), order - 1.0))
        return slope * _over(g, norm, order - 1.0)
    return x * pow_(abs_(x), order - 2.0) * _over(g, norm, order - 1.0)


vector_norm_ = define(
    "vector_norm",
    attrs="order dims keepdim",
    kind="composite",
    infer=_infer_norm,
    decompose=_norm_decompose,
    vjp=(_norm_vjp,),
    grad_name="LinalgVectorNormBackward0",
    samples=lambda: [
        Sample((Array((3, 4)), 2.0, (0, 1), False)),
        Sample((Array((3, 4)), 1.0, (1,), True)),
        Sample((Array((2, 3, 4)), 3.0, (0, 2), False)),
        Sample((Array((5,)), math.inf, (0,), False)),
        Sample((Array((5,)), -math.inf, (0,), False)),
        Sample((Array((5,), 0.3, 2), 0.5, (0,), False)),
        Sample((Array((5,), 0.3, 2), 1.5, (0,), False)),
        Sample((Array((5,)), 0.0, (0,), False)),
        Sample((Array(()), 2.0, (), False)),
    ],
    dtypes="float",
    reference=lambda torch, x, order, dims, keepdim: torch.linalg.vector_norm(
        x, order, dims or None, keepdim
    ),
    tolerance=2.0,
)


@function("torch.linalg.vector_norm")
def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """(Σ |x|^ord)^(1/ord) over `dim` (all by default); ±∞ for the extremes, 0 for the number that
    are not 0.
    """
    return vector_norm_(as_dtype(x, dtype), float(ord), wrap_dims(dim, len(x.shape)), keepdim)


def _pair(operation: str, dim: Any, rank: int) -> tuple[int, int]:
    dims = tuple(wrap_dim(d, rank) for d in dim)
    if len(dims) != 2:
        raise RuntimeError(f"{operation}: dim must be a 2-tuple. Got {tuple(dim)}")
    if dims[0] == dims[1]:
        raise RuntimeError(f"{operation}: dims must be different. Got ({dims[0]}, {dims[1]})")
    return dims[0], dims[1]


def _matrix_last(x: Any, rows: int, columns: int) -> Any:
    order = [i for i in range(len(x.shape)) if i not in (rows, columns)]
    return x.permute(*order, rows, columns)


@function("torch.linalg.matrix_norm")
def matrix_norm(
    A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A norm of matrices: "fro", "nuc", ±1 (columns), ±∞ (rows),
    or ±2 (the extreme singular value).
    """
    rank = len(A.shape)
    if rank < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions, but has shape"
            f" {list(A.shape)}"
        )
    if not A.dtype.is_floating_point:
        raise RuntimeError(
            "linalg.matrix_norm: Expected a floating point or complex tensor as input. Got"
            f" {class_name(A.dtype)}"
        )
    rows, columns = _pair("linalg.matrix_norm", dim, rank)
    A = as_dtype(A, dtype)
    if ord == "fro":
        return vector_norm_(A, 2.0, (rows, columns), keepdim)
    if ord == "nuc" or (not isinstance(ord, str) and abs(ord) == 2):
        values = svd_(_matrix_last(A, rows, columns), False)[1]
        last = (len(values.shape) - 1,)
        result = (
            sum_.named("SumBackward1", values, last, False)
            if ord == "nuc"
            else (amax if ord > 0 else amin)(values, last, False)
        )
        return (
            reshape(result, reduced(tuple(A.shape), (rows, columns), True)) if keepdim else result
        )
    if isinstance(ord, str) or abs(ord) not in (1, math.inf):
        raise RuntimeError(
            f"linalg.matrix_norm: Order {ord} not supported. It must be one of 'fro', 'nuc', inf,"
            " -inf, 1, -1, 2 or -2"
        )
    summed, kept = (rows, columns) if abs(ord) == 1 else (columns, rows)
    sums = vector_norm_(A, 1.0, (summed,), keepdim)
    return (amax if ord > 0 else amin)(
        sums, (kept if keepdim else kept - (kept > summed),), keepdim
    )


@function("torch.linalg.norm")
def linalg_norm(
    A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """A vector norm or, for two dimensions and an order, a matrix norm;
    without an order, of all elements.
    """
    rank = len(A.shape)
    if ord is None:
        return vector_norm(A, 2, dim, keepdim, dtype=dtype)
    if dim is not None:
        dims = (dim,) if isinstance(dim, int) else tuple(dim)
        if len(dims) not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}"
            )
    else:
        if rank not in (1, 2):
            raise RuntimeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got"
                f" {rank}D."
            )
        dims = tuple(range(rank))
    if len(dims) == 2:
        return matrix_norm(A, ord, dims, keepdim, dtype=dtype)
    if isinstance(ord, str):
        raise RuntimeError(f"linalg.norm: Order {ord} not supported for vectors; use a number")
    return vector_norm(A, ord, dims, keepdim, dtype=dtype)


@function("torch.norm Tensor.norm")
def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    """The p-norm over `dim` (all elements by default): "fro" is 2;
    "nuc" is the nuclear norm of a matrix.

    >>> torch.tensor([3., 4.]).norm()
    tensor(5.)
    """
    if isinstance(p, str):
        if p == "nuc":
            dims = tuple(range(len(input.shape))) if dim is None else dim
            return matrix_norm(input, "nuc", dims, keepdim, dtype=dtype)
        if p != "fro":
            raise RuntimeError(
                f"norm(): p can be 'fro', 'nuc', inf, -inf or a number, but got '{p}'"
            )
        p = 2
    return vector_norm(input, 2 if p is None else p, dim, keepdim, dtype=dtype)


@function("torch.renorm Tensor.renorm", inplace=True)
def renorm(input: Any, p: Any, dim: int, maxnorm: Any) -> Any:
    """Each slice along `dim` whose p-norm exceeds `maxnorm` scaled down to it."""
    rank = len(input.shape)
    if rank < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {rank} dimensions")
    if p <= 0:
        raise RuntimeError(f"renorm: non-positive-norm not supported, got p = {p}")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm}")
    d = wrap_dim(dim, rank)
    rest, limit = tuple(i for i in range(rank) if i != d), float(maxnorm)
    over = vector_norm_(input, float(p), rest, True) > limit
    # The derivative sees only what is scaled: 0 times that of a norm which is NaN would be NaN.
    norms = vector_norm_(where(over, input, 0.0), float(p), rest, True)
    factor = where(over, limit / (norms + 1e-7), 1.0)
    return mul.named("RenormBackward0", input, factor)


@function("torch.dist Tensor.dist")
def dist(input: Any, other: Any, p: Any = 2) -> Any:
    """The p-norm of input - other."""
    difference = sub.named(PART, input, other)
    return vector_norm_.named(
        "DistBackward0", difference, float(p), tuple(range(len(difference.shape))), False
    )


def _rows_apart(x: Any, y: Any) -> Any:
    """All differences between a row of x and a row of y: (…, n, m, d)."""
    return reshape(x, (*x.shape[:-1], 1, x.shape[-1])) - reshape(
        y, (*y.shape[:-2], 1, *y.shape[-2:])
    )


def _cdist_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, y = inputs
    for number, tensor in enumerate((x, y), 1):
        if not tensor.dtype.is_floating_point:
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, X{number} got: {tensor.dtype}"
            )
        if len(tensor.shape) < 2:
            raise RuntimeError(
                f"cdist only supports at least 2D tensors, X{number} got: {len(tensor.shape)}D"
            )
    if x.shape[-1] != y.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x.shape[-1]} X2: {y.shape[-1]}"
        )
    batch = broadcast("cdist", x.shape[:-2], y.shape[:-2])
    return inputs, (*batch, x.shape[-2], y.shape[-2]), dtypes.promote_types(x.dtype, y.dtype)


def _cdist_decompose(x: Any, y: Any, p: float, by_product: bool) -> Any:
    if by_product:
        squares = sum_(x * x, (len(x.shape) - 1,), True), sum_(y * y, (len(y.shape) - 1,), True)
        square = squares[0] + swap(squares[1], -2, -1) - matmul(x, swap(y, -2, -1)) * 2.0
        return sqrt(clamp(square, 0.0, None))
    apart = _rows_apart(x, y)
    return vector_norm_(apart, p, (len(apart.shape) - 1,), False)


def _cdist_vjp(g: Any, out: Any, x: Any, y: Any, p: float) -> Any:
    """With respect to the first; that of the second is its mirror image."""
    if p == 2:
        zero = eq(out, 0)
        ratio = where(zero, 0.0, g / where(zero, 1.0, out))
        return x * sum_(ratio, (len(ratio.shape) - 1,), True) - matmul(ratio, y)
    apart = _rows_apart(x, y)
    last = (len(apart.shape) - 1,)
    if p == 0:
        return x * 0.0
    if math.isinf(p):  # unlike in a norm, all that reach the distance get its whole gradient
        reached = eq(abs_(apart), spread(out, apart.shape, last, False))
        slopes = spread(g, apart.shape, last, False) * sign(apart) * cast(reached, g.dtype)
    else:
        slopes = _norm_vjp(g, out, apart, p, last, False)
    return sum_(slopes, (len(slopes.shape) - 2,), False)


cdist_ = define(
    "cdist",
    inputs="x1 x2",
    attrs="p by_product",
    kind="composite",
    infer=_cdist_infer,
    decompose=_cdist_decompose,
    vjp=(
        lambda g, out, x, y, p, by_product: _cdist_vjp(g, out, x, y, p),
        lambda g, out, x, y, p, by_product: _cdist_vjp(swap(g, -2, -1), swap(out, -2, -1), y, x, p),
    ),
    joined=True,
    samples=lambda: [
        Sample((Array((3, 4)), Array((2, 4)), 2.0, False)),
        Sample((Array((2, 3, 4)), Array((5, 4)), 1.0, False)),
        Sample((Array((3, 4)), Array((5, 4)), 2.0, True)),
        Sample((Array((3, 4)), Array((5, 4)), 3.0, False)),
    ],
    dtypes="float",
    reference=lambda torch, x, y, p, by_product: torch.linalg.vector_norm(
        x[..., :, None, :] - y[..., None, :, :], p, -1
    ),
    tolerance=10.0,
)


@function("torch.cdist")
@in_full_precision
def cdist(
    x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary"
) -> Any:
    """The p-norm distances between all rows: (…, n, d) and (…, m, d) give (…, n, m).

    `compute_mode` says whether Euclidean distances may come from a matrix product, which is faster
    for many rows and less exact: "use_mm_for_euclid_dist", "..._if_necessary" (more than 25 rows),
    "donot_use_mm_for_euclid_dist".

    >>> torch.cdist(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    modes = {
        "use_mm_for_euclid_dist_if_necessary": (
            len(x1.shape) > 1 and max(x1.shape[-2], x2.shape[-2]) > 25
        ),
        "use_mm_for_euclid_dist": True,
        "donot_use_mm_for_euclid_dist": False,
    }
    if compute_mode not in modes:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    by_product = p == 2 and modes[compute_mode]
    return cdist_.named(
        "EuclideanDistBackward0" if by_product else "CdistBackward0", x1, x2, float(p), by_product
    )
