"""A kernel that is like another one gets the text and the parameters that it would have alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import tidu
from tests.golden.programs import PROGRAMS, graphs
from tidu import nn
from tidu.compiler import alike
from tidu.compiler.alike import Texts
from tidu.compiler.emit import Emitted, emit
from tidu.compiler.expressions import Expressions
from tidu.compiler.fuse import Kernel
from tidu.compiler.graph import Graph
from tidu.compiler.pipeline import compile_graph


class _Counts:
    kernels = written = 0


@contextmanager
def _compared(counts: _Counts, known: dict[Any, Any] | None = None) -> Iterator[None]:
    """Each text that is had is compared with the one that is written for that kernel alone. With
    `known`, texts of one program serve others.
    """

    def writing(*given: Any) -> Emitted:
        counts.written += 1
        return emit(*given)

    class Compared(Texts):
        def __init__(self, make: Expressions, vector_bytes: int) -> None:
            super().__init__(make, vector_bytes)
            self.given = make, vector_bytes
            if known is not None:
                self._known = known

        def of(self, kernel: Kernel, stored: set[int]) -> Emitted:
            found = super().of(kernel, stored)
            make, vector_bytes = self.given
            alone = emit(kernel, make, stored, vector_bytes)
            assert found == alone
            counts.kernels += 1
            return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alike, "emit", writing)
        patch.setattr("tidu.compiler.program.Texts", Compared)
        yield


def _layers(count: int) -> Callable[[], Any]:
    """So many layers of one size, one of another, and updates with arguments of their own."""
    layers = [nn.Sequential(nn.Linear(24, 24), nn.LayerNorm(24), nn.GELU()) for _ in range(count)]
    model = nn.Sequential(*layers, nn.Linear(24, 7))
    optimizer = tidu.optim.AdamW(model.parameters(), lr=1e-3)
    x, y = tidu.randn(10, 24), tidu.randint(0, 7, (10,))

    def run() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return run


@pytest.mark.parametrize("vector_bytes", [0, 64])
@pytest.mark.parametrize("name", PROGRAMS)
def test_texts_are_what_they_are_alone(name: str, vector_bytes: int) -> None:
    counts = _Counts()
    with _compared(counts):
        for graph in graphs(PROGRAMS[name]):
            compile_graph(graph, vector_bytes)
    assert 0 < counts.written <= counts.kernels


def test_layers_of_one_size_are_written_once() -> None:
    few, many = _Counts(), _Counts()
    for counts, layers in ((few, 3), (many, 9)):
        found: list[Graph] = graphs(lambda layers=layers: _layers(layers))  # type: ignore[misc]
        with _compared(counts):
            for graph in found:
                compile_graph(graph, 64)
    assert many.kernels > 2 * few.kernels
    assert many.written == few.written


def _variants() -> Iterator[Callable[[], Any]]:
    """Small programs, each like another one but for something that its text has to tell."""
    x, y, z = tidu.randn(8, 20), tidu.randn(8, 20), tidu.randn(8, 33)
    wide, whole = x.double(), tidu.randint(0, 8, (8, 20))
    rows = tidu.tensor([1, 5, 2])
    tidu.realize()
    for a in (x, z, wide, x.view(20, 8), tidu.randn(160), tidu.randn(300, 300), tidu.randn(8, 1)):
        for dims in (0, -1, None):
            yield lambda a=a, dims=dims: a.sum(dims)  # type: ignore[misc]
            yield lambda a=a, dims=dims: a.amax(dims)  # type: ignore[misc]
        yield lambda a=a: a * 2.0  # type: ignore[misc]
        yield lambda a=a: a * -2.0  # type: ignore[misc]
        yield lambda a=a: a + a.flip(0)  # type: ignore[misc]
        yield lambda a=a: a + a.flip(-1)  # type: ignore[misc]
        yield lambda a=a: nn.functional.pad(a.exp(), (1, 2))  # type: ignore[misc]
        yield lambda a=a: nn.functional.pad(a.exp(), (2, 1), value=1.0)  # type: ignore[misc]
    for low in (0.0, -0.0, 1.0):
        yield lambda low=low: x.clamp(min=low)  # type: ignore[misc]
        yield lambda low=low: tidu.where(x > y, x, low)  # type: ignore[misc]
    yield from (lambda: x + y, lambda: x + whole, lambda: wide + x, lambda: wide + whole)
    yield from (lambda: x > y, lambda: x >= y, lambda: x.to(tidu.float16) + 1.0, lambda: x == 0.0)
    yield from (lambda: x + y.sum(0), lambda: x + y.sum(1, keepdim=True), lambda: x + y.sum())
    yield from (lambda: x[rows] * 2.0, lambda: x[:, rows] * 2.0, lambda: x[-rows] * 2.0)
    yield from (lambda: x.gather(0, whole) + y, lambda: x.gather(1, whole) + y)
    yield from (lambda: x.index_add(0, rows, y[:3]), lambda: x.index_copy(0, rows, y[:3]))
    yield from (lambda: x.index_add(1, rows, y[:, :3]), lambda: x.scatter_add(0, whole, y))
    yield from (lambda: tidu.cat((x, y)), lambda: tidu.cat((x, y), 1), lambda: tidu.cat((x, z), 1))
    yield from (lambda: x[:, :8] + x[:, 8:16], lambda: x[:, ::2] + 1.0, lambda: x.T + 1.0)
    yield from (lambda: x.softmax(0), lambda: x.softmax(1), lambda: x.log_softmax(1))
    yield from (lambda: (x.exp(), x.exp().sum(1)), lambda: x.exp().sum(1))


@pytest.mark.parametrize("vector_bytes", [0, 64])
def test_what_differs_has_a_text_of_its_own(vector_bytes: int) -> None:
    """All of these as if they were parts of one program."""
    found = [graph for run in _variants() for graph in graphs(lambda run=run: run)]  # type: ignore[misc]
    counts = _Counts()
    with _compared(counts, {}):
        for graph in found:
            compile_graph(graph, vector_bytes)
    assert counts.kernels > 90
    assert counts.written < counts.kernels
