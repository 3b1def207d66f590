"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.categorical import Categorical
from tidu.distributions.constraints import MixtureSameFamilyConstraint
from tidu.distributions.distribution import Distribution
from tidu.tensor import namespaces, no_grad

__all__ = ["MixtureSameFamily"]

log_softmax = namespaces["torch"]["log_softmax"]


class MixtureSameFamily(Distribution):
    """Of x drawn from component i, the i-th along the last batch dimension of
    `component_distribution`, with the probability that the Categorical `mixture_distribution` gives
    to i: p(x) = Σᵢ πᵢ pᵢ(x).

    ValueError where the two do not fit.

    >>> d = torch.distributions
    >>> mixture = d.Categorical(torch.ones(2))
    >>> d.MixtureSameFamily(mixture, d.Normal(torch.tensor([-1.0, 3.0]), torch.ones(2))).mean
    tensor(1.)
    """

    has_rsample = False

    def __init__(
        self,
        mixture_distribution: Any,
        component_distribution: Any,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                " The Mixture distribution needs to be an  instance of "
                "torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of "
                "torch.distributions.Distribution"
            )
        _check_fit(mixture_distribution, component_distribution)
        self.mixture_distribution = mixture_distribution
        self.component_distribution = component_distribution
        self._num_component = mixture_distribution.logits.shape[-1]
        super().__init__(
            component_distribution.batch_shape[:-1],
            component_distribution.event_shape,
            validate_args=validate_args,
        )

    @constraints.dependent_property
    def support(self) -> Any:
        return MixtureSameFamilyConstraint(self.component_distribution.support)

    @property
    def _event_dims(self) -> int:
        return len(self.event_shape)

    @property
    def mean(self) -> Any:
        return (self._weights() * self.component_distribution.mean).sum(-1 - self._event_dims)

    @property
    def variance(self) -> Any:
        """The mean of the variances plus the variance of the means."""
        weights, part = self._weights(), self.component_distribution
        within = (weights * part.variance).sum(-1 - self._event_dims)
        distance = (part.mean - self._beside_components(self.mean)).pow(2.0)
        return within + (weights * distance).sum(-1 - self._event_dims)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape,
            component_distribution=self.component_distribution.expand(
                (*batch_shape, self._num_component)
            ),
            mixture_distribution=self.mixture_distribution.expand(batch_shape),
            _num_component=self._num_component,
        )

    def cdf(self, value: Any) -> Any:
        below = self.component_distribution.cdf(self._beside_components(value))
        return (below * self.mixture_distribution.probs).sum(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        logarithms = self.component_distribution.log_prob(self._beside_components(value))
        return (logarithms + log_softmax(self.mixture_distribution.logits, dim=-1)).logsumexp(-1)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            chosen = self.mixture_distribution.sample(sample_shape)
            parts = self.component_distribution.sample(sample_shape)  # (S, B, k, E)
            place = chosen.dim()
            index = chosen.reshape((*chosen.shape, *(1,) * (self._event_dims + 1)))
            index = index.expand((*chosen.shape, 1, *self.event_shape))
            return parts.gather(place, index).squeeze(place)

    def _beside_components(self, value: Any) -> Any:
        """With a dimension of size 1 where the components are."""
        return value.unsqueeze(-1 - self._event_dims)

    def _weights(self) -> Any:
        """The probabilities of the components, with as many dimensions as these have."""
        weights = self.mixture_distribution.probs
        dims = len(self.mixture_distribution.batch_shape)
        missing = 0 if dims == 1 else len(self.batch_shape) - dims
        *batch, count = weights.shape
        return weights.reshape((*batch, *(1,) * missing, count, *(1,) * self._event_dims))

    def __repr__(self) -> str:
        return (
            f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
        )


def _check_fit(mixture: Categorical, component: Distribution) -> None:
    ours, theirs = mixture.batch_shape, component.batch_shape[:-1]
    for one, other in zip(reversed(ours), reversed(theirs), strict=False):
        if one != 1 and other != 1 and one != other:
            raise ValueError(
                f"`mixture_distribution.batch_shape` ({ours}) is not compatible with "
                f"`component_distribution.batch_shape`({theirs})"
            )
    count, found = mixture.logits.shape[-1], component.batch_shape[-1]
    if count != found:
        raise ValueError(
            f"`mixture_distribution component` ({count}) does not equal "
            f"`component_distribution.batch_shape[-1]` ({found})"
        )
