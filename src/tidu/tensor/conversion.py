"""Tensors in another dtype, on another device, in another layout."""

from __future__ import annotations

from typing import Any

from tidu.base import devices, dtypes, memory_formats
from tidu.base.dtypes import dtype
from tidu.base.memory_formats import contiguous_format, preserve_format
from tidu.base.source import at, here, warn
from tidu.base.strides import contiguous_strides
from tidu.ir.op import function
from tidu.ops.cast import cast
from tidu.ops.elementwise import positive
from tidu.tensor.creation import lay_like
from tidu.tensor.tensor import Tensor


def to(
    self: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    other: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The tensor in another dtype, on another device or in another memory format; itself where
    nothing changes.

    ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(other)``; `copy=True` copies anyway.

    >>> torch.ones(2).to(torch.int64)
    tensor([1, 1])
    """
    wanted = dtypes.given(dtype)
    flags = []  # non_blocking, copy
    for argument in (other, *args):
        if isinstance(argument, dtypes.dtype):
            wanted = argument
        elif isinstance(argument, Tensor):
            wanted = argument.dtype
        elif isinstance(argument, bool):
            flags.append(argument)
        elif isinstance(argument, (str, int, devices.device)):
            device = argument
        elif isinstance(argument, type):
            wanted = dtypes.given(argument)
        elif argument is not None:
            raise TypeError(
                "to(): argument must be a dtype, a device or a Tensor, not "
                f"{type(argument).__name__}{at(here())}"
            )
    devices.check(device)
    wanted = self.dtype if wanted is None else wanted
    copies = copy or flags[1:] == [True]
    if wanted is self.dtype and not copies and _has_format(self, memory_format):
        return self
    made = positive(self) if wanted is self.dtype else cast(self, wanted)
    return lay_like(made, self, memory_format)


def _has_format(self: Tensor, wanted: memory_formats.memory_format | None) -> bool:
    if wanted is None or wanted is preserve_format:
        return True
    shape, strides = self._value.shape, self._strides()[0]
    return strides == (wanted.strides(shape, strides) or contiguous_strides(shape))


def converter(d: dtype) -> Any:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        if memory_format is not None:
            return to(self, d, memory_format=memory_format)
        return self if self.dtype is d else cast(self, d)

    method.__doc__ = f"The tensor as {d.name}."
    return method


def type_(self: Tensor, dtype: Any = None, **rest: Any) -> Any:
    """The name of the tensor's type ("torch.FloatTensor"), or the tensor converted to `dtype`.

    >>> torch.ones(2).type()
    'torch.FloatTensor'
    >>> torch.ones(2).type(torch.int64)
    tensor([1, 1])
    """
    if dtype is None:
        return f"torch.{TYPE_NAMES[self.dtype]}Tensor"
    return to(self, dtype if isinstance(dtype, dtypes.dtype) else dtype_of_type(dtype))


TYPE_NAMES = {
    dtypes.float32: "Float",
    dtypes.float64: "Double",
    dtypes.float16: "Half",
    dtypes.bfloat16: "BFloat16",
    dtypes.int64: "Long",
    dtypes.int32: "Int",
    dtypes.int16: "Short",
    dtypes.int8: "Char",
    dtypes.uint8: "Byte",
    dtypes.bool_: "Bool",
}
_BY_TYPE_NAME = {f"{name}Tensor": d for d, name in TYPE_NAMES.items()}


def dtype_of_type(wanted: Any) -> dtype:
    """The dtype of "torch.FloatTensor" or of the class torch.FloatTensor."""
    name = (wanted if isinstance(wanted, str) else wanted.__name__).rpartition(".")[2]
    if name == "Tensor":
        return dtypes.get_default_dtype()
    if name not in _BY_TYPE_NAME:
        raise ValueError(f"invalid type: '{wanted}'")
    return _BY_TYPE_NAME[name]


def contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """Itself if its elements lie in row-major order (or that of `memory_format`), otherwise a copy
    that does.

    >>> torch.ones(2, 3).t().contiguous().stride()
    (2, 1)
    """
    if self.is_contiguous(memory_format):
        return self
    return lay_like(positive(self), self, memory_format or contiguous_format)


@function("torch.clone Tensor.clone")
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy that stays on the tape. It lies in memory as the tensor does, or as `memory_format`
    says.

    >>> a = torch.zeros(2)
    >>> b = a.clone().fill_(1.0)
    >>> a
    tensor([0., 0.])
    """
    return lay_like(positive(input), input, memory_format)


def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor on the CPU: itself."""
    return self


def cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """RuntimeError: there is no CUDA device."""
    devices.check("cuda")
    return self


def share_memory_(self: Tensor) -> Tensor:
    """The tensor itself, with a warning: processes do not share memory here."""
    warn(
        "share_memory_(): tensors are not shared among processes: each process works on a copy of "
        "its own, and does not see what the others write"
    )
    return self
