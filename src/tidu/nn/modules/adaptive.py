"""`torch.nn.modules.adaptive`: softmax over many classes."""

from __future__ import annotations

from tidu.nn.adaptive import AdaptiveLogSoftmaxWithLoss

__all__ = ["AdaptiveLogSoftmaxWithLoss"]
