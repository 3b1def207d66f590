"""Transforms of vectors and matrices, and transforms made of others."""

from __future__ import annotations

from typing import Any

from tidu.base.limits import finfo
from tidu.base.shapes import Size
from tidu.distributions import constraints
from tidu.distributions.transforms import SigmoidTransform, Transform
from tidu.distributions.utils import sum_rightmost
from tidu.tensor import namespaces

__all__ = [
    "IndependentTransform", "LowerCholeskyTransform", "ReshapeTransform", "SoftmaxTransform",
    "StickBreakingTransform",
]  # fmt: skip

logsigmoid = namespaces["torch.nn.functional"]["logsigmoid"]
pad = namespaces["torch.nn.functional"]["pad"]


class _OfVectors(Transform):
    """A map without parameters, for events of one dimension."""

    domain = constraints.real_vector
    longer = 0  # how many entries the result has more

    def forward_shape(self, shape: Any) -> Any:
        return self._resized(shape, self.longer)

    def inverse_shape(self, shape: Any) -> Any:
        return self._resized(shape, -self.longer)

    def _resized(self, shape: Any, change: int) -> Any:
        if len(shape) < 1:
            raise ValueError("Too few dimensions on input")
        return Size((*shape[:-1], shape[-1] + change)) if change else shape

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class SoftmaxTransform(_OfVectors):
    """y = exp(x) / Σ exp(x), which many x share: the logarithm of y is taken for the inverse."""

    codomain = constraints.simplex

    def _call(self, x: Any) -> Any:
        powers = (x - x.max(-1, True)[0]).exp()
        return powers / powers.sum(-1, True)

    def _inverse(self, y: Any) -> Any:
        return y.log()


class StickBreakingTransform(_OfVectors):
    """Probabilities from one logit less: each says which part of what is left goes to its entry."""

    codomain = constraints.simplex
    bijective = True
    longer = 1

    def _centered(self, x: Any) -> Any:
        """With 0 standing for equal parts."""
        left = x.shape[-1] + 1 - x.new_ones(x.shape[-1]).cumsum(-1)
        return x - left.log()

    def _call(self, x: Any) -> Any:
        parts = SigmoidTransform()(self._centered(x))
        left = (1 - parts).cumprod(-1)
        return pad(parts, [0, 1], value=1) * pad(left, [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        cropped = y[..., :-1]
        left = y.shape[-1] - y.new_ones(cropped.shape[-1]).cumsum(-1)
        # Rounding may make a sum of probabilities reach 1.
        rest = (1 - cropped.cumsum(-1)).clamp(min=finfo(y.dtype).tiny)
        return cropped.log() - rest.log() + left.log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        centered = self._centered(x)
        return (-centered + logsigmoid(centered) + y[..., :-1].log()).sum(-1)


class LowerCholeskyTransform(Transform):
    """Lower triangular matrices with a positive diagonal, of which the logarithm is given."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LowerCholeskyTransform)

    def __hash__(self) -> int:
        return hash(LowerCholeskyTransform)


class ReshapeTransform(Transform):
    """Events of shape `in_shape` in the shape `out_shape`."""

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        self.in_shape, self.out_shape = Size(in_shape), Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError("in_shape, out_shape have different numbers of elements")
        super().__init__(cache_size)
        self.domain = constraints.independent(constraints.real, len(self.in_shape))
        self.codomain = constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Any) -> Any:
        return x.reshape(self.forward_shape(x.shape))

    def _inverse(self, y: Any) -> Any:
        return y.reshape(self.inverse_shape(y.shape))

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.dim() - len(self.in_shape)])

    def forward_shape(self, shape: Any) -> Any:
        return _replaced(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return _replaced(shape, self.out_shape, self.in_shape)


def _replaced(shape: Any, before: Size, after: Size) -> Size:
    cut = len(shape) - len(before)
    if cut < 0:
        raise ValueError("Too few dimensions on input")
    if tuple(shape[cut:]) != tuple(before):
        raise ValueError(f"Shape mismatch: expected {tuple(shape[cut:])} but got {before}")
    return Size((*shape[:cut], *after))


class IndependentTransform(Transform):
    """`base_transform` for events of `reinterpreted_batch_ndims` more dimensions."""

    def __init__(
        self, base_transform: Transform, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size)
        self.base_transform = base_transform
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims
        self.bijective = base_transform.bijective
        dims = reinterpreted_batch_ndims
        self.domain = constraints.independent(base_transform.domain, dims)
        self.codomain = constraints.independent(base_transform.codomain, dims)

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Any) -> Any:
        self._check(x, self.domain)
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        self._check(y, self.codomain)
        return self.base_transform.inv(y)

    def _check(self, value: Any, constraint: Any) -> None:
        if value.dim() < constraint.event_dim:
            raise ValueError("Too few dimensions on input")

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        result = self.base_transform.log_abs_det_jacobian(x, y)
        return sum_rightmost(result, self.reinterpreted_batch_ndims)

    def forward_shape(self, shape: Any) -> Any:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.base_transform.inverse_shape(shape)

    def __repr__(self) -> str:
        return f"IndependentTransform({self.base_transform!r}, {self.reinterpreted_batch_ndims})"
