"""The binomial distribution."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.distribution import Distribution
from tidu.distributions.success_probability import SuccessProbability
from tidu.distributions.utils import broadcast_all, one_of_two
from tidu.tensor import arange, no_grad
from tidu.tensor import binomial as draw

__all__ = ["Binomial"]


class Binomial(SuccessProbability):
    """The number of successes in `total_count` trials, each with probability `probs`."""

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self,
        total_count: Any = 1,
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

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().minimum(self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape,
            total_count=self.total_count.expand(batch_shape),
            **self._parameters_expanded(batch_shape),
        )

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return draw(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        # log(1 - probs) is -max(logits, 0) - log1p(exp(-|logits|)), without overflow.
        positive = (self.logits.clamp(min=0) + self.logits - self.logits.clamp(max=0)) / 2
        normalization = (
            self.total_count * positive
            + self.total_count * (-self.logits.abs()).exp().log1p()
            - (self.total_count + 1).lgamma()
        )
        orders = (value + 1).lgamma()
        return (
            value * self.logits - orders - (self.total_count - value + 1).lgamma() - normalization
        )

    def entropy(self) -> Any:
        self._one_count("entropy")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Any:
        count = self._one_count("enumerate_support")
        values = arange(1 + count, dtype=self._parameter.dtype)
        values = values.view(-1, *(1,) * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values

    def _one_count(self, method: str) -> int:
        count = int(self.total_count.max())
        if self.total_count.min() != count:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{method}`.")
        return count
