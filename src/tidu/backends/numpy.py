"""Tier 0: a region run op by op with NumPy. Slow for what is repeated, and right for everything."""

from __future__ import annotations

import contextvars
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.backends import one_by_one
from tidu.backends.memory import keep_freed_memory
from tidu.backends.numpy_scalars import NumpyScalars
from tidu.backends.one_by_one import run_all
from tidu.base.dtypes import from_numpy
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
        return _QUIET.copy().run(run_all, region, kernel_of)


# In this context NumPy is silent about NaN and overflow. Entering it costs a twentieth of what
# `with np.errstate()` does, which is as much as running two small operations.
with np.errstate(all="ignore"):
    _QUIET = contextvars.copy_context()


def run_value(value: Value) -> None:
    """Give a Value its buffer; its inputs have theirs."""
    one_by_one.run_value(value, kernel_of)


def run_quietly(value: Value) -> None:
    """`run_value`, silent about NaN and overflow."""
    _QUIET.copy().run(run_value, value)


_kernels: dict[Op, Callable[..., Any]] = {}


def kernel_of(op: Op) -> Callable[..., Any]:
    """A NumPy implementation of an op that is declared without one, derived from the scalar
    emission or from the decomposition.
    """
    kernel = _kernels.get(op)
    if kernel is None:
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
