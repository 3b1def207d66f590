"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.ir.op import Op, define
from tidu.ops.elementwise.choice import where
from tidu.ops.elementwise.definitions import define_unary
from tidu.ops.elementwise.powers import rsqrt
from tidu.ops.rules import tensors_as_floats
from tidu.ops.samples import binary_tensors, unary

sin = define_unary(
    "sin",
    np.sin,
    lambda s, x: s.sin(x),
    lambda g, out, x: g * cos(x),
    doc="""The sine of an angle in radians.

    >>> torch.sin(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8415])
    """,
)
cos: Op = define_unary(
    "cos",
    np.cos,
    lambda s, x: s.cos(x),
    lambda g, out, x: g * -sin(x),
    doc="""The cosine of an angle in radians.

    >>> torch.cos(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 0.5403])
    """,
)
tan = define_unary(
    "tan",
    np.tan,
    lambda s, x: s.tan(x),
    lambda g, out, x: g * (out * out + 1.0),
    unary(-1, 1),
    doc="""The tangent of an angle in radians.

    >>> torch.tan(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 1.5574])
    """,
)
asin = define_unary(
    "asin",
    np.arcsin,
    lambda s, x: s.asin(x),
    lambda g, out, x: g * rsqrt(1.0 - x * x),
    unary(-0.9, 0.9),
    names="arcsin",
    doc="""The angle in [-π/2, π/2] whose sine is x; NaN outside [-1, 1].

    >>> torch.asin(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 1.5708])
    """,
)
acos = define_unary(
    "acos",
    np.arccos,
    lambda s, x: s.acos(x),
    lambda g, out, x: g * -rsqrt(1.0 - x * x),
    unary(-0.9, 0.9),
    names="arccos",
    doc="""The angle in [0, π] whose cosine is x; NaN outside [-1, 1].

    >>> torch.acos(torch.tensor([0.0, 1.0]))
    tensor([1.5708, 0.0000])
    """,
)
atan = define_unary(
    "atan",
    np.arctan,
    lambda s, x: s.atan(x),
    lambda g, out, x: g / (x * x + 1.0),
    names="arctan",
    doc="""The angle in (-π/2, π/2) whose tangent is x.

    >>> torch.atan(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7854])
    """,
)


def _inverse_square(x: Any, y: Any) -> Any:
    """1 / (x² + y²), and 0 where both squares are."""
    square = x * x + y * y
    nothing = square == 0
    return where(nothing, 0.0, 1.0 / where(nothing, 1.0, square))


atan2 = define(
    "atan2",
    inputs="input other",
    infer=tensors_as_floats,
    numpy=np.arctan2,
    emit=lambda s, x, y: s.atan2(x, y),
    vjp=(
        lambda g, out, x, y: g * y * _inverse_square(x, y),
        lambda g, out, x, y: g * -x * _inverse_square(x, y),
    ),
    samples=binary_tensors(0.3, 2.0),
    public="torch.atan2 torch.arctan2 Tensor.atan2 Tensor.arctan2",
    inplace=True,
    doc="""The angle in [-π, π] of the point (other, input), whose tangent is input / other.

    >>> torch.atan2(torch.tensor([1.0, 1.0]), torch.tensor([1.0, -1.0]))
    tensor([0.7854, 2.3562])
    """,
)
sinh = define_unary(
    "sinh",
    np.sinh,
    lambda s, x: s.sinh(x),
    lambda g, out, x: g * cosh(x),
    doc="""(eˣ - e⁻ˣ) / 2.

    >>> torch.sinh(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 1.1752])
    """,
)
cosh: Op = define_unary(
    "cosh",
    np.cosh,
    lambda s, x: s.cosh(x),
    lambda g, out, x: g * sinh(x),
    doc="""(eˣ + e⁻ˣ) / 2.

    >>> torch.cosh(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 1.5431])
    """,
)
asinh = define_unary(
    "asinh",
    np.arcsinh,
    lambda s, x: s.asinh(x),
    lambda g, out, x: g * rsqrt(x * x + 1.0),
    names="arcsinh",
    doc="""log(x + √(x² + 1)), the inverse of sinh.

    >>> torch.asinh(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8814])
    """,
)
acosh = define_unary(
    "acosh",
    np.arccosh,
    lambda s, x: s.acosh(x),
    lambda g, out, x: g * rsqrt(x * x - 1.0),
    unary(1.2, 4),
    names="arccosh",
    doc="""log(x + √(x² - 1)), the inverse of cosh; NaN below 1.

    >>> torch.acosh(torch.tensor([1.0, 2.0]))
    tensor([0.0000, 1.3170])
    """,
)
atanh = define_unary(
    "atanh",
    np.arctanh,
    lambda s, x: s.atanh(x),
    lambda g, out, x: g / (1.0 - x * x),
    unary(-0.9, 0.9),
    names="arctanh",
    doc="""log((1 + x) / (1 - x)) / 2, the inverse of tanh; NaN outside [-1, 1].

    >>> torch.atanh(torch.tensor([0.0, 0.5]))
    tensor([0.0000, 0.5493])
    """,
)
