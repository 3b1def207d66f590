"""``torch.linalg``: norms, solvers and factorizations of matrices."""

from __future__ import annotations

from tidu.tensor.binding import namespaces

globals().update(namespaces["torch.linalg"])
__all__ = sorted(namespaces["torch.linalg"])
