"""Weights with orthogonal rows or columns, as functions of free parameters."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.autograd.modes import no_grad
from tidu.nn.module import Module
from tidu.nn.utils.parametrize import register_parametrization
from tidu.tensor import Tensor, eye, from_array, namespaces, randn, zeros_like

_MAPS = ("matrix_exp", "cayley", "householder")

cat = namespaces["torch"]["cat"]
householder_product = namespaces["torch.linalg"]["householder_product"]
matrix_exp = namespaces["torch"]["matrix_exp"]
qr = namespaces["torch.linalg"]["qr"]
solve = namespaces["torch.linalg"]["solve"]


def orthogonal(
    module: Module,
    name: str = "weight",
    orthogonal_map: str | None = None,
    *,
    use_trivialization: bool = True,
) -> Module:
    """Keep a parameter (..., n, k) orthogonal: its columns for n >= k, its rows otherwise.

    It is a function of a matrix that is free: with A = X - Xᵀ of its lower part, exp(A)
    ("matrix_exp", the default for square weights) or (1 + A/2)(1 - A/2)⁻¹ ("cayley"), or a product
    of reflections ("householder", the default otherwise). With `use_trivialization` that is
    multiplied by the weight at the start, made orthogonal. ValueError for a name or a map that
    there is not, and for weights that are no matrices. Follows
    torch.nn.utils.parametrizations.orthogonal; Lezcano Casado, 2019,
    https://arxiv.org/abs/1909.09501.

    >>> layer = torch.nn.utils.parametrizations.orthogonal(torch.nn.Linear(3, 3))
    >>> torch.allclose(layer.weight @ layer.weight.T, torch.eye(3), atol=1e-5)
    True
    """
    weight: Any = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(
            f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions."
        )
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.size(-2) == weight.size(-1) else "householder"
    if orthogonal_map not in _MAPS:
        raise ValueError(
            'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". '
            f"Got: {orthogonal_map}"
        )
    made = _Orthogonal(weight, orthogonal_map, use_trivialization)
    return register_parametrization(module, name, made, unsafe=True)


class _Orthogonal(Module):
    """The map, and the orthogonal matrix `base` that it starts at."""

    base: Tensor | None

    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        self.use_trivialization = use_trivialization
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, x: Any) -> Any:
        wide = x.size(-2) < x.size(-1)
        if wide:
            x = x.mT
        q = self._reflected(x) if self.orthogonal_map == "householder" else self._rotated(x)
        if self.use_trivialization:
            q = self.base @ q
        return q.mT if wide else q

    def _rotated(self, x: Any) -> Any:
        n, k = x.shape[-2:]
        lower = x.tril()
        if n != k:  # square, with what is missing 0
            lower = cat([lower, x.new_zeros((*x.shape[:-2], n, n - k))], dim=-1)
        skew = lower - lower.mT
        if self.orthogonal_map == "matrix_exp":
            return matrix_exp(skew)[..., :k]
        one = eye(n, dtype=x.dtype)
        return solve(one - 0.5 * skew, one + 0.5 * skew)[..., :k]

    def _reflected(self, x: Any) -> Any:
        vectors = x.tril(diagonal=-1)
        tau = 2.0 / (1.0 + (vectors * vectors).sum(dim=-2))
        signs = x.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)  # 1 and -1, never trained
        return householder_product(vectors, tau) * signs

    def right_inverse(self, weight: Tensor) -> Any:
        if weight.shape != self.shape:
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {self.shape}. Got a tensor of "
                f"shape {weight.shape}."
            )
        with no_grad():
            wide = weight.size(-2) < weight.size(-1)
            q: Any = weight.mT if wide else weight
            if not self.use_trivialization:
                x = self._reflections(q)
                return x.mT if wide else x
            self.base = _completed(q)
            free = zeros_like(weight)
            free.diagonal(dim1=-2, dim2=-1).fill_(-1.0)  # the start of reflections: no change
            return free

    def _reflections(self, q: Any) -> Any:
        if self.orthogonal_map != "householder":
            raise NotImplementedError(
                "It is not possible to assign to the matrix exponential or the Cayley "
                "parametrizations when use_trivialization=False."
            )
        return from_array(_reflectors(q.detach().numpy()), q.dtype)


def _reflectors(matrices: Any) -> Any:
    """The vectors of the reflections whose product is the orthogonal part of each matrix, below a
    diagonal that holds the signs that make the triangular part positive there.
    """
    n, k = matrices.shape[-2:]
    made = np.empty_like(matrices).reshape(-1, n, k)
    diagonal = np.arange(k)
    for place, matrix in enumerate(matrices.reshape(-1, n, k)):
        packed, tau = np.linalg.qr(matrix, mode="raw")
        packed = packed.T.copy()
        signs = np.sign(packed[diagonal, diagonal])
        packed[diagonal, diagonal] = np.where(tau == 0.0, -signs, signs)
        made[place] = packed
    return made.reshape(matrices.shape)


def _completed(q: Any) -> Any:
    """A square orthogonal matrix that begins with the columns of `q`, made orthogonal if needed."""
    n, k = q.shape[-2:]
    if n == k and _is_orthogonal(q):
        return q.clone()
    if n != k:
        q = cat([q, randn((*q.shape[:-2], n, n - k), dtype=q.dtype)], dim=-1)
    factor, triangle = qr(q)
    return factor * triangle.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def _is_orthogonal(q: Any) -> bool:
    n = q.size(-2)
    error = (q.mT @ q - eye(q.size(-1), dtype=q.dtype)).abs()
    return bool((error <= 10.0 * n * float(np.finfo(q.dtype.numpy).eps)).all())
