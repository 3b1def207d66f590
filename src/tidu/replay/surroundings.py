"""The Python values around a function: what its code reads from variables, containers and objects.

A replayed call does not run that code, so it has to be known beforehand which of its surroundings
it depends on. They are found by following the names that the code mentions, from the variables of
the functions that ran.
"""

from __future__ import annotations

import enum
import functools
import re
import sys
from collections.abc import Iterable, Iterator
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GenericAlias,
    MethodType,
    ModuleType,
    NoneType,
)
from typing import Any, NamedTuple

import numpy as np

from tidu.base.devices import device, layout, memory_format
from tidu.base.dtypes import dtype
from tidu.base.random.generator import Generator
from tidu.nn import Module
from tidu.replay.conduct import LIBRARY, OUTSIDE, Conduct, origin, variables_of
from tidu.tensor import Tensor

MISSING = object()
# Values that never change: a variable that holds one is compared by value.
_NUMBERS = (NoneType, bool, int, float, complex, str, bytes, np.generic)
# Objects that never change, or whose changes are counted: compared by identity.
_CONSTANT = (
    *(BuiltinFunctionType, Generator, GenericAlias, device, dtype, enum.Enum, layout),
    *(memory_format, np.dtype, np.ufunc, range, re.Pattern, slice, type(...), type(len)),
)
_MADE_BY_A_CLASS_STATEMENT = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_MOST_ENTRIES = 64
_MOST_PLACES = 2000


class Unwatchable(Exception):  # noqa: N818 (not an error: the call has worked)
    """A value whose changes would go unnoticed."""


class Place(NamedTuple):
    """Where a value stands: in a cell, under a global name, in a container, or in an attribute."""

    kind: str
    owner: Any
    key: Any
    text: str  # for people
    counted: bool  # whether a change there would show in the count of changes

    def read(self) -> Any:
        try:
            if self.kind == "cell":
                return self.owner.cell_contents
            if self.kind == "item":
                return self.owner[self.key]
            return getattr(self.owner, self.key, MISSING)
        except (ValueError, LookupError):
            return MISSING


class Entry(NamedTuple):
    place: Place
    value: Any


