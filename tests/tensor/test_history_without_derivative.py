"""Results that depend on numbers without a derivative have the history that PyTorch gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")

REFUSED: dict[str, Callable[[Any, Any], Any]] = {
    "floor_divide": lambda m, x: x // 2,
    "reflected": lambda m, x: 7 // x,
    "heaviside": lambda m, x: m.heaviside(x, x),
    "unique": lambda m, x: m.unique(x),
    "unique with more": lambda m, x: m.unique(x, return_inverse=True)[0],
    "unique slices": lambda m, x: m.unique(x, dim=0),
    "unique_consecutive": lambda m, x: m.unique_consecutive(x),
}
ZERO: dict[str, Callable[[Any, Any], Any]] = {
    "div floor": lambda m, x: m.div(x, 2, rounding_mode="floor"),
    "div trunc": lambda m, x: m.div(x, x.detach(), rounding_mode="trunc"),
    "div trunc by zero": lambda m, x: m.div(x, x * 0, rounding_mode="trunc"),
    "bernoulli": lambda m, x: m.bernoulli(x / 9),
    "poisson": lambda m, x: m.poisson(x),
}


def _name(call: Callable[[Any, Any], Any], module: Any) -> str:
    return type(call(module, _numbers(module)).grad_fn).__name__


def _numbers(module: Any) -> Any:
    return module.tensor([3.0, 1.0, 3.0], requires_grad=True)


@pytest.mark.parametrize("call", REFUSED)
def test_a_derivative_that_there_is_not_is_refused_in_the_backward_pass(call: str) -> None:
    assert _name(REFUSED[call], tidu) == _name(REFUSED[call], torch)
    with pytest.raises(RuntimeError) as theirs:
        REFUSED[call](torch, _numbers(torch)).sum().backward()
    with pytest.raises(NotImplementedError) as ours:
        REFUSED[call](tidu, _numbers(tidu)).sum().backward()
    assert str(theirs.value).removesuffix(".") in str(ours.value)


@pytest.mark.parametrize("call", ZERO)
def test_a_derivative_that_is_zero_is_there(call: str) -> None:
    assert _name(ZERO[call], tidu) == _name(ZERO[call], torch)
    x = _numbers(tidu)
    ZERO[call](tidu, x).sum().backward()
    assert x.grad.tolist() == [0.0] * 3


@pytest.mark.parametrize("call", [lambda m, x, k: x[k], lambda m, x, k: m.where(k, x, x)])
def test_masks_of_bytes_are_warned_of_as_in_pytorch(call: Callable[..., Any]) -> None:
    def run(module: Any) -> str:
        mask = module.tensor([1, 0, 1], dtype=module.uint8)
        with pytest.warns(UserWarning) as caught:
            call(module, module.ones(3), mask)
        assert len(caught) == 1
        return str(caught[0].message).partition(" (Triggered")[0]

    assert run(tidu) == run(torch)
