"""The distribution of Lewandowski, Kurowicka and Joe, of correlation matrices."""

from __future__ import annotations

import math
from typing import Any, Self

from tidu.base.limits import finfo
from tidu.distributions import constraints
from tidu.distributions.beta import Beta
from tidu.distributions.distribution import Distribution
from tidu.distributions.utils import broadcast_all
from tidu.tensor import arange, namespaces, no_grad, randn

__all__ = ["LKJCholesky"]

cat = namespaces["torch"]["cat"]
diag_embed = namespaces["torch"]["diag_embed"]
mvlgamma = namespaces["torch"]["mvlgamma"]
where = namespaces["torch"]["where"]


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices M of size `dim`, with density proportional to
    det(M)^(concentration - 1).

    ValueError for `dim` below 2. Follows torch.distributions.LKJCholesky; Lewandowski et al., 2009,
    https://doi.org/10.1016/j.jmva.2009.04.008.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        offset = arange(dim - 1, dtype=self.concentration.dtype)
        offset = cat([offset.new_zeros((1,)), offset])
        marginal = self.concentration + 0.5 * (dim - 2)
        self._beta = Beta(offset + 0.5, marginal.unsqueeze(-1) - 0.5 * offset)
        super().__init__(self.concentration.shape, (dim, dim), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape,
            dim=self.dim,
            concentration=self.concentration.expand(batch_shape),
            _beta=self._beta.expand((*batch_shape, self.dim)),
        )

    def sample(self, sample_shape: Any = ()) -> Any:
        """By the onion method: each row is a point on a sphere whose radius is beta distributed."""
        with no_grad():
            y = self._beta.sample(sample_shape).unsqueeze(-1)
            normal = randn(self._extended_shape(sample_shape), dtype=y.dtype).tril(-1)
            sphere = normal / normal.norm(dim=-1, keepdim=True)
            sphere[..., 0, :] = 0.0
            rows = y.sqrt() * sphere
            rest = (1 - (rows**2).sum(dim=-1)).clamp(min=finfo(rows.dtype).tiny)
            return rows + diag_embed(rest.sqrt())

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - arange(2, self.dim + 1)
        unnormalized = (order * diagonal.log()).sum(dim=-1)
        rest = self.dim - 1
        alpha = self.concentration + 0.5 * rest
        below = alpha.lgamma() * rest
        above = mvlgamma(alpha - 0.5, rest)
        return unnormalized - (0.5 * rest * math.log(math.pi) + above - below)
