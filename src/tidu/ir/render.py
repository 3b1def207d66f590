"""Graphs as text, for golden tests, for logs and for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tidu.base.dtypes import dtype
from tidu.base.source import describe
from tidu.ir.value import Value


def _type(value: Value) -> str:
    if isinstance(value.dtype, dtype):
        return f"{value.dtype.short}{list(value.shape)}"
    pairs = zip(value.dtype, value.shape, strict=True)
    return "(" + ", ".join(f"{d.short}{list(s)}" for d, s in pairs) + ")"


def _attribute(attribute: Any) -> str:
    return attribute.short if isinstance(attribute, dtype) else repr(attribute)


def render_value(value: Value, names: dict[int, str] | None = None) -> str:
    """One line: ``%3 = f32[8] mul(%2, 1.5)``."""
    names = {} if names is None else names
    arguments = []
    for x in value.inputs:
        arguments.append(names.get(id(x), _type(x)) if isinstance(x, Value) else repr(x))
    op = "leaf" if value.op is None else value.op.name
    attr_names = () if value.op is None else value.op.attr_names
    for name, attribute in zip(attr_names, value.attrs, strict=False):
        arguments.append(f"{name}={_attribute(attribute)}")
    return f"{names.get(id(value), '%?')} = {_type(value)} {op}({', '.join(arguments)})"


def render_region(region: Sequence[Value], *, lines: bool = False) -> str:
    """A region as text: its leaves, then its values in order;
    with `lines`, the user's line behind each.
    """
    names: dict[int, str] = {}
    out = []
    for value in region:
        for x in value.inputs:
            if isinstance(x, Value) and id(x) not in names and x.buffer is not None:
                names[id(x)] = f"%in{sum(n.startswith('%in') for n in names.values())}"
                out.append(f"{names[id(x)]} = {_type(x)} leaf")
        names[id(value)] = f"%{sum(not n.startswith('%in') for n in names.values())}"
        text = render_value(value, names)
        where = describe(value.position) if lines else ""
        out.append(f"{text}  # {where}" if where else text)
    return "\n".join(out)
