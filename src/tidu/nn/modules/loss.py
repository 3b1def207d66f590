"""`torch.nn.modules.loss`: the base classes of losses, for those who write their own."""

from __future__ import annotations

from tidu.nn.loss import _Loss, _WeightedLoss

__all__ = ["_Loss", "_WeightedLoss"]
