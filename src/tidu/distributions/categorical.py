"""The categorical distribution."""

from __future__ import annotations

import math
from typing import Any, Self

from tidu.base.limits import finfo
from tidu.base.shapes import Size
from tidu.distributions import constraints
from tidu.distributions.distribution import Distribution
from tidu.distributions.utils import (
    broadcast_tensors,
    lazy_property,
    logits_to_probs,
    one_of_two,
    probs_to_logits,
)
from tidu.tensor import arange, full, multinomial

__all__ = ["Categorical"]


class Categorical(Distribution):
    """i with probability ``probs[..., i]``; probabilities are normalized over the last dimension,
    and so are `logits`, to log-probabilities.

    >>> Categorical(logits=torch.zeros(4)).entropy()
    tensor(1.3863)
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of_two(probs, logits)
        name, given = ("logits", logits) if probs is None else ("probs", probs)
        if given.dim() < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is None:
            self._parameter = logits - logits.logsumexp(dim=-1, keepdim=True)
        else:
            self._parameter = probs / probs.sum(-1, keepdim=True)
        self.__dict__[name] = self._parameter
        self._num_events = given.size(-1)
        super().__init__(given.shape[:-1], validate_args=validate_args)

    @lazy_property
    def logits(self) -> Any:
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Any:
        return logits_to_probs(self.logits)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        return constraints.integer_interval(0, self._num_events - 1)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._parameter.shape

    @property
    def mean(self) -> Any:
        return full(self._extended_shape(), math.nan, dtype=self.probs.dtype)

    @property
    def mode(self) -> Any:
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Any:
        return full(self._extended_shape(), math.nan, dtype=self.probs.dtype)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        shape = (*batch_shape, self._num_events)
        names = [name for name in ("probs", "logits") if name in self.__dict__]
        expanded = {name: self.__dict__[name].expand(shape) for name in names}
        return self._expanded(
            batch_shape,
            _parameter=expanded[names[0]],
            _num_events=self._num_events,
            **expanded,
        )

    def sample(self, sample_shape: Any = ()) -> Any:
        sample_shape = Size(sample_shape)
        rows = self.probs.detach().reshape(-1, self._num_events)
        drawn = multinomial(rows, sample_shape.numel(), True).T
        return drawn.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        index, logits = broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return logits.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        values = arange(self._num_events).view(-1, *(1,) * len(self.batch_shape))
        return values.expand(-1, *self.batch_shape) if expand else values


class OfCategories(Distribution):
    """What a Categorical (`_categorical`) says, told of other events."""

    _categorical: Categorical
    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}

    @property
    def probs(self) -> Any:
        """The probability of each category."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """Their logarithms."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._categorical.param_shape
