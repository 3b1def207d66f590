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
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Iterator
from importlib.util import resolve_name
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GenericAlias,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

import numpy as np

from tidu.base.devices import device, layout
from tidu.base.dtypes import dtype
from tidu.base.memory_formats import memory_format
from tidu.base.random.generator import Generator
from tidu.nn import Module
from tidu.optim.lr_scheduler import LRScheduler
from tidu.optim.optimizer import Optimizer
from tidu.replay.conduct import (
    INSIDE,
    LIBRARY,
    OUTSIDE,
    STATELESS,
    Conduct,
    origin,
    variables_of,
)
from tidu.replay.mentions import globals_in, imports_in, methods_of_operators
from tidu.replay.origins import (
    file_of,
    file_of_function,
    is_container_class,
    origin_of_module,
)
from tidu.replay.places import (
    MISSING,
    NUMBERS,
    Entry,
    Place,
    Size,
    Unwatchable,
    check_number,
    holds,
    members,
    same,
)
from tidu.tensor import Tensor

# Objects that never change, or whose changes are counted: compared by identity.
_CONSTANT = (
    *(BuiltinFunctionType, Generator, GenericAlias, device, dtype, enum.Enum, layout),
    *(memory_format, np.dtype, np.ufunc, range, re.Pattern, slice, type(...), type(len)),
)
# What classes may be made from: what is in it is known, or followed.
_KNOWN_BASES = {
    *(object, list, dict, OrderedDict, defaultdict, tuple, set, frozenset, SimpleNamespace),
    *NUMBERS,
}
_OF_ALL_MODULES = frozenset(vars(Module())) - {"training"}
# Dictionaries of modules to which people write behind their backs: `_forward_hooks.clear()`.
_REGISTERS = (
    *("_modules", "_parameters", "_forward_hooks", "_forward_pre_hooks"),
    *("_backward_hooks", "_backward_pre_hooks"),
)
_MADE_BY_A_CLASS_STATEMENT = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_OF_GRADIENTS = {
    *("grad", "zero_grad", "step", "unscale_", "get_total_norm"),
    *("clip_grad_norm_", "clip_grad_norm", "clip_grad_value_", "clip_grads_with_norm_"),
}
# Those whose methods users call.
_OUR_CLASSES = (Tensor, Module, Optimizer, LRScheduler)
_KEEPING_RESULTS = type(functools.cache(len))
_MOST_PLACES = 2000


# What the attributes of a class are that are functions of its instances.
_DESCRIPTORS = (
    *(property, staticmethod, classmethod, MemberDescriptorType, GetSetDescriptorType),
    type(vars(Entry)["place"]),
)


