"""The distribution of what transforms make of another distribution's samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.distribution import Distribution
from tidu.distributions.independent import Independent
from tidu.distributions.transforms import ComposeTransform, Transform
from tidu.distributions.utils import sum_rightmost
from tidu.tensor import no_grad

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Distribution):
    """Of t(x), where x comes from `base_distribution`:
    log p(y) = log p(x) - log |dy / dx| at x = t⁻¹(y).
    """

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | Sequence[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        if not all(isinstance(transform, Transform) for transform in self.transforms):
            raise ValueError("transforms must be a Transform or a list of Transforms")
        whole = ComposeTransform(self.transforms)
        base, forward_shape = _fitted(base_distribution, whole)
        self.base_dist = base
        gained = whole.codomain.event_dim - whole.domain.event_dim
        event_dim = max(whole.codomain.event_dim, len(base.event_shape) + gained)
        cut = len(forward_shape) - event_dim
        super().__init__(forward_shape[:cut], forward_shape[cut:], validate_args=validate_args)

    @property
    def has_rsample(self) -> Any:
        return self.base_dist.has_rsample

    @constraints.dependent_property
    def support(self) -> Any:
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        extra = len(self.event_shape) - support.event_dim
        return constraints.independent(support, extra) if extra > 0 else support

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        shape = (*batch_shape, *self.event_shape)
        for transform in reversed(self.transforms):
            shape = transform.inverse_shape(shape)
        base_batch_shape = shape[: len(shape) - len(self.base_dist.event_shape)]
        return self._expanded(
            batch_shape,
            base_dist=self.base_dist.expand(base_batch_shape),
            transforms=self.transforms,
        )

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            return self._transformed(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._transformed(self.base_dist.rsample(sample_shape))

    def _transformed(self, x: Any) -> Any:
        for transform in self.transforms:
            x = transform(x)
        return x

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        event_dim = len(self.event_shape)
        result: Any = 0.0
        y = value
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            event_dim += transform.domain.event_dim - transform.codomain.event_dim
            stretch = transform.log_abs_det_jacobian(x, y)
            result = result - sum_rightmost(stretch, event_dim - transform.domain.event_dim)
            y = x
        base = self.base_dist
        return result + sum_rightmost(base.log_prob(y), event_dim - len(base.event_shape))

    def _monotone(self, value: Any) -> Any:
        """1 - value where the transforms turn the order round."""
        sign = ComposeTransform(self.transforms).sign
        if isinstance(sign, int) and sign == 1:
            return value
        return sign * (value - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._monotone(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._transformed(self.base_dist.icdf(self._monotone(value)))


def _fitted(base: Distribution, whole: ComposeTransform) -> tuple[Distribution, Any]:
    """`base` with batch and event dimensions as the transforms need them; the resulting shape."""
    shape = base.batch_shape + base.event_shape
    event_dim = len(base.event_shape)
    needed = whole.domain.event_dim
    if len(shape) < needed:
        raise ValueError(
            f"base_distribution needs to have shape with size at least {needed}, but got {shape}."
        )
    forward_shape = whole.forward_shape(shape)
    wanted = whole.inverse_shape(forward_shape)
    if shape != wanted:
        base = base.expand(wanted[: len(wanted) - event_dim])
    if needed > event_dim:
        base = Independent(base, needed - event_dim)
    return base, forward_shape
