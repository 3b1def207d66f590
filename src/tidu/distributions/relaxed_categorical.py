"""Relaxed one-hot vectors: probabilities near a corner of the simplex, and differentiable."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.categorical import Categorical, OfCategories
from tidu.distributions.transformed_distribution import TransformedDistribution
from tidu.distributions.transforms import ExpTransform
from tidu.distributions.utils import broadcast_all, clamp_probs
from tidu.tensor import full_like, rand

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(OfCategories):
    """The logarithms of `RelaxedOneHotCategorical` vectors: log_softmax((logits + g) / temperature)
    with Gumbel numbers g.

    Follows torch.distributions.relaxed_categorical; Jang et al., 2017,
    https://arxiv.org/abs/1611.01144.
    """

    # What is really reached is the surface where the exponentials sum up to one.
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self._categorical = Categorical(probs, logits)
        self.temperature = temperature
        shape = self._categorical.param_shape
        super().__init__(self._categorical.batch_shape, shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape,
            temperature=self.temperature,
            _categorical=self._categorical.expand(batch_shape),
        )

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        uniform = clamp_probs(rand(shape, dtype=self.logits.dtype))
        scores = (self.logits - (-uniform.log()).log()) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        count = self._categorical._num_events
        logits, value = broadcast_all(self.logits, value)
        scale = full_like(self.temperature, float(count)).lgamma()
        scale = scale + self.temperature.log() * (count - 1)
        score = logits - value * self.temperature
        return (score - score.logsumexp(dim=-1, keepdim=True)).sum(-1) + scale


class RelaxedOneHotCategorical(TransformedDistribution):
    """Probabilities that come near one-hot vectors as `temperature`, a tensor, goes to 0.

    >>> relaxed = torch.distributions.RelaxedOneHotCategorical(
    ...     torch.tensor(0.5), logits=torch.zeros(3)
    ... )
    >>> relaxed.rsample().shape
    torch.Size([3])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True
    base_dist: ExpRelaxedCategorical

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """How far from the corners the vectors are."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """The logarithms of the probabilities of the corners."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probabilities of the corners."""
        return self.base_dist.probs
