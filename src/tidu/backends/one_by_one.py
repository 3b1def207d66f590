"""The loop of tier 0: Value after Value, each by the NumPy function of its op."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.backends.base import Failure
from tidu.base.allocation import out_of_memory
from tidu.base.dtypes import dtype
from tidu.base.source import at
from tidu.ir.op import Op
from tidu.ir.value import Value

# Where an op has no NumPy function of its own.
KernelOf = Callable[[Op], Callable[..., Any]]


def run_all(region: list[Value], kernel_of: KernelOf) -> BaseException | None:
    """Run the Values of a region in their order, and empty it. What the first of those raised that
    failed, if any.
    """
    first_error: BaseException | None = None
    region.reverse()
    while region:
        value = region.pop()
        try:
            op, inputs, d = value.op, value.inputs, value.dtype
            assert op is not None
            kernel = op.numpy
            if len(inputs) != 2 or kernel is None or value.attrs or op.outputs != 1 or d.is_half:
                run_value(value, kernel_of)
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


def run_value(value: Value, kernel_of: KernelOf) -> None:
    """Give a Value its buffer; its inputs have theirs."""
    op, result_type = value.op, value.dtype
    assert op is not None
    arguments = [x.buffer if x.__class__ is Value else x for x in value.inputs]
    kernel = op.numpy or kernel_of(op)
    if op.outputs != 1:
        results = kernel(*arguments, *value.attrs)
        value.buffer = tuple([_fit(r, d) for r, d in zip(results, result_type, strict=True)])  # type: ignore[call-overload]
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
