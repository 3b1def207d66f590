"""Every test of replays starts in one tier, without the programs that others have compiled.

Both tiers round differently, and where a gradient is zero but for rounding, Adam makes a whole step
of it.
"""

from __future__ import annotations

import pytest

from tidu import execute
from tidu.programs import programs


@pytest.fixture(autouse=True)
def _one_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute.engine, "tier", 0)
    monkeypatch.setattr(programs, "made", {})
    monkeypatch.setattr(programs, "seen", {})
