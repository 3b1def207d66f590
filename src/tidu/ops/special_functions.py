"""torch.special: gamma, Bessel, Airy and normal-distribution functions.

Each is worked out in float64 and rounded to the dtype of its argument: one formula for every dtype,
and nothing lost to the intermediate steps of half and single precision.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir import bessel, gamma, normal
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ops.cast import cast
from tidu.ops.elementwise import add, exp, log, mul, sign, where
from tidu.ops.rules import floating, promote, require_tensors
from tidu.ops.samples import unary
from tidu.ops.special import erfc


def _float64(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    inputs, _ = promote(inputs, dtypes.float64)
    return inputs, inputs[0].shape, dtypes.float64


def special(
    name: str,
    emission: Callable[..., Any],
    vjp: Any,
    public: str,
    low: float = -3.0,
    high: float = 3.0,
    *,
    reference: str = "",
    grad_name: str = "",
    inplace: bool = False,
) -> Op:
    """A function of one number: an emission in float64, and around it an op for every dtype."""
    path = reference or f"special.{name}"

    def compare(torch: Any, x: Any) -> Any:
        module = torch
        for part in path.split("."):
            module = getattr(module, part)
        return module(x.double())

    wide = define(
        f"{name}_float64",
        infer=_float64,
        emit=emission,
        samples=unary(low, high),
        dtypes="float",
        reference=compare,
    )
    return define(
        name,
        kind="composite",
        infer=floating,
        decompose=lambda x: cast(wide(cast(x, dtypes.float64)), x.dtype),
        vjp=None if vjp is None else (vjp,),
        samples=unary(low, high),
        public=public,
        inplace=inplace,
        reference=path,
        grad_name=grad_name or f"Special{name.capitalize()}Backward0",
        # The derivatives of the references are worked out in the dtype itself.
        tolerance=10.0,
    )


def _both(name: str, aliases: str = "") -> str:
    return " ".join(f"torch.{n} Tensor.{n}" for n in name.split()) + f" {aliases}"


# Gamma --------------------------------------------------------------------------------------------

lgamma = special(
    "lgamma",
    gamma.lgamma,
    lambda g, out, x: g * digamma(x),
    _both("lgamma", "torch.special.gammaln"),
    0.3,
    5.0,
    reference="lgamma",
    grad_name="LgammaBackward0",
    inplace=True,
)
digamma = special(
    "digamma",
    gamma.digamma,
    lambda g, out, x: g * polygamma_(x, 1),
    _both("digamma", "torch.special.digamma torch.special.psi"),
    0.5,
    5.0,
    reference="digamma",
    grad_name="DigammaBackward0",
    inplace=True,
)

# B_2k / (2k)!, for the Euler-Maclaurin sum of the zeta function.
_BERNOULLI = (
    1 / 12, -1 / 720, 1 / 30240, -1 / 1209600, 1 / 47900160, -691 / 1307674368000, 1 / 74724249600,
    -3617 / 10670622842880000, 43867 / 5109094217170944000,
)  # fmt: skip


def _zeta_numpy(s: Any, q: Any) -> Any:
    """Σ over k of (k + q)^-s: terms up to beyond 10, then Euler and Maclaurin's formula."""
    s, q = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(q, np.float64))
    pole = (q <= 0) & (q == np.floor(q))
    undefined = (s < 1) | np.isnan(s) | np.isnan(q) | ((q <= 0) & (s != np.floor(s)) & ~pole)
    infinite = (s == 1) | (pole & (s > 1))
    usable = ~undefined & ~infinite
    a, power = np.where(usable, q, 1.0), np.where(usable, s, 2.0)
    total = np.zeros(a.shape)
    small = a < 10
    while small.any():
        total += np.where(small, a ** -power, 0.0)
        a = np.where(small, a + 1, a)
        small = a < 10
    total += a ** (1 - power) / (power - 1) + 0.5 * a**-power
    term = power * a ** (-power - 1)
    for k, b in enumerate(_BERNOULLI):
        total += b * term
        term = term * (power + 2 * k + 1) * (power + 2 * k + 2) / (a * a)
    total = np.where(np.isposinf(q) & usable, 0.0, total)
    return np.where(undefined, np.nan, np.where(infinite, np.inf, total))


