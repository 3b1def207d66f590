"""The gamma distribution."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tidu.autograd.function import Function, once_differentiable
from tidu.base import dtypes
from tidu.base.limits import finfo
from tidu.base.random.gamma import standard_gamma
from tidu.distributions import constraints
from tidu.distributions.exp_family import ExponentialFamily
from tidu.distributions.utils import broadcast_all, number_batch
from tidu.tensor import as_tensor, default_generator, from_array, namespaces

__all__ = ["Gamma", "draw_gamma"]

digamma = namespaces["torch"]["digamma"]
gammainc = namespaces["torch.special"]["gammainc"]
where = namespaces["torch"]["where"]
xlogy = namespaces["torch"]["xlogy"]


class Gamma(ExponentialFamily):
    """rate^c · x^(c - 1) · exp(-rate · x) / Γ(c) for x >= 0, with c the `concentration`."""

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        shape = () if number_batch(concentration, rate) else self.concentration.shape
        super().__init__(shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate.pow(2)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape,
            concentration=self.concentration.expand(batch_shape),
            rate=self.rate.expand(batch_shape),
        )

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        value = _standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        value.detach().clamp_(min=finfo(value.dtype).tiny)
        return value

    def log_prob(self, value: Any) -> Any:
        value = as_tensor(value, dtype=self.rate.dtype)
        if self._validate_args:
            self._validate_sample(value)
        return (
            xlogy(self.concentration, self.rate)
            + xlogy(self.concentration - 1, value)
            - self.rate * value
            - self.concentration.lgamma()
        )

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return gammainc(self.concentration, self.rate * value)

    def entropy(self) -> Any:
        return (
            self.concentration
            - self.rate.log()
            + self.concentration.lgamma()
            + (1.0 - self.concentration) * digamma(self.concentration)
        )


class _StandardGamma(Function):
    """Gamma numbers of rate 1; the gradient says how they move with the concentration."""

    @staticmethod
    def forward(ctx: Any, concentration: Any, generator: Any) -> Any:
        drawn = draw_gamma(concentration.detach().numpy(), generator=generator)
        sample = from_array(drawn, concentration.dtype)
        ctx.save_for_backward(concentration, sample)
        return sample

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Any) -> Any:
        concentration, sample = ctx.saved_tensors
        derivative = implicit_derivative(concentration.double(), sample.double())
        return gradient * derivative.to(gradient.dtype), None


def _standard_gamma(self: Any, generator: Any = None) -> Any:
    """A gamma number of rate 1 for each element, a concentration; with a gradient."""
    return _StandardGamma.apply(self, generator)


def draw_gamma(concentrations: Any, kind: Any = None, generator: Any = None) -> Any:
    """A gamma number of rate 1 for each element, in its dtype or in another `kind`."""
    source = generator or default_generator

    def uniform() -> float:
        return float(source.uniform((), np.float64))

    def normal() -> float:
        return float(source.normal((), np.float64))

    numbers = np.empty(concentrations.shape, kind or concentrations.dtype)
    tiny = np.finfo(numbers.dtype).tiny
    for place in np.ndindex(*concentrations.shape):
        numbers[place] = standard_gamma(concentrations[place], uniform, normal)
    return np.maximum(numbers, tiny)


def implicit_derivative(alpha: Any, x: Any) -> Any:
    """dx/dα = -(∂F/∂α) / (∂F/∂x) for the distribution function F of gamma numbers of shape α.

    By the series of F for small x, by Rice's saddle point expansion for large α, and between them
    by a fitted quotient of polynomials in log α and log(x / α), all of which follow PyTorch.
    """
    assert alpha.dtype is dtypes.float64
    large = where((0.9 * alpha <= x) & (x <= 1.1 * alpha), _central(alpha, x), _saddle(alpha, x))
    return where(x < 0.8, _series(alpha, x), where(alpha > 8.0, large, _fitted(alpha, x)))


def _series(alpha: Any, x: Any) -> Any:
    numerator, denominator = 1.0, alpha
    first, second = 1.0 / alpha, 1.0 / alpha**2
    for i in range(1, 6):
        numerator = numerator * -x / i
        denominator = denominator + 1
        first = first + numerator / denominator
        second = second + numerator / denominator**2
    power = x**alpha
    density = x ** (alpha - 1) * (-x).exp()
    result = -((x.log() - digamma(alpha)) * power * first - power * second) / density
    return where(result.isnan(), 0.0, result)


def _central(alpha: Any, x: Any) -> Any:
    left = 1 + 24 * alpha * (1 + 12 * alpha)
    right = 1440 * alpha**2 + 6 * x * (53 - 120 * x) - 65 * x * x / alpha + alpha * (107 + 3600 * x)
    return left * right / (1244160 * alpha**4)


def _saddle(alpha: Any, x: Any) -> Any:
    denominator = (8 * alpha).sqrt()
    ratio = (x / alpha).log()
    near = denominator / (alpha - x)
    far = (x - alpha - alpha * ratio) ** -1.5
    both = where(x < alpha, near - far, near + far)
    term = ratio * both - (2 / alpha).sqrt() * (alpha + x) / (alpha - x) ** 2
    stirling = 1 + 1 / (12 * alpha) * (1 + 1 / (24 * alpha))
    return -stirling * x * term / denominator


_COEFFICIENTS = (  # by powers of log(x / alpha)
    (
        *(0.16009398, -0.094634809, 0.025146376, -0.0030648343),
        *(1.0, 0.32668115, 0.10406089, 0.0014179084),
    ),
    (
        *(0.53487893, 0.1298071, 0.065735949, -0.0015649758),
        *(0.16639465, 0.020070113, -0.0035938915, -0.00058392623),
    ),
    (
        *(0.040121004, -0.0065914022, -0.0026286047, -0.0013441777),
        *(0.017050642, -0.0021309326, 0.00085092367, -1.5247877e-07),
    ),
)


def _fitted(alpha: Any, x: Any) -> Any:
    u, v = (x / alpha).log(), alpha.log()
    c = [a + u * (b + u * d) for a, b, d in zip(*_COEFFICIENTS, strict=True)]
    above = c[0] + v * (c[1] + v * (c[2] + v * c[3]))
    below = c[4] + v * (c[5] + v * (c[6] + v * c[7]))
    return (above / below).exp()
