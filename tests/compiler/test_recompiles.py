"""A loop that settles compiles one program for each batch size, and no more after that."""

from __future__ import annotations

import os

import pytest

import tidu
from tests.compiler.tiers import forget_programs
from tidu import execute, nn
from tidu.programs import programs

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("TIDU_TIER")), reason="it is about what is compiled when nothing is said"
)


@pytest.fixture(autouse=True)
def _as_in_a_new_process(monkeypatch: pytest.MonkeyPatch) -> None:
    forget_programs(monkeypatch)


def test_schedule_adam_dropout_and_a_last_smaller_batch_compile_one_program_for_each_size() -> None:
    tidu.manual_seed(0)
    model = nn.Sequential(nn.Linear(7, 33), nn.Tanh(), nn.Dropout(0.3), nn.Linear(33, 3))
    optimizer = tidu.optim.Adam(model.parameters(), lr=1e-2)
    schedule = tidu.optim.lr_scheduler.ExponentialLR(optimizer, 0.999)
    x, y = tidu.randn(50, 7), tidu.randint(0, 3, (50,))

    def epoch() -> None:
        for start in range(0, 50, 16):  # 16, 16, 16, 2
            optimizer.zero_grad()
            part = slice(start, start + 16)
            nn.functional.cross_entropy(model(x[part]), y[part]).backward()
            optimizer.step()
            schedule.step()

    for _ in range(3):
        epoch()
    assert programs.wait()
    before = tidu.compiler.stats()["programs"]
    for _ in range(100):
        epoch()
    assert programs.wait()
    assert tidu.compiler.stats()["programs"] == before


def test_each_batch_size_has_one_program() -> None:
    tidu.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 21), nn.ReLU(), nn.Linear(21, 2))
    optimizer = tidu.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = tidu.compiler.stats()["programs"]
    for step in range(40):
        x = tidu.randn(8 if step % 4 else 5, 6)
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
    assert programs.wait()
    made = tidu.compiler.stats()["programs"] - before
    assert 1 <= made <= 2


def test_the_statistics_tell_line_size_and_tier_of_each_structure() -> None:
    x = tidu.randn(300, 300)
    for _ in range(3):
        (x.exp() * 2.0).sum().item()  # this line
    (x + 1.0).mean().item()
    assert programs.wait()
    found = tidu.compiler.stats()
    often, once = found["structures"]
    assert often.line.startswith("test_recompiles.py:")
    assert often.line.endswith("# this line")
    assert (often.values, often.tier, often.seen) == (3, "compiled", 2)
    assert (once.values, once.tier, once.seen) == (2, "numpy", 1)
    assert found["tiers"] == {"compiled": 1, "numpy": 1}


def test_statistics_print_one_line_for_each_of_the_largest_structures() -> None:
    for count in range(1, 31):
        x = tidu.ones(300, 300)
        for _ in range(count):
            x = x * 2.0
        x.sum().item()
    found = tidu.compiler.stats()
    assert len(found["structures"]) == 30
    lines = str(found).splitlines()
    assert all(any(line.startswith(name) for line in lines) for name in found)
    assert "31 Values, seen   1 times: test_recompiles.py:" in str(found)
    assert lines[-1] == "  and 10 smaller ones"


class _Regions:
    """How many different structures the regions of a loop have."""

    def __init__(self) -> None:
        self._before = execute.stats()["structures"]

    def structures(self) -> int:
        tidu.realize()
        return execute.stats()["structures"] - self._before


def _classifier() -> tuple[nn.Module, tidu.optim.Optimizer]:
    tidu.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 21), nn.ReLU(), nn.Linear(21, 3))
    return model, tidu.optim.SGD(model.parameters(), lr=0.1)


def test_where_a_batch_begins_does_not_matter() -> None:
    model, optimizer = _classifier()
    x, y = tidu.randn(200, 6), tidu.randint(0, 3, (200,))
    regions = _Regions()
    for start in range(0, 200, 10):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[start : start + 10]), y[start : start + 10]).backward()
        optimizer.step()
    assert 1 <= regions.structures() <= 2


def test_single_samples_have_one_structure() -> None:
    model, optimizer = _classifier()
    x, y = tidu.randn(30, 6), tidu.randint(0, 3, (30,))
    regions = _Regions()
    for number in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[number]), y[number]).backward()
        optimizer.step()
    assert 1 <= regions.structures() <= 2


def test_how_long_a_text_has_become_does_not_matter_to_what_reads_its_last_words() -> None:
    tidu.manual_seed(0)
    embedding, mix = nn.Embedding(11, 8), nn.Linear(8, 11)
    text = tidu.zeros(2, 5, dtype=tidu.int64)
    regions = _Regions()
    with tidu.no_grad():
        for _ in range(20):
            seen = embedding(text[:, -5:])
            for _ in range(3):
                weights = (seen @ seen.transpose(1, 2)).softmax(-1)
                seen = (weights @ seen).tanh() + seen
            scores = mix(seen)[:, -1]
            text = tidu.cat((text, tidu.multinomial(scores.softmax(-1), 1)), 1)
    assert text.shape == (2, 25)
    assert 1 <= regions.structures() <= 2
