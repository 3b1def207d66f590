"""Invertible maps, with the logarithm of how much they stretch space: they carry samples and
densities from one distribution to another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from tidu.base.deferred import on_demand
from tidu.base.limits import finfo
from tidu.base.shapes import Size
from tidu.distributions import constraints
from tidu.distributions.utils import sum_rightmost
from tidu.tensor import namespaces

__all__ = [
    "AbsTransform", "AffineTransform", "ComposeTransform", "ExpTransform", "PowerTransform",
    "SigmoidTransform", "SoftplusTransform", "TanhTransform", "Transform", "identity_transform",
]  # fmt: skip

# These rest on what is here, and are known under this module's name, too.
__getattr__, __dir__ = on_demand(
    __name__,
    IndependentTransform=".vector_transforms",
    LowerCholeskyTransform=".vector_transforms",
    ReshapeTransform=".vector_transforms",
    SoftmaxTransform=".vector_transforms",
    StickBreakingTransform=".vector_transforms",
)

softplus = namespaces["torch.nn.functional"]["softplus"]
broadcast_shapes = namespaces["torch"]["broadcast_shapes"]


class Transform:
    """A differentiable map from `domain` to `codomain`: ``y = t(x)``, ``x = t.inv(y)``.

    Subclasses give `_call`, `_inverse` and `log_abs_det_jacobian`. `sign` is that of the
    derivative, where the map is monotonous.
    """

    bijective = False
    domain: Any
    codomain: Any
    _sign: Any = None

    def __init__(self, cache_size: int = 0) -> None:
        if cache_size not in (0, 1):
            raise ValueError("cache_size must be 0 or 1")

    @property
    def sign(self) -> Any:
        """1 for a growing, -1 for a falling map."""
        if self._sign is None:
            raise NotImplementedError
        return self._sign

    @property
    def inv(self) -> Transform:
        """The inverse map."""
        return _InverseTransform(self)

    @property
    def event_dim(self) -> int:
        """How many dimensions the map works on at once."""
        return int(self.domain.event_dim)

    def __call__(self, x: Any) -> Any:
        return self._call(x)

    def _call(self, x: Any) -> Any:
        raise NotImplementedError

    def _inverse(self, y: Any) -> Any:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        """log |dy / dx| at a point `x` that is mapped to `y`."""
        raise NotImplementedError

    def forward_shape(self, shape: Any) -> Any:
        """The shape of the result for an input of `shape`."""
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        """The shape of the inverse's result."""
        return shape

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class _InverseTransform(Transform):
    """`original`, the other way round."""

    def __init__(self, original: Transform) -> None:
        super().__init__()
        self.original = original
        self.bijective = original.bijective
        self.domain, self.codomain = original.codomain, original.domain

    @property
    def sign(self) -> Any:
        return self.original.sign

    @property
    def inv(self) -> Transform:
        return self.original

    def _call(self, x: Any) -> Any:
        return self.original._inverse(x)

    def _inverse(self, y: Any) -> Any:
        return self.original._call(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -self.original.log_abs_det_jacobian(y, x)

    def forward_shape(self, shape: Any) -> Any:
        return self.original.inverse_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.original.forward_shape(shape)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _InverseTransform) and self.original == other.original

    def __hash__(self) -> int:
        return hash((_InverseTransform, self.original))

    def __repr__(self) -> str:
        return f"_InverseTransform({self.original!r})"


class ComposeTransform(Transform):
    """One after the other, from the first of `parts` to the last."""

    def __init__(self, parts: Sequence[Transform], cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)
        self.bijective = all(part.bijective for part in self.parts)

    @property
    def domain(self) -> Any:
        """That of the first part, for events as large as any part needs."""
        if not self.parts:
            return constraints.real
        domain = self.parts[0].domain
        event_dim = self.parts[-1].codomain.event_dim
        for part in reversed(self.parts):
            event_dim += part.domain.event_dim - part.codomain.event_dim
            event_dim = max(event_dim, part.domain.event_dim)
        extra = event_dim - domain.event_dim
        return constraints.independent(domain, extra) if extra else domain

    @property
    def codomain(self) -> Any:
        """That of the last part, for events as large as any part makes."""
        if not self.parts:
            return constraints.real
        codomain = self.parts[-1].codomain
        event_dim = self.parts[0].domain.event_dim
        for part in self.parts:
            event_dim += part.codomain.event_dim - part.domain.event_dim
            event_dim = max(event_dim, part.codomain.event_dim)
        extra = event_dim - codomain.event_dim
        return constraints.independent(codomain, extra) if extra else codomain

    @property
    def sign(self) -> Any:
        return math.prod(part.sign for part in self.parts)

    @property
    def inv(self) -> Transform:
        return ComposeTransform([part.inv for part in reversed(self.parts)])

    def _call(self, x: Any) -> Any:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Any) -> Any:
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        if not self.parts:
            return x * 0
        total: Any = 0
        event_dim = self.domain.event_dim
        for part in self.parts:
            after = part(x)
            change = part.log_abs_det_jacobian(x, after)
            total = total + sum_rightmost(change, event_dim - part.domain.event_dim)
            event_dim += part.codomain.event_dim - part.domain.event_dim
            x = after
        return total

    def forward_shape(self, shape: Any) -> Any:
        for part in self.parts:
            shape = part.forward_shape(shape)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        for part in reversed(self.parts):
            shape = part.inverse_shape(shape)
        return shape

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ComposeTransform) and self.parts == other.parts

    def __hash__(self) -> int:
        return hash(tuple(self.parts))

    def __repr__(self) -> str:
        inner = ",\n    ".join(repr(part) for part in self.parts)
        return f"ComposeTransform(\n    {inner}\n)"


