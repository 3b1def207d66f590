"""Indices that are out of range when a compiled program runs: the error of the first tier, with the
user's line, and nothing read or written outside of any buffer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tidu
from tests.compiler.guarded import guard_programs
from tests.compiler.regions.program import Program
from tests.compiler.tiers import tier
from tidu import Tensor, nn
from tidu.backends.cpu import CpuProgram, DeclinedError
from tidu.nn import functional as F

ROWS, COLUMNS = 5, 7


@pytest.fixture(params=["at the end", "at the start"], autouse=True)
def guards(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test runs with pages around all buffers that may not be touched."""
    guard_programs(monkeypatch, at_end=request.param == "at the end")


@pytest.fixture
def declined(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each run of a compiled program, whether it declined."""
    seen: list[bool] = []
    run = CpuProgram.run

    def watched(self: Any, leaves: Any, numbers: Any) -> Any:
        try:
            results = run(self, leaves, numbers)
        except DeclinedError:
            seen.append(True)
            raise
        seen.append(False)
        return results

    monkeypatch.setattr(CpuProgram, "run", watched)
    return seen


def _written(x: Tensor, key: Any, value: Any) -> Tensor:
    y = x.clone()
    y[key] = value
    return y


# x has ROWS × COLUMNS elements; i are three row numbers that nobody knows before they are computed.
ACCESSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "read": lambda x, i: x[i] * 2,
    "read columns": lambda x, i: x[:, i % ROWS][i],
    "read pairs": lambda x, i: x[i, i % COLUMNS],
    "write": lambda x, i: _written(x, i, 1.0),
    "write rows": lambda x, i: _written(x, i, x[:3] * 3),
    "index_put": lambda x, i: x.index_put((i,), x[:3], accumulate=True),
    "index_select": lambda x, i: x.index_select(0, i),
    "index_add": lambda x, i: x.index_add(0, i, x[:3]),
    "index_copy": lambda x, i: x.index_copy(0, i, x[:3]),
    "index_fill": lambda x, i: x.index_fill(0, i, 2.0),
    "gather": lambda x, i: x.gather(0, i[:, None].expand(3, COLUMNS)),
    "scatter": lambda x, i: x.scatter(0, i[:, None].expand(3, COLUMNS), x),
    "scatter_add": lambda x, i: x.scatter_add(0, i[:, None].expand(3, COLUMNS), x),
    "take_along_dim": lambda x, i: x.take_along_dim(i[:, None], 0),
    "embedding": lambda x, i: F.embedding(i, x),
    "cross_entropy": lambda x, i: F.cross_entropy(x.t()[:3], i),
    "nll_loss": lambda x, i: F.nll_loss(x.t()[:3], i, reduction="none"),
}
WRONG = (float(ROWS), 1e6, 2.0**40, -float(ROWS) - 1, -1e6, -(2.0**40))


def _computed(numbers: list[float]) -> Tensor:
    """Indices that cannot be looked at before the region runs: floats stand behind them."""
    x = tidu.tensor(numbers, dtype=tidu.float64)
    tidu.realize()
    return (x * 1.0).long()


def _outcome(number: int, access: Any, indices: list[float]) -> Any:
    x = tidu.tensor(np.arange(float(ROWS * COLUMNS)).reshape(ROWS, COLUMNS), dtype=tidu.float32)
    with tier(number):
        try:
            return access(x, _computed(indices)).numpy()
        except Exception as error:
            return type(error), str(error)


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", ACCESSES)
def test_an_index_out_of_range_is_the_error_of_the_first_tier(
    name: str, wrong: float, declined: list[bool]
) -> None:
    indices = [1.0, wrong, 3.0]
    want = _outcome(0, ACCESSES[name], indices)
    got = _outcome(1, ACCESSES[name], indices)
    assert got == want
    assert issubclass(want[0], IndexError)  # also where it is PyTorch's RuntimeError besides
    assert "test_bounds.py" in want[1]
    assert declined == [True]


@pytest.mark.parametrize("name", ACCESSES)
def test_the_first_and_the_last_place_are_in_range(name: str, declined: list[bool]) -> None:
    indices = [0.0, ROWS - 1.0, 2.0]
    got, want = (_outcome(number, ACCESSES[name], indices) for number in (1, 0))
    np.testing.assert_allclose(got, want, rtol=1e-6)
    assert declined == [False]


@pytest.mark.parametrize("name", ["read", "write", "index_put"])
def test_negative_indices_count_from_the_end(name: str, declined: list[bool]) -> None:
    indices = [-1.0, -float(ROWS), -2.0]
    got, want = (_outcome(number, ACCESSES[name], indices) for number in (1, 0))
    np.testing.assert_array_equal(got, want)
    assert declined == [False]


def test_one_wrong_index_among_many_is_found_in_every_lane() -> None:
    """Also in the masked part of a vector, and in the part of another worker."""
    size = 40_001
    x = tidu.arange(100.0)
    for place in (0, 1, 15, 16, 17, size // 2, size - 17, size - 2, size - 1):
        numbers = np.zeros(size)
        numbers[place] = 100.0
        with tier(1), pytest.raises(IndexError, match="100"):
            (x[_computed(numbers)] * 2 + 1).sum().item()


def test_lanes_that_are_not_used_are_not_checked() -> None:
    with tier(1):
        for size in (1, 3, 15, 17):
            # One divided by zero in the lanes beyond the end would be an index far out of range.
            i = (1.0 / (_computed([2.0] * size).double() - 1.0)).long()
            assert (tidu.arange(2.0)[i] * 2).tolist() == [2.0] * size


def test_a_failed_step_leaves_parameters_and_state_as_they_were() -> None:
    model = nn.Sequential(nn.Embedding(ROWS, 4), nn.Linear(4, 3))
    optimizer = tidu.optim.Adam(model.parameters(), lr=0.1)

    def step(rows: list[float]) -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(_computed(rows)), tidu.tensor([0, 1, 2]))
        loss.backward()
        optimizer.step()

    def everything() -> list[Any]:
        moments = [t for state in optimizer.state.values() for t in state.values()]
        return [x.tolist() for x in (*model.parameters(), *moments)]

    for number in (0, 1):
        with tier(number):
            step([0.0, 1.0, 2.0])
            before = everything()
            with pytest.raises(IndexError, match=r"test_bounds\.py"):
                step([0.0, float(ROWS), 2.0])
            assert everything() == before
            step([1.0, 2.0, 4.0])
            assert everything() != before


def test_a_first_step_that_fails_leaves_no_state() -> None:
    layer = nn.Embedding(ROWS, 4)
    optimizer = tidu.optim.Adam(layer.parameters(), lr=0.1)
    with tier(1):
        layer(_computed([float(ROWS)])).sum().backward()
        with pytest.raises(IndexError):
            optimizer.step()
    assert not optimizer.state


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_touch_nothing_outside_of_their_buffers(seed: int) -> None:
    """A read or a write beyond either end of any buffer would kill the process."""
    rng = np.random.default_rng(seed)
    steps = [tuple(map(int, rng.integers(0, (25, 64, 64, 1000)))) for _ in range(16)]
    with tier(1):
        Program(steps).results(int(rng.integers(1 << 16)))  # type: ignore[arg-type]
