"""`torch.nn.modules.linear`: linear layers."""

from __future__ import annotations

from tidu.nn.linear import (
    Bilinear,
    Identity,
    LazyLinear,
    Linear,
)

__all__ = ["Bilinear", "Identity", "LazyLinear", "Linear"]
