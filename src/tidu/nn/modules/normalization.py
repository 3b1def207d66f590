"""`torch.nn.modules.normalization`: norms of layers and groups."""

from __future__ import annotations

from tidu.nn.normalization import (
    GroupNorm,
    LayerNorm,
    LocalResponseNorm,
    RMSNorm,
)

__all__ = ["GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]
