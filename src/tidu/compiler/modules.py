"""Kernels as modules of LLVM IR: what is compiled together and kept as one piece of code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Function(NamedTuple):
    """The text of one kernel, and what a module needs besides: declarations and helpers."""

    text: str
    declarations: frozenset[str]
    whole: bool = False  # a module of its own


class Module(NamedTuple):
    """The text of a module of LLVM IR, and the kernels that it has."""

    names: list[str]
    text: str


def modules(functions: dict[str, Function], most: int) -> list[Module]:
    """Modules for all functions, with at most so many kernels in each."""
    made = [Module([name], function.text) for name, function in functions.items() if function.whole]
    names = sorted(name for name, function in functions.items() if not function.whole)
    for start in range(0, len(names), most):
        part = names[start : start + most]
        made.append(Module(part, module_text(functions[name] for name in part)))
    return made


def module_text(functions: Iterable[Function]) -> str:
    """Kernels as one module of LLVM IR."""
    functions = tuple(functions)
    declarations = frozenset().union(*(f.declarations for f in functions))
    return "\n".join([*(f.text for f in functions), *sorted(declarations), "!0 = !{}", ""])
