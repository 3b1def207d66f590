"""Which of several numbers: by a condition, by size, within bounds; or another in its place."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.blend import blend
from tidu.base.limits import require_in_range
from tidu.base.shapes import broadcast, can_broadcast
from tidu.base.source import warn_once
from tidu.ir.op import Array, Inferred, Op, Sample, define, function
from tidu.ir.value import Value
from tidu.ops.elementwise.logic import logical_and, logical_or
from tidu.ops.rules import (
    arithmetic,
    cast_to,
    class_name,
    ends_at,
    fitting,
    is_number,
    not_implemented,
    promote,
    tensors_only,
)
from tidu.ops.samples import binary_tensors


def _where_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    condition, x, y = inputs
    if is_number(condition):
        raise TypeError(
            f"where(): argument 'condition' must be Tensor, not {type(condition).__name__}"
        )
    if condition.dtype is not dtypes.bool_ and condition.dtype is not dtypes.uint8:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{class_name(condition.dtype)}"
        )
    if condition.dtype is dtypes.uint8:
        warn_once(
            "where received a uint8 condition tensor. This behavior is deprecated and will be "
            "removed in a future version of PyTorch. Use a boolean condition instead."
        )
    d = dtypes.result_type((x, y))
    for number in (x, y):
        if is_number(number):  # one too great for half precision becomes infinite, as in PyTorch
            require_in_range(number, dtypes.float32 if d.is_half else d)
    x, y = cast_to(x, d), cast_to(y, d)
    shapes = [condition.shape, *(z.shape for z in (x, y) if not is_number(z))]
    return (condition, x, y), broadcast("where", *shapes), d


where: Op = define(
    "where",
    inputs="condition input other",
    infer=_where_infer,
    numpy=lambda c, x, y: np.where(c, x, y) if is_number(x) and is_number(y) else blend(c, x, y),
    emit=lambda s, c, x, y: s.select(c, x, y),
    vjp=(None, lambda g, out, c, x, y: where(c, g, 0.0), lambda g, out, c, x, y: where(c, 0.0, g)),
    ends=ends_at(
        *(1, 2),
        MaskedFillBackward0=(2,),
        MaskedFillBackward1=(2, 1),
        IndexFillBackward0=(2,),
        IndexFillBackward1=(2, 1),
        MaskedScatterBackward0=(2, 1),
        IndexPutBackward0=(2, 1),
    ),
    samples=lambda: [
        Sample((Array((3, 4), dtype="bool"), Array((3, 4)), Array((4,)))),
        Sample((Array((2, 1), dtype="bool"), Array((3,)), 0.5)),
        Sample((Array((), dtype="bool"), Array(()), Array((2,)))),
        Sample((Array((0,), dtype="bool"), Array((0,)), Array((1,)))),
    ],
)


# Of two equal operands each gets half the gradient, and beside a NaN both get it, as in PyTorch.
maximum = define(
    "maximum",
    inputs="input other",
    infer=tensors_only,
    numpy=np.maximum,
    emit=lambda s, x, y: s.max(x, y),
    vjp=(
        lambda g, out, x, y: where(x == y, g / 2, where(x < y, 0.0, g)),
        lambda g, out, x, y: where(x == y, g / 2, where(x > y, 0.0, g)),
    ),
    samples=binary_tensors(),
    public="torch.maximum Tensor.maximum",
    doc="""The greater of two elements, NaN where either is; equal ones share the gradient.

    >>> torch.maximum(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 3.0]))
    tensor([2., 5.])
    """,
)
minimum = define(
    "minimum",
    inputs="input other",
    infer=tensors_only,
    numpy=np.minimum,
    emit=lambda s, x, y: s.min(x, y),
    vjp=(
        lambda g, out, x, y: where(x == y, g / 2, where(x > y, 0.0, g)),
        lambda g, out, x, y: where(x == y, g / 2, where(x < y, 0.0, g)),
    ),
    samples=binary_tensors(),
    public="torch.minimum Tensor.minimum",
    doc="""The lesser of two elements, NaN where either is; equal ones share the gradient.

    >>> torch.minimum(torch.tensor([1.0, 5.0]), torch.tensor([2.0, 3.0]))
    tensor([1., 3.])
    """,
)


_PLAIN_BOUNDS = {float, type(None)}


def _clamp_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, low, high = inputs
    if low is None and high is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    plain = low.__class__ in _PLAIN_BOUNDS and high.__class__ in _PLAIN_BOUNDS
    if plain and x.__class__ is Value and x.dtype.category == dtypes.FLOAT:
        for bound in (low, high):
            if bound is not None:
                require_in_range(bound, x.dtype)
        return inputs, x.shape, x.dtype
    given = tuple(y for y in inputs if y is not None)
    _, shape, d = arithmetic(op, given, attrs)
    if d is dtypes.bool_:
        raise not_implemented("clamp_cpu", d)
    return tuple(fitting(y, d) for y in inputs), shape, d


def _clamp_emit(s: Any, x: Any, low: Any, high: Any) -> Any:
    x = x if low is None else s.max(low, x)
    return x if high is None else s.min(high, x)


def _clamp_numpy(x: Any, low: Any, high: Any) -> Any:
    x = x if low is None else np.maximum(low, x)
    return x if high is None else np.minimum(high, x)


def _within(x: Any, low: Any, high: Any) -> Any:
    if low is None:
        return x <= high
    return x >= low if high is None else logical_and(x >= low, x <= high)


def _clamp_vjp_low(g: Any, out: Any, x: Any, low: Any, high: Any) -> Any:
    below = x < low
    return where(below if high is None else logical_and(below, low < high), g, 0.0)


def _clamp_vjp_high(g: Any, out: Any, x: Any, low: Any, high: Any) -> Any:
    above = x > high
    return where(above if low is None else logical_or(above, low > high), g, 0.0)


clamp = define(
    "clamp",
    inputs="input min max",
    infer=_clamp_infer,
    numpy=_clamp_numpy,
    emit=_clamp_emit,
    vjp=(
        lambda g, out, x, low, high: where(_within(x, low, high), g, 0.0),
        _clamp_vjp_low,
        _clamp_vjp_high,
    ),
    ends=ends_at(
        *(0, 1, 2),
        ClampBackward1=(0,),
        ClampMinBackward0=(0,),
        ClampMinBackward1=(0, 1),
        ClampMaxBackward0=(0,),
        ClampMaxBackward1=(0, 2),
    ),
    samples=lambda: [
        Sample((Array((3, 4)), -0.5, 1.0)),
        Sample((Array((5,)), None, 0.7)),
        Sample((Array(()), -1.0, None)),
        Sample((Array((2, 3)), Array((3,), -1, 0), Array((2, 1), 0, 1))),
        Sample((Array((0, 2)), 0.0, 1.0)),
    ],
    dtypes="number",
)


@function("torch.clamp torch.clip Tensor.clamp Tensor.clip", inplace=True)
def clamp_between(input: Any, min: Any = None, max: Any = None) -> Any:
    """min(max(input, `min`), `max`), each bound a number, a tensor or None.

    The gradient is that of the input inside the bounds and 0 outside. Raises RuntimeError without
    bounds.

    >>> torch.clamp(torch.tensor([-1., 0.5, 2.]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    numbers = (min is None or is_number(min)) and (max is None or is_number(max))
    return clamp.named("ClampBackward1" if numbers else "ClampBackward0", input, min, max)


@function("torch.clamp_min Tensor.clamp_min", inplace=True)
def clamp_min(input: Any, min: Any) -> Any:
    """max(input, `min`).

    >>> torch.clamp_min(torch.tensor([-1.0, 2.0]), 0.0)
    tensor([0., 2.])
    """
    name = "ClampMinBackward0" if is_number(min) else "ClampMinBackward1"
    return clamp.named(name, input, min, None)


@function("torch.clamp_max Tensor.clamp_max", inplace=True)
def clamp_max(input: Any, max: Any) -> Any:
    """min(input, `max`)."""
    name = "ClampMaxBackward0" if is_number(max) else "ClampMaxBackward1"
    return clamp.named(name, input, None, max)


# A tensor of the same shape, every element one number. It stays on the tape (with a zero
# gradient), as in PyTorch.
def _fill_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, value = inputs
    if not is_number(value) and value.shape:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{len(value.shape)} dimensions; copy_() broadcasts one"
        )
    return (x, fitting(value, x.dtype)), x.shape, x.dtype


fill: Op = define(
    "fill",
    inputs="input value",
    infer=_fill_infer,
    numpy=lambda x, value: np.full(x.shape, value, x.dtype),
    emit=lambda s, x, value: value,
    vjp=(lambda g, out, x, value: fill(g, 0.0), lambda g, out, x, value: g),
    ends=ends_at(0, 1, FillBackward0=(0,), FillBackward2=(0,), ZeroBackward0=(0,)),
    samples=lambda: [
        Sample((Array((3, 4)), 1.5)),
        Sample((Array(()), 2)),
        Sample((Array((2, 3)), Array(()))),
    ],
)


@function("torch.fill Tensor.fill")
def fill_with(input: Any, value: Any) -> Any:
    """A tensor of the shape and dtype of `input`, every element `value`, a number or 0-d tensor."""
    name = "FillBackward0" if is_number(value) else "FillBackward1"
    return fill.named(name, input, value)


@function("torch.fill_")
def fill_in_place(input: Any, value: Any) -> Any:
    """Overwrites every element of `input` with `value`."""
    return input.fill_(value)


def _overwrite_infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    x, source = inputs
    if not can_broadcast(source.shape, x.shape):
        both = broadcast("copy_", x.shape, source.shape)  # raises where the two do not meet at all
        raise RuntimeError(
            f"output with shape {list(x.shape)} doesn't match the broadcast shape {list(both)}: "
            "copy_() broadcasts its argument, never the tensor it writes to"
        )
    return (x, promote((source,), x.dtype)[0][0]), x.shape, x.dtype


# Another tensor's numbers in the shape and dtype of the first, which stays on the tape with a zero
# gradient.
overwrite = define(
    "overwrite",
    inputs="input source",
    infer=_overwrite_infer,
    numpy=lambda x, source: source if source.shape == x.shape else np.broadcast_to(source, x.shape),
    emit=lambda s, x, source: source,
    vjp=(lambda g, out, x, source: fill(g, 0.0), lambda g, out, x, source: g),
    ends=ends_at(0, CopyBackwards=(0, 1)),  # the others are random numbers
    grad_name="CopyBackwards",
    samples=lambda: [Sample((Array((3, 4)), Array((3, 4)))), Sample((Array((2, 3)), Array((3,))))],
    reference=lambda torch, x, source: x.clone().copy_(source),
)
