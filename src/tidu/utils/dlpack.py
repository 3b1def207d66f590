"""`torch.utils.dlpack`: numbers from and to other libraries."""

from __future__ import annotations

from tidu.tensor import from_dlpack, to_dlpack

__all__ = ["from_dlpack", "to_dlpack"]
