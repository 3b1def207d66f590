"""`torch.nn.modules.channelshuffle`: channel shuffling."""

from __future__ import annotations

from tidu.nn.resampling import (
    ChannelShuffle,
)

__all__ = ["ChannelShuffle"]
