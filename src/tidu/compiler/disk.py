"""The folder in which what was compiled once is found the next time.

What goes wrong on disks costs time and never a result: a file that is not whole counts as missing.
"""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
import threading
import time
import warnings
from pathlib import Path

from tidu.base.environment import setting

# Another layout of the files needs another magic: old files then count as damaged and are removed.
_MAGIC = b"tidu-cache-3\n"
_DIGEST_SIZE = 16
_DEFAULT_SIZE = 1 << 30
# The kinds of files.
OBJECT, PLAN = ".object", ".plan"
_KINDS = (OBJECT, PLAN)
_TEMPORARY = ".partial"
# Files of writers that died are removed when they are older than this, in seconds.
_ABANDONED = 3600.0
# How much is written between two looks at the size of the folder.
_LOOK_EVERY = 32 << 20


class _State:
    """What this process knows about the cache."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.warned = False
        # Somewhere between two looks, so that many short processes together look often enough.
        # Not from the generator that the script may have seeded.
        self.written = random.Random().randrange(_LOOK_EVERY)


_state = _State()


def _forget_lock() -> None:
    _state.lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_lock)


def folder() -> Path | None:
    """Where the files are: `TIDU_CACHE_DIR`, or `tidu` in the user's cache folder. None without
    a home.
    """
    if chosen := os.environ.get("TIDU_CACHE_DIR"):
        return Path(chosen)
    try:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    except RuntimeError:
        return None
    return Path(base) / "tidu"


def size_limit() -> int:
    """The bytes that the files may take: `TIDU_CACHE_SIZE`, or 1 GiB."""
    return int(setting("TIDU_CACHE_SIZE") or _DEFAULT_SIZE)


def names(kind: str) -> list[str]:
    """The files of this kind that are there."""
    where = folder()
    try:
        found = os.listdir(where) if where is not None else []
    except OSError:
        return []  # there will be no warning before something is to be written
    return [name for name in found if name.endswith(kind)]


def read(name: str) -> bytes | None:
    """What was written under `name`; None if it is not there whole. A damaged file is removed."""
    where = folder()
    if where is None:
        return None
    path = where / name
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        _warn("read", error)
        return None
    head = len(_MAGIC) + _DIGEST_SIZE
    data = content[head:]
    if content[:head] == _MAGIC + _digest(name, data):
        _touch(path)
        return data
    _remove(path)
    return None


def write(name: str, data: bytes) -> None:
    """Keep `data` under `name`. Where that is not possible, one warning says so."""
    where = folder()
    if where is None:
        _warn("find", OSError("there is no home folder"))
        return
    try:
        where.mkdir(parents=True, exist_ok=True)
        _write(where / name, _MAGIC + _digest(name, data) + data)
    except OSError as error:
        _warn("write to", error)
        return
    _make_room(where, len(data))


def remove(name: str) -> None:
    """Remove what turned out to be of no use."""
    where = folder()
    if where is not None:
        _remove(where / name)


def _digest(name: str, data: bytes) -> bytes:
    """Of the name as well: what was copied under another one is as good as damaged."""
    digest = hashlib.blake2b(name.encode() + b"\n", digest_size=_DIGEST_SIZE)
    digest.update(data)
    return digest.digest()


def _write(path: Path, content: bytes) -> None:
    """Under another name first, so that a reader sees the whole file or none."""
    descriptor, name = tempfile.mkstemp(suffix=_TEMPORARY, dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.replace(name, path)
    except BaseException:
        _remove(Path(name))
        raise


def _touch(path: Path) -> None:
    """Files are evicted by the time of their last use."""
    try:
        os.utime(path)
    except OSError:
        return  # a folder that may only be read is evicted by its owner


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        return  # another process was faster, or the folder may only be read


def _make_room(where: Path, added: int) -> None:
    """Remove what was used least recently, down to three quarters of the limit."""
    with _state.lock:
        _state.written += added
        limit = size_limit()
        if _state.written < min(_LOOK_EVERY, limit // 4):
            return
        _state.written = 0
    files = _files(where)
    total = sum(size for _, size, _ in files)
    if total <= limit:
        return
    for _, size, path in sorted(files):
        _remove(path)
        total -= size
        if total <= limit * 3 // 4:
            return


def _files(where: Path) -> list[tuple[float, int, Path]]:
    """Time of last use, size and path of each file of the cache."""
    files = []
    try:
        for entry in os.scandir(where):
            if not entry.name.endswith((*_KINDS, _TEMPORARY)):
                continue
            try:
                found = entry.stat()
            except FileNotFoundError:
                continue
            if entry.name.endswith(_KINDS):
                files.append((found.st_mtime, found.st_size, Path(entry.path)))
            elif found.st_mtime < time.time() - _ABANDONED:
                _remove(Path(entry.path))
    except OSError:
        return []
    return files


def _warn(deed: str, error: OSError) -> None:
    with _state.lock:
        if _state.warned:
            return
        _state.warned = True
    where = folder()
    warnings.warn(
        f"tidu cannot {deed} its cache of compiled programs{f' in {where}' if where else ''}: "
        f"{error}. Programs will be compiled anew in every process. Set TIDU_CACHE_DIR to a "
        "folder that can be written.",
        RuntimeWarning,
        stacklevel=3,
    )
