"""``torch.return_types``: the named tuples that functions with several results return."""

from __future__ import annotations

from tidu.ops.results import RETURN_TYPES

globals().update(RETURN_TYPES)
__all__ = sorted(RETURN_TYPES)
