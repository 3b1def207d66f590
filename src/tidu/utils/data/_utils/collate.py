"""`torch.utils.data._utils.collate`: making a batch of samples."""

from __future__ import annotations

from tidu.data import default_collate, default_convert
from tidu.data.collate import collate

__all__ = ["collate", "default_collate", "default_convert"]
