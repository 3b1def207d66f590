"""``torch.distributions``: probability distributions to sample from and to differentiate through.

`distribution` has the base class, `constraints` what parameters and samples may be, `transforms`
and `vector_transforms` map from one to another, `kl` and `kl_pairs` have the divergences; each
other file is one distribution.

>>> policy = Categorical(logits=torch.zeros(3))
>>> action = policy.sample()
>>> loss = -policy.log_prob(action)
"""

from __future__ import annotations

from tidu.distributions import constraints, kl_pairs, transforms, utils, vector_transforms
from tidu.distributions.bernoulli import Bernoulli
from tidu.distributions.beta import Beta
from tidu.distributions.binomial import Binomial
from tidu.distributions.categorical import Categorical
from tidu.distributions.cauchy import Cauchy
from tidu.distributions.chi2 import Chi2
from tidu.distributions.constraint_registry import biject_to, transform_to
from tidu.distributions.dirichlet import Dirichlet
from tidu.distributions.distribution import Distribution
from tidu.distributions.exp_family import ExponentialFamily
from tidu.distributions.exponential import Exponential
from tidu.distributions.fishersnedecor import FisherSnedecor
from tidu.distributions.gamma import Gamma
from tidu.distributions.geometric import Geometric
from tidu.distributions.gumbel import Gumbel
from tidu.distributions.half_cauchy import HalfCauchy
from tidu.distributions.half_normal import HalfNormal
from tidu.distributions.independent import Independent
from tidu.distributions.inverse_gamma import InverseGamma
from tidu.distributions.kl import kl_divergence, register_kl
from tidu.distributions.kumaraswamy import Kumaraswamy
from tidu.distributions.laplace import Laplace
from tidu.distributions.lkj_cholesky import LKJCholesky
from tidu.distributions.log_normal import LogNormal
from tidu.distributions.logistic_normal import LogisticNormal
from tidu.distributions.mixture_same_family import MixtureSameFamily
from tidu.distributions.multinomial import Multinomial
from tidu.distributions.multivariate_normal import MultivariateNormal
from tidu.distributions.negative_binomial import NegativeBinomial
from tidu.distributions.normal import Normal
from tidu.distributions.one_hot_categorical import (
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from tidu.distributions.pareto import Pareto
from tidu.distributions.poisson import Poisson
from tidu.distributions.relaxed_bernoulli import RelaxedBernoulli
from tidu.distributions.relaxed_categorical import RelaxedOneHotCategorical
from tidu.distributions.student_t import StudentT
from tidu.distributions.transformed_distribution import TransformedDistribution
from tidu.distributions.transforms import *
from tidu.distributions.uniform import Uniform
from tidu.distributions.vector_transforms import *
from tidu.distributions.von_mises import VonMises
from tidu.distributions.weibull import Weibull

__all__ = [
    "Bernoulli", "Beta", "Binomial", "Categorical", "Cauchy", "Chi2", "Dirichlet",
    "Distribution", "Exponential", "ExponentialFamily", "FisherSnedecor", "Gamma", "Geometric",
    "Gumbel", "HalfCauchy", "HalfNormal", "Independent", "InverseGamma", "Kumaraswamy",
    "LKJCholesky", "Laplace", "LogNormal", "LogisticNormal", "MixtureSameFamily", "Multinomial",
    "MultivariateNormal", "NegativeBinomial", "Normal", "OneHotCategorical",
    "OneHotCategoricalStraightThrough", "Pareto", "Poisson", "RelaxedBernoulli",
    "RelaxedOneHotCategorical", "StudentT", "TransformedDistribution", "Uniform", "VonMises",
    "Weibull", "biject_to", "constraints", "kl_divergence", "kl_pairs", "register_kl",
    "transform_to", "transforms", "utils", *transforms.__all__, *vector_transforms.__all__,
]  # fmt: skip