class Surroundings:
    """A snapshot of what functions read: `entries` are places with what stands there, `sizes` the
    containers with their keys, `tensors` and `modules` all of those among them.
    """

    def __init__(self, conduct: Conduct) -> None:
        self._conduct = conduct
        self._names = conduct.names()
        self.entries: list[Entry] = []
        self.sizes: list[tuple[Any, str, list[Any] | int]] = []
        self.tensors: dict[int, Tensor] = {}
        self.modules: dict[int, Module] = {}
        self._functions: set[int] = set()
        # Functions with the code of some that ran, but other variables, as they are now.
        self._others: list[tuple[CodeType, tuple[int, ...]]] = []
        self._visited: dict[int, Any] = {}
        self._stack: list[tuple[Any, str, bool]] = []

    def add_function(self, function: FunctionType) -> None:
        """Follow the variables of a function that ran."""
        if id(function) in self._functions:
            return
        self._functions.add(id(function))
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._enter(Place("cell", cell, None, f"the variable '{name}'", False))
        self._add_globals(code.co_names, function.__globals__)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._stack.append((default, "a default argument", True))
        self._finish()

    def add_functions(self, functions: list[FunctionType]) -> None:
        """Follow those of several functions with one code that ran, as far as can be told."""
        code = functions[0].__code__
        seen = self._conduct.variables.get(code, set())
        now = {id(function): variables_of(function) for function in functions}
        # Where a variable has changed since, it may have been any of them.
        unclear = bool(seen - set(now.values()))
        for function in functions:
            if unclear or not now[id(function)] or now[id(function)] in seen:
                self.add_function(function)
            else:
                self._others.append((code, now[id(function)]))

    def others_ran(self, conduct: Conduct) -> bool:
        """Whether functions ran that are not followed."""
        return any(now in conduct.variables.get(code, ()) for code, now in self._others)

    def add_globals(self) -> None:
        """Follow the global names of all code that ran."""
        for code, variables in self._conduct.codes.items():
            self._add_globals(code.co_names, variables)
        self._finish()

    def add_object(self, value: Any, text: str) -> None:
        """Follow an object that is known to be there, such as the one a method was called on."""
        self._stack.append((value, text, True))
        self._finish()

    def _add_globals(self, names: Iterable[str], variables: dict[str, Any]) -> None:
        for name in names:
            if name in variables:
                self._enter(Place("item", variables, name, f"the global '{name}'", False))

    def _enter(self, place: Place) -> None:
        value = place.read()
        self.entries.append(Entry(place, value))
        if len(self.entries) > _MOST_PLACES:
            raise Unwatchable("it depends on too many Python values to check them on every call")
        self._stack.append((value, place.text, place.counted))

    def _finish(self) -> None:
        while self._stack:
            value, text, counted = self._stack.pop()
            if isinstance(value, _NUMBERS) or id(value) in self._visited or value is MISSING:
                continue
            self._visited[id(value)] = value
            self._follow(value, text, counted)

    def _follow(self, value: Any, text: str, counted: bool) -> None:
        if isinstance(value, Tensor):
            self.tensors[id(value)] = value
        elif isinstance(value, Module):
            self._follow_module(value, text)
        elif isinstance(value, (list, dict, tuple)):
            self._follow_container(value, text, counted)
        elif isinstance(value, type):
            if origin(_file_of(value)) is OUTSIDE:
                self._follow_attributes(value, vars(value), text)
        elif isinstance(value, ModuleType):
            file = getattr(value, "__file__", None)
            if file is not None and origin(file) is OUTSIDE:
                self._follow_attributes(value, vars(value), text)
            elif file is not None and origin(file) is LIBRARY:
                self._follow_library(value)
        elif isinstance(value, FunctionType):
            pass  # those that ran are followed in any case
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self._stack.append((part, text, True))
        elif isinstance(value, MethodType):
            self._stack.append((value.__self__, text, True))
            self._stack.append((value.__func__, text, True))
        elif isinstance(value, (frozenset, *_CONSTANT)):
            pass
        elif type(value).__module__.split(".")[0] == "tidu":
            pass  # what our own objects hold is followed by whoever defines them
        elif isinstance(value, set):
            self.sizes.append((value, text, len(value)))
        else:
            self._follow_object(value, text)

    def _follow_module(self, module: Module, text: str) -> None:
        """Attributes of modules are counted when they are set; what they hold may change itself."""
        self.modules[id(module)] = module
        state = vars(module)
        for name, child in state.get("_modules", {}).items():
            self._stack.append((child, f"{text}.{name}", True))
        for tensor in state.get("_parameters", {}).values():
            if tensor is not None:
                self.tensors[id(tensor)] = tensor
        buffers = state.get("_buffers", {})
        for name in buffers:
            self._enter(Place("item", buffers, name, f"{text}.{name}", True))
        if origin(_file_of(type(module))) is OUTSIDE:
            self._follow_attributes(module, state, text, counted=True)
            self._stack.append((type(module), type(module).__name__, True))

    def _follow_container(self, value: Any, text: str, counted: bool) -> None:
        if len(value) > _MOST_ENTRIES:
            raise Unwatchable(
                f"{text} has {len(value)} entries, too many to check them on every call"
            )
        if isinstance(value, tuple):
            for part in value:
                self._stack.append((part, text, counted))
            return
        keys: Any = list(value) if isinstance(value, dict) else range(len(value))
        self.sizes.append((value, text, len(value)))
        for key in keys:
            self._enter(Place("item", value, key, f"{text}[{key!r}]", False))

    def _follow_library(self, module: ModuleType) -> None:
        """Compiled functions of libraries run unseen, and those of some give random numbers."""
        for name, value in vars(module).items():
            if name not in self._names:
                continue
            if isinstance(value, ModuleType):
                self._stack.append((value, value.__name__, True))
            elif (
                isinstance(value, MethodType) or type(value).__name__ == "cython_function_or_method"
            ):
                raise Unwatchable(f"it may call {module.__name__}.{name}()")

    def _follow_attributes(
        self, owner: Any, state: Any, text: str, *, counted: bool = False
    ) -> None:
        for name in state:
            if name in self._names and not isinstance(state[name], (property, staticmethod)):
                if isinstance(owner, type) and callable(state[name]):
                    continue
                self._enter(Place("attribute", owner, name, f"{text}.{name}", counted))

    def _follow_object(self, value: Any, text: str) -> None:
        kind = type(value)
        slots = [n for base in kind.__mro__ for n in base.__dict__.get("__slots__", ())]
        if not kind.__flags__ & _MADE_BY_A_CLASS_STATEMENT or not (
            slots or hasattr(value, "__dict__")
        ):
            raise Unwatchable(f"{text} is a {kind.__name__}, whose changes cannot be noticed")
        attributes = getattr(value, "__dict__", {})
        # A new attribute may hide one of the class, or be what the code has looked for in vain.
        self.sizes.append((attributes, text, len(attributes)))
        self._follow_attributes(value, attributes, text)
        for name in slots:
            if name in self._names:
                self._enter(Place("attribute", value, name, f"{text}.{name}", False))
        self._stack.append((kind, kind.__name__, True))

    def changes(self) -> Iterator[tuple[Entry, Any]]:
        """The places where something else stands now, each with that. Raises Unwatchable where a
        container has grown or shrunk.
        """
        for container, text, size in self.sizes:
            if len(container) != size:
                raise Unwatchable(f"it adds to, or removes from, {text}")
        for entry in self.entries:
            value = entry.place.read()
            if value is not entry.value and not same(value, entry.value):
                yield entry, value


_files: dict[type, str] = {}


def _file_of(kind: type) -> str:
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


def same(a: Any, b: Any) -> bool:
    """Whether two values are interchangeable: identical, or equal numbers or words of one type."""
    if a is b:
        return True
    return a.__class__ is b.__class__ and isinstance(a, _NUMBERS) and bool(a == b)
