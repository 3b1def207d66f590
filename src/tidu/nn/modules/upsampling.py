"""`torch.nn.modules.upsampling`: upsampling."""

from __future__ import annotations

from tidu.nn.resampling import (
    Upsample,
    UpsamplingBilinear2d,
    UpsamplingNearest2d,
)

__all__ = ["Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d"]
