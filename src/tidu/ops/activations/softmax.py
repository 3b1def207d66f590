"""Softmax and its logarithm, with the greatest element taken out so that nothing overflows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base.random.generator import default_generator
from tidu.base.shapes import reduced, wrap_dim, wrap_dims
from tidu.base.source import warn
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import leaf
from tidu.ops.activations.exponentials import (
    softmax_exp,
    softmax_exp_numpy,
    softmax_log,
    softmax_log_numpy,
)
from tidu.ops.cast import as_dtype
from tidu.ops.elementwise import abs_, eq, exp, log, neg, where
from tidu.ops.elementwise.blending import addcmul_
from tidu.ops.indexing.along import scatter
from tidu.ops.reductions.places import argmax_
from tidu.ops.reductions.reduce import amax, spread, sum_
from tidu.ops.reductions.rows import sum_row, sum_row_numpy
from tidu.ops.rules import floating, not_implemented
from tidu.ops.sources import full

Dims = tuple[int, ...]


def _infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x = inputs[0]
    if not x.dtype.is_floating_point:
        raise not_implemented(f"{op.name}_lastdim_kernel_impl", x.dtype)
    return inputs, x.shape, x.dtype


def _samples() -> list[Sample]:
    return [
        Sample((Array((3, 4)), (1,))),
        Sample((Array((3, 4)), (0,))),
        Sample((Array((2, 3, 4)), (1,))),
        Sample((Array((5,), -50, 50), (0,))),
        Sample((Array(()), ())),
        Sample((Array((0, 3)), (0,))),
    ]


def _reference(name: str) -> Any:
    return lambda torch, x, dims: getattr(torch, name)(x, dims[0] if dims else 0)


def _is_of_rows(x: Any, dims: Dims) -> bool:
    """Whether it is along the last dimension, where PyTorch adds and rounds in a way of its own."""
    return dims == (len(x.shape) - 1,)


def _softmax_numpy(x: Any, dims: Dims) -> Any:
    if not x.size:
        return x.copy()
    result = softmax_exp_numpy(x - np.maximum.reduce(x, dims, keepdims=True))
    if _is_of_rows(x, dims):
        result *= 1 / sum_row_numpy(result)
    else:
        result /= np.add.reduce(result, dims, keepdims=True)
    return result


def _softmax(x: Any, dims: Dims) -> Any:
    if 0 in x.shape:
        return x
    powers = softmax_exp(x - amax(x, dims, True))
    if _is_of_rows(x, dims):
        return powers * (1.0 / sum_row(powers))
    return powers / sum_(powers, dims, True)


def _softmax_vjp(g: Any, out: Any, x: Any, dims: Dims) -> Any:
    products = g * out
    total = sum_row(products) if _is_of_rows(x, dims) else sum_(products, dims, True)
    return (g - total) * out


softmax_ = define(
    "softmax",
    attrs="dims",
    kind="composite",
    infer=_infer,
    numpy=_softmax_numpy,
    decompose=_softmax,
    vjp=(_softmax_vjp,),
    samples=_samples,
    dtypes="float",
    reference=_reference("softmax"),
)


def _log_softmax_numpy(x: Any, dims: Dims) -> Any:
    if not x.size:
        return x.copy()
    result = np.asarray(x - np.maximum.reduce(x, dims, keepdims=True))
    powers = softmax_exp_numpy(result)
    rows = _is_of_rows(x, dims)
    total = sum_row_numpy(powers) if rows else np.add.reduce(powers, dims, keepdims=True)
    result -= softmax_log_numpy(total)
    return result


def _log_softmax(x: Any, dims: Dims) -> Any:
    if 0 in x.shape:
        return x
    centered = x - amax(x, dims, True)
    powers = softmax_exp(centered)
    total = sum_row(powers) if _is_of_rows(x, dims) else sum_(powers, dims, True)
    return centered - softmax_log(total)


def _log_softmax_vjp(g: Any, out: Any, x: Any, dims: Dims) -> Any:
    total = sum_row(g) if _is_of_rows(x, dims) else sum_(g, dims, True)
    return addcmul_(g, softmax_exp(out), total, -1.0)


log_softmax_ = define(
    "log_softmax",
    attrs="dims",
    kind="composite",
    infer=_infer,
    numpy=_log_softmax_numpy,
    decompose=_log_softmax,
    vjp=(_log_softmax_vjp,),
    samples=_samples,
    dtypes="float",
    reference=_reference("log_softmax"),
)


def _logsumexp_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    inputs, shape, d = floating(op, inputs, ())
    return inputs, reduced(shape, attrs[0], attrs[1]), d


def _logsumexp(x: Any, dims: Dims, keepdim: bool) -> Any:
    if any(x.shape[d] == 0 for d in dims):
        return full(-math.inf, reduced(x.shape, dims, keepdim), x.dtype)
    if 0 in x.shape:
        return sum_(x, dims, keepdim)
    greatest = amax(x, dims, True)
    shift = where(eq(abs_(greatest), math.inf), 0.0, greatest)
    result = log(sum_(exp(x - shift), dims, True)) + shift
    return result if keepdim else sum_(result, dims, False)


# The gradient is softmax; at infinities inf - inf makes it NaN, as it is in PyTorch.
logsumexp_ = define(
    "logsumexp",
    attrs="dims keepdim",
    kind="composite",
    infer=_logsumexp_infer,
    decompose=_logsumexp,
    vjp=(
        lambda g, out, x, dims, keepdim: (
            spread(g, x.shape, dims, keepdim) * exp(x - spread(out, x.shape, dims, keepdim))
        ),
    ),
    samples=lambda: [
        Sample((Array((3, 4)), (1,), False)),
        Sample((Array((2, 3, 4)), (0, 2), True)),
        Sample((Array((5,), -50, 50), (0,), False)),
        Sample((Array(()), (), False)),
        Sample((Array((0, 3)), (0,), False)),
    ],
    dtypes="number",
    reference=lambda torch, x, dims, keepdim: torch.logsumexp(x, dims or 0, keepdim),
)


def _along(op: Op, input: Any, dim: int, dtype: Any) -> Any:
    input = as_dtype(input, dtype)
    return op(input, (wrap_dim(dim, len(input.shape)),) if input.shape else _no_dims(dim))


def _no_dims(dim: int) -> Dims:
    wrap_dim(dim, 0)
    return ()


def _implicit_dim(name: str, input: Any, dim: int | None) -> int:
    if dim is not None:
        return dim
    warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument."
    )
    return 0 if len(input.shape) in (0, 1, 3) else 1


@function("torch.nn.functional.softmax")
def softmax_function(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Any:
    """exp(input) / Σ exp(input) along `dim`; `dtype` converts the input first.

    >>> F.softmax(torch.zeros(2, 4), dim=1)[0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return _along(softmax_, input, _implicit_dim("softmax", input, dim), dtype)


@function("torch.nn.functional.log_softmax")
def log_softmax_function(
    input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None
) -> Any:
    """input - log Σ exp(input) along `dim`: log softmax, without its loss of digits.

    >>> F.log_softmax(torch.zeros(2), dim=0)
    tensor([-0.6931, -0.6931])
    """
    return _along(log_softmax_, input, _implicit_dim("log_softmax", input, dim), dtype)


@function("torch.nn.functional.softmin")
def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """softmax(-input) along `dim`."""
    return _along(softmax_, neg(input), _implicit_dim("softmin", input, dim), dtype)


@function("torch.softmax Tensor.softmax torch.special.softmax")
def softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """exp(input) / Σ exp(input) along `dim`.

    >>> F.softmax(torch.tensor([0., 0.]), dim=0)
    tensor([0.5000, 0.5000])
    """
    return _along(softmax_, input, dim, dtype)


@function("torch.log_softmax Tensor.log_softmax torch.special.log_softmax")
def log_softmax(input: Any, dim: int, dtype: Any = None) -> Any:
    """input - log Σ exp(input) along `dim`.

    >>> F.log_softmax(torch.tensor([0., 0.]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    return _along(log_softmax_, input, dim, dtype)


@function("torch.logsumexp Tensor.logsumexp torch.special.logsumexp")
def logsumexp(input: Any, dim: Any, keepdim: bool = False) -> Any:
    """log Σ exp(input) over `dim`, an int or several; -inf over no elements.

    >>> torch.logsumexp(torch.tensor([1000., 1000.]), 0)
    tensor(1000.6932)
    """
    return logsumexp_(input, wrap_dims(dim, len(input.shape)), keepdim)


@function("torch.nn.functional.gumbel_softmax")
def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """A sample of the Gumbel-softmax distribution: softmax((logits + noise) / `tau`).

    With `hard`, one-hot in the forward pass and differentiated as if it were the soft sample (Jang
    et al., 2017).
    """
    if eps != 1e-10:
        warn("`eps` parameter is deprecated and has no effect.")
    drawn = default_generator.exponential(tuple(logits.shape), logits.dtype.numpy)
    gumbels = (logits - log(leaf(drawn, logits.dtype))) / tau
    soft = softmax(gumbels, dim)
    if not hard:
        return soft
    dim = wrap_dim(dim, len(soft.shape))
    chosen = scatter(full(0.0, tuple(soft.shape), soft.dtype), argmax_(soft, dim, True), 1.0, dim)
    return chosen - soft.detach() + soft