def _zeta_vjp_s(g: Any, out: Any, s: Any, q: Any) -> Any:
    raise RuntimeError("the derivative for 'zeta' with respect to 'input' is not implemented")


zeta = define(
    "zeta",
    inputs="input other",
    kind="host",
    host=True,
    infer=floating,
    numpy=_zeta_numpy,
    vjp=(_zeta_vjp_s, lambda g, out, s, q: -g * (s * zeta(s + 1.0, q))),
    samples=lambda: [Sample((2.0, Array((3, 4), 0.5, 5))), Sample((3.5, Array((), 0.5, 5)))],
    public="torch.special.zeta",
    reference="special.zeta",
    grad_name="SpecialZetaBackward0",
    dtypes="float",
    tolerance=10.0,
)


def _polygamma_numpy(x: Any, n: int) -> Any:
    wide = np.asarray(x, np.float64)
    if n == 1:  # reflected, which spares the sum over the poles between
        below = wide < 0.5
        value = _zeta_numpy(2.0, np.where(below, 1 - wide, wide))
        sine = np.sin(math.pi * (wide - np.rint(wide)))
        return np.where(below, (math.pi / sine) ** 2 - value, value)
    return (-1) ** (n + 1) * math.gamma(n + 1) * _zeta_numpy(float(n + 1), wide)


polygamma_ = define(
    "polygamma",
    attrs="n",
    kind="host",
    host=True,
    infer=floating,
    numpy=_polygamma_numpy,
    vjp=(lambda g, out, x, n: g * polygamma_(x, n + 1),),
    samples=lambda: [Sample((Array((3, 4), 0.5, 5), n)) for n in (1, 2, 4)],
    dtypes="float",
    reference=lambda torch, x, n: torch.polygamma(n, x),
    tolerance=10.0,
)


@function("torch.polygamma torch.special.polygamma")
def polygamma(n: int, input: Any) -> Any:
    """The n-th derivative of the digamma function."""
    if n < 0:
        raise RuntimeError(f"polygamma(n, x) does not support negative n. (n = {n})")
    return digamma(input) if n == 0 else polygamma_(input, int(n))


@function("Tensor.polygamma", inplace=True)
def polygamma_method(self: Any, n: int) -> Any:
    """The n-th derivative of the digamma function."""
    return polygamma(n, self)


