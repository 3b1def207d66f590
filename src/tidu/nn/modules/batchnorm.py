"""`torch.nn.modules.batchnorm`: batch normalization and its base class, for isinstance()."""

from __future__ import annotations

from tidu.nn.channel_norms import BatchNorm1d, BatchNorm2d, BatchNorm3d, _BatchNorm

__all__ = ["BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "_BatchNorm"]
