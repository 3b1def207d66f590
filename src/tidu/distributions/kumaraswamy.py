"""The Kumaraswamy distribution."""

from __future__ import annotations

import math
from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.gumbel import EULER
from tidu.distributions.transformed_distribution import TransformedDistribution
from tidu.distributions.transforms import AffineTransform, PowerTransform
from tidu.distributions.uniform import Uniform
from tidu.distributions.utils import broadcast_all
from tidu.tensor import full_like, namespaces

__all__ = ["Kumaraswamy"]

where = namespaces["torch"]["where"]


class Kumaraswamy(TransformedDistribution):
    """a·b·x^(a - 1)·(1 - x^a)^(b - 1), with a = `concentration1` and b = `concentration0`: much
    like a beta distribution, with a distribution function that has an inverse.
    """

    arg_constraints = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        self.concentration1, self.concentration0 = broadcast_all(concentration1, concentration0)
        base = Uniform(
            full_like(self.concentration0, 0),
            full_like(self.concentration0, 1),
            validate_args=validate_args,
        )
        transforms = [
            PowerTransform(exponent=self.concentration0.reciprocal()),
            AffineTransform(loc=1.0, scale=-1.0),
            PowerTransform(exponent=self.concentration1.reciprocal()),
        ]
        super().__init__(base, transforms, validate_args=validate_args)

    def _moment(self, order: int) -> Any:
        power = 1 + order / self.concentration1
        b = self.concentration0
        return b * (power.lgamma() + b.lgamma() - (power + b).lgamma()).exp()

    @property
    def mean(self) -> Any:
        return self._moment(1)

    @property
    def mode(self) -> Any:
        a, b = self.concentration1, self.concentration0
        logarithm = b.reciprocal() * (-b).log1p() - (-b * a).log1p()
        return where((b < 1) | (a < 1), math.nan, logarithm).exp()

    @property
    def variance(self) -> Any:
        return self._moment(2) - self.mean.pow(2)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        a, b = (p.expand(batch_shape) for p in (self.concentration1, self.concentration0))
        return type(self)(a, b, validate_args=False)

    def entropy(self) -> Any:
        a, b = self.concentration1, self.concentration0
        harmonic = (b + 1).digamma() + EULER
        return (1 - b.reciprocal()) + (1 - a.reciprocal()) * harmonic - a.log() - b.log()