@function("torch.mvlgamma torch.special.multigammaln Tensor.mvlgamma", inplace=True)
def mvlgamma(input: Any, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension `p`: a constant plus Σ lgamma(x - i/2)."""
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    total = lgamma(input)
    for i in range(1, p):
        total = total + lgamma(input - i / 2)
    return add.named("MvlgammaBackward0", total, p * (p - 1) / 4 * math.log(math.pi))


def _log_gamma_numpy(a: Any) -> Any:
    return np.vectorize(math.lgamma, otypes=[np.float64])(a) if a.size else a


def _gamma_parts(a: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    """(lower, upper) regularized gamma functions, and where either is undefined or trivial.

    A series for x < a + 1, a continued fraction (in Lentz's form) beyond. Numerical Recipes, 6.2.
    """
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    bad = (x < 0) | (a < 0) | ((x == 0) & (a == 0)) | np.isnan(a) | np.isnan(x) | (np.isinf(a) & np.isinf(x))
    plain = ~bad & (x > 0) & (a > 0) & np.isfinite(a) & np.isfinite(x)
    safe_a, safe_x = np.where(plain, a, 1.0), np.where(plain, x, 1.0)
    front = np.exp(safe_a * np.log(safe_x) - safe_x - _log_gamma_numpy(safe_a))
    by_series = safe_x < safe_a + 1
    # Series: x^a e^-x / Γ(a) · Σ x^k / (a (a + 1) … (a + k))
    xs, place = np.where(by_series, safe_x, 0.5), safe_a.copy()
    term = 1 / safe_a
    total = term.copy()
    for _ in range(20000):
        place = place + 1
        term = term * xs / place
        total = total + term
        if (np.abs(term) <= np.abs(total) * 1e-17).all():
            break
    lower = front * total
    # Continued fraction
    xc = np.where(by_series, safe_a + 2, safe_x)
    b = xc + 1 - safe_a
    c, d = np.full(b.shape, 1e300), 1 / b
    h = d.copy()
    for i in range(1, 20000):
        factor = -i * (i - safe_a)
        b = b + 2
        d = 1 / np.where(factor * d + b == 0, 1e-300, factor * d + b)
        c = np.where(b + factor / c == 0, 1e-300, b + factor / c)
        h = h * d * c
        if (np.abs(d * c - 1) <= 1e-16).all():
            break
    upper = front * h
    lower = np.where(by_series, lower, 1 - upper)
    upper = np.where(by_series, 1 - lower, upper)
    one = (~bad & ~plain) & ((a == 0) | np.isposinf(x))
    return np.where(plain, lower, one * 1.0), np.where(plain, upper, 1.0 - one), bad, plain


def _igamma_numpy(a: Any, x: Any) -> Any:
    lower, _, bad, _ = _gamma_parts(a, x)
    return np.where(bad, np.nan, lower)


def _igammac_numpy(a: Any, x: Any) -> Any:
    _, upper, bad, _ = _gamma_parts(a, x)
    return np.where(bad, np.nan, upper)


def _gamma_slope(a: Any, x: Any) -> Any:
    """The integrand of the regularized gamma functions: exp((a - 1) log x - x - lgamma(a))."""
    return exp((a - 1.0) * log(x) - x - lgamma(a))


def _igamma_vjp_a(g: Any, out: Any, a: Any, x: Any) -> Any:
    raise NotImplementedError("the derivative for 'igamma: input' is not implemented.")


def _igammac_vjp_a(g: Any, out: Any, a: Any, x: Any) -> Any:
    raise NotImplementedError("the derivative for 'igammac: input' is not implemented.")


def _incomplete(name: str, run: Any, vjp_a: Any, vjp_x: Any, alias: str) -> Op:
    def infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
        require_tensors(op, inputs)
        return floating(op, inputs, attrs)

    return define(
        name,
        inputs="input other",
        kind="host",
        host=True,
        infer=infer,
        numpy=run,
        vjp=(vjp_a, vjp_x),
        samples=lambda: [
            Sample((Array((3, 4), 1, 6, "int64"), Array((3, 4), 0.2, 9))),
            Sample((Array((), 1, 6, "int64"), Array((5,), 0.2, 9))),
        ],
        dtypes="wide",
        public=_both(name, f"torch.special.{alias}"),
        inplace=True,
        tolerance=10.0,
    )


igamma = _incomplete(
    "igamma", _igamma_numpy, _igamma_vjp_a, lambda g, out, a, x: g * _gamma_slope(a, x), "gammainc"
)
igammac = _incomplete(
    "igammac", _igammac_numpy, _igammac_vjp_a, lambda g, out, a, x: -g * _gamma_slope(a, x), "gammaincc"
)

# Bessel and Airy ----------------------------------------------------------------------------------


def _i1_vjp(g: Any, out: Any, x: Any) -> Any:
    zero = x == 0
    safe = where(zero, 1.0, x)
    return g * where(zero, 0.5, i0(safe) - out / safe)


def _i1e_vjp(g: Any, out: Any, x: Any) -> Any:
    zero = x == 0
    safe = where(zero, 1.0, x)
    return g * where(zero, 0.5, i0e(safe) - out * (sign(safe) + 1.0 / safe))


i0 = special(
    "i0",
    bessel.i0,
    lambda g, out, x: g * i1(x),
    _both("i0", "torch.special.i0"),
    reference="i0",
    grad_name="I0Backward0",
    inplace=True,
)
i0e = special(
    "i0e",
    bessel.i0e,
    lambda g, out, x: g * (i1e(x) - sign(x) * out),
    "torch.special.i0e",
    0.3,
    grad_name="SpecialI0EBackward0",
)
i1 = special("i1", bessel.i1, _i1_vjp, "torch.special.i1", 0.3)
i1e = special(
    "i1e", bessel.i1e, _i1e_vjp, "torch.special.i1e", 0.3, grad_name="SpecialI1EBackward0"
)

for _name, _emission, _low in (
    ("bessel_j0", bessel.j0, -12.0),
    ("bessel_j1", bessel.j1, -12.0),
    ("bessel_y0", bessel.y0, 0.3),
    ("bessel_y1", bessel.y1, 0.3),
    ("modified_bessel_i0", bessel.i0, -12.0),
    ("modified_bessel_i1", bessel.i1, -12.0),
    ("modified_bessel_k0", bessel.k0, 0.3),
    ("modified_bessel_k1", bessel.k1, 0.3),
    ("scaled_modified_bessel_k0", bessel.k0e, 0.3),
    ("scaled_modified_bessel_k1", bessel.k1e, 0.3),
    ("airy_ai", bessel.airy_ai, -8.0),
):
    special(_name, _emission, None, f"torch.special.{_name}", _low, 12.0)


def _spherical_j0(s: Any, x: Any) -> Any:
    zero, one = s.const(0, x), s.const(1, x)
    at_zero, infinite = s.eq(x, zero), s.eq(s.abs(x), s.const(math.inf, x))
    value = s.div(s.sin(x), s.select(at_zero, one, x))
    return s.select(infinite, zero, s.select(at_zero, one, value))


special("spherical_bessel_j0", _spherical_j0, None, "torch.special.spherical_bessel_j0", -12.0, 12.0)

# The normal distribution --------------------------------------------------------------------------

_SQRT_2 = math.sqrt(2)
_HALF_SQRT_PI = math.sqrt(math.pi) / 2
_SQRT_2PI = math.sqrt(2 * math.pi)

erfinv = special(
    "erfinv",
    normal.erfinv,
    lambda g, out, x: g * (exp(out * out) * _HALF_SQRT_PI),
    _both("erfinv", "torch.special.erfinv"),
    -0.9,
    0.9,
    reference="erfinv",
    grad_name="ErfinvBackward0",
    inplace=True,
)
erfcx = special(
    "erfcx",
    normal.erfcx,
    lambda g, out, x: g * (x * out * 2.0 - 2.0 / math.sqrt(math.pi)),
    "torch.special.erfcx",
)
ndtri = special(
    "ndtri",
    normal.ndtri,
    lambda g, out, x: g * (exp(out * out * 0.5) * _SQRT_2PI),
    "torch.special.ndtri",
    0.1,
    0.9,
)
log_ndtr = special(
    "log_ndtr",
    normal.log_ndtr,
    lambda g, out, x: g * (math.sqrt(2 / math.pi) / erfcx(x * (-1 / _SQRT_2))),
    "torch.special.log_ndtr",
    grad_name="SpecialLogNdtrBackward0",
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
)

# Orthogonal polynomials ---------------------------------------------------------------------------


def _recurrence(first: Any, step: Any, transform: Any = None) -> Any:
    """p_n(x) from p_0 = 1, p_1 = first(x) and p_{k+1} = step(k, x, p_k, p_{k-1}); 0 for negative n."""

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
    "legendre_polynomial_p": _recurrence(lambda x: x, lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1)),
}
for _name, _run in _POLYNOMIALS.items():
    define(
        _name,
        inputs="input n",
        kind="host",
        host=True,
        infer=floating,
        numpy=_run,
        samples=lambda: [
            Sample((Array((3, 4), -1, 1), Array((4,), 0, 7, "int64"))),
            Sample((Array((5,), -1, 1), Array((), 0, 7, "int64"))),
        ],
        dtypes="wide",
        public=f"torch.special.{_name}",
        reference=f"special.{_name}",
    )
