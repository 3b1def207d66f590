"""The methods of Tensor that are not operations:
numbers out, conversions, printing, pickling.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from tidu.autograd.modes import enable_grad
from tidu.base import devices, dtypes
from tidu.base.changes import changes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Size, flatten_sizes
from tidu.base.source import at, here, warn
from tidu.base.state import state
from tidu.ops import elementwise as e
from tidu.ops.cast import cast
from tidu.ops.elementwise import positive
from tidu.ops.moving.movement import permute
from tidu.ops.moving.sections import unbind
from tidu.tensor import creation, random
from tidu.tensor.applying import apply
from tidu.tensor.history import check_in_place
from tidu.tensor.indexing import delitem, getitem, setitem
from tidu.tensor.overwriting import copy_, fill_, zero_
from tidu.tensor.printing import format_tensor
from tidu.tensor.tensor import Tensor, _new, from_array

# Numbers out --------------------------------------------------------------------------------------


def item(self: Tensor) -> Any:
    """The one element, as a Python number; RuntimeError for another number of elements."""
    array = self._array()
    if array.size != 1:
        raise RuntimeError(
            f"a Tensor with {array.size} elements cannot be converted to Scalar (shape "
            f"{list(array.shape)}); tolist() gives all of them, x[i].item() one{at(here())}"
        )
    number = array.item()
    return number if isinstance(number, (bool, int, float)) else float(number)


def _single(self: Tensor) -> Any:
    """`item` for float(x) and int(x), which raise ValueError instead."""
    if self._value.numel() != 1:
        raise ValueError(
            "only one element tensors can be converted to Python scalars, not one of shape "
            f"{list(self.shape)}{at(here())}"
        )
    return item(self)


def tolist(self: Tensor) -> Any:
    """The elements as nested lists of Python numbers (a number for a 0-d tensor)."""
    array = self._array()
    return (array.astype(np.float32) if array.dtype.kind == "V" else array).tolist()


def numpy(self: Tensor, *, force: bool = False) -> Any:
    """A NumPy array with the same numbers. It is a copy: writing to it does not change the tensor.

    Raises RuntimeError on a tensor that requires a gradient, and TypeError for bfloat16, which
    NumPy lacks.
    """
    if self.requires_grad and not force:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            f"{at(here())}"
        )
    if self.dtype is dtypes.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16; use .float().numpy()")
    return np.array(self._array(), order="C")


def _as_array(self: Tensor, dtype: Any = None, copy: Any = None) -> Any:
    array = numpy(self)
    return array if dtype is None else array.astype(dtype, copy=False)


def _truth(self: Tensor) -> bool:
    count = self._value.numel()
    if count == 0:
        raise RuntimeError(
            f"Boolean value of Tensor with no values is ambiguous (shape {list(self.shape)}); ask "
            f"for x.numel() > 0{at(here())}"
        )
    if count > 1:
        raise RuntimeError(
            "Boolean value of Tensor with more than one value is ambiguous (shape "
            f"{list(self.shape)}); use .any() or .all(), or compare with torch.equal{at(here())}"
        )
    return bool(item(self))


def _index(self: Tensor) -> int:
    number = item(self) if self._value.numel() == 1 else None
    if not isinstance(number, int):
        raise TypeError(
            "only integer tensors of a single element can be converted to an index, not one of "
            f"{self.dtype} and shape {list(self.shape)}{at(here())}"
        )
    return int(number)


def _length(self: Tensor) -> int:
    shape = self._value.shape
    if not shape:
        raise TypeError(f"len() of a 0-d tensor; x.numel() counts elements{at(here())}")
    return shape[0]


def _iterate(self: Tensor) -> Iterator[Tensor]:
    if not self._value.shape:
        raise TypeError(f"iteration over a 0-d tensor; x.item() is its number{at(here())}")
    return iter(unbind(self, 0))


def _contains(self: Tensor, element: Any) -> bool:
    if not isinstance(element, (Tensor, bool, int, float)):
        raise RuntimeError(
            "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{type(element)}."
        )
    return bool(item(apply(e.eq, (self, element)).any()))


def _format(self: Tensor, specification: str) -> str:
    """A 0-d tensor is formatted as its number, as in f"{loss}" and f"{loss:.4f}"."""
    if self._value.shape or type(self) is not Tensor:
        return object.__format__(self, specification)
    return format(item(self), specification)


def _repr(self: Tensor) -> str:
    try:
        node = self.grad_fn
        made_by = None if node is None else node.name()
    except RuntimeError:  # a view whose history an in-place edit has made invalid
        made_by = "Invalid"
    return format_tensor(
        self._array(),
        self.dtype.name,
        default_float=dtypes.get_default_dtype().name,
        requires_grad=self.requires_grad,
        grad_fn=made_by,
    )


# Size and kind ------------------------------------------------------------------------------------


def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size along `dim`."""
    return self.shape if dim is None else self._value.shape[dim]


