"""Lowering of gathers and scatters: loads and stores at places that other tensors say."""

from __future__ import annotations

from typing import Any

from tidu.base import dtypes
from tidu.compiler.demands import access_of
from tidu.compiler.expressions import LOAD, Expression, Index
from tidu.compiler.layouts import Layout, broadcast_to, contiguous, lifted, without_ones
from tidu.compiler.lowering import Lowering
from tidu.compiler.signatures import input_shapes
from tidu.compiler.steps import Root, Scatter
from tidu.ir.op import Op
from tidu.ir.value import Value


def lower_indexing(lowering: Lowering, value: Value, op: Op) -> Expression | None:
    """A load with indices, or the buffer that a scatter fills; None if only NumPy can do it."""
    inputs, shapes = value.inputs, input_shapes(value)
    access = access_of(value, op)
    if access is None:
        return None
    data = inputs[0]
    rank = len(access.space)
    places, indices = [], []
    layout = contiguous(data.shape)
    strides = [0] * rank
    for d, (size, stride) in enumerate(zip(data.shape, layout.strides, strict=True)):
        along = access.along[d]
        if isinstance(along, int):
            strides[along] += stride
        else:
            number, dims = along
            place = lowering.found[id(inputs[number])]
            where = dims[len(dims) - len(shapes[number]) :]
            aligned = tuple(access.space[i] for i in where)
            place = lowering.make.relaid(place, broadcast_to(shapes[number], aligned))
            places.append(lowering.make.relaid(place, lifted(where, rank)))
            indices.append(Index(stride, size, access.wraps))
    if access.value is None:
        buffer = lowering.stored(data)
        what = (buffer.number, Layout(tuple(strides), 0), tuple(indices))
        return lowering.make.make(LOAD, what, tuple(places), data.dtype)
    return _scattered(lowering, value, access, Layout(tuple(strides), 0), indices, places)


def _scattered(
    lowering: Lowering, value: Value, access: Any, layout: Layout, indices: Any, places: Any
) -> Expression:
    """A copy of the input, and then elements of a space written or added where indices say."""
    data, source = value.inputs[0], value.inputs[access.value]
    kept, d = lowering.found[id(data)], value.dtype
    if access.adds and d.is_half:  # many may be added to one place: halves would stand still
        d = dtypes.float32
        kept = lowering.cast(kept, d)
    buffer = lowering.root(kept, value.shape, d, value)
    if source.__class__ is not Value:
        x = lowering.number(source, value.dtype)
    else:
        x = lowering.found[id(source)]
        if tuple(source.shape) != tuple(access.space) and not access.crops:
            x = lowering.broadcast(source, tuple(access.space))
    space, squeeze = without_ones(tuple(access.space))
    left = [i for i, n in enumerate(access.space) if n != 1]
    sequential = frozenset(i for i, d in enumerate(left) if access.meets(d))
    make = lowering.make
    root = Root(buffer, space, make.relaid(x, squeeze), contiguous(space), value=value)
    root.adds = access.adds
    root.scatter = Scatter(
        squeeze(layout),
        tuple(indices),
        tuple(make.relaid(place, squeeze) for place in places),
        sequential,
    )
    root.after = (buffer,)
    lowering.steps.steps.append(root)
    whole = lowering.whole(buffer)
    return whole if d is value.dtype else lowering.cast(whole, value.dtype)
