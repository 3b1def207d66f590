"""The Weibull distribution."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.exponential import Exponential
from tidu.distributions.gumbel import EULER
from tidu.distributions.transformed_distribution import TransformedDistribution
from tidu.distributions.transforms import AffineTransform, PowerTransform
from tidu.distributions.utils import broadcast_all
from tidu.tensor import ones_like

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """Of scale · x^(1 / concentration), where x is exponential with rate 1."""

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        super().__init__(
            Exponential(ones_like(self.scale), validate_args=validate_args),
            [
                PowerTransform(exponent=self.concentration_reciprocal),
                AffineTransform(loc=0, scale=self.scale),
            ],
            validate_args=validate_args,
        )

    @property
    def mean(self) -> Any:
        return self.scale * (1 + self.concentration_reciprocal).lgamma().exp()

    @property
    def mode(self) -> Any:
        part = (self.concentration - 1) / self.concentration
        return self.scale * part**self.concentration_reciprocal

    @property
    def variance(self) -> Any:
        second = (1 + 2 * self.concentration_reciprocal).lgamma().exp()
        first = (2 * (1 + self.concentration_reciprocal).lgamma()).exp()
        return self.scale.pow(2) * (second - first)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        scale, concentration = (p.expand(batch_shape) for p in (self.scale, self.concentration))
        return type(self)(scale, concentration, validate_args=False)

    def entropy(self) -> Any:
        reciprocal = self.concentration_reciprocal
        return EULER * (1 - reciprocal) + (self.scale * reciprocal).log() + 1
