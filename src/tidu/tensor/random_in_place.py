"""Tensors overwritten with random numbers: `x.normal_()` and the like."""

from __future__ import annotations

from typing import Any

from tidu.base.random.generator import Generator
from tidu.ops.elementwise import overwrite
from tidu.tensor.applying import apply
from tidu.tensor.random import Draw, bernoulli_like, drawn_like
from tidu.tensor.seeding import default_generator
from tidu.tensor.tensor import Tensor


def _fill_with(self: Tensor, draw: Draw, name: str) -> Tensor:
    return _overwrite(self, drawn_like(self, draw), name)


def _overwrite(self: Tensor, numbers: Tensor, name: str) -> Tensor:
    return self._assign(apply(overwrite, (self, numbers), (), name))


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
    source, kind = generator or default_generator, self.dtype.numpy
    return _fill_with(self, lambda shape: source.uniform(shape, kind, a, b), "UniformBackward0")


def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Overwrite with normal numbers; RuntimeError for a negative `std`."""
    if std < 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std}")
    draw, kind = (generator or default_generator).normal, self.dtype.numpy
    plain = self.is_contiguous()
    return _fill_with(
        self, lambda shape: draw(shape, kind, mean, std, contiguous=plain), "NormalBackward0"
    )


def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Generator | None = None) -> Tensor:
    """Overwrite with ones of probability `p`."""
    source = generator or default_generator
    if isinstance(p, Tensor):
        return _overwrite(self, bernoulli_like(self, p, source), "BernoulliBackward1")
    return _fill_with(self, lambda shape: source.bernoulli(shape, p), "BernoulliBackward2")


def random_(self: Tensor, *bounds: int, generator: Generator | None = None) -> Tensor:
    """Overwrite with integers: of the whole range, of [0, to), or of [from, to)."""
    source = generator or default_generator
    kind = self.dtype.numpy
    if not bounds:
        return _fill_with(self, lambda shape: source.random(shape, kind), "RandomBackward2")
    low, high = (0, bounds[0]) if len(bounds) == 1 else bounds
    name = f"RandomBackward{2 - len(bounds)}"
    if high is None:
        return _fill_with(self, lambda shape: source.random(shape, kind, low=low), name)
    return _fill_with(self, lambda shape: source.integers(low, high, shape, kind), name)


def _distribution(name: str) -> Any:
    grad_name = "".join(word.capitalize() for word in name.split("_")) + "Backward0"

    def method(
        self: Tensor, *parameters: float, generator: Generator | None = None, **named: float
    ) -> Tensor:
        draw = getattr(generator or default_generator, name)
        kind = self.dtype.numpy
        return _fill_with(self, lambda shape: draw(shape, kind, *parameters, **named), grad_name)

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
