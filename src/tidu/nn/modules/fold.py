"""`torch.nn.modules.fold`: sliding windows as columns, and back."""

from __future__ import annotations

from tidu.nn.resampling import (
    Fold,
    Unfold,
)

__all__ = ["Fold", "Unfold"]
