"""The multinomial distribution."""

from __future__ import annotations

import math
from typing import Any, Self

from tidu.base.shapes import Size
from tidu.distributions import constraints
from tidu.distributions.binomial import Binomial
from tidu.distributions.categorical import Categorical, OfCategories
from tidu.distributions.utils import broadcast_all

__all__ = ["Multinomial"]


class Multinomial(OfCategories):
    """How often each category comes up in `total_count` draws."""

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs=probs, logits=logits)
        shape = self._categorical.param_shape
        super().__init__(self._categorical.batch_shape, shape[-1:], validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape,
            total_count=self.total_count,
            _categorical=self._categorical.expand(batch_shape),
        )

    def sample(self, sample_shape: Any = ()) -> Any:
        draws = self._categorical.sample((self.total_count, *sample_shape))
        draws = draws.movedim(0, -1)  # (*sample_shape, *batch_shape, total_count)
        counts = self.probs.new_zeros(self._extended_shape(Size(sample_shape)))
        return counts.scatter_add_(-1, draws, counts.new_ones(draws.shape))

    def entropy(self) -> Any:
        one_draw = self._categorical.entropy()
        counts = Binomial(self.total_count, probs=self.probs)
        possible = counts.enumerate_support(expand=False)[1:]
        weights = (possible + 1).lgamma()
        repeated = (counts.log_prob(possible).exp() * weights).sum((0, -1))
        return self.total_count * one_draw - math.lgamma(self.total_count + 1) + repeated

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        orders = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        logits = logits.masked_fill((value == 0) & (logits == -math.inf), 0)
        return orders + (logits * value).sum(-1)