class Surroundings:
    """A snapshot of what functions read: `entries` are places with what stands there, `sizes` the
    containers with what they hold: a number of entries, these ones in this order, or these in any;
    `tensors` and `modules` are all of those among them.
    """

    def __init__(self, conduct: Conduct) -> None:
        self._conduct = conduct
        self._names = conduct.names()
        self._sought = conduct.sought()
        self.entries: list[Entry] = []
        self.sizes: list[tuple[Any, str, Size]] = []
        self.tensors: dict[int, Tensor] = {}
        self.modules: dict[int, Module] = {}
        # Where modules keep their parts and parameters, and all that these held.
        self.registers: list[dict[str, Any]] = []
        self.registered: list[Any] = []
        # Dictionaries of global variables, and names that were looked for there in vain.
        self.absent: dict[int, tuple[dict[str, Any], set[str]]] = {}
        self._functions: set[int] = set()
        # Functions with the code of some that ran, but other variables, as they are now.
        self._others: list[tuple[CodeType, tuple[int, ...]]] = []
        self._visited: dict[int, Any] = {}
        self._stack: list[tuple[Any, str, bool]] = []

    @property
    def reads_gradients(self) -> bool:
        """Whether the code may do something else where there are gradients."""
        return not self._names.isdisjoint(_OF_GRADIENTS)

    def add_function(self, function: FunctionType) -> None:
        """Follow the variables of a function that ran."""
        if id(function) in self._functions:
            return
        self._functions.add(id(function))
        code = function.__code__
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._enter(Place("cell", cell, None, f"the variable '{name}'", False))
        self._add_globals(globals_in(code), function.__globals__)
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
            self._add_globals(globals_in(code), variables)
            package = variables.get("__package__")  # code made by exec() is in none
            for level, name in imports_in(code):
                module = sys.modules.get(resolve_name("." * level + name, package))
                self._stack.append((module, name, True))
        self._stack.append((Tensor, "Tensor", True))
        self._finish()

    def add_object(self, value: Any, text: str) -> None:
        """Follow an object that is known to be there, such as the one a method was called on."""
        self._stack.append((value, text, True))
        self._finish()

    def _add_globals(self, names: Iterable[str], variables: dict[str, Any]) -> None:
        for name in names:
            if name in variables:
                self._enter(Place("item", variables, name, f"the global '{name}'", False))
            else:  # mostly a built-in function
                self.absent.setdefault(id(variables), (variables, set()))[1].add(name)

    def _enter(self, place: Place) -> None:
        value = place.read()
        self.entries.append(Entry(place, value))
        if len(self.entries) > _MOST_PLACES:
            raise Unwatchable("it depends on too many Python values to check them on every call")
        self._stack.append((value, place.text, place.counted))

    def _finish(self) -> None:
        while self._stack:
            value, text, counted = self._stack.pop()
            plain = type(value) in NUMBERS or isinstance(value, np.generic)
            if plain or id(value) in self._visited or value is MISSING:
                continue
            self._visited[id(value)] = value
            self._follow(value, text, counted)

    def _follow(self, value: Any, text: str, counted: bool) -> None:
        if isinstance(value, Tensor):
            self._follow_tensor(value, text)
        elif isinstance(value, Module):
            self._follow_module(value, text)
        elif isinstance(value, (list, dict, tuple)):
            self._follow_container(value, text, counted)
            if hasattr(value, "__dict__") and origin(file_of(type(value))) is OUTSIDE:
                self._follow_object(value, text)
        elif isinstance(value, type):
            if issubclass(value, _OUR_CLASSES) and origin(file_of(value)) is INSIDE:
                self._follow_our_class(value)
            elif value.__module__ != "builtins" and origin(file_of(value)) is OUTSIDE:
                self._follow_class(value)
        elif isinstance(value, Optimizer):
            self._follow_optimizer(value, text)
        elif isinstance(value, LRScheduler):
            self._follow_schedule(value, text)
        elif isinstance(value, ModuleType):
            kind = origin_of_module(value)
            if kind in (INSIDE, OUTSIDE):
                self._add_attributes(value, [n for n in vars(value) if n in self._names], text)
            elif kind is LIBRARY:
                self._follow_library(value)
        elif isinstance(value, FunctionType):
            kind = origin(value.__code__.co_filename)
            if kind is OUTSIDE:
                self._follow_function(value)
            elif kind is STATELESS:
                # What a decorator such as functools.singledispatch keeps for its function.
                for cell in value.__closure__ or ():
                    self._enter(Place("cell", cell, None, text, False))
        elif isinstance(value, _KEEPING_RESULTS):
            if origin(file_of_function(value.__wrapped__)) in (LIBRARY, OUTSIDE):
                raise Unwatchable(f"{text} keeps earlier results, which may be dropped at any time")
        elif isinstance(value, functools.partial):
            for part in (value.func, value.args, value.keywords):
                self._stack.append((part, text, True))
        elif isinstance(value, MethodType):
            self._stack.append((value.__self__, type(value.__self__).__name__, True))
            self._stack.append((value.__func__, text, True))
        elif isinstance(value, (set, frozenset)):
            self._follow_set(value, text)
        elif isinstance(value, (CodeType, *_DESCRIPTORS, *_CONSTANT)):
            pass
        elif type(value).__module__.split(".")[0] == "tidu":
            # Our own methods run unseen, and may read any of them.
            self._add_attributes(value, getattr(value, "__dict__", {}), text)
        else:
            self._follow_object(value, text)

    def _follow_tensor(self, tensor: Tensor, text: str) -> None:
        """The attributes that users have given it, and those that code has looked for in vain."""
        self.tensors[id(tensor)] = tensor
        own = [name for name in vars(tensor) if not name.startswith("_")]
        self._follow_attributes(tensor, own, text)
        for name in self._sought.difference(dir(tensor)):
            self.entries.append(Entry(Place("own", tensor, name, f"{text}.{name}", False), MISSING))

    def _follow_module(self, module: Module, text: str) -> None:
        """Setting an attribute of a module is counted, but what it holds may change itself, and its
        dictionaries may be written to.
        """
        self.modules[id(module)] = module
        state = vars(module)
        for register in map(state.get, _REGISTERS):
            if register:
                self.registers.append(register)
                self.registered.extend(register.values())
        for name, child in state.get("_modules", {}).items():
            self._stack.append((child, f"{text}.{name}", True))
        for tensor in state.get("_parameters", {}).values():
            if tensor is not None:
                self._follow_tensor(tensor, text)
        buffers = state.get("_buffers", {})
        for name in buffers:
            self._enter(Place("item", buffers, name, f"{text}.{name}", True))
        if origin(file_of(type(module))) is OUTSIDE:
            own = [name for name in state if name not in _OF_ALL_MODULES]
            self._follow_attributes(module, own, text)
        self._stack.append((type(module), type(module).__name__, True))

    def _follow_container(self, value: Any, text: str, counted: bool) -> None:
        check_number(value, text)
        if isinstance(value, tuple):
            for part in value:
                self._stack.append((part, text, counted))
            return
        keys: Any = list(value) if isinstance(value, dict) else range(len(value))
        self.sizes.append((value, text, keys if isinstance(value, dict) else len(value)))
        for key in keys:
            self._enter(Place("item", value, key, f"{text}[{key!r}]", False))
            self._stack.append((key, f"a key of {text}", True))

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

    def _follow_function(self, function: FunctionType) -> None:
        """What may be exchanged in a function; its variables are followed wherever it was made."""
        text = f"the function '{function.__name__}'"
        if function.__code__ in self._conduct.codes:
            self._add_attributes(function, ["__code__", "__defaults__", "__kwdefaults__"], text)
        if vars(function):
            self.sizes.append((vars(function), text, len(vars(function))))
            self._follow_attributes(function, vars(function), text)

    def _follow_set(self, value: set[Any] | frozenset[Any], text: str) -> None:
        check_number(value, text)
        if isinstance(value, set):
            self.sizes.append((value, text, frozenset(value)))
        for part in value:
            self._stack.append((part, text, True))

    def _follow_optimizer(self, optimizer: Optimizer, text: str) -> None:
        """The options are traced where the optimizer itself reads them."""
        groups = optimizer.param_groups
        for name, held in (("param_groups", groups), ("state", optimizer.state)):
            place = Place("attribute", optimizer, name, f"{text}.{name}", False)
            self.entries.append(Entry(place, held))
        self.sizes.append((groups, text, list(groups)))
        self._stack.append((type(optimizer), type(optimizer).__name__, True))
        # A method may be hidden by an attribute of this optimizer.
        for name in self._names.intersection(dir(type(optimizer))):
            place = Place("own", optimizer, name, f"{text}.{name}", False)
            self.entries.append(Entry(place, place.read()))
        for number, group in enumerate(groups):
            self.sizes.append((group["params"], text, list(group["params"])))
            for name in group if "param_groups" in self._names else ():
                if name in self._names and name != "params":
                    option = f"{text}.param_groups[{number}][{name!r}]"
                    self._enter(Place("item", group, name, option, False))

    def _follow_schedule(self, schedule: LRScheduler, text: str) -> None:
        self._stack.append((type(schedule), type(schedule).__name__, True))
        self._follow_attributes(schedule, vars(schedule), text)
        if "get_last_lr" in self._names:
            self._add_attributes(schedule, ["_last_lr"], text)

    def _follow_class(self, kind: type) -> None:
        """What a class defines of what ran or is named, and the classes that it is made from."""
        members = dict(vars(kind))
        self.sizes.append((kind, kind.__name__, len(members)))
        for name, member in members.items():
            function = getattr(member, "fget", getattr(member, "__func__", member))
            ran = getattr(function, "__code__", None) in self._conduct.codes
            if ran or name in self._names:
                self._enter(Place("member", kind, name, f"{kind.__name__}.{name}", False))
        for base in (type(kind), *kind.__bases__):
            self._stack.append((base, base.__name__, True))

    def _follow_our_class(self, kind: type) -> None:
        """What code may call of a class of ours: somebody may put something else in its place."""
        names = {name for name in self._names.intersection(dir(kind)) if name[:2] != "__"}
        if issubclass(kind, Module):
            # What all layers have is looked for once.
            names = names if kind is Module else names.difference(dir(Module))
            names |= {"forward", "__call__"}
            self._stack.append((Module, "Module", True))
        elif issubclass(kind, Tensor):
            used = {name for code in self._conduct.codes for name in methods_of_operators(code)}
            names |= used.intersection(dir(kind))
        self._add_attributes(kind, sorted(names), kind.__name__)

    def _follow_attributes(self, owner: Any, names: Iterable[str], text: str) -> None:
        """Follow those attributes that the code may look for."""
        wanted = [name for name in names if self._conduct.any_name or name in self._names]
        self._add_attributes(owner, wanted, text)

    def _add_attributes(self, owner: Any, names: Iterable[str], text: str) -> None:
        for name in names:
            self._enter(Place("attribute", owner, name, f"{text}.{name}", False))

    def _follow_object(self, value: Any, text: str) -> None:
        kind = type(value)
        slots = [n for base in kind.__mro__ for n in base.__dict__.get("__slots__", ())]
        if kind is not SimpleNamespace and (
            not kind.__flags__ & _MADE_BY_A_CLASS_STATEMENT
            or not (slots or hasattr(value, "__dict__"))
        ):
            raise Unwatchable(f"{text} is a {kind.__name__}, whose changes cannot be noticed")
        for base in kind.__mro__:
            if not base.__flags__ & _MADE_BY_A_CLASS_STATEMENT and base not in _KNOWN_BASES:
                raise Unwatchable(f"{text} is a {kind.__name__}, whose changes cannot be noticed")
        attributes = getattr(value, "__dict__", {})
        if hasattr(value, "__dict__"):
            # A new attribute may hide one of the class, or be what the code has looked for in vain.
            self.sizes.append((attributes, text, len(attributes)))
        if any(is_container_class(base) for base in kind.__mro__):
            self._add_attributes(value, [*attributes, *slots], text)
        self._follow_attributes(value, [*attributes, *slots], text)
        self._add_attributes(value, ["__class__"], text)
        self._stack.append((kind, kind.__name__, True))

    def changes(self) -> Iterator[tuple[Entry, Any]]:
        """The places where something else stands now, each with that. Raises Unwatchable where a
        container has grown or shrunk.
        """
        for container, text, size in self.sizes:
            if not holds(container, size):
                raise Unwatchable(f"it adds to, or removes from, {text}")
        registered = [*members(self.registers)]
        if not holds(registered, self.registered):
            raise Unwatchable("it exchanges parts or parameters of a module")
        for entry in self.entries:
            value = entry.place.read()
            if value is not entry.value and not same(value, entry.value):
                yield entry, value
