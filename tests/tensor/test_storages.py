"""Storages show and write the memory under tensors, as PyTorch's do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch")

ASK: dict[str, Callable[[Any, Any], Any]] = {
    "text": lambda L, x: x.storage(),
    "bytes": lambda L, x: x.untyped_storage(),
    "of a view": lambda L, x: x.t()[1:, :1].storage().tolist(),
    "sizes": lambda L, x: (
        len(x.storage()),
        x.storage().size(),
        x.storage().nbytes(),
        x.storage().element_size(),
        len(x.untyped_storage()),
        x.untyped_storage().nbytes(),
    ),
    "what it is": lambda L, x: (
        x.storage().dtype,
        x.storage().device,
        x.storage().type(),
        x.storage_type(),
        x.storage().is_shared(),
        L.is_storage(x.storage()),
        L.is_storage(x),
        isinstance(x.storage(), L.FloatStorage),
        isinstance(x.storage(), L.LongStorage),
    ),
    "elements": lambda L, x: (x.storage()[1], x.storage()[-1], list(x.storage())),
    "bytes one by one": lambda L, x: (x.untyped_storage()[6], x.untyped_storage()[-2]),
    "out of range": lambda L, x: x.storage()[6],
    "same memory": lambda L, x: (
        x.storage().data_ptr() == x.t().storage().data_ptr(),
        x.untyped_storage().data_ptr() == x.detach().untyped_storage().data_ptr(),
        x.storage().data_ptr() == x.clone().storage().data_ptr(),
    ),
    "written": lambda L, x: (x.t().storage().__setitem__(1, 7), x),
    "filled": lambda L, x: (x[1:].storage().fill_(2) is None, x),
    "copied over": lambda L, x: (x.storage().copy_((x * 2).storage()) is None, x),
    "a byte written": lambda L, x: (x.untyped_storage().__setitem__(3, 64), x),
    "a clone is its own": lambda L, x: (x.storage().clone().fill_(5) is None, x),
    "converted": lambda L, x: (x.storage().double(), x.storage().long().tolist()),
    "from numbers": lambda L, x: L.FloatStorage([1, 2, 3]),
    "of a size": lambda L, x: (L.IntStorage(3).size(), L.UntypedStorage(4).size()),
}


def answer(library: Any, ask: Callable[[Any, Any], Any]) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's advice to use untyped storages
        try:
            return repr(ask(library, library.arange(6.0).reshape(2, 3)))
        except Exception as error:
            return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("question", ASK)
def test_storages_answer_as_those_of_pytorch(question: str) -> None:
    assert answer(tidu, ASK[question]) == answer(torch, ASK[question])


def test_gradients_see_what_was_there_before_a_write() -> None:
    x = tidu.ones(2, requires_grad=True)
    y = x * 3
    loss = (y * y).sum()
    y.storage()[0] = 100.0
    loss.backward()
    assert x.grad.tolist() == [18.0, 18.0]
