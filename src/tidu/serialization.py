"""Saving and loading under the name that PyTorch gives it; see `tidu.interop`."""

from __future__ import annotations

from tidu.interop.checkpoint import save
from tidu.interop.loading import load
from tidu.interop.names import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "load",
    "safe_globals",
    "save",
]
