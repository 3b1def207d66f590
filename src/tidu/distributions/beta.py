"""The beta distribution."""

from __future__ import annotations

from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.dirichlet import Dirichlet
from tidu.distributions.exp_family import ExponentialFamily
from tidu.distributions.utils import broadcast_all, number_batch
from tidu.tensor import namespaces, tensor

__all__ = ["Beta"]

stack = namespaces["torch"]["stack"]


class Beta(ExponentialFamily):
    """x^(a - 1) · (1 - x)^(b - 1) · Γ(a + b) / (Γ(a) Γ(b)), with a = `concentration1` and
    b = `concentration0`.

    >>> torch.distributions.Beta(1.0, 3.0).mean
    tensor(0.2500)
    """

    arg_constraints = {
        "concentration1": constraints.positive,
        "concentration0": constraints.positive,
    }
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self, concentration1: Any, concentration0: Any, validate_args: bool | None = None
    ) -> None:
        if number_batch(concentration1, concentration0):
            both = tensor([float(concentration1), float(concentration0)])
        else:
            both = stack(broadcast_all(concentration1, concentration0), -1)
        self._dirichlet = Dirichlet(both, validate_args=validate_args)
        super().__init__(self._dirichlet.batch_shape, validate_args=validate_args)

    @property
    def concentration1(self) -> Any:
        """The power of x, plus one."""
        return self._dirichlet.concentration[..., 0]

    @property
    def concentration0(self) -> Any:
        """The power of 1 - x, plus one."""
        return self._dirichlet.concentration[..., 1]

    @property
    def mean(self) -> Any:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def mode(self) -> Any:
        return self._dirichlet.mode[..., 0]

    @property
    def variance(self) -> Any:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total.pow(2) * (total + 1))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(batch_shape, _dirichlet=self._dirichlet.expand(batch_shape))

    def rsample(self, sample_shape: Any = ()) -> Any:
        return self._dirichlet.rsample(sample_shape).select(-1, 0)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        return self._dirichlet.log_prob(stack((value, 1.0 - value), -1))

    def entropy(self) -> Any:
        return self._dirichlet.entropy()
