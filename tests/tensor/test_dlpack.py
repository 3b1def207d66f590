"""Numbers go from one library to another by DLPack, and are copies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tidu
import tidu.utils.dlpack

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64", "int32", "uint8"])
def test_numbers_go_both_ways(dtype: str) -> None:
    numbers = np.arange(6).reshape(2, 3).astype(dtype)
    for given in (torch.tensor(numbers), numbers, tidu.tensor(numbers)):
        found = tidu.from_dlpack(given)
        assert found.tolist() == numbers.tolist() and str(found.dtype) == f"torch.{dtype}"
    for back in (torch.from_dlpack(tidu.tensor(numbers)), np.from_dlpack(tidu.tensor(numbers))):
        assert back.tolist() == numbers.tolist() and str(back.dtype).endswith(dtype)


def test_capsules_are_understood() -> None:
    x = tidu.arange(4)
    assert tidu.from_dlpack(tidu.to_dlpack(x)).tolist() == [0, 1, 2, 3]
    capsule: Any = torch.utils.dlpack.to_dlpack(torch.arange(3))
    assert tidu.utils.dlpack.from_dlpack(capsule).tolist() == [0, 1, 2]
    assert torch.utils.dlpack.from_dlpack(tidu.to_dlpack(x.t()[::2])).tolist() == [0, 2]


def test_writing_to_one_does_not_change_the_other() -> None:
    given = np.ones(3)
    taken = tidu.from_dlpack(given)
    handed = torch.from_dlpack(taken)
    given[0] = 5
    handed[1] = 7
    taken[2] = 9
    assert (taken.tolist(), handed.tolist()) == ([1.0, 1.0, 9.0], [1.0, 7.0, 1.0])


def test_what_cannot_be_exchanged_says_why() -> None:
    with pytest.raises(BufferError, match="require gradient"):
        np.from_dlpack(tidu.ones(2, requires_grad=True))
    with pytest.raises(TypeError, match="list has no method __dlpack__"):
        tidu.from_dlpack([1.0])
    with pytest.raises(ValueError, match="copy=False"):
        tidu.from_dlpack(np.ones(2), copy=False)
