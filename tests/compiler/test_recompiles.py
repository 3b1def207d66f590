"""A loop that settles compiles one program for each batch size, and no more after that."""

from __future__ import annotations

import os

import pytest

import tidu
from tidu import nn
from tidu.programs import programs

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("TIDU_TIER")), reason="it is about what is compiled when nothing is said"
)


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
