"""Looking at the memory under tensors: `Tensor.storage()` and `Tensor.untyped_storage()`.

Both show all of the memory that a tensor is a view of, and write to it: every tensor on that memory
sees what is written. They do not grow or shrink it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.ir.op import function
from tidu.ir.value import leaf
from tidu.tensor import creation, from_data
from tidu.tensor.memory import _whole
from tidu.tensor.tensor import Tensor, from_value

__all__ = [
    "BFloat16Storage", "BoolStorage", "ByteStorage", "CharStorage", "DoubleStorage", "FloatStorage",
    "HalfStorage", "IntStorage", "LongStorage", "ShortStorage", "TypedStorage", "UntypedStorage",
]  # fmt: skip


class _Memory(ABC):
    """All elements of some memory, as a tensor of one dimension that writes to it."""

    def __init__(self, elements: Tensor) -> None:
        self._elements = elements

    @property
    def device(self) -> devices.device:
        """Where the memory is."""
        return self._elements.device

    @abstractmethod
    def nbytes(self) -> int: ...

    @abstractmethod
    def size(self) -> int: ...

    @abstractmethod
    def tolist(self) -> list[Any]: ...

    def __len__(self) -> int:
        return self.size()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def data_ptr(self) -> int:
        """A number that tells memory apart: that of `Tensor.data_ptr`."""
        pointer: int = self._elements.data_ptr()
        return pointer

    def is_shared(self) -> bool:
        """False: memory is not shared among processes."""
        return False

    def is_pinned(self, device: Any = "cuda") -> bool:
        """False: there is no device to copy to."""
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Memory) and self.data_ptr() == other.data_ptr()

    def __hash__(self) -> int:
        return hash(self.data_ptr())

    def _shown(self, description: str) -> str:
        numbers = "\n ".join(str(x) for x in self.tolist())
        name = type(self).__name__
        return f" {numbers}\n[torch.storage.{name}({description}) of size {self.size()}]"


class TypedStorage(_Memory):
    """The memory under a tensor as elements of its dtype.

    >>> x = torch.arange(6).reshape(2, 3)
    >>> x.t().storage().tolist()
    [0, 1, 2, 3, 4, 5]
    """

    @property
    def dtype(self) -> dtype:
        """The dtype of the elements."""
        return self._elements.dtype

    def size(self) -> int:
        """How many elements there are."""
        return int(self._elements.numel())

    def element_size(self) -> int:
        """The bytes of an element."""
        return int(self.dtype.itemsize)

    def nbytes(self) -> int:
        """How many bytes there are."""
        return self.size() * int(self.element_size())

    def tolist(self) -> list[Any]:
        """The elements as Python numbers."""
        numbers: list[Any] = self._elements.tolist()
        return numbers

    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return TypedStorage(self._elements[index])
        return self._elements[_place(index, self.size())].item()

    def __setitem__(self, index: int | slice, value: Any) -> None:
        self._elements[index] = value._elements if isinstance(value, TypedStorage) else value

    def fill_(self, value: Any) -> TypedStorage:
        """Write one number everywhere."""
        self._elements.fill_(value)
        return self

    def copy_(self, source: TypedStorage, non_blocking: bool | None = None) -> TypedStorage:
        """Write the elements of a storage of the same size."""
        self._elements.copy_(source._elements)
        return self

    def clone(self) -> TypedStorage:
        """The same elements in memory of their own."""
        return TypedStorage(self._elements.clone())

    def cpu(self) -> TypedStorage:
        """The storage itself: there is no other device."""
        return self

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._elements)

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the storage's type; with a dtype, its elements converted."""
        if dtype is None:
            return f"torch.{_NAMES[self.dtype]}"
        return TypedStorage(self._elements.to(dtypes.given(dtype)))

    def __repr__(self) -> str:
        return self._shown(f"dtype={self.dtype}, device={self.device}")


def _conversion(to: dtype) -> Any:
    def convert(self: TypedStorage) -> Any:
        return self.type(to)

    convert.__doc__ = f"The elements as {to}."
    return convert


for _name, _dtype in (
    ("float", dtypes.float32),
    ("double", dtypes.float64),
    ("half", dtypes.float16),
    ("bfloat16", dtypes.bfloat16),
    ("long", dtypes.int64),
    ("int", dtypes.int32),
    ("short", dtypes.int16),
    ("char", dtypes.int8),
    ("byte", dtypes.uint8),
    ("bool", dtypes.bool_),
):
    setattr(TypedStorage, _name, _conversion(_dtype))


