"""Tier 0: a region run op by op with NumPy. Slow for what is repeated, and right for everything."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.backends.base import Failure
from tidu.backends.memory import keep_freed_memory
from tidu.backends.numpy_scalars import NumpyScalars
from tidu.base.allocation import out_of_memory
from tidu.base.dtypes import dtype, from_numpy
from tidu.base.source import at
from tidu.base.state import Pending, state
from tidu.compiler.graph import reachable
from tidu.ir.op import Op
from tidu.ir.value import Value, leaf

_SCALARS = NumpyScalars()


class NumpyBackend:
    """Tier 0: one NumPy function after the other. What it computes is what is meant."""

    name = "numpy"

    def __init__(self) -> None:
        keep_freed_memory()

    def run(self, region: list[Value]) -> BaseException | None:
        return _QUIET.copy().run(_run_all, region)


# In this context NumPy is silent about NaN and overflow. Entering it costs a twentieth of what
# `with np.errstate()` does, which is as much as running two small operations.
with np.errstate(all="ignore"):
    _QUIET = contextvars.copy_context()


def _run_all(region: list[Value]) -> BaseException | None:
    first_error: BaseException | None = None
    region.reverse()
    while region:
        value = region.pop()
        try:
            op, inputs, d = value.op, value.inputs, value.dtype
            assert op is not None
            kernel = op.numpy
            if len(inputs) != 2 or kernel is None or value.attrs or op.outputs != 1 or d.is_half:
                run_value(value)
            else:  # most operations: the same without detours
                x, y = inputs
                x = x.buffer if x.__class__ is Value else x
                y = y.buffer if y.__class__ is Value else y
                result = kernel(x, y)
                if result.__class__ is not np.ndarray or result.dtype is not d.numpy:
                    result = _fit(result, d)
                value.buffer = result
        except Exception as error:
            # Reported to whoever asks, with the line that made the op.
            located = _locate(value, error)
            value.buffer = Failure(located)
            first_error = first_error or located
        value.op = None
        value.inputs = value.attrs = ()
    return first_error


def run_value(value: Value) -> None:
    """Give a Value its buffer; its inputs have theirs."""
    op, result_type = value.op, value.dtype
    assert op is not None
    arguments = [x.buffer if x.__class__ is Value else x for x in value.inputs]
    kernel = op.numpy or _kernels.get(op) or _make_kernel(op)
    if op.outputs != 1:
        results = kernel(*arguments, *value.attrs)
        value.buffer = tuple(_fit(r, d) for r, d in zip(results, result_type, strict=True))  # type: ignore[call-overload]
        return
    if result_type.is_half and op.kind != "movement":
        # Half precision is for storage: arithmetic is done in float32 and rounded once, as PyTorch
        # does.
        arguments = [_widen(a) for a in arguments]
    result = kernel(*arguments, *value.attrs)
    if result.__class__ is not np.ndarray or result.dtype is not result_type.numpy:
        result = _fit(result, result_type)
    value.buffer = result


def _widen(argument: Any) -> Any:
    if (
        argument.__class__ is np.ndarray
        and argument.dtype.itemsize == 2
        and argument.dtype.kind in "fV"
    ):
        return argument.astype(np.float32)
    return argument


def _fit(result: Any, wanted: dtype) -> Any:
    if result.__class__ is np.ndarray:
        return result.astype(wanted.numpy, copy=False)
    return np.array(result, wanted.numpy)


def _locate(value: Value, error: Exception) -> Exception:
    for x in value.inputs:
        if isinstance(x, Value) and isinstance(x.buffer, Failure):
            return x.buffer.error  # type: ignore[return-value]
    name = "?" if value.op is None else value.op.name
    where = f": {name} of shape {list(value.shape)}{at(value.position)}"
    if isinstance(error, MemoryError):
        return out_of_memory(error, where).with_traceback(error.__traceback__)
    message = f"{str(error).removesuffix('.')}{where}"
    try:
        return type(error)(message).with_traceback(error.__traceback__)
    except TypeError:
        return error


_kernels: dict[Op, Callable[..., Any]] = {}


def _make_kernel(op: Op) -> Callable[..., Any]:
    """A NumPy implementation derived from the scalar emission or from the decomposition."""
    kernel = _from_emission(op) if op.emit is not None else _from_decomposition(op)
    _kernels[op] = kernel
    return kernel


def _from_emission(op: Op) -> Callable[..., Any]:
    emit = op.emit
    assert emit is not None
    arity = op.arity

    def run(*arguments: Any) -> Any:
        arrays, attrs = _as_scalars(arguments[:arity]), arguments[arity:]
        shape = np.broadcast_shapes(*(a.shape for a in arrays if a is not None))
        if math.prod(shape) > 2 * _BLOCK and _is_flat(arrays, shape):
            return _in_blocks(emit, arrays, attrs, shape)
        return np.broadcast_to(emit(_SCALARS, *arrays, *attrs), shape)

    return run


# An emission makes many intermediate results; in blocks of this size they stay in the cache.
_BLOCK = 1 << 14


def _is_flat(arrays: list[Any], shape: tuple[int, ...]) -> bool:
    """Whether all arrays run over the same contiguous elements, single numbers aside."""
    return all(
        a is None or a.size == 1 or (a.shape == shape and a.flags.c_contiguous) for a in arrays
    )


def _in_blocks(
    emit: Callable[..., Any], arrays: list[Any], attrs: tuple[Any, ...], shape: tuple[int, ...]
) -> Any:
    flat = [a if a is None else a.reshape(() if a.size == 1 else (-1,)) for a in arrays]
    count = math.prod(shape)
    out: Any = None
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        parts = [a[start:stop] if a is not None and a.ndim else a for a in flat]
        block = emit(_SCALARS, *parts, *attrs)
        if out is None:
            out = np.empty(count, block.dtype)
        out[start:stop] = block
    return out.reshape(shape)


def _as_scalars(arguments: tuple[Any, ...]) -> list[Any]:
    """Python numbers as 0-d arrays of the dtype of the tensors beside them."""
    like = next(
        (a.dtype for a in arguments if isinstance(a, np.ndarray) and a.dtype != np.bool_),
        np.dtype(np.float32),
    )
    return [a if a is None or isinstance(a, np.ndarray) else np.asarray(a, like) for a in arguments]


_NO_LINE = (_as_scalars.__code__, 0)
_ANY_NUMBER = 1 << 60


def _from_decomposition(op: Op) -> Callable[..., Any]:
    decompose = op.decompose
    assert decompose is not None, f"op '{op.name}' has neither an emission nor a decomposition"
    arity = op.arity

    def run(*arguments: Any) -> Any:
        count = len(arguments) - len(op.attr_names) if op.variadic else arity
        inputs = [
            leaf(a, from_numpy(a.dtype)) if isinstance(a, np.ndarray) else a
            for a in arguments[:count]
        ]
        attrs = arguments[count:]
        outer, state.own.pending = state.own.pending, Pending(limit=_ANY_NUMBER)
        # These Values live for a moment: looking for the line behind each would cost more than they
        # do.
        position, state.own.position = state.own.position, _NO_LINE
        try:
            result = decompose(tuple(inputs), *attrs) if op.variadic else decompose(*inputs, *attrs)
            inner = state.own.pending.values
        finally:
            state.own.pending = outer
            state.own.position = position
        if Pending.scattered:  # there may be Values of a signal handler among them
            inner = reachable(inner, [result])
        for value in inner:
            run_value(value)
        return tuple(r.buffer for r in result) if isinstance(result, tuple) else result.buffer

    return run
