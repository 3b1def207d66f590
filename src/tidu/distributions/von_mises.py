"""The von Mises distribution, of angles."""

from __future__ import annotations

import math
from typing import Any, Self

from tidu.distributions import constraints
from tidu.distributions.distribution import Distribution
from tidu.distributions.utils import broadcast_all, lazy_property
from tidu.tensor import namespaces, no_grad, rand, zeros

__all__ = ["VonMises"]

where = namespaces["torch"]["where"]

# Of the modified Bessel functions I₀ and I₁, for x up to 3.75 and above.
_SMALL = (
    (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
    (0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3),
)
_LARGE = (
    (
        *(0.39894228, 0.1328592e-1, 0.225319e-2, -0.157565e-2, 0.916281e-2),
        *(-0.2057706e-1, 0.2635537e-1, -0.1647633e-1, 0.392377e-2),
    ),
    (
        *(0.39894228, -0.3988024e-1, -0.362018e-2, 0.163801e-2, -0.1031555e-1),
        *(0.2282967e-1, -0.2895312e-1, 0.1787654e-1, -0.420059e-2),
    ),
)


class VonMises(Distribution):
    """exp(concentration · cos(x - loc)) / (2π I₀(concentration)) for angles x.

    Samples lie in [-π, π).
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The circular variance, 1 - I₁(concentration) / I₀(concentration)."""
        kappa = self.concentration
        return 1 - (_log_bessel(kappa, 1) - _log_bessel(kappa, 0)).exp()

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        return self._expanded(
            batch_shape,
            loc=self.loc.expand(batch_shape),
            concentration=self.concentration.expand(batch_shape),
        )

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        density = self.concentration * (value - self.loc).cos()
        return density - math.log(2 * math.pi) - _log_bessel(self.concentration, 0)

    def sample(self, sample_shape: Any = ()) -> Any:
        with no_grad():
            kappa = self.concentration.double()
            shape = self._extended_shape(sample_shape)
            angles = _rejection_sample(self.loc.double(), kappa, _proposal(kappa), shape)
            return angles.to(self.loc.dtype)


def _polynomial(y: Any, coefficients: tuple[float, ...]) -> Any:
    result: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = coefficient + y * result
    return result


def _log_bessel(x: Any, order: int) -> Any:
    square = (x / 3.75) * (x / 3.75)
    small = _polynomial(square, _SMALL[order])
    if order == 1:
        small = x.abs() * small
    large = x - 0.5 * x.log() + _polynomial(3.75 / x, _LARGE[order]).log()
    return where(x < 3.75, small.log(), large)


def _proposal(kappa: Any) -> Any:
    """The parameter of the wrapped Cauchy distribution that candidates come from."""
    tau = 1 + (1 + 4 * kappa**2).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
    return where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))


def _rejection_sample(loc: Any, kappa: Any, proposal: Any, shape: Any) -> Any:
    """Angles by the method of Best and Fisher, 1979; all are drawn anew until all are accepted."""
    x = zeros(shape, dtype=loc.dtype)
    done = zeros(shape).bool()
    while not done.all():
        first, second, third = rand((3, *shape), dtype=loc.dtype).unbind()
        z = (math.pi * first).cos()
        f = (1 + proposal * z) / (proposal + z)
        c = kappa * (proposal - f)
        accept = ((c * (2 - c) - second) > 0) | ((c / second).log() + 1 - c >= 0)
        x = where(accept, (third - 0.5).sign() * f.acos(), x)
        done = done | accept
    return (x + math.pi + loc) % (2 * math.pi) - math.pi
