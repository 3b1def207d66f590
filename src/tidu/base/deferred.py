"""Modules that are loaded when they are first needed."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any

from tidu.base.locks import pause_in_forks

# A child would find a module half loaded that another thread was about to load.
_loading = threading.RLock()
pause_in_forks(1, _loading.acquire, _loading.release)


class DeferredModule:
    """Stands for a module of tidu, and loads it when something of it is asked for.

    LLVM takes longer to load than everything else together, and a script whose work is small never
    compiles anything. Where a type checker has to know the module, it is imported `if
    TYPE_CHECKING`.
    """

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __getattr__(self, name: str) -> Any:
        with _loading:
            module = importlib.import_module(self.__name__)
        return getattr(module, name)


def on_demand(package: str, *modules: str, **names: str) -> Callable[[str], Any]:
    """The `__getattr__` of a package that shows some `modules` of its own, and `names` that stand
    in the modules they are assigned to, without importing them before they are asked for.

    >>> __getattr__ = on_demand("tidu", "func", vmap="func")
    """

    def find(name: str) -> Any:
        if name in modules:
            return importlib.import_module(f"{package}.{name}")
        if name in names:
            return getattr(importlib.import_module(f"{package}.{names[name]}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
