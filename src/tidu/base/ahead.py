"""Modules compiled ahead of time, where there was a C compiler when tidu was installed.

`hatch_build.py` has Cython translate the modules that each operation runs through, as they are, and
puts what comes of it into `tidu/_ahead`, under names that tell from which sources it was made. Here
Python is told to load those in the place of the sources. Where one of the sources has been changed
since, or with ``TIDU_AHEAD=0``, the sources themselves are run: both do the same. What Cython is
told besides, which variables hold objects of which class, stands in a .pxd file beside the source.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import source_hash
from types import ModuleType

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FOLDER = os.path.join(PACKAGE, "_ahead")
SUFFIX = EXTENSION_SUFFIXES[0]  # tells the interpreter and the platform


class Ahead:
    """What is known of the compiled modules."""

    # Whether they are loaded: their functions have no frames.
    active = False


def digest(modules: Iterable[str]) -> str:
    """A word for what all of these modules are compiled from, by which interpreter."""
    texts: list[bytes] = []
    for module in sorted(modules):
        for ending in (".py", ".pxd"):
            path = source_of(module, ending)
            if os.path.exists(path):
                with open(path, "rb") as source:
                    texts += [module.encode(), source.read()]
    return source_hash(b"\0".join(texts)).hex()


def source_of(module: str, ending: str = ".py") -> str:
    """The path of a module's source."""
    return os.path.join(PACKAGE, *module.split(".")[1:]) + ending


def is_compiled(file_name: str) -> bool:
    """Whether it is the name by which the code of a compiled module goes, in tracebacks."""
    inside = file_name.startswith("tidu/")
    return inside and os.path.exists(os.path.join(os.path.dirname(PACKAGE), file_name))


def install() -> None:
    """From now on have those modules loaded that were compiled."""
    if os.environ.get("TIDU_AHEAD") == "0" or not os.path.isdir(FOLDER):
        return
    found: dict[str, str] = {}
    for name in os.listdir(FOLDER):
        if name.endswith(SUFFIX):
            module, _, of = name.removesuffix(SUFFIX).rpartition(".")
            found[module] = of
    if found and set(found.values()) == {digest(found)}:
        Ahead.active = True
        sys.meta_path.insert(0, _Finder(found))


class _Finder:
    """Finds modules that are there in compiled form: by name, from what they were compiled."""

    def __init__(self, found: dict[str, str]) -> None:
        self._found = found

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        of = self._found.get(name)
        if of is None:
            return None
        loader = _Loader(name, os.path.join(FOLDER, f"{name}.{of}{SUFFIX}"))
        spec = ModuleSpec(name, loader, origin=source_of(name))
        spec.has_location = True
        return spec


class _Loader(ExtensionFileLoader):
    """Loads a compiled module that goes by the path of its source."""

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = super().create_module(ModuleSpec(spec.name, self, origin=self.path))
        module.__file__ = spec.origin
        return module
