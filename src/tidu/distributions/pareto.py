"""The Pareto distribution."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.exponential import Exponential
from tidu.distributions.transformed_distribution import TransformedDistribution
from tidu.distributions.transforms import AffineTransform, ExpTransform
from tidu.distributions.utils import broadcast_all

__all__ = ["Pareto"]


class Pareto(TransformedDistribution):
    """alpha · scale^alpha / x^(alpha + 1) for x >= `scale`."""

    arg_constraints = {"alpha": constraints.positive, "scale": constraints.positive}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        transforms = [ExpTransform(), AffineTransform(loc=0, scale=self.scale)]
        super().__init__(base, transforms, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        alpha = self.alpha.clamp(min=1)  # up to 1 the mean is infinite
        return alpha * self.scale / (alpha - 1)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        alpha = self.alpha.clamp(min=2)  # up to 2 the variance is infinite
        return self.scale.pow(2) * alpha / ((alpha - 1).pow(2) * (alpha - 2))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        scale, alpha = self.scale.expand(batch_shape), self.alpha.expand(batch_shape)
        return type(self)(scale, alpha, validate_args=False)

    def entropy(self) -> Any:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())
