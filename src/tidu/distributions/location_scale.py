"""What the distributions of a location and a scale have in common."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.distribution import Distribution
from tidu.distributions.utils import broadcast_all, number_batch

__all__ = ["LocationScale"]


class LocationScale(Distribution):
    """A distribution of loc + scale · z on the real line, with its mode at `loc`."""

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        shape = () if number_batch(loc, scale) else self.loc.shape
        super().__init__(shape, validate_args=validate_args)

    @property
    def mode(self) -> Any:
        return self.loc

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape, loc=self.loc.expand(batch_shape), scale=self.scale.expand(batch_shape)
        )
