"""Applying operations to tensors: a Value, a Tensor around it, an entry on the tape."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import numpy as np

from tidu.autograd.op_node import record
from tidu.autograd.tape import FIRST, GradFn
from tidu.base import dtypes
from tidu.base.changes import changes
from tidu.base.shapes import Shape
from tidu.base.source import at, here
from tidu.base.state import ThreadState, state
from tidu.base.strides import Strides, view_strides
from tidu.ir.op import PLAIN, Op
from tidu.ir.value import Value, leaf
from tidu.ops.moving.movement import reshape, select_, slice_
from tidu.ops.pick import pick
from tidu.tensor.history import INFERENCE, NO_GRAD, SEVERAL, SEVERAL_VIEWS
from tidu.tensor.laying import lay, seen_through
from tidu.tensor.storage import InferenceStorage, Storage
from tidu.tensor.tensor import Tensor, from_value

_new = object.__new__


def apply(
    op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...] = (), grad_name: str | None = None
) -> Any:
    """Apply an op to Tensors, Values and Python numbers:
    a Value, a Tensor around it, an entry on the tape.
    """
    own = state.own
    recording = own.grad_enabled and op.vjps is not None
    values: list[Any] = []
    nodes: list[GradFn | None] = []
    places: Iterable[int] = FIRST
    needed = False
    by_rows = True  # whether all inputs lie in memory by rows
    for x in inputs:
        node = None
        if isinstance(x, Tensor):
            storage = x._storage
            if storage.strides is not None:
                by_rows = False
            if x._chain is None:
                values.append(storage.value)
                if recording:
                    node = x._grad_fn
                    if node is None and x._leaf_requires_grad:
                        node = x._accumulator or x._leaf_node()
            else:
                by_rows = False
                values.append(x._value)
                if recording:
                    node = x._node()
            if node is not None:
                needed = True
                if x._output:
                    places = ()  # which they are is looked up below
        else:
            values.append(x if x.__class__ in PLAIN else _plain(op, x))
        nodes.append(node)
    if places is not FIRST:
        places = tuple([x._output if isinstance(x, Tensor) else 0 for x in inputs])
    arguments = tuple(values)
    out = op.value(arguments, attrs, own)
    made = _new(Tensor)
    if op.view is None or not _share_memory(op, inputs[0], attrs, out, made, grad_name, own):
        if op.outputs != 1:
            node = None
            if needed:
                node = record(op, arguments, attrs, out, tuple(nodes), places, grad_name, own)
            several = _several(op, out, node)
            if not by_rows and op.strides is not None:
                for one in several:
                    _lay_as_inputs(op, inputs, attrs, one)
            return several
        if op is reshape:
            grad_name = "UnsafeViewBackward0"  # it had to copy
        if own.inference and not recording:
            made._storage = InferenceStorage(out)
        else:
            made._storage = storage = Storage.__new__(
                Storage
            )  # what `Storage(out)` does, at a lower price
            storage.value = out
            storage.version = storage.edits = 0
        if not by_rows and op.strides is not None:
            _lay_as_inputs(op, inputs, attrs, made)
    if needed and out.dtype.is_floating_point:
        kept = record(op, arguments, attrs, out, tuple(nodes), places, grad_name, own)
        made._grad_fn = kept
        if InferenceStorage.exists:
            _refuse_saved_inference(inputs, kept.saved)
    return made


def apply_pair(op: Op, x: Any, y: Any) -> Any:
    """`apply(op, (x, y))` in one piece, for the commonest operations of all: arithmetic, where each
    operand is a Tensor or a Python number.
    """
    own = state.own
    if own.inference or InferenceStorage.exists:
        return apply(op, (x, y))
    recording = own.grad_enabled and op.vjps is not None
    node_x = node_y = None
    place_x = place_y = 0
    by_rows = True
    if isinstance(x, Tensor):
        storage = x._storage
        if x._chain is None:
            a = storage.value
            node_x = x._grad_fn
            if storage.strides is not None:
                by_rows = False
        else:
            by_rows = False
            a = x._value
        if recording:
            node_x = node_x or x._node()
            place_x = x._output
    else:
        a = x
    if isinstance(y, Tensor):
        storage = y._storage
        if y._chain is None:
            b = storage.value
            node_y = y._grad_fn
            if storage.strides is not None:
                by_rows = False
        else:
            by_rows = False
            b = y._value
        if recording:
            node_y = node_y or y._node()
            place_y = y._output
    else:
        b = y
    inputs = (a, b)
    out = op.value(inputs, (), own)
    made = _new(Tensor)
    made._storage = storage = Storage.__new__(Storage)
    storage.value = out
    storage.version = storage.edits = 0
    if not by_rows and op.strides is not None:
        _lay_as_inputs(op, (x, y), (), made)
    if recording and (node_x or node_y) and out.dtype.is_floating_point:
        places = (place_x, place_y) if place_x or place_y else FIRST
        made._grad_fn = record(op, inputs, (), out, (node_x, node_y), places, None, own)
    return made


def _lay_as_inputs(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...], made: Tensor) -> None:
    """Have a result lie in memory as PyTorch's would, of which not all inputs lie there by rows."""
    storage = made._storage
    shape = storage.value.shape
    if len(shape) < 2:
        return
    memory: list[Any] = []
    for x in inputs:
        if isinstance(x, Tensor):
            there = x._storage
            memory.append((there.value.shape, there.value.dtype, there.strides, x._chain or ()))
        elif x.__class__ is Value:
            memory.append((x.shape, x.dtype, None, ()))
        elif x is not None:
            memory.append(None)
    strides = _result_strides(op, shape, tuple(memory), attrs)
    if strides is not None:
        lay(made, strides)


