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


@functools.cache
def globals_in(code: CodeType) -> tuple[str, ...]:
    """The names that it looks up, or sets, as global ones.

    The names of attributes stand beside them in `co_names`: `optimizer.step()` has nothing to do
    with a counter of the script's that is called `step`.
    """
    instructions = dis.get_instructions(code)
    names = (x.argval for x in instructions if x.opname in _OF_GLOBALS)
    return tuple(dict.fromkeys(names))


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
