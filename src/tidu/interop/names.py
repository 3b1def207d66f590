"""What PyTorch's checkpoints call things, and what may be named in one that is not trusted."""

from __future__ import annotations

import builtins
import collections
import importlib
import pickle
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from tidu import nn
from tidu.base import devices, dtypes
from tidu.base.dtypes import dtype
from tidu.base.shapes import Size
from tidu.tensor import Tensor

STORAGES = {
    "FloatStorage": dtypes.float32,
    "DoubleStorage": dtypes.float64,
    "HalfStorage": dtypes.float16,
    "BFloat16Storage": dtypes.bfloat16,
    "LongStorage": dtypes.int64,
    "IntStorage": dtypes.int32,
    "ShortStorage": dtypes.int16,
    "CharStorage": dtypes.int8,
    "ByteStorage": dtypes.uint8,
    "BoolStorage": dtypes.bool_,
}
STORAGE_NAMES = {d: name for name, d in STORAGES.items()}


class StorageType(NamedTuple):
    """What a checkpoint calls ``torch.FloatStorage``: the dtype of stored numbers."""

    dtype: dtype


def _encode(text: str, codec: str = "latin1") -> bytes:
    """How protocol 2 writes bytes."""
    if codec != "latin1":
        raise pickle.UnpicklingError(f"load: bytes in the codec {codec!r}; the file is damaged")
    return text.encode("latin1")


# What a file may name without being trusted. None of it runs code that the file brings along.
_HARMLESS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): collections.Counter,
    ("collections", "defaultdict"): collections.defaultdict,
    ("_codecs", "encode"): _encode,
    ("torch", "Size"): Size,
    ("torch", "device"): devices.device,
    ("torch", "Tensor"): Tensor,
    ("torch.nn.parameter", "Parameter"): nn.Parameter,
    **{("torch", d.name): d for d in dtypes.ALL},
    **{("torch", name): StorageType(d) for name, d in STORAGES.items()},
    **{("torch.storage", name): StorageType(d) for name, d in STORAGES.items()},
    **{
        (module, name): getattr(builtins, name)
        for module in ("builtins", "__builtin__")
        for name in (
            "set",
            "frozenset",
            "bytearray",
            "complex",
            "int",
            "float",
            "bool",
            "str",
            "bytes",
            "list",
            "dict",
            "tuple",
        )
    },
}
_trusted: dict[tuple[str, str], Any] = {}


def _key(item: Any) -> tuple[tuple[str, str], Any]:
    if isinstance(item, tuple):
        found, name = item
        module, _, attribute = name.rpartition(".")
        return (module, attribute), found
    return (item.__module__, item.__qualname__), item


def add_safe_globals(safe_globals: Iterable[Any]) -> None:
    """Let `load` with ``weights_only=True`` make these classes and call these functions.

    An item is a class or function, or a pair of one and the full name under which files know it.
    """
    _trusted.update(map(_key, safe_globals))


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` has added."""
    return list(_trusted.values())


def clear_safe_globals() -> None:
    """Forget everything that `add_safe_globals` has added."""
    _trusted.clear()


@contextmanager
def safe_globals(items: Iterable[Any]) -> Iterator[None]:
    """A block in which `items` may be named as well."""
    before = dict(_trusted)
    add_safe_globals(items)
    try:
        yield
    finally:
        _trusted.clear()
        _trusted.update(before)


def find_harmless(module: str, name: str) -> Any:
    """What a file that is not trusted may name; UnpicklingError for everything else."""
    key = (module, name)
    if key in _HARMLESS:
        return _HARMLESS[key]
    if key in _trusted:
        return _trusted[key]
    raise pickle.UnpicklingError(
        f"Weights only load failed. The file names {module}.{name}, which is neither a tensor nor "
        "a plain container, and loading it could run code. If you trust the file, pass "
        "weights_only=False, or allow this name with "
        f"torch.serialization.add_safe_globals([{name}])"
    )


def find_any(module: str, name: str) -> Any:
    """What a file that is trusted names; for a name of PyTorch's what stands in its place here."""
    key = (module, name)
    if key in _HARMLESS:
        return _HARMLESS[key]
    if module.startswith("torch.nn.modules.") and hasattr(nn, name):
        return getattr(nn, name)
    if module == "torch" or module.startswith("torch."):
        module = "tidu" + module.removeprefix("torch")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found
