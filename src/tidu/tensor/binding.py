"""Gives users the operations:
methods on Tensor, and the tables behind torch.x, torch.nn.functional.x, ...
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from tidu.base import dtypes
from tidu.base.allocation import out_of_memory
from tidu.base.source import at, here, locate
from tidu.base.state import state
from tidu.execute import buffer_of
from tidu.ir.op import Op, functions, registry
from tidu.tensor import overriding
from tidu.tensor.applying import apply
from tidu.tensor.overriding import classes as overriding_classes
from tidu.tensor.strangers import stranger
from tidu.tensor.tensor import Tensor

# "torch", "torch.nn.functional", "torch.linalg", ... -> name -> function
namespaces: dict[str, dict[str, Callable[..., Any]]] = {}


# NumPy's names of arguments, which PyTorch takes as well, and those of PyTorch's own aliases.
NUMPY_NAMES = {
    "axis": "dim", "keepdims": "keepdim", "axis0": "dim0", "axis1": "dim1",
    "a": "input", "x": "input", "x1": "input", "x2": "other", "input": "A",
    "split_size": "split_size_or_sections",
}  # fmt: skip
_RENAMED = {"dim", "dim0", "keepdim"}


def _with_numpy_names(call: Any, parameters: tuple[str, ...]) -> Any:
    """`call`, which also understands ``axis=`` and ``keepdims=`` where it has `dim`, `keepdim`."""
    if _RENAMED.isdisjoint(parameters):
        return call

    @functools.wraps(call, updated=())
    def method(*args: Any, **kwargs: Any) -> Any:
        try:
            return call(*args, **_renamed(kwargs, parameters)) if kwargs else call(*args)
        except Exception as error:
            locate(error)
            raise

    return method


def _renamed(kwargs: dict[str, Any], parameters: tuple[str, ...]) -> dict[str, Any]:
    """`kwargs` with NumPy's names replaced, where they are not the function's own, and Python's
    types where a dtype is meant.
    """
    if kwargs.get("dtype").__class__ is type:
        kwargs["dtype"] = dtypes.given(kwargs["dtype"])
    if all([name in parameters for name in kwargs]):
        return kwargs
    for name in kwargs:
        if name not in parameters and NUMPY_NAMES.get(name) in kwargs:
            raise TypeError(
                f"both '{name}' and '{NUMPY_NAMES[name]}' are given, which mean the same"
            )
    return {
        NUMPY_NAMES[name]
        if name not in parameters and NUMPY_NAMES.get(name) in parameters
        else name: value
        for name, value in kwargs.items()
    }


def _parameters(call: Any) -> tuple[str, ...]:
    if isinstance(call, Op):
        return (*call.input_names, *call.attr_names)
    code = inspect.unwrap(call).__code__
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return names


def _doc_of(call: Any) -> str:
    return call.doc if isinstance(call, Op) else call.__doc__ or ""


def _with_out(call: Any, parameters: tuple[str, ...], name: str, space: str) -> Callable[..., Any]:
    """A torch.* function also takes `out=`, a tensor to write the result to, and NumPy's names."""

    def function(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if overriding_classes:
            found = overriding.takers((*args, *kwargs.values(), out))
            if found:
                return overriding.asked(function, found, args, _with(kwargs, out))
        try:
            result = call(*args, **_renamed(kwargs, parameters)) if kwargs else call(*args)
        except Exception as error:
            if isinstance(error, MemoryError):
                raise out_of_memory(error) from None
            found = overriding.takers((*args, *kwargs.values()))
            if found:
                return overriding.asked(function, found, args, _with(kwargs, out))
            mistake = stranger(error, name, parameters, args)
            if mistake is not None:
                raise mistake from None
            locate(error)
            raise
        if out is None:
            return result
        if isinstance(out, Tensor):
            _refuse_history(name, out, result)
            return write_out(out, result)
        _refuse_history(name, *out, *result)
        return type(result)(write_out(o, r) for o, r in zip(out, result, strict=True))

    # As it is found, so that a function can be pickled by reference.
    function.__name__ = function.__qualname__ = name
    function.__module__ = space.replace("torch", "tidu", 1)
    function.__doc__ = _doc_of(call)
    return function


def _with(kwargs: dict[str, Any], out: Any) -> dict[str, Any]:
    return kwargs if out is None else {**kwargs, "out": out}


def _at_once(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, whose results are worked out before it returns, so that it raises what they raise."""

    @functools.wraps(call)
    def function(*args: Any, **kwargs: Any) -> Any:
        result = call(*args, **kwargs)
        for tensor in result if isinstance(result, tuple) else (result,):
            buffer_of(tensor._value)
        return result

    return function


def _refuse_history(name: str, *tensors: Tensor) -> None:
    if state.own.grad_enabled and any(t.requires_grad for t in tensors):
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
        try:
            return self._assign(call(self, *args, **kwargs))
        except Exception as error:
            locate(error)
            raise

    method.__name__ = name + "_"
    method.__doc__ = f"In place: {_doc_of(call)}"
    return method


def bind(call: Callable[..., Any], paths: tuple[str, ...], inplace: bool) -> None:
    """Make `call` available under each path ("torch.exp", "Tensor.exp", "torch.special.exp",
    ...).
    """
    parameters = _parameters(call)
    for path in paths:
        space, _, name = path.rpartition(".")
        if space == "Tensor":
            # An Op is not a plain function, which Python needs to pass `self`.
            method = _with_numpy_names(call, parameters)
            setattr(Tensor, name, _as_function(method, name) if isinstance(method, Op) else method)
            if inplace:
                setattr(Tensor, name + "_", _in_place(call, name))
        else:
            table = namespaces.setdefault(space, {})
            table[name] = _with_out(call, parameters, name, space)
            if inplace and space == "torch" and any(p == f"Tensor.{name}" for p in paths):
                table[name + "_"] = _in_place(call, name)


def _as_function(op: Op, name: str) -> Callable[..., Any]:
    def function(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        try:
            if alone and not kwargs and len(args) == others:
                return apply(op, (self,), args)
            return op(self, *args, **kwargs)
        except Exception as error:
            locate(error)
            raise

    alone, others = op.arity == 1 and not op.variadic, op.takes - 1
    function.__name__ = function.__qualname__ = name
    function.__doc__ = op.doc
    return function


def bind_registry() -> None:
    """Bind every op and every public function that the ops declare."""
    for op in registry.values():
        bind(op, op.public, op.inplace)
    for declared in functions:
        # The name in Python's own messages about arguments.
        name = declared.paths[0].rpartition(".")[2]
        declared.call.__name__ = declared.call.__qualname__ = name
        call = _at_once(declared.call) if declared.checked else declared.call
        bind(call, declared.paths, declared.inplace)
