"""The public functions of convolution: torch.conv2d, torch.nn.functional.conv_transpose2d, ..."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tidu.base.shapes import Shape
from tidu.ir.op import function
from tidu.ops.moving.movement import permute, reshape
from tidu.ops.windows.columns import Geometry
from tidu.ops.windows.convolution import convolution, convolution_transpose
from tidu.ops.windows.sliding import Pads, integers, span


def _numbers(operation: str, name: str, value: Any, count: int) -> Shape:
    """One integer for each dimension, from one for all or a list of them."""
    if value.__class__ is tuple and len(value) == count and set(map(type, value)) == {int}:
        return value
    numbers = integers(operation, name, value)
    if len(numbers) == 1:
        return numbers * count
    if len(numbers) != count:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {count} values to match the"
            f" convolution dimensions, but got {name}={list(numbers)} ({operation})"
        )
    return numbers


def _check_numbers(stride: Shape, padding: Shape, dilation: Shape, groups: int) -> None:
    if min(padding) >= 0 and min((*stride, *dilation, groups)) > 0:
        return
    for name, numbers, least in (
        ("stride", stride, 1), ("padding", padding, 0),
        ("dilation", dilation, 1), ("groups", (groups,), 1),
    ):  # fmt: skip
        if min(numbers) < least:
            wrong = "non-positive" if least else "negative"
            raise RuntimeError(f"{wrong} {name} is not supported, but got {name}={list(numbers)}")


def _batched(operation: str, input: Any, weight: Any, bias: Any, n: int) -> tuple[Any, bool]:
    """The input with a batch dimension, and whether it had none."""
    for role, tensor in (("input", input), ("weight", weight), ("bias", bias)):
        if not hasattr(type(tensor), "shape") and (tensor is not None or role != "bias"):
            kind = type(tensor).__name__
            raise TypeError(f"{operation}(): argument '{role}' must be Tensor, not {kind}")
    shape, of_weight = tuple(input.shape), tuple(weight.shape)
    if len(shape) not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {operation}, but got"
            f" input of size: {list(shape)}"
        )
    if len(of_weight) != n + 2:
        raise RuntimeError(
            f"{operation} expects a weight of {n + 2} dimensions (channels, channels, and {n} of"
            f" the kernel), but got weight of size {list(of_weight)}"
        )
    if 0 in shape[-n:] or 0 in of_weight[2:]:
        raise RuntimeError(
            "Only zero batch or zero channel inputs are supported, but got input shape:"
            f" {list(shape)} and weight shape: {list(of_weight)} in {operation}"
        )
    if len(shape) == n + 2:
        return input, False
    return reshape.named("UnsqueezeBackward0", input, (1, *shape)), True


def _unbatched(result: Any, was: bool) -> Any:
    return reshape.named("SqueezeBackward1", result, tuple(result.shape[1:])) if was else result


def _pads(operation: str, padding: Any, kernel: Shape, stride: Shape, dilation: Shape) -> Pads:
    if not isinstance(padding, str):
        return tuple([(p, p) for p in _numbers(operation, "padding", padding, len(kernel))])
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        raise RuntimeError(
            f"Invalid padding string: '{padding}' ({operation} knows 'valid' and 'same')"
        )
    if any(s != 1 for s in stride):
        raise RuntimeError(
            "padding='same' is not supported for strided convolutions, but got"
            f" stride={list(stride)} in {operation}: give the padding as numbers"
        )
    totals = (span(k, d) - 1 for k, d in zip(kernel, dilation, strict=True))
    return tuple((total // 2, total - total // 2) for total in totals)


def _convolve(
    n: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    name = f"conv{n}d"
    x, unbatched = _batched(name, input, weight, bias, n)
    kernel = tuple(weight.shape[2:])
    step = _numbers(name, "stride", stride, n)
    dilate = _numbers(name, "dilation", dilation, n)
    if isinstance(padding, str):
        _check_numbers(step, (0,), dilate, groups)
        pads = _pads(name, padding, kernel, step, dilate)
    else:
        pads = _pads(name, padding, kernel, step, dilate)
        _check_numbers(step, tuple([low for low, _ in pads]), dilate, groups)
    return _unbatched(convolution(x, weight, bias, Geometry(step, pads, dilate, groups)), unbatched)


def _convolve_transpose(
    n: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    name = f"conv_transpose{n}d"
    x, unbatched = _batched(name, input, weight, bias, n)
    step = _numbers(name, "stride", stride, n)
    pad = _numbers(name, "padding", padding, n)
    extra = _numbers(name, "output_padding", output_padding, n)
    dilate = _numbers(name, "dilation", dilation, n)
    _check_numbers(step, pad, dilate, groups)
    if min(extra) < 0:
        raise RuntimeError(
            f"negative output_padding is not supported, but got {list(extra)} in {name}"
        )
    if any(e >= s and e >= d for e, s, d in zip(extra, step, dilate, strict=True)):
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got "
            f"output_padding={list(extra)}, stride={list(step)}, dilation={list(dilate)} in {name}"
        )
    sizes = tuple(
        (size - 1) * s - 2 * p + span(k, d) + e
        for size, s, p, k, d, e in zip(
            x.shape[2:], step, pad, weight.shape[2:], dilate, extra, strict=True
        )
    )
    # The last `extra` elements are outside of every window.
    pads = tuple((p, p - e) for p, e in zip(pad, extra, strict=True))
    return _unbatched(
        convolution_transpose(x, weight, bias, sizes, Geometry(step, pads, dilate, groups)),
        unbatched,
    )


def _convolution(n: int, doc: str) -> Callable[..., Any]:
    @function(f"torch.conv{n}d torch.nn.functional.conv{n}d", doc=doc)
    def convolve(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        return _convolve(n, input, weight, bias, stride, padding, dilation, groups)

    return convolve


conv1d = _convolution(
    1,
    """Convolution along one dimension: (N, C, L) and a weight (O, C / groups, K) give (N, O, L').

    L' = ⌊(L + 2·padding − dilation·(K − 1) − 1) / stride⌋ + 1. See `conv2d`.
    """,
)
conv2d = _convolution(
    2,
    """Convolution of images.

    y[n, o] = bias[o] + Σ over c of weight[o, c] ⋆ input[n, c], ⋆ being cross-correlation.

    (N, C, H, W) and a weight (O, C / groups, kernel height, kernel width) give (N, O, H', W') with
    H' = ⌊(H + 2·padding − dilation·(kernel height − 1) − 1) / stride⌋ + 1; an input without N gives
    a result without it. `padding` is a number of zeros, 'valid' or 'same'. Raises RuntimeError for
    sizes that do not fit.

    >>> torch.nn.functional.conv2d(torch.ones(1, 3, 8, 8), torch.ones(4, 3, 3, 3), padding=1).shape
    torch.Size([1, 4, 8, 8])
    """,
)
conv3d = _convolution(
    3,
    """Convolution of volumes.

    (N, C, D, H, W) and a weight (O, C / groups, …) give (N, O, D', H', W'). See `conv2d`.
    """,
)


def _transposed_convolution(n: int, doc: str) -> Callable[..., Any]:
    @function(f"torch.conv_transpose{n}d torch.nn.functional.conv_transpose{n}d", doc=doc)
    def convolve(
        input: Any,
        weight: Any,
        bias: Any = None,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        dilation: Any = 1,
    ) -> Any:
        return _convolve_transpose(
            n, input, weight, bias, stride, padding, output_padding, groups, dilation
        )

    return convolve


conv_transpose1d = _transposed_convolution(
    1,
    """The transpose of `conv1d`: (N, C, L) and a weight (C, O / groups, K) give (N, O, L').

    See `conv_transpose2d`.
    """,
)
conv_transpose2d = _transposed_convolution(
    2,
    """The transpose of `conv2d`, which enlarges by `stride`: its derivative in the input.

    (N, C, H, W) and a weight (C, O / groups, kernel height, kernel width) give (N, O, H', W') with
    H' = (H − 1)·stride − 2·padding + dilation·(kernel height − 1) + output_padding + 1. Raises
    RuntimeError for sizes that do not fit.

    >>> x, weight = torch.ones(1, 3, 4, 4), torch.ones(3, 2, 2, 2)
    >>> torch.nn.functional.conv_transpose2d(x, weight, stride=2).shape
    torch.Size([1, 2, 8, 8])
    """,
)
conv_transpose3d = _transposed_convolution(
    3,
    """The transpose of `conv3d`: (N, C, D, H, W) and a weight (C, O / groups, …) give volumes.

    See `conv_transpose2d`.
    """,
)


@function("torch.convolution")
def convolve(
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Any:
    """Any of the convolutions above; the weight says in how many dimensions."""
    n = len(weight.shape) - 2
    if transposed:
        return _convolve_transpose(
            n, input, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return _convolve(n, input, weight, bias, stride, padding, dilation, groups)


@function("torch.conv_tbc torch.nn.functional.conv_tbc")
def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """`conv1d` with time first and channels last.

    (L, N, C), weight (K, C, O) and bias (O,) give (L', N, O).
    """
    if len(input.shape) != 3 or len(weight.shape) != 3:
        raise RuntimeError(
            "conv_tbc expects an input (time, batch, channels) and a weight (kernel, channels in,"
            f" channels out), but got {list(input.shape)} and {list(weight.shape)}"
        )
    x = permute(input, (1, 2, 0))
    y = convolution(x, permute(weight, (2, 1, 0)), bias, Geometry((1,), ((pad, pad),), (1,)))
    return permute.named("ConvTbcBackward0", y, (2, 0, 1))
