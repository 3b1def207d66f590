"""Numbers out of tensors: as Python's, as NumPy's, as text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tidu.base import dtypes
from tidu.base.allocation import allocate
from tidu.base.source import at, here, warn_once
from tidu.base.state import state
from tidu.base.strides import memory_order
from tidu.ops import elementwise as e
from tidu.ops.moving.sections import unbind
from tidu.tensor import overriding
from tidu.tensor.applying import apply
from tidu.tensor.from_data import from_numpy
from tidu.tensor.printing import format_tensor
from tidu.tensor.sharing import link, linked
from tidu.tensor.tensor import Tensor


def item(self: Tensor) -> Any:
    """The one element, as a Python number; RuntimeError for another number of elements.

    >>> torch.tensor([2.5]).item()
    2.5
    """
    array = self._array()
    if array.size != 1:
        raise RuntimeError(
            f"a Tensor with {array.size} elements cannot be converted to Scalar (shape "
            f"{list(array.shape)}); tolist() gives all of them, x[i].item() one{at(here())}"
        )
    number = array.item()
    return number if isinstance(number, (bool, int, float)) else float(number)


def single(self: Tensor) -> Any:
    """`item` for float(x) and int(x), which raise ValueError instead."""
    if self._value.numel() != 1:
        raise ValueError(
            "only one element tensors can be converted to Python scalars, not one of shape "
            f"{list(self.shape)}{at(here())}"
        )
    return item(self)


def as_float(self: Tensor) -> float:
    """float(x), also of what functions such as math.exp are given; a gradient ends there."""
    if self.requires_grad and state.own.grad_enabled:
        warn_once(
            "Converting a tensor with requires_grad=True to a scalar may lead to unexpected "
            "behavior.\nConsider using tensor.detach() first."
        )
    return float(single(self))


def tolist(self: Tensor) -> Any:
    """The elements as nested lists of Python numbers (a number for a 0-d tensor).

    >>> torch.tensor([[1, 2]]).tolist()
    [[1, 2]]
    """
    array = self._array()
    return (array.astype(np.float32) if array.dtype.kind == "V" else array).tolist()


def numpy(self: Tensor, *, force: bool = False) -> Any:
    """A NumPy array with the same numbers, which stay the same: what is written to one of both is
    seen in the other (`tidu.tensor.sharing`). Writes to an array of more than 64 KB are not.

    Raises RuntimeError on a tensor that requires a gradient, where gradients are recorded, and
    TypeError for bfloat16, which NumPy lacks.

    >>> torch.ones(2).numpy()
    array([1., 1.], dtype=float32)
    """
    if self.requires_grad and not force and state.own.grad_enabled:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            f"{at(here())}"
        )
    if self.dtype is dtypes.bfloat16:
        raise TypeError("Got unsupported ScalarType BFloat16; use .float().numpy()")
    shown = linked(self._storage, self._chain or ())
    if shown is not None:
        return shown
    array = self._array()
    order = None if self.is_contiguous() else memory_order(array.shape, self._strides()[0])
    if order is None:
        copy = allocate(array.shape, array.dtype)
    else:  # it lies in memory as the tensor does
        sizes = tuple([array.shape[d] for d in order])
        places = sorted(range(len(order)), key=order.__getitem__)
        copy = allocate(sizes, array.dtype).transpose(places)
    copy[...] = array
    link(self._storage, copy, self._chain or ())
    return copy


def as_array(self: Tensor, dtype: Any = None, copy: Any = None) -> Any:
    array = numpy(self)
    return array if dtype is None else array.astype(dtype, copy=False)


def array_wrap(
    self: Tensor, array: Any, context: Any = None, return_scalar: bool = False
) -> Tensor:
    """What NumPy's function of a tensor has found, as a tensor; truth values as bytes, as PyTorch
    does.
    """
    found = np.asarray(array)
    return from_numpy(found.astype(np.uint8) if found.dtype == np.bool_ else found)


def truth(self: Tensor) -> bool:
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


def index(self: Tensor) -> int:
    number = item(self) if self._value.numel() == 1 else None
    if not isinstance(number, int):
        raise TypeError(
            "only integer tensors of a single element can be converted to an index, not one of "
            f"{self.dtype} and shape {list(self.shape)}{at(here())}"
        )
    return int(number)


def length(self: Tensor) -> int:
    shape = self._value.shape
    if not shape:
        raise TypeError(f"len() of a 0-d tensor; x.numel() counts elements{at(here())}")
    return shape[0]


def iterate(self: Tensor) -> Iterator[Tensor]:
    if not self._value.shape:
        raise TypeError(f"iteration over a 0-d tensor; x.item() is its number{at(here())}")
    return iter(unbind(self, 0))


def contains(self: Tensor, element: Any) -> bool:
    if not isinstance(element, (Tensor, bool, int, float)):
        raise RuntimeError(
            "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{type(element)}."
        )
    return bool(item(apply(e.eq, (self, element)).any()))


def formatted(self: Tensor, specification: str) -> str:
    """A 0-d tensor is formatted as its number, as in f"{loss}" and f"{loss:.4f}"."""
    if self._value.shape or type(self) is not Tensor:
        return object.__format__(self, specification)
    return format(item(self), specification)


def representation(self: Tensor) -> str:
    try:
        node = self.grad_fn
        made_by = None if node is None else type(node).__name__
    except RuntimeError:  # a view whose history an in-place edit has made invalid
        made_by = "Invalid"
    return format_tensor(
        self._array(),
        self.dtype.name,
        default_float=dtypes.get_default_dtype().name,
        requires_grad=self.requires_grad,
        grad_fn=made_by,
        name=type(self).__name__ if type(self) in overriding.classes else "tensor",
    )
