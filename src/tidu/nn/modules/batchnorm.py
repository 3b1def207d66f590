"""`torch.nn.modules.batchnorm`: batch normalization and its base class, for isinstance()."""

from __future__ import annotations

from tidu.nn.channel_norms import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    LazyBatchNorm1d,
    LazyBatchNorm2d,
    LazyBatchNorm3d,
    _BatchNorm,
)
from tidu.nn.sync_batch_norm import (
    SyncBatchNorm,
)

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "LazyBatchNorm1d", "LazyBatchNorm2d",
    "LazyBatchNorm3d", "SyncBatchNorm", "_BatchNorm",
]  # fmt: skip
