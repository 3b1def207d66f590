"""What several files of these tests begin with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tidu.compiler import disk


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, of a process that has not warned yet."""
    where = tmp_path / "cache"
    monkeypatch.setenv("TIDU_CACHE_DIR", str(where))
    monkeypatch.delenv("TIDU_CACHE_SIZE", raising=False)
    monkeypatch.setattr(disk, "_state", disk._State())
    return where
