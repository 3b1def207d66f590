"""How forms are written: addresses exactly, expressions readably, and always in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import tidu
from tests.golden.programs import Program, graphs
from tidu.backends.null import VECTOR_BYTES
from tidu.compiler.layouts import Layout
from tidu.compiler.notation import affine, element
from tidu.compiler.pipeline import forms
from tidu.compiler.render import render
from tidu.compiler.steps import Buffer


def text(run: Callable[[], Any], step: str) -> str:
    def prepare() -> Callable[[], Any]:
        return run

    prepared: Program = prepare
    (graph,) = graphs(prepared)
    return render(dict(forms(graph, VECTOR_BYTES))[step])


@pytest.mark.parametrize(
    ("terms", "offset", "expected"),
    [
        ([], 0, "0"),
        ([], -3, "-3"),
        ([(1, "i")], 0, "i"),
        ([(2, "i"), (1, "j")], -3, "2i + j - 3"),
        ([(-1, "i"), (-4, "j")], 7, "-i - 4j + 7"),
    ],
)
def test_affine_functions(terms: list[tuple[int, str]], offset: int, expected: str) -> None:
    assert affine(terms, offset) == expected


@pytest.mark.parametrize(
    ("space", "strides", "offset", "expected"),
    [
        ((4, 6), (6, 1), 0, "x[i, j]"),
        ((6, 4), (1, 6), 0, "x[j, i]"),
        ((4, 5), (6, 1), 1, "x[i, j + 1]"),
        ((4, 6), (6, -1), 5, "x[i, -j + 5]"),
        ((2, 3), (12, 2), 7, "x[2i + 1, 2j + 1]"),
        ((4, 2, 3), (6, 3, 1), 0, "x[i, 3j + k]"),
        ((24,), (1,), 0, "x.flat[i]"),  # over the ends of rows
        ((4,), (7,), 0, "x.flat[7i]"),  # the diagonal
        ((4, 6), (0, 1), 12, "x[2, j]"),
    ],
)
def test_elements_are_named_by_coordinates_where_there_are_some(
    space: tuple[int, ...], strides: tuple[int, ...], offset: int, expected: str
) -> None:
    buffer = Buffer(0, 24, tidu.float32, (4, 6))
    assert element("x", buffer, space, Layout(strides, offset), [], frozenset()) == expected


def test_what_is_named_by_coordinates_is_that_element() -> None:
    """Evaluated, the text gives the place that the layout says."""
    buffer = Buffer(0, 60, tidu.float32, (3, 4, 5))
    flat = [(a, b, c) for a in range(3) for b in range(4) for c in range(5)]
    for space, strides, offset in [((3, 4), (20, 5), 2), ((2, 2, 5), (40, 10, -1), 4)]:
        said = element("x", buffer, space, Layout(strides, offset), [], frozenset())
        code = said.replace("x[", "(").replace("]", ")")
        for factor in range(2, 10):
            code = code.replace(f"{factor}i", f"{factor}*i").replace(f"{factor}j", f"{factor}*j")
        for i in range(space[0]):
            for j in range(space[1]):
                for k in range(space[2] if len(space) == 3 else 1):
                    place = offset + sum(
                        s * c for s, c in zip(strides, (i, j, k)[: len(space)], strict=True)
                    )
                    assert eval(code, {"i": i, "j": j, "k": k}) == flat[place], said


def test_movements_are_addresses_and_operations_are_calls() -> None:
    x = tidu.ones(4, 6)
    lines = text(lambda: (x.t()[1:] * 2).exp(), "lower").splitlines()
    assert lines == [
        "in0 f32[4, 6]",
        "for i in 5, j in 4:",
        "  out0[i, j] = exp(mul(in0[j, i + 1], n0))",
        "return out0",
    ]


def test_guards_are_conditions() -> None:
    x = tidu.ones(2, 30, requires_grad=True)
    weight = tidu.ones(2, 28)

    def run() -> Any:
        (x.exp()[:, 1:29] * weight).sum().backward()

    guarded = "(mul(in1, in2[i, j - 1]) where 0 <= j - 1 < 28 else 0)"
    assert f"out0[i, j] = mul({guarded}, exp(in0[i, j]))" in text(run, "lower")


def test_indices_are_expressions_in_brackets() -> None:
    x, places = tidu.ones(50, 6), tidu.tensor([3, 1, 4])
    said = text(lambda: x[places + 1], "lower")
    assert "in0[add(in1[i], n0), j]" in said or "in1[add(in0[i], n0), j]" in said


def test_shared_and_long_parts_have_lines_of_their_own() -> None:
    x = tidu.ones(40)

    def run() -> Any:
        y = x.abs()
        return y.sin() * y.cos()

    assert text(run, "lower").splitlines()[2:] == [
        "  v0 = abs(in0[i])",
        "  out0[i] = mul(sin(v0), cos(v0))",
        "return out0",
    ]
    long = text(
        lambda: (x.exp().sin() + x.cos().tan()) * (x.tanh().sqrt() + x.log().abs()), "lower"
    )
    assert all(len(line) < 100 for line in long.splitlines())


def test_programs_tell_units_lanes_barriers_and_places_in_memory() -> None:
    x = tidu.ones(512, 1024)
    said = text(lambda: (x * x).sum().sqrt(), "plan")
    for part in ("units of", " lanes", "\nbarrier\n", "at byte 0, calls 0 to 1", "sum over"):
        assert part in said, said


def test_calls_of_numpy_say_why() -> None:
    x = tidu.ones(5, 3)
    assert "it is a NumPy function in every tier" in text(lambda: x.sort()[0], "plan")
    assert "a size is 0" in text(lambda: tidu.ones(0, 3).sum(1), "plan")


def test_products_tell_how_matrices_lie_in_memory() -> None:
    x, y, w = tidu.ones(5, 64, 100), tidu.ones(5, 100, 32), tidu.ones(32, 64)
    said = text(lambda: x[:, :, :50] @ y[:, :50], "lower")
    assert "product: out0 (64 x 32) = in0 (64 x 50, rows 100 apart) @ in1 (50 x 32)" in said
    assert "5 times, 2048 and 6400 and 3200 elements further each time" in said
    assert "in1 (32 x 64).T" in text(lambda: x[0, :, :64] @ w.t(), "lower")
