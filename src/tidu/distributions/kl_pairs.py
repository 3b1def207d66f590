"""Divergences between distributions of different families; see `kl` for those within one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tidu.distributions.bernoulli import Bernoulli
from tidu.distributions.beta import Beta
from tidu.distributions.binomial import Binomial
from tidu.distributions.distribution import Distribution
from tidu.distributions.exponential import Exponential
from tidu.distributions.gamma import Gamma
from tidu.distributions.gumbel import EULER, Gumbel
from tidu.distributions.kl import register_kl
from tidu.distributions.laplace import Laplace
from tidu.distributions.normal import Normal
from tidu.distributions.pareto import Pareto
from tidu.distributions.poisson import Poisson
from tidu.distributions.uniform import Uniform
from tidu.tensor import full_like, namespaces

__all__: list[str] = []

digamma = namespaces["torch"]["digamma"]
where = namespaces["torch"]["where"]
xlogy = namespaces["torch"]["xlogy"]


def _register_infinite(kind: type[Distribution], others: Sequence[type], parameter: str) -> None:
    """Where p has samples that q never has, the divergence is infinite."""

    def infinite(p: Any, q: Any) -> Any:
        return full_like(getattr(p, parameter), math.inf)

    for other in others:
        register_kl(kind, other)(infinite)


_register_infinite(Beta, [Pareto], "concentration1")
_register_infinite(Exponential, [Beta, Pareto, Uniform], "rate")
_register_infinite(Gamma, [Beta, Pareto, Uniform], "concentration")
_register_infinite(Gumbel, [Beta, Exponential, Gamma, Pareto, Uniform], "loc")
_register_infinite(Laplace, [Beta, Exponential, Gamma, Pareto, Uniform], "loc")
_register_infinite(Normal, [Beta, Exponential, Gamma, Pareto, Uniform], "loc")
_register_infinite(Pareto, [Beta, Uniform], "scale")
_register_infinite(Poisson, [Bernoulli, Binomial], "rate")


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Bernoulli, q: Poisson) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, Exponential)
def _beta_exponential(p: Beta, q: Exponential) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _beta_gamma(p: Beta, q: Gamma) -> Any:
    logarithm = digamma(p.concentration1) - digamma(p.concentration1 + p.concentration0)
    return -p.entropy() + _gamma_constant(q) - (q.concentration - 1) * logarithm + q.rate * p.mean


def _gamma_constant(q: Gamma) -> Any:
    return q.concentration.lgamma() - q.concentration * q.rate.log()


@register_kl(Beta, Normal)
def _beta_normal(p: Beta, q: Normal) -> Any:
    variance = q.scale.pow(2)
    second = (p.variance + p.mean.pow(2)) * 0.5
    constant = 0.5 * (variance * 2 * math.pi).log()
    return -p.entropy() + constant + (second - q.loc * p.mean + q.loc.pow(2) * 0.5) / variance


@register_kl(Beta, Uniform)
def _beta_uniform(p: Beta, q: Uniform) -> Any:
    result = -p.entropy() + (q.high - q.low).log()
    return where((q.low > 0.0) | (q.high < 1.0), math.inf, result)


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Exponential, q: Gamma) -> Any:
    ratio = q.rate / p.rate
    return (
        -q.concentration * ratio.log()
        + ratio
        + q.concentration.lgamma()
        + q.concentration * EULER
        - (1 + EULER)
    )


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Exponential, q: Gumbel) -> Any:
    product, ratio = p.rate * q.scale, q.loc / q.scale
    expected = ratio.exp() * product / (product + 1)
    return product.log() - 1 - ratio + expected + product.reciprocal()


@register_kl(Exponential, Normal)
def _exponential_normal(p: Exponential, q: Normal) -> Any:
    variance = q.scale.pow(2)
    rate_square = p.rate.pow(2)
    constant = 0.5 * (rate_square * variance * 2 * math.pi).log()
    return constant - 1 + (rate_square.reciprocal() - q.loc / p.rate + q.loc.pow(2) / 2) / variance


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Gamma, q: Exponential) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Gamma, q: Gumbel) -> Any:
    product, ratio = p.rate * q.scale, q.loc / q.scale
    shape = p.concentration
    own = (shape - 1) * digamma(shape) - shape.lgamma() - shape
    expected = ratio.exp() * (1 + product.reciprocal()).pow(-shape) - ratio
    return own + product.log() + shape / product + expected


@register_kl(Gamma, Normal)
def _gamma_normal(p: Gamma, q: Normal) -> Any:
    variance, rate_square = q.scale.pow(2), p.rate.pow(2)
    shape = p.concentration
    constant = 0.5 * (rate_square * variance * 2 * math.pi).log() - shape - shape.lgamma()
    second = 0.5 * (shape.pow(2) + shape) / rate_square
    distance = second - q.loc * shape / p.rate + 0.5 * q.loc.pow(2)
    return constant + (shape - 1) * digamma(shape) + distance / variance


@register_kl(Gumbel, Normal)
def _gumbel_normal(p: Gumbel, q: Normal) -> Any:
    ratio = p.scale / q.scale
    constant = (ratio / math.sqrt(2 * math.pi)).log()
    spread = (math.pi * ratio * 0.5).pow(2) / 3
    distance = ((p.loc + p.scale * EULER - q.loc) / q.scale).pow(2) * 0.5
    return -constant + spread + distance - (EULER + 1)


@register_kl(Laplace, Normal)
def _laplace_normal(p: Laplace, q: Normal) -> Any:
    variance = q.scale.pow(2)
    ratio = p.scale.pow(2) / variance
    quadratic = 0.5 * p.loc.pow(2) - p.loc * q.loc + 0.5 * q.loc.pow(2)
    return -0.5 * (2 * ratio / math.pi).log() + ratio + quadratic / variance - 1


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Normal, q: Gumbel) -> Any:
    mean, square, ratio = p.loc / q.scale, (p.scale / q.scale).pow(2), q.loc / q.scale
    expected = (-mean + 0.5 * square + ratio).exp()
    return -square.log() * 0.5 + mean - ratio + expected - 0.5 * (1 + math.log(2 * math.pi))


@register_kl(Normal, Laplace)
def _normal_laplace(p: Normal, q: Laplace) -> Any:
    distance = p.loc - q.loc
    scaled = distance / p.scale
    spread = math.sqrt(2 / math.pi) * p.scale * (-0.5 * scaled.pow(2)).exp()
    expected = spread + distance * (math.sqrt(0.5) * scaled).erf()
    logarithms = (q.scale / p.scale).log() + math.log(2 / math.sqrt(2 * math.pi))
    return logarithms + expected / q.scale - 0.5


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Pareto, q: Exponential) -> Any:
    product = p.scale * q.rate
    expected = p.alpha * product / (p.alpha - 1)
    result = (p.alpha / product).log() - p.alpha.reciprocal() + expected - 1
    return where(p.alpha <= 1, math.inf, result)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Pareto, q: Gamma) -> Any:
    logarithm = p.scale.log() + p.alpha.reciprocal()
    expected = q.rate * p.alpha * p.scale / (p.alpha - 1)
    own = p.alpha.log() - logarithm
    result = own + _gamma_constant(q) + (1 - q.concentration) * logarithm + expected - 1
    return where(p.alpha <= 1, math.inf, result)


@register_kl(Pareto, Normal)
def _pareto_normal(p: Pareto, q: Normal) -> Any:
    part = p.scale / (p.alpha - 1)
    constant = (math.sqrt(2 * math.pi) * q.scale * p.alpha / p.scale).log()
    spread = p.alpha * part.pow(2) / (p.alpha - 2)
    distance = (p.alpha * part - q.loc).pow(2)
    result = constant - p.alpha.reciprocal() + (spread + distance) / (2 * q.scale.pow(2)) - 1
    return where(p.alpha <= 2, math.inf, result)


def _mean_logarithm(p: Uniform) -> Any:
    """E[log x] for x between `low` and `high`."""
    width = p.high - p.low
    return (xlogy(p.high, p.high) - xlogy(p.low, p.low) - width) / width


@register_kl(Uniform, Beta)
def _uniform_beta(p: Uniform, q: Beta) -> Any:
    a, b = q.concentration1, q.concentration0
    low, high = 1 - p.high, 1 - p.low
    mirrored = (xlogy(high, high) - xlogy(low, low) - (high - low)) / (high - low)
    constant = a.lgamma() + b.lgamma() - (a + b).lgamma() - (p.high - p.low).log()
    result = constant - (a - 1) * _mean_logarithm(p) - (b - 1) * mirrored
    return where((p.high > 1.0) | (p.low < 0.0), math.inf, result)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Uniform, q: Exponential) -> Any:
    result = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return where(p.low < 0.0, math.inf, result)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Uniform, q: Gamma) -> Any:
    logarithms = (1 - q.concentration) * _mean_logarithm(p)
    constant = _gamma_constant(q) - (p.high - p.low).log()
    return where(p.low < 0.0, math.inf, constant + logarithms + q.rate * (p.high + p.low) / 2)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Uniform, q: Gumbel) -> Any:
    part = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return part.log() + 0.5 * (high + low) - part * ((-high).exp() - (-low).exp())


@register_kl(Uniform, Normal)
def _uniform_normal(p: Uniform, q: Normal) -> Any:
    width = p.high - p.low
    constant = (math.sqrt(math.pi * 2) * q.scale / width).log()
    center = ((p.high + p.low - 2 * q.loc) / 2).pow(2)
    return constant + (width.pow(2) / 12 + center) / (2 * q.scale.pow(2))


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Uniform, q: Pareto) -> Any:
    constant = (q.alpha * q.scale.pow(q.alpha) * (p.high - p.low)).log()
    result = _mean_logarithm(p) * (q.alpha + 1) - constant
    return where(p.low < q.scale, math.inf, result)
