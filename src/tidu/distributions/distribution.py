"""What all distributions have in common: shapes, checks of arguments, and how they print."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from tidu.base.shapes import Size
from tidu.distributions import constraints
from tidu.distributions.constraints import Constraint
from tidu.tensor import Tensor, enable_grad, no_grad

__all__ = ["Distribution"]


class Distribution:
    """A family of probability distributions, one for each place of `batch_shape`, over events of
    shape `event_shape`.

    A sample has the shape (*sample_shape, *batch_shape, *event_shape), and `log_prob` of it the
    shape (*sample_shape, *batch_shape). A subclass says in `arg_constraints` what its parameters
    have to be and in `support` where its samples lie; both are checked unless `validate_args` is
    False.
    """

    has_rsample: Any = False
    has_enumerate_support: Any = False
    arg_constraints: ClassVar[dict[str, Constraint]] = {}
    support: Any = constraints.dependent
    _validate_args: bool = __debug__

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether arguments are checked where a distribution is not told."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(
        self,
        batch_shape: Any = (),
        event_shape: Any = (),
        validate_args: bool | None = None,
    ) -> None:
        self._batch_shape = Size(batch_shape)
        self._event_shape = Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            computed_later = name not in self.__dict__ and isinstance(
                getattr(type(self), name, None), lazy_property
            )
            if constraints.is_dependent(constraint) or computed_later:
                continue
            value = getattr(self, name)
            if not constraint.check(value).all():
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape "
                    f"{tuple(value.shape)}) of distribution {self!r} to satisfy the constraint "
                    f"{constraint!r}, but found invalid values:\n{value}"
                )

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters: one distribution for each place."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one sample of one of the distributions."""
        return self._event_shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """The same distributions, repeated to `batch_shape` without a copy."""
        raise NotImplementedError

    def _expanded(self, batch_shape: Any, **parameters: Any) -> Self:
        """A distribution of this class with these parameters, which are known to be valid."""
        made = type(self).__new__(type(self))
        made.__dict__.update(parameters)
        Distribution.__init__(made, batch_shape, self.event_shape, validate_args=False)
        made._validate_args = self._validate_args
        return made

    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The event of the greatest probability (density)."""
        raise NotImplementedError(f"{self.__class__} does not implement mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Any:
        """Draw samples; no gradient flows through them."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Draw samples as differentiable functions of the parameters, where that is possible."""
        raise NotImplementedError

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the probability (density) of `value`."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Any:
        """The probability of what is at most `value`."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """The inverse of `cdf`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """All events of a discrete distribution, along a new first dimension."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy, in nats."""
        raise NotImplementedError

    def perplexity(self) -> Any:
        """exp(entropy)."""
        return self.entropy().exp()

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        return Size(sample_shape) + self.batch_shape + self.event_shape

    def _validate_sample(self, value: Any) -> None:
        """Raise ValueError for what cannot be a sample: by its shape, or outside the support."""
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        event_start = len(value.shape) - len(self.event_shape)
        if value.shape[event_start:] != self.event_shape:
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{value.shape} vs {self.event_shape}."
            )
        wanted = self.batch_shape + self.event_shape
        for found, size in zip(reversed(value.shape), reversed(wanted), strict=False):
            if found != 1 and size != 1 and found != size:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{value.shape} vs {wanted}."
                )
        self._check_support(value)

    def _check_support(self, value: Tensor) -> None:
        if constraints.is_dependent(self.support):
            return
        if not self.support.check(value).all():
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({self.support!r}) of the distribution {self!r}, but "
                f"found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        parameters = {
            name: self.__dict__[name] for name in self.arg_constraints if name in self.__dict__
        }
        shown = ", ".join(
            f"{name}: {value if value.numel() == 1 else value.size()}"
            for name, value in parameters.items()
        )
        return f"{type(self).__name__}({shown})"


class lazy_property:  # noqa: N801 (used like `property`)
    """A property that is worked out when it is first asked for, and then kept."""

    def __init__(self, function: Any) -> None:
        self.function = function
        self.name = function.__name__
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        with enable_grad():
            value = self.function(instance)
        instance.__dict__[self.name] = value
        return value
