"""``torch.special``: the special functions of mathematics and statistics."""

from __future__ import annotations

from tidu.tensor.binding import namespaces

globals().update(namespaces["torch.special"])
__all__ = sorted(namespaces["torch.special"])
