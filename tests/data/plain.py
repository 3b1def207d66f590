"""Batches of either library as plain Python, so that they can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def plain(batch: Any) -> Any:
    """Tensors as (dtype, shape, nested lists), containers as (type name, contents)."""
    if hasattr(batch, "tolist") and hasattr(batch, "dtype"):
        return str(batch.dtype), tuple(batch.shape), batch.tolist()
    if isinstance(batch, Mapping):
        return type(batch).__name__, {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, (list, tuple)):
        return type(batch).__name__, [plain(entry) for entry in batch]
    return batch
