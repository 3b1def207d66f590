"""The methods of Tensor that are not operations, and where all of them are put on it."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from tidu.autograd.modes import enable_grad
from tidu.base import dtypes
from tidu.base.changes import changes
from tidu.base.source import warn, warn_once
from tidu.base.state import state
from tidu.ops.moving.movement import permute
from tidu.tensor import creation
from tidu.tensor.conversion import (
    contiguous,
    converter,
    cpu,
    cuda,
    share_memory_,
    to,
    type_,
)
from tidu.tensor.copying import deepcopy, reduce, shallow_copy
from tidu.tensor.from_data import copied, finish
from tidu.tensor.history import check_in_place
from tidu.tensor.indexing import delitem, getitem, setitem
from tidu.tensor.overwriting import copy_, fill_, zero_
from tidu.tensor.random_in_place import IN_PLACE
from tidu.tensor.reading import (
    array_wrap,
    as_array,
    as_float,
    contains,
    formatted,
    index,
    item,
    iterate,
    length,
    numpy,
    representation,
    single,
    tolist,
    truth,
)
from tidu.tensor.tensor import Tensor
from tidu.tensor.typed import from_sizes_or_data, make


def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size along `dim`.

    >>> torch.ones(2, 3).size()
    torch.Size([2, 3])
    >>> torch.ones(2, 3).size(1)
    3
    """
    return self.shape if dim is None else self._value.shape[dim]


def dim(self: Tensor) -> int:
    """The number of dimensions.

    >>> torch.ones(2, 3).dim()
    2
    """
    return len(self._value.shape)


def numel(self: Tensor) -> int:
    """The number of elements.

    >>> torch.ones(2, 3).numel()
    6
    """
    return prod(self._value.shape)


def element_size(self: Tensor) -> int:
    """Bytes for one element."""
    return int(self.dtype.itemsize)


