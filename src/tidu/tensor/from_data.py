"""Tensors from data: numbers, nested sequences, NumPy arrays and other tensors."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.base.source import at, here, warn_once
from tidu.base.strides import strides_like
from tidu.tensor.laying import lay
from tidu.tensor.sharing import link
from tidu.tensor.tensor import Tensor, from_array

__all__ = ["as_tensor", "asarray", "from_numpy", "tensor"]


def to_array(data: Any, wanted: dtype | None) -> np.ndarray[Any, Any]:
    """A fresh NumPy array of nested sequences, numbers, arrays or tensors,
    in the dtype PyTorch would infer.
    """
    if isinstance(data, Tensor):
        array = data._array()
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.asarray(data)
        dtypes.from_numpy(array.dtype)
    elif isinstance(data, (bool, int, float)):
        array = _from_number(data, wanted)
    else:
        array = _from_sequence(data, wanted)
        _check_range(array, wanted)
    if wanted is None:
        return np.array(array, copy=True, order="C")
    with np.errstate(all="ignore"):
        return np.array(array, dtype=wanted.numpy, copy=True, order="C")


def copied(data: Any, wanted: dtype | None) -> Tensor:
    """A tensor of `to_array(data, wanted)` that lies in memory as an array or a tensor does."""
    made = from_array(to_array(data, wanted))
    if isinstance(data, Tensor):
        return made.lay_as(data)
    return as_it_lies(made, data) if isinstance(data, np.ndarray) else made


def as_it_lies(made: Tensor, array: np.ndarray[Any, Any]) -> Tensor:
    """`made` of the numbers of an array, lying in memory as that does."""
    if array.flags.c_contiguous:
        return made
    return lay(made, strides_like(array.shape, tuple(n // array.itemsize for n in array.strides)))


def _shared(made: Tensor, array: np.ndarray[Any, Any]) -> Tensor:
    """`made` of the numbers of an array, which share memory unless they were converted."""
    if not array.flags.writeable:
        warn_once(
            "The given NumPy array is not writable, and PyTorch does not support non-writable "
            "tensors. This means writing to this tensor will result in undefined behavior. You may "
            "want to copy the array to protect its data or make it writable before converting it "
            "to a tensor. This type of warning will be suppressed for the rest of this program."
        )
    if array.dtype == made.dtype.numpy:
        link(made._storage, array)
    return made


def _from_number(number: bool | int | float, wanted: dtype | None) -> np.ndarray[Any, Any]:
    if wanted is not None and wanted.category != dtypes.INTEGER:
        return np.asarray(bool(number) if wanted is dtypes.bool_ else float(number))
    array = np.asarray(number)
    if array.dtype == object or array.dtype == np.uint64:
        raise _overflow()
    _check_range(array, wanted)
    return array if wanted is not None else array.astype(_inferred(number).numpy)


def _overflow() -> ValueError:
    return ValueError(f"Overflow when unpacking long long{at(here())}")


def _check_integers(data: Any) -> None:
    """NumPy makes floats of integers beyond its own."""
    if isinstance(data, (list, tuple)):
        if set(map(type, data)) != {float}:
            for x in data:
                _check_integers(x)
    elif data.__class__ is int and not -(1 << 63) <= data < 1 << 63:
        raise _overflow()


def _check_range(array: np.ndarray[Any, Any], wanted: dtype | None) -> None:
    """Numbers have to fit into an integer dtype; in uint8, negative whole ones count from 256."""
    if wanted is None or wanted.category != dtypes.INTEGER or array.dtype.kind not in "if":
        return
    bounds = np.iinfo(wanted.numpy)
    least = bounds.min
    if array.dtype.kind == "f":
        array = array.astype(np.float64)
    elif wanted is dtypes.uint8:
        least = -bounds.max
    outside = ~((array >= least) & (array <= bounds.max))  # NaN as well
    if outside.any():
        raise RuntimeError(
            f"value cannot be converted to type {wanted.name}_t without overflow: "
            f"{array[outside].flat[0]}{at(here())}"
        )


def _from_sequence(data: Any, wanted: dtype | None) -> np.ndarray[Any, Any]:
    if hasattr(data, "__array__"):
        return np.asarray(data)
    if isinstance(data, str):
        raise TypeError(
            "new(): invalid data type 'str'; a tensor holds numbers, so encode text as integers "
            f"first{at(here())}"
        )
    if isinstance(data, bytes):
        raise TypeError(
            f"new(): invalid data type 'bytes'; torch.frombuffer reads them{at(here())}"
        )
    if isinstance(data, dict) or not hasattr(data, "__getitem__"):
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    if not isinstance(data, (list, tuple)):
        data = list(data)
    numbers = _resolve(data)
    try:
        array = np.array(numbers)
    except ValueError as error:
        raise _ragged(numbers) from error
    if array.dtype == object or array.dtype.kind in "USc":
        raise _refuse(numbers)
    d = wanted or _inferred(data) or dtypes.get_default_dtype()
    if d.category == dtypes.INTEGER and (array.dtype.kind == "f" or array.dtype == np.uint64):
        _check_integers(data)
    return array if wanted is not None else array.astype(d.numpy, copy=False)


def _resolve(data: Any) -> Any:
    """Tensors inside nested lists become their numbers."""
    if isinstance(data, Tensor):
        if data.numel() != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars, but one of the list "
                f"has shape {list(data.shape)}; torch.stack(...) joins tensors{at(here())}"
            )
        return float(data) if data.requires_grad else data.item()
    if isinstance(data, (list, tuple)):
        return (
            [_resolve(x) for x in data]
            if any(isinstance(x, (list, tuple, Tensor)) for x in data)
            else data
        )
    return data


def _inferred(data: Any) -> Any:
    """The dtype in which everything in nested sequences meets; None for empty ones.

    NumPy's numbers and arrays, and tensors, bring their own dtype, Python's numbers the usual one.
    """
    if isinstance(data, (list, tuple, range)):
        kinds = {type(x) for x in data}
        if kinds <= _PYTHON:
            met = [dtypes.of_number(kind()) for kind in kinds]
        else:
            met = [d for d in map(_inferred, data) if d is not None]
        return functools.reduce(dtypes.promote_types, met) if met else None
    if isinstance(data, Tensor):
        return data.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        return dtypes.from_numpy(data.dtype)
    return dtypes.of_number(data) if isinstance(data, (bool, int, float)) else None


_PYTHON = {bool, int, float}


def _ragged(data: Any) -> Exception:
    if len({hasattr(x, "__len__") for x in data}) > 1:
        return TypeError("not a sequence: numbers and sequences are mixed at one depth")
    expected, dim = len(data[0]) if hasattr(data[0], "__len__") else 0, 1
    for x in data:
        if hasattr(x, "__len__") and len(x) != expected:
            return ValueError(
                f"expected sequence of length {expected} at dim {dim} (got {len(x)}): all rows of "
                f"a tensor are of one length, so pad the shorter ones{at(here())}"
            )
    return ValueError("expected sequences of equal lengths at every depth")


def _first(data: Any) -> Any:
    """The first element of nested sequences."""
    while isinstance(data, (list, tuple)):
        data = data[0]
    return data


def _refuse(data: Any) -> Exception:
    whole = data
    while isinstance(data, (list, tuple)) and data:
        kinds = {isinstance(x, (list, tuple)) for x in data}
        if len(kinds) > 1:
            return TypeError("not a sequence: numbers and sequences are mixed at one depth")
        bad = [x for x in data if not isinstance(x, (list, tuple, bool, int, float, np.generic))]
        data = bad[0] if bad else data[0]
    kind = type(data).__name__
    if kind == "str":
        leads = isinstance(whole, str) or _first(whole) is data
        return (
            ValueError("too many dimensions 'str'")
            if leads
            else TypeError("new(): invalid data type 'str'")
        )
    if kind == "int":
        return _overflow()
    return RuntimeError(f"Could not infer dtype of {kind}")


def tensor(
    data: Any,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new leaf tensor that copies `data`: a number, nested sequences, a NumPy array or a tensor.

    Python floats become the default dtype, ints int64. Raises ValueError for ragged sequences.

    >>> tensor([[1, 2], [3, 4]]).dtype
    torch.int64
    """
    devices.check(device)
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
    return finish(copied(data, dtypes.given(dtype)), requires_grad)


