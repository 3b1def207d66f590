"""The Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.exp_family import ExponentialFamily
from tidu.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    number_batch,
    one_of_two,
    probs_to_logits,
)
from tidu.tensor import arange, namespaces, no_grad
from tidu.tensor import bernoulli as draw

__all__ = ["Bernoulli"]

binary_cross_entropy_with_logits = namespaces["torch.nn.functional"][
    "binary_cross_entropy_with_logits"
]


class Bernoulli(ExponentialFamily):
    """1 with probability `probs`, else 0; `logits` is log(probs / (1 - probs))."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of_two(probs, logits)
        given = logits if probs is None else probs
        (self._parameter,) = broadcast_all(given)
        self.__dict__["logits" if probs is None else "probs"] = self._parameter
        shape = () if number_batch(given) else self._parameter.shape
        super().__init__(shape, validate_args=validate_args)

    @lazy_property
    def logits(self) -> Any:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._parameter.shape

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        mode = (self.probs >= 0.5).to(self.probs.dtype)
        return mode.masked_fill(self.probs == 0.5, math.nan)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        names = [name for name in ("probs", "logits") if name in self.__dict__]
        expanded = {name: self.__dict__[name].expand(batch_shape) for name in names}
        return self._expanded(batch_shape, _parameter=expanded[names[0]], **expanded)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return draw(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self) -> Any:
        return binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Any:
        values = arange(2, dtype=self._parameter.dtype).view(-1, *(1,) * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values
