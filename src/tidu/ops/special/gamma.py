"""torch.special: the gamma function, its derivatives,
its incomplete and multivariate forms, and zeta.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tidu.base.strides import result_strides
from tidu.ir.mathematics import gamma
from tidu.ir.op import Array, Op, Sample, define, function, torch_and_tensor
from tidu.ops.elementwise import add, exp, log
from tidu.ops.rules import floating, tensors_as_floats
from tidu.ops.special.wide import special

lgamma = special(
    "lgamma",
    gamma.lgamma,
    lambda g, out, x: g * digamma(x),
    "torch.lgamma Tensor.lgamma torch.special.gammaln",
    0.3,
    5.0,
    reference="lgamma",
    grad_name="LgammaBackward0",
    inplace=True,
    doc="""log |Γ(x)|.

    >>> torch.lgamma(torch.tensor([1.0, 5.0]))
    tensor([0.0000, 3.1781])
    """,
)
digamma: Op = special(
    "digamma",
    gamma.digamma,
    lambda g, out, x: g * polygamma_(x, 1),
    "torch.digamma Tensor.digamma torch.special.digamma torch.special.psi",
    0.5,
    5.0,
    reference="digamma",
    grad_name="DigammaBackward0",
    inplace=True,
    doc="""ψ(x), the derivative of log Γ(x).

    >>> torch.digamma(torch.tensor([1.0, 2.0]))
    tensor([-0.5772,  0.4228])
    """,
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
        total += np.where(small, a**-power, 0.0)
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


zeta: Op = define(
    "zeta",
    inputs="input other",
    kind="host",
    strides=result_strides,
    infer=floating,
    numpy=_zeta_numpy,
    vjp=(_zeta_vjp_s, lambda g, out, s, q: -g * (s * zeta(s + 1.0, q))),
    samples=lambda: [Sample((2.0, Array((3, 4), 0.5, 5))), Sample((3.5, Array((), 0.5, 5)))],
    public="torch.special.zeta",
    reference="special.zeta",
    grad_name="SpecialZetaBackward0",
    dtypes="float",
    tolerance=10.0,
    doc="The Hurwitz zeta function, Σₖ 1 / (k + other)^input over k ≥ 0.",
)


def _polygamma_numpy(x: Any, n: int) -> Any:
    wide = np.asarray(x, np.float64)
    if n == 1:  # reflected, which spares the sum over the poles between
        below = wide < 0.5
        value = _zeta_numpy(2.0, np.where(below, 1 - wide, wide))
        sine = np.sin(math.pi * (wide - np.rint(wide)))
        return np.where(below, (math.pi / sine) ** 2 - value, value)
    return (-1) ** (n + 1) * math.gamma(n + 1) * _zeta_numpy(float(n + 1), wide)


polygamma_: Op = define(
    "polygamma",
    attrs="n",
    kind="host",
    strides=result_strides,
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
    """The logarithm of the multivariate gamma function of dimension `p`:
    a constant plus Σ lgamma(x - i/2).
    """
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    total = lgamma(input)
    for i in range(1, p):
        total = total + lgamma(input - i / 2)
    return add.named("MvlgammaBackward0", total, p * (p - 1) / 4 * math.log(math.pi))


def _log_gamma(a: float) -> float:
    try:
        return math.lgamma(a)
    except OverflowError:
        return math.inf


def _log_gamma_numpy(a: Any) -> Any:
    return np.vectorize(_log_gamma, otypes=[np.float64])(a) if a.size else a


def _gamma_parts(a: Any, x: Any) -> tuple[Any, Any, Any, Any]:
    """(lower, upper) regularized gamma functions, and where either is undefined or trivial.

    A series for x < a + 1, a continued fraction (in Lentz's form) beyond. Numerical Recipes, 6.2.
    """
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    bad = (
        (x < 0)
        | (a < 0)
        | ((x == 0) & (a == 0))
        | np.isnan(a)
        | np.isnan(x)
        | (np.isinf(a) & np.isinf(x))
    )
    plain = ~bad & (x > 0) & (a > 0) & np.isfinite(a) & np.isfinite(x)
    safe_a, safe_x = np.where(plain, a, 1.0), np.where(plain, x, 1.0)
    front = np.exp(safe_a * np.log(safe_x) - safe_x - _log_gamma_numpy(safe_a + 1))
    by_series = safe_x < safe_a + 1
    # Series: x^a e^-x / Γ(a + 1) · Σ x^k / ((a + 1) … (a + k))
    xs, place = np.where(by_series, safe_x, 0.5), safe_a.copy()
    term = np.ones(safe_a.shape)
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
    upper = front * safe_a * h
    lower = np.where(by_series, np.minimum(lower, 1.0), 1 - upper)
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


def _incomplete(name: str, run: Any, vjp_a: Any, vjp_x: Any, alias: str, doc: str = "") -> Op:
    return define(
        name,
        inputs="input other",
        kind="host",
        infer=tensors_as_floats,
        strides=result_strides,
        numpy=run,
        vjp=(vjp_a, vjp_x),
        samples=lambda: [
            Sample((Array((3, 4), 1, 6, "int64"), Array((3, 4), 0.2, 9))),
            Sample((Array((), 1, 6, "int64"), Array((5,), 0.2, 9))),
        ],
        dtypes="wide",
        public=f"{torch_and_tensor(name)} torch.special.{alias}",
        inplace=True,
        tolerance=10.0,
        doc=doc,
    )


igamma = _incomplete(
    "igamma",
    _igamma_numpy,
    _igamma_vjp_a,
    lambda g, out, a, x: g * _gamma_slope(a, x),
    "gammainc",
    doc="""The regularized lower incomplete gamma function of a = input and x = other,
    1/Γ(a) ∫₀ˣ tᵃ⁻¹ e⁻ᵗ dt.
    """,
)
igammac = _incomplete(
    "igammac",
    _igammac_numpy,
    _igammac_vjp_a,
    lambda g, out, a, x: -g * _gamma_slope(a, x),
    "gammaincc",
    doc="The regularized upper incomplete gamma function, 1 - igamma.",
)
