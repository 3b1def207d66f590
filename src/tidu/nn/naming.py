"""How modules and their parts are called in messages and in `print(module)`."""

from __future__ import annotations

from typing import Any

from tidu.tensor import Tensor


def typename(x: Any) -> str:
    """The full name of an object's class, as messages show it."""
    kind = x if isinstance(x, type) else type(x)
    if isinstance(x, Tensor):
        return str(x.type())
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def layout(name: str, extra: list[str], children: list[str]) -> str:
    """``Name(extra)`` on one line where there is only one; otherwise one line each."""
    if not children and len(extra) <= 1:
        return f"{name}({''.join(extra)})"
    inner = "\n  ".join(extra + children)
    return f"{name}(\n  {inner}\n)"


def indent(text: str) -> str:
    """Two spaces before every line but the first."""
    return text.replace("\n", "\n  ")
