"""`torch._dynamo`, as far as scripts touch it: its settings are accepted and have no effect."""

from __future__ import annotations

from types import SimpleNamespace

from tidu.compiler.control import disable, is_compiling, reset

config = SimpleNamespace(
    cache_size_limit=8, recompile_limit=8, suppress_errors=False, verbose=False
)

__all__ = ["config", "disable", "is_compiling", "reset"]
