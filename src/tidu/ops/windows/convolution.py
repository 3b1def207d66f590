"""Convolution in any number of dimensions, and its adjoints in the input and in the weight.

The three ops are each other's derivatives, so that derivatives of any order stay among them. In
one notation, with positions o in the result, i in the kernel and pads p before the input:

    at = o·stride + i·dilation − p
    convolution             y[n, q, o] = Σ over c, i of x[n, c, at] · w[q, c, i]
    convolution_transpose  x̄[n, c, at] = Σ over q, i of ȳ[n, q, o] · w[q, c, i]
    convolution_weight      w̄[q, c, i] = Σ over n, o of ȳ[n, q, o] · x[n, c, at]

`columns` computes them on NumPy, each as one matrix product with columns of windows.
"""

from __future__ import annotations

from math import prod
from typing import Any

from tidu.base import dtypes
from tidu.base.shapes import Shape
from tidu.base.strides import strides_of_images
from tidu.ir.op import Array, Correlation, Inferred, Op, Sample, define
from tidu.ir.precision import in_lower_precision
from tidu.ops.linear_algebra.contract import matmul
from tidu.ops.moving.movement import permute, reshape, swap
from tidu.ops.reductions.reduce import sum_
from tidu.ops.rules import class_name, remembered
from tidu.ops.windows.columns import (
    Geometry,
    columns_order,
    convolution_numpy,
    grouped,
    transpose_numpy,
    weight_numpy,
)
from tidu.ops.windows.sliding import (
    Pads,
    fold_windows,
    negated,
    padded_sizes,
    span,
    windows,
    zero_pad,
)


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


def _check_bias(given: str, bias: Any, channels: int) -> None:
    if bias is not None and tuple(bias.shape) != (channels,):
        raise RuntimeError(
            f"Given {given}, expected bias to be 1-dimensional with {channels} elements, "
            f"but got bias of size {list(bias.shape)} instead"
        )


def _by(sizes: Shape) -> str:
    return " x ".join(map(str, sizes))


@remembered
def _convolution_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, weight, bias = inputs
    (geometry,) = attrs
    groups = geometry.groups
    name = f"conv{len(geometry.stride)}d"
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
    _check_bias(size, bias, weight.shape[0])
    whole, kernel = padded_sizes(x.shape[2:], geometry.pads), weight.shape[2:]
    dilation = geometry.dilation
    if any(n < span(k, d) for n, k, d in zip(whole, kernel, dilation, strict=True)):
        reach = tuple(span(k, d) for k, d in zip(kernel, dilation, strict=True))
        raise RuntimeError(
            f"Calculated padded input size per channel: ({_by(whole)}). Kernel size:"
            f" ({_by(reach)}). Kernel size can't be greater than actual input size ({name} of an"
            f" input {list(x.shape)}); use a larger input, a smaller kernel or more padding"
        )
    outs = geometry.windows(x.shape[2:], kernel)
    return inputs, (x.shape[0], weight.shape[0], *outs), x.dtype


@remembered
def _transpose_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    y, weight, bias = inputs
    sizes, geometry = attrs
    name = f"conv_transpose{len(sizes)}d"
    _check_dtypes(name, y, weight, bias)
    given = f"transposed=1, weight of size {list(weight.shape)}"
    if y.shape[1] != weight.shape[0]:
        raise RuntimeError(
            f"Given {given}, expected input{list(y.shape)} to have {weight.shape[0]} channels, "
            f"but got {y.shape[1]} channels instead"
        )
    _check_bias(given, bias, weight.shape[1] * geometry.groups)
    if min(sizes, default=1) < 1:
        raise RuntimeError(
            f"Given input size per channel: ({_by(y.shape[2:])}). Calculated output size per"
            f" channel: ({_by(sizes)}). Output size is too small: use less padding in {name}"
        )
    return inputs, (y.shape[0], weight.shape[1] * geometry.groups, *sizes), y.dtype


