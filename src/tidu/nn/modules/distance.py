"""`torch.nn.modules.distance`: distances between vectors."""

from __future__ import annotations

from tidu.nn.distance import (
    CosineSimilarity,
    PairwiseDistance,
)

__all__ = ["CosineSimilarity", "PairwiseDistance"]
