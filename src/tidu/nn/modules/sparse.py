"""`torch.nn.modules.sparse`: embeddings."""

from __future__ import annotations

from tidu.nn.embedding import (
    Embedding,
    EmbeddingBag,
)

__all__ = ["Embedding", "EmbeddingBag"]
