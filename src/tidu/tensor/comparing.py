"""Answers about numbers: whether tensors are equal, or not zero. Tensors are run at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.ir.op import function
from tidu.ops.elementwise.one_operand import isclose
from tidu.tensor.tensor import Tensor


@function("torch.equal Tensor.equal")
def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and elements, as a bool.

    >>> torch.equal(torch.ones(2), torch.tensor([1.0, 1.0]))
    True
    """
    for position, x in enumerate((input, other), 1):
        if not isinstance(x, Tensor):
            name = "input" if position == 1 else "other"
            raise TypeError(
                f"equal(): argument '{name}' (position {position}) must be Tensor, not"
                f" {type(x).__name__}"
            )
    if tuple(input.shape) != tuple(other.shape):
        return False
    return bool(np.all(input._array() == other._array()))


@function("torch.allclose Tensor.allclose")
def allclose(
    input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close, |input - other| <= atol + rtol · |other|, as a bool.

    >>> torch.allclose(torch.tensor([1.0]), torch.tensor([1.0 + 1e-7]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan).all().item())


@function("torch.is_nonzero Tensor.is_nonzero")
def is_nonzero(input: Any) -> bool:
    """Whether the one element is not 0."""
    return bool(input)
