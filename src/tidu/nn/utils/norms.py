"""Norms and directions of weights: what both forms of normalization rest on, the parametrizations
and the hooks that PyTorch had before them.
"""

from __future__ import annotations

from tidu.nn import functional as F
from tidu.nn.convolution import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from tidu.nn.module import Module
from tidu.ops.moving.movement import permute
from tidu.tensor import Tensor

TRANSPOSED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The 2-norm over all dimensions but `dim` (over all for None), which stay with size 1."""
    if dim is None:
        return (v * v).sum().sqrt()  # type: ignore[no-any-return]
    others = [i for i in range(v.ndim) if i != dim % v.ndim]
    return (v * v).sum(others, keepdim=True).sqrt()  # type: ignore[no-any-return]


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """The weight with `dim` first and all others in one."""
    if dim:
        order = (dim, *(i for i in range(weight.ndim) if i != dim))
        weight = permute(weight, order)
    return weight.reshape(weight.shape[0], -1)  # type: ignore[no-any-return]


def random_direction(like: Tensor, size: int, eps: float) -> Tensor:
    """A random vector of norm 1, of the dtype of `like`."""
    return F.normalize(like.new_empty(size).normal_(0, 1), dim=0, eps=eps)  # type: ignore[no-any-return]


def default_dim(module: Module) -> int:
    """The dimension of the outputs: the second one of transposed convolutions."""
    return 1 if isinstance(module, TRANSPOSED) else 0
