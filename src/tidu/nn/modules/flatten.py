"""`torch.nn.modules.flatten`: flattening and its inverse."""

from __future__ import annotations

from tidu.nn.linear import (
    Flatten,
    Unflatten,
)

__all__ = ["Flatten", "Unflatten"]
