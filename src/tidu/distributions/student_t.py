"""Student's t-distribution."""

from __future__ import annotations

import math
from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.chi2 import Chi2
from tidu.distributions.distribution import Distribution
from tidu.distributions.utils import broadcast_all, standard_normal
from tidu.tensor import namespaces

__all__ = ["StudentT"]

digamma = namespaces["torch"]["digamma"]
where = namespaces["torch"]["where"]


class StudentT(Distribution):
    """Of loc + scale · x / √(z / df) with x standard normal and z χ² with `df` degrees."""

    arg_constraints = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return where(self.df <= 1, math.nan, self.loc)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        known = self.scale.pow(2) * self.df / (self.df - 2)
        return where(self.df > 2, known, where(self.df > 1, math.inf, math.nan))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape,
            df=self.df.expand(batch_shape),
            loc=self.loc.expand(batch_shape),
            scale=self.scale.expand(batch_shape),
            _chi2=self._chi2.expand(batch_shape),
        )

    def rsample(self, sample_shape: Any = ()) -> Any:
        x = standard_normal(self._extended_shape(sample_shape), self.df)
        z = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * (x * (z / self.df).rsqrt())

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        y = (value - self.loc) / self.scale
        normalization = (
            self.scale.log()
            + 0.5 * self.df.log()
            + 0.5 * math.log(math.pi)
            + (0.5 * self.df).lgamma()
            - (0.5 * (self.df + 1.0)).lgamma()
        )
        return -0.5 * (self.df + 1.0) * (y**2.0 / self.df).log1p() - normalization

    def entropy(self) -> Any:
        half, next_half = 0.5 * self.df, 0.5 * (self.df + 1)
        return (
            self.scale.log()
            + next_half * (digamma(next_half) - digamma(half))
            + 0.5 * self.df.log()
            + half.lgamma()
            + math.lgamma(0.5)
            - next_half.lgamma()
        )
