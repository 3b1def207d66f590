"""Making tensors: from data, of constants, of ranges, and of random numbers."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.base.limits import require_in_range
from tidu.base.random.generator import Generator, default_generator
from tidu.base.shapes import refuse_unknown, sequence_of_sizes, sizes_from
from tidu.base.source import at, here
from tidu.ops import sources
from tidu.ops.rules import as_number
from tidu.ops.sources import arange_
from tidu.tensor.tensor import Tensor, from_array, from_value


def manual_seed(seed: int) -> Generator:
    """Seed the default generator: the same seed gives PyTorch's numbers."""
    default_generator.manual_seed(int(seed))
    return default_generator


def seed() -> int:
    """Seed the default generator from the system, and return that seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator was last given."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, as a uint8 tensor."""
    return from_array(default_generator.get_state())


def set_rng_state(new_state: Tensor) -> None:
    """Put the default generator back into a state from `get_rng_state`."""
    default_generator.set_state(new_state.numpy())


# From data ----------------------------------------------------------------------------------------


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


def _from_number(number: bool | int | float, wanted: dtype | None) -> np.ndarray[Any, Any]:
    array = np.asarray(number)
    if array.dtype == object:
        raise ValueError(f"Overflow when unpacking long long: {number}{at(here())}")
    _check_range(array, wanted)
    return array if wanted is not None else array.astype(_inferred(number).numpy)


def _check_range(array: np.ndarray[Any, Any], wanted: dtype | None) -> None:
    """Whole numbers have to fit into an integer dtype; in uint8, negative ones count from 256."""
    if wanted is None or wanted.category != dtypes.INTEGER or array.dtype.kind != "i":
        return
    bounds = np.iinfo(wanted.numpy)
    least = bounds.min or -bounds.max
    if array.size and not (least <= array.min() and array.max() <= bounds.max):
        bad = array[(array < least) | (array > bounds.max)].flat[0]
        raise RuntimeError(
            f"value cannot be converted to type {wanted.name}_t without overflow: {bad}{at(here())}"
        )


def _from_sequence(data: Any, wanted: dtype | None) -> np.ndarray[Any, Any]:
    if hasattr(data, "__array__"):
        return np.asarray(data)
    if isinstance(data, str):
        raise TypeError(
            "new(): invalid data type 'str'; a tensor holds numbers, so encode text as integers "
            f"first{at(here())}"
        )
    if not isinstance(data, Sequence) and not hasattr(data, "__getitem__"):
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
    if wanted is not None:
        return array
    return array.astype((_inferred(data) or dtypes.get_default_dtype()).numpy, copy=False)


def _resolve(data: Any) -> Any:
    """Tensors inside nested lists become their numbers."""
    if isinstance(data, Tensor):
        if data.numel() != 1:
            raise ValueError(
                "only one element tensors can be converted to Python scalars, but one of the list "
                f"has shape {list(data.shape)}; torch.stack(...) joins tensors{at(here())}"
            )
        return data.item()
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


def _refuse(data: Any) -> Exception:
    while isinstance(data, (list, tuple)) and data:
        kinds = {isinstance(x, (list, tuple)) for x in data}
        if len(kinds) > 1:
            return TypeError("not a sequence: numbers and sequences are mixed at one depth")
        bad = [x for x in data if not isinstance(x, (list, tuple, bool, int, float, np.generic))]
        data = bad[0] if bad else data[0]
    kind = type(data).__name__
    if kind == "str":
        return ValueError("too many dimensions 'str'")
    if kind == "int":
        return ValueError("Overflow when unpacking long long")
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
    devices.check(device or "cpu")
    if isinstance(data, Tensor):
        warnings.warn(
            "To copy construct from a tensor, it is recommended to use "
            "sourceTensor.detach().clone() or "
            "sourceTensor.detach().clone().requires_grad_(True), rather than "
            "torch.tensor(sourceTensor).",
            UserWarning,
            stacklevel=2,
        )
    return finish(from_array(to_array(data, dtypes.given(dtype))), requires_grad)


