"""Element by element, of one operand: sinc, logit, degrees, parts of numbers, and tests of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.limits import range_of
from tidu.base.strides import result_strides
from tidu.ir.op import Array, Op, Sample, define, function, torch_and_tensor
from tidu.ops.cast import cast
from tidu.ops.elementwise import (
    abs_,
    cos,
    eq,
    exp2,
    fill,
    isfinite,
    isnan,
    le,
    logical_and,
    logical_or,
    lt,
    mul,
    positive,
    sign,
    sin,
    sub,
    where,
)
from tidu.ops.results import Frexp, Results
from tidu.ops.rules import (
    class_name,
    floating,
    floats_only,
    is_number,
    same,
    truth,
)
from tidu.ops.samples import unary


def _sinc_emit(s: Any, x: Any) -> Any:
    zero, one = s.const(0, x), s.const(1, x)
    angle = s.mul(x, s.const(math.pi, x))
    at_zero = s.eq(x, zero)
    return s.select(at_zero, one, s.div(s.sin(angle), s.select(at_zero, one, angle)))


def _sinc_vjp(g: Any, out: Any, x: Any) -> Any:
    angle = x * math.pi
    square = angle * x
    at_zero = eq(square, 0)
    slope = (angle * cos(angle) - sin(angle)) / where(at_zero, 1.0, square)
    return where(at_zero, 0.0, g * slope)


sinc = define(
    "sinc",
    infer=floating,
    numpy=np.sinc,
    emit=_sinc_emit,
    vjp=(_sinc_vjp,),
    samples=unary(0.2, 2.0),
    public=f"{torch_and_tensor('sinc')} torch.special.sinc",
    inplace=True,
    doc="""sin(πx) / (πx), 1 at 0.

    >>> torch.sinc(torch.tensor([0.0, 0.5]))
    tensor([1.0000, 0.6366])
    """,
)


def _logit_emit(s: Any, x: Any, eps: float | None) -> Any:
    one = s.const(1, x)
    if eps is not None:
        x = s.max(s.min(x, s.const(1.0 - eps, x)), s.const(eps, x))
    return s.log(s.div(x, s.sub(one, x)))


def _logit_vjp(g: Any, out: Any, x: Any, eps: float | None) -> Any:
    slope = g / (x * (1.0 - x))
    if eps is None:
        return where(logical_and(x >= 0.0, x <= 1.0), slope, math.nan)
    return where(logical_or(x < eps, x > 1.0 - eps), 0.0, slope)


logit_ = define(
    "logit",
    attrs="eps",
    infer=floating,
    emit=_logit_emit,
    vjp=(_logit_vjp,),
    samples=lambda: [
        Sample((Array((3, 4), 0.1, 0.9), None)),
        Sample((Array((2, 5), 0.3, 0.7), 0.2)),
        Sample((Array((), 0.1, 0.9), None)),
    ],
    dtypes="float",
)


@function("torch.logit torch.special.logit Tensor.logit", inplace=True)
def logit(input: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), the inverse of the sigmoid; with `eps`, of x clamped to [eps, 1 - eps]."""
    return logit_(input, eps)


frac = define(
    "frac",
    infer=floats_only,
    numpy=lambda x: x - np.trunc(x),
    emit=lambda s, x: s.sub(x, s.trunc(x)),
    vjp=(lambda g, out, x: g,),
    samples=unary(0.1, 0.9),
    dtypes="float",
    public=torch_and_tensor("frac"),
    inplace=True,
    doc="""x - trunc(x), the fraction with the sign of x.

    >>> torch.frac(torch.tensor([1.25, -1.25]))
    tensor([ 0.2500, -0.2500])
    """,
)


@function("torch.deg2rad Tensor.deg2rad", inplace=True)
def deg2rad(input: Any) -> Any:
    """Degrees as radians: x · π / 180."""
    return mul.named("Deg2RadBackward0", input, math.pi / 180)


@function("torch.rad2deg Tensor.rad2deg", inplace=True)
def rad2deg(input: Any) -> Any:
    """Radians as degrees: x · 180 / π."""
    return mul.named("Rad2DegBackward0", input, 180 / math.pi)


def _nan_to_num_emit(s: Any, x: Any, nan: float, high: float, low: float) -> Any:
    x = s.select(s.ne(x, x), s.const(nan, x), x)
    x = s.select(s.eq(x, s.const(math.inf, x)), s.const(high, x), x)
    return s.select(s.eq(x, s.const(-math.inf, x)), s.const(low, x), x)


nan_to_num_ = define(
    "nan_to_num",
    attrs="nan posinf neginf",
    infer=same,
    numpy=lambda x, nan, high, low: np.nan_to_num(x, nan=nan, posinf=high, neginf=low),
    emit=_nan_to_num_emit,
    vjp=(lambda g, out, x, nan, high, low: where(isfinite(x), g, 0.0),),
    samples=lambda: [Sample((Array((3, 4)), 0.0, 9.0, -9.0)), Sample((Array(()), 1.0, 9.0, -9.0))],
    dtypes="float",
)


