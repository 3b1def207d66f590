"""`x.view(dtype)`: the same memory read as other numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.compiler.tiers import tier

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

READINGS = [
    "T.tensor([1.0, -2.0, 0.5]).view(T.int32)",
    "T.tensor([1.0, -2.0, 0.5]).view(dtype=T.uint8)",
    "T.tensor([1.5, -2.0]).half().view(T.int16)",
    "T.tensor([1.5, -2.0]).bfloat16().view(T.uint8)",
    "T.tensor([True, False]).view(T.uint8)",
    "T.tensor([1, 2]).view(T.float64)",
    "T.tensor(1.0).view(T.int32)",
    "T.ones(2, 4).view(T.float64)",
    "T.arange(12.0).view(3, 4).t().view(T.int32)",
    "T.arange(12.0).view(3, 4)[1:].view(T.int64)",
    "T.arange(12.0).view(3, 4)[:, 2:].view(T.int64)",
    "T.arange(12.0).view(3, 4)[:, 1:].view(T.int16)",
    "T.ones(2, 4).view(T.int16).view(T.int64).view(T.float32)",
    "(T.tensor([1.0, -2.0, 0.5]).view(T.int32) & 0x7FFFFFFF).view(T.float32)",
    "(T.arange(6.0) * 2).view(T.int32) + 1",
    # What cannot be.
    "T.ones(3).view(T.int64)",
    "T.tensor(1.0).view(T.int16)",
    "T.ones(2, 2).t().view(T.int16)",
    "T.ones(2, 3)[:, 1:].view(T.float64)",
    "T.ones(2, 3).t().view(T.float64)",
]


def _answer(library: Any, text: str) -> Any:
    try:
        made = eval(text, {"T": library})
        return made.tolist(), str(made.dtype), tuple(made.stride()), made.storage_offset()
    except RuntimeError as error:
        return str(error)


@pytest.mark.parametrize("text", READINGS)
def test_bits_read_as_another_dtype_are_those_of_pytorch(text: str) -> None:
    want = _answer(torch, text)
    for number in (0, 1):
        with tier(number):
            got = _answer(tidu, text)
        assert got.startswith(want) if isinstance(want, str) else got == want


def test_writing_to_the_bits_writes_to_the_numbers_and_the_other_way_round() -> None:
    for library in (tidu, torch):
        numbers = library.zeros(4)
        bits = numbers[1:3].view(library.int32)
        bits[0] = 0x3F800000
        assert numbers.tolist() == [0.0, 1.0, 0.0, 0.0]
        numbers[2] = 2.0
        assert bits.tolist() == [0x3F800000, 0x40000000]
        wide = library.zeros(2, 2, dtype=library.int32)
        pairs = wide.view(library.int64)
        wide.add_(1)
        pairs[0] += 1
        assert wide.tolist() == [[2, 1], [1, 1]]
        assert pairs.tolist() == [[(1 << 32) + 2], [(1 << 32) + 1]]


def test_the_bits_of_a_parameter_have_no_gradient() -> None:
    for library in (tidu, torch):
        weight = library.ones(2, requires_grad=True)
        for d in (library.int32, library.float32):
            bits = weight.view(d)
            assert not bits.requires_grad
            assert bits.grad_fn is None
        with library.no_grad():
            weight.view(library.int32).zero_()
        assert weight.tolist() == [0.0, 0.0]


def test_what_numpy_reads_from_the_bits_is_what_is_there() -> None:
    numbers = np.random.default_rng(0).standard_normal(5)
    assert tidu.from_numpy(numbers).view(tidu.int64).tolist() == numbers.view(np.int64).tolist()