def _place(index: int, size: int) -> int:
    if not -size <= index < size:
        raise IndexError(f"index {index} out of range for storage of size {size}")
    return index


class UntypedStorage(_Memory):
    """The memory under a tensor as bytes; `UntypedStorage(n)` makes n zero bytes.

    >>> torch.ones(2).untyped_storage().nbytes()
    8
    """

    def __init__(self, elements: Tensor | int = 0) -> None:
        if not isinstance(elements, Tensor):
            elements = from_value(creation.zeros(elements, dtype=dtypes.uint8)._value)
        super().__init__(elements)

    def size(self) -> int:
        """How many bytes there are."""
        return int(self._elements.numel() * self._elements.dtype.itemsize)

    nbytes = size

    def element_size(self) -> int:
        """1."""
        return 1

    def _bytes(self) -> Any:
        held = self._elements.numpy()
        return np.frombuffer(held.tobytes(), np.uint8)

    def tolist(self) -> list[int]:
        """The bytes as numbers from 0 to 255."""
        numbers: list[int] = self._bytes().tolist()
        return numbers

    def __getitem__(self, index: int) -> int:
        return int(self._bytes()[_place(index, self.size())])

    def __setitem__(self, index: int, value: int) -> None:
        written = self._bytes().copy()
        written[_place(index, self.size())] = value
        held = self._elements.dtype
        self._elements._write(leaf(written.view(held.numpy), held))

    def clone(self) -> UntypedStorage:
        """The same bytes in memory of their own."""
        return UntypedStorage(self._elements.clone())

    def cpu(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def untyped(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def __repr__(self) -> str:
        return self._shown(f"device={self.device}")


class _Kind(type):
    """A storage type of old: makes typed storages, and is the type of those of its dtype."""

    dtype: dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype is cls.dtype

    def __call__(cls, source: Any = 0) -> TypedStorage:
        if isinstance(source, int):
            return TypedStorage(creation.zeros(source, dtype=cls.dtype))
        return TypedStorage(from_data.tensor(source, dtype=cls.dtype))


_NAMES = {
    dtypes.float32: "FloatStorage",
    dtypes.float64: "DoubleStorage",
    dtypes.float16: "HalfStorage",
    dtypes.bfloat16: "BFloat16Storage",
    dtypes.int64: "LongStorage",
    dtypes.int32: "IntStorage",
    dtypes.int16: "ShortStorage",
    dtypes.int8: "CharStorage",
    dtypes.uint8: "ByteStorage",
    dtypes.bool_: "BoolStorage",
}
_KINDS = {
    held: _Kind(name, (), {"dtype": held, "__module__": "torch", "__doc__": f"Storage of {held}."})
    for held, name in _NAMES.items()
}
FloatStorage = _KINDS[dtypes.float32]
DoubleStorage = _KINDS[dtypes.float64]
HalfStorage = _KINDS[dtypes.float16]
BFloat16Storage = _KINDS[dtypes.bfloat16]
LongStorage = _KINDS[dtypes.int64]
IntStorage = _KINDS[dtypes.int32]
ShortStorage = _KINDS[dtypes.int16]
CharStorage = _KINDS[dtypes.int8]
ByteStorage = _KINDS[dtypes.uint8]
BoolStorage = _KINDS[dtypes.bool_]


def _elements(x: Tensor) -> Tensor:
    flat: Tensor = _whole(x).detach().view(-1)
    return flat


@function("Tensor.storage")
def storage(self: Any) -> TypedStorage:
    """The memory that the tensor is a view of, as elements of its dtype."""
    return TypedStorage(_elements(self))


@function("Tensor.untyped_storage")
def untyped_storage(self: Any) -> UntypedStorage:
    """The memory that the tensor is a view of, as bytes."""
    return UntypedStorage(_elements(self))


@function("Tensor.storage_type")
def storage_type(self: Any) -> Any:
    """The type of storage for this dtype, such as `torch.FloatStorage`."""
    return _KINDS[self.dtype]


@function("torch.is_storage")
def is_storage(obj: Any) -> bool:
    """Whether `obj` is the memory under a tensor.

    >>> torch.is_storage(torch.ones(2).storage())
    True
    """
    return isinstance(obj, _Memory)
