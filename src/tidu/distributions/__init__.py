"""``torch.distributions``: probability distributions to sample from and to differentiate through.

`distribution` has the base class, `constraints` what parameters and samples may be, `transforms`
maps from one to another, and `kl` the divergences; each other file is one distribution.

>>> policy = Categorical(logits=torch.zeros(3))
>>> action = policy.sample()
>>> loss = -policy.log_prob(action)
"""

from __future__ import annotations

from tidu.distributions import constraints, transforms, utils
from tidu.distributions.bernoulli import Bernoulli
from tidu.distributions.binomial import Binomial
from tidu.distributions.categorical import Categorical
from tidu.distributions.cauchy import Cauchy
from tidu.distributions.chi2 import Chi2
from tidu.distributions.distribution import Distribution
from tidu.distributions.exp_family import ExponentialFamily
from tidu.distributions.exponential import Exponential
from tidu.distributions.gamma import Gamma
from tidu.distributions.geometric import Geometric
from tidu.distributions.gumbel import Gumbel
from tidu.distributions.half_cauchy import HalfCauchy
from tidu.distributions.half_normal import HalfNormal
from tidu.distributions.independent import Independent
from tidu.distributions.kl import kl_divergence, register_kl
from tidu.distributions.laplace import Laplace
from tidu.distributions.log_normal import LogNormal
from tidu.distributions.multinomial import Multinomial
from tidu.distributions.multivariate_normal import MultivariateNormal
from tidu.distributions.normal import Normal
from tidu.distributions.one_hot_categorical import (
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from tidu.distributions.poisson import Poisson
from tidu.distributions.student_t import StudentT
from tidu.distributions.transformed_distribution import TransformedDistribution
from tidu.distributions.transforms import *
from tidu.distributions.uniform import Uniform

__all__ = [
    "Bernoulli", "Binomial", "Categorical", "Cauchy", "Chi2", "Distribution", "Exponential",
    "ExponentialFamily", "Gamma", "Geometric", "Gumbel", "HalfCauchy", "HalfNormal", "Independent",
    "Laplace", "LogNormal", "Multinomial", "MultivariateNormal", "Normal", "OneHotCategorical",
    "OneHotCategoricalStraightThrough", "Poisson", "StudentT", "TransformedDistribution", "Uniform",
    "constraints", "kl_divergence", "register_kl", "transforms", "utils", *transforms.__all__,
]  # fmt: skip