def _says(text: str, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is one expression, with its docstring."""
    method.__doc__ = text
    return method


def _new_constant(make: Any, what: str) -> Any:
    def method(self: Tensor, *size: Any, dtype: Any = None, **rest: Any) -> Any:
        return make(*size, dtype=dtypes.given(dtype) or self.dtype, **rest)

    return _says(f"A tensor of shape `size` and of this dtype, {what}.", method)


def new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, **rest: Any) -> Tensor:
    """A tensor of `fill_value`, of this dtype."""
    return creation.full(size, fill_value, dtype=dtypes.given(dtype) or self.dtype, **rest)


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, requires_grad: bool = False, **rest: Any
) -> Tensor:
    """A copy of `data`, of this dtype."""
    if isinstance(data, Tensor):
        warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than "
            "tensor.new_tensor(sourceTensor)."
        )
    return finish(copied(data, dtypes.given(dtype) or self.dtype), requires_grad)


def new(self: Tensor, *args: Any) -> Tensor:
    """The old way to make a tensor of this dtype: from sizes or from a list."""
    return from_sizes_or_data(args, self.dtype)


def _reversed(self: Tensor) -> Tensor:
    """x.T: the dimensions in the opposite order."""
    if len(self._value.shape) not in (0, 2):
        warn_once(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
            "deprecated and it will throw an error in a future release. Consider `x.mT` to "
            "transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to "
            "reverse the dimensions of a tensor.",
        )
    return _transposed(self)


def _is_view(self: Tensor) -> bool:
    changes.asked("whether a tensor is a view")
    return self._base is not None


def _data_ptr(self: Tensor) -> int:
    changes.asked("where a tensor lies in memory")
    return id(self._storage)


def _transposed(self: Tensor, name: str = "PermuteBackward0") -> Tensor:
    return permute.named(name, self, tuple(range(len(self._value.shape)))[::-1])  # type: ignore[no-any-return]


def _matrix_transposed(self: Tensor) -> Tensor:
    rank = len(self._value.shape)
    if rank < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {rank}-D tensor."
        )
    return self.transpose(-2, -1)  # type: ignore[no-any-return]


def bind_methods() -> None:
    """Put the methods that are not operations on Tensor."""
    plain: dict[str, Any] = {
        "__getitem__": getitem,
        "__setitem__": setitem,
        "__delitem__": delitem,
        "__len__": length,
        "__iter__": iterate,
        "__bool__": truth,
        "__contains__": contains,
        "__format__": formatted,
        "__repr__": representation,
        "__str__": representation,
        "__array__": as_array,
        "__array_wrap__": array_wrap,
        "__int__": lambda self: int(single(self)),
        "__float__": as_float,
        "__index__": index,
        "__hash__": object.__hash__,
        "__copy__": shallow_copy,
        "__deepcopy__": deepcopy,
        "__reduce_ex__": reduce,
        "zero_": zero_,
        "fill_": fill_,
        "copy_": copy_,
        "item": item,
        "tolist": tolist,
        "numpy": numpy,
        "size": size,
        "dim": dim,
        "ndimension": dim,
        "numel": numel,
        "nelement": numel,
        "element_size": element_size,
        "itemsize": property(element_size),
        "nbytes": property(lambda self: self.numel() * self.element_size()),
        "to": to,
        "type": type_,
        "contiguous": contiguous,
        "cpu": cpu,
        "cuda": cuda,
        "new_zeros": _new_constant(creation.zeros, "all zeros"),
        "new_ones": _new_constant(creation.ones, "all ones"),
        "new_empty": _new_constant(creation.empty, "with unspecified contents"),
        "new_full": new_full,
        "new_tensor": new_tensor,
        "new": new,
        "T": property(_reversed),
        "mT": property(_matrix_transposed),
        "H": property(lambda self: _transposed(self, "TransposeBackward0")),
        "is_cuda": False,
        "is_sparse": False,
        "is_quantized": False,
        "is_meta": False,
        "is_mps": False,
        "is_floating_point": _says(
            "Whether the elements are floats.", lambda self: self.dtype.is_floating_point
        ),
        "is_complex": _says("Whether the dtype is complex: never.", lambda self: False),
        "is_signed": _says("Whether elements may be negative.", lambda self: self.dtype.is_signed),
        "is_inference": _says(
            "Whether it was made in `inference_mode`.", lambda self: self._storage.inference
        ),
        "get_device": _says("-1, which stands for the CPU.", lambda self: -1),
        "is_pinned": _says("Whether its memory is pinned: never.", lambda self: False),
        "pin_memory": _says("The tensor itself: there is no device to copy to.", lambda self: self),
        "resolve_conj": lambda self: self,
        "resolve_neg": lambda self: self,
        "is_conj": lambda self: False,
        "type_as": _says(
            "The tensor in the dtype of `other`.", lambda self, other: to(self, other.dtype)
        ),
        "_is_view": _is_view,
        "data_ptr": _says(
            "A number that tensors have in common if they share memory; not an address.",
            _data_ptr,
        ),
        "is_shared": _says("Whether other processes see its memory: never.", lambda self: False),
        "share_memory_": share_memory_,
        "real": property(lambda self: self),
        "__dir__": object.__dir__,
    }
    for name, d in dtypes.ALIASES.items():
        plain[name] = converter(d)
    for name, d in {"byte": dtypes.uint8, "char": dtypes.int8, "bfloat16": dtypes.bfloat16}.items():
        plain[name] = converter(d)
    for name, method in {**plain, **IN_PLACE}.items():
        setattr(Tensor, name, method)
    Tensor.__new__ = staticmethod(make)  # type: ignore[assignment,method-assign]
    for name, grad_names in _SHAPE_IN_PLACE.items():
        setattr(Tensor, name + "_", _shape_in_place(getattr(Tensor, name), grad_names))


# What is on the tape afterwards: the name of one call, or by what those without the underscore are
# called.
_SHAPE_IN_PLACE = {
    "unsqueeze": {"UnsqueezeBackward0": "UnsqueezeBackward1"},
    "squeeze": {f"SqueezeBackward{i}": f"SqueezeBackward{i + 3}" for i in range(3)},
    "transpose": {"TransposeBackward0": "TransposeBackward1"},
    "t": {"TBackward0": "TBackward1"},
    "swapaxes": {"TransposeBackward0": "TransposeBackward1"},
    "swapdims": {"TransposeBackward0": "TransposeBackward1"},
}


def _shape_in_place(call: Any, grad_names: dict[str, str]) -> Any:
    """``x.unsqueeze_(0)``: the tensor itself becomes the view."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if state.own.grad_enabled and self.requires_grad:
            check_in_place(self)
        with enable_grad():  # its history has to fit its shape, also where no_grad is on
            made = call(self, *args, **kwargs)
        changes.of(self)
        self._storage, self._chain = made._storage, made._chain
        self._cached, self._seen = made._cached, made._seen
        if self._grad_fn is not None:
            node = made._grad_fn
            node.grad_name = grad_names.get(node.grad_name, node.grad_name)
            self._set_history((node, made._output))
        return self

    return method
