"""Convolution in any number of dimensions, and its adjoints in the input and in the weight.

The three ops are each other's derivatives, so that derivatives of any order stay among them. In
one notation, with positions o in the result, i in the kernel and pads p before the input:

    at = o·stride + i·dilation − p
    convolution             y[n, q, o] = Σ over c, i of x[n, c, at] · w[q, c, i]
    convolution_transpose  x̄[n, c, at] = Σ over q, i of ȳ[n, q, o] · w[q, c, i]
    convolution_weight      w̄[q, c, i] = Σ over n, o of ȳ[n, q, o] · x[n, c, at]

On NumPy each is one matrix product with columns of windows. Batch and space share the last
dimension of the columns, so the product is one large one, and what comes out has the channels
outermost in memory, where the next layer's columns and a batch norm's sums want them.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ops.contract import matmul
from tidu.ops.movement import permute, reshape, swap
from tidu.ops.reduce import sum_
from tidu.ops.rules import class_name
from tidu.ops.windows import (
    Pads,
    Shape,
    clipped_taps,
    count_windows,
    fold_windows,
    negated,
    padded_sizes,
    span,
    window_view,
    windows,
    zero_pad,
    zero_padded,
)

# Checks -------------------------------------------------------------------------------------------


def _check_dtypes(name: str, x: Any, weight: Any, bias: Any) -> None:
    if x.dtype is dtypes.bool_:
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'; write x.float()")
    for role, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and tensor.dtype is not x.dtype:
            raise RuntimeError(
                f"expected scalar type {class_name(x.dtype)} but found {class_name(tensor.dtype)} "
                f"({name}: the input is {x.dtype}, the {role} {tensor.dtype}); "
                f"write x.to({tensor.dtype}) or convert the module"
            )


def _check_bias(given: str, weight: Any, bias: Any, channels: int) -> None:
    if bias is not None and tuple(bias.shape) != (channels,):
        raise RuntimeError(
            f"Given {given}, expected bias to be 1-dimensional with {channels} elements, "
            f"but got bias of size {list(bias.shape)} instead"
        )


def _by(sizes: Shape) -> str:
    return " x ".join(map(str, sizes))


def _convolution_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, weight, bias = inputs
    stride, pads, dilation, groups = attrs
    name = f"conv{len(stride)}d"
    _check_dtypes(name, x, weight, bias)
    size = f"weight of size {list(weight.shape)}"
    if weight.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, "
            f"but got {size} instead"
        )
    if weight.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got {size} instead"
        )
    if x.shape[1] != weight.shape[1] * groups:
        raise RuntimeError(
            f"Given groups={groups}, {size}, expected input{list(x.shape)} to have "
            f"{weight.shape[1] * groups} channels, but got {x.shape[1]} channels instead. "
            f"Make the input (N, {weight.shape[1] * groups}, ...), or build the layer with "
            f"in_channels={x.shape[1]}."
        )
    _check_bias(f"groups={groups}, {size}", weight, bias, weight.shape[0])
    whole, kernel = padded_sizes(x.shape[2:], pads), weight.shape[2:]
    if any(n < span(k, d) for n, k, d in zip(whole, kernel, dilation, strict=True)):
        reach = tuple(span(k, d) for k, d in zip(kernel, dilation, strict=True))
        raise RuntimeError(
            f"Calculated padded input size per channel: ({_by(whole)}). Kernel size:"
            f" ({_by(reach)}). Kernel size can't be greater than actual input size ({name} of an"
            f" input {list(x.shape)}): use a larger input, a smaller kernel or more padding"
        )
    return (
        inputs,
        (x.shape[0], weight.shape[0], *count_windows(whole, kernel, stride, dilation)),
        x.dtype,
    )


def _transpose_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    y, weight, bias = inputs
    sizes, stride, groups = attrs[0], attrs[1], attrs[4]
    name = f"conv_transpose{len(stride)}d"
    _check_dtypes(name, y, weight, bias)
    given = f"transposed=1, weight of size {list(weight.shape)}"
    if y.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"Given {given}, expected input{list(y.shape)} to have {weight.shape[0]} channels, "
            f"but got {y.shape[1]} channels instead"
        )
    _check_bias(given, weight, bias, weight.shape[1] * groups)
    if min(sizes, default=1) < 1:
        raise RuntimeError(
            f"Given input size per channel: ({_by(y.shape[2:])}). Calculated output size per"
            f" channel: ({_by(sizes)}). Output size is too small: use less padding in {name}"
        )
    return inputs, (y.shape[0], weight.shape[1] * groups, *sizes), y.dtype


def _weight_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, y = inputs
    return inputs, (y.shape[1], x.shape[1] // attrs[-1], *attrs[0]), x.dtype


# In terms of other ops ----------------------------------------------------------------------------


def _grouped(groups: int, channels: int, rest: int) -> Shape:
    """The shape of a matrix with one row a channel, as a batch of matrices if there are groups."""
    return (channels, rest) if groups == 1 else (groups, channels // groups, rest)


def _columns_order(n: int) -> Shape:
    """From (N, C, *windows, *kernel) to (C, *kernel, N, *windows), for n dimensions."""
    return (1, *range(2 + n, 2 + 2 * n), 0, *range(2, 2 + n))


def _channels_first(x: Any) -> Any:
    """(N, C, ...) as (C, N, ...), and back."""
    return swap(x, 0, 1)


def _columns(x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape, groups: int) -> Any:
    found = windows(zero_pad(x, pads), kernel, stride, dilation)
    positions = x.shape[0] * prod(found.shape[2 : 2 + len(kernel)])
    columns = permute(found, _columns_order(len(kernel)))
    return reshape(columns, _grouped(groups, x.shape[1] * prod(kernel), positions))


def _with_bias(y: Any, bias: Any) -> Any:
    return y if bias is None else y + reshape(bias, (-1,) + (1,) * (len(y.shape) - 2))


def _convolution(
    x: Any, weight: Any, bias: Any, stride: Shape, pads: Pads, dilation: Shape, groups: int
) -> Any:
    kernel, channels = weight.shape[2:], weight.shape[0]
    outs = count_windows(padded_sizes(x.shape[2:], pads), kernel, stride, dilation)
    columns = _columns(x, kernel, stride, pads, dilation, groups)
    rows = reshape(weight, _grouped(groups, channels, prod(weight.shape[1:])))
    y = reshape(matmul(rows, columns), (channels, x.shape[0], *outs))
    return _with_bias(_channels_first(y), bias)


def _transpose(
    y: Any,
    weight: Any,
    bias: Any,
    sizes: Shape,
    stride: Shape,
    pads: Pads,
    dilation: Shape,
    groups: int,
) -> Any:
    kernel, channels = weight.shape[2:], weight.shape[1] * groups
    n, batch, outs = len(kernel), y.shape[0], y.shape[2:]
    rows = reshape(weight, _grouped(groups, weight.shape[0], prod(weight.shape[1:])))
    values = reshape(_channels_first(y), _grouped(groups, y.shape[1], batch * prod(outs)))
    columns = reshape(matmul(swap(rows, -1, -2), values), (channels, *kernel, batch, *outs))
    taps = permute(
        columns, (0, *range(1 + n, 2 + 2 * n), *range(1, 1 + n))
    )  # (C, N, *outs, *kernel)
    x = zero_pad(fold_windows(taps, padded_sizes(sizes, pads), stride, dilation), negated(pads))
    return _with_bias(_channels_first(x), bias)


def _weight(
    x: Any, y: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape, groups: int
) -> Any:
    columns = _columns(x, kernel, stride, pads, dilation, groups)
    values = reshape(
        _channels_first(y), _grouped(groups, y.shape[1], y.shape[0] * prod(y.shape[2:]))
    )
    product = matmul(values, swap(columns, -1, -2))
    return reshape(product, (y.shape[1], x.shape[1] // groups, *kernel))


# With NumPy ---------------------------------------------------------------------------------------

# Elements of columns made at once: they stay in cache, and memory stays bounded.
_COLUMNS = 1 << 20


def _batches(batch: int, elements: int) -> Iterator[slice]:
    """Parts of the batch whose columns, `elements` for each item, are not too many at once."""
    step = max(1, _COLUMNS // max(elements, 1))
    return (slice(start, min(start + step, batch)) for start in range(0, batch, step))


def _mirrored(weight: Any, groups: int) -> Any:
    """(Q, C/groups, *kernel) as (C, Q/groups, *kernel), every kernel reversed."""
    q, c, *kernel = weight.shape
    turned = weight.reshape(groups, q // groups, c, *kernel).swapaxes(1, 2)
    turned = turned.reshape(c * groups, q // groups, *kernel)
    return turned[(slice(None), slice(None), *(slice(None, None, -1) for _ in kernel))]


def _mirrored_pads(kernel: Shape, pads: Pads, dilation: Shape) -> Pads:
    """With stride 1, convolution with these pads and the mirrored weight is the transposed one."""
    reach = [span(k, d) - 1 for k, d in zip(kernel, dilation, strict=True)]
    return tuple((r - low, r - high) for r, (low, high) in zip(reach, pads, strict=True))


def _either_side(stride: Shape) -> bool:
    """Whether columns can be made of either side: with stride 1 each is windows of the other.

    They are made of the side with fewer channels; with equal ones reading beats adding up.
    """
    return all(s == 1 for s in stride)


def _make_columns(
    x: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape, groups: int
) -> Any:
    """Windows of (n, C, ...) as (groups, C/groups · kernel elements, n · windows)."""
    found = window_view(zero_padded(x, pads), kernel, stride, dilation)
    columns = found.transpose(_columns_order(len(kernel)))
    positions = x.shape[0] * prod(found.shape[2 : 2 + len(kernel)])
    return columns.reshape(groups, x.shape[1] // groups * prod(kernel), positions)


def _gather(
    x: Any,
    weight: Any,
    bias: Any,
    outs: Shape,
    stride: Shape,
    pads: Pads,
    dilation: Shape,
    groups: int,
) -> Any:
    """Convolution: the weight times the columns of x."""
    batch, channels, kernel = x.shape[0], weight.shape[0], weight.shape[2:]
    rows = weight.reshape(groups, channels // groups, prod(weight.shape[1:]))
    positions = prod(outs)
    y = np.empty((groups, channels // groups, batch * positions), x.dtype)
    for part in _batches(batch, x.shape[1] * prod(kernel) * positions):
        columns = _make_columns(x[part], kernel, stride, pads, dilation, groups)
        into = y[:, :, part.start * positions : part.stop * positions]
        np.matmul(rows, columns, out=into)
        if bias is not None:
            np.add(into, bias.reshape(groups, -1, 1), out=into)
    return y.reshape(channels, batch, *outs).swapaxes(0, 1)


def _scatter(
    y: Any,
    weight: Any,
    bias: Any,
    sizes: Shape,
    stride: Shape,
    pads: Pads,
    dilation: Shape,
    groups: int,
) -> Any:
    """Transposed convolution: columns from a product, added into the places that they belong to."""
    batch, kernel, outs = y.shape[0], weight.shape[2:], y.shape[2:]
    channels, positions = weight.shape[1] * groups, prod(outs)
    rows = weight.reshape(groups, weight.shape[0] // groups, prod(weight.shape[1:])).swapaxes(1, 2)
    x = np.zeros((channels, batch, *sizes), y.dtype)
    if bias is not None:
        x += bias.reshape(-1, *(1,) * (x.ndim - 1))
    taps = clipped_taps(sizes, outs, kernel, stride, pads, dilation)
    for part in _batches(batch, channels * prod(kernel) * positions):
        count = part.stop - part.start
        values = y[part].swapaxes(0, 1).reshape(groups, y.shape[1] // groups, count * positions)
        columns = np.matmul(rows, values).reshape(channels, *kernel, count, *outs)
        for tap, read, write in taps:
            target = x[(slice(None), part, *write)]
            np.add(target, columns[(slice(None), *tap, slice(None), *read)], out=target)
    return x.swapaxes(0, 1)


def _convolution_numpy(
    x: Any, weight: Any, bias: Any, stride: Shape, pads: Pads, dilation: Shape, groups: int
) -> Any:
    kernel = weight.shape[2:]
    outs = count_windows(padded_sizes(x.shape[2:], pads), kernel, stride, dilation)
    if weight.shape[0] >= x.shape[1] or not _either_side(stride):
        return _gather(x, weight, bias, outs, stride, pads, dilation, groups)
    pads = _mirrored_pads(kernel, pads, dilation)
    return _scatter(x, _mirrored(weight, groups), bias, outs, stride, pads, dilation, groups)


def _transpose_numpy(
    y: Any,
    weight: Any,
    bias: Any,
    sizes: Shape,
    stride: Shape,
    pads: Pads,
    dilation: Shape,
    groups: int,
) -> Any:
    kernel = weight.shape[2:]
    if y.shape[1] > weight.shape[1] * groups or not _either_side(stride):
        return _scatter(y, weight, bias, sizes, stride, pads, dilation, groups)
    pads = _mirrored_pads(kernel, pads, dilation)
    return _gather(y, _mirrored(weight, groups), bias, sizes, stride, pads, dilation, groups)


def _weight_numpy(
    x: Any, y: Any, kernel: Shape, stride: Shape, pads: Pads, dilation: Shape, groups: int
) -> Any:
    mirrored = y.shape[1] < x.shape[1] and _either_side(stride)
    if mirrored:  # the same sum with the roles exchanged, and the result mirrored
        x, y, pads = y, x, _mirrored_pads(kernel, pads, dilation)
    rows, positions = y.shape[1] // groups, prod(y.shape[2:])
    result = np.zeros((groups, rows, x.shape[1] // groups * prod(kernel)), x.dtype)
    for part in _batches(x.shape[0], x.shape[1] * prod(kernel) * positions):
        columns = _make_columns(x[part], kernel, stride, pads, dilation, groups)
        count = (part.stop - part.start) * positions
        values = y[part].swapaxes(0, 1).reshape(groups, rows, count)
        result += np.matmul(values, columns.swapaxes(1, 2))
    weight = result.reshape(y.shape[1], x.shape[1] // groups, *kernel)
    return _mirrored(weight, groups) if mirrored else weight


# Declarations -------------------------------------------------------------------------------------


def _torch_convolution(
    torch: Any, x: Any, weight: Any, bias: Any, stride: Any, pads: Pads, dilation: Any, groups: int
) -> Any:
    flat = tuple(p for pair in reversed(pads) for p in pair)
    padded = torch.nn.functional.pad(x, flat)
    function = getattr(torch.nn.functional, f"conv{len(stride)}d")
    return function(padded, weight, bias, stride, 0, dilation, groups)


def _torch_transpose(
    torch: Any,
    y: Any,
    weight: Any,
    bias: Any,
    sizes: Any,
    stride: Any,
    pads: Pads,
    dilation: Any,
    groups: int,
) -> Any:
    function = getattr(torch.nn.functional, f"conv_transpose{len(stride)}d")
    whole = function(y, weight, None, stride, 0, 0, groups, dilation)
    wanted = padded_sizes(sizes, pads)
    flat = []
    for n, w, (low, high) in zip(whole.shape[:1:-1], wanted[::-1], pads[::-1], strict=True):
        flat += [-low, w - n - high]
    x = torch.nn.functional.pad(whole, flat)
    return x if bias is None else x + bias.reshape(-1, *(1,) * len(stride))


def _torch_weight(
    torch: Any, x: Any, y: Any, kernel: Any, stride: Any, pads: Pads, dilation: Any, groups: int
) -> Any:
    with torch.enable_grad():
        weight = torch.zeros(
            y.shape[1], x.shape[1] // groups, *kernel, dtype=x.dtype, requires_grad=True
        )
        found = _torch_convolution(torch, x, weight, None, stride, pads, dilation, groups)
        return torch.autograd.grad(found, weight, y, create_graph=True)[0]


_ONE, _TWO, _NONE = (1, 1), (2, 2), ((0, 0), (0, 0))

convolution: Op = define(
    "convolution",
    inputs="input weight bias",
    attrs="stride pads dilation groups",
    kind="composite",
    infer=_convolution_infer,
    numpy=_convolution_numpy,
    decompose=_convolution,
    vjp=(
        lambda g, out, x, weight, bias, *attrs: convolution_transpose(
            g, weight, None, tuple(x.shape[2:]), *attrs
        ),
        lambda g, out, x, weight, bias, *attrs: convolution_weight(
            x, g, tuple(weight.shape[2:]), *attrs
        ),
        lambda g, out, x, weight, bias, *attrs: sum_(g, (0, *range(2, len(g.shape))), False),
    ),
    samples=lambda: [
        Sample((Array((2, 3, 6)), Array((4, 3, 3)), Array((4,)), (1,), ((1, 1),), (1,), 1)),
        Sample((Array((1, 4, 7)), Array((2, 4, 2)), None, (1,), ((0, 3),), (3,), 1)),
        Sample(
            (Array((2, 2, 5, 4)), Array((3, 2, 3, 2)), Array((3,)), _ONE, ((1, 1), (0, 1)), _ONE, 1)
        ),
        Sample((Array((1, 4, 6, 5)), Array((4, 2, 2, 2)), None, _TWO, ((0, 0), (1, 1)), (1, 2), 2)),
        Sample((Array((2, 3, 4, 4)), Array((2, 3, 1, 1)), Array((2,)), _ONE, _NONE, _ONE, 1)),
        Sample((Array((0, 1, 3, 3)), Array((2, 1, 2, 2)), Array((2,)), _ONE, _NONE, _ONE, 1)),
        Sample(
            (
                Array((1, 2, 3, 3, 3)),
                Array((2, 2, 2, 2, 2)),
                None,
                (1,) * 3,
                ((0, 0),) * 3,
                (1,) * 3,
                1,
            )
        ),
    ],
    dtypes="number",
    reference=_torch_convolution,
    tolerance=8.0,
)

# The adjoint of convolution in its input, which is also what conv_transpose computes.
convolution_transpose: Op = define(
    "convolution_transpose",
    inputs="input weight bias",
    attrs="sizes stride pads dilation groups",
    kind="composite",
    infer=_transpose_infer,
    numpy=_transpose_numpy,
    decompose=_transpose,
    vjp=(
        lambda g, out, y, weight, bias, sizes, *attrs: convolution(g, weight, None, *attrs),
        lambda g, out, y, weight, bias, sizes, *attrs: convolution_weight(
            g, y, tuple(weight.shape[2:]), *attrs
        ),
        lambda g, out, y, weight, bias, sizes, *attrs: sum_(g, (0, *range(2, len(g.shape))), False),
    ),
    grad_name="ConvolutionBackward0",
    samples=lambda: [
        Sample((Array((2, 4, 4)), Array((4, 3, 3)), Array((3,)), (6,), (1,), ((0, 0),), (1,), 1)),
        Sample((Array((1, 2, 3)), Array((2, 4, 2)), None, (9,), (3,), ((0, 1),), (2,), 1)),
        Sample(
            (
                Array((2, 3, 3, 2)),
                Array((3, 2, 3, 2)),
                Array((2,)),
                (5, 3),
                _TWO,
                ((1, 1), (0, 1)),
                _ONE,
                1,
            )
        ),
        Sample((Array((1, 4, 2, 3)), Array((4, 2, 2, 2)), None, (3, 4), _ONE, _NONE, _ONE, 2)),
        Sample(
            (Array((0, 2, 2, 2)), Array((2, 1, 2, 2)), Array((1,)), (3, 3), _ONE, _NONE, _ONE, 1)
        ),
    ],
    dtypes="number",
    reference=_torch_transpose,
    tolerance=8.0,
)

# The adjoint of convolution in its weight.
convolution_weight: Op = define(
    "convolution_weight",
    inputs="input grad",
    attrs="kernel stride pads dilation groups",
    kind="composite",
    infer=_weight_infer,
    numpy=_weight_numpy,
    decompose=_weight,
    vjp=(
        lambda g, out, x, y, kernel, *attrs: convolution_transpose(
            y, g, None, tuple(x.shape[2:]), *attrs
        ),
        lambda g, out, x, y, kernel, *attrs: convolution(x, g, None, *attrs),
    ),
    grad_name="ConvolutionBackward0",
    samples=lambda: [
        Sample((Array((2, 2, 6)), Array((2, 3, 4)), (3,), (1,), ((0, 0),), (1,), 1)),
        Sample((Array((1, 4, 7)), Array((1, 2, 7)), (3,), (1,), ((1, 1),), (1,), 1)),
        Sample(
            (Array((2, 2, 5, 5)), Array((2, 4, 3, 2)), (2, 3), (2, 1), ((1, 0), (0, 1)), (1, 2), 2)
        ),
        Sample((Array((0, 2, 3, 3)), Array((0, 1, 2, 2)), (2, 2), _ONE, _NONE, _ONE, 1)),
    ],
    dtypes="float",
    reference=_torch_weight,
    tolerance=8.0,
)
