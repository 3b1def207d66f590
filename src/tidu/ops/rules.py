"""Shape and dtype rules that several families of ops share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tidu.base import dtypes
from tidu.base.dtypes import FLOAT, dtype
from tidu.base.limits import require_in_range
from tidu.base.shapes import Shape, broadcast
from tidu.ir.argument import ARGUMENTS
from tidu.ir.op import NUMBERS, Inferred, Op
from tidu.ir.value import Value
from tidu.ops.cast import cast


def as_number(x: Any, d: dtype) -> Any:
    """A Python number in the category of `d`; integers wrap into its range."""
    if isinstance(x, ARGUMENTS) and d is not dtypes.bool_:
        return x
    if d.category == FLOAT:
        return x if x.__class__ is float else float(x)
    if d is dtypes.bool_:
        return bool(x)
    bits = 8 * d.itemsize
    x = int(x) & ((1 << bits) - 1)
    return x - (1 << bits) if d.is_signed and x >> (bits - 1) else x


def cast_to(x: Any, d: dtype) -> Any:
    """An input in dtype `d`: a cast where it is a Value of another, a converted number,
    or None as it is.
    """
    if x.__class__ is Value:
        return x if x.dtype is d else cast.value((x,), (d,))
    return None if x is None else as_number(x, d)


def fitting(x: Any, d: dtype) -> Any:
    """As `cast_to`, for what is to be stored: RuntimeError for a number beyond the range of `d`."""
    if x.__class__ is not Value and x is not None:
        require_in_range(x, d)
    return cast_to(x, d)


def laid_as(result: Any, source: Any) -> Any:
    """A result with memory of its own, which lies there as `source`, of its shape, does; None
    stands for row-major order.
    """
    return result if result.__class__ is Value else result.lay_as(source)


# The name on the tape of what is a part of the operation after it: users do not get to see it.
PART = "Part"


def ends_at(*usual: int, **named: tuple[int, ...]) -> Callable[[str, Sequence[Any]], list[Any]]:
    """For `Op.ends`: the inputs, by their numbers, that PyTorch's node has an end for; `named` for
    some names of the node.
    """
    return lambda name, ends: [ends[number] for number in named.get(name, usual)]


def promote(inputs: tuple[Any, ...], d: dtype | None = None) -> tuple[tuple[Any, ...], dtype]:
    """All inputs in one dtype: the given one, or the one in which they meet."""
    if d is None:
        first = inputs[0]
        if first.__class__ is Value:
            d = first.dtype
            for x in inputs:
                if x.__class__ is not Value or x.dtype is not d:
                    break
            else:
                return inputs, d
        d = dtypes.result_type(x for x in inputs if x is not None)
    return tuple(cast_to(x, d) for x in inputs), d


Rule = Callable[[Op, tuple[Any, ...], tuple[Any, ...]], Inferred]
_MOST_REMEMBERED = 4096


def remembered(infer: Rule) -> Rule:
    """`infer`, worked out once for each combination of shapes, dtypes, numbers and attributes.

    For rules that take their time, look at nothing else, and return the inputs as they are.
    """
    known: dict[tuple[Any, ...], tuple[Shape, dtype]] = {}

    def rule(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
        kinds = [(x.shape, x.dtype) if x.__class__ is Value else x for x in inputs]
        key = (attrs, *kinds)
        found = known.get(key)
        if found is None:
            _, shape, d = infer(op, inputs, attrs)
            if len(known) >= _MOST_REMEMBERED:
                known.clear()
            found = known[key] = shape, d
        return inputs, *found

    return rule


def shape_of(op: Op, inputs: tuple[Any, ...]) -> Shape:
    """The shape to which the inputs broadcast; TypeError if all are Python numbers."""
    shapes = [x.shape for x in inputs if x.__class__ is Value]
    if len(shapes) == 1 and len(inputs) == 2:
        for name, x in zip(op.input_names, inputs, strict=False):
            if x is None:
                raise TypeError(
                    f"{op.name}(): argument '{name}' must be Tensor or Number, not NoneType"
                )
    if not shapes:
        raise TypeError(
            f"{op.name}(): at least one argument must be a Tensor, but got numbers only: {inputs}"
        )
    return shapes[0] if len(shapes) == 1 else broadcast(op.name, *shapes)


def arithmetic(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """Broadcast; the result has the dtype in which the inputs meet."""
    if len(inputs) == 2:  # the common cases, without detours
        x, y = inputs
        if x.__class__ is Value:
            d = x.dtype
            if y.__class__ is Value:
                if d is y.dtype:
                    return (
                        inputs,
                        x.shape
                        if x.shape == y.shape or not y.shape
                        else broadcast(op.name, x.shape, y.shape),
                        d,
                    )
            elif d.category == FLOAT:
                if y.__class__ is float:
                    return inputs, x.shape, d
                if y.__class__ is int:
                    return (x, float(y)), x.shape, d
            elif d is dtypes.int64 and y.__class__ is int and -(1 << 63) <= y < 1 << 63:
                return inputs, x.shape, d
        elif (
            y.__class__ is Value
            and y.dtype.category == FLOAT
            and (x.__class__ is float or x.__class__ is int)
        ):
            return (float(x), y), y.shape, y.dtype
    shape = shape_of(op, inputs)
    inputs, d = promote(inputs)
    return inputs, shape, d


def floating(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """As `arithmetic`, and integers become the default float dtype."""
    if len(inputs) == 1:
        x = inputs[0]
        if x.__class__ is Value and x.dtype.category == FLOAT:
            return inputs, x.shape, x.dtype
    else:
        x, y = inputs
        if x.__class__ is Value and x.dtype.category == FLOAT:
            if y.__class__ is float:
                return inputs, x.shape, x.dtype
            if y.__class__ is Value and y.dtype is x.dtype:
                return (
                    inputs,
                    x.shape if x.shape == y.shape else broadcast(op.name, x.shape, y.shape),
                    x.dtype,
                )
    shape = shape_of(op, inputs)
    d = dtypes.result_type(x for x in inputs if x is not None)
    inputs, d = promote(inputs, d if d.category == FLOAT else dtypes.get_default_dtype())
    return inputs, shape, d


def comparison(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """As `arithmetic` for the inputs; the result is bool."""
    inputs, shape, d = arithmetic(op, inputs, attrs)
    if d.is_half:  # a number is compared as the half that it would be stored as
        inputs = tuple(dtypes.rounded(x, d) if is_number(x) else x for x in inputs)
    return inputs, shape, dtypes.bool_


def same(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """The result has the shape and dtype of the first input, and the inputs stay as they are."""
    return inputs, inputs[0].shape, inputs[0].dtype


def without_bool(kernel: str, rule: Rule = same) -> Rule:
    """`rule`, which NotImplementedError follows where the result would be of dtype bool."""

    def infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
        result = rule(op, inputs, attrs)
        if result[2] is dtypes.bool_:
            raise not_implemented(kernel, dtypes.bool_)
        return result

    return infer


def truth(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """One input, about whose elements something is true or not."""
    return inputs, inputs[0].shape, dtypes.bool_


def logical(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """Each input, a tensor, as bool on its own, and a bool result."""
    require_tensors(op, inputs)
    shape = shape_of(op, inputs)
    return tuple(cast_to(x, dtypes.bool_) for x in inputs), shape, dtypes.bool_


def bitwise(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """As `arithmetic`, for integers and bools only."""
    inputs, shape, d = arithmetic(op, inputs, attrs)
    if d.category == FLOAT:
        if op.arity == 1:
            raise TypeError(
                "~ (operator.invert) is only implemented on integer and Boolean-type tensors, not "
                f"on {class_name(d)}"
            )
        kernel = op.name.replace("bitwise_left_shift", "lshift")
        raise not_implemented(kernel.replace("bitwise_right_shift", "rshift") + "_cpu", d)
    return inputs, shape, d


def class_name(d: dtype) -> str:
    """What PyTorch's messages call a dtype: Float, Long, ..."""
    names = {
        "float32": "Float",
        "float64": "Double",
        "float16": "Half",
        "bfloat16": "BFloat16",
        "int64": "Long",
        "int32": "Int",
        "int16": "Short",
        "int8": "Char",
        "uint8": "Byte",
        "bool": "Bool",
    }
    return names[d.name]


