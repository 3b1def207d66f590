"""Modules that are loaded when they are first needed."""

from __future__ import annotations

import importlib
from typing import Any


class DeferredModule:
    """Stands for a module of tidu, and loads it when something of it is asked for.

    LLVM takes longer to load than everything else together, and a script whose work is small never
    compiles anything. Where a type checker has to know the module, it is imported `if
    TYPE_CHECKING`.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)
