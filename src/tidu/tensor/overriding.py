"""Classes of the user's that take over calls of our functions: `__torch_function__`.

A class that derives from Tensor is given methods of its own, which ask its `__torch_function__`;
the one that it inherits runs the function on plain tensors and makes the results instances of the
class. Functions such as torch.add look for instances among their arguments once there is such a
class at all. For objects that are no tensors they do so after they have failed on them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from tidu.ops.moving.movement import reshape
from tidu.tensor.tensor import Tensor

# The classes that derive from Tensor and take calls over. Without one nobody pays for all this.
classes: set[type[Tensor]] = set()

# Operators that PyTorch hands over as the methods that do the same.
_SAME_AS = {
    **{f"__{name}__": name for name in ("add", "sub", "mul", "pow", "matmul", "neg", "abs")},
    **{f"__{name}__": name for name in ("lt", "le", "gt", "ge", "ne")},
    **{f"__i{name}__": f"{name}_" for name in ("add", "sub", "mul")},
    "__truediv__": "div",
    "__itruediv__": "div_",
    "__mod__": "remainder",
    "__radd__": "add",
    "__rmul__": "mul",
}
_COMMUTE = {"__radd__", "__rmul__"}
_ITSELF = {
    *("__rsub__", "__rtruediv__", "__floordiv__", "__rfloordiv__", "__rpow__", "__rmatmul__"),
    *("__rmod__", "__eq__", "__and__", "__or__", "__xor__", "__invert__", "__lshift__"),
    *("__rshift__", "__getitem__", "__setitem__", "__len__", "__bool__", "__float__", "__int__"),
    *("__index__", "__contains__", "__repr__", "__str__", "__format__", "__array__"),
}
_FUNCTIONS = (FunctionType, type(Tensor.detach))  # which may be a compiled one
# Properties that are tensors.
_TENSORS = ("T", "mT", "H", "mH", "data")
# Part of how tensors work here rather than functions of them.
_OURS = {"accumulate_", "as_subclass", "lay_as"}


class _Here(threading.local):
    plain = False  # whether instances count as plain tensors, inside the inherited method


_here = _Here()


@contextmanager
def plainly() -> Iterator[None]:
    """Inside, no class takes anything over."""
    before, _here.plain = _here.plain, True
    try:
        yield
    finally:
        _here.plain = before


def takers(arguments: Sequence[Any]) -> list[Any]:
    """Of each class that takes the call over one of the arguments, those of derived classes before
    those of their bases. Elements of lists and tuples count as arguments.
    """
    found: list[Any] = []
    if _here.plain:
        return found
    for x in arguments:
        for one in x if isinstance(x, (list, tuple)) else (x,):
            kind = type(one)
            if _takes_over(kind) and all(type(other) is not kind for other in found):
                place = next((i for i, o in enumerate(found) if isinstance(one, type(o))), None)
                found.insert(len(found) if place is None else place, one)
    return found


def _takes_over(kind: type) -> bool:
    if issubclass(kind, Tensor):
        return kind in classes
    return hasattr(kind, "__torch_function__")


def ask(
    function: Any, found: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None
) -> Any:
    """What the first class that is willing makes of a call; NotImplemented if none is."""
    kinds = tuple(type(x) for x in found)
    for kind in kinds:
        result = kind.__torch_function__(function, kinds, args, kwargs or None)
        if result is not NotImplemented:
            return result
    return NotImplemented


def asked(
    function: Any, found: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None
) -> Any:
    """`ask`, or TypeError."""
    result = ask(function, found, args, kwargs)
    if result is NotImplemented:
        who = "\n".join(f"  - tensor subclass {type(x)}" for x in found)
        raise TypeError(
            f"Multiple dispatch failed for 'torch.{function.__name__}'; all __torch_function__ "
            f"handlers returned NotImplemented:\n\n{who}"
        )
    return result


def _torch_function(
    cls: type[Tensor], func: Any, types: Sequence[type], args: Any = (), kwargs: Any = None
) -> Any:
    """Run a function on plain tensors and make its results instances of this class.

    Other libraries know the protocol too: what they ask of a plain tensor is not ours to do.
    """
    if cls not in classes or not all(issubclass(cls, kind) for kind in types):
        return NotImplemented
    with plainly():
        return _instances(func(*args, **(kwargs or {})), cls)


def _instances(result: Any, kind: type[Tensor]) -> Any:
    if isinstance(result, Tensor):
        return result if isinstance(result, kind) else as_subclass(result, kind)
    if isinstance(result, (tuple, list)):
        return type(result)(_instances(x, kind) for x in result)
    return result


def as_subclass(self: Tensor, cls: type[Tensor]) -> Tensor:
    """The same memory and history as an instance of a class that derives from Tensor."""
    if not (isinstance(cls, type) and issubclass(cls, Tensor)):
        raise TypeError(f"as_subclass(): argument 'cls' must be a subclass of Tensor, not {cls!r}")
    made: Tensor = reshape.named("AliasBackward0", self, tuple(self.shape))
    made.__class__ = cls
    return made


def _init_subclass(cls: type[Tensor], /, **kwargs: Any) -> None:
    super(Tensor, cls).__init_subclass__(**kwargs)
    if cls.__dict__.get("__module__", "").startswith("tidu.") or _is_disabled(cls):
        return
    if not any(base in classes for base in cls.__mro__):
        for name, method in _methods().items():
            if getattr(cls, name) is getattr(Tensor, name):
                setattr(cls, name, method)
    classes.add(cls)


def _is_disabled(cls: type[Tensor]) -> bool:
    inherited = getattr(cls, "__torch_function__")  # noqa: B009 (which Tensor is given below)
    return getattr(inherited, "__func__", None) is disabled


def disabled(cls: type, *_: Any) -> Any:
    """The `__torch_function__` of a class that takes nothing over."""
    return NotImplemented


def _methods() -> dict[str, Any]:
    """Methods that ask, for each of the methods of Tensor that users call, and such properties."""
    made: dict[str, Any] = {"__iter__": lambda self: iter(self.unbind(0))}
    made.update({name: _asking_property(name) for name in _TENSORS})
    for name, method in vars(Tensor).items():
        if not isinstance(method, _FUNCTIONS) or name in _OURS:
            continue
        if name in _SAME_AS:
            made[name] = _asking(getattr(Tensor, _SAME_AS[name]), method, name)
        elif name in _ITSELF or name[0] != "_":
            made[name] = _asking(method, method, name)
    return made


def _asking_property(name: str) -> property:
    whole = vars(Tensor)[name]
    return property(_asking(whole.__get__, whole.__get__, name), whole.fset)


def _asking(shown: Callable[..., Any], method: Callable[..., Any], name: str) -> Any:
    """`method` as it is for a class that takes calls over, which gets to see `shown`."""

    def ask_first(*args: Any, **kwargs: Any) -> Any:
        found = takers((*args, *kwargs.values()))
        if not found:
            return method(*args, **kwargs)
        if name in _COMMUTE and isinstance(args[1], Tensor):
            args = args[::-1]
        return (ask if name[0] == "_" else asked)(shown, found, args, kwargs)

    ask_first.__name__ = ask_first.__qualname__ = name
    ask_first.__doc__ = method.__doc__
    return ask_first


def bind_overriding() -> None:
    """Give Tensor what it has to do with its subclasses, and its methods the names by which those
    know them.
    """
    for name, method in vars(Tensor).items():
        if isinstance(method, _FUNCTIONS) and method.__name__ not in vars(Tensor):
            method.__name__ = name
    for name, method in (
        ("__torch_function__", classmethod(_torch_function)),
        ("__init_subclass__", classmethod(_init_subclass)),
        ("as_subclass", as_subclass),
    ):
        setattr(Tensor, name, method)
