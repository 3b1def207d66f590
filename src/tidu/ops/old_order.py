"""Calls as they were written before PyTorch 1.5, and still are understood: a factor stands before
the tensors, as in ``p.add_(-lr, grad)``.
"""

from __future__ import annotations

from typing import Any

from tidu.base.source import at, here, warn_once
from tidu.ops.rules import is_number


def factor_last(operation: str, name: str, count: int, *given: Any) -> tuple[Any, ...]:
    """What was given as (factor, tensors...), as (tensors..., factor), where there have to be
    `count` tensors; `name` is what the factor is called now. TypeError where that cannot be meant.
    """
    factor, *tensors = given
    number = is_number(factor) or getattr(factor, "shape", None) == ()
    if not number or len(tensors) != count or any(is_number(x) for x in tensors):
        raise TypeError(
            f"{operation}() takes {count + 1} positional arguments, but {len(given) + 1} were "
            f"given; {name}= has to be given by name{at(here())}"
        )
    factor = factor if is_number(factor) else factor.item()
    warn_once(
        f"This overload of {operation} is deprecated: the factor stands before the tensors. Write "
        f"{operation}({'tensor1, tensor2' if count > 1 else 'other'}, {name}=...) instead."
    )
    return (*tensors, factor)
