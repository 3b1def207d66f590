"""The same bits on any number of threads, and in every run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tidu
from tests.compiler.steps import CASES, digest

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = tidu.get_num_threads()
    yield
    tidu.set_num_threads(before)


@pytest.mark.parametrize("name", CASES)
def test_results_do_not_depend_on_the_number_of_threads(name: str) -> None:
    found = {}
    for count in (1, 2, 3, 8, 2):
        tidu.set_num_threads(count)
        found[count] = digest(name)
    assert len(set(found.values())) == 1, found


def test_results_do_not_depend_on_the_process() -> None:
    """Nor on where its memory lies, or on the number of threads that it starts with."""

    def run(threads: str, hashing: str) -> str:
        environment = {**os.environ, "TIDU_NUM_THREADS": threads, "PYTHONHASHSEED": hashing}
        command = [sys.executable, "-m", "tests.compiler.steps"]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return done.stdout

    first = run("1", "1")
    assert len(first.splitlines()) == len(CASES)
    assert run("3", "2") == first
