"""Distributions agree with PyTorch's: samples, densities, moments, divergences and complaints."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

DISTRIBUTIONS = [
    "Normal(0.0, 1.0)",
    "Normal(t([[0.0], [1.0]]), t([1.0, 2.0]))",
    "Uniform(t([0.0, 1.0]), t([2.0, 3.0]))",
    "Exponential(t([1.0, 2.0]))",
    "Laplace(t([0.0, 1.0]), t([1.0, 2.0]))",
    "Cauchy(t([0.0]), t([2.0]))",
    "Bernoulli(t([0.3, 0.5]))",
    "Bernoulli(logits=t([0.0, 2.0]))",
    "Categorical(t([0.2, 0.3, 0.5]))",
    "Categorical(logits=t([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]))",
    "OneHotCategorical(t([[0.2, 0.3, 0.5]]))",
    "OneHotCategoricalStraightThrough(logits=t([0.5, 0.1]))",
    "Multinomial(5, logits=t([[0.0, 1.0], [1.0, 1.0]]))",
    "Poisson(t([1.0, 20.0]))",
    "Binomial(5, t([0.0, 0.2, 0.7, 1.0]))",
    "Binomial(t([40.0, 30.0]), logits=t([0.25, 2.0]))",
    "Binomial(t([[50.0], [300.0]]), t([0.3, 0.9]))",
    "Gamma(t([0.3, 1.0, 9.0]), t([1.0, 2.0, 0.5]))",
    "Gamma(t([0.5, 2.0], dtype=float), 3.0)",
    "Chi2(t([1.0, 5.0]))",
    "StudentT(t([0.75, 1.5, 3.0]), 1.0, 2.0)",
    "Geometric(t([0.3, 0.9]))",
    "Geometric(logits=t([0.0, 1.0]))",
    "HalfNormal(t([1.0, 2.0]))",
    "HalfCauchy(1.0)",
    "LogNormal(t([0.0, 1.0]), t([1.0, 0.5]))",
    "Gumbel(t([1.0, 2.0]), t([1.0, 3.0]))",
    "Gumbel(0.0, 1.0)",
    "Independent(Normal(ones(2, 3), ones(2, 3)), 1)",
    "MultivariateNormal(ones(2), t([[2.0, 0.5], [0.5, 1.0]]))",
    "MultivariateNormal(ones(3, 2), scale_tril=t([[1.0, 0.0], [0.5, 2.0]]))",
    "MultivariateNormal(ones(2), precision_matrix=t([[2.0, 0.5], [0.5, 1.0]]))",
    "TransformedDistribution(Normal(ones(2), ones(2)), [AffineTransform(1.0, 2), ExpTransform()])",
    "TransformedDistribution(Uniform(0.0, 1.0), [SigmoidTransform().inv, AffineTransform(1, -2)])",
    "TransformedDistribution(Normal(0.0, 1.0), TanhTransform())",
    "Beta(0.5, 2.0)",
    "Beta(t([0.5, 2.0, 30.0]), t([0.7, 5.0, 20.0]))",
    "Dirichlet(t([0.5, 2.0, 3.0]))",
    "Dirichlet(t([[0.3, 0.4], [8.0, 12.0]]))",
    "NegativeBinomial(5.0, t([0.2, 0.6]))",
    "NegativeBinomial(t([0.0, 4.0]), logits=t([0.3, -1.0]))",
    "FisherSnedecor(t([1.0, 3.0]), t([3.0, 5.0]))",
    "FisherSnedecor(4.0, 6.0)",
    "InverseGamma(t([0.5, 3.0]), t([1.0, 2.0]))",
    "Kumaraswamy(t([0.5, 2.0]), t([1.5, 3.0]))",
    "Pareto(t([1.0, 2.0]), t([1.5, 3.0]))",
    "Weibull(t([1.0, 2.0]), t([0.7, 3.0]))",
    "VonMises(t([0.0, 1.0]), t([0.5, 6.0]))",
    "VonMises(t(0.5), t(1e-6))",
    "LogisticNormal(t([0.0, 1.0]), t([1.0, 0.5]))",
    "LKJCholesky(3, 0.5)",
    "LKJCholesky(2, t([1.0, 2.5]))",
    "RelaxedBernoulli(t(0.5), t([0.3, 0.9]))",
    "RelaxedBernoulli(t([2.0]), logits=t([0.3, -0.9]))",
    "RelaxedOneHotCategorical(t(0.5), t([0.2, 0.3, 0.5]))",
    "RelaxedOneHotCategorical(t(2.0), logits=t([[0.2, 0.3], [1.0, 0.0]]))",
    "MixtureSameFamily(Categorical(t([0.3, 0.7])), Normal(t([0.0, 3.0]), t([1.0, 2.0])))",
    "MixtureSameFamily(Categorical(ones(3, 2)), Independent(Normal(ones(3, 2, 4), 1.0), 1))",
    "MixtureSameFamily(Categorical(ones(2, 2)), Poisson(t([[1.0, 9.0], [2.0, 3.0]])))",
]
QUESTIONS = [
    "(d, d.batch_shape, d.event_shape, d.has_rsample, d.has_enumerate_support, d.support)",
    "d.sample()",
    "d.sample((2, 3))",
    "d.rsample((2,))",
    "d.log_prob(d.sample((3,)))",
    "(d.mean, d.variance, d.stddev)",
    "d.mode",
    "d.cdf(d.sample((3,)))",
    "d.icdf(full(d.batch_shape, 0.3))",
    "(d.expand((4, *d.batch_shape)), d.expand((2, *d.batch_shape)).sample())",
    "(d.enumerate_support(), d.enumerate_support(expand=False))",
    "(d.entropy(), d.perplexity())",
]


def answer(library: Any, distribution: str, question: str) -> str:
    """The text of the answer, or of the exception."""
    names = {
        **vars(library.distributions),
        "t": library.tensor,
        "ones": library.ones,
        "full": library.full,
        "grad": library.autograd.grad,
    }
    library.manual_seed(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            names["d"] = eval(distribution, names)
            shown = repr(eval(question, names))
        except Exception as error:
            shown = f"{type(error).__name__}: {error}"
    return re.sub(r"\b(torch|tidu)\.", "", shown)


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_answers_as_pytorch_does(distribution: str, question: str) -> None:
    expected = answer(torch, distribution, question)
    assert answer(tidu, distribution, question) == expected


# Families whose divergences from each other are known, or infinite, or not known at all.
ONE_OF_EACH = [
    "Bernoulli(t([0.3, 0.6]))",
    "Beta(t([2.0, 0.5]), t([3.0, 2.0]))",
    "Binomial(3, t([0.3, 0.6]))",
    "Exponential(t([0.5, 2.0]))",
    "Gamma(t([0.5, 2.0]), t([1.0, 3.0]))",
    "Gumbel(t([0.0, 1.0]), t([1.0, 2.0]))",
    "Laplace(t([0.0, 1.0]), t([1.0, 2.0]))",
    "Normal(t([0.0, 1.0]), t([1.0, 2.0]))",
    "Pareto(t([0.5, 1.0]), t([1.5, 3.0]))",
    "Poisson(t([1.0, 4.0]))",
    "Uniform(t([0.25, -1.0]), t([0.75, 2.0]))",
]
DIVERGENCES = [
    ("Normal(0.0, 1.0)", "Normal(t([1.0, 0.0]), 2.0)"),
    ("Bernoulli(t([0.0, 0.3, 1.0]))", "Bernoulli(t([0.5, 0.5, 0.0]))"),
    ("Categorical(t([0.0, 1.0]))", "Categorical(t([[0.5, 0.5], [1.0, 0.0]]))"),
    ("OneHotCategorical(t([0.2, 0.8]))", "OneHotCategorical(t([0.5, 0.5]))"),
    ("Uniform(0.0, 1.0)", "Uniform(t([-1.0, 0.5]), t([2.0, 2.0]))"),
    ("Exponential(1.0)", "Exponential(3.0)"),
    ("Laplace(0.0, 1.0)", "Laplace(1.0, 2.0)"),
    ("Cauchy(0.0, 1.0)", "Cauchy(1.0, 2.0)"),
    ("Gumbel(0.0, 1.0)", "Gumbel(1.0, 2.0)"),
    ("Poisson(1.0)", "Poisson(3.0)"),
    ("Binomial(5, t([0.25, 0.5]))", "Binomial(5, 0.75)"),
    ("Binomial(5, 0.25)", "Binomial(3, 0.75)"),
    ("Binomial(3, 0.25)", "Binomial(5, 0.75)"),
    ("Gamma(1.0, 2.0)", "Gamma(t([3.0, 0.5]), 4.0)"),
    ("Geometric(0.2)", "Geometric(0.5)"),
    ("HalfNormal(1.0)", "HalfNormal(2.0)"),
    ("LogNormal(0.0, 1.0)", "LogNormal(1.0, 2.0)"),
    ("Independent(Normal(ones(2), ones(2)), 1)", "Independent(Normal(-ones(2), ones(2)), 1)"),
    (
        "MultivariateNormal(ones(2), t([[2.0, 0.5], [0.5, 1.0]]))",
        "MultivariateNormal(ones(3, 2), scale_tril=t([[1.0, 0.0], [0.5, 2.0]]))",
    ),
    ("Uniform(0.0, 1.0)", "Normal(0.0, 1.0)"),
    ("Laplace(0.0, 1.0)", "Normal(1.0, 2.0)"),
    ("Exponential(1.0)", "Normal(1.0, 2.0)"),
    ("Normal(0.0, 1.0)", "Laplace(1.0, 2.0)"),
    ("Bernoulli(0.3)", "Poisson(2.0)"),
    ("Beta(2.0, 3.0)", "Beta(t([1.0, 4.0]), t([2.0, 2.0]))"),
    ("Dirichlet(t([1.0, 2.0, 3.0]))", "Dirichlet(t([[2.0, 2.0, 2.0], [1.0, 0.5, 3.0]]))"),
    ("Pareto(t([1.0, 2.0]), 3.0)", "Pareto(1.5, 2.0)"),
    *((p, q) for p in ONE_OF_EACH for q in ONE_OF_EACH if p != q),
]


@pytest.mark.parametrize(("p", "q"), DIVERGENCES)
def test_divergences_are_those_of_pytorch(p: str, q: str) -> None:
    question = f"kl_divergence(d, {q})"
    found, expected = (answer(library, p, question) for library in (tidu, torch))
    unknown = "NotImplementedError: "
    assert found == expected or (found.startswith(unknown) and expected.startswith(unknown))


MISTAKES = [
    "Normal(0.0, -1.0)",
    "Normal(0.0, t([1.0, -1.0]))",
    "Normal(t([float('nan')]), 1.0)",
    "Uniform(1.0, 0.0)",
    "Bernoulli(1.5)",
    "Bernoulli()",
    "Bernoulli(0.5, 0.5)",
    "Categorical(t([-1.0, 2.0]))",
    "Categorical(t(1.0))",
    "Geometric(0.0)",
    "MultivariateNormal(ones(2))",
    "MultivariateNormal(ones(2), -ones(2, 2))",
    "Independent(Normal(0.0, 1.0), 1)",
    "Normal(0.0, 1.0).log_prob(1.0)",
    "Normal(ones(3), 1.0).log_prob(ones(2))",
    "Categorical(t([0.5, 0.5])).log_prob(t(2))",
    "Bernoulli(0.5).log_prob(t(0.5))",
    "Exponential(1.0).log_prob(t(-1.0))",
    "Multinomial(2, t([0.5, 0.5])).log_prob(t([2.0, 2.0]))",
    "MultivariateNormal(ones(2), t([[1.0, 0.0], [0.0, 1.0]])).log_prob(ones(3))",
    "Beta(0.0, 1.0)",
    "Dirichlet(t(1.0))",
    "Dirichlet(t([0.5, 0.5])).log_prob(t([0.5, 0.6]))",
    "NegativeBinomial(5, 1.0)",
    "NegativeBinomial(5)",
    "Pareto(t([1.0]), 1.0).log_prob(t([0.5]))",
    "LKJCholesky(1)",
    "LKJCholesky(2).log_prob(ones(2, 2))",
    "MixtureSameFamily(Normal(0.0, 1.0), Normal(ones(2), 1.0))",
    "MixtureSameFamily(Categorical(ones(2)), 1.0)",
    "MixtureSameFamily(Categorical(ones(2)), Normal(ones(3), 1.0))",
    "MixtureSameFamily(Categorical(ones(2, 2)), Normal(ones(3, 2), 1.0))",
    "ReshapeTransform((2, 3), (5,))",
    "ReshapeTransform((2, 3), (6,)).forward_shape((3, 2))",
    "StickBreakingTransform().forward_shape(())",
    "IndependentTransform(ExpTransform(), 2)(ones(3))",
]


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_answered_as_pytorch_does(mistake: str) -> None:
    expected = answer(torch, mistake, "d")
    assert "Error" in expected
    assert answer(tidu, mistake, "d") == expected


@pytest.mark.parametrize(
    "loss",
    [
        "Normal(x[:2], x[2:]).rsample((4,)).pow(2).sum()",
        "Normal(x[:2], x[2:]).log_prob(ones(3, 2)).sum()",
        "Categorical(logits=x).log_prob(t([1, 3])).sum() + Categorical(x).entropy()",
        "OneHotCategoricalStraightThrough(logits=x).rsample() @ x.detach()",
        "MultivariateNormal(x[:2], scale_tril=x.diag()[2:, 2:]).rsample().sum()",
        "MultivariateNormal(x[:2], x.diag()[2:, 2:]).log_prob(ones(2))",
        "kl_divergence(Laplace(x[:2], x[2:]), Laplace(0.0, 1.0)).sum()",
        "LogNormal(x[:2], x[2:]).log_prob(ones(2)).sum()",
        "Gumbel(x[:2], x[2:]).rsample().sum()",
        "Gamma(x, 2.0).rsample((3,)).sum()",
        "Gamma(x * 20, x).rsample((3,)).sum()",
        "Gamma(x / 5, x).log_prob(ones(4)).sum() + Chi2(x).rsample().sum()",
        "StudentT(x[:2], x[2:]).rsample((2,)).sum()",
        "Beta(x[:2], x[2:]).rsample((20,)).sum()",
        "Beta(x / 20, x).rsample((20,)).sum()",
        "Beta(x, x / 10).rsample((20,)).sum()",
        "Beta(x * 10, x * 20).rsample((50,)).sum()",
        "(Dirichlet(x).rsample((9,)) * x.detach()).sum()",
        "Dirichlet(x).log_prob(ones(4) / 4) + Dirichlet(x).entropy()",
        "NegativeBinomial(5.0, x / 3).log_prob(ones(4) * 3).sum()",
        "FisherSnedecor(x[:2], x[2:]).rsample((3,)).sum()",
        "RelaxedBernoulli(x[0], logits=x).rsample((3,)).sum()",
        "(RelaxedOneHotCategorical(x[0], logits=x).rsample((3,)) * x.detach()).sum()",
        "RelaxedOneHotCategorical(x[0], logits=x).log_prob(ones(4) / 4)",
        "MixtureSameFamily(Categorical(x[:2]), Normal(x[2:], x[:2])).log_prob(ones(3)).sum()",
        "Weibull(x[:2], x[2:]).rsample().sum() + Pareto(x[:2], x[2:]).rsample().sum()",
        "(LogisticNormal(x[:2], x[2:]).rsample() * x[:3].detach()).sum()",
        "LKJCholesky(2, x).log_prob(t([[1.0, 0.0], [0.6, 0.8]])).sum()",
        "VonMises(x[:2], x[2:]).log_prob(ones(2)).sum()",
    ],
)
def test_gradients_reach_the_parameters(loss: str) -> None:
    question = f"grad(({loss}), x)"
    scope = "(x := t([0.5, 1.0, 1.5, 2.0], requires_grad=True))"
    expected = answer(torch, scope, question)
    assert "grad_fn" not in expected and "Error" not in expected
    assert answer(tidu, scope, question) == expected


def test_a_registered_divergence_serves_subclasses() -> None:
    class Mine(tidu.distributions.Normal):
        pass

    d = tidu.distributions
    with pytest.raises(NotImplementedError, match="Cauchy and q type Mine"):
        d.kl_divergence(d.Cauchy(0.0, 1.0), Mine(0.0, 1.0))
    d.register_kl(d.Cauchy, d.Normal)(lambda p, q: "found")
    try:
        assert d.kl_divergence(d.Cauchy(0.0, 1.0), Mine(0.0, 1.0)) == "found"
    finally:
        del d.kl._registry[d.Cauchy, d.Normal]


@pytest.mark.parametrize(
    "expression",
    [
        "[(d(x), d.inv(d(x)), d.log_abs_det_jacobian(x, d(x)), d.sign) for x in [t([0.25, 0.5])]]",
        "(d, d.inv, d.domain, d.codomain, d.inv.inv == d, d == d.inv)",
    ],
)
@pytest.mark.parametrize(
    "transform",
    [
        "ExpTransform()",
        "SigmoidTransform()",
        "TanhTransform()",
        "SoftplusTransform()",
        "PowerTransform(t(2.0))",
        "AffineTransform(1.0, -2.0)",
        "AffineTransform(t([1.0, 2.0]), t([2.0, -3.0]), event_dim=1)",
        "ComposeTransform([AffineTransform(1.0, 2.0), ExpTransform()])",
        "StickBreakingTransform()",
        "IndependentTransform(ExpTransform(), 1)",
        "ReshapeTransform((2,), (2, 1))",
    ],
)
def test_transforms_are_those_of_pytorch(transform: str, expression: str) -> None:
    assert answer(tidu, transform, expression) == answer(torch, transform, expression)


@pytest.mark.parametrize(
    "expression",
    [
        "[(d(x), d.inv(d(x))) for x in [t([0.25, 0.5, 2.0])]]",
        "(d, d.domain, d.codomain, d == d, d.forward_shape((2, 3)), d.inverse_shape((2, 3)))",
        "d.log_abs_det_jacobian(ones(2), ones(2))",
    ],
)
@pytest.mark.parametrize("transform", ["SoftmaxTransform()", "LowerCholeskyTransform()"])
def test_maps_without_a_determinant_are_those_of_pytorch(transform: str, expression: str) -> None:
    if transform.startswith("Lower"):
        expression = expression.replace("t([0.25, 0.5, 2.0])", "t([[0.25, 0.5], [1.0, 2.0]])")
    assert answer(tidu, transform, expression) == answer(torch, transform, expression)


@pytest.mark.parametrize("registry", ["biject_to", "transform_to"])
@pytest.mark.parametrize(
    "constraint",
    [
        "real",
        "real_vector",
        "positive",
        "nonnegative",
        "greater_than(2.0)",
        "greater_than_eq(t(1.0))",
        "less_than(3.0)",
        "unit_interval",
        "interval(-1.0, 2.0)",
        "half_open_interval(0.0, 1.0)",
        "simplex",
        "independent(positive, 1)",
        "boolean",
    ],
)
def test_maps_to_constraints_are_those_of_pytorch(registry: str, constraint: str) -> None:
    names = constraint.replace("independent(", "independent(constraints.")
    question = f"[(f, f(t([0.5, -1.0])), f.inv(f(t([0.5, -1.0])))) for f in [{registry}(d)]]"
    expected = answer(torch, f"constraints.{names}", question)
    assert answer(tidu, f"constraints.{names}", question) == expected


def test_a_single_number_that_is_drawn_is_an_array_of_no_dimensions() -> None:
    # NumPy's functions give a number of its own for those, which compiled programs cannot read.
    drawn = [tidu.distributions.Gamma(2.0, 1.0).sample(), tidu.distributions.Chi2(3.0).sample()]
    assert {type(x._array()) for x in drawn} == {np.ndarray}
