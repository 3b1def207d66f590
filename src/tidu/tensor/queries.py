"""Questions about tensors and dtypes that need no numbers."""

from __future__ import annotations

from typing import Any

from tidu.base import dtypes
from tidu.base.dtypes import dtype
from tidu.base.limits import finfo, iinfo
from tidu.ir.op import function
from tidu.tensor.tensor import Tensor

__all__ = [
    "can_cast", "finfo", "iinfo", "is_complex", "is_conj", "is_floating_point", "is_inference",
    "is_neg", "is_same_size", "is_signed", "is_tensor", "numel", "result_type",
    "typename",
]  # fmt: skip


def _checked(operation: str, x: Any) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{operation}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}"
        )
    return x


def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a Tensor.

    >>> torch.is_tensor([1.0])
    False
    """
    return isinstance(obj, Tensor)


def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a float dtype."""
    return _checked("is_floating_point", input).dtype.is_floating_point


def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex: never."""
    return _checked("is_complex", input).dtype.is_complex


def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative numbers."""
    return _checked("is_signed", input).dtype.is_signed


def is_conj(input: Tensor) -> bool:
    """Whether the conjugate bit is set: never."""
    _checked("is_conj", input)
    return False


def is_neg(input: Tensor) -> bool:
    """Whether the negative bit is set: never."""
    _checked("is_neg", input)
    return False


def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return bool(_checked("is_inference", input).is_inference())


def numel(input: Tensor) -> int:
    """The number of elements."""
    return int(_checked("numel", input).numel())


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype in which an operation on two tensors or numbers works.

    >>> result_type(torch.tensor([1]), 1.5)
    torch.float32
    """
    return dtypes.result_type((tensor1, tensor2))


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether an in-place operation may store a result of one dtype in another."""
    return dtypes.can_cast(from_, to)


def typename(obj: Any) -> str:
    """The name of the type: "torch.FloatTensor" for a tensor, else its qualified name."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    module = getattr(kind, "__module__", None)
    name: str = kind.__qualname__
    return name if module in (None, "builtins", "__builtin__") else f"{module}.{name}"


@function("Tensor.is_same_size")
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape."""
    return tuple(input.shape) == tuple(other.shape)
