"""``torch.storage``: the classes of what `Tensor.storage()` and `Tensor.untyped_storage()` give."""

from __future__ import annotations

from tidu.tensor import TypedStorage, UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]
