"""What all tests have in common: each sees what the compiler does now, not what it did once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tidu.programs import programs


@pytest.fixture(scope="session", autouse=True)
def _without_plans_from_disk() -> Iterator[None]:
    before, programs.keeps = programs.keeps, False
    yield
    programs.keeps = before
