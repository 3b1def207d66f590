"""The Gumbel distribution."""

from __future__ import annotations

import math
from typing import Any, Self

from tidu.base.limits import finfo
from tidu.distributions import constraints
from tidu.distributions.transformed_distribution import TransformedDistribution
from tidu.distributions.transforms import AffineTransform, ExpTransform
from tidu.distributions.uniform import Uniform
from tidu.distributions.utils import broadcast_all, number_batch

__all__ = ["EULER", "Gumbel"]

EULER = 0.5772156649015329


class Gumbel(TransformedDistribution):
    """exp(-(z + exp(-z))) / scale with z = (x - loc) / scale."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        limits = finfo(self.loc.dtype)
        if number_batch(loc, scale):
            base = Uniform(limits.tiny, 1 - limits.eps, validate_args=validate_args)
        else:
            ones = self.loc.new_ones(self.loc.shape)
            low, high = ones * limits.tiny, ones * (1 - limits.eps)
            base = Uniform(low, high, validate_args=validate_args)
        super().__init__(
            base,
            [
                ExpTransform().inv,
                AffineTransform(loc=0, scale=-self.scale.new_ones(self.scale.shape)),
                ExpTransform().inv,
                AffineTransform(loc=self.loc, scale=-self.scale),
            ],
            validate_args=validate_args,
        )

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * EULER

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return (math.pi / math.sqrt(6)) * self.scale

    @property
    def variance(self) -> Any:
        return self.stddev.pow(2)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        loc, scale = self.loc.expand(batch_shape), self.scale.expand(batch_shape)
        return type(self)(loc, scale, validate_args=False)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return (y - y.exp()) - self.scale.log()

    def entropy(self) -> Any:
        return self.scale.log() + (1 + EULER)
