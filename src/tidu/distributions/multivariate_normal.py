"""The multivariate normal distribution."""

from __future__ import annotations

import math
from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.distribution import Distribution
from tidu.distributions.utils import lazy_property, standard_normal
from tidu.tensor import namespaces

__all__ = ["MultivariateNormal"]

broadcast_shapes = namespaces["torch"]["broadcast_shapes"]
cholesky = namespaces["torch.linalg"]["cholesky"]
cholesky_inverse = namespaces["torch"]["cholesky_inverse"]
solve_triangular = namespaces["torch.linalg"]["solve_triangular"]


class MultivariateNormal(Distribution):
    """exp(-(x - loc)ᵀ Σ⁻¹ (x - loc) / 2) / √((2π)ⁿ det Σ).

    One of `covariance_matrix` Σ, `precision_matrix` Σ⁻¹ and `scale_tril` L with Σ = L Lᵀ is given;
    L costs the least.
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {
            "covariance_matrix": covariance_matrix,
            "precision_matrix": precision_matrix,
            "scale_tril": scale_tril,
        }
        given = {name: matrix for name, matrix in given.items() if matrix is not None}
        if len(given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(
                f"{name} must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch_shape = broadcast_shapes(matrix.shape[:-2], loc.shape[:-1])
        self.__dict__[name] = matrix.expand((*batch_shape, -1, -1))
        self.loc = loc.expand((*batch_shape, -1))
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        self._lower = matrix if name == "scale_tril" else _lower(name, matrix)

    def _whole(self, matrix: Any) -> Any:
        return matrix.expand((*self.batch_shape, *self.event_shape, *self.event_shape))

    @lazy_property
    def scale_tril(self) -> Any:
        return self._whole(self._lower)

    @lazy_property
    def covariance_matrix(self) -> Any:
        return self._whole(self._lower @ self._lower.mT)

    @lazy_property
    def precision_matrix(self) -> Any:
        return self._whole(cholesky_inverse(self._lower))

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return self._lower.pow(2).sum(-1).expand((*self.batch_shape, *self.event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        names = ("covariance_matrix", "precision_matrix", "scale_tril")
        size = (*batch_shape, *self.event_shape, *self.event_shape)
        return self._expanded(
            batch_shape,
            loc=self.loc.expand((*batch_shape, *self.event_shape)),
            _lower=self._lower,
            **{name: getattr(self, name).expand(size) for name in names if name in self.__dict__},
        )

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        noise = standard_normal(shape, self.loc)
        return self.loc + (self._lower @ noise.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        size = self.event_shape[0]
        distance = squared_distance(self._lower, value - self.loc)
        return -0.5 * (size * math.log(2 * math.pi) + distance) - self._half_log_determinant()

    def _half_log_determinant(self) -> Any:
        return self._lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    def entropy(self) -> Any:
        constant = 0.5 * self.event_shape[0] * (1.0 + math.log(2 * math.pi))
        entropy = constant + self._half_log_determinant()
        return entropy.expand(self.batch_shape) if self.batch_shape else entropy


def squared_distance(lower: Any, difference: Any) -> Any:
    """dᵀ (L Lᵀ)⁻¹ d, the squared Mahalanobis distance, over leading dimensions that broadcast."""
    return solve_triangular(lower, difference.unsqueeze(-1), upper=False).squeeze(-1).pow(2).sum(-1)


def _lower(name: str, matrix: Any) -> Any:
    if name == "covariance_matrix":
        return cholesky(matrix)
    # Σ = P⁻¹: the Cholesky factor of P with rows and columns reversed, reversed back and inverted.
    upper = cholesky(matrix.flip(-2, -1)).flip(-2, -1).mT
    unit = matrix.new_zeros(matrix.shape[-2:])
    unit.fill_diagonal_(1.0)
    return solve_triangular(upper, unit, upper=False)
