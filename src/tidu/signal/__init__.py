"""``torch.signal``: window functions for the analysis of signals."""

from __future__ import annotations

from tidu.signal import windows

__all__ = ["windows"]
