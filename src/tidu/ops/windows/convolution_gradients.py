"""torch.nn.grad: the gradients of convolutions in their input and their weight, as functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tidu.base.shapes import Shape
from tidu.ir.op import function
from tidu.ops.windows.columns import Geometry
from tidu.ops.windows.convolution import convolution_transpose, convolution_weight
from tidu.ops.windows.sliding import per_dimension


def _geometry(name: str, n: int, stride: Any, padding: Any, dilation: Any, groups: int) -> Geometry:
    pads = tuple((p, p) for p in per_dimension(name, "padding", padding, n))
    return Geometry(
        per_dimension(name, "stride", stride, n),
        pads,
        per_dimension(name, "dilation", dilation, n),
        groups,
    )


def _check(name: str, input_size: Shape, weight_size: Shape, grad_output: Any, g: Geometry) -> None:
    windows = g.windows(input_size[2:], weight_size[2:])
    wanted = (input_size[0], weight_size[0], *windows)
    if tuple(grad_output.shape) != wanted or weight_size[1] * g.groups != input_size[1]:
        raise RuntimeError(
            f"{name}(): an input of shape {list(input_size)} and a weight of shape "
            f"{list(weight_size)} give an output of shape {list(wanted)}, but grad_output has "
            f"shape {list(grad_output.shape)} (groups={g.groups})"
        )


def _input_gradient(n: int) -> Callable[..., Any]:
    name = f"conv{n}d_input"

    @function(
        f"torch.nn.grad.{name}",
        doc=f"""The gradient of conv{n}d in its input, which has the shape `input_size`.

    `weight` is (O, C / groups, …), `grad_output` has the shape of the result. Raises RuntimeError
    for shapes that do not belong together.
    """,
    )
    def gradient(
        input_size: Sequence[int],
        weight: Any,
        grad_output: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        geometry = _geometry(name, n, stride, padding, dilation, groups)
        sizes = tuple(input_size)
        _check(name, sizes, tuple(weight.shape), grad_output, geometry)
        return convolution_transpose.named(
            "ConvolutionBackwardBackward0", grad_output, weight, None, sizes[2:], geometry
        )

    return gradient


def _weight_gradient(n: int) -> Callable[..., Any]:
    name = f"conv{n}d_weight"

    @function(
        f"torch.nn.grad.{name}",
        doc=f"""The gradient of conv{n}d in its weight, which has the shape `weight_size`.

    `input` is (N, C, …), `grad_output` has the shape of the result. Raises RuntimeError for shapes
    that do not belong together.
    """,
    )
    def gradient(
        input: Any,
        weight_size: Sequence[int],
        grad_output: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Any:
        geometry = _geometry(name, n, stride, padding, dilation, groups)
        sizes = tuple(weight_size)
        _check(name, tuple(input.shape), sizes, grad_output, geometry)
        return convolution_weight.named(
            "ConvolutionBackwardBackward0", input, grad_output, sizes[2:], geometry
        )

    return gradient


conv1d_input, conv2d_input, conv3d_input = (_input_gradient(n) for n in (1, 2, 3))
conv1d_weight, conv2d_weight, conv3d_weight = (_weight_gradient(n) for n in (1, 2, 3))
