"""``torch.linalg``: norms, solvers and factorizations of matrices."""

from __future__ import annotations

from tidu.ops.linear_algebra.kernels import LinAlgError
from tidu.tensor.binding import namespaces

globals().update(namespaces["torch.linalg"])
__all__ = ["LinAlgError", *sorted(namespaces["torch.linalg"])]
