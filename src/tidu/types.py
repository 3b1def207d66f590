"""``torch.types``: names for annotations."""

from __future__ import annotations

from tidu.base.devices import device
from tidu.storage import TypedStorage, UntypedStorage

__all__ = ["Device", "Number", "Storage"]

Number = int | float | bool
Device = device | str | int | None
Storage = UntypedStorage | TypedStorage
