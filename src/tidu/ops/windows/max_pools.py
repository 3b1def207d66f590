"""The public functions of pooling by the greatest element: max_pool2d, max_unpool2d, ..."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.ir.op import function
from tidu.ops.indexing.along import scatter
from tidu.ops.moving.movement import reshape
from tidu.ops.rules import class_name
from tidu.ops.sources import full
from tidu.ops.windows.max_pooling import max_pool
from tidu.ops.windows.max_positions import flat_index, max_pool_position
from tidu.ops.windows.pool_windows import Window, check_rank
from tidu.ops.windows.sliding import per_dimension


def pool_max(
    n: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    """Max pooling in n dimensions, with the places of the greatest elements if asked for."""
    name = f"max_pool{n}d"
    check_rank(name, input, n)
    window = Window(name, n, kernel_size, stride, padding, dilation)
    _, pads = window.fit(input, ceil_mode)
    attrs = (window.kernel, window.stride, pads, window.dilation)
    grad_name = "SqueezeBackward1" if n == 1 else f"MaxPool{n}DWithIndicesBackward0"
    values = max_pool.named(grad_name, input, *attrs)
    if not return_indices:
        return values
    position = max_pool_position(input, *attrs)
    return values, flat_index(position, tuple(input.shape[-n:]), *attrs)


def _max_pool(n: int, doc: str) -> Callable[..., Any]:
    """torch.nn.functional.max_pool2d, its twin in torch, and the one that always gives indices."""
    name = f"torch.nn.functional.max_pool{n}d"

    @function(name, doc=doc)
    def pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        return pool_max(n, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)

    @function(f"torch.max_pool{n}d", doc=f"`{name}`, without indices.")
    def values(
        input: Any,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        return pool_max(n, input, kernel_size, stride, padding, dilation, ceil_mode, False)

    @function(f"{name}_with_indices", doc=f"`{name}`, with indices.")
    def with_indices(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        return pool_max(n, input, kernel_size, stride, padding, dilation, ceil_mode, True)

    return pool


max_pool1d = _max_pool(
    1, "The greatest element of each window: (N, C, L) gives (N, C, L'). See `max_pool2d`."
)
max_pool2d = _max_pool(
    2,
    """The greatest element of each window of an image: (N, C, H, W) gives (N, C, H', W').

    H' = ⌊(H + 2·padding − dilation·(kernel − 1) − 1) / stride⌋ + 1, or ⌈…⌉ + 1 in `ceil_mode` as
    long as the last window starts inside. The stride is the kernel size if it is not given. Pads
    count as −∞. The gradient goes to the first of several greatest elements. With `return_indices`
    also gives their places in the flattened H × W.

    >>> torch.nn.functional.max_pool2d(torch.arange(16.).view(1, 4, 4), 2)
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """,
)
max_pool3d = _max_pool(
    3,
    """The greatest element of each window of a volume: (N, C, D, H, W) gives (N, C, D', H', W').

    See `max_pool2d`.
    """,
)


@function("torch.max_pool1d_with_indices")
def max_pool1d_with_indices(
    input: Any,
    kernel_size: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    """`torch.nn.functional.max_pool1d` with indices."""
    return pool_max(1, input, kernel_size, stride, padding, dilation, ceil_mode, True)


def _unpool_sizes(
    input: Any, kernel: Shape, stride: Shape, padding: Shape, output_size: Any
) -> Shape:
    n = len(kernel)
    default = tuple(
        (size - 1) * s + k - 2 * p
        for size, k, s, p in zip(input.shape[-n:], kernel, stride, padding, strict=True)
    )
    if output_size is None:
        return default
    sizes = tuple(int(size) for size in output_size)
    if len(sizes) == n + 2:
        sizes = sizes[2:]
    if len(sizes) != n:
        raise ValueError(
            f"output_size should be a sequence containing {n} or {n + 2} elements, "
            f"but it has a length of '{len(output_size)}'"
        )
    for i, (size, usual, s) in enumerate(zip(sizes, default, stride, strict=True)):
        if not usual - s < size < usual + s:
            raise ValueError(
                f'invalid output_size "{sizes}" (dim {i} must be between {usual - s} and'
                f" {usual + s})"
            )
    return sizes


def _unpool(
    n: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    name = f"max_unpool{n}d"
    check_rank(name, input, n)
    kernel = per_dimension(name, "kernel_size", kernel_size, n)
    step = kernel if stride is None else per_dimension(name, "stride", stride, n)
    pad = per_dimension(name, "padding", padding, n)
    sizes = _unpool_sizes(input, kernel, step, pad, output_size)
    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {class_name(indices.dtype)}"
            f" ({name})"
        )
    if tuple(indices.shape) != tuple(input.shape):
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor"
            f" ({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
            f" ({name})"
        )
    lead = tuple(input.shape[:-n])
    plane = (*lead, prod(input.shape[-n:]))
    zeros = full(0.0, (*lead, prod(sizes)), input.dtype)
    flat = scatter(zeros, reshape(indices, plane), reshape(input, plane), len(lead))
    grad_name = "SqueezeBackward1" if n == 1 else f"MaxUnpool{n}DBackward0"
    return reshape.named(grad_name, flat, (*lead, *sizes))


def _max_unpool(n: int, doc: str) -> Callable[..., Any]:
    @function(f"torch.nn.functional.max_unpool{n}d", doc=doc)
    def unpool(
        input: Any,
        indices: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        output_size: Any = None,
    ) -> Any:
        return _unpool(n, input, indices, kernel_size, stride, padding, output_size)

    return unpool


max_unpool1d = _max_unpool(
    1,
    """The partial inverse of `max_pool1d`: elements back at `indices`, zeros elsewhere.

    See `max_unpool2d`.
    """,
)
max_unpool2d = _max_unpool(
    2,
    """The partial inverse of `max_pool2d`.

    (N, C, H, W) gives (N, C, H', W') with H' = (H − 1)·stride − 2·padding + kernel.

    Elements go to `indices`, which count in the flattened H' × W'; all others are zero.
    `output_size` chooses among the sizes that pool to the same one; ValueError if it is none of
    them.
    """,
)
max_unpool3d = _max_unpool(
    3,
    """The partial inverse of `max_pool3d`: elements back at `indices`, zeros elsewhere.

    See `max_unpool2d`.
    """,
)
