"""``torch.signal.windows``."""

from __future__ import annotations

from tidu.tensor.binding import namespaces

globals().update(namespaces["torch.signal.windows"])
__all__ = sorted(namespaces["torch.signal.windows"])
