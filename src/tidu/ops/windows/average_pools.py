"""The public functions of pooling by means and by norms: avg_pool2d, lp_pool2d, ..."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.ir.op import function
from tidu.ir.value import leaf
from tidu.ops.cast import cast
from tidu.ops.elementwise import abs_, pow_, relu, sign, trunc
from tidu.ops.rules import class_name
from tidu.ops.windows.max_pools import pool_max
from tidu.ops.windows.mean_pooling import avg_pool
from tidu.ops.windows.pool_windows import Window, check_rank
from tidu.ops.windows.sliding import per_dimension


@lru_cache(maxsize=256)
def _counts(
    sizes: Shape, outs: Shape, kernel: Shape, stride: Shape, padding: Shape, include_pad: bool
) -> Any:
    """How many elements each window counts: a number if all do the same, otherwise an array."""
    counts: Any = np.ones((), np.int64)
    for size, m, k, s, p in zip(sizes, outs, kernel, stride, padding, strict=True):
        starts = np.arange(m) * s - p
        ends = np.minimum(starts + k, size + p)
        if not include_pad:
            starts, ends = np.maximum(starts, 0), np.minimum(ends, size)
        counts = counts[..., None] * (ends - starts)
    same = bool((counts == counts.flat[0]).all())
    return float(counts.flat[0]) if same else counts


def _mean(
    n: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    name = f"avg_pool{n}d"
    check_rank(name, input, n)
    if input.dtype.category != dtypes.FLOAT and input.dtype is not dtypes.int64:
        raise NotImplementedError(
            f"\"{name}\" not implemented for '{class_name(input.dtype)}'; write x.float()"
        )
    window = Window(name, n, kernel_size, stride, padding)
    if n == 3 and any(size < k for size, k in zip(input.shape[-n:], window.kernel, strict=True)):
        raise RuntimeError(
            f"input image {list(input.shape[-n:])} smaller than kernel size {list(window.kernel)}"
            f" in {name}"
        )
    outs, pads = window.fit(input, ceil_mode)
    if divisor_override == 0:
        raise RuntimeError(f"divisor must be not zero, but divisor_override is 0 in {name}")
    x = input if input.dtype.is_floating_point else cast(input, dtypes.float64)
    divisor: Any = divisor_override
    if divisor is None:
        numbers = (window.kernel, window.stride, window.padding)
        divisor = _counts(tuple(input.shape[-n:]), outs, *numbers, count_include_pad)
    if isinstance(divisor, np.ndarray):
        divisor = leaf(divisor.astype(x.dtype.numpy), x.dtype)
    grad_name = "SqueezeBackward1" if n == 1 else f"AvgPool{n}DBackward0"
    mean = avg_pool.named(grad_name, x, divisor, window.kernel, window.stride, pads)
    return mean if x is input else cast(trunc(mean), input.dtype)


@function("torch.avg_pool1d torch.nn.functional.avg_pool1d")
def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean of each window: (N, C, L) gives (N, C, L'). See `avg_pool2d`."""
    return _mean(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None)


def _avg_pool(n: int, doc: str) -> Callable[..., Any]:
    @function(f"torch.nn.functional.avg_pool{n}d", doc=doc)
    def pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:
        return _mean(
            n, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        )

    return pool


avg_pool2d = _avg_pool(
    2,
    """The mean of each window of an image.

    (N, C, H, W) gives (N, C, H', W'), sizes as in `max_pool2d`.

    Zeros that pad count as elements unless `count_include_pad` is False; `divisor_override`
    replaces the count.

    >>> torch.nn.functional.avg_pool2d(torch.arange(16.).view(1, 4, 4), 2)
    tensor([[[ 2.5000,  4.5000],
             [10.5000, 12.5000]]])
    """,
)
avg_pool3d = _avg_pool(
    3,
    """The mean of each window of a volume: (N, C, D, H, W) gives (N, C, D', H', W').

    See `avg_pool2d`.
    """,
)


def _norm(
    n: int, input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool
) -> Any:
    p = float(norm_type)
    if math.isinf(p):  # the limits of the norm
        side = 1.0 if p > 0 else -1.0
        return side * pool_max(n, side * abs_(input), kernel_size, stride, 0, 1, ceil_mode, False)
    kernel = per_dimension(f"lp_pool{n}d", "kernel_size", kernel_size, n)
    mean = _mean(n, pow_(input, p), kernel, stride, 0, ceil_mode, True, None)
    total = (sign(mean) * relu(abs_(mean))) * float(prod(kernel))
    return pow_(total, 1.0 / p)


def _lp_pool(n: int, sizes: str) -> Callable[..., Any]:
    doc = f"(Σ over each window of x^p)^(1/p), p being `norm_type`: {sizes}."

    @function(f"torch.nn.functional.lp_pool{n}d", doc=doc)
    def pool(
        input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> Any:
        return _norm(n, input, norm_type, kernel_size, stride, ceil_mode)

    return pool


lp_pool1d = _lp_pool(1, "(N, C, L) gives (N, C, L')")
lp_pool2d = _lp_pool(2, "(N, C, H, W) gives (N, C, H', W')")
lp_pool3d = _lp_pool(3, "(N, C, D, H, W) gives (N, C, D', H', W')")
