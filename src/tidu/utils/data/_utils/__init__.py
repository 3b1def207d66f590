"""`torch.utils.data._utils`: parts of the DataLoader that programs reach for."""

from __future__ import annotations

from tidu.utils.data._utils import collate

__all__ = ["collate"]
