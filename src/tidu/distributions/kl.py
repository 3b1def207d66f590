"""The Kullback-Leibler divergence of two distributions, by their classes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tidu.distributions.bernoulli import Bernoulli
from tidu.distributions.beta import Beta
from tidu.distributions.binomial import Binomial
from tidu.distributions.categorical import Categorical
from tidu.distributions.cauchy import Cauchy
from tidu.distributions.dirichlet import Dirichlet
from tidu.distributions.distribution import Distribution
from tidu.distributions.exponential import Exponential
from tidu.distributions.gamma import Gamma
from tidu.distributions.geometric import Geometric
from tidu.distributions.gumbel import Gumbel
from tidu.distributions.half_normal import HalfNormal
from tidu.distributions.independent import Independent
from tidu.distributions.laplace import Laplace
from tidu.distributions.multivariate_normal import MultivariateNormal, squared_distance
from tidu.distributions.normal import Normal
from tidu.distributions.one_hot_categorical import OneHotCategorical
from tidu.distributions.pareto import Pareto
from tidu.distributions.poisson import Poisson
from tidu.distributions.transformed_distribution import TransformedDistribution
from tidu.distributions.uniform import Uniform
from tidu.distributions.utils import sum_rightmost
from tidu.tensor import namespaces

__all__ = ["kl_divergence", "register_kl"]

digamma = namespaces["torch"]["digamma"]
softplus = namespaces["torch.nn.functional"]["softplus"]
solve_triangular = namespaces["torch.linalg"]["solve_triangular"]
where = namespaces["torch"]["where"]

_registry: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Any], Any]:
    """A decorator: the function gives the divergence of distributions of these classes.

    >>> class Measured(Normal): ...
    >>> @register_kl(Measured, Laplace)
    ... def measured_laplace(p, q):
    ...     return (p.mean - q.mean).abs()
    >>> kl_divergence(Measured(0.0, 1.0), Laplace(2.0, 1.0))
    tensor(2.)
    """
    for kind in (type_p, type_q):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise TypeError(f"Expected type_p and type_q to be Distribution subclasses, got {kind}")

    def declare(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        _registry[type_p, type_q] = function
        return function

    return declare


def kl_divergence(p: Distribution, q: Distribution) -> Any:
    """KL(p ‖ q) = E_p[log p(x) - log q(x)], of the batch shape.

    Raises NotImplementedError for classes for which nobody has registered a formula.
    """
    return _find(type(p), type(q))(p, q)


def _find(type_p: type, type_q: type) -> Callable[[Any, Any], Any]:
    """The function for the nearest base classes of the two."""
    for left in type_p.__mro__:
        for right in type_q.__mro__:
            if (left, right) in _registry:
                return _registry[left, right]
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type_p.__name__} and q type {type_q.__name__}"
    )


@register_kl(Normal, Normal)
def _normal_normal(p: Normal, q: Normal) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    distance = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (ratio + distance - 1 - ratio.log())


@register_kl(Bernoulli, Bernoulli)
def _bernoulli_bernoulli(p: Bernoulli, q: Bernoulli) -> Any:
    ones = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    ones = where(q.probs == 0, math.inf, ones)
    ones = where(p.probs == 0, 0.0, ones)
    zeros = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    zeros = where(q.probs == 1, math.inf, zeros)
    return ones + where(p.probs == 1, 0.0, zeros)


@register_kl(Binomial, Binomial)
def _binomial_binomial(p: Binomial, q: Binomial) -> Any:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    result = p.total_count * (
        p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    )
    return where(p.total_count > q.total_count, math.inf, result)


@register_kl(Categorical, Categorical)
def _categorical_categorical(p: Categorical, q: Categorical) -> Any:
    terms = p.probs * (p.logits - q.logits)
    terms = where((q.probs == 0).expand(terms.shape), math.inf, terms)
    return where((p.probs == 0).expand(terms.shape), 0.0, terms).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Any:
    return _categorical_categorical(p._categorical, q._categorical)


@register_kl(Uniform, Uniform)
def _uniform_uniform(p: Uniform, q: Uniform) -> Any:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return where((q.low > p.low) | (q.high < p.high), math.inf, result)


@register_kl(Exponential, Exponential)
def _exponential_exponential(p: Exponential, q: Exponential) -> Any:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(Laplace, Laplace)
def _laplace_laplace(p: Laplace, q: Laplace) -> Any:
    ratio = p.scale / q.scale
    distance = (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


@register_kl(Cauchy, Cauchy)
def _cauchy_cauchy(p: Cauchy, q: Cauchy) -> Any:
    spread = ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log()
    return spread - (4 * p.scale * q.scale).log()


@register_kl(Gumbel, Gumbel)
def _gumbel_gumbel(p: Gumbel, q: Gumbel) -> Any:
    euler = 0.5772156649015329
    ratio = p.scale / q.scale
    shift = q.loc / q.scale
    here = p.loc / q.scale
    linear = ratio.log() + shift - here
    return ratio * euler - linear + (shift + (1 + ratio).lgamma() - here).exp() - (1 + euler)


@register_kl(Gamma, Gamma)
def _gamma_gamma(p: Gamma, q: Gamma) -> Any:
    return (
        q.concentration * (p.rate / q.rate).log()
        + q.concentration.lgamma()
        - p.concentration.lgamma()
        + (p.concentration - q.concentration) * digamma(p.concentration)
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Poisson, Poisson)
def _poisson_poisson(p: Poisson, q: Poisson) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Geometric, Geometric)
def _geometric_geometric(p: Geometric, q: Geometric) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_normal_half_normal(p: HalfNormal, q: HalfNormal) -> Any:
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed_transformed(p: TransformedDistribution, q: TransformedDistribution) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError(
            "KL(p || q) of transformed distributions is known for equal transforms only"
        )
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent_independent(p: Independent, q: Independent) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL(p || q) needs the same number of reinterpreted dimensions")
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(
            "KL-divergence between two Multivariate Normals with different event shapes cannot be "
            "computed"
        )
    half_logs = q._half_log_determinant() - p._half_log_determinant()
    spread = solve_triangular(q._lower, p._lower, upper=False).pow(2).sum((-2, -1))
    distance = squared_distance(q._lower, q.loc - p.loc)
    return half_logs + 0.5 * (spread + distance - p.event_shape[0])


@register_kl(Beta, Beta)
def _beta_beta(p: Beta, q: Beta) -> Any:
    return _dirichlet_dirichlet(p._dirichlet, q._dirichlet)


@register_kl(Dirichlet, Dirichlet)
def _dirichlet_dirichlet(p: Dirichlet, q: Dirichlet) -> Any:
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    constants = (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
    logarithms = digamma(p.concentration) - digamma(total_p).unsqueeze(-1)
    expected = ((p.concentration - q.concentration) * logarithms).sum(-1)
    return total_p.lgamma() - total_q.lgamma() - constants + expected


@register_kl(Pareto, Pareto)
def _pareto_pareto(p: Pareto, q: Pareto) -> Any:
    ratio = q.alpha / p.alpha
    result = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return where(p.scale < q.scale, math.inf, result)
