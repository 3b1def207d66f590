"""Gives users the operations: methods on Tensor, and the tables behind torch.x,
torch.nn.functional.x, ...
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tidu.base.source import at, here
from tidu.base.state import state
from tidu.ir.op import functions, registry
from tidu.tensor.tensor import Tensor

# "torch", "torch.nn.functional", "torch.linalg", ... -> name -> function
namespaces: dict[str, dict[str, Callable[..., Any]]] = {}


def _with_out(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    """A torch.* function also takes `out=`, a tensor to write the result to."""

    @functools.wraps(call, updated=())
    def function(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        if out is None:
            return result
        if isinstance(out, Tensor):
            _refuse_history(name, out, result)
            return write_out(out, result)
        _refuse_history(name, *out, *result)
        return type(result)(write_out(o, r) for o, r in zip(out, result, strict=True))

    function.__name__ = function.__qualname__ = name
    return function


def _refuse_history(name: str, *tensors: Tensor) -> None:
    if state.grad_enabled and any(t.requires_grad for t in tensors):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad. Leave out= away, or write `with "
            f"torch.no_grad():` around the call.{at(here())}"
        )


def write_out(out: Tensor, result: Tensor) -> Tensor:
    """Put `result` into `out`, which takes its shape."""
    if out._value.shape != result._value.shape:
        out.data = result.to(out.dtype).clone()
        return out
    return out._assign(result)


def _in_place(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    @functools.wraps(call, updated=())
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return self._assign(call(self, *args, **kwargs))

    method.__name__ = name + "_"
    return method


def bind(call: Callable[..., Any], paths: tuple[str, ...], inplace: bool) -> None:
    """Make `call` available under each path ("torch.exp", "Tensor.exp", "torch.special.exp",
    ...).
    """
    for path in paths:
        space, _, name = path.rpartition(".")
        if space == "Tensor":
            # An Op is not a plain function, which Python needs to pass `self`.
            method = call if hasattr(call, "__get__") else _as_function(call, name)
            setattr(Tensor, name, method)
            if inplace:
                setattr(Tensor, name + "_", _in_place(call, name))
        else:
            table = namespaces.setdefault(space, {})
            table[name] = _with_out(
                call if hasattr(call, "__get__") else _as_function(call, name), name
            )
            if inplace and space == "torch" and any(p == f"Tensor.{name}" for p in paths):
                table[name + "_"] = _in_place(call, name)


def _as_function(call: Callable[..., Any], name: str) -> Callable[..., Any]:
    def function(*args: Any, **kwargs: Any) -> Any:
        return call(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    return function


def bind_registry() -> None:
    """Bind every op and every public function that the ops declare."""
    for op in registry.values():
        bind(op, op.public, op.inplace)
    for declared in functions:
        bind(declared.call, declared.paths, declared.inplace)
