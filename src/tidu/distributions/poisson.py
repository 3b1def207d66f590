"""The Poisson distribution."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.exp_family import ExponentialFamily
from tidu.distributions.utils import broadcast_all, number_batch
from tidu.tensor import no_grad
from tidu.tensor import poisson as draw

__all__ = ["Poisson"]


class Poisson(ExponentialFamily):
    """rate^k · exp(-rate) / k! for k = 0, 1, ..."""

    arg_constraints = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = broadcast_all(rate)
        shape = () if number_batch(rate) else self.rate.shape
        super().__init__(shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.rate

    @property
    def mode(self) -> Any:
        return self.rate.floor()

    @property
    def variance(self) -> Any:
        return self.rate

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(batch_shape, rate=self.rate.expand(batch_shape))

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return draw(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        rate, value = broadcast_all(self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()
