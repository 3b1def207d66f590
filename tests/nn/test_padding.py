"""Padding, as functions and as layers, beside PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.nn.numeric import compare
from tests.nn.oracle import assert_same_answer


@st.composite
def constant_pads(draw: Any) -> tuple[str, dict[str, Any]]:
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    padded = draw(st.integers(0, len(shape)))
    pads = []
    for size in reversed(shape[len(shape) - padded :]):
        low = draw(st.integers(-size, 3))
        pads += [low, draw(st.integers(-(size + min(low, 0)), 3))]
    value = draw(st.sampled_from([None, 0.0, 1.5, "float('nan')"]))
    x = np.random.default_rng(draw(st.integers(0, 1000))).standard_normal(shape)
    return f"F.pad(x, {pads}, 'constant', {value})", {"x": x}


@given(constant_pads())
@settings(max_examples=80, deadline=None)
def test_constants(case: tuple[str, dict[str, Any]]) -> None:
    statement, arrays = case
    compare(statement, arrays)


@st.composite
def edge_pads(draw: Any) -> tuple[str, dict[str, Any]]:
    n, mode = draw(st.integers(1, 3)), draw(st.sampled_from(["reflect", "replicate", "circular"]))
    sizes, pads = draw(st.lists(st.integers(1, 5), min_size=n, max_size=n)), []
    for size in reversed(sizes):
        most = {"reflect": size - 1, "replicate": 4, "circular": size}[mode]
        low = draw(st.integers(-1 if size > 2 else 0, most))
        # What remains of a circle is still large enough to go around once.
        high = draw(st.integers(-1 if size > 2 and low >= 0 else 0, most))
        if mode == "circular":
            left = size + min(low, 0) + min(high, 0)
            low, high = min(low, left), min(high, left)
        pads += [low, high]
    batch = draw(st.sampled_from([(), (0,), (1,), (2,)]))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    return f"F.pad(x, {pads}, '{mode}')", {"x": rng.standard_normal((*batch, 2, *sizes))}


@given(edge_pads())
@settings(max_examples=80, deadline=None)
def test_what_is_there(case: tuple[str, dict[str, Any]]) -> None:
    statement, arrays = case
    compare(statement, arrays, names="circular" not in statement)


def test_other_dtypes() -> None:
    x = {"x": np.arange(8).reshape(2, 4)}
    compare("F.pad(x, (1, 2), value=3)", x)
    compare("F.pad(x > 3, (1, 2), value=2)", x)
    compare("F.pad(x, (1, 2), 'reflect')", x)
    compare("F.pad(x > 3, (1, 2), 'circular')", x)
    compare("F.pad(x, (1, 2), 'replicate')", {"x": x["x"] / 8}, dtype="bfloat16", order=1)


def test_nothing_to_pad_still_copies() -> None:
    compare("F.pad(x, (0, 0)).mul_(2), x + 0", {"x": np.ones((2, 3))}, order=0)


ERRORS = """
F.pad(o(2, 3), (1, 1, 1, 1, 1, 1))
F.pad(o(2, 3), (1,))
F.pad(o(2, 3, 4), (1, 1), 'foo')
F.pad(o(2, 3, 4), (1, 1), 'reflect', 1.0)
F.pad(o(4), (1, 1), 'reflect')
F.pad(o(2, 3, 4, 4), (1, 1), 'circular')
F.pad(o(2, 0, 4), (1, 1), 'replicate')
F.pad(o(2, 3, 4), (5, 1), 'circular')
""".strip().splitlines()


@pytest.mark.parametrize("statement", ERRORS)
def test_errors(statement: str) -> None:
    assert_same_answer(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "F.pad(o(2, 3), (-2, -2))",
        "F.pad(o(2, 3, 4), (4, 1), 'reflect')",
        "F.pad(o(2, 3, 4), (-2, -2), 'replicate')",
        "F.pad(o(2, 3, 4), (-2, -3), 'circular')",
        "F.pad(o(2, 3, 4).bool(), (1, 1), 'reflect')",
    ],
)
def test_errors_in_other_words(statement: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle of this test")
    tidu = pytest.importorskip("tidu")
    kinds = []
    for library in (torch, tidu):
        with pytest.raises((RuntimeError, NotImplementedError)) as caught:
            eval(statement, {"F": library.nn.functional, "o": library.ones})
        kinds.append(caught.type)
    assert kinds[0] is kinds[1]


LAYERS = [
    f"nn.{kind}Pad{n}d({padding}{', 3.5' if kind == 'Constant' else ''})"
    for kind in ("Constant", "Zero", "Reflection", "Replication", "Circular")
    for n in (1, 2, 3)
    for padding in (1, tuple(range(2 * n))[::-1] if n < 3 else (1, 0, 2, 1, 0, 1))
]


@pytest.mark.parametrize("make", LAYERS)
def test_layers(make: str) -> None:
    n = int(make.partition("d(")[0][-1])
    assert_same_answer(make)
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 4, 6)[: n + 2])
    compare(f"{make}(x)", {"x": x}, names="Circular" not in make)
