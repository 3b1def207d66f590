"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from tidu.autograd.function import Function, once_differentiable
from tidu.distributions import constraints
from tidu.distributions.beta_gradient import scaled_derivative
from tidu.distributions.exp_family import ExponentialFamily
from tidu.distributions.gamma import draw_gamma
from tidu.tensor import from_array, namespaces

__all__ = ["Dirichlet"]

digamma = namespaces["torch"]["digamma"]
one_hot = namespaces["torch.nn.functional"]["one_hot"]
where = namespaces["torch"]["where"]
xlogy = namespaces["torch"]["xlogy"]


class Dirichlet(ExponentialFamily):
    """Of probabilities x: Γ(Σc) / ΠΓ(cᵢ) · Π xᵢ^(cᵢ - 1), with c the `concentration`, over its last
    dimension.

    >>> torch.distributions.Dirichlet(torch.tensor([1.0, 3.0])).mean
    tensor([0.2500, 0.7500])
    """

    arg_constraints = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        above = (self.concentration - 1).clamp(min=0.0)
        mode = above / above.sum(-1, True)
        corner = one_hot(mode.argmax(-1), above.shape[-1]).to(mode.dtype)
        return where((self.concentration < 1).all(-1, keepdim=True), corner, mode)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        shape = (*batch_shape, *self.event_shape)
        return self._expanded(batch_shape, concentration=self.concentration.expand(shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        return _Sample.apply(self.concentration.expand(shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return (
            xlogy(self.concentration - 1.0, value).sum(-1)
            + self.concentration.sum(-1).lgamma()
            - self.concentration.lgamma().sum(-1)
        )

    def entropy(self) -> Any:
        count = self.concentration.size(-1)
        total = self.concentration.sum(-1)
        return (
            self.concentration.lgamma().sum(-1)
            - total.lgamma()
            - (count - total) * digamma(total)
            - ((self.concentration - 1.0) * digamma(self.concentration)).sum(-1)
        )


class _Sample(Function):
    """Gamma numbers divided by their sum; the gradient says how they move with `concentration`."""

    @staticmethod
    def forward(ctx: Any, concentration: Any) -> Any:
        numbers = draw_gamma(concentration.detach().numpy(), np.float64)
        kind = concentration.dtype.numpy
        parts = (numbers / numbers.sum(-1, keepdims=True)).astype(kind)
        limits = np.finfo(kind)
        sample = from_array(np.clip(parts, limits.tiny, 1 - limits.epsneg), concentration.dtype)
        ctx.save_for_backward(concentration, sample)
        return sample

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Any) -> Any:
        concentration, sample = ctx.saved_tensors
        alpha, x = concentration.double(), sample.double()
        total = alpha.sum(-1, True).expand(alpha.shape)
        derivative = scaled_derivative(x, alpha, total).to(gradient.dtype)
        return derivative * (gradient - (sample * gradient).sum(-1, True))
