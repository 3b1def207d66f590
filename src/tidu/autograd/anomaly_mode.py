"""`torch.autograd.anomaly_mode`: looking for NaN in backward passes."""

from __future__ import annotations

from tidu.autograd.anomaly import detect_anomaly, set_detect_anomaly

__all__ = ["detect_anomaly", "set_detect_anomaly"]
