"""The geometric distribution."""

from __future__ import annotations

from typing import Any, Self

from tidu.base.limits import finfo
from tidu.distributions import constraints
from tidu.distributions.distribution import Distribution
from tidu.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    number_batch,
    one_of_two,
    probs_to_logits,
)
from tidu.tensor import namespaces, no_grad

__all__ = ["Geometric"]

binary_cross_entropy_with_logits = namespaces["torch.nn.functional"][
    "binary_cross_entropy_with_logits"
]


class Geometric(Distribution):
    """The number of failures before the first success: (1 - probs)^k · probs."""

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of_two(probs, logits)
        given = logits if probs is None else probs
        (parameter,) = broadcast_all(given)
        self.__dict__["logits" if probs is None else "probs"] = parameter
        shape = () if number_batch(given) else parameter.shape
        super().__init__(shape, validate_args=validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            raise ValueError(
                f"Expected parameter probs (Tensor of shape {tuple(self.probs.shape)}) of "
                f"distribution {self!r} to be positive but found invalid values:\n"
                f"{self.probs[self.probs <= 0]}"
            )

    @lazy_property
    def logits(self) -> Any:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return self.probs * 0

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        names = [name for name in ("probs", "logits") if name in self.__dict__]
        return self._expanded(
            batch_shape, **{name: self.__dict__[name].expand(batch_shape) for name in names}
        )

    def sample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        tiny = finfo(self.probs.dtype).tiny
        with no_grad():
            u = self.probs.new_empty(shape).uniform_(tiny, 1)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        value, probs = broadcast_all(value, self.probs)
        probs = probs.masked_fill((probs == 1) & (value == 0), 0)
        return value * (-probs).log1p() + self.probs.log()

    def entropy(self) -> Any:
        crossed = binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")
        return crossed / self.probs
