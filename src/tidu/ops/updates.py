"""What optimizers do to each parameter in every step: one operation for each tensor that changes.

The numbers among the inputs are arguments of the program, so that those which change with each step
cause no new one. None is computed from another inside, where it would be rounded to the dtype.

Rounding is that of PyTorch: what it adds with a factor (`add` with alpha, `addcmul`, `lerp`) is one
fused multiplication and addition; `addcdiv` and a decay round each step.
"""

from __future__ import annotations

from typing import Any

from tidu.ir.op import Array, Inferred, Op, Sample, define
from tidu.ir.value import Value
from tidu.ops.elementwise import sqrt
from tidu.ops.elementwise.blending import interpolated
from tidu.ops.rules import cast_to


def _like_first(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """The result replaces the first input; the others have its shape, or are numbers (0-d, too)."""
    first = inputs[0]
    shape, d = first.shape, first.dtype
    fitting = True
    for x in inputs:
        kind = x.__class__
        if kind is Value:
            if x.shape != shape and x.shape:
                raise RuntimeError(
                    f"{op.name}(): a tensor of shape {list(shape)} cannot be updated with one of "
                    f"shape {list(x.shape)}: parameter, gradient and state must agree in shape"
                )
            if x.dtype is not d:
                fitting = False
        elif kind is not float:
            fitting = False
    return inputs if fitting else tuple(cast_to(x, d) for x in inputs), shape, d


add_scaled = define(
    "add_scaled",
    inputs="x y scale",
    infer=_like_first,
    emit=lambda s, x, y, scale: s.fma(y, scale, x),
    vjp=(
        lambda g, out, x, y, scale: g,
        lambda g, out, x, y, scale: g * scale,
        lambda g, out, x, y, scale: g * y,
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), -0.1)),
        Sample((Array(()), Array(()), 3)),
        Sample((Array((2, 3)), Array((2, 3)), Array(()))),
    ],
    dtypes="float",
    reference=lambda torch, x, y, scale: x + y * scale,
)
weighted_sum = define(
    "weighted_sum",
    inputs="x y a b",
    infer=_like_first,
    emit=lambda s, x, y, a, b: s.fma(y, b, s.mul(x, a)),
    vjp=(
        lambda g, out, x, y, a, b: g * a,
        lambda g, out, x, y, a, b: g * b,
        lambda g, out, x, y, a, b: g * x,
        lambda g, out, x, y, a, b: g * y,
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), 0.9, -0.1)),
        Sample((Array(()), Array(()), 1, 2)),
        Sample((Array((2, 3)), Array((2, 3)), Array(()), Array(()))),
    ],
    dtypes="float",
    reference=lambda torch, x, y, a, b: x * a + y * b,
)
moving_average = define(
    "moving_average",
    inputs="average x weight",
    infer=_like_first,
    emit=interpolated,
    vjp=(
        lambda g, out, average, x, weight: g - g * weight,
        lambda g, out, average, x, weight: g * weight,
        lambda g, out, average, x, weight: g * (x - average),
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), 0.1)),
        Sample((Array(()), Array(()), 0.25)),
        Sample((Array((2, 3)), Array((2, 3)), Array((), 0, 0.5))),
    ],
    dtypes="float",
    reference=lambda torch, average, x, weight: average + (x - average) * weight,
)
moving_square = define(
    "moving_square",
    inputs="square x decay weight",
    infer=_like_first,
    emit=lambda s, square, x, decay, weight: s.fma(s.mul(x, weight), x, s.mul(square, decay)),
    vjp=(
        lambda g, out, square, x, decay, weight: g * decay,
        lambda g, out, square, x, decay, weight: g * x * weight * 2.0,
        lambda g, out, square, x, decay, weight: g * square,
        lambda g, out, square, x, decay, weight: g * x * x,
    ),
    samples=lambda: [
        Sample((Array((3, 4), 0, 2), Array((3, 4)), 0.9, 0.1)),
        Sample((Array((2, 3), 0, 2), Array((2, 3)), Array(()), Array(()))),
    ],
    dtypes="float",
    reference=lambda torch, square, x, decay, weight: square * decay + x * weight * x,
)


def _denominator(square: Any, correction: Any, eps: Any) -> Any:
    return sqrt(square) / correction + eps


def _step_vjp_square(
    g: Any, out: Any, x: Any, y: Any, square: Any, scale: Any, correction: Any, eps: Any
) -> Any:
    denominator = _denominator(square, correction, eps)
    return g * y * scale / (denominator * denominator) / (sqrt(square) * correction) * -0.5


def _step_vjp_correction(
    g: Any, out: Any, x: Any, y: Any, square: Any, scale: Any, correction: Any, eps: Any
) -> Any:
    ratio = sqrt(square) / correction
    denominator = ratio + eps
    return g * y * scale / (denominator * denominator) * (ratio / correction)


def _step_vjp_eps(
    g: Any, out: Any, x: Any, y: Any, square: Any, scale: Any, correction: Any, eps: Any
) -> Any:
    denominator = _denominator(square, correction, eps)
    return -g * y * scale / (denominator * denominator)


normalized_step = define(
    "normalized_step",
    inputs="x y square scale correction eps",
    infer=_like_first,
    emit=lambda s, x, y, square, scale, correction, eps: s.add(
        x, s.div(s.mul(y, scale), s.add(s.div(s.sqrt(square), correction), eps))
    ),
    vjp=(
        lambda g, out, x, y, square, scale, correction, eps: g,
        lambda g, out, x, y, square, scale, correction, eps: (
            g * scale / _denominator(square, correction, eps)
        ),
        _step_vjp_square,
        lambda g, out, x, y, square, scale, correction, eps: (
            g * y / _denominator(square, correction, eps)
        ),
        _step_vjp_correction,
        _step_vjp_eps,
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((3, 4)), Array((3, 4), 0.5, 2), -0.1, 0.7, 0.01)),
        Sample((Array((2,)), Array((2,)), Array((2,), 1, 2), *(Array((), 1, 2) for _ in range(3)))),
    ],
    dtypes="float",
    reference=lambda torch, x, y, square, scale, correction, eps: (
        x + y * scale / (square.sqrt() / correction + eps)
    ),
)