@function("torch.nan_to_num Tensor.nan_to_num", inplace=True)
def nan_to_num(
    input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """NaN replaced by `nan` (0), infinities by `posinf` and `neginf`
    (the dtype's greatest and least number).
    """
    if not input.dtype.is_floating_point:
        return positive.named("NanToNumBackward0", input)
    least, greatest = range_of(input.dtype)
    return nan_to_num_(
        input,
        0.0 if nan is None else float(nan),
        greatest if posinf is None else float(posinf),
        least if neginf is None else float(neginf),
    )


@function("torch.sgn Tensor.sgn", inplace=True)
def sgn(input: Any) -> Any:
    """The sign of each element: -1, 0 or 1."""
    return sign.named("SgnBackward0", input)


def _frexp_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    (x,) = inputs
    if not x.dtype.is_floating_point:
        raise RuntimeError(f"torch.frexp() only supports floating-point dtypes, but got {x.dtype}")
    return inputs, (x.shape, x.shape), (x.dtype, dtypes.int32)


def _frexp_numpy(x: Any) -> Any:
    mantissa, exponent = np.frexp(x.astype(np.float32) if x.dtype.kind == "V" else x)
    return mantissa, exponent.astype(np.int32)


frexp_ = define(
    "frexp",
    kind="host",
    strides=result_strides,
    outputs=2,
    infer=_frexp_infer,
    numpy=_frexp_numpy,
    vjp=(lambda g, out, x: g[0] / exp2(cast(out[1], x.dtype)),),
    samples=unary(0.3, 9.0),
    dtypes="float",
)


@function("torch.frexp Tensor.frexp")
def frexp(input: Any) -> Results:
    """(mantissa, exponent) with input = mantissa · 2**exponent and 0.5 <= |mantissa| < 1."""
    return Frexp(frexp_(input))


signbit = define(
    "signbit",
    infer=truth,
    numpy=lambda x: np.signbit(x) if x.dtype.kind in "fV" else x < 0,
    emit=lambda s, x: s.lt(s.copysign(s.const(1, x), x), s.const(0, x)),
    samples=unary(),
    public=torch_and_tensor("signbit"),
    doc="""Whether the sign is negative, also that of -0.0.

    >>> torch.signbit(torch.tensor([-0.0, 1.0]))
    tensor([ True, False])
    """,
)


@function("torch.isposinf Tensor.isposinf")
def isposinf(input: Any) -> Any:
    """Whether each element is +∞."""
    return eq(input, math.inf) if input.dtype.is_floating_point else _nowhere(input)


@function("torch.isneginf Tensor.isneginf")
def isneginf(input: Any) -> Any:
    """Whether each element is -∞."""
    return eq(input, -math.inf) if input.dtype.is_floating_point else _nowhere(input)


def _nowhere(input: Any) -> Any:
    return lt(fill(input, 0), 0)


@function("torch.isreal Tensor.isreal")
def isreal(input: Any) -> Any:
    """Whether each element is real: always, as there are no complex numbers here."""
    return eq(fill(input, 0), 0)


@function("torch.isclose Tensor.isclose")
def isclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Any:
    """|input - other| <= atol + rtol · |other|, element by element; equal infinities are close.

    `equal_nan` makes two NaNs close. Raises RuntimeError for different dtypes or negative
    tolerances.

    >>> torch.isclose(torch.tensor([1.0, 2.0]), torch.tensor([1.0 + 1e-9, 3.0]))
    tensor([ True, False])
    """
    for position, (name, x) in enumerate((("input", input), ("other", other)), 1):
        if is_number(x):
            raise TypeError(
                f"isclose(): argument '{name}' (position {position}) must be Tensor, not"
                f" {type(x).__name__}"
            )
    if input.dtype is not other.dtype:
        raise RuntimeError(
            f"{class_name(input.dtype)} did not match {class_name(other.dtype)}: isclose of"
            " different dtypes"
        )
    if rtol < 0 or atol < 0:
        raise RuntimeError(
            f"rtol and atol must be greater than or equal to zero, but got rtol={rtol} and"
            f" atol={atol}"
        )
    same_numbers = eq(input, other)
    if equal_nan and input.dtype.is_floating_point:
        same_numbers = logical_or(same_numbers, logical_and(isnan(input), isnan(other)))
    if rtol == 0 and atol == 0:
        return same_numbers
    if not input.dtype.is_floating_point:
        input, other = cast(input, dtypes.float64), cast(other, dtypes.float64)
    allowed = abs_(other) * rtol + atol
    actual = abs_(sub(input, other))
    return logical_or(same_numbers, logical_and(isfinite(actual), le(actual, allowed)))


angle = define(
    "angle",
    infer=floating,
    emit=lambda s, x: s.select(
        s.ne(x, x), x, s.select(s.lt(x, s.const(0, x)), s.const(math.pi, x), s.const(0, x))
    ),
    vjp=(lambda g, out, x: fill(g, 0.0),),
    samples=unary(),
    dtypes="number",
    public=torch_and_tensor("angle"),
    doc="""The angle of a number in the complex plane: π below 0, else 0.

    >>> torch.angle(torch.tensor([-1.0, 2.0]))
    tensor([3.1416, 0.0000])
    """,
)


@function(
    "torch.conj torch.conj_physical torch.resolve_conj torch.resolve_neg torch.real "
    "Tensor.conj Tensor.conj_physical"
)
def conj(input: Any) -> Any:
    """The tensor itself, as its elements are real."""
    return input


@function("torch.imag")
def imag(input: Any) -> Any:
    """RuntimeError: the elements are real."""
    raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