def require_tensors(op: Op, inputs: tuple[Any, ...]) -> None:
    """TypeError for an input that is a Python number, where PyTorch takes tensors only."""
    for number, (name, x) in enumerate(zip(op.input_names, inputs, strict=True), 1):
        if x.__class__ is not Value:
            raise TypeError(
                f"{op.name}(): argument '{name}' (position {number}) must be Tensor, not "
                f"{type(x).__name__}"
            )


def not_implemented(kernel: str, d: dtype) -> NotImplementedError:
    """PyTorch's answer to a dtype that a kernel is not written for, with what to do about it."""
    return NotImplementedError(
        f"\"{kernel}\" not implemented for '{class_name(d)}'; convert the tensor first, for "
        "example with .float() or .long()"
    )


def tensors_only(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """As `arithmetic`, without Python numbers."""
    require_tensors(op, inputs)
    return arithmetic(op, inputs, attrs)


def tensors_as_floats(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """As `floating`, without Python numbers."""
    require_tensors(op, inputs)
    return floating(op, inputs, attrs)


def floats_only(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """As `tensors_only`, for results of a float dtype."""
    inputs, shape, d = tensors_only(op, inputs, attrs)
    if not d.is_floating_point:
        raise not_implemented(f"{op.name}_cpu", d)
    return inputs, shape, d


def integers_only(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
    """As `tensors_only`, for results of an integer dtype."""
    inputs, shape, d = tensors_only(op, inputs, attrs)
    if d.category != dtypes.INTEGER:
        raise not_implemented(f"{op.name}_cpu", d)
    return inputs, shape, d


def floats(kernel: str) -> Callable[[Op, tuple[Any, ...], tuple[Any, ...]], Inferred]:
    """A rule: one input of a float dtype, whose shape and dtype are kept."""

    def infer(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Inferred:
        x = inputs[0]
        if x.__class__ is not Value:
            require_tensors(op, inputs)
        if x.dtype.category != FLOAT:
            raise not_implemented(kernel, x.dtype)
        return inputs, x.shape, x.dtype

    return infer


def is_number(x: Any) -> bool:
    """Whether `x` is a Python number."""
    return isinstance(x, NUMBERS)


def tensors_of(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The tensors of a call that takes them one by one or as one list."""
    if len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
        return tuple(arguments[0])
    return arguments