@functools.lru_cache(4096)
def _result_strides(
    op: Op, shape: Shape, memory: tuple[Any, ...], attrs: tuple[Any, ...]
) -> Strides | None:
    """How a result lies in memory, from the memory of its inputs and what they show of it (None for
    a number).
    """
    operands: list[tuple[Shape, Strides]] = []
    for described in memory:
        if described is None:
            operands.append(((), ()))
        else:
            shown, strides, _ = seen_through(*described)
            operands.append((shown, strides))
    assert op.strides is not None
    return op.strides(shape, tuple(operands), attrs)


def _refuse_saved_inference(inputs: tuple[Any, ...], saved: Any) -> None:
    for x, kept in zip(inputs, saved[1:], strict=True):
        if kept.__class__ is Value and isinstance(x, Tensor) and x._storage.inference:
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Make a clone() to get a normal "
                "tensor and use that in autograd, or use torch.no_grad() instead of "
                f"torch.inference_mode().{at(here())}"
            )


def _share_memory(
    op: Op,
    source: Any,
    attrs: tuple[Any, ...],
    out: Value,
    made: Tensor,
    grad_name: str | None,
    own: ThreadState,
) -> bool:
    """Make `made` a view of `source`, unless the result cannot be one."""
    if not isinstance(source, Tensor):
        return False
    chain = source._chain
    storage = source._storage
    base = source._base
    by_rows = chain is None and storage.strides is None
    if op is reshape and not (
        by_rows or _can_share(source._value.shape, source._strides()[0], out.shape)
    ):
        return False
    if (op is slice_ or op is select_) and out.inputs:  # none: the pending list overflowed, it ran
        seen = out.inputs[0]
        if seen.buffer is not None or not seen.dtype.is_floating_point:
            own.pending.parts.append(out)
    if chain is None:
        made._chain = ((op, attrs),)
    else:
        last, before = chain[-1]
        if last is op and base is not None and len(chain) > len(base._chain or ()):
            assert op.view is not None
            compose = op.view.compose
            if compose is not None:  # a slice of a slice is one slice
                chain, attrs = chain[:-1], compose(before, attrs)
        made._chain = (*chain, (op, attrs))
    made._storage = storage
    made._cached = out
    made._seen = storage.version
    _belong(made, source, own)
    if own.grad_enabled and not source._creation and grad_name in SEVERAL_VIEWS:
        made._creation = SEVERAL
    return True


def row(source: Tensor, index: int) -> Tensor | None:
    """`select_(source, 0, index)` of numbers that are there, which no tape asks for: a sample of
    data. None where there is more to it. Datasets look at one sample after the other, and would
    spend most of their time on recording what `tidu.parts` makes a leaf of anyway.
    """
    own = state.own
    storage = source._storage
    if (
        source.__class__ is not Tensor
        or source._chain is not None
        or storage.__class__ is not Storage
        or (own.grad_enabled and (source._leaf_requires_grad or source._grad_fn is not None))
        or own.inference
        or changes.recorder is not None
    ):
        return None
    value = storage.value
    numbers = value.buffer
    if numbers.__class__ is not np.ndarray or not numbers.flags.c_contiguous:
        return None
    made = _new(Tensor)
    made._chain = ((select_, (0, index)),)
    made._storage = storage
    made._cached = leaf(numbers[index, ...], value.dtype)
    made._seen = storage.version
    _belong(made, source, own)
    return made


def _belong(made: Tensor, source: Tensor, own: ThreadState) -> None:
    """What a view has from the tensor that it is a view of."""
    base = source._base
    made._base = source if base is None else base
    counter = source._counter
    if counter is None:
        made._tracked = source._storage.edits
    else:
        made._counter = counter
        made._tracked = counter.edits
    if source._creation:
        made._creation = source._creation
    elif not own.grad_enabled:
        made._creation = INFERENCE if own.inference else NO_GRAD


def _several(op: Op, out: Value, node: GradFn | None) -> tuple[Tensor, ...]:
    """The results of an op with several, as Tensors that share one node of the tape."""
    own = state.own
    outer, own.position = own.position, out.position
    try:
        picked = [pick.value((out,), (number,)) for number in range(op.outputs)]
    finally:
        own.position = outer
    results = []
    for number, value in enumerate(picked):
        made = from_value(value)
        if node is not None and made.dtype.is_floating_point:
            made._grad_fn, made._output = node, number
        results.append(made)
    return tuple(results)


def _plain(op: Op, x: Any) -> Any:
    """What users put beside tensors: NumPy numbers and arrays become Python numbers and leaves."""
    if isinstance(x, np.generic):
        return x.item()
    if isinstance(x, (bool, int, float)):
        return x
    if isinstance(x, np.ndarray):
        return leaf(x.copy(), dtypes.from_numpy(x.dtype))
    if isinstance(x, complex):
        raise TypeError(f"{op.name}(): complex numbers are not supported")
    raise TypeError(
        f"{op.name}(): argument must be Tensor or a number, not {type(x).__name__}. Make a tensor "
        "of it with torch.tensor(...)."
    )


@functools.lru_cache(4096)
def _can_share(shape: Shape, strides: tuple[int, ...], new_shape: Shape) -> bool:
    return view_strides(shape, strides, new_shape) is not None


Tensor.apply_op = staticmethod(apply)  # type: ignore[attr-defined]
