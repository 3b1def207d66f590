"""torch.masked: reductions of the elements where a mask holds, against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.ops.agreement import agree, array

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

X = array(3, 4)
MASK = np.array([[True, False, True, True], [False] * 4, [True] * 4])
REDUCTIONS = ("sum", "prod", "amax", "amin", "mean", "var", "std", "logsumexp", "argmax", "argmin")
ALONG = ("cumsum", "cumprod", "softmax", "log_softmax", "softmin", "median")


def _masked(T: Any) -> Any:
    # A plain attribute of neither: PyTorch's is a submodule that has to be imported.
    return torch.masked if T is torch else T.masked


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("rows", [3, 1], ids=["with an empty row", "full"])
def test_reductions_are_those_of_pytorch(name: str, rows: int) -> None:
    x, mask = (X, MASK) if rows == 3 else (X[2:], MASK[2:])
    agree(torch, lambda T, x, m: getattr(_masked(T), name)(x, 1, mask=m), x, mask)
    agree(torch, lambda T, x, m: getattr(_masked(T), name)(x, dim=0, keepdim=True, mask=m), x, mask)
    agree(torch, lambda T, x: getattr(_masked(T), name)(x, 1), x)


@pytest.mark.parametrize("name", ALONG)
def test_functions_along_a_dimension_are_those_of_pytorch(name: str) -> None:
    some = MASK[[0, 2]]
    agree(torch, lambda T, x, m: getattr(_masked(T), name)(x, 1, mask=m), X[[0, 2]], some)


@pytest.mark.parametrize("order", [0, 1, 2, 3, float("inf"), -float("inf")])
def test_norms_are_those_of_pytorch(order: float) -> None:
    some = MASK[[0, 2]]
    agree(torch, lambda T, x, m: _masked(T).norm(x, order, 1, mask=m), X[[0, 2]], some)


def test_normalize_and_logaddexp_are_those_of_pytorch() -> None:
    agree(torch, lambda T, x, m: _masked(T).normalize(x, 2.0, 1, mask=m), X[[0, 2]], MASK[[0, 2]])
    agree(torch, lambda T, x, m: _masked(T).logaddexp(x, x.flip(0), input_mask=m), X, MASK)
    agree(torch, lambda T, x, m: _masked(T).sum(x, 0, mask=m), np.arange(12).reshape(3, 4), MASK)