def dim(self: Tensor) -> int:
    """The number of dimensions."""
    return len(self._value.shape)


def numel(self: Tensor) -> int:
    """The number of elements."""
    return prod(self._value.shape)


def element_size(self: Tensor) -> int:
    """Bytes for one element."""
    return int(self.dtype.itemsize)


def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor in another dtype or on another device; itself where nothing changes.

    ``to(dtype)``, ``to(device)``, ``to(device, dtype)``, ``to(other)``; `copy=True` copies anyway.
    """
    wanted = dtypes.given(kwargs.get("dtype"))
    place = kwargs.get("device")
    other = kwargs.get("other")
    for argument in args:
        if isinstance(argument, dtype):
            wanted = argument
        elif isinstance(argument, Tensor):
            other = argument
        elif isinstance(argument, (str, devices.device)):
            place = argument
        elif isinstance(argument, type):
            wanted = dtypes.given(argument)
    if isinstance(other, Tensor):
        wanted = other.dtype
    if place is not None:
        devices.check(place)
    if wanted is None or wanted is self.dtype:
        return positive(self) if kwargs.get("copy") else self
    return cast(self, wanted)  # type: ignore[no-any-return]


def _converter(d: dtype) -> Any:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return self if self.dtype is d else cast(self, d)

    method.__doc__ = f"The tensor as {d.name}."
    return method


def type_(self: Tensor, dtype: Any = None, **rest: Any) -> Any:
    """The name of the tensor's type ("torch.FloatTensor"), or the tensor converted to `dtype`."""
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
    """Itself if its elements lie in row-major order, otherwise a copy that does."""
    return self if self.is_contiguous() else positive(self)


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


def _new_constant(make: Any) -> Any:
    def method(self: Tensor, *size: Any, dtype: Any = None, **rest: Any) -> Any:
        return make(*size, dtype=dtypes.given(dtype) or self.dtype, **rest)

    return method


def new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, **rest: Any) -> Tensor:
    """A tensor of `fill_value`, of this dtype."""
    return creation.full(size, fill_value, dtype=dtypes.given(dtype) or self.dtype, **rest)


def new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, requires_grad: bool = False, **rest: Any
) -> Tensor:
    """A copy of `data`, of this dtype."""
    return creation.finish(
        from_array(creation.to_array(data, dtypes.given(dtype) or self.dtype)), requires_grad
    )


def new(self: Tensor, *args: Any) -> Tensor:
    """The old way to make a tensor of this dtype: from sizes or from a list."""
    return _legacy(args, self.dtype)


def _reversed(self: Tensor) -> Tensor:
    """x.T: the dimensions in the opposite order."""
    if len(self._value.shape) not in (0, 2):
        warn(
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
            "deprecated and it will throw an error in a future release. Consider `x.mT` to "
            "transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to "
            "reverse the dimensions of a tensor.",
        )
    return _transposed(self)


def _transposed(self: Tensor) -> Tensor:
    return permute.named("PermuteBackward0", self, tuple(range(len(self._value.shape)))[::-1])  # type: ignore[no-any-return]


def _matrix_transposed(self: Tensor) -> Tensor:
    rank = len(self._value.shape)
    if rank < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {rank}-D tensor."
        )
    return self.transpose(-2, -1)  # type: ignore[no-any-return]


# Copies -------------------------------------------------------------------------------------------


def _deepcopy(self: Tensor, memo: dict[int, Any]) -> Tensor:
    if id(self) in memo:
        return memo[id(self)]  # type: ignore[no-any-return]
    if not self.is_leaf:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment. If you were attempting to deepcopy a module, this may be "
            "because of a torch.nn.utils.weight_norm usage; for a tensor with history, copy "
            "x.detach().clone()."
        )
    made = _new(type(self))
    memo[id(self)] = made
    fresh = positive(self.detach())
    made._storage = fresh._storage
    made._leaf_requires_grad = self.requires_grad
    if self._grad is not None:
        made._grad = copy.deepcopy(self._grad, memo)
    for name, attribute in self.__dict__.items():
        if name not in _OWN:
            made.__dict__[name] = copy.deepcopy(attribute, memo)
    return made


_OWN = {name for name in Tensor.__annotations__ if name.startswith("_")}


def _reduce(self: Tensor, protocol: int) -> Any:
    if not self.is_leaf:
        raise RuntimeError("cannot pickle a tensor with history; save x.detach() instead")
    user = {name: x for name, x in self.__dict__.items() if name not in _OWN}
    array = np.array(self._array(), order="C")
    return _rebuild, (type(self), array, self.dtype, self.requires_grad, user)


def _rebuild(
    kind: type[Tensor], array: Any, d: dtype, requires_grad: bool, user: dict[str, Any]
) -> Tensor:
    made = _new(kind)
    made._storage = from_array(array, d)._storage
    made._leaf_requires_grad = requires_grad
    made.__dict__.update(user)
    return made


