"""Logic of truth values, and the same of the bits of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tidu.ir.op import Op, define, torch_and_tensor
from tidu.ops.rules import bitwise, logical
from tidu.ops.samples import binary_tensors, unary


def _of_two(name: str, infer: Any, ufunc: Any, emit: Any, *domain: float, doc: str = "") -> Op:
    """An op on two tensors of truth values, or of integers from a `domain`."""
    return define(
        name,
        inputs="input other",
        infer=infer,
        numpy=ufunc,
        emit=emit,
        samples=binary_tensors(*domain),
        dtypes="integer" if domain else "all",
        public=torch_and_tensor(name),
        inplace=True,
        doc=doc,
    )


def _negation(name: str, infer: Any, ufunc: Any, *domain: float, doc: str = "") -> Op:
    return define(
        name,
        infer=infer,
        numpy=ufunc,
        emit=lambda s, x: s.bit_not(x),
        samples=unary(*domain),
        dtypes="integer" if domain else "all",
        public=torch_and_tensor(name),
        inplace=True,
        doc=doc,
    )


def _and(s: Any, x: Any, y: Any) -> Any:
    return s.bit_and(x, y)


def _or(s: Any, x: Any, y: Any) -> Any:
    return s.bit_or(x, y)


def _xor(s: Any, x: Any, y: Any) -> Any:
    return s.bit_xor(x, y)


logical_and = _of_two(
    "logical_and",
    logical,
    np.logical_and,
    _and,
    doc="""Whether both are true (not 0); operands broadcast.

    >>> torch.logical_and(torch.tensor([True, False]), torch.tensor([True, True]))
    tensor([ True, False])
    """,
)
logical_or = _of_two(
    "logical_or",
    logical,
    np.logical_or,
    _or,
    doc="""Whether either is true (not 0); operands broadcast.

    >>> torch.logical_or(torch.tensor([True, False]), torch.tensor([False, False]))
    tensor([ True, False])
    """,
)
logical_xor = _of_two(
    "logical_xor",
    logical,
    np.logical_xor,
    _xor,
    doc="""Whether exactly one is true (not 0); operands broadcast.

    >>> torch.logical_xor(torch.tensor([True, False]), torch.tensor([True, True]))
    tensor([False,  True])
    """,
)
logical_not = _negation(
    "logical_not",
    logical,
    np.logical_not,
    doc="""Whether `input` is false (0).

    >>> torch.logical_not(torch.tensor([0.0, 2.0]))
    tensor([ True, False])
    """,
)

bitwise_and = _of_two(
    "bitwise_and",
    bitwise,
    np.bitwise_and,
    _and,
    -5,
    5,
    doc="""input & other, bit by bit, of integers and booleans; RuntimeError for floats.

    >>> torch.bitwise_and(torch.tensor([12, 10]), 6)
    tensor([4, 2])
    """,
)
bitwise_or = _of_two(
    "bitwise_or",
    bitwise,
    np.bitwise_or,
    _or,
    -5,
    5,
    doc="""input | other, bit by bit, of integers and booleans; RuntimeError for floats.

    >>> torch.bitwise_or(torch.tensor([12, 10]), 6)
    tensor([14, 14])
    """,
)
bitwise_xor = _of_two(
    "bitwise_xor",
    bitwise,
    np.bitwise_xor,
    _xor,
    -5,
    5,
    doc="""input ^ other, bit by bit, of integers and booleans; RuntimeError for floats.

    >>> torch.bitwise_xor(torch.tensor([12, 10]), 6)
    tensor([10, 12])
    """,
)
bitwise_not = _negation(
    "bitwise_not",
    bitwise,
    np.invert,
    -5,
    5,
    doc="""~input, bit by bit, of integers and booleans; RuntimeError for floats.

    >>> torch.bitwise_not(torch.tensor([True, False]))
    tensor([False,  True])
    """,
)
bitwise_left_shift = _of_two(
    "bitwise_left_shift",
    bitwise,
    np.left_shift,
    lambda s, x, y: s.shift_left(x, y),
    0,
    5,
    doc="""input · 2^other, of integers.

    >>> torch.bitwise_left_shift(torch.tensor([1, 3]), 2)
    tensor([ 4, 12])
    """,
)
bitwise_right_shift = _of_two(
    "bitwise_right_shift",
    bitwise,
    np.right_shift,
    lambda s, x, y: s.shift_right(x, y),
    0,
    5,
    doc="""input / 2^other, rounded down, of integers.

    >>> torch.bitwise_right_shift(torch.tensor([4, -3]), 1)
    tensor([ 2, -2])
    """,
)
