"""What a Value is given and gives: shapes and types."""

from __future__ import annotations

from typing import Any

from tidu.base.dtypes import dtype
from tidu.base.shapes import Shape
from tidu.ir.value import Value


def has_several(value: Value) -> bool:
    """Whether a Value is all the results of an op with several."""
    kinds: Any = value.dtype
    return kinds.__class__ is tuple


def results_of(value: Value) -> list[tuple[Shape, dtype]]:
    """Shape and dtype of each result."""
    shapes: Any = value.shape
    kinds: Any = value.dtype
    return list(zip(shapes, kinds, strict=True)) if has_several(value) else [(shapes, kinds)]


def input_shapes(value: Value) -> tuple[Shape, ...]:
    """The shapes of the inputs; () for numbers."""
    return tuple(tuple(x.shape) if x.__class__ is Value else () for x in value.inputs)
