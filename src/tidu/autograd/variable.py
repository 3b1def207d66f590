"""`Variable`: what tensors that require gradients were called before they were tensors."""

from __future__ import annotations

import warnings
from typing import Any

from tidu.autograd.tape import Tape


class _VariableMeta(type):
    """Every tensor is an instance, and calling the class makes a tensor."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tape.tensor)

    def __call__(cls, data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
        if not isinstance(data, Tape.tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                stacklevel=2,
            )
        made = data.detach()
        return made.requires_grad_() if requires_grad else made


class Variable(metaclass=_VariableMeta):
    """``Variable(tensor, requires_grad=False)``: a tensor on the same memory.

    Kept for old code, which can use tensors. Follows torch.autograd.Variable.

    >>> torch.autograd.Variable(torch.ones(2), requires_grad=True).requires_grad
    True
    """
