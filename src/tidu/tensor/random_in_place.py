"""Tensors overwritten with random numbers: `x.normal_()` and the like."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base.random.generator import Generator
from tidu.tensor.random import drawn_as
from tidu.tensor.seeding import default_generator
from tidu.tensor.tensor import Tensor


def _fill_with(self: Tensor, array: Any) -> Tensor:
    return self.copy_(drawn_as(array, self.dtype))


def uniform_(
    self: Tensor,
    a: float = 0.0,
    b: float = 1.0,
    *,
    generator: Generator | None = None,
    **named: Any,
) -> Tensor:
    """Overwrite with uniform numbers in [a, b)."""
    a, b = named.get("from", a), named.get("to", b)
    return _fill_with(
        self, (generator or default_generator).uniform(tuple(self.shape), self.dtype.numpy, a, b)
    )


def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrite with normal numbers; RuntimeError for a negative `std`."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    draw = (generator or default_generator).normal
    return _fill_with(
        self, draw(tuple(self.shape), self.dtype.numpy, mean, std, contiguous=self.is_contiguous())
    )


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Overwrite with ones of probability `p`."""
    source = generator or default_generator
    if isinstance(p, Tensor):
        return _fill_with(
            self, source.bernoulli_tensor(np.broadcast_to(p._array(), tuple(self.shape)))
        )
    return _fill_with(self, source.bernoulli(tuple(self.shape), p))


def random_(self: Tensor, *bounds: int, generator: Generator | None = None) -> Tensor:
    """Overwrite with integers: of the whole range, of [0, to), or of [from, to)."""
    source = generator or default_generator
    shape, kind = tuple(self.shape), self.dtype.numpy
    if not bounds:
        return _fill_with(self, source.random(shape, kind))
    low, high = (0, bounds[0]) if len(bounds) == 1 else bounds
    if high is None:
        return _fill_with(self, source.random(shape, kind, low=low))
    return _fill_with(self, source.integers(low, high, shape, kind))


def _distribution(name: str) -> Any:
    def method(
        self: Tensor, *parameters: float, generator: Generator | None = None, **named: float
    ) -> Tensor:
        draw = getattr(generator or default_generator, name)
        return _fill_with(self, draw(tuple(self.shape), self.dtype.numpy, *parameters, **named))

    return method


IN_PLACE = {
    "uniform_": uniform_,
    "normal_": normal_,
    "bernoulli_": bernoulli_,
    "random_": random_,
    "exponential_": _distribution("exponential"),
    "geometric_": _distribution("geometric"),
    "cauchy_": _distribution("cauchy"),
    "log_normal_": _distribution("log_normal"),
}
