"""Folders as other users find them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Nobody but root may write there meanwhile, and everybody may read what is there."""
    for path in folder.iterdir():
        path.chmod(0o444)
    for parent in folder.parents:
        if parent.stat().st_mode & stat.S_IXOTH:
            break
        parent.chmod(0o755)
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)
