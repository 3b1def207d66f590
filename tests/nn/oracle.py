"""What the tests of layers share:
the same statement, the same numbers and the same weights in both libraries.
"""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest

import tidu

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")


def run(library: Any, statement: str) -> tuple[str, str]:
    """Evaluate an expression with `T`, `nn`, `F` and `o` (ones) bound:
    what kind of answer, and its text.
    """
    names = {
        "T": library,
        "nn": library.nn,
        "F": library.nn.functional,
        "o": library.ones,
        "init": library.nn.init,
        "utils": library.nn.utils,
        "rnn": library.nn.utils.rnn,
    }
    library.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return "value", _neutral(repr(eval(statement, names)))
        except Exception as error:
            return type(error).__name__, _neutral(str(error))


def _neutral(text: str) -> str:
    """Text without the places where classes live."""
    return re.sub(r"\b(tidu|torch)(\.\w+)*\.(?=[A-Z])", "", text)


def assert_same_answer(statement: str) -> None:
    """Both libraries answer with the same value or error;
    our messages may go on where PyTorch's end.
    """
    (kind, want), (our_kind, got) = run(torch, statement), run(tidu, statement)
    assert our_kind == kind, f"{statement}: {got!r}, PyTorch {want!r}"
    if kind == "value":
        assert got == want, statement
    else:
        assert got.startswith(want.rstrip(".")) or want in got, (
            f"{statement}: {got!r}, PyTorch {want!r}"
        )


def pair(rng: np.random.Generator, *shape: int) -> tuple[Any, Any]:
    """The same float64 numbers as a tensor of either library that requires a gradient."""
    numbers = rng.standard_normal(shape)
    return torch.tensor(numbers, requires_grad=True), tidu.tensor(numbers, requires_grad=True)


def both(make: str) -> tuple[Any, Any]:
    """A module of either library in float64, made by the same expression, with the same weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's advice on how to be faster
        theirs = eval(make, {"nn": torch.nn, "T": torch}).double()
    ours = eval(make, {"nn": tidu.nn, "T": tidu}).double()
    ours.load_state_dict({name: tidu.tensor(x.numpy()) for name, x in theirs.state_dict().items()})
    return theirs, ours


def numbers(tensor: Any) -> Any:
    return np.asarray(tensor.detach().numpy())


def assert_close(got: Any, want: Any, what: str = "", tolerance: float = 1e-9) -> None:
    assert tuple(got.shape) == tuple(want.shape), what
    np.testing.assert_allclose(
        numbers(got), numbers(want), rtol=tolerance, atol=tolerance, err_msg=what
    )


def flat(result: Any) -> list[Any]:
    """The tensors in nested tuples, in order."""
    if isinstance(result, tuple):
        return [x for part in result for x in flat(part)]
    return [] if result is None else [result]


def assert_same_results_and_gradients(
    results: tuple[Any, Any], leaves: list[tuple[Any, Any]], modules: tuple[Any, Any], what: str
) -> None:
    """Compare (PyTorch's, our) results,
    then gradients of a weighted sum of them for leaves and parameters.
    """
    rng = np.random.default_rng(1)
    totals: list[Any] = [0.0, 0.0]
    for want, got in zip(flat(results[0]), flat(results[1]), strict=True):
        assert_close(got, want, what)
        weights = rng.standard_normal(tuple(want.shape))
        totals[0] = totals[0] + (want * torch.tensor(weights)).sum()
        totals[1] = totals[1] + (got * tidu.tensor(weights)).sum()
    for total in totals:
        total.backward()
    parameters = zip(modules[0].named_parameters(), modules[1].parameters(), strict=True)
    named = [("input", a, b) for a, b in leaves] + [(name, a, b) for (name, a), b in parameters]
    for name, a, b in named:
        assert (a.grad is None) == (b.grad is None), f"{what}: gradient of {name}"
        if a.grad is not None:
            assert_close(b.grad, a.grad, f"{what}: gradient of {name}")
        a.grad = b.grad = None
