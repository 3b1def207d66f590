"""Making tensors of constants: zeros, ones, any other number, the identity matrix."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.allocation import out_of_memory
from tidu.base.dtypes import dtype
from tidu.base.limits import require_in_range
from tidu.base.memory_formats import memory_format
from tidu.base.shapes import refuse_unknown, sequence_of_sizes, sizes_from
from tidu.base.source import at, here
from tidu.ops import sources
from tidu.ops.rules import as_number
from tidu.tensor.from_data import finish
from tidu.tensor.laying import lay
from tidu.tensor.tensor import Tensor, from_array, from_value

_MOST_BYTES = (1 << 63) - 1


def _constant(value: Any, shape: tuple[int, ...], d: dtype, requires_grad: bool) -> Tensor:
    if any(n < 0 for n in shape):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(shape)}: {list(shape)}"
            f"{at(here())}"
        )
    if math.prod(shape) * d.itemsize > _MOST_BYTES:
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(shape)}{at(here())}"
        )
    return finish(from_value(sources.full(as_number(value, d), shape, d)), requires_grad)


def takes_out(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`make`, which writes what it makes into the tensor given as `out=`."""

    @functools.wraps(make)
    def function(*args: Any, out: Tensor | None = None, **kwargs: Any) -> Tensor:
        if out is None:
            try:
                return make(*args, **kwargs)
            except MemoryError as error:
                raise out_of_memory(error) from None
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
        devices.check(device)
        shape = sizes_from(size, named, "size")
        made = _constant(
            value, shape, dtypes.given(dtype) or dtypes.get_default_dtype(), requires_grad
        )
        return lay_like(made, made, named.get("memory_format"))

    return takes_out(make)


zeros = _sized(0)
ones = _sized(1)
empty = _sized(0)
zeros.__doc__ = """A tensor of zeros: ``zeros(2, 3)`` or ``zeros((2, 3))``.

>>> torch.zeros(1, 2)
tensor([[0., 0.]])
"""
ones.__doc__ = """A tensor of ones: ``ones(2, 3)`` or ``ones((2, 3))``.

>>> torch.ones(2, dtype=torch.int64)
tensor([1, 1])
"""
empty.__doc__ = """A tensor whose contents are not specified (they are zeros).

>>> torch.empty(2, 3).shape
torch.Size([2, 3])
"""


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
    """A tensor of shape `size` with every element `fill_value`, whose kind gives the dtype.

    >>> torch.full((2, 2), 7)
    tensor([[7, 7],
            [7, 7]])
    """
    devices.check(device)
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
        devices.check(device)
        refuse_unknown("this function", rest)
        made = _constant(
            value, tuple(input._value.shape), dtypes.given(dtype) or input.dtype, requires_grad
        )
        return lay_like(made, input, rest.get("memory_format"))

    return make


def lay_like(made: Tensor, input: Tensor, wanted: memory_format | None = None) -> Tensor:
    """`made`, which is fresh and has the shape of `input`, lying in memory as that does or as a
    format says.
    """
    if wanted is None:
        return made.lay_as(input)
    return lay(made, wanted.strides(input._value.shape, input._strides()[0]))


zeros_like = _like(0)
ones_like = _like(1)
empty_like = _like(0)
zeros_like.__doc__ = """Zeros of the shape and dtype of `input`.

>>> torch.zeros_like(torch.tensor([1, 2]))
tensor([0, 0])
"""
ones_like.__doc__ = """Ones of the shape and dtype of `input`.

>>> torch.ones_like(torch.tensor([5.0, 2.0]))
tensor([1., 1.])
"""
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
    """`fill_value` in the shape and dtype of `input`.

    >>> torch.full_like(torch.ones(2), 7.0)
    tensor([7., 7.])
    """
    refuse_unknown("full_like", rest)
    made = _constant(
        fill_value, tuple(input._value.shape), dtypes.given(dtype) or input.dtype, requires_grad
    )
    return lay_like(made, input, rest.get("memory_format"))


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
    """An n × m matrix with ones on the diagonal.

    >>> torch.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    devices.check(device)
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