def finish(made: Tensor, requires_grad: bool) -> Tensor:
    if requires_grad and not made.dtype.is_floating_point:
        raise RuntimeError(
            "Only Tensors of floating point and complex dtype can require gradients, but this one "
            f"would be {made.dtype}; pass dtype=torch.float32 or floating-point numbers{at(here())}"
        )
    return made.requires_grad_() if requires_grad else made


def as_tensor(data: Any, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """`data` as a tensor: itself if it is one of that dtype, otherwise a copy."""
    devices.check(device or "cpu")
    dtype = dtypes.given(dtype)
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype is dtype else data.to(dtype)
    return from_array(to_array(data, dtype))


asarray = as_tensor


def from_numpy(array: Any) -> Tensor:
    """A tensor of a NumPy array's numbers. They are copied: later writes to the array are not seen.

    Raises TypeError for an array of a dtype that tensors do not have, and ValueError for one that
    runs backwards through its memory.
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    if not array.dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. Conversion "
            "between byte orders is currently not supported; array.astype(array.dtype.newbyteorder"
            "('=')) converts it."
        )
    if any(stride < 0 for stride in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. array.copy() has none."
        )
    return from_array(np.array(array, order="C"), dtypes.from_numpy(array.dtype))


# Constants ----------------------------------------------------------------------------------------


def _constant(value: Any, shape: tuple[int, ...], d: dtype, requires_grad: bool) -> Tensor:
    if any(n < 0 for n in shape):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}"
            f"{at(here())}"
        )
    return finish(from_value(sources.full(as_number(value, d), shape, d)), requires_grad)


def takes_out(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`make`, which writes what it makes into the tensor given as `out=`."""

    @functools.wraps(make)
    def function(*args: Any, out: Tensor | None = None, **kwargs: Any) -> Tensor:
        if out is None:
            return make(*args, **kwargs)
        made = make(*args, **{"dtype": out.dtype, **kwargs})
        if out._value.shape != made._value.shape:
            out.data = made.clone()
            return out
        return out.copy_(made)

    return function


def _sized(value: Any) -> Any:
    def make(
        *size: Any,
        dtype: dtype | None = None,
        device: Any = None,
        requires_grad: bool = False,
        **named: Any,
    ) -> Tensor:
        devices.check(device or "cpu")
        shape = sizes_from(size, named, "size")
        return _constant(
            value, shape, dtypes.given(dtype) or dtypes.get_default_dtype(), requires_grad
        )

    return takes_out(make)


zeros = _sized(0)
ones = _sized(1)
empty = _sized(0)
zeros.__doc__ = """A tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``."""
ones.__doc__ = """A tensor of ones: ``ones(2, 3)`` or ``ones((2, 3))``."""
empty.__doc__ = """A tensor whose contents are not specified (they are zeros)."""


@takes_out
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """A tensor of shape `size` with every element `fill_value`, whose kind gives the dtype."""
    devices.check(device or "cpu")
    refuse_unknown("full", rest)
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    if isinstance(fill_value, np.generic):
        fill_value = fill_value.item()
    if not isinstance(fill_value, (bool, int, float)):
        raise TypeError(
            "full(): argument 'fill_value' (position 2) must be Number, not "
            f"{type(fill_value).__name__}"
        )
    kind = dtypes.given(dtype) or dtypes.of_number(fill_value)
    require_in_range(fill_value, kind)
    return _constant(fill_value, sequence_of_sizes("full", size), kind, requires_grad)


def _like(value: Any) -> Any:
    def make(
        input: Tensor,
        *,
        dtype: dtype | None = None,
        device: Any = None,
        requires_grad: bool = False,
        **rest: Any,
    ) -> Tensor:
        devices.check(device or "cpu")
        refuse_unknown("this function", rest)
        return _constant(
            value, tuple(input._value.shape), dtypes.given(dtype) or input.dtype, requires_grad
        )

    return make


zeros_like = _like(0)
ones_like = _like(1)
empty_like = _like(0)
zeros_like.__doc__ = """Zeros of the shape and dtype of `input`."""
ones_like.__doc__ = """Ones of the shape and dtype of `input`."""
empty_like.__doc__ = (
    """A tensor of the shape and dtype of `input` whose contents are not specified."""
)


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """`fill_value` in the shape and dtype of `input`."""
    refuse_unknown("full_like", rest)
    return _constant(
        fill_value, tuple(input._value.shape), dtypes.given(dtype) or input.dtype, requires_grad
    )


@takes_out
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """An n × m matrix with ones on the diagonal."""
    devices.check(device or "cpu")
    refuse_unknown("eye", rest)
    for name, size in (("n", n), ("m", m)):
        if size is not None and size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}{at(here())}")
    d = dtypes.given(dtype) or dtypes.get_default_dtype()
    return finish(from_array(np.eye(n, m).astype(d.numpy), d), requires_grad)


