"""torch.special: Bessel and Airy functions, the normal distribution, orthogonal polynomials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base.limits import finfo
from tidu.base.strides import result_strides
from tidu.ir.mathematics import bessel, normal
from tidu.ir.op import Array, Op, Sample, define, function
from tidu.ir.value import Value
from tidu.ops.elementwise import abs_, exp, log, mul, sign, where
from tidu.ops.rules import floating
from tidu.ops.samples import unary
from tidu.ops.special.error_function import erfc
from tidu.ops.special.wide import special


def _without_tiny(x: Any) -> tuple[Any, Any]:
    """Where x is too small to divide by: there the derivatives are that at 0. And x, with 1 there.

    PyTorch draws the line at the same place.
    """
    tiny = abs_(x) <= finfo(x.dtype).eps
    return tiny, where(tiny, 1.0, x)


def _i1_vjp(g: Any, out: Any, x: Any) -> Any:
    tiny, safe = _without_tiny(x)
    return g * where(tiny, 0.5, i0(safe) - out / safe)


def _i1e_vjp(g: Any, out: Any, x: Any) -> Any:
    tiny, safe = _without_tiny(x)
    return g * where(tiny, 0.5, i0e(safe) - out * (sign(safe) + 1.0 / safe))


i0 = special(
    "i0",
    bessel.i0,
    lambda g, out, x: g * i1(x),
    "torch.i0 Tensor.i0 torch.special.i0",
    reference="i0",
    grad_name="I0Backward0",
    inplace=True,
    doc="""The modified Bessel function of the first kind of order 0, I₀(x).

    >>> torch.i0(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 1.2661])
    """,
)
i0e = special(
    "i0e",
    bessel.i0e,
    lambda g, out, x: g * (i1e(x) - sign(x) * out),
    "torch.special.i0e",
    0.3,
    grad_name="SpecialI0EBackward0",
    doc="e^(-|x|) · I₀(x).",
)
i1: Op = special(
    "i1",
    bessel.i1,
    _i1_vjp,
    "torch.special.i1",
    0.3,
    doc="The modified Bessel function of the first kind of order 1, I₁(x).",
)
i1e: Op = special(
    "i1e",
    bessel.i1e,
    _i1e_vjp,
    "torch.special.i1e",
    0.3,
    grad_name="SpecialI1EBackward0",
    doc="e^(-|x|) · I₁(x).",
)

for _name, _emission, _low, _doc in (
    ("bessel_j0", bessel.j0, -12.0, "The Bessel function of the first kind of order 0, J₀(x)."),
    ("bessel_j1", bessel.j1, -12.0, "The Bessel function of the first kind of order 1, J₁(x)."),
    ("bessel_y0", bessel.y0, 0.3, "The Bessel function of the second kind of order 0, Y₀(x)."),
    ("bessel_y1", bessel.y1, 0.3, "The Bessel function of the second kind of order 1, Y₁(x)."),
    ("modified_bessel_i0", bessel.i0, -12.0, "I₀(x), as `i0`."),
    ("modified_bessel_i1", bessel.i1, -12.0, "I₁(x), as `i1`."),
    ("modified_bessel_k0", bessel.k0, 0.3, "The modified Bessel function K₀(x)."),
    ("modified_bessel_k1", bessel.k1, 0.3, "The modified Bessel function K₁(x)."),
    ("scaled_modified_bessel_k0", bessel.k0e, 0.3, "eˣ · K₀(x)."),
    ("scaled_modified_bessel_k1", bessel.k1e, 0.3, "eˣ · K₁(x)."),
    ("airy_ai", bessel.airy_ai, -8.0, "The Airy function Ai(x)."),
):
    # PyTorch's own Bessel functions hold about 1e-6; tests/ops/test_special.py has exact values.
    _path = f"torch.special.{_name}"
    special(_name, _emission, None, _path, _low, 12.0, tolerance=10000.0, doc=_doc)


def _spherical_j0(s: Any, x: Any) -> Any:
    zero, one = s.const(0, x), s.const(1, x)
    at_zero, infinite = s.eq(x, zero), s.eq(s.abs(x), s.const(math.inf, x))
    value = s.div(s.sin(x), s.select(at_zero, one, x))
    return s.select(infinite, zero, s.select(at_zero, one, value))


special(
    "spherical_bessel_j0",
    _spherical_j0,
    None,
    "torch.special.spherical_bessel_j0",
    -12.0,
    12.0,
    doc="sin(x) / x, 1 at 0.",
)


_SQRT_2 = math.sqrt(2)
_HALF_SQRT_PI = math.sqrt(math.pi) / 2
_SQRT_2PI = math.sqrt(2 * math.pi)


def _erfinv_vjp(g: Any, out: Any, x: Any) -> Any:
    """In PyTorch the second derivative does not depend on the result."""
    y = out if g.__class__ is Value else erfinv(x)
    return g * (exp(y * y) * _HALF_SQRT_PI)


erfinv = special(
    "erfinv",
    normal.erfinv,
    _erfinv_vjp,
    "torch.erfinv Tensor.erfinv torch.special.erfinv",
    -0.9,
    0.9,
    reference="erfinv",
    grad_name="ErfinvBackward0",
    inplace=True,
    doc="""The inverse of erf: ±inf at ±1, NaN beyond.

    >>> torch.erfinv(torch.tensor([0.0, 0.5]))
    tensor([0.0000, 0.4769])
    """,
)
erfcx = special(
    "erfcx",
    normal.erfcx,
    lambda g, out, x: g * (x * out * 2.0 - 2.0 / math.sqrt(math.pi)),
    "torch.special.erfcx",
    doc="e^(x²) · erfc(x).",
)
ndtri = special(
    "ndtri",
    normal.ndtri,
    lambda g, out, x: g * (exp(out * out * 0.5) * _SQRT_2PI),
    "torch.special.ndtri",
    0.1,
    0.9,
    doc="The number that a standard normal variable is below with probability x.",
)
log_ndtr = special(
    "log_ndtr",
    normal.log_ndtr,
    lambda g, out, x: g * (math.sqrt(2 / math.pi) / erfcx(x * (-1 / _SQRT_2))),
    "torch.special.log_ndtr",
    grad_name="SpecialLogNdtrBackward0",
    doc="log Φ(x), the probability that a standard normal variable is below x.",
)


@function("torch.special.ndtr")
def ndtr(input: Any) -> Any:
    """The distribution function of the standard normal distribution: (1 + erf(x / √2)) / 2."""
    return mul.named("MulBackward1", erfc(input * (-1 / _SQRT_2)), 0.5)


def _entr_emit(s: Any, x: Any) -> Any:
    zero = s.const(0, x)
    inside = s.neg(s.mul(x, s.log(x)))
    edge = s.select(s.eq(x, zero), zero, s.const(-math.inf, x))
    return s.select(s.ne(x, x), x, s.select(s.lt(zero, x), inside, edge))


entr = define(
    "entr",
    infer=floating,
    emit=_entr_emit,
    vjp=(lambda g, out, x: g * (-log(x) - 1.0),),
    samples=unary(0.2, 3.0),
    public="torch.special.entr",
    reference="special.entr",
    grad_name="SpecialEntrBackward0",
    doc="-x · log(x): 0 at 0, -inf below.",
)


def _recurrence(first: Any, step: Any, transform: Any = None) -> Any:
    """p_n(x) from p_0 = 1, p_1 = first(x), p_{k+1} = step(k, x, p_k, p_{k-1}); 0 for n < 0."""

    def run(x: Any, n: Any) -> Any:
        x, n = np.broadcast_arrays(np.asarray(x, np.float64), np.trunc(np.asarray(n, np.float64)))
        x = x if transform is None else transform(x)
        before, now = np.ones(x.shape), first(x)
        out = np.where(n == 0, before, np.where(n == 1, now, 0.0))
        top = int(n.max()) if n.size and np.isfinite(n).all() else 0
        for k in range(1, top):
            before, now = now, step(k, x, now, before)
            out = np.where(n == k + 1, now, out)
        return np.where(n < 0, 0.0, out)

    return run


def _chebyshev_step(k: int, x: Any, p: Any, q: Any) -> Any:
    return 2 * x * p - q


def _shift(x: Any) -> Any:
    return 2 * x - 1


_POLYNOMIALS: dict[str, Any] = {
    "chebyshev_polynomial_t": _recurrence(lambda x: x, _chebyshev_step),
    "chebyshev_polynomial_u": _recurrence(lambda x: 2 * x, _chebyshev_step),
    "chebyshev_polynomial_v": _recurrence(lambda x: 2 * x - 1, _chebyshev_step),
    "chebyshev_polynomial_w": _recurrence(lambda x: 2 * x + 1, _chebyshev_step),
    "shifted_chebyshev_polynomial_t": _recurrence(lambda x: x, _chebyshev_step, _shift),
    "shifted_chebyshev_polynomial_u": _recurrence(lambda x: 2 * x, _chebyshev_step, _shift),
    "shifted_chebyshev_polynomial_v": _recurrence(lambda x: 2 * x - 1, _chebyshev_step, _shift),
    "shifted_chebyshev_polynomial_w": _recurrence(lambda x: 2 * x + 1, _chebyshev_step, _shift),
    "hermite_polynomial_h": _recurrence(lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - 2 * k * q),
    "hermite_polynomial_he": _recurrence(lambda x: x, lambda k, x, p, q: x * p - k * q),
    "laguerre_polynomial_l": _recurrence(
        lambda x: 1 - x, lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1)
    ),
    "legendre_polynomial_p": _recurrence(
        lambda x: x, lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1)
    ),
}
for _name, _run in _POLYNOMIALS.items():
    _family, _letter = _name.replace("_", " ").split(" polynomial ")
    define(
        _name,
        inputs="input n",
        kind="host",
        strides=result_strides,
        infer=floating,
        numpy=_run,
        samples=lambda: [
            Sample((Array((3, 4), -1, 1), Array((4,), 0, 7, "int64"))),
            Sample((Array((5,), -1, 1), Array((), 0, 7, "int64"))),
        ],
        dtypes="wide",
        public=f"torch.special.{_name}",
        reference=f"special.{_name}",
        doc=f"The {_family.title()} polynomial {_letter.title()} of degree `n` at `input`.",
    )