identity_transform = ComposeTransform([])


class _Elementwise(Transform):
    """A growing map of single numbers without parameters."""

    bijective = True
    domain = constraints.real
    _sign = 1

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class ExpTransform(_Elementwise):
    """y = exp(x)."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.exp()

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x


class SigmoidTransform(_Elementwise):
    """y = 1 / (1 + exp(-x))."""

    codomain = constraints.unit_interval

    def _call(self, x: Any) -> Any:
        limits = finfo(x.dtype)
        return x.sigmoid().clamp(min=limits.tiny, max=1.0 - limits.eps)

    def _inverse(self, y: Any) -> Any:
        limits = finfo(y.dtype)
        y = y.clamp(min=limits.tiny, max=1.0 - limits.eps)
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x) - softplus(x)


class SoftplusTransform(_Elementwise):
    """y = log(1 + exp(x)); beyond x = 20 it is x."""

    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return softplus(x)

    def _inverse(self, y: Any) -> Any:
        return (-y).expm1().neg().log() + y

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return -softplus(-x)


class TanhTransform(_Elementwise):
    """y = tanh(x)."""

    codomain = constraints.interval(-1.0, 1.0)

    def _call(self, x: Any) -> Any:
        return x.tanh()

    def _inverse(self, y: Any) -> Any:
        return y.atanh()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return 2.0 * (math.log(2.0) - x - softplus(-2.0 * x))


class AbsTransform(Transform):
    """y = |x|, which has no inverse: as such, y itself is taken."""

    domain = constraints.real
    codomain = constraints.positive

    def _call(self, x: Any) -> Any:
        return x.abs()

    def _inverse(self, y: Any) -> Any:
        return y

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AbsTransform)

    def __hash__(self) -> int:
        return hash(AbsTransform)


class PowerTransform(Transform):
    """y = x ** exponent, for positive x."""

    bijective = True
    domain = constraints.positive
    codomain = constraints.positive

    def __init__(self, exponent: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.exponent = exponent

    @property
    def sign(self) -> Any:
        positive = self.exponent > 0
        return (1 if positive else -1) if isinstance(positive, bool) else self.exponent.sign()

    def _call(self, x: Any) -> Any:
        return x.pow(self.exponent)

    def _inverse(self, y: Any) -> Any:
        return y.pow(1 / self.exponent)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return (self.exponent * y / x).abs().log()

    def forward_shape(self, shape: Any) -> Any:
        return broadcast_shapes(shape, getattr(self.exponent, "shape", ()))

    inverse_shape = forward_shape


class AffineTransform(Transform):
    """y = loc + scale · x, elementwise, for events of `event_dim` dimensions."""

    bijective = True

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale = loc, scale
        self.domain = self.codomain = (
            constraints.independent(constraints.real, event_dim) if event_dim else constraints.real
        )

    @property
    def sign(self) -> Any:
        if isinstance(self.scale, (int, float)):
            return 1 if self.scale > 0 else -1 if self.scale < 0 else 0
        return self.scale.sign()

    def _call(self, x: Any) -> Any:
        return self.loc + self.scale * x

    def _inverse(self, y: Any) -> Any:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        shape = x.shape[: len(x.shape) - self.event_dim]
        if isinstance(self.scale, (int, float)):
            return sum_rightmost(x * 0 + math.log(abs(self.scale)), self.event_dim)
        return sum_rightmost(self.scale.abs().log(), self.event_dim).expand(shape)

    def forward_shape(self, shape: Any) -> Any:
        shapes = (getattr(p, "shape", ()) for p in (self.loc, self.scale))
        return Size(broadcast_shapes(shape, *shapes))

    inverse_shape = forward_shape