# The old constructors -----------------------------------------------------------------------------


def _legacy(args: tuple[Any, ...], d: dtype) -> Tensor:
    """``FloatTensor(2, 3)`` has unspecified contents, ``FloatTensor([2, 3])`` those given."""
    if len(args) == 1 and isinstance(args[0], Tensor):
        return args[0].detach() if args[0].dtype is d else _wrong_type(args[0], d)
    if not args:
        return creation.empty(0, dtype=d)  # type: ignore[no-any-return]
    if len(args) == 1 and isinstance(args[0], (float, np.floating)):
        raise TypeError(
            f"new(): data must be a sequence (got {type(args[0]).__name__}); torch.tensor(...) "
            f"makes a tensor of a number{at(here())}"
        )
    if len(args) == 1 and not isinstance(args[0], (int, Size)):
        return from_array(creation.to_array(args[0], d), d)
    return creation.empty(*flatten_sizes(args), dtype=d)  # type: ignore[no-any-return]


def _wrong_type(t: Tensor, d: dtype) -> Tensor:
    raise TypeError(f"expected {TYPE_NAMES[d]} (got {TYPE_NAMES[t.dtype]}); use .to({d})")


def _make(cls: type[Tensor], *args: Any, **kwargs: Any) -> Tensor:
    devices.check(kwargs.pop("device", None) or "cpu")
    if kwargs:
        raise TypeError(
            f"new() received an invalid combination of arguments: {next(iter(kwargs))}; "
            f"torch.tensor(...) takes dtype and requires_grad{at(here())}"
        )
    source = _legacy(args, dtypes.get_default_dtype())
    made = _new(cls)
    made._storage, made._chain = source._storage, source._chain
    return made


class _TypedMeta(type):
    """``isinstance(x, FloatTensor)`` asks for the dtype."""

    wanted: dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.wanted

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return _legacy(args, cls.wanted)


typed: dict[str, Any] = {
    f"{name}Tensor": _TypedMeta(f"{name}Tensor", (), {"wanted": d, "__module__": "torch"})
    for d, name in TYPE_NAMES.items()
}


def bind_methods() -> None:
    """Put everything in this file on Tensor."""
    plain: dict[str, Any] = {
        "__getitem__": getitem,
        "__setitem__": setitem,
        "__delitem__": delitem,
        "__len__": _length,
        "__iter__": _iterate,
        "__bool__": _truth,
        "__contains__": _contains,
        "__format__": _format,
        "__repr__": _repr,
        "__str__": _repr,
        "__array__": _as_array,
        "__int__": lambda self: int(_single(self)),
        "__float__": lambda self: float(_single(self)),
        "__index__": _index,
        "__hash__": object.__hash__,
        "__deepcopy__": _deepcopy,
        "__reduce_ex__": _reduce,
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
        "new_zeros": _new_constant(creation.zeros),
        "new_ones": _new_constant(creation.ones),
        "new_empty": _new_constant(creation.empty),
        "new_full": new_full,
        "new_tensor": new_tensor,
        "new": new,
        "T": property(_reversed),
        "mT": property(_matrix_transposed),
        "H": property(_transposed),
        "is_cuda": False,
        "is_sparse": False,
        "is_quantized": False,
        "is_meta": False,
        "is_mps": False,
        "is_floating_point": lambda self: self.dtype.is_floating_point,
        "is_complex": lambda self: False,
        "is_signed": lambda self: self.dtype.is_signed,
        "is_inference": lambda self: self._storage.inference,
        "get_device": lambda self: -1,
        "is_pinned": lambda self: False,
        "pin_memory": lambda self: self,
        "resolve_conj": lambda self: self,
        "resolve_neg": lambda self: self,
        "is_conj": lambda self: False,
        "type_as": lambda self, other: to(self, other.dtype),
        "_is_view": lambda self: self._base is not None,
        "data_ptr": lambda self: id(self._storage),
        "is_shared": lambda self: False,
        "share_memory_": share_memory_,
        "real": property(lambda self: self),
        "__dir__": object.__dir__,
    }
    for name, d in dtypes.ALIASES.items():
        plain[name] = _converter(d)
    for name, d in {"byte": dtypes.uint8, "char": dtypes.int8, "bfloat16": dtypes.bfloat16}.items():
        plain[name] = _converter(d)
    for name, method in {**plain, **random.IN_PLACE}.items():
        setattr(Tensor, name, method)
    Tensor.__new__ = staticmethod(_make)  # type: ignore[assignment,method-assign]
    for name in _SHAPE_IN_PLACE:
        setattr(Tensor, name + "_", _shape_in_place(getattr(Tensor, name)))


_SHAPE_IN_PLACE = ("unsqueeze", "squeeze", "transpose", "t", "swapaxes")


def _shape_in_place(call: Any) -> Any:
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
            self._set_history((made._grad_fn, made._output))
        return self

    return method
