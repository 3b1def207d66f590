"""Whose code stands behind a module, a function or a class: ours, a library's or the user's."""

from __future__ import annotations

import sys
from types import FunctionType, ModuleType
from typing import Any

from tidu.replay.conduct import OUTSIDE, origin


def origin_of_module(module: ModuleType) -> str | None:
    """Whose code a module holds; what was made without a file and not built in is the user's."""
    file = getattr(module, "__file__", None)
    if file is not None:
        return origin(file)
    return OUTSIDE if getattr(module, "__spec__", None) is None else None


def file_of_function(function: Any) -> str:
    """The file that a function was defined in; what has no code is taken for the script's."""
    code = getattr(function, "__code__", None)
    return "<script>" if code is None else code.co_filename


def is_container_class(kind: type) -> bool:
    """Whether it is one of those of the standard library whose code runs unseen and has state."""
    return kind.__module__ == "collections" and "__init__" in vars(kind)


_files: dict[type, str] = {}


def file_of(kind: type) -> str:
    """The file that defines a class, as far as that can be told."""
    if kind not in _files:
        _files[kind] = _find_file(kind)
    return _files[kind]


def _find_file(kind: type) -> str:
    for member in vars(kind).values():
        function = getattr(member, "__func__", member)
        if isinstance(function, FunctionType) and function.__code__.co_filename != "<string>":
            return function.__code__.co_filename
    return getattr(sys.modules.get(kind.__module__), "__file__", None) or "<script>"
