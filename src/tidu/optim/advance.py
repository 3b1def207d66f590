"""Writing to parameters and state: beside the tape, or on it to differentiate an optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from tidu.base.traced import Traced
from tidu.ir.op import Op
from tidu.tensor import Tensor

# Advance(target, rule, *operands) makes `target` hold rule(target, *operands), and returns that.
Advance: TypeAlias = Callable[..., Any]


def advance(target: Tensor, rule: Callable[..., Any], *operands: Any) -> Any:
    """Beside the tape: operands are Values and numbers, and so is what is returned.

    Working on Values spares the making of a tensor for every intermediate result.
    """
    for x in operands:
        if x.__class__ is Traced:  # a number that has to see the operation
            value = rule(target._value, *operands)
            break
    else:
        inputs = (target._value, *operands)
        value = rule.value(inputs) if isinstance(rule, Op) else rule(*inputs)
    target._write(value)
    return value


def advance_on_tape(target: Tensor, rule: Callable[..., Any], *operands: Any) -> Tensor:
    """As in-place operations do it: operands are tensors and numbers."""
    return target._assign(rule(target, *operands))
