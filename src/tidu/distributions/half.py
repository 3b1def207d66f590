"""Symmetric distributions around 0, folded to the positive side."""

from __future__ import annotations

import math
from typing import Any

from tidu.distributions import constraints
from tidu.distributions.transformed_distribution import TransformedDistribution
from tidu.tensor import as_tensor, namespaces

where = namespaces["torch"]["where"]


class Half(TransformedDistribution):
    """|x|, where x has the density p, an even function: 2 p(x) for x >= 0."""

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    @property
    def scale(self) -> Any:
        """The scale of what is folded."""
        return self.base_dist.scale  # type: ignore[attr-defined]

    @property
    def mode(self) -> Any:
        return self.scale * 0

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        value = as_tensor(value)
        return where(value >= 0, self.base_dist.log_prob(value) + math.log(2), -math.inf)

    def cdf(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, value: Any) -> Any:
        return self.base_dist.icdf((value + 1) / 2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)
