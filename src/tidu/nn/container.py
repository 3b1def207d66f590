"""Modules in order and under keys: Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from operator import index as as_index
from typing import Any, TypeVar

from tidu.base.changes import changes
from tidu.nn.module import Module
from tidu.nn.naming import indent, layout

S = TypeVar("S", bound="Sequential")
L = TypeVar("L", bound="ModuleList")


class _Numbered(Module):
    """Modules under the names "0", "1", ...: what Sequential and ModuleList have in common."""

    def _name_at(self, position: Any) -> str:
        """The name of the module at a position; IndexError outside the range."""
        size = len(self._modules)
        position = as_index(position)
        if not -size <= position < size:
            raise IndexError(f"index {position} is out of range")
        return next(islice(self._modules, position % size, None))

    def _renumber(self, modules: Iterable[Module]) -> None:
        self._modules = OrderedDict((str(i), module) for i, module in enumerate(modules))

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Module]:
        return iter(self._modules.values())

    def __dir__(self) -> list[str]:
        return [name for name in super().__dir__() if not name.isdigit()]

    def _delete(self, position: Any) -> None:
        names = (
            list(self._modules)[position]
            if isinstance(position, slice)
            else [self._name_at(position)]
        )
        for name in names:
            del self._modules[name]
        self._renumber(list(self._modules.values()))


class Sequential(_Numbered):
    """Modules one after the other: each gets what the one before returned.

    ``Sequential(a, b)`` names them "0", "1"; ``Sequential(OrderedDict(first=a, second=b))`` keeps
    the given names.

    >>> torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU())(torch.ones(1, 2)).shape
    torch.Size([1, 3])
    """

    _modules: dict[str, Module]

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(args):
                self.add_module(str(i), module)

    def forward(self, input: Any) -> Any:
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            return type(self)(OrderedDict(list(self._modules.items())[idx]))
        return self._modules[self._name_at(idx)]

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, self._name_at(idx), module)

    def __delitem__(self, idx: Any) -> None:
        self._delete(idx)

    def append(self: S, module: Module) -> S:
        """Put `module` at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self: S, index: int, module: Module) -> S:
        """Put `module` before position `index`; IndexError outside the range."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        size = len(self._modules)
        if not -size <= index <= size:
            raise IndexError(f"Index out of range: {index}")
        modules = list(self._modules.values())
        modules.insert(index + size if index < 0 else index, module)
        self._renumber(modules)
        return self

    def extend(self: S, sequential: Iterable[Module]) -> S:
        """Put several modules at the end."""
        for module in sequential:
            self.append(module)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take out the module at a position."""
        module = self[key]
        del self[key]
        return module

    def __add__(self, other: Sequential) -> Sequential:
        if not isinstance(other, Sequential):
            raise ValueError(
                f"add operator supports only objects of Sequential class, but {type(other)} is "
                f"given."
            )
        return Sequential(*self, *other)

    def __iadd__(self: S, other: Sequential) -> S:
        if not isinstance(other, Sequential):
            raise ValueError(
                f"add operator supports only objects of Sequential class, but {type(other)} is "
                f"given."
            )
        return self.extend(list(other))

    def __mul__(self, times: int) -> Sequential:
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")
        return Sequential(*(module for _ in range(times) for module in self))

    __rmul__ = __mul__

    def __imul__(self: S, times: int) -> S:
        if not isinstance(times, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(times)}")
        if times <= 0:
            raise ValueError(f"Non-positive multiplication factor {times} for {type(self)}")
        once = list(self)
        for _ in range(times - 1):
            self.extend(once)
        return self


class ModuleList(_Numbered):
    """A list of modules that are registered, so that their parameters are found.

    >>> layers = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(3))
    """

    _modules: dict[str, Module]

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            return type(self)(list(self._modules.values())[idx])
        return self._modules[self._name_at(idx)]

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, self._name_at(idx), module)

    def __delitem__(self, idx: Any) -> None:
        self._delete(idx)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList(chain(self, other))

    def __iadd__(self: L, modules: Iterable[Module]) -> L:
        return self.extend(modules)

    def append(self: L, module: Module) -> L:
        """Put `module` at the end."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index: int, module: Module) -> None:
        """Put `module` before position `index`."""
        modules = list(self._modules.values())
        modules.insert(index, module)
        self._renumber(modules)

    def extend(self: L, modules: Iterable[Module]) -> L:
        """Put several modules at the end; TypeError for something that is not iterable."""
        if not isinstance(modules, Iterable):
            raise TypeError(
                f"ModuleList.extend should be called with an iterable, but got "
                f"{type(modules).__name__}"
            )
        for i, module in enumerate(modules, len(self)):
            self.add_module(str(i), module)
        return self

    def pop(self, key: int | slice) -> Any:
        """Take out the module at a position."""
        module = self[key]
        del self[key]
        return module

    def __repr__(self) -> str:
        """Equal neighbors share a line: ``(0-2): 3 x Linear(...)``."""
        runs: list[list[Any]] = []  # [first, last, text]
        for i, text in enumerate(repr(module) for module in self):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        lines = [
            f"({a}): {indent(text)}" if a == b else f"({a}-{b}): {b - a + 1} x {indent(text)}"
            for a, b, text in runs
        ]
        return layout(self._get_name(), [], lines)


class ModuleDict(Module):
    """A dictionary of modules that are registered; keeps the order of insertion.

    >>> heads = torch.nn.ModuleDict({"value": torch.nn.Linear(8, 1)})
    """

    _modules: dict[str, Module]

    def __init__(
        self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None
    ) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Module:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        changes.of(self)
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take out everything."""
        changes.of(self)
        self._modules.clear()

    def pop(self, key: str) -> Module:
        """Take out the module under `key`."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> Iterable[str]:
        return self._modules.keys()

    def items(self) -> Iterable[tuple[str, Module]]:
        return self._modules.items()

    def values(self) -> Iterable[Module]:
        return self._modules.values()

    def update(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]]) -> None:
        """Take in modules from a mapping or from pairs of key and module."""
        for key, module in pairs_of(modules, ModuleDict, "ModuleDict.update", "ModuleDict update"):
            self[key] = module


def pairs_of(source: Any, own: type[Any], method: str, what: str) -> Iterable[tuple[Any, Any]]:
    """The pairs that a mapping, another container of the class `own` or an iterable holds."""
    if isinstance(source, (Mapping, own)):
        held: Iterable[tuple[Any, Any]] = source.items()
        return held
    if not isinstance(source, Iterable):
        raise TypeError(
            f"{method} should be called with an iterable of key/value pairs, but got "
            f"{type(source).__name__}"
        )
    pairs: list[Any] = list(source)
    for i, pair in enumerate(pairs):
        if not isinstance(pair, Iterable):
            raise TypeError(
                f"{what} sequence element #{i} should be Iterable; is{type(pair).__name__}"
            )
        length = len(pair)  # type: ignore[arg-type]
        if length != 2:
            raise ValueError(f"{what} sequence element #{i} has length {length}; 2 is required")
    return pairs
