"""Random tensors. They are drawn when asked for, from a generator that follows PyTorch's: same
seed, same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.base.random.binomial import binomial as binomial_number
from tidu.base.random.generator import Generator
from tidu.base.random.poisson import poisson as poisson_number
from tidu.base.shapes import (
    broadcast,
    flatten_sizes,
    refuse_unknown,
    sequence_of_sizes,
    sizes_from,
)
from tidu.base.source import at, here
from tidu.base.strides import memory_order
from tidu.ir.op import Array, Sample, define
from tidu.ir.value import leaf
from tidu.ops.cast import cast
from tidu.ops.elementwise import fill
from tidu.ops.moving.movement import inverse_order, permute
from tidu.tensor.creation import empty_like, lay_like, takes_out
from tidu.tensor.from_data import finish
from tidu.tensor.seeding import default_generator
from tidu.tensor.tensor import Tensor, from_array, from_value


def _float(d: dtype | None) -> dtype:
    return dtypes.given(d) or dtypes.get_default_dtype()


def drawn_as(array: Any, d: dtype, requires_grad: bool = False) -> Tensor:
    """What a generator has drawn, as a tensor of the dtype."""
    if array.dtype == np.bool_ and d is not dtypes.bool_:
        # Converted as part of the graph, where a compiled step can draw other ones.
        return finish(from_value(cast.value((leaf(array, dtypes.bool_),), (d,))), requires_grad)
    return finish(from_array(array.astype(d.numpy, copy=False), d), requires_grad)


Draw = Callable[[tuple[int, ...]], Any]


def drawn_like(tensor: Tensor, draw: Draw) -> Tensor:
    """A tensor of what `draw` gives for the shape and in the dtype of another one. The numbers come
    in the order in which one goes through the memory of that.
    """
    shape, order = tuple(tensor._value.shape), _order_of(tensor)
    if order is not None:
        shape = tuple([shape[n] for n in order])
    return _put_back(drawn_as(draw(shape), tensor.dtype), order)


def _order_of(tensor: Tensor) -> tuple[int, ...] | None:
    """The dimensions in the order in which one goes through the memory of a tensor; None where that
    is their own.
    """
    if tensor.is_contiguous():
        return None
    return memory_order(tensor._value.shape, tensor._strides()[0])


def _put_back(drawn: Tensor, order: tuple[int, ...] | None) -> Tensor:
    """What was drawn with dimensions in this order, with them in their own."""
    if order is None:
        return drawn
    return from_value(permute.value((drawn._value,), (inverse_order(order),)))


@takes_out
def rand(
    *size: Any,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """Uniform in [0, 1).

    >>> torch.rand(2, 3).shape
    torch.Size([2, 3])
    """
    devices.check(device)
    d = _float(dtype)
    shape = sizes_from(size, named, "size")
    return drawn_as((generator or default_generator).uniform(shape, d.numpy), d, requires_grad)


@takes_out
def randn(
    *size: Any,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """Normal with mean 0 and standard deviation 1.

    >>> _ = torch.manual_seed(0)
    >>> torch.randn(2, 2)
    tensor([[ 1.5410, -0.2934],
            [-2.1788,  0.5684]])
    """
    devices.check(device)
    d = _float(dtype)
    shape = sizes_from(size, named, "size")
    return drawn_as((generator or default_generator).normal(shape, d.numpy), d, requires_grad)


@takes_out
def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """Integers in [low, high): ``randint(10, (2, 3))`` or ``randint(5, 10, (2, 3))``.

    >>> torch.randint(0, 10, (4,)).max() < 10
    tensor(True)
    """
    devices.check(device)
    refuse_unknown("randint", rest)
    if size is None:
        low, high, size = 0, low, high
    if isinstance(size, int):
        raise TypeError(
            f"randint(): argument 'size' (position 2) must be tuple of ints, not int; a vector has "
            f"size ({size},){at(here())}"
        )
    if low is None or high is None:
        low, high = 0, low if high is None else high
    if high <= low:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    d = dtypes.given(dtype) or dtypes.int64
    array = (generator or default_generator).integers(
        int(low), int(high), sequence_of_sizes("randint", size), d.numpy
    )
    return drawn_as(array, d, requires_grad)


@takes_out
def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """A random order of 0, 1, ..., n - 1.

    >>> sorted(torch.randperm(4).tolist())
    [0, 1, 2, 3]
    """
    devices.check(device)
    refuse_unknown("randperm", rest)
    d = dtypes.given(dtype) or dtypes.int64
    if isinstance(n, float):
        raise TypeError(f"randperm(): argument 'n' must be int, not float{at(here())}")
    return drawn_as((generator or default_generator).permutation(n, d.numpy), d, requires_grad)


@takes_out
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **rest: Any,
) -> Tensor:
    """Normal numbers; `mean` and `std` may be tensors, one for each number drawn.

    >>> torch.normal(0.0, 1.0, (2, 3)).shape
    torch.Size([2, 3])
    """
    devices.check(device)
    refuse_unknown("normal", rest)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        d = _float(dtype)
        source = generator or default_generator
        array = source.normal(flatten_sizes((size,)), d.numpy, mean, std)
        return drawn_as(array, d, requires_grad)
    like = mean if isinstance(mean, Tensor) else std
    shapes = [tuple(x.shape) for x in (mean, std) if isinstance(x, Tensor)]
    shape = broadcast("normal", *shapes)
    drawn = drawn_as((generator or default_generator).normal(shape, like.dtype.numpy), like.dtype)
    scaled: Tensor = drawn * std + mean
    return scaled


# Numbers that were drawn with the probabilities or rates in `input`, whose derivative is 0.
_drawn_with = define(
    "drawn_with",
    inputs="input drawn",
    kind="host",
    infer=lambda op, inputs, attrs: (inputs, inputs[1].shape, inputs[1].dtype),
    numpy=lambda input, drawn: drawn,
    vjp=(lambda g, out, input, drawn: fill(g, 0.0), None),
    samples=lambda: [Sample((Array((3,)), Array((3,))), smooth=False)],
    dtypes="float",
    reference=lambda torch, input, drawn: drawn.detach() + 0 * input,
)


def _with_history(name: str, input: Tensor, drawn: Tensor) -> Tensor:
    return _drawn_with.named(name, input, drawn) if input.requires_grad else drawn


def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """1 with the probability that each element of `input` gives, else 0.

    >>> torch.bernoulli(torch.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    source = generator or default_generator
    if p is not None:
        drawn = source.bernoulli(tuple(input.shape), p)
    else:
        drawn = source.bernoulli_tensor(input._array())
    return _with_history("BernoulliBackward0", input, drawn_as(drawn, input.dtype))


def bernoulli_like(tensor: Tensor, p: Tensor, source: Generator) -> Tensor:
    """1 with the probability that each element of `p`, repeated to the shape of `tensor`, gives."""
    order = _order_of(tensor)
    # NumPy's transpose of None reverses.
    dims = range(tensor.ndim) if order is None else order
    whole = np.broadcast_to(p._array(), tuple(tensor.shape)).transpose(*dims)
    return _put_back(drawn_as(source.bernoulli_tensor(whole), tensor.dtype), order)


def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
) -> Tensor:
    """`num_samples` indices for each row, drawn with the row's weights.

    >>> torch.multinomial(torch.tensor([0.0, 1.0]), 3, replacement=True)
    tensor([1, 1, 1])
    """
    drawn = (generator or default_generator).multinomial(
        input._array(), num_samples, replacement, by_columns=_order_of(input) == (1, 0)
    )
    return from_array(drawn.astype(np.int64), dtypes.int64)


