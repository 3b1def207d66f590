"""Element by element, of two operands: logarithms of sums, x log y, signs, divisors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.strides import result_strides
from tidu.ir.op import Array, Inferred, Op, Sample, define, function, torch_and_tensor
from tidu.ops.cast import cast
from tidu.ops.elementwise import (
    eq,
    exp,
    exp2,
    fill,
    isnan,
    le,
    log,
    log1p,
    logical_and,
    logical_or,
    pow_,
    where,
)
from tidu.ops.rules import (
    arithmetic,
    floating,
    floats_only,
    integers_only,
    is_number,
    require_tensors,
    tensors_as_floats,
    tensors_only,
)
from tidu.ops.samples import binary, binary_tensors


def _extreme_ignoring_nan(name: str, better: Any, doc: str = "") -> Op:
    def emit(s: Any, x: Any, y: Any) -> Any:
        chosen = s.select(better(s, x, y), x, y)
        return s.select(s.ne(x, x), y, s.select(s.ne(y, y), x, chosen))

    def first(x: Any, y: Any) -> Any:
        """Where the first operand is the one chosen (also of two equal ones)."""
        return logical_or(le(y, x) if name == "fmax" else le(x, y), isnan(y))

    return define(
        name,
        inputs="input other",
        infer=tensors_only,
        emit=emit,
        vjp=(
            lambda g, out, x, y: where(first(x, y), g, 0.0),
            lambda g, out, x, y: where(first(x, y), 0.0, g),
        ),
        samples=binary_tensors(),
        public=torch_and_tensor(name),
        doc=doc,
    )


fmax = _extreme_ignoring_nan(
    "fmax",
    lambda s, x, y: s.le(y, x),
    doc="""The greater of two elements, or the one that is not NaN.

    >>> torch.fmax(torch.tensor([1.0, float("nan")]), torch.tensor([2.0, 3.0]))
    tensor([2., 3.])
    """,
)
fmin = _extreme_ignoring_nan(
    "fmin",
    lambda s, x, y: s.le(x, y),
    doc="""The lesser of two elements, or the one that is not NaN.

    >>> torch.fmin(torch.tensor([1.0, float("nan")]), torch.tensor([2.0, 3.0]))
    tensor([1., 3.])
    """,
)

copysign_ = define(
    "copysign",
    inputs="input other",
    infer=floating,
    numpy=np.copysign,
    emit=lambda s, x, y: s.copysign(x, y),
    vjp=(
        lambda g, out, x, y: where(eq(x, 0), 0.0, g * (out / x)),
        lambda g, out, x, y: fill(g, 0.0),
    ),
    samples=binary(),
)


@function("torch.copysign Tensor.copysign", inplace=True)
def copysign(input: Any, other: Any) -> Any:
    """The magnitude of `input` with the sign of `other`, a tensor or a number."""
    if is_number(input):
        raise TypeError(f"copysign(): argument 'input' must be Tensor, not {type(input).__name__}")
    return copysign_.named(
        "CopysignBackward1" if is_number(other) else "CopysignBackward0", input, other
    )


def _hypot_emit(s: Any, x: Any, y: Any) -> Any:
    """Scaled by the greater of the two, so that no square overflows."""
    x, y = s.abs(x), s.abs(y)
    great, small = s.max(x, y), s.min(x, y)
    one = s.const(1, x)
    ratio = s.div(small, s.select(s.eq(great, s.const(0, x)), one, great))
    length = s.mul(great, s.sqrt(s.fma(ratio, ratio, one)))
    infinity = s.const(math.inf, x)
    return s.select(s.bit_or(s.eq(x, infinity), s.eq(y, infinity)), infinity, length)


hypot = define(
    "hypot",
    inputs="input other",
    infer=floats_only,
    numpy=np.hypot,
    emit=_hypot_emit,
    vjp=(lambda g, out, x, y: g * (x / out), lambda g, out, x, y: g * (y / out)),
    samples=binary_tensors(0.3, 2.0),
    dtypes="float",
    public=torch_and_tensor("hypot"),
    inplace=True,
    doc="""√(input² + other²), without overflow on the way.

    >>> torch.hypot(torch.tensor([3.0]), torch.tensor([4.0]))
    tensor([5.])
    """,
)


def _log_add(name: str, ufunc: Any, exponential: Any, unit: float, power: Any, doc: str = "") -> Op:
    def emit(s: Any, x: Any, y: Any) -> Any:
        great = s.max(x, y)
        distance = s.neg(s.abs(s.sub(x, y)))
        # Not the logarithm of a sum: where `great` is near 0, its smallest digits show.
        more = s.mul(s.log1p(exponential(s, distance)), s.const(1 / unit, x))
        total = s.add(great, more)
        return s.select(s.eq(s.abs(great), s.const(math.inf, x)), great, total)

    return define(
        name,
        inputs="input other",
        infer=floats_only,
        numpy=ufunc,
        emit=emit,
        vjp=(
            lambda g, out, x, y: g / (power(y - x) + 1.0),
            lambda g, out, x, y: g / (power(x - y) + 1.0),
        ),
        samples=binary_tensors(),
        dtypes="float",
        public=torch_and_tensor(name),
        doc=doc,
    )


logaddexp = _log_add(
    "logaddexp",
    np.logaddexp,
    lambda s, x: s.exp(x),
    1.0,
    exp,
    doc="""log(eᵃ + eᵇ), without overflow.

    >>> torch.logaddexp(torch.tensor([1000.0]), torch.tensor([1000.0]))
    tensor([1000.6932])
    """,
)
logaddexp2 = _log_add(
    "logaddexp2",
    np.logaddexp2,
    lambda s, x: s.exp2(x),
    math.log(2),
    exp2,
    doc="""log₂(2ᵃ + 2ᵇ), without overflow.

    >>> torch.logaddexp2(torch.tensor([1000.0]), torch.tensor([1000.0]))
    tensor([1001.])
    """,
)


def _times_log(name: str, logarithm: Any, log_of: Any, shift: float, doc: str = "") -> Op:
    """x · log(y + shift), and 0 where x is 0 (NaN where y is NaN)."""

    def emit(s: Any, x: Any, y: Any) -> Any:
        zero = s.const(0, x)
        product = s.mul(x, logarithm(s, y))
        return s.select(s.ne(y, y), y, s.select(s.eq(x, zero), zero, product))

    def first(g: Any, out: Any, x: Any, y: Any) -> Any:
        if is_number(y):
            above = y + shift > 0
            value = g * (log_of(y) if above else -math.inf if y + shift == 0 else math.nan)
            return value if above else where(eq(x, 0), 0.0, value)
        silent = logical_and(eq(x, 0), le(y, -shift))
        return where(silent, 0.0, g * log_of(where(silent, 1.0, y)))

    return define(
        name,
        inputs="input other",
        infer=floating,
        emit=emit,
        vjp=(first, lambda g, out, x, y: g * x / (y + shift if shift else y)),
        samples=binary(0.2, 3.0),
        public=f"{torch_and_tensor(name) if name == 'xlogy' else ''} torch.special.{name}",
        inplace=name == "xlogy",
        reference=name if name == "xlogy" else f"special.{name}",
        grad_name="XlogyBackward0" if name == "xlogy" else "SpecialXlog1PyBackward0",
        doc=doc,
    )


xlogy = _times_log(
    "xlogy",
    lambda s, y: s.log(y),
    lambda y: log(y) if not is_number(y) else math.log(y),
    0.0,
    doc="""input · log(other), 0 where `input` is 0 and `other` is not NaN.

    >>> torch.xlogy(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 1.0]))
    tensor([0., 0.])
    """,
)
xlog1py = _times_log(
    "xlog1py",
    lambda s, y: s.log1p(y),
    lambda y: log1p(y) if not is_number(y) else math.log1p(y),
    1.0,
    doc="input · log(1 + other), 0 where `input` is 0 and `other` is not NaN.",
)


def _heaviside_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    require_tensors(op, inputs)
    x, values = inputs
    if x.dtype is not values.dtype:
        raise RuntimeError(
            f"heaviside is not yet implemented for tensors with different dtypes: got {x.dtype} and"
            f" {values.dtype}"
        )
    return arithmetic(op, inputs, attrs)


def _heaviside_emit(s: Any, x: Any, values: Any) -> Any:
    zero, one = s.const(0, x), s.const(1, x)
    return s.select(s.eq(x, zero), values, s.select(s.lt(zero, x), one, zero))


def _no_heaviside_derivative(g: Any, out: Any, x: Any, values: Any) -> Any:
    raise NotImplementedError("derivative for aten::heaviside is not implemented")


heaviside = define(
    "heaviside",
    vjp=(_no_heaviside_derivative, _no_heaviside_derivative),
    grad_name="NotImplemented",
    inputs="input values",
    infer=_heaviside_infer,
    emit=_heaviside_emit,
    samples=binary_tensors(),
    public=torch_and_tensor("heaviside"),
    inplace=True,
    doc="""0 below 0, 1 above it, and `values` at 0.

    >>> torch.heaviside(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor(0.5))
    tensor([0.0000, 0.5000, 1.0000])
    """,
)


def _nextafter_numpy(x: Any, y: Any, d: dtypes.dtype) -> Any:
    # Halves arrive widened, and float32 has other neighbors.
    return np.nextafter(np.asarray(x).astype(d.numpy), np.asarray(y).astype(d.numpy))


nextafter_ = define(
    "nextafter",
    inputs="input other",
    attrs="dtype",
    kind="host",
    strides=result_strides,
    infer=floats_only,
    numpy=_nextafter_numpy,
    vjp=(
        lambda g, out, x, y, d: where(eq(x, y), 0.0, g),
        lambda g, out, x, y, d: fill(g, 0.0),
    ),
    samples=lambda: [
        Sample((Array((3, 4)), Array((4,)), dtypes.float32), smooth=False),
        Sample((Array(()), Array(()), dtypes.float32), smooth=False),
    ],
    dtypes="float",
    # The dtype is given where half precision arrives as such, which samples cannot say.
    reference=lambda torch, x, y, d: torch.nextafter(x.float(), y.float()).to(x.dtype),
)


@function("torch.nextafter Tensor.nextafter", inplace=True)
def nextafter(input: Any, other: Any) -> Any:
    """The next number after `input` in the direction of `other`."""
    for position, (name, x) in enumerate((("input", input), ("other", other)), 1):
        if is_number(x):
            raise TypeError(
                f"nextafter(): argument '{name}' (position {position}) must be Tensor, not"
                f" {type(x).__name__}"
            )
    return nextafter_(input, other, dtypes.result_type((input, other)))


def _integer_pairs() -> list[Sample]:
    kinds = ("int64", "int32", "uint8")
    return [Sample((Array((3, 4), 0, 20, d), Array((4,), 0, 20, d))) for d in kinds]


def _of_integers(name: str, ufunc: Any, doc: str = "") -> Op:
    return define(
        name,
        inputs="input other",
        kind="host",
        infer=integers_only,
        strides=result_strides,
        numpy=ufunc,
        samples=_integer_pairs,
        dtypes="bool",
        public=torch_and_tensor(name),
        inplace=True,
        doc=doc,
    )


gcd = _of_integers(
    "gcd",
    np.gcd,
    doc="""The greatest common divisor of integers.

    >>> torch.gcd(torch.tensor([12, 7]), torch.tensor([18, 3]))
    tensor([6, 1])
    """,
)
lcm = _of_integers(
    "lcm",
    np.lcm,
    doc="""The least common multiple of integers.

    >>> torch.lcm(torch.tensor([4, 7]), torch.tensor([6, 3]))
    tensor([12, 21])
    """,
)


# input · 2**other
ldexp = define(
    "ldexp",
    inputs="input other",
    infer=tensors_as_floats,
    emit=lambda s, x, y: s.mul(x, s.exp2(y)),
    vjp=(lambda g, out, x, y: g * exp2(y), lambda g, out, x, y: g * (out * math.log(2))),
    samples=binary_tensors(),
    public=torch_and_tensor("ldexp"),
    inplace=True,
    doc="""input · 2^other.

    >>> torch.ldexp(torch.tensor([1.5]), torch.tensor([3]))
    tensor([12.])
    """,
)


@function("torch.float_power Tensor.float_power", inplace=True)
def float_power(input: Any, exponent: Any) -> Any:
    """input ** exponent in float64."""
    wide = [x if is_number(x) else cast(x, dtypes.float64) for x in (input, exponent)]
    wide = [float(x) if is_number(x) else x for x in wide]
    return pow_.named(_pow_name(*wide), *wide)


def _pow_name(base: Any, exponent: Any) -> str:
    return "PowBackward0" if is_number(exponent) else "PowBackward1"
