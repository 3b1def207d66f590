"""The Bernoulli distribution."""

from __future__ import annotations

import math
from typing import Any

from tidu.distributions import constraints
from tidu.distributions.exp_family import ExponentialFamily
from tidu.distributions.success_probability import SuccessProbability
from tidu.distributions.utils import broadcast_all
from tidu.tensor import arange, namespaces, no_grad
from tidu.tensor import bernoulli as draw

__all__ = ["Bernoulli"]

binary_cross_entropy_with_logits = namespaces["torch.nn.functional"][
    "binary_cross_entropy_with_logits"
]


class Bernoulli(SuccessProbability, ExponentialFamily):
    """1 with probability `probs`, else 0; `logits` is log(probs / (1 - probs))."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

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