def _uniform_of(generator: Generator | None) -> Callable[[], float]:
    """What draws the single uniform numbers of which others are made."""
    source = generator or default_generator
    return lambda: float(source.uniform((), np.float64))


def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson numbers with the rates in `input`; RuntimeError where one is negative or NaN."""
    rates = input._array()
    if not (rates >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    uniform = _uniform_of(generator)
    numbers = [float(poisson_number(rate, uniform)) for rate in rates.ravel().tolist()]
    drawn = drawn_as(np.array(numbers).reshape(rates.shape), input.dtype)
    return _with_history("PoissonBackward0", input, drawn)


def binomial(count: Tensor, prob: Tensor, generator: Generator | None = None) -> Tensor:
    """How many of `count` trials succeed, each with probability `prob`, as a float tensor."""
    if not count.dtype.is_floating_point:
        raise ValueError(
            f"binomial only supports floating-point dtypes for count, got: {count.dtype}"
        )
    if count.dtype is not prob.dtype:
        raise RuntimeError(
            "Found dtype of count and prob to be different: "
            f"{count.dtype} and {prob.dtype}; convert one of them"
        )
    uniform = _uniform_of(generator)
    counts, probabilities = np.broadcast_arrays(count._array(), prob._array())
    numbers = [
        binomial_number(n, p, uniform) for n, p in zip(counts.flat, probabilities.flat, strict=True)
    ]
    return drawn_as(np.array(numbers).reshape(counts.shape), count.dtype)


def _like(draw: Callable[..., Any]) -> Any:
    """`empty_like`, overwritten with what `draw` gives for a shape, a dtype, and whether that is
    contiguous.
    """

    def make(
        input: Tensor, *args: Any, dtype: Any = None, requires_grad: bool = False, **rest: Any
    ) -> Tensor:
        if not rest and input.is_contiguous():  # the usual case, without an empty tensor
            d = dtypes.given(dtype) or input.dtype
            drawn = drawn_as(draw(tuple(input._value.shape), d.numpy, True, *args), d)
            return finish(drawn.lay_as(input), requires_grad)
        empty = empty_like(input, dtype=dtype, **rest)
        plain, kind = empty.is_contiguous(), empty.dtype.numpy
        drawn = drawn_like(empty, lambda shape: draw(shape, kind, plain, *args))
        return finish(lay_like(drawn, empty), requires_grad)

    return make


rand_like = _like(lambda shape, kind, plain: default_generator.uniform(shape, kind))
randn_like = _like(
    lambda shape, kind, plain: default_generator.normal(shape, kind, contiguous=plain)
)
rand_like.__doc__ = """Uniform in [0, 1), in the shape and dtype of `input`."""
randn_like.__doc__ = """Standard normal, in the shape and dtype of `input`."""


def randint_like(input: Tensor, low: int, high: int | None = None, **rest: Any) -> Tensor:
    """Integers in [low, high), in the shape and dtype of `input`."""
    if high is None:
        low, high = 0, low
    made: Tensor = _integers_like(input, low, high, **rest)
    return made


_integers_like = _like(
    lambda shape, kind, plain, low, high: default_generator.integers(low, high, shape, kind)
)
