"""What the compiler works with as plain text, and back: the same text in every process.

The text is JSON. Numbers, strings and None stand for themselves; anything else is a list that
begins with what it is. Dataclasses and named tuples of this package are lists of their fields, so
that a new field needs nothing here. A field declared with the metadata `UNWRITTEN` is read as None.
Reading a text makes such objects and nothing else: it imports no module and calls no other
function.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import sys
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.ir.argument import FloatArgument, IntArgument, argument
from tidu.ir.op import Op, registry
from tidu.ir.value import Value

# For a field of a dataclass, such as one that only a person has a use for.
UNWRITTEN = {"written": False}
_PACKAGE = __name__.partition(".")[0]
_ATOMS = frozenset({type(None), bool, int, float, str})
_TYPES = {kind.__name__: kind for kind in (*_ATOMS, tuple)}


class NotPlainError(TypeError):
    """Something cannot be written as text that means the same in another process."""


def dumps(x: Any) -> str:
    """The text of `x`. Raises NotPlainError."""
    writer = _Writer()
    whole = writer.write(x)
    return json.dumps([list(writer.classes), whole], separators=(",", ":"))


def loads(text: str | bytes) -> Any:
    """What `dumps` was given. Raises ValueError, or another error, for what it has not written."""
    names, whole = json.loads(text)
    return _Reader([_class(name) for name in names]).read(whole)


class _Writer:
    def __init__(self) -> None:
        self.classes: dict[str, int] = {}  # by name: its number

    def write(self, x: Any) -> Any:
        kind = x.__class__
        if kind in _ATOMS:
            return x
        if kind is tuple:
            return ["tuple", *map(self.write, x)]
        if kind is list:
            return ["list", *map(self.write, x)]
        if kind is dict:
            return ["dict", *[self.write(y) for pair in x.items() for y in pair]]
        special = _WRITERS.get(Op if issubclass(kind, Op) else kind)
        if special is not None:
            return special(self, x)
        values = [None if name is None else self.write(getattr(x, name)) for name in _fields(kind)]
        return [self.number(kind), *values]

    def number(self, kind: type) -> int:
        name = f"{kind.__module__}:{kind.__qualname__}"
        return self.classes.setdefault(name, len(self.classes))


@cache
def _fields(kind: type) -> tuple[str | None, ...]:
    """The fields of a dataclass or named tuple of this package; None for one left out."""
    if kind.__module__.partition(".")[0] == _PACKAGE:
        if dataclasses.is_dataclass(kind):
            fields = dataclasses.fields(kind)
            return tuple([f.name if f.metadata.get("written", True) else None for f in fields])
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            names: tuple[str, ...] = kind._fields
            return names
    raise NotPlainError(f"a {kind.__module__}.{kind.__qualname__} cannot be written as text")


def _write_op(writer: _Writer, op: Op) -> Any:
    """By its name, unless it was declared outside this package, where it may change unseen."""
    rules = (op.infer, op.numpy, op.emit, op.decompose, op.layout, op.pieces, op.indexed)
    ours = all(
        not isinstance(rule, FunctionType) or rule.__module__.partition(".")[0] == _PACKAGE
        for rule in rules
    )
    if registry.get(op.name) is not op or not ours:
        raise NotPlainError(f"operation '{op.name}' is not one of {_PACKAGE}'s own")
    return ["op", op.name]


def _write_array(writer: _Writer, x: np.ndarray[Any, Any]) -> Any:
    name = dtypes.from_numpy(x.dtype).name
    data = base64.b64encode(np.ascontiguousarray(x).tobytes()).decode()
    return ["array", name, list(x.shape), data]


def _write_type(writer: _Writer, x: type) -> Any:
    if _TYPES.get(x.__name__) is not x:
        raise NotPlainError(f"{x} cannot be written as text")
    return ["type", x.__name__]


_WRITERS: dict[type, Callable[[_Writer, Any], Any]] = {
    frozenset: lambda writer, x: ["frozenset", *map(writer.write, sorted(x))],
    dtypes.dtype: lambda writer, x: ["dtype", x.name],
    type: _write_type,
    Op: _write_op,
    np.ndarray: _write_array,
    FloatArgument: lambda writer, x: ["argument", "float", x.number],
    IntArgument: lambda writer, x: ["argument", "int", x.number],
    # The operation alone, without what it was applied to.
    Value: lambda writer, x: ["value", *map(writer.write, (x.op, x.attrs, x.shape, x.dtype))],
}


class _Reader:
    def __init__(self, classes: list[type]) -> None:
        self.classes = classes

    def read(self, x: Any) -> Any:
        if x.__class__ is not list:
            return x
        kind, *parts = x
        if kind.__class__ is int:
            return self.classes[kind](*self.every(parts))
        return _READERS[kind](self, parts)

    def every(self, parts: list[Any]) -> list[Any]:
        # Most parts stand for themselves.
        return [self.read(x) if x.__class__ is list else x for x in parts]


def _class(name: str) -> type:
    """A dataclass or named tuple that has been imported."""
    module, _, path = name.partition(":")
    found = getattr(sys.modules.get(module), path, None)
    if not isinstance(found, type):
        raise ValueError(f"there is no class {name}")
    _fields(found)
    return found


def _read_dict(reader: _Reader, parts: list[Any]) -> dict[Any, Any]:
    read = reader.every(parts)
    return dict(zip(read[::2], read[1::2], strict=True))


def _read_array(reader: _Reader, parts: list[Any]) -> np.ndarray[Any, Any]:
    name, shape, data = parts
    numbers = np.frombuffer(base64.b64decode(data), dtypes.from_name(name).numpy)
    return numbers.reshape(shape).copy()


def _read_value(reader: _Reader, parts: list[Any]) -> Value:
    op, attrs, shape, kind = reader.every(parts)
    return Value(op, (), attrs, shape, kind, None)


_READERS: dict[str, Callable[[_Reader, list[Any]], Any]] = {
    "tuple": lambda reader, parts: tuple(reader.every(parts)),
    "list": lambda reader, parts: reader.every(parts),
    "dict": _read_dict,
    "frozenset": lambda reader, parts: frozenset(reader.every(parts)),
    "dtype": lambda reader, parts: dtypes.from_name(parts[0]),
    "type": lambda reader, parts: _TYPES[parts[0]],
    "op": lambda reader, parts: registry[parts[0]],
    "array": _read_array,
    "argument": lambda reader, parts: argument(_TYPES[parts[0]](), parts[1]),
    "value": _read_value,
}
