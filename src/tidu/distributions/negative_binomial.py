"""The negative binomial distribution."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.distribution import Distribution
from tidu.distributions.gamma import Gamma
from tidu.distributions.success_probability import SuccessProbability
from tidu.distributions.utils import broadcast_all, one_of_two
from tidu.tensor import namespaces, no_grad, poisson

__all__ = ["NegativeBinomial"]

logsigmoid = namespaces["torch.nn.functional"]["logsigmoid"]


class NegativeBinomial(SuccessProbability):
    """The number of successes, each with probability `probs`, before `total_count` failures."""

    arg_constraints = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer

    def __init__(
        self,
        total_count: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        one_of_two(probs, logits)
        name, given = ("logits", logits) if probs is None else ("probs", probs)
        count, parameter = broadcast_all(total_count, given)
        self.total_count = count.type_as(parameter)
        self.__dict__[name] = parameter
        Distribution.__init__(self, parameter.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * self.logits.exp()

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Any:
        return self.mean / (-self.logits).sigmoid()

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape,
            total_count=self.total_count.expand(batch_shape),
            **self._parameters_expanded(batch_shape),
        )

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            # Unchecked, as a count of 0 is valid here.
            rates = Gamma(self.total_count, (-self.logits).exp(), validate_args=False)
            return poisson(rates.sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        unnormalized = self.total_count * logsigmoid(-self.logits) + value * logsigmoid(self.logits)
        normalization = (
            -(self.total_count + value).lgamma()
            + (1.0 + value).lgamma()
            + self.total_count.lgamma()
        )
        # No success before no failure is certain, though Γ(0) is infinite.
        return unnormalized - normalization.masked_fill(self.total_count + value == 0.0, 0.0)
