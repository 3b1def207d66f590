"""What a piece of code mentions: global variables, and the methods behind its operators."""

from __future__ import annotations

import dis
import functools
from collections.abc import Iterator
from types import CodeType

_BINARY = {
    **{"+": "add", "-": "sub", "*": "mul", "/": "truediv", "//": "floordiv", "%": "mod"},
    **{"**": "pow", "@": "matmul", "&": "and", "|": "or", "^": "xor", "<<": "lshift"},
    **{">>": "rshift"},
}
_COMPARISONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
_OTHERS = {
    "UNARY_NEGATIVE": "neg",
    "UNARY_POSITIVE": "pos",
    "UNARY_INVERT": "invert",
    "BINARY_SUBSCR": "getitem",
    "STORE_SUBSCR": "setitem",
}
_OF_GLOBALS = {
    f"{verb}_{kind}" for verb in ("LOAD", "STORE", "DELETE") for kind in ("GLOBAL", "NAME")
}
_ANYWHERE = {"__dict__", "attrgetter"}


@functools.cache
def globals_in(code: CodeType) -> tuple[str, ...]:
    """The names that it looks up, or sets, as global ones.

    The names of attributes stand beside them in `co_names`: `optimizer.step()` has nothing to do
    with a counter of the script's that is called `step`.
    """
    instructions = dis.get_instructions(code)
    names = (x.argval for x in instructions if x.opname in _OF_GLOBALS)
    return tuple(dict.fromkeys(names))


@functools.cache
def imports_in(code: CodeType) -> tuple[tuple[int, str], ...]:
    """The modules that it imports when it runs: at which level, and by which name."""
    found: list[tuple[int, str]] = []
    before: list[dis.Instruction] = []
    for x in dis.get_instructions(code):
        if x.opname == "IMPORT_NAME":  # behind the level, and the names that are imported from it
            found.append((before[-2].argval, x.argval))
        before.append(x)
    return tuple(found)


@functools.cache
def words_in(code: CodeType) -> frozenset[str]:
    """Its words, with those in patterns and each of several joined by dots."""
    words: set[str] = set()
    constants = list(code.co_consts)
    while constants:
        constant = constants.pop()
        if isinstance(constant, str):
            words.update((constant, *constant.split(".")))
        elif isinstance(constant, (tuple, frozenset)):
            constants.extend(constant)
    return frozenset(words)


@functools.cache
def may_look_anywhere(code: CodeType) -> bool:
    """Whether it may look up attributes whose names do not stand in it."""
    if not _ANYWHERE.isdisjoint(code.co_names):
        return True
    return any(x.opname == "MATCH_CLASS" and x.argval for x in dis.get_instructions(code))


def methods_of_operators(code: CodeType) -> Iterator[str]:
    """``__add__``, ``__radd__`` and ``__iadd__`` for a +, and so on."""
    for instruction in dis.get_instructions(code):
        if instruction.opname == "BINARY_OP":
            word = _BINARY[instruction.argrepr.removesuffix("=")]
            yield from (f"__{word}__", f"__r{word}__", f"__i{word}__")
        elif instruction.opname == "COMPARE_OP":
            yield f"__{_COMPARISONS[instruction.argval]}__"
        elif instruction.opname in _OTHERS:
            yield f"__{_OTHERS[instruction.opname]}__"
