"""`torch.nn.modules.pixelshuffle`: channels as pixels, and back."""

from __future__ import annotations

from tidu.nn.resampling import (
    PixelShuffle,
    PixelUnshuffle,
)

__all__ = ["PixelShuffle", "PixelUnshuffle"]