def scalar_tensor(
    s: Any,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """A 0-d tensor of one number, in the default dtype unless `dtype` is given."""
    return _constant(s, (), dtypes.given(dtype) or dtypes.get_default_dtype(), requires_grad)


# Ranges -------------------------------------------------------------------------------------------


@takes_out
def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """start, start + step, ... up to but without `end`;
    int64 if all three are ints, else the default dtype.

    Raises RuntimeError for a step of 0 or of the wrong sign.
    """
    devices.check(device or "cpu")
    refuse_unknown("arange", rest)
    if end is None:
        start, end = 0, start
    start, end, step = (
        x.item() if isinstance(x, (Tensor, np.generic)) else x for x in (start, end, step)
    )
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    integral = all(isinstance(x, int) for x in (start, end, step))
    d = dtypes.given(dtype) or (dtypes.int64 if integral else dtypes.get_default_dtype())
    size = -((start - end) // step) if integral else math.ceil((end - start) / step)
    if d.category != dtypes.FLOAT:
        start, step = int(start), int(step)
    return finish(from_value(arange_(start, step, size, d)), requires_grad)


@takes_out
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """`steps` numbers from `start` to `end`, both included, evenly spaced."""
    devices.check(device or "cpu")
    refuse_unknown("linspace", rest)
    start, end = (x.item() if isinstance(x, Tensor) else x for x in (start, end))
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    d = dtypes.given(dtype) or dtypes.get_default_dtype()
    return finish(from_array(_spaced(start, end, steps, d), d), requires_grad)


def _spaced(start: float, end: float, steps: int, d: dtype) -> Any:
    """From both ends towards the middle, in the arithmetic of the dtype,
    so that both ends are exact.
    """
    if d.category != dtypes.FLOAT:
        step = (end - start) / (steps - 1) if steps > 1 else 0.0
        i = np.arange(steps)
        values = np.where(i < steps // 2, start + step * i, end - step * (steps - 1 - i))
        return np.trunc(values).astype(d.numpy)
    kind = np.float64 if d is dtypes.float64 else np.float32
    step_ = kind((kind(end) - kind(start)) / kind(max(steps - 1, 1)))
    i = np.arange(steps).astype(kind)
    up, down = kind(start) + step_ * i, kind(end) - step_ * (kind(steps - 1) - i)
    return np.where(np.arange(steps) < steps // 2 if steps > 1 else True, up, down).astype(d.numpy)


@takes_out
def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """base ** x for x in linspace(start, end, steps)."""
    devices.check(device or "cpu")
    refuse_unknown("logspace", rest)
    d = dtypes.given(dtype) or dtypes.get_default_dtype()
    exponents = _spaced(float(start), float(end), steps, dtypes.float64)
    return finish(from_array((float(base) ** exponents).astype(d.numpy), d), requires_grad)
