"""Writing over all that a tensor shows: zeros, a number, the numbers of another tensor."""

from __future__ import annotations

from typing import Any

from tidu.base.state import state
from tidu.ops.elementwise import fill, overwrite
from tidu.ops.sources import full
from tidu.tensor.applying import apply
from tidu.tensor.tensor import Tensor


def zero_(self: Tensor) -> Tensor:
    """Overwrite with zeros.

    >>> torch.ones(2).zero_()
    tensor([0., 0.])
    """
    if self._chain is not None or (state.own.grad_enabled and self.requires_grad):
        return self._assign(apply(fill, (self, 0), (), "ZeroBackward0"))
    self._check_inference()
    value = self._storage.value
    self._write(full.value((0,), (value.shape, value.dtype)))
    return self


def fill_(self: Tensor, value: Any) -> Tensor:
    """Overwrite every element with `value`, a number or a 0-d tensor.

    >>> torch.zeros(2).fill_(3.0)
    tensor([3., 3.])
    """
    name = "FillBackward3" if isinstance(value, Tensor) else "FillBackward2"
    return self._assign(apply(fill, (self, value), (), name))


def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Overwrite with the numbers of `src`, or one number, broadcast and of this dtype.

    >>> torch.zeros(2).copy_(torch.tensor([1, 2]))
    tensor([1., 2.])
    """
    if isinstance(src, (bool, int, float)):
        return self._assign(apply(fill, (self, src), (), "CopyBackwards"))
    if not isinstance(src, Tensor):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {type(src).__name__}"
        )
    return self._assign(apply(overwrite, (self, src)))
