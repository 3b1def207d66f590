"""Object code on disk, so that a program compiled once starts at once the next time."""

from __future__ import annotations

import hashlib

from tidu.compiler import disk, llvm
from tidu.compiler.statistics import statistics


def key_of(text: str) -> str:
    """Under what the object code of IR text is kept."""
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def object_code(text: str) -> bytes:
    """Object code of IR text, from the disk if it was compiled before on such a machine."""
    key = key_of(text)
    code = load(key)
    if code is None:
        statistics.cache_misses += 1
        code = llvm.compile_module(text)
        disk.write(_name(key), code)
    return code


def load(key: str) -> bytes | None:
    """The object code kept under a key, for this processor and compiler. None if there is none."""
    code = disk.read(_name(key))
    if code is not None:
        statistics.cache_hits += 1
    return code


def _name(key: str) -> str:
    text = f"{llvm.host_fingerprint()}\n{key}"
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest() + disk.OBJECT
