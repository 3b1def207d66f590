"""Modules that are loaded when they are first needed."""

from __future__ import annotations

import importlib
import sys
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


def on_demand(
    module: str, *modules: str, **names: str
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The `__getattr__` and the `__dir__` of a module that shows some `modules` below it, and
    `names` that stand in the modules they are assigned to, without importing them before they are
    asked for. Names of modules are relative to `module`, as in `from .func import vmap`.

    ValueError for a name that its own module has: the import system would put that in its place.

    >>> __getattr__, __dir__ = on_demand("tidu", "func", vmap="func")
    """

    hidden = [name for name, home in names.items() if name == home]
    if hidden:
        raise ValueError(f"{module}.{hidden[0]} is a module and cannot be something else on demand")

    def find(name: str) -> Any:
        if name in modules:
            found: Any = importlib.import_module(f".{name}", module)
        elif name in names:
            found = getattr(importlib.import_module(f".{names[name]}", module), name)
        else:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        setattr(sys.modules[module], name, found)  # nobody has to find it again
        return found

    def show() -> list[str]:
        return sorted({*vars(sys.modules[module]), *modules, *names})

    return find, show