def _weight_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    (x, y), (kernel, geometry) = inputs, attrs
    return inputs, (y.shape[1], x.shape[1] // geometry.groups, *kernel), x.dtype


def _channels_first(x: Any) -> Any:
    """(N, C, ...) as (C, N, ...), and back."""
    return swap(x, 0, 1)


def _rows(x: Any, groups: int) -> Any:
    """A matrix of the first dimension and all others; several if there are groups."""
    return reshape(x, grouped(groups, x.shape[0], prod(x.shape[1:])))


def _columns(x: Any, kernel: Shape, geometry: Geometry) -> Any:
    """Windows of (N, C, ...) as (C · kernel elements, N · windows)."""
    found = windows(zero_pad(x, geometry.pads), kernel, geometry.stride, geometry.dilation)
    positions = x.shape[0] * prod(found.shape[2 : 2 + len(kernel)])
    columns = permute(found, columns_order(len(kernel)))
    return reshape(columns, grouped(geometry.groups, x.shape[1] * prod(kernel), positions))


def _with_bias(y: Any, bias: Any) -> Any:
    return y if bias is None else y + reshape(bias, (-1,) + (1,) * (len(y.shape) - 2))


def _convolution(x: Any, weight: Any, bias: Any, geometry: Geometry) -> Any:
    kernel = weight.shape[2:]
    product = matmul(_rows(weight, geometry.groups), _columns(x, kernel, geometry))
    shape = (weight.shape[0], x.shape[0], *geometry.windows(x.shape[2:], kernel))
    return _with_bias(_channels_first(reshape(product, shape)), bias)


def _transpose(y: Any, weight: Any, bias: Any, sizes: Shape, geometry: Geometry) -> Any:
    groups, pads = geometry.groups, geometry.pads
    kernel, channels = weight.shape[2:], weight.shape[1] * groups
    n = len(kernel)
    columns = matmul(swap(_rows(weight, groups), -1, -2), _rows(_channels_first(y), groups))
    columns = reshape(columns, (channels, *kernel, y.shape[0], *y.shape[2:]))
    order = (0, *range(1 + n, 2 + 2 * n), *range(1, 1 + n))  # to (C, N, *windows, *kernel)
    taps, whole = permute(columns, order), padded_sizes(sizes, pads)
    x = fold_windows(taps, whole, geometry.stride, geometry.dilation)
    return _with_bias(_channels_first(zero_pad(x, negated(pads))), bias)


def _weight(x: Any, y: Any, kernel: Shape, geometry: Geometry) -> Any:
    columns = _columns(x, kernel, geometry)
    product = matmul(_rows(_channels_first(y), geometry.groups), swap(columns, -1, -2))
    return reshape(product, (y.shape[1], x.shape[1] // geometry.groups, *kernel))


def _correlation(wanted: str, g: Geometry) -> Correlation:
    return Correlation(wanted, g.stride, g.pads, g.dilation, g.groups)


def _torch_convolution(torch: Any, x: Any, weight: Any, bias: Any, geometry: Geometry) -> Any:
    padded = torch.nn.functional.pad(x, [p for pair in reversed(geometry.pads) for p in pair])
    function = getattr(torch.nn.functional, f"conv{x.dim() - 2}d")
    return function(padded, weight, bias, geometry.stride, 0, geometry.dilation, geometry.groups)


def _torch_transpose(
    torch: Any, y: Any, weight: Any, bias: Any, sizes: Shape, geometry: Geometry
) -> Any:
    function = getattr(torch.nn.functional, f"conv_transpose{y.dim() - 2}d")
    pads = geometry.pads
    whole = function(y, weight, None, geometry.stride, 0, 0, geometry.groups, geometry.dilation)
    flat = []
    for n, size, (low, high) in zip(
        whole.shape[:1:-1], padded_sizes(sizes, pads)[::-1], pads[::-1], strict=True
    ):
        flat += [-low, size - n - high]
    x = torch.nn.functional.pad(whole, flat)
    return x if bias is None else x + bias.reshape(-1, *(1,) * len(pads))


def _torch_weight(torch: Any, x: Any, y: Any, kernel: Shape, geometry: Geometry) -> Any:
    with torch.enable_grad():
        shape = (y.shape[1], x.shape[1] // geometry.groups, *kernel)
        weight = torch.zeros(shape, dtype=x.dtype, requires_grad=True)
        found = _torch_convolution(torch, x, weight, None, geometry)
        return torch.autograd.grad(found, weight, y, create_graph=True)[0]


def _sample(*arguments: Any) -> Sample:
    """A sample in which lists stand for arrays of those shapes."""
    return Sample(tuple(Array(tuple(a)) if isinstance(a, list) else a for a in arguments))


def _geometry(
    stride: Shape, pads: Pads, dilation: Shape | None = None, groups: int = 1
) -> Geometry:
    return Geometry(stride, pads, dilation or (1,) * len(stride), groups)


_PLAIN_1D, _PLAIN_2D = _geometry((1,), ((0, 0),)), _geometry((1, 1), ((0, 0), (0, 0)))

convolution: Op = in_lower_precision(
    define(
        "convolution",
        inputs="input weight bias",
        attrs="geometry",
        kind="composite",
        strides=strides_of_images,
        infer=_convolution_infer,
        numpy=convolution_numpy,
        decompose=_convolution,
        correlation=lambda geometry: _correlation("result", geometry),
        vjp=(
            lambda g, out, x, weight, bias, geometry: convolution_transpose(
                g, weight, None, tuple(x.shape[2:]), geometry
            ),
            lambda g, out, x, weight, bias, geometry: convolution_weight(
                x, g, tuple(weight.shape[2:]), geometry
            ),
            lambda g, out, x, weight, bias, geometry: sum_(g, (0, *range(2, len(g.shape))), False),
        ),
        joined=True,
        samples=lambda: [
            _sample([2, 3, 6], [4, 3, 3], [4], _geometry((1,), ((1, 1),))),
            _sample([1, 4, 7], [2, 4, 2], None, _geometry((1,), ((0, 3),), (3,))),
            _sample([2, 2, 5, 4], [3, 2, 3, 2], [3], _geometry((1, 1), ((1, 1), (0, 1)))),
            _sample(
                [1, 4, 6, 5], [4, 2, 2, 2], None, _geometry((2, 2), ((0, 0), (1, 1)), (1, 2), 2)
            ),
            _sample([2, 3, 4, 4], [2, 3, 1, 1], [2], _PLAIN_2D),
            _sample([0, 1, 3, 3], [2, 1, 2, 2], [2], _PLAIN_2D),
            _sample([1, 2, 3, 3, 3], [2, 2, 2, 2, 2], None, _geometry((1,) * 3, ((0, 0),) * 3)),
        ],
        dtypes="number",
        reference=_torch_convolution,
        tolerance=8.0,
    )
)

# The adjoint of convolution in its input, which is also what conv_transpose computes.
convolution_transpose: Op = in_lower_precision(
    define(
        "convolution_transpose",
        inputs="input weight bias",
        attrs="sizes geometry",
        kind="composite",
        strides=strides_of_images,
        infer=_transpose_infer,
        numpy=transpose_numpy,
        decompose=_transpose,
        correlation=lambda sizes, geometry: _correlation("input", geometry),
        vjp=(
            lambda g, out, y, weight, bias, sizes, geometry: convolution(g, weight, None, geometry),
            lambda g, out, y, weight, bias, sizes, geometry: convolution_weight(
                g, y, tuple(weight.shape[2:]), geometry
            ),
            lambda g, out, y, weight, bias, sizes, geometry: sum_(
                g, (0, *range(2, len(g.shape))), False
            ),
        ),
        joined=True,
        grad_name="ConvolutionBackward0",
        samples=lambda: [
            _sample([2, 4, 4], [4, 3, 3], [3], (6,), _PLAIN_1D),
            _sample([1, 2, 3], [2, 4, 2], None, (9,), _geometry((3,), ((0, 1),), (2,))),
            _sample([2, 3, 3, 2], [3, 2, 3, 2], [2], (5, 3), _geometry((2, 2), ((1, 1), (0, 1)))),
            _sample([1, 4, 2, 3], [4, 2, 2, 2], None, (3, 4), _PLAIN_2D._replace(groups=2)),
            _sample([0, 2, 2, 2], [2, 1, 2, 2], [1], (3, 3), _PLAIN_2D),
        ],
        dtypes="number",
        reference=_torch_transpose,
        tolerance=8.0,
    )
)

# The adjoint of convolution in its weight.
convolution_weight: Op = define(
    "convolution_weight",
    inputs="input grad",
    attrs="kernel geometry",
    kind="composite",
    infer=_weight_infer,
    numpy=weight_numpy,
    decompose=_weight,
    correlation=lambda kernel, geometry: _correlation("weight", geometry),
    vjp=(
        lambda g, out, x, y, kernel, geometry: convolution_transpose(
            y, g, None, tuple(x.shape[2:]), geometry
        ),
        lambda g, out, x, y, kernel, geometry: convolution(x, g, None, geometry),
    ),
    grad_name="ConvolutionBackward0",
    samples=lambda: [
        _sample([2, 2, 6], [2, 3, 4], (3,), _PLAIN_1D),
        _sample([1, 4, 7], [1, 2, 7], (3,), _geometry((1,), ((1, 1),))),
        _sample([2, 2, 5, 5], [2, 4, 3, 2], (2, 3), _geometry((2, 1), ((1, 0), (0, 1)), (1, 2), 2)),
        _sample([0, 2, 3, 3], [0, 1, 2, 2], (2, 2), _PLAIN_2D),
    ],
    dtypes="float",
    reference=_torch_weight,
    tolerance=8.0,
)
