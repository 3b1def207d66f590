"""`torch.cuda.amp.grad_scaler`: where older programs import the scaler from."""

from __future__ import annotations

from tidu.cuda.amp import GradScaler

__all__ = ["GradScaler"]
