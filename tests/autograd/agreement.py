"""Runs one program under PyTorch and under tidu and compares all that it shows.

A program is a function ``program(torch, show, fails)``. It calls `show` with tensors, numbers and
the like, and `fails` with a function that may raise. Of a tensor everything is compared that a
user can see: dtype, shape, numbers, `requires_grad`, `is_leaf` and the name of its `grad_fn`; of an
error its type, and that our message begins as PyTorch's does.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import tidu

theirs = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
Program = Callable[[Any, Callable[..., None], Callable[[Callable[[], Any]], None]], None]
PREFIX = 40  # so much of an error message has to agree


def programs(names: dict[str, Any]) -> list[Program]:
    """The functions of a module that are programs, by the name of their first parameter."""
    return [
        function
        for name, function in names.items()
        if callable(function) and getattr(function, "__code__", None)
        if function.__code__.co_varnames[:3] == ("torch", "show", "fails")
    ]


def assert_agrees(program: Program) -> None:
    ours, expected = transcript(program, tidu), transcript(program, theirs)
    for number, (line, wanted) in enumerate(zip(ours, expected, strict=False)):
        assert same(line, wanted), f"line {number}: ours {line}\nPyTorch's {wanted}"
    assert len(ours) == len(expected), (
        f"ours {ours[len(expected) :]} theirs {expected[len(ours) :]}"
    )


def transcript(program: Program, torch: Any) -> list[Any]:
    """What the program shows, and how it ends."""
    lines: list[Any] = []

    def show(*shown: Any) -> None:
        lines.append(tuple(describe(x, torch) for x in shown))

    def fails(call: Callable[[], Any]) -> None:
        try:
            lines.append(("returned", describe(call(), torch)))
        except Exception as error:
            lines.append(Error(error))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program(torch, show, fails)
        except Exception as error:
            lines.append(Error(error))
    return lines


class Error:
    def __init__(self, error: Exception) -> None:
        self.kind = type(error).__name__
        self.message = str(error)

    def __repr__(self) -> str:
        return f"{self.kind}({self.message!r})"


def describe(x: Any, torch: Any) -> Any:
    if isinstance(x, torch.Tensor):
        node = x.grad_fn
        return {
            "dtype": str(x.dtype).rpartition(".")[2],
            "shape": tuple(x.shape),
            "requires_grad": x.requires_grad,
            "is_leaf": x.is_leaf,
            # PyTorch numbers the variants of a function: AddBackward0, AddBackward1.
            "grad_fn": None if node is None else type(node).__name__.rstrip("0123456789"),
            "numbers": x.detach().tolist(),
        }
    if isinstance(x, (list, tuple)):
        return [describe(y, torch) for y in x]
    return x if x is None or isinstance(x, (bool, int, float, str)) else type(x).__name__


def same(ours: Any, wanted: Any) -> bool:
    if isinstance(ours, Error) and isinstance(wanted, Error):
        return ours.kind == wanted.kind and ours.message.startswith(wanted.message[:PREFIX])
    if isinstance(ours, dict) and isinstance(wanted, dict):
        return ours.keys() == wanted.keys() and all(same(ours[k], wanted[k]) for k in ours)
    if isinstance(ours, (list, tuple)) and isinstance(wanted, (list, tuple)):
        return len(ours) == len(wanted) and all(map(same, ours, wanted))
    if isinstance(ours, float) and isinstance(wanted, float):
        if math.isnan(wanted):
            return math.isnan(ours)
        return math.isclose(ours, wanted, rel_tol=2e-5, abs_tol=1e-6)
    return bool(ours == wanted)
