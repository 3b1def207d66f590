"""Element types and the rules by which two of them meet.

The rules follow PyTorch's type promotion: the higher category wins (bool < integer < float), and
within a category tensors with dimensions count before 0-d tensors, and those before Python numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

from tidu.base.changes import changes

BOOL, INTEGER, FLOAT = 0, 1, 2


class dtype:  # noqa: N801 (the name users know it by: torch.dtype)
    """An element type: ``tidu.float32`` and its siblings are the only instances."""

    __slots__ = (
        "category",
        "is_floating_point",
        "is_half",
        "is_signed",
        "itemsize",
        "name",
        "numpy",
        "short",
    )

    def __init__(self, name: str, numpy_type: Any, category: int, short: str) -> None:
        self.name = name
        self.numpy = np.dtype(numpy_type)
        self.category = category
        self.short = short
        self.itemsize = self.numpy.itemsize
        self.is_floating_point = category == FLOAT
        self.is_half = category == FLOAT and self.itemsize == 2
        self.is_signed = name not in ("bool", "uint8")

    @property
    def is_complex(self) -> bool:
        return False

    def to_complex(self) -> dtype:
        raise NotImplementedError("tidu has no complex dtypes")

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (from_name, (self.name,))


float16 = dtype("float16", np.float16, FLOAT, "f16")
bfloat16 = dtype("bfloat16", ml_dtypes.bfloat16, FLOAT, "bf16")
float32 = dtype("float32", np.float32, FLOAT, "f32")
float64 = dtype("float64", np.float64, FLOAT, "f64")
int8 = dtype("int8", np.int8, INTEGER, "i8")
int16 = dtype("int16", np.int16, INTEGER, "i16")
int32 = dtype("int32", np.int32, INTEGER, "i32")
int64 = dtype("int64", np.int64, INTEGER, "i64")
uint8 = dtype("uint8", np.uint8, INTEGER, "u8")
bool_ = dtype("bool", np.bool_, BOOL, "b1")

ALL: tuple[dtype, ...] = (
    float16,
    bfloat16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    bool_,
)
_BY_NAME = {d.name: d for d in ALL}
_BY_NUMPY = {d.numpy: d for d in ALL}
ALIASES = {
    "float": float32,
    "double": float64,
    "half": float16,
    "long": int64,
    "int": int32,
    "short": int16,
    "bool": bool_,
}


def from_name(name: str) -> dtype:
    """The dtype of a name such as "float32"; KeyError for another."""
    return _BY_NAME[name]


_BY_PYTHON_TYPE = {bool: bool_, int: int64, float: float64}


def given(argument: Any) -> dtype | None:
    """What a `dtype=` argument means: a dtype, None, or one of Python's bool, int and float."""
    if argument is None or argument.__class__ is dtype:
        return argument
    found = _BY_PYTHON_TYPE.get(argument) if isinstance(argument, type) else None
    if found is None:
        raise TypeError(
            f"argument 'dtype' must be torch.dtype, not {type(argument).__name__}; write "
            "torch.float32, not its name"
        )
    return found


def from_numpy(numpy_type: Any) -> dtype:
    """The dtype of a NumPy dtype; TypeError where there is none."""
    found = _BY_NUMPY.get(np.dtype(numpy_type))
    if found is None:
        supported = ", ".join(d.name for d in ALL)
        raise TypeError(
            f"can't convert np.ndarray of type numpy.{np.dtype(numpy_type)}. The only supported "
            f"types are: {supported}."
        )
    return found


_default = float32


def get_default_dtype() -> dtype:
    """The float dtype that Python floats and integer division become (float32 unless set)."""
    return _default


def set_default_dtype(d: dtype) -> None:
    """Set the default float dtype; TypeError for anything that is not a float dtype."""
    global _default
    if not isinstance(d, dtype) or not d.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _default = d
    changes.count += 1


def _promote(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if a.category != b.category:
        return a if a.category > b.category else b
    if a.category == FLOAT:
        if a.itemsize != b.itemsize:
            return a if a.itemsize > b.itemsize else b
        return float32  # float16 with bfloat16: neither holds the other
    if uint8 in (a, b):
        other = b if a is uint8 else a
        return int16 if other is int8 else other
    return a if a.itemsize > b.itemsize else b


_PROMOTED = {(a, b): _promote(a, b) for a in ALL for b in ALL}


def promote_types(a: dtype, b: dtype) -> dtype:
    """The smallest dtype of the higher category that holds both."""
    return _PROMOTED[a, b]


def of_number(number: bool | int | float) -> dtype:
    """The dtype a Python number would have as a tensor."""
    if isinstance(number, bool):
        return bool_
    return int64 if isinstance(number, int) else _default


def rounded(number: float, d: dtype) -> float:
    """The number that an element of a dtype holds that is set to `number`."""
    with np.errstate(over="ignore"):
        return float(d.numpy.type(number))


def result_type(operands: Iterable[Any]) -> dtype:
    """The dtype in which operands meet;
    each has ``.shape`` and ``.dtype`` or is a Python number.
    """
    ranked: list[dtype | None] = [None, None, None]  # numbers, 0-d, with dimensions
    for x in operands:
        if isinstance(x, (bool, int, float)):
            rank, d = 0, of_number(x)
        else:
            rank, d = (2 if x.shape else 1), x.dtype
        seen = ranked[rank]
        ranked[rank] = d if seen is None else _PROMOTED[seen, d]
    result: dtype | None = None
    for d_or_none in reversed(ranked):
        if d_or_none is None:
            continue
        if result is None:
            result = d_or_none
        elif d_or_none.category > result.category:
            result = _PROMOTED[result, d_or_none]
    assert result is not None
    return result


def can_cast(source: dtype, target: dtype) -> bool:
    """Whether an in-place result of `source` may be stored in `target`: never down a category."""
    return source.category <= target.category
