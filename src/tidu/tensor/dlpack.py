"""Numbers from and to other libraries by DLPack. They are copied: memory that somebody else may
write to would change what has been recorded but not yet run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.ir.op import function
from tidu.tensor.from_data import as_it_lies
from tidu.tensor.tensor import Tensor, from_array

__all__ = ["from_dlpack", "to_dlpack"]


class _Capsule:
    """What a function such as `to_dlpack` has handed out, for `numpy.from_dlpack` to ask."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0  # the CPU


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor with the numbers of another library's array, or of a capsule, copied.

    ValueError with `copy=False`. TypeError for what has no `__dlpack__`.

    >>> import numpy
    >>> torch.from_dlpack(numpy.arange(3))
    tensor([0, 1, 2])
    """
    if copy is False:
        raise ValueError("torch.from_dlpack(): tidu copies what it is given; leave copy=False out")
    is_capsule = type(ext_tensor).__name__ == "PyCapsule"
    if not is_capsule and not hasattr(ext_tensor, "__dlpack__"):
        raise TypeError(
            f"torch.from_dlpack(): {type(ext_tensor).__name__} has no method __dlpack__"
        )
    array = np.from_dlpack(_Capsule(ext_tensor) if is_capsule else ext_tensor)
    return as_it_lies(from_array(np.array(array, order="C")), array)


def to_dlpack(tensor: Any) -> Any:
    """A DLPack capsule with a copy of the tensor's numbers, to be used once."""
    return tensor.__dlpack__()


@function("Tensor.__dlpack__")
def export(self: Any, **options: Any) -> Any:
    """A DLPack capsule with a copy of the numbers. BufferError if the tensor requires a gradient,
    or for a dtype that NumPy cannot hand out.
    """
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return np.array(self.numpy()).__dlpack__()


@function("Tensor.__dlpack_device__")
def export_device(self: Any) -> tuple[int, int]:
    """DLPack's numbers for the CPU."""
    return 1, 0
