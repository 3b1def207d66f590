"""What a plan on disk depends on besides the structure it was made for."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from collections.abc import Iterator
from functools import cache

import ml_dtypes
import numpy as np

from tidu.base.processor import processor

_PACKAGE = os.path.dirname(os.path.dirname(__file__))


@cache
def edition(since: float) -> str | None:
    """A digest of this package's own source, of what its compiler computes with, and of the kind of
    processor. None where the source is not there, or may not be what runs here because it was
    changed after `since`, when this process imported it (a time in seconds).

    It has to be cheap, and LLVM is not loaded for it: object code has keys of its own.
    """
    digest = hashlib.blake2b(digest_size=16)
    try:
        paths = sorted(_sources(_PACKAGE))
        for path in paths:
            with open(path, "rb") as file:
                content = file.read()
                if os.fstat(file.fileno()).st_mtime > since:
                    return None
            digest.update(f"{path[len(_PACKAGE) :]}\n{len(content)}\n".encode())
            digest.update(content)
    except OSError:
        return None
    if not paths:
        return None
    parts = (sys.version, np.__version__, ml_dtypes.__version__, platform.machine())
    digest.update("\n".join(parts).encode() + processor())
    return digest.hexdigest()


def _sources(folder: str) -> Iterator[str]:
    for entry in os.scandir(folder):
        if entry.name.endswith(".py"):
            yield entry.path
        elif entry.is_dir() and entry.name != "__pycache__":
            yield from _sources(entry.path)
