"""Writing over all that a tensor shows: zeros, a number, the numbers of another tensor."""

from __future__ import annotations

from typing import Any

from tidu.base.state import state
from tidu.ops.elementwise import fill, overwrite
from tidu.ops.sources import full
from tidu.tensor.applying import apply
from tidu.tensor.tensor import Tensor


def zero_(self: Tensor) -> Tensor:
    """Overwrite with zeros."""
    if self._chain is not None or (state.own.grad_enabled and self.requires_grad):
        return self._assign(apply(fill, (self, 0), (), "ZeroBackward0"))
    self._check_inference()
    value = self._storage.value
    self._write(full.value((0,), (value.shape, value.dtype)))
    return self


def fill_(self: Tensor, value: Any) -> Tensor:
    """Overwrite every element with `value`, a number or a 0-d tensor."""
    name = "FillBackward3" if isinstance(value, Tensor) else "FillBackward2"
    return self._assign(apply(fill, (self, value), (), name))


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Overwrite with the numbers of `src`, or one number, broadcast and of this dtype."""
    if isinstance(src, (bool, int, float)):
        return self._assign(apply(fill, (self, src), (), "CopyBackwards"))
    if not isinstance(src, Tensor):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}"
        )
    return self._assign(apply(overwrite, (self, src)))
