"""Every test of replays starts in one tier, without the programs that others have compiled.

Both tiers round differently, and where a gradient is zero but for rounding, Adam makes a whole step
of it.
"""

from __future__ import annotations

import pytest

from tests.compiler.tiers import forget_programs
from tidu import execute


@pytest.fixture(autouse=True)
def _one_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute.engine, "tier", 0)
    forget_programs(monkeypatch)
