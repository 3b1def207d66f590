"""What the distributions of trials that succeed or fail have in common."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions.distribution import Distribution
from tidu.distributions.utils import (
    broadcast_all,
    lazy_property,
    logits_to_probs,
    number_batch,
    one_of_two,
    probs_to_logits,
)

__all__ = ["SuccessProbability"]


class SuccessProbability(Distribution):
    """The probability of a success, given as `probs` or as `logits`, log(probs / (1 - probs)).

    Of the two, the one that was not given is worked out when it is asked for.
    """

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        one_of_two(probs, logits)
        name, given = ("logits", logits) if probs is None else ("probs", probs)
        (parameter,) = broadcast_all(given)
        self.__dict__[name] = parameter
        shape = () if number_batch(given) else parameter.shape
        super().__init__(shape, validate_args=validate_args)

    @lazy_property
    def logits(self) -> Any:
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def _parameter(self) -> Any:
        """The probabilities or the logits, whichever there are."""
        return self.__dict__["probs" if "probs" in self.__dict__ else "logits"]

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._parameter.shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(batch_shape, **self._parameters_expanded(batch_shape))

    def _parameters_expanded(self, batch_shape: Any) -> dict[str, Any]:
        names = [name for name in ("probs", "logits") if name in self.__dict__]
        return {name: self.__dict__[name].expand(batch_shape) for name in names}
