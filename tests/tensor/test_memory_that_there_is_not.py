"""More memory than there is: an error like PyTorch's, with the bytes, the operation, the line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.compiler.tiers import tier

import tidu
from tidu.nn import functional as F

MANY = 10**13  # 40 TB of float32

CALLS: dict[str, Callable[[], Any]] = {
    "zeros": lambda: tidu.zeros(MANY)[0].item(),
    "full": lambda: tidu.full((MANY,), 2.0)[0].item(),
    "arange": lambda: tidu.arange(MANY)[0].item(),
    "linspace": lambda: tidu.linspace(0, 1, MANY),
    "eye": lambda: tidu.eye(10**7),
    "rand": lambda: tidu.rand(MANY),
    "randn": lambda: tidu.randn(MANY),
    "randperm": lambda: tidu.randperm(MANY),
    "bincount": lambda: tidu.bincount(tidu.tensor([MANY])),
    "repeat_interleave": lambda: tidu.repeat_interleave(tidu.tensor([MANY])),
    "one_hot": lambda: F.one_hot(tidu.tensor([MANY])).sum().item(),
    "addition": lambda: (tidu.ones(1).expand(MANY) + 1)[0].item(),
    "matmul": lambda: (tidu.ones(10**7, 1) @ tidu.ones(1, 10**7))[0, 0].item(),
    "numpy": lambda: tidu.ones(1).expand(MANY).contiguous().numpy(),
    "cat": lambda: tidu.cat([tidu.ones(1).expand(MANY)] * 2)[0].item(),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("number", [0, 1])
def test_what_cannot_be_allocated_is_refused_with_the_bytes_and_the_line(
    name: str, number: int
) -> None:
    with tier(number), pytest.raises(RuntimeError) as caught:
        CALLS[name]()
    message = str(caught.value)
    assert re.search(r"can't allocate memory: you tried to allocate \d{14,} bytes", message)
    assert re.search(r"test_memory_that_there_is_not.py:\d+: ", message)


def test_a_size_that_no_number_of_bytes_can_be_is_refused_as_in_pytorch() -> None:
    with pytest.raises(
        RuntimeError, match=r"Storage size calculation overflowed with sizes=\[1099"
    ):
        tidu.zeros(2**40, 2**40).sum().item()


def test_a_program_without_room_for_its_results_is_run_operation_by_operation() -> None:
    """Of a region that is fused the sum alone would need no memory; the error names what does."""
    x = tidu.ones(1).expand(MANY)
    with tier(1), pytest.raises(RuntimeError, match=r"bytes: add of shape \[10000000000000\]"):
        y = x + 1
        y[0].item()
    assert (tidu.ones(3) + 1).tolist() == [2.0] * 3