def finish(made: Tensor, requires_grad: bool) -> Tensor:
    if requires_grad and not made.dtype.is_floating_point:
        raise RuntimeError(
            "Only Tensors of floating point and complex dtype can require gradients, but this one "
            f"would be {made.dtype}; pass dtype=torch.float32 or floating-point numbers{at(here())}"
        )
    return made.requires_grad_() if requires_grad else made


def as_tensor(data: Any, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """`data` as a tensor: itself if it is one of that dtype, otherwise a copy.

    >>> torch.as_tensor([1.0, 2.0])
    tensor([1., 2.])
    """
    devices.check(device)
    dtype = dtypes.given(dtype)
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype is dtype else data.to(dtype)
    made = copied(data, dtype)
    return _shared(made, data) if isinstance(data, np.ndarray) else made


asarray = as_tensor


def from_numpy(array: Any) -> Tensor:
    """A tensor of a NumPy array's numbers, which share their memory as with `Tensor.numpy`.

    Raises TypeError for an array of a dtype that tensors do not have, and ValueError for one that
    runs backwards through its memory.

    >>> import numpy as np
    >>> torch.from_numpy(np.ones((1, 2)))
    tensor([[1., 1.]], dtype=torch.float64)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion "
            "between byte orders is currently not supported; array.astype(array.dtype.newbyteorder"
            "('=')) converts it."
        )
    if min(array.strides, default=0) < 0:
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. array.copy() has none."
        )
    made = from_array(np.array(array, order="C"), dtypes.from_numpy(array.dtype))
    return _shared(as_it_lies(made, array), array)
